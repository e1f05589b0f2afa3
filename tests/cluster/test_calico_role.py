# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role calico with Calico's real manifest against a real API server without nodes: applied, left alone, put right, refused."""

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
from tests.cluster.play import Played, play_role
from tests.cluster.server import Cluster
from tests.lab.say import LabError
from tests.unit.network_plan.plans import plan

pytest.importorskip("kubernetes")

MANIFEST = "manifests/calico.yaml"
VERSION = "3.28.5"
POOL = "ippool.crd.projectcalico.org/default-ipv4-ippool"
DAEMON_SET = "daemonset/calico-node"


class Site:
    """A controller with a kubeconfig and an installation source."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self.cluster = cluster
        self.directory = directory
        self.source = directory / "source"
        (self.source / "manifests").mkdir(parents=True)
        self.write_manifest(calico_manifest().read_text())

    def write_manifest(self, text: str) -> None:
        (self.source / MANIFEST).write_text(text)
        self.write_sum(hashlib.sha256(text.encode()).hexdigest())

    def write_sum(self, digest: str) -> None:
        (self.source / "SHA256SUMS").write_text(f"{digest}  {MANIFEST}\n")

    def play(self, *arguments: str, **variables: object) -> Played:
        given = {
            "network_plan": plan(),
            "cluster_kubeconfig": str(self.cluster.kubeconfig),
            "installation_source": {"kind": "directory", "path": str(self.source)},
            # no node, no Pod
            "calico_wait_for_rollout": False,
            **variables,
        }
        # what sleeps bears on how many calico-node Pods may be away during an update
        return play_role("calico", self.directory, given, *arguments, workers=["homelab"])

    def get(self, what: str) -> dict[str, Any]:
        return json.loads(self.cluster.kubectl("get", "--namespace=kube-system", what, "--output=json").stdout)

    def has(self, what: str) -> bool:
        return self.cluster.kubectl("get", "--namespace=kube-system", what, check=False).returncode == 0

    def patch(self, what: str, change: dict[str, Any]) -> None:
        """As a person's kubectl would."""
        self.cluster.kubectl("patch", "--namespace=kube-system", what, "--type=merge", f"--patch={json.dumps(change)}")

    def remove(self) -> None:
        """All that the role applies; of the definitions what there is."""
        self.cluster.kubectl("delete", "--ignore-not-found", f"--filename={calico_manifest()}", timeout=120)


@pytest.fixture(scope="module")
def bare(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A cluster without Calico."""
    try:
        made = Site(cluster, tmp_path_factory.mktemp("calico"))
    except LabError as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"no manifest of Calico: {error}")
    yield made
    made.remove()


@pytest.fixture(scope="module")
def installed(bare: Site) -> Site:
    """A cluster on which the role has run. The tests of a bare one come first in this file."""
    run = bare.play()
    assert (run.status, run.changed) == (0, 2), run.text
    return bare


@pytest.fixture(autouse=True)
def _whole(bare: Site) -> Iterator[None]:
    """The source as upstream's, whatever a test made of it."""
    yield
    bare.write_manifest(calico_manifest().read_text())


def test_check_mode_without_a_cluster_ends_well_and_says_so(bare: Site) -> None:
    run = bare.play("--check", "--diff", cluster_kubeconfig=str(bare.directory / "none.conf"))
    assert (run.status, run.changed) == (0, 0), run.text
    assert run.says("none.conf does not exist yet: without a cluster, changes of Calico cannot be predicted")


def test_without_a_kubeconfig_it_is_named(bare: Site) -> None:
    run = bare.play(cluster_kubeconfig=str(bare.directory / "none.conf"))
    assert run.status != 0
    assert run.says("none.conf: found no file of this name that can be read; required: a kubeconfig")


def test_check_mode_on_a_cluster_predicts_and_changes_nothing(bare: Site) -> None:
    run = bare.play("--check", "--diff")
    assert (run.status, run.changed) == (0, 2), run.text
    assert run.says("FelixConfiguration and IPPools cannot be predicted.")
    assert run.says("Calico 3.28.5: found Kubernetes 1.36; expected Kubernetes 1.27 to 1.30.")
    assert not bare.has("crd/ippools.crd.projectcalico.org")
    assert not bare.has(DAEMON_SET)


@pytest.mark.parametrize(
    ("text", "digest", "words"),
    [
        (None, "0" * 64, f"{MANIFEST}: found SHA-256"),
        ("kind: List\n", None, "document 1: found not a Kubernetes object"),
        ("# mine\n", None, f"{MANIFEST} of version {VERSION}: found SHA-256"),
    ],
    ids=["not its checksum", "no manifest", "a known version, but not upstream's"],
)
def test_a_manifest_that_is_not_upstreams_is_refused(bare: Site, text: str | None, digest: str | None, words: str) -> None:
    upstream = calico_manifest().read_text()
    bare.write_manifest(upstream if text is None else text + upstream if text.startswith("#") else text)
    if digest:
        bare.write_sum(digest)
    run = bare.play()
    assert (run.status != 0, run.changed) == (True, 0), run.text
    assert run.says(words), run.text
    assert not bare.has("crd/ippools.crd.projectcalico.org")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_words: object) -> None:
        """Nothing to log."""


