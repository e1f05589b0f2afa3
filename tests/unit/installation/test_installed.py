# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What installed_programs_info makes of files and services."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._host.files import regular_file
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.installed import (
    File,
    Unit,
    compare_files,
    differing_units,
    is_complete,
)

CONTENT = "timeout: 10\n# ü\n"


def place(path: Path, kind: str) -> None:
    if kind == "directory":
        path.mkdir()
    elif kind == "link":
        path.with_suffix(".target").write_text(CONTENT)
        path.symlink_to(path.with_suffix(".target"))
    elif kind != "nothing":
        path.write_bytes({"same": CONTENT.encode(), "no text": b"\xff\xfe"}.get(kind, CONTENT[:-1].encode()))
        path.chmod(0o600 if kind == "private" else 0o644)


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("same", "same"),
        ("shorter", "different"),
        ("no text", "different"),
        ("private", "different"),
        ("link", "different"),
        ("directory", "different"),
        ("nothing", "missing"),
    ],
)
def test_a_file_is_the_same_only_with_its_content_and_mode(tmp_path: Path, kind: str, state: str) -> None:
    path = tmp_path / "file"
    place(path, kind)
    required, optional = File(str(path), CONTENT), File(str(path), CONTENT, optional=True)
    assert compare_files([required], regular_file) == {str(path): state}
    assert is_complete([required], {str(path): state}) == (state == "same")
    assert is_complete([optional], {str(path): state})


SHOWN = """\
Id=containerd.service
ActiveState=active
NeedDaemonReload=no
UnitFileState=enabled

Id=kubelet.service
ActiveState=inactive
NeedDaemonReload=no
UnitFileState=enabled
"""
WANTED = [Unit("containerd", running=True), Unit("kubelet", running=False)]


@pytest.mark.parametrize(
    ("old", "new", "differing"),
    [
        ("", "", []),
        ("ActiveState=active", "ActiveState=failed", ["containerd"]),
        ("ActiveState=inactive", "ActiveState=activating", []),
        ("UnitFileState=enabled", "UnitFileState=disabled", ["containerd", "kubelet"]),
        ("UnitFileState=enabled", "UnitFileState=enabled-runtime", ["containerd", "kubelet"]),
        # systemd has none of it
        ("UnitFileState=enabled", "UnitFileState=", ["containerd", "kubelet"]),
        ("NeedDaemonReload=no", "NeedDaemonReload=yes", ["containerd", "kubelet"]),
        ("Id=kubelet.service", "Id=kubelet-other.service", ["kubelet"]),
        (SHOWN, "", ["containerd", "kubelet"]),
    ],
)
def test_services_are_in_order_only_if_systemd_reports_all_of_it(old: str, new: str, differing: list[str]) -> None:
    assert differing_units(WANTED, SHOWN.replace(old, new) if old else SHOWN) == differing
