# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role calico with more than fifty hosts, against a real API server with simulated nodes: Typha comes, stays and goes."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.calico_images import calico_manifest
from tests.cluster.hollow import HollowNodes, hollow_nodes
from tests.cluster.play import Played, play_role, run_module
from tests.cluster.server import Cluster
from tests.lab.say import LabError
from tests.unit.network_plan.plans import plan

pytest.importorskip("kubernetes")

VERSION = "3.28.5"
MANIFESTS = ("calico.yaml", "calico-typha.yaml")
OBJECTS = ("deployment/calico-typha", "service/calico-typha", "poddisruptionbudget/calico-typha")
DAEMON_SET = "daemonset/calico-node"
# the nodes that there are; all others of the inventory have not joined yet
MASTER, SLEEPERS = "masternode", ("node00", "node01")
NODES = (MASTER, *SLEEPERS, "node02", "node03", "node04")
PATIENCE = 120


def hosts(count: int) -> list[dict[str, Any]]:
    workers = [
        {"name": f"node{at:02}", "address": f"192.168.4.{at + 70}", "role": "worker", "sleeps": f"node{at:02}" in SLEEPERS}
        for at in range(count - 1)
    ]
    return [{"name": MASTER, "address": "192.168.4.63", "role": "control_plane", "sleeps": False}, *workers]


class Site:
    """A controller with a kubeconfig, and an installation source with both manifests."""

    def __init__(self, cluster: Cluster, directory: Path, nodes: HollowNodes) -> None:
        self.cluster, self.directory, self.nodes = cluster, directory, nodes
        self.manifests = directory / "source" / "manifests"
        self.manifests.mkdir(parents=True)
        for name in MANIFESTS:
            (self.manifests / name).write_text(calico_manifest().with_name(name).read_text())
        sums = {name: hashlib.sha256((self.manifests / name).read_bytes()).hexdigest() for name in MANIFESTS}
        (directory / "source" / "SHA256SUMS").write_text("".join(f"{digest}  manifests/{name}\n" for name, digest in sums.items()))

    def play(self, count: int, *arguments: str, typha: str = "auto", **variables: object) -> Played:
        given = {
            "network_plan": plan(typha=typha),
            "cluster_kubeconfig": str(self.cluster.kubeconfig),
            "installation_source": {"kind": "directory", "path": str(self.directory / "source")},
            "calico_cluster_hosts": hosts(count),
            "calico_asleep_hosts": [],
            "calico_rollout_timeout": PATIENCE,
            **variables,
        }
        return play_role("calico", self.directory, given, *arguments, workers=[], timeout=PATIENCE + 180)

    def get(self, *what: str) -> dict[str, Any]:
        return json.loads(self.cluster.kubectl("get", "--namespace=kube-system", *what, "--output=json").stdout)

    def typha(self) -> list[str]:
        """The objects of Typha that there are."""
        return [one for one in OBJECTS if self.cluster.kubectl("get", "--namespace=kube-system", one, check=False).returncode == 0]

    def variables(self) -> set[str]:
        return {entry["name"] for entry in self.get(DAEMON_SET)["spec"]["template"]["spec"]["containers"][0]["env"]}

    def check(self, count: int, **changes: object) -> list[dict[str, Any]]:
        """What calico_check says of Typha."""
        given = {"plan": plan(**changes), "nodes": hosts(count), "asleep": [], "fail_on": "never"}
        return [one for one in run_module("calico_check", self.cluster.kubeconfig, **given)["findings"] if "typha" in one["rule"]]


@pytest.fixture(scope="module")
def site(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with hollow_nodes(cluster) as nodes:
        try:
            made = Site(cluster, tmp_path_factory.mktemp("typha"), nodes)
        except LabError as error:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"no manifest of Calico: {error}")
        for name in NODES:
            nodes.add(name, control_plane=name == MASTER)
        yield made
        cluster.kubectl("delete", "--ignore-not-found", f"--filename={made.manifests / 'calico-typha.yaml'}", timeout=120)


def test_fifty_hosts_need_no_typha_and_no_manifest_of_it(site: Site) -> None:
    path = site.manifests / "calico-typha.yaml"
    aside = path.rename(path.with_suffix(".aside"))
    try:
        run = site.play(50)
        assert (run.status, run.changed) == (0, 2), run.text
        refused = site.play(51)
    finally:
        aside.rename(path)
    assert site.typha() == []
    assert (refused.status != 0, refused.changed) == (True, 0), refused.text
    assert refused.says("Calico's manifest with Typha"), refused.text
    assert refused.says("manifests/calico-typha.yaml: found no such file or directory"), refused.text


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_words: object) -> None:
        """Nothing to log."""