@pytest.fixture
def url(bare: Site) -> Iterator[str]:
    """Where the source's files are downloaded from."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(bare.source))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{MANIFEST}"
        server.shutdown()


def test_a_download_with_another_checksum_is_refused_and_a_good_one_kept(bare: Site, url: str) -> None:
    cache = bare.directory / "cache"
    options = {
        "installation_source": {"kind": "packages"},
        "calico_version": VERSION,
        "calico_manifest_url": url,
        "calico_cache_directory": str(cache),
    }
    bare.write_manifest("# tampered\n" + calico_manifest().read_text())
    run = bare.play(**options)
    assert run.status != 0
    assert run.says("checksum"), run.text
    assert list(cache.iterdir()) == []
    assert not bare.has("crd/ippools.crd.projectcalico.org")

    bare.write_manifest(calico_manifest().read_text())
    run = bare.play("--check", **options)
    assert (run.status, run.changed) == (0, 3), run.text
    (kept,) = cache.iterdir()
    assert (kept.read_bytes(), oct(kept.stat().st_mode)[-3:]) == (calico_manifest().read_bytes(), "644")
    # it is not fetched again
    run = bare.play("--check", **{**options, "calico_manifest_url": "http://127.0.0.1:9/"})
    assert (run.status, run.changed) == (0, 2), run.text

    run = bare.play(**{**options, "calico_version": "3.99.0"})
    assert run.status != 0
    assert run.says("calico_manifest_sha256: found none for Calico 3.99.0"), run.text


def test_it_is_installed_as_planned(installed: Site) -> None:
    spec = installed.get(POOL)["spec"]
    wanted = {"cidr": "10.244.0.0/16", "blockSize": 26, "ipipMode": "Always", "vxlanMode": "Never", "natOutgoing": True}
    assert {key: spec[key] for key in wanted} == wanted
    assert installed.get("felixconfiguration.crd.projectcalico.org/default")["spec"]["prometheusMetricsPort"] == 9091
    node = installed.get(DAEMON_SET)["spec"]
    assert node["updateStrategy"]["rollingUpdate"]["maxUnavailable"] == 2
    variables = {entry["name"]: entry.get("value") for entry in node["template"]["spec"]["containers"][0]["env"]}
    assert variables["IP_AUTODETECTION_METHOD"] == "kubernetes-internal-ip"
    assert "masternode" in str(installed.get("deployment/calico-kube-controllers")["spec"]["template"]["spec"]["affinity"])


def test_a_second_run_and_its_prediction_change_nothing(installed: Site) -> None:
    before = installed.get(DAEMON_SET)["metadata"]["resourceVersion"]
    assert (run := installed.play()).status == 0, run.text
    assert run.changed == 0, run.text
    # one question found that nothing differs
    assert "Configure Felix and the pools" not in run.text
    assert (run := installed.play("--check", "--diff")).status == 0, run.text
    assert run.changed == 0, run.text
    assert installed.get(DAEMON_SET)["metadata"]["resourceVersion"] == before


def test_what_was_changed_or_deleted_by_hand_is_put_right(installed: Site) -> None:
    upstream = installed.get(DAEMON_SET)["spec"]["template"]["spec"]["containers"][0]
    tampered = {**upstream, "image": "example.org/other:1", "env": [{"name": "FELIX_IPV6SUPPORT", "value": "true"}]}
    installed.patch(DAEMON_SET, {"spec": {"template": {"spec": {"containers": [tampered]}}}})
    installed.patch("configmap/calico-config", {"data": {"calico_backend": "vxlan"}})
    installed.patch(POOL, {"spec": {"natOutgoing": False}})
    installed.cluster.kubectl("delete", "--namespace=kube-system", "deployment/calico-kube-controllers")

    predicted = installed.play("--check", "--diff")
    assert (predicted.status, predicted.changed) == (0, 1), predicted.text
    assert predicted.says('calico-node.image: "example.org/other:1" ->'), predicted.text
    assert installed.get(DAEMON_SET)["spec"]["template"]["spec"]["containers"][0]["image"] == "example.org/other:1"

    run = installed.play()
    assert (run.status, run.changed) == (0, 1), run.text
    assert run.says("IPPool default-ipv4-ippool: found natOutgoing false; expected natOutgoing true. It is changed in place."), run.text
    container = installed.get(DAEMON_SET)["spec"]["template"]["spec"]["containers"][0]
    assert (container["image"], container["env"]) == (upstream["image"], upstream["env"])
    assert installed.get("configmap/calico-config")["data"]["calico_backend"] == "bird"
    assert installed.get(POOL)["spec"]["natOutgoing"] is True
    assert installed.has("deployment/calico-kube-controllers")
    assert (again := installed.play()).changed == 0, again.text


def test_a_definition_that_was_changed_by_hand_is_put_right(installed: Site) -> None:
    """As after a run of another release that was killed: only that one is applied."""
    definition = "crd/ippools.crd.projectcalico.org"
    versions = installed.get(definition)["spec"]["versions"]
    fields = versions[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    fields["blockSize"]["description"] = "another release's"
    fields["ofAnotherRelease"] = {"type": "string"}
    installed.patch(definition, {"spec": {"versions": versions}})
    predicted = installed.play("--check", "--diff")
    run = installed.play()
    assert predicted.tasks_changed == run.tasks_changed == ["Create Calico's resource definitions"], run.text
    assert run.says("CustomResourceDefinition ippools.crd.projectcalico.org: "), run.text
    fields = installed.get(definition)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert fields["blockSize"].get("description") != "another release's"
    assert (again := installed.play()).changed == 0, again.text


def test_a_deleted_daemon_set_and_pool_come_back(installed: Site) -> None:
    installed.cluster.kubectl("delete", "--namespace=kube-system", DAEMON_SET, POOL)
    run = installed.play()
    assert (run.status, run.changed) == (0, 1), run.text
    assert installed.has(DAEMON_SET)
    assert installed.has(POOL)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pod_cidr": "10.250.0.0/16"}, "found cidr 10.244.0.0/16; expected 10.250.0.0/16, as in network_plan.pod_cidr."),
        ({"block_size": 24}, "found blockSize 26; expected 24, as in network_plan.block_size."),
        ({"encapsulation": "VXLAN"}, "found ipipMode Always, vxlanMode Never; expected encapsulation VXLAN, as in network_plan."),
    ],
    ids=["network", "block size", "encapsulation"],
)
def test_a_pool_that_differs_is_refused_with_the_migration(installed: Site, changes: dict[str, object], words: str) -> None:
    before = [installed.get(what)["metadata"]["resourceVersion"] for what in (POOL, DAEMON_SET, "configmap/calico-config")]
    run = installed.play(network_plan=plan(**changes))
    assert (run.status != 0, run.changed) == (True, 0), run.text
    assert run.says(words), run.text
    assert "https://docs.tigera.io/calico/latest/networking/ipam/" in run.text
    assert [installed.get(what)["metadata"]["resourceVersion"] for what in (POOL, DAEMON_SET, "configmap/calico-config")] == before


def test_where_packets_are_encapsulated_is_changed_in_place(installed: Site) -> None:
    run = installed.play(network_plan=plan(encapsulation="IPIPCrossSubnet"))
    assert (run.status, run.changed) == (0, 1), run.text
    assert run.says("found IPIP Always; expected CrossSubnet, as in network_plan.encapsulation. It is changed in place"), run.text
    assert installed.get(POOL)["spec"]["ipipMode"] == "CrossSubnet"
    assert (run := installed.play()).changed == 1, run.text
    assert installed.get(POOL)["spec"]["ipipMode"] == "Always"


def test_another_pod_network_is_refused(installed: Site) -> None:
    pod = {"containers": [{"name": "flannel", "image": "example.org/flannel:1"}]}
    flannel = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "kube-flannel-ds", "namespace": "kube-system"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": pod}},
    }
    installed.cluster.kubectl("apply", "--filename=-", stdin=json.dumps(flannel))
    try:
        run = installed.play()
    finally:
        installed.cluster.kubectl("delete", "--namespace=kube-system", "daemonset/kube-flannel-ds")
    assert (run.status != 0, run.changed) == (True, 0), run.text
    assert run.says("DaemonSet kube-system/kube-flannel-ds: found Flannel; expected one pod network in a cluster."), run.text


def test_a_rollout_that_does_not_come_is_named(installed: Site) -> None:
    run = installed.play(calico_wait_for_rollout=True, calico_rollout_timeout=1)
    assert (run.status != 0, run.changed) == (True, 0), run.text
    assert run.says("Deployment kube-system/calico-kube-controllers"), run.text
