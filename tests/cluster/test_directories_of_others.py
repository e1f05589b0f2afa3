# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles do on the host of their data, where a user's directories are there already. It takes no cluster."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.cluster.play import ON_THIS_MACHINE, Played, play_role

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="directories get owners, which takes root")


def modes(*paths: Path) -> list[int]:
    return [stat.S_IMODE(path.stat().st_mode) for path in paths]


def a_directory(path: Path, mode: int = 0o755) -> Path:
    path.mkdir()
    path.chmod(mode)
    return path


def play(role: str, directory: Path, *arguments: str, **variables: object) -> Played:
    return play_role(role, directory, {f"{role}_host": "masternode", **ON_THIS_MACHINE, **variables}, *arguments, tasks_from="host")


@pytest.mark.parametrize("arguments", [("--check", "--diff"), ()], ids=["check mode", "a real run"])
def test_the_directories_that_a_user_names_for_monitoring_stay_as_they_are(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    etc, srv = a_directory(tmp_path / "etc"), a_directory(tmp_path / "srv", 0o775)
    run = play(
        "monitoring",
        tmp_path,
        *arguments,
        monitoring_storage_directory=str(srv),
        monitoring_storage_class="",
        monitoring_grafana_password_file=f"{etc}/grafana-password",
    )
    assert run.status == 0, run.text
    assert modes(etc, srv) == [0o755, 0o775]
    assert run.tasks_changed == ["Create the directories", "Create Grafana's password"]
    made = sorted(path.name for path in tmp_path.glob("*/*") if path.parent in (etc, srv))
    assert made == ([] if arguments else ["grafana", "grafana-password", "loki", "prometheus"])


def test_the_directories_that_a_user_names_for_jellyfin_stay_as_they_are(tmp_path: Path) -> None:
    srv, archives = a_directory(tmp_path / "srv", 0o775), a_directory(tmp_path / "archives")
    run = play(
        "jellyfin",
        tmp_path,
        jellyfin_storage_directory=str(srv),
        jellyfin_backup_directory=str(archives),
        jellyfin_user=1234,
        jellyfin_group=1234,
        jellyfin_storage_class="",
    )
    assert run.status == 0, run.text
    assert modes(srv, archives, srv / "config") == [0o775, 0o755, 0o750]
    assert (srv / "config").stat().st_uid == 1234


def test_jellyfin_of_another_user_keeps_its_data_whichever_way_the_message_is_followed(tmp_path: Path) -> None:
    config = a_directory(tmp_path / "config")
    (config / "jellyfin.db").write_text("users")
    elsewhere = a_directory(tmp_path / "elsewhere", 0o700)
    (config / "link").symlink_to(elsewhere)
    for path in (config, config / "jellyfin.db"):
        os.chown(path, 1000, 1000)
    given = {"jellyfin_storage_directory": str(tmp_path), "jellyfin_backup_keep": 0, "jellyfin_storage_class": ""}
    run = play("jellyfin", tmp_path, **given)
    command = f"chown --recursive --no-dereference 58096:58096 {config}"
    assert (run.status, run.changed) == (2, 0), run.text
    assert run.says(f"set jellyfin_user to 1000 and jellyfin_group to 1000; or stop it, and run `{command}`"), run.text
    kept = play("jellyfin", tmp_path, **given, jellyfin_user=1000, jellyfin_group=1000)
    assert (kept.status, config.stat().st_uid) == (0, 1000), kept.text
    (tmp_path / "cache").rmdir()
    subprocess.run(command.split(), check=True)
    assert play("jellyfin", tmp_path, **given).status == 0
    owners = [(path.stat().st_uid, path.stat().st_gid) for path in (config, config / "jellyfin.db", tmp_path / "cache", elsewhere)]
    assert owners == [(58096, 58096)] * 3 + [(0, 0)]


def test_another_programs_data_are_not_taken_over(tmp_path: Path) -> None:
    srv = a_directory(tmp_path / "srv")
    (a_directory(srv / "grafana", 0o700) / "mine.db").write_text("mine")
    run = play("monitoring", tmp_path, monitoring_storage_directory=str(srv), monitoring_storage_class="")
    assert run.status == 2
    assert run.says(
        f"directory {srv}/grafana: found files in it, and user 0 as its owner; required: a directory that is missing, empty,"
    ), run.text
    assert (modes(srv / "grafana"), sorted(os.listdir(srv))) == ([0o700], ["grafana"])