@pytest.fixture
def url(site: Site) -> Iterator[str]:
    """Where the manifests are downloaded from."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site.manifests))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_what_may_be_needed_is_downloaded(site: Site, url: str) -> None:
    cache = site.directory / "cache"
    options = {
        "installation_source": {"kind": "packages"},
        "calico_version": VERSION,
        "calico_manifest_url": f"{url}/calico.yaml",
        "calico_typha_manifest_url": f"{url}/calico-typha.yaml",
        "calico_cache_directory": str(cache),
    }
    for count, names in ((51, {"calico-typha-{}.yaml"}), (40, {"calico-typha-{}.yaml", "calico-{}.yaml"})):
        run = site.play(count, "--check", **options)
        assert run.status == 0, run.text
        assert {path.name for path in cache.iterdir()} == {name.format(VERSION) for name in names}
    unknown = site.play(51, "--check", **{**options, "calico_version": "3.99.0"})
    assert unknown.status != 0
    assert unknown.says("calico_typha_manifest_sha256: found none for Calico 3.99.0; required: the SHA-256 of"), unknown.text


def test_with_one_more_it_comes_as_predicted(site: Site) -> None:
    predicted = site.play(51, "--check", "--diff")
    assert (predicted.status, predicted.changed) == (0, 1), predicted.text
    assert site.typha() == []
    [missing] = site.check(51)
    assert (missing["rule"], missing["severity"], missing["found"]) == ("typha_use_matches_the_plan", "warning", "no Typha")

    run = site.play(51)
    assert run.tasks_changed == predicted.tasks_changed == ["Configure Felix and the pools, and install Calico"], run.text
    assert run.status == 0, run.text
    assert site.typha() == list(OBJECTS)
    assert "FELIX_TYPHAK8SSERVICENAME" in site.variables()
    assert site.get("configmap/calico-config")["data"]["typha_service_name"] == "calico-typha"
    assert site.check(51) == []


def test_the_scheduler_places_each_replica_on_a_host_of_its_own_that_never_sleeps(site: Site) -> None:
    pods = site.get("pods", "--selector=k8s-app=calico-typha")["items"]
    placed = sorted(pod["spec"]["nodeName"] for pod in pods)
    assert len(placed) == len(set(placed)) == site.get("deployment/calico-typha")["spec"]["replicas"] == 3
    assert not set(placed) & set(SLEEPERS)


def test_a_second_run_and_its_prediction_change_nothing(site: Site) -> None:
    for arguments in ((), ("--check", "--diff")):
        run = site.play(51, *arguments)
        assert (run.status, run.changed) == (0, 0), run.text


def test_what_was_deleted_by_hand_is_named_and_comes_back(site: Site) -> None:
    site.cluster.kubectl("delete", "--namespace=kube-system", "deployment/calico-typha", "service/calico-typha")
    [finding] = site.check(51)
    assert (finding["rule"], finding["severity"], finding["subject"]) == (
        "typha_is_ready",
        "error",
        "Deployment kube-system/calico-typha",
    )
    run = site.play(51)
    assert (run.status, run.changed) == (0, 1), run.text
    assert site.typha() == list(OBJECTS)


@pytest.mark.parametrize("count", [50, 26])
def test_with_fewer_hosts_it_stays(site: Site, count: int) -> None:
    before = [site.get(what)["metadata"]["generation"] for what in ("deployment/calico-typha", DAEMON_SET)]
    run = site.play(count)
    assert run.status == 0, run.text
    assert [site.get(what)["metadata"]["generation"] for what in ("deployment/calico-typha", DAEMON_SET)] == before
    assert run.says(f"found Typha, for {count} hosts; expected more than 50 hosts. It is kept down to 26 hosts."), run.text
    assert site.typha() == list(OBJECTS)
    assert site.check(count) == []


def test_it_is_not_removed_before_calico_node_runs_without_it(site: Site) -> None:
    site.nodes.switch_off("node04")
    run = site.play(51, typha="absent", calico_rollout_timeout=5)
    assert run.status != 0, run.text
    assert run.says("DaemonSet kube-system/calico-node"), run.text
    assert site.typha() == list(OBJECTS)
    assert "FELIX_TYPHAK8SSERVICENAME" not in site.variables()
    [finding] = [one for one in site.check(51) if one["severity"] == "warning"] or [None]
    assert finding is not None
    assert finding["rule"] == "typha_use_matches_the_plan"
    site.nodes.switch_on("node04")


def test_the_next_run_removes_it_without_a_trace(site: Site) -> None:
    # calico-kube-controllers prefers hosts by their names, of which there are fewer now
    both = ["Configure Felix and the pools, and install Calico", "Remove Typha if it is not used any more"]
    predicted = site.play(25, "--check", "--diff")
    assert (predicted.status, predicted.tasks_changed) == (0, both), predicted.text
    assert site.typha() == list(OBJECTS)
    run = site.play(25)
    assert (run.status, run.tasks_changed) == (0, both), run.text
    assert run.says("expected none, as network_plan.typha is auto, and there are 25 hosts or fewer"), run.text
    assert site.typha() == []
    assert site.get("configmap/calico-config")["data"]["typha_service_name"] == "none"
    again = site.play(25)
    assert (again.status, again.changed) == (0, 0), again.text
    assert site.check(25) == []


def test_a_small_cluster_has_it_if_its_owner_says_so(site: Site) -> None:
    run = site.play(3, typha="present")
    assert (run.status, run.changed) == (0, 1), run.text
    # of these three hosts, one never sleeps
    assert site.get("deployment/calico-typha")["spec"]["replicas"] == 1
    gone = site.play(3, typha="absent")
    assert gone.tasks_changed == ["Configure Felix and the pools, and install Calico", "Remove Typha if it is not used any more"], gone.text
    assert site.typha() == []
