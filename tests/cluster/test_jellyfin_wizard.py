# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jellyfin's startup wizard through a real API server. A stand-in has the wizard, as Jellyfin's image cannot be had here."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.alertmanager_server import wait_for
from tests.cluster.build import build
from tests.cluster.here import own_address, service_to_here
from tests.cluster.play import ON_THIS_MACHINE, Played, play_role, run_module
from tests.cluster.server import Cluster
from tests.lab.say import mortal

pytest.importorskip("kubernetes")

NAMESPACE, PORT = "films", 18096
PASSWORD = "correct horse battery staple"


class StandIn:
    """The stand-in on this machine, with the directory in which it keeps its administrator."""

    def __init__(self, directory: Path) -> None:
        self._environment = {
            "STAND_IN_FOR": "jellyfin", "STAND_IN_PORT": str(PORT), "STAND_IN_HEALTH": "/health", "STAND_IN_WIZARD": str(directory),
        }  # fmt: skip
        self._process = subprocess.Popen(mortal([str(build(["stand-in"])[0])]), env={**os.environ, **self._environment})
        wait_for("the stand-in for Jellyfin", lambda: self.ask("/health") == 200)

    def ask(self, path: str, content: dict[str, Any] | None = None) -> int:
        """The status of its answer, or 0."""
        body = None if content is None else json.dumps(content).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(f"http://{own_address()}:{PORT}{path}", body), timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def lets_in(self, name: str, password: str) -> bool:
        return self.ask("/Users/AuthenticateByName", {"Username": name, "Pw": password}) == 200

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def jellyfin(service: Cluster, tmp_path: Path) -> Iterator[StandIn]:
    """A new Jellyfin."""
    stand_in = StandIn(tmp_path)
    yield stand_in
    stand_in.close()


@pytest.fixture(scope="module")
def service(cluster: Cluster) -> Iterator[Cluster]:
    with service_to_here(cluster, NAMESPACE, "jellyfin", PORT):
        yield cluster


def wizard(cluster: Cluster, *, check_mode: bool = False, **options: object) -> dict[str, Any]:
    given = {"namespace": NAMESPACE, "timeout": 0, **options}
    return run_module("jellyfin_startup_wizard", cluster.kubeconfig, check_mode=check_mode, **given)


def test_a_missing_service_is_named(cluster: Cluster) -> None:
    assert wizard(cluster, namespace="nowhere")["msg"].startswith("Service nowhere/jellyfin: found no Service of this name")


def test_a_jellyfin_that_does_not_run_is_named(service: Cluster) -> None:
    result = wizard(service)
    assert result["failed"]
    assert result["failure"]["subject"] == f"Service {NAMESPACE}/jellyfin"
    assert "connection refused" in result["failure"]["found"]


def test_the_wizard_is_completed_once(service: Cluster, jellyfin: StandIn) -> None:
    assert wizard(service) == {**wizard(service), "changed": False, "completed": False}
    assert wizard(service, password=PASSWORD, check_mode=True)["changed"]
    assert jellyfin.ask("/Startup/Configuration") == 200
    made = wizard(service, password=PASSWORD)
    assert (made["changed"], made["completed"]) == (True, True)
    assert jellyfin.lets_in("admin", PASSWORD)
    assert jellyfin.ask("/Startup/User") == 401
    for options in ({}, {"password": PASSWORD}, {"password": "another", "name": "other"}):
        again = wizard(service, **options)
        assert (again["changed"], again["completed"]) == (False, True)
    assert not jellyfin.lets_in("other", "another")


def test_a_wizard_that_a_guest_has_begun_is_taken_over(service: Cluster, jellyfin: StandIn) -> None:
    assert jellyfin.ask("/Startup/User") == 200
    assert jellyfin.ask("/Startup/User", {"Name": "guest", "Password": "guest"}) == 204
    assert wizard(service, password=PASSWORD)["changed"]
    assert jellyfin.lets_in("admin", PASSWORD)
    assert not jellyfin.lets_in("guest", "guest")


def test_the_role_generates_a_password_that_is_in_a_file_for_root_alone_and_never_printed(
    service: Cluster, jellyfin: StandIn, tmp_path: Path
) -> None:
    file = tmp_path / "etc" / "password"

    def play(*arguments: str) -> Played:
        variables = {
            "cluster_kubeconfig": str(service.kubeconfig), "jellyfin_namespace": NAMESPACE, "jellyfin_password_file": str(file),
            "jellyfin_rollout_timeout": 0, **ON_THIS_MACHINE,
        }  # fmt: skip
        return play_role("jellyfin", tmp_path, variables, *arguments, tasks_from="wizard")

    predicted = play("--check", "--diff")
    assert (predicted.status, predicted.tasks_changed) == (0, ["Create the directory of the password", "Create the password"]), (
        predicted.text
    )
    assert not file.exists()
    made = play("--diff", "-vvv")
    assert (made.status, made.tasks_changed) == (0, [*predicted.tasks_changed, "Complete the wizard"]), made.text
    password = file.read_text()
    assert (file.stat().st_mode & 0o777, len(password)) == (0o600, 32)
    assert password not in made.text
    assert made.says(f"`sudo cat {file}` on masternode shows the password")
    assert jellyfin.lets_in("admin", password)
    again = play()
    assert (again.status, again.changed, file.read_text()) == (0, 0, password), again.text
