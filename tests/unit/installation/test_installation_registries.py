# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mirrors of image registries: what containerd is given, what is removed, and what is never shown."""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from typing import Any

import pytest
import tomllib
from ansible_collections.vmstation.cluster.plugins.module_utils._host.files import read_text
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.io import write_registries
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.registries import Change, plan, read_registries
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

PEM = "-----BEGIN CERTIFICATE-----\nQQ==\n-----END CERTIFICATE-----\n"
MIRROR = {"url": "https://mirror.lan:5000/", "ca": "", "skip_verify": False, "override_path": False, "username": "", "password": ""}
DOCKER: dict[str, Any] = {"name": "docker.io", "server": "", "mirrors": [MIRROR]}
SECRET = {
    **MIRROR,
    "url": "https://second.lan",
    "ca": PEM,
    "skip_verify": True,
    "override_path": True,
    "username": "node",
    "password": 'p"ä',
}


def apply(directory: Path, *registries: dict[str, Any]) -> Change:
    change = plan(read_registries(registries), str(directory), read_text)
    write_registries(change)
    assert plan(read_registries(registries), str(directory), read_text).files == {}
    return change


def test_the_files_are_what_containerd_reads_and_for_root_alone(tmp_path: Path) -> None:
    apply(tmp_path, {**DOCKER, "server": "https://registry-1.docker.io", "mirrors": [MIRROR, SECRET]}, {**DOCKER, "name": "_default"})
    file = tmp_path / "docker.io" / "hosts.toml"
    usual = {"capabilities": ["pull", "resolve"]}
    authorization = "Basic " + base64.b64encode('node:p"ä'.encode()).decode()
    assert tomllib.loads(file.read_text()) == {
        "server": "https://registry-1.docker.io",
        "host": {
            "https://mirror.lan:5000": usual,
            "https://second.lan": {
                **usual,
                "ca": f"{tmp_path}/docker.io/vmstation-ca-1.crt",
                "skip_verify": True,
                "override_path": True,
                "header": {"authorization": authorization},
            },
        },
    }
    assert (tmp_path / "docker.io" / "vmstation-ca-1.crt").read_text() == PEM
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (tmp_path / "_default" / "hosts.toml").exists()


def test_what_is_taken_out_is_removed_and_what_is_the_users_stays(tmp_path: Path) -> None:
    (tmp_path / "quay.io").mkdir()
    (tmp_path / "quay.io" / "hosts.toml").write_text("mine")
    apply(tmp_path, {**DOCKER, "mirrors": [MIRROR, SECRET]}, {**DOCKER, "name": "ghcr.io"})
    (tmp_path / "ghcr.io" / "notes").write_text("mine")
    apply(tmp_path, DOCKER)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == [
        "docker.io/hosts.toml",
        "ghcr.io/notes",
        "quay.io/hosts.toml",
        "vmstation.json",
    ]
    apply(tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "ghcr.io",
        "ghcr.io/notes",
        "quay.io",
        "quay.io/hosts.toml",
    ]


def test_a_registry_that_the_user_has_configured_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "docker.io").mkdir()
    (tmp_path / "docker.io" / "hosts.toml").write_text("mine")
    with pytest.raises(Refusal, match=r"remove docker\.io from node_registries"):
        apply(tmp_path, DOCKER)


def test_no_diff_shows_a_password(tmp_path: Path) -> None:
    first = apply(tmp_path, {**DOCKER, "mirrors": [SECRET]})
    second = apply(tmp_path, {**DOCKER, "mirrors": [{**SECRET, "password": "other"}]})
    for change in (first, second):
        assert "authorization = ***" in change.after
        for text in (change.before, change.after):
            assert "Basic" not in text
            assert "other" not in text


@pytest.mark.parametrize(
    ("registries", "subject"),
    [
        ([{**DOCKER, "name": "../etc"}], "registries[0].name"),
        ([{**DOCKER, "name": "https://docker.io"}], "registries[0].name"),
        ([DOCKER, DOCKER], "registries"),
        ([{**DOCKER, "mirrors": []}], "registries[0].mirrors"),
        ([{**DOCKER, "server": "docker.io"}], "registries[0].server"),
        ([{**DOCKER, "mirrors": [{**MIRROR, "url": "mirror.lan"}]}], "registries[0].mirrors[0].url"),
        ([{**DOCKER, "mirrors": [{**MIRROR, "url": "https://node:hidden@mirror.lan"}]}], "registries[0].mirrors[0].url"),
        ([{**DOCKER, "mirrors": [{**MIRROR, "username": "node"}]}], "registries[0].mirrors[0]"),
        ([{**DOCKER, "mirrors": [{**MIRROR, "ca": "mirror.crt"}]}], "registries[0].mirrors[0].ca"),
    ],
)
def test_what_containerd_could_not_use_is_refused(registries: list[dict[str, Any]], subject: str) -> None:
    with pytest.raises(Refusal) as refused:
        read_registries(registries)
    assert refused.value.subject == subject
    assert "hidden" not in str(refused.value)
