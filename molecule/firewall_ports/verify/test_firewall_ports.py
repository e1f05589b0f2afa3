# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which ports of the workers are open to which host, by packets."""

from __future__ import annotations

import pytest

from tests.lab import SPECIFIED_HOSTS, HostSpec
from tests.lab.verifying import reached

MASTER = next(spec for spec in SPECIFIED_HOSTS if not spec.sleeps)
WORKERS = [spec for spec in SPECIFIED_HOSTS if spec.sleeps]


@pytest.mark.parametrize("target", WORKERS, ids=lambda spec: spec.firewall)
def test_a_port_with_sources_is_open_to_these_alone(target: HostSpec) -> None:
    other = next(spec for spec in WORKERS if spec != target)
    assert reached(MASTER, target, [80, 9113, 9114]) == {80: True, 9113: True, 9114: False}
    assert reached(other, target, [80, 9113, 9114]) == {80: True, 9113: False, 9114: False}
