# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""upgrade.yml from an older patch release to the pinned one, while somebody asks a Service ten times a second."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.busybox import NAME as BUSYBOX
from tests.cluster.programs import OLDER_RELEASE, PROGRAMS, version
from tests.cluster.source import make_source
from tests.lab.say import say
from tests.site.whole_site import Site

pytestmark = pytest.mark.endurance

NODES = ["homelab", "masternode", "storagenodet3500"]
NODE_PORT, PORT = 31235, 8080
CONFIRMED = ("-e", "confirm=vmstation")
# two replicas that are nowhere together if that can be had, never both on their way, and that serve until nobody is led to them any more
LABELS = {"app": "asked"}
AFFINITY = {"labelSelector": {"matchLabels": LABELS}, "topologyKey": "kubernetes.io/hostname"}
CONTAINER = {
    "name": "asked",
    "image": BUSYBOX,
    "imagePullPolicy": "IfNotPresent",
    "command": ["sh", "-c", f"echo here > /tmp/index.html; exec httpd -f -p {PORT} -h /tmp"],
    "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
    "lifecycle": {"preStop": {"sleep": {"seconds": 8}}},
}
OBJECTS: list[dict[str, Any]] = [
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "asked"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": LABELS},
            "template": {
                "metadata": {"labels": LABELS},
                "spec": {
                    "containers": [CONTAINER],
                    "affinity": {
                        "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": AFFINITY}]}
                    },
                },
            },
        },
    },
    {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "asked"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": LABELS}},
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "asked"},
        "spec": {"type": "NodePort", "selector": LABELS, "ports": [{"port": 80, "targetPort": PORT, "nodePort": NODE_PORT}]},
    },
]
ASK = """
import json, sys, time, urllib.request
url, path = sys.argv[1:]
asked, failed, errors, due = 0, 0, [], time.monotonic()
while True:
    try:
        urllib.request.urlopen(url, timeout=2).read()
    except OSError as error:
        failed += 1
        errors.append(f"{time.strftime('%H:%M:%S')} {error}")
    asked += 1
    with open(path, "w") as file:
        json.dump({"asked": asked, "failed": failed, "errors": errors[-5:]}, file)
    due = max(due + 0.1, time.monotonic())
    time.sleep(due - time.monotonic() if due > time.monotonic() else 0)
"""


@pytest.fixture(scope="module")
def older(site: Site) -> Site:
    """The site as it was with the older release."""
    site.remove_hosts()
    site.make_hosts(asleep=False)
    source = {"installation_source": {"kind": "directory", "path": str(make_source(older=True))}}
    run = site.play("site.yml", "-e", json.dumps({**source, "node_kubernetes_release": OLDER_RELEASE.removeprefix("v")}))
    assert run.status == 0, run.failed
    assert releases(site) == dict.fromkeys(NODES, OLDER_RELEASE)
    site.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": OBJECTS}))
    site.kubectl("rollout", "status", "deployment/asked", "--timeout=90s", timeout=100)
    return site


def releases(site: Site) -> dict[str, str]:
    return {node["metadata"]["name"]: node["status"]["nodeInfo"]["kubeletVersion"] for node in site.objects("nodes")}


@contextmanager
def asking(site: Site, path: Path) -> Iterator[None]:
    """Somebody outside of the cluster who asks ten times a second."""
    url = f"http://{site.hosts['masternode'].address}:{NODE_PORT}/"
    process = site.lab.start_process(["python3", "-c", ASK, url, str(path)])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_nobody_is_left_without_an_answer_during_an_upgrade(older: Site, tmp_path: Path) -> None:
    new, told = version(PROGRAMS["kubelet"]), tmp_path / "answers.json"
    with asking(older, told):
        run = older.play("playbooks/upgrade.yml", *CONFIRMED, timeout=1800)
    answers = json.loads(told.read_text())
    say(f"asked {answers['asked']} times, {answers['failed']} without an answer: {'; '.join(answers['errors'])}")
    assert run.status == 0, run.failed
    assert releases(older) == dict.fromkeys(NODES, new)
    assert older.ready_nodes() == NODES
    assert [node["metadata"]["name"] for node in older.objects("nodes") if node["spec"].get("unschedulable")] == []
    assert json.loads(older.kubectl("version", "-o", "json").stdout)["serverVersion"]["gitVersion"] == new
    proxies = older.objects("pods", "-n", "kube-system", "-l", "k8s-app=kube-proxy")
    assert {pod["spec"]["containers"][0]["image"].rpartition(":")[2] for pod in proxies} == {new}
    assert answers["failed"] == 0


def test_a_second_run_changes_nothing(older: Site) -> None:
    run = older.play("playbooks/upgrade.yml", *CONFIRMED)
    assert (run.status, run.changed) == (0, []), run.failed


def test_there_is_no_way_back_to_an_older_release(older: Site) -> None:
    source = {"installation_source": {"kind": "directory", "path": str(make_source(older=True))}}
    wish = json.dumps({**source, "node_kubernetes_release": OLDER_RELEASE.removeprefix("v")})
    run = older.play("playbooks/upgrade.yml", "-e", wish, *CONFIRMED)
    assert run.status == 2
    assert any("or older. Set node_kubernetes_release" in failure for failure in run.failed), run.failed
