# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The workers that were off are up."""

from __future__ import annotations

import pytest

from tests.lab import SPECIFIED_HOSTS, HostSpec
from tests.lab.verifying import connect


@pytest.mark.parametrize("spec", [spec for spec in SPECIFIED_HOSTS if spec.sleeps], ids=lambda spec: spec.name)
def test_it_runs_again_with_its_own_address(spec: HostSpec) -> None:
    assert spec.address in connect(spec).interface("eth0").addresses
