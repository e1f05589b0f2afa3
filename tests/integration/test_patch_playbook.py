# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""patch.yml on three hosts with real kubeadm and kubelet: the plan, a run that stops, the next one, and runs that are killed.

tests/site has an ordinary run on one worker.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._host.mark import MARKER, Mark

from tests.cluster.build import missing
from tests.integration.kubernetes_nodes import init, kubectl, prepare
from tests.integration.offered_packages import Package, install, offer, versions
from tests.integration.playbook_output import flat, recap
from tests.integration.test_worker_role import PLAN
from tests.lab import Host, Lab
from tests.lab.cache import CHECKOUT
from tests.lab.lab import SSH_OPTIONS
from tests.lab.say import say

pytestmark = [pytest.mark.kubernetes, pytest.mark.thorough]

# in the order of the update
HOSTS = {"patch-first": ("192.168.4.242", True), "patch-last": ("192.168.4.243", False), "patch-control": ("192.168.4.241", False)}
FIRST, LAST, CONTROL = HOSTS
OLDER, NEWER, NEWEST = (tuple(Package(name, version) for name in ("tool", "linux-image-lab")) for version in ("8", "9", "10"))
CONFIRMED = ("-e", "confirm=patched")
# a hook of dpkg that fails, before anything is installed
BROKEN, HOOK = "/etc/dpkg/dpkg.cfg.d/broken", "pre-invoke=/bin/false\n"
LABELS = {"app": "idle"}
CONTAINER = {"name": "idle", "image": "registry.k8s.io/pause:3.10.2"}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "idle", "namespace": "default"},
    "spec": {
        "replicas": 4,
        "selector": {"matchLabels": LABELS},
        "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [CONTAINER], "terminationGracePeriodSeconds": 1}},
    },
}
BARE = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "bare", "namespace": "default"},
    "spec": {"nodeName": LAST, "containers": [CONTAINER], "terminationGracePeriodSeconds": 1},
}


