# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plays of site.yml that run monitoring and Jellyfin, against a real API server and nodes that only report that their Pods run."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.build import missing
from tests.cluster.hollow import hollow_nodes
from tests.cluster.play import ON_THIS_MACHINE, Played, run_plays
from tests.cluster.programs import API_SERVER
from tests.cluster.server import Cluster, running
from tests.lab.cache import CHECKOUT
from tests.unit.network_plan.plans import SPECIFICATION

# the gate deploys both in tests/site
pytestmark = pytest.mark.thorough

pytest.importorskip("kubernetes")

PLAYBOOKS = CHECKOUT / "playbooks"
NAMES = ("Join the workers", "Deploy monitoring and Jellyfin", "Fail if a cluster stage failed")
NOBODY_RUNS = {"monitoring_host": "nas"}


def _plays() -> list[dict[str, Any]]:
    plays = yaml.safe_load((PLAYBOOKS / "site.yml").read_text().replace(" tasks/stage.yml", f" {PLAYBOOKS}/tasks/stage.yml"))
    found = [play for play in plays if play["name"] in NAMES]
    assert len(found) == len(NAMES)
    # the hosts of the hollow nodes have nothing that could join; a run of other stages takes it that they have joined
    (join,) = (play for play in found if play["hosts"] == "workers")
    join["tasks"] = [task for task in join["tasks"] if "block" not in task]
    return found


class Site:
    def __init__(self, cluster: Cluster, directory: Path, media: Path) -> None:
        self.cluster = cluster
        self.directory = directory
        self.media = media

    def play(self, *arguments: str, **variables: object) -> Played:
        given = {
            "network_plan": SPECIFICATION,
            "site_asleep": [],
            "cluster_kubeconfig": str(self.cluster.kubeconfig),
            "monitoring_storage_directory": str(self.directory / "monitoring"),
            "monitoring_grafana_password_file": str(self.directory / "password"),
            "monitoring_storage_minimum_free": "1MiB",
            "monitoring_validate": [],
            "jellyfin_media": [{"path": str(self.media)}],
            "jellyfin_storage_directory": str(self.directory / "jellyfin"),
            "jellyfin_backup_directory": str(self.directory / "backups"),
            "jellyfin_minimum_free": "1MiB",
            # no Jellyfin answers
            "jellyfin_complete_wizard": False,
            **ON_THIS_MACHINE,
            **variables,
        }
        return run_plays(_plays(), self.directory, given, *arguments, timeout=900)

    def deployments(self) -> set[str]:
        found = json.loads(self.cluster.kubectl("get", "deployments", "--all-namespaces", "--output=json").stdout)["items"]
        return {f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in found}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if unbuilt := missing(API_SERVER):
        pytest.skip(f"not built: {' '.join(unbuilt)}")
    if os.geteuid() != 0 or not os.path.ismount("/dev/shm"):
        pytest.skip("directories get owners, which takes root, and media a file system of their own, which takes /dev/shm")
    media = Path(tempfile.mkdtemp(dir="/dev/shm"))
    media.chmod(0o755)
    (media / "film.mkv").write_text("film")
    try:
        with running() as cluster, hollow_nodes(cluster) as nodes:
            nodes.add("masternode", control_plane=True)
            nodes.add("storagenodet3500")
            nodes.add("homelab")
            yield Site(cluster, tmp_path_factory.mktemp("site"), media)
    finally:
        shutil.rmtree(media)


def test_both_failures_are_reported_and_nothing_is_waited_for(site: Site) -> None:
    run = site.play(**NOBODY_RUNS, jellyfin_media=[{"path": "/nowhere"}])
    assert run.status == 2, run.text
    report = run.text.rpartition("TASK [Fail with the recorded error]")[2]
    assert "Require a host that never sleeps: monitoring_host: found nas" in " ".join(report.split()), run.text
    assert "Fail if Jellyfin cannot run: error: directory /nowhere: found no such directory" in " ".join(report.split()), run.text
    assert site.deployments() == set()


def test_tags_run_one_workload_alone_on_all_workers_that_are_awake(site: Site) -> None:
    run = site.play("--tags", "jellyfin", "--check")
    assert run.status == 0, run.text
    assert "Predict the first run" in run.tasks_run, run.text
    assert not [one for one in run.tasks_run if "onitoring" in one], run.text


def test_jellyfin_runs_though_monitoring_failed(site: Site) -> None:
    run = site.play(**NOBODY_RUNS)
    assert run.status == 2, run.text
    assert [one for one in run.tasks_run if one.startswith("Wait until")] == ["Wait until Jellyfin runs"], run.text
    assert site.deployments() == {"jellyfin/jellyfin"}


def test_both_are_applied_before_either_is_waited_for(site: Site) -> None:
    run = site.play(jellyfin_resources={"limits": {"memory": "3Gi"}})
    assert run.status == 0, run.text
    order = [one for one in run.tasks_run if one in {"Run monitoring", "Run Jellyfin"} or one.startswith("Wait until")]
    assert order == ["Run monitoring", "Run Jellyfin", "Wait until monitoring runs", "Wait until Jellyfin runs"], run.text


def test_what_is_skipped_stays_as_it_is(site: Site) -> None:
    before = site.deployments()
    run = site.play(site_skip=["jellyfin"], jellyfin_resources={"limits": {"memory": "2500Mi"}}, jellyfin_state="absent")
    assert run.status == 0, run.text
    assert [one for one in run.tasks_run if "ellyfin" in one] == [], run.text
    assert site.deployments() == before > {"jellyfin/jellyfin"}


def test_tags_run_monitoring_alone_and_wait_for_it_on_every_worker(site: Site) -> None:
    run = site.play("--tags", "monitoring", monitoring_prometheus_retention_time="3d", jellyfin_media=[{"path": "/nowhere"}])
    assert run.status == 0, run.text
    assert [one for one in run.tasks_run if "ellyfin" in one] == [], run.text
    assert "Wait until monitoring runs" in run.tasks_run, run.text
    assert run.says("Record that the worker has joined"), run.text
