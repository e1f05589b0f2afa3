# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON that cannot be read has one error. Fuzzing found the other one."""

from __future__ import annotations

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._host.mark import read_mark
from ansible_collections.vmstation.cluster.plugins.module_utils._json import read_json

DEEP = "[" * 100_000


@pytest.mark.parametrize("text", ["", "{", DEEP, b"\xff", DEEP.encode()])
def test_what_is_no_json_has_one_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_json(text)


def test_a_deep_document_is_no_mark_of_a_host() -> None:
    assert read_mark(DEEP) is None