class Site:
    """A control plane by plain kubeadm and two workers, each with an update of a tool and of a kernel."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab, self.directory = lab, directory
        self.hosts = {
            name: lab.start(name, address=address, mac=self.mac(address), kubernetes=True) for name, (address, _sleeps) in HOSTS.items()
        }
        with ThreadPoolExecutor() as at_once:
            list(at_once.map(self.prepare, self.hosts.values()))
        self.control = self.hosts[CONTROL]
        init(self.control)
        # what the role control_plane leaves there, and a backup wants
        self.control.write(MARKER, Mark("patched", "control_plane", CONTROL, installed=True).as_text())
        self.control.run(["cp", "/root/kubeadm.json", "/etc/kubernetes/vmstation-kubeadm.yaml"])
        (directory / "cluster.config").write_text(self.control.read("/etc/kubernetes/admin.conf"))
        join = self.control.run(["kubeadm", "token", "create", "--print-join-command"]).stdout.split()
        for name in (FIRST, LAST):
            self.hosts[name].run([*join, "--node-name", name, "--ignore-preflight-errors=SystemVerification"], timeout=180)
        self.wait_until_ready()
        self.apply(DEPLOYMENT)
        self.write_inventory()

    @staticmethod
    def mac(address: str) -> str:
        return f"02:00:c0:a8:04:{int(address.rpartition('.')[2]):02x}"

    def prepare(self, host: Host) -> None:
        prepare(host, images=("/kube-", "/etcd", "/pause") if host.name == CONTROL else ("/kube-proxy", "/pause"))
        host.run(["sh", "-c", "cat >> /etc/hosts"], stdin="".join(f"{address} {name}\n" for name, (address, _sleeps) in HOSTS.items()))
        host.write("/etc/sysctl.d/99-forward.conf", "net.ipv4.ip_forward = 1\n")
        install(host, *OLDER)
        offer(host, *NEWER)
        time.sleep(1)  # btime of /proc/stat has whole seconds
        host.reboot()

    def write_inventory(self) -> None:
        hosts = {
            name: {"ansible_host": address, "ansible_python_interpreter": "/usr/bin/python3", "sleeps": sleeps, "mac": self.mac(address)}
            for name, (address, sleeps) in HOSTS.items()
        }
        variables = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.lab.key),
            "ansible_ssh_common_args": f"{SSH_OPTIONS} -o ServerAliveInterval=5 -o ServerAliveCountMax=3",
            "network_plan": PLAN,
            "cluster_name": "patched",
            "cluster_kubeconfig": str(self.directory / "cluster.config"),
            "backup_directory": str(self.directory / "backups"),
            "patch_timeout": 150,
        }
        groups = {
            "control_plane": {"hosts": {CONTROL: hosts.pop(CONTROL)}},
            "workers": {"hosts": hosts},
        }
        (self.directory / "hosts.json").write_text(json.dumps({"all": {"vars": variables, "children": groups}}))

    def argv(self, *arguments: str) -> list[str]:
        return ["ansible-playbook", "-i", str(self.directory / "hosts.json"), str(CHECKOUT / "playbooks" / "patch.yml"), *arguments]

    def play(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.lab.run(self.argv(*arguments), check=False, timeout=900)

    def play_and_kill(self, seconds: float) -> bool:
        """Kill Ansible and what it started on the controller after this time; whether it still ran."""
        argv = self.lab.inside(self.argv(*CONFIRMED))
        process = subprocess.Popen(argv, env=self.lab.environment(), start_new_session=True, stdout=subprocess.DEVNULL)
        time.sleep(seconds)
        ran = process.poll() is None
        if ran:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.lab.close_connections()
        return ran

    def apply(self, one: dict[str, object]) -> None:
        self.control.run(["kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "apply", "-f", "-"], stdin=json.dumps(one))

    def nodes(self) -> list[dict]:
        return json.loads(kubectl(self.control, "get", "nodes", "-o", "json", check=False) or '{"items": []}')["items"]

    def ready(self) -> set[str]:
        is_ready = [("Ready", "True")]
        return {
            node["metadata"]["name"]
            for node in self.nodes()
            if [(one["type"], one["status"]) for one in node["status"]["conditions"] if one["type"] == "Ready"] == is_ready
        }

    def cordoned(self) -> list[str]:
        return [node["metadata"]["name"] for node in self.nodes() if node["spec"].get("unschedulable")]

    def wait_until_ready(self) -> None:
        self.lab.wait_for(lambda: self.ready() == {*HOSTS}, "every node Ready", 180)

    def installed(self) -> dict[str, str]:
        """The version of both packages on each host."""
        return {name: " ".join(sorted(set(versions(host, *NEWER).values()))) for name, host in self.hosts.items()}


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory, programs: None) -> Iterator[Site]:
    assert not missing(["kubectl"])
    made = Site(lab, tmp_path_factory.mktemp("patch"))
    yield made
    for host in made.hosts.values():
        lab.remove(host)


UPDATES = "2 updates (linux-image-lab, tool)"


def test_check_mode_shows_the_plan_and_changes_nothing(site: Site) -> None:
    process = site.play("--check")
    assert process.returncode == 0, process.stdout + process.stderr
    for line in (rf"{FIRST}: {re.escape(UPDATES)}; Pods that move: default/idle-", rf"{CONTROL}: {re.escape(UPDATES)}; not drained"):
        assert re.search(line, flat(process)), process.stdout
    site.hosts[FIRST].stop()
    process = site.play("--check", "--limit", FIRST)
    assert process.returncode == 0, process.stdout + process.stderr
    assert f"{FIRST}: asleep, left for the next run" in flat(process)
    assert CONTROL not in recap(process)
    site.hosts[FIRST].boot()
    site.wait_until_ready()
    assert (site.installed(), site.cordoned()) == (dict.fromkeys(HOSTS, "8"), [])


def test_a_pod_that_would_be_lost_stops_it_before_anything_is_changed(site: Site) -> None:
    site.apply(BARE)
    process = site.play(*CONFIRMED)
    kubectl(site.control, "delete", "pod", "bare", "--force")
    assert process.returncode == 2
    assert "Pod default/bare: found no controller: a drain deletes it for good" in flat(process), process.stdout
    process = site.play("-e", "confirm=other")
    assert "confirm: found `other`; required: the cluster's name, patched. Nothing was updated." in flat(process), process.stdout
    assert (site.installed(), site.cordoned()) == (dict.fromkeys(HOSTS, "8"), [])


def test_it_stops_at_the_first_failure_and_the_next_run_continues(site: Site) -> None:
    site.hosts[LAST].write(BROKEN, HOOK)
    stopped = site.play(*CONFIRMED)
    site.hosts[LAST].run(["rm", BROKEN])
    assert stopped.returncode == 2
    words = f"The run has stopped here. Not updated: {LAST}, {CONTROL}. To continue, fix the cause and run patch.yml again"
    assert f"{LAST}: Update the packages: " in flat(stopped) and words in flat(stopped), stopped.stdout
    assert (site.installed(), site.cordoned()) == ({FIRST: "9", LAST: "8", CONTROL: "8"}, [LAST])
    assert len(list((site.directory / "backups").iterdir())) == 1
    process = site.play(*CONFIRMED)
    assert process.returncode == 0, process.stdout + process.stderr
    assert f"{FIRST}: no updates" in flat(process)
    assert re.findall(r"changed: \[([\w-]+)\]", process.stdout.partition("TASK [Reboot the host]")[2])[0] == LAST
    assert (site.installed(), site.cordoned()) == (dict.fromkeys(HOSTS, "9"), [])
    assert site.ready() == {*HOSTS}


def test_a_second_run_changes_nothing(site: Site) -> None:
    process = site.play(*CONFIRMED)
    assert process.returncode == 0, process.stdout + process.stderr
    assert {counts["changed"] for counts in recap(process).values()} == {0}, process.stdout


def test_a_node_that_the_owner_has_cordoned_stays_cordoned_and_a_reboot_may_be_left_out(site: Site) -> None:
    kubectl(site.control, "cordon", LAST)
    offer(site.hosts[LAST], *NEWEST)
    process = site.play(*CONFIRMED, "--limit", LAST, "-e", "patch_reboot=never")
    assert process.returncode == 0, process.stdout + process.stderr
    assert "found a required reboot (linux-image-lab); required: a reboot after the update." in flat(process)
    assert (site.installed()[LAST], site.cordoned()) == ("10", [LAST])
    again = site.play(*CONFIRMED, "--limit", LAST, "-e", "patch_reboot=never")
    assert (again.returncode, recap(again)[LAST]["changed"]) == (0, 0), again.stdout
    assert f"warning: host {LAST}: found a reboot is required (linux-image-lab)" in flat(again)
    kubectl(site.control, "uncordon", LAST)


def test_killed_and_without_power_the_next_run_continues(site: Site) -> None:
    for host in site.hosts.values():
        offer(host, *NEWEST)
    for seconds in sorted(random.uniform(10, 70) for _round in range(3)):
        say(f"killed after {seconds:.0f} s, and the power of two hosts cut: {site.play_and_kill(seconds)}")
        for name in (CONTROL, LAST):
            site.hosts[name].lose_power()
        for name in (CONTROL, LAST):
            site.hosts[name].boot()
        site.wait_until_ready()
    process = site.play(*CONFIRMED)
    assert process.returncode == 0, process.stdout + process.stderr
    assert (site.installed(), site.cordoned()) == (dict.fromkeys(HOSTS, "10"), [])
    assert site.ready() == {*HOSTS}
    assert not any("vmstation-patch" in host.run(["ls", "/etc/apt/preferences.d", "/run"]).stdout for host in site.hosts.values())
