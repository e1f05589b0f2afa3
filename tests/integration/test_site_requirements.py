# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""site.yml checks what monitoring and Jellyfin need of the owner before it changes a host. This machine is in the place of both hosts."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.unit.network_plan.plans import FLAWLESS
from tests.unit.site.test_playbooks_need_the_groups import HERE, play

ALPHA = {**HERE, "ansible_become": False, "address": "192.168.4.63"}
BETA = {**HERE, "ansible_become": False, "address": "192.168.4.62"}
UNREACHABLE = {"ansible_host": "192.0.2.1", "ansible_ssh_common_args": "-o ConnectTimeout=1", "address": "192.168.4.62"}


def site(directory: Path, *arguments: str, beta: dict[str, object] | None = None, **variables: object) -> subprocess.CompletedProcess[str]:
    """A run of site.yml. The media are in the directory of the test."""
    groups = {"control_plane": {"hosts": {"alpha": ALPHA}}, "workers": {"hosts": {"beta": beta or BETA}}}
    directory.chmod(0o755)
    media = {"jellyfin_media": [{"path": str(directory)}], "jellyfin_media_mounted": False}
    given = {"network_plan": FLAWLESS, "cluster_name": "mine", "cluster_kubeconfig": str(directory / "nowhere"), **media, **variables}
    return play("site", directory, groups, "-e", json.dumps(given), *arguments)


def flat(process: subprocess.CompletedProcess[str]) -> str:
    return " ".join(process.stdout.split())


def test_missing_media_stop_a_first_run_before_any_host_is_changed(tmp_path: Path) -> None:
    process = site(tmp_path, jellyfin_media=[{"path": "/nowhere/films"}, {"path": "/nowhere/music"}])
    assert process.returncode == 2, process.stdout
    for words in (
        "On host beta, where Jellyfin is to run:",
        "error: directory /nowhere/films: found no such directory; / exists; expected a directory.",
        "error: directory /nowhere/music: found no such directory; / exists; expected a directory.",
        "write site_skip: [jellyfin] into the inventory.",
    ):
        assert words in flat(process), process.stdout
    # it is the last task of all
    assert process.stdout.rpartition("TASK [")[2].startswith("vmstation.cluster.jellyfin : Fail if the media are missing]")
    assert "PLAY [Prepare the hosts" not in process.stdout


def test_media_that_jellyfin_cannot_read_stop_it_too(tmp_path: Path) -> None:
    films = tmp_path / "films"
    films.mkdir(0o750)
    (films / "film.mkv").write_text("")
    process = site(tmp_path, "--check", jellyfin_media=[{"path": str(films)}])
    assert process.returncode == 2, process.stdout
    assert f"directory {films}: found mode 0750 and owner 0:0; user 58096 with group 58096 cannot list it" in flat(process), process.stdout
    assert "PLAY [Prepare the hosts" not in process.stdout


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"jellyfin_host": "nas"}, "jellyfin_host: found nas, which is no host of the groups control_plane and workers"),
        ({"monitoring_host": "nas"}, "monitoring_host: found nas, which is no host of the groups"),
        ({"site_skip": ["jelyfin"]}, "site_skip: found 'jelyfin'; required: only monitoring and jellyfin."),
    ],
)
def test_other_requirements_stop_it_too(variables: dict[str, object], words: str, tmp_path: Path) -> None:
    process = site(tmp_path, **variables)
    assert process.returncode == 2, process.stdout
    assert words in flat(process), process.stdout
    assert "PLAY [Prepare the hosts" not in process.stdout


NO_STAGE = ("--skip-tags", "node,control_plane,calico,worker,dns,idle_watch,cluster_backup")


def test_what_is_skipped_is_not_checked_and_is_reported(tmp_path: Path) -> None:
    process = site(tmp_path, *NO_STAGE, site_skip=["monitoring", "jellyfin"], jellyfin_media=[{"path": "/nowhere"}], monitoring_host="nas")
    assert process.returncode == 0, process.stdout
    for stage in ("monitoring", "jellyfin"):
        assert f"{stage}: skipped, as site_skip names it; what exists of it in the cluster was not changed" in flat(process)
        assert f"TASK [vmstation.cluster.{stage} : " not in process.stdout


def test_one_is_skipped_alone(tmp_path: Path) -> None:
    # without a cluster, the roles end early in check mode
    process = site(tmp_path, *NO_STAGE, "--check", site_skip=["jellyfin"])
    assert process.returncode == 0, process.stdout
    assert "TASK [vmstation.cluster.jellyfin : " not in process.stdout
    assert "TASK [vmstation.cluster.monitoring : Report that there is no cluster yet]" in process.stdout


def test_a_host_that_cannot_be_reached_leaves_the_media_unknown_and_stops_no_other_host(tmp_path: Path) -> None:
    process = site(tmp_path, *NO_STAGE, "--check", beta=UNREACHABLE)
    assert "beta: its media are not checked yet, because the host is asleep or cannot be reached (" in flat(process), process.stdout
    assert "PLAY [Deploy monitoring and Jellyfin]" in process.stdout
