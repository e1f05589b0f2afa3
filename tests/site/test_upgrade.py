# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""upgrade.yml to the next minor version, while a client asks a Service ten times a second."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.busybox import NAME as BUSYBOX
from tests.cluster.images import wanted
from tests.cluster.programs import program_of, version
from tests.cluster.source import make_source
from tests.lab.say import say
from tests.site.whole_site import Site

pytestmark = pytest.mark.endurance

NODES = ["homelab", "masternode", "storagenodet3500"]
NODE_PORT, PORT = 31235, 8080
OLD, NEW = (version(program_of("kubelet", newer=newer)) for newer in (False, True))
# the workers are upgraded as the inventory has them
LAST = "homelab"
BROKEN = "/etc/systemd/system/kubelet.service.d/99-broken.conf"
CERTIFICATES = ("apiserver.crt", "apiserver-kubelet-client.crt", "etcd/server.crt", "etcd/peer.crt", "front-proxy-client.crt")
AUTHORITIES = ("ca.crt", "ca.key", "etcd/ca.crt", "front-proxy-ca.crt", "sa.key")
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
    """A new site with the lab's own release."""
    site.remove_hosts()
    site.make_hosts()
    run = site.play("site.yml")
    assert run.status == 0, run.failed
    assert releases(site) == dict.fromkeys(NODES, OLD)
    site.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": OBJECTS}))
    site.kubectl("rollout", "status", "deployment/asked", "--timeout=90s", timeout=100)
    return site


@pytest.fixture(scope="module")
def upgrade() -> tuple[str, ...]:
    """upgrade.yml as docs/upgrade.md describes it: another release, its minor version in the plan, and a directory that has it."""
    inventory = {
        "lab_network_plan": {"kubernetes_version": NEW.removeprefix("v").rpartition(".")[0]},
        "node_kubernetes_release": NEW.removeprefix("v"),
        "installation_source": {"kind": "directory", "path": str(make_source(newer=True))},
    }
    return ("playbooks/upgrade.yml", *CONFIRMED, "-e", json.dumps(inventory))


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


def answers(path: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(path.read_text())
    say(f"asked {told['asked']} times, {told['failed']} without an answer: {'; '.join(told['errors'])}")
    return told


def pki(site: Site, *names: str) -> dict[str, str]:
    """The checksums of files of the control plane's PKI."""
    lines = site.hosts["masternode"].run(["sh", "-c", f"cd /etc/kubernetes/pki && sha256sum {' '.join(names)}"]).stdout.splitlines()
    return {name: checksum for checksum, name in map(str.split, lines)}


def test_an_upgrade_stops_at_the_first_failure_and_says_the_ways_on_and_back(older: Site, upgrade: tuple[str, ...], tmp_path: Path) -> None:
    """The new kubelet of the last worker does not start. Until then nobody who asks is left without an answer."""
    certificates, authorities = pki(older, *CERTIFICATES), pki(older, *AUTHORITIES)
    older.hosts[LAST].write(BROKEN, "[Service]\nExecStartPre=/bin/false\n")
    older.hosts[LAST].run(["systemctl", "daemon-reload"])
    wishes = {"backup_directory": str(tmp_path / "backups"), "upgrade_timeout": 90}
    with asking(older, tmp_path / "answers.json"):
        run = older.play(*upgrade, "-e", json.dumps(wishes), timeout=1800)
    assert run.status == 2
    assert {failure.partition(":")[0] for failure in run.failed} == {LAST}, run.failed
    for words in (f"{LAST}: Restart kubelet", "The upgrade has stopped here", "playbooks/restore.yml"):
        assert words in run.failed[-1]
    assert releases(older) == {**dict.fromkeys(NODES, NEW), LAST: OLD}
    assert len(list((tmp_path / "backups").glob("*Z.tar.gz"))) == 1
    assert pki(older, *AUTHORITIES) == authorities
    assert [name for name, checksum in pki(older, *CERTIFICATES).items() if checksum == certificates[name]] == []
    assert answers(tmp_path / "answers.json")["failed"] == 0


def test_killed_and_without_power_the_next_run_goes_on(older: Site, upgrade: tuple[str, ...], tmp_path: Path) -> None:
    older.hosts[LAST].run(["rm", BROKEN])
    older.hosts[LAST].run(["systemctl", "daemon-reload"])
    for task in sorted(random.sample(range(20, 90), 3)):
        killed = older.play_and_kill(task, *upgrade, "-e", f"backup_directory={tmp_path}")
        say(f"killed, and the power of two hosts cut, at task {task}: {killed}")
        older.lose_power("masternode", LAST)
    with asking(older, tmp_path / "answers.json"):
        run = older.play(*upgrade, "-e", f"backup_directory={tmp_path}", timeout=1800)
    answers(tmp_path / "answers.json")
    assert run.status == 0, run.failed
    assert releases(older) == dict.fromkeys(NODES, NEW)
    assert older.ready_nodes() == NODES
    assert [node["metadata"]["name"] for node in older.objects("nodes") if node["spec"].get("unschedulable")] == []
    assert json.loads(older.kubectl("version", "-o", "json").stdout)["serverVersion"]["gitVersion"] == NEW
    running = {pod["spec"]["containers"][0]["image"] for pod in older.objects("pods", "-n", "kube-system")}
    assert {*wanted(newer=True)} - running == {pause for pause in wanted(newer=True) if "/pause:" in pause}


def test_a_second_run_changes_nothing(older: Site, upgrade: tuple[str, ...]) -> None:
    run = older.play(*upgrade)
    assert (run.status, run.changed) == (0, []), run.failed


def test_there_is_no_way_back_to_an_older_release(older: Site) -> None:
    run = older.play("playbooks/upgrade.yml", *CONFIRMED)
    assert run.status == 2
    assert any("or older. Set node_kubernetes_release" in failure for failure in run.failed), run.failed
