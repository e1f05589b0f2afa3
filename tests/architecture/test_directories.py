# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No role or playbook gives an owner or a mode to a directory that may be another's: host_directories makes those that are missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.playbook_tasks import CHECKOUT, FILES, load, mappings

# no user can choose these, and nothing else writes there
OWN = {
    "/var/lib/vmstation/restore",
    "{{ _node_image_directory }}",
    "{{ _jellyfin_export_directory }}",
    "{{ _jellyfin_put_back_directory }}",
}
ATTRIBUTES = {"mode", "owner", "group", "recurse", "attributes"}


def _directories(path: Path) -> Iterator[dict[str, Any]]:
    for task in mappings(load(path)):
        options = task.get("ansible.builtin.file", {})
        if options.get("state") == "directory" or options.get("recurse"):
            yield options


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_only_own_directories_get_an_owner_or_a_mode(path: Path) -> None:
    changed = [options["path"] for options in _directories(path) if ATTRIBUTES & set(options) and options["path"] not in OWN]
    assert changed == [], "use vmstation.cluster.host_directories, or leave owner and mode out"


def test_the_own_ones_are_no_variables_of_a_user() -> None:
    found = {options["path"] for path in FILES for options in _directories(path) if ATTRIBUTES & set(options)}
    assert found == OWN
    defaults = [text for path in CHECKOUT.glob("roles/*/defaults/main.yml") for text in path.read_text().splitlines()]
    assert not [name for name in OWN if any(line.startswith(f"{name.strip('{} ')}:") for line in defaults)]
