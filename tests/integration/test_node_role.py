# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role node on three real hosts, each behind another firewall: looked at, left alone when not ready, prepared, and left alone again."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Lab
from tests.lab.hosts import Host

PLAN = {
    "node_cidr": "192.168.4.0/24",
    "gateway": "192.168.4.1",
    "pod_cidr": "10.244.0.0/16",
    "service_cidr": "10.96.0.0/12",
    "dns_service_ip": "10.96.0.10",
    "kubernetes_version": "1.36",
    "encapsulation": "IPIP",
    "services": [{"name": "grafana", "namespace": "monitoring", "port": 3000, "node_port": 30300}],
}
PLAYBOOK = """
- name: Prepare
  hosts: control_plane:workers
  roles:
    - vmstation.cluster.node
"""
HOSTS = {
    "node-ufw": {"address": "192.168.4.231", "mac": "02:00:c0:a8:04:e7", "firewall": "ufw"},
    "node-nftables": {"address": "192.168.4.232", "mac": "02:00:c0:a8:04:e8", "firewall": "nftables", "image": "debian13"},
    "node-firewalld": {"address": "192.168.4.233", "mac": "02:00:c0:a8:04:e9", "firewall": "firewalld"},
}
# what the role writes, and a bare host does not have
WRITTEN = (
    "/etc/modules-load.d/vmstation-kubernetes.conf",
    "/etc/sysctl.d/99-vmstation-kubernetes.conf",
    "/etc/containerd",
    "/etc/crictl.yaml",
)


class Site:
    """The three hosts, and a playbook that uses the role on them."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab = lab
        self.hosts = {name: lab.start(name, **spec) for name, spec in HOSTS.items()}
        self.directory = directory
        (directory / "site.yml").write_text(PLAYBOOK)
        hosts = {
            name: {"ansible_host": host.address, "ansible_python_interpreter": "/usr/bin/python3"} for name, host in self.hosts.items()
        }
        first, *others = hosts
        variables = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(lab.key),
            "ansible_ssh_common_args": "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR",
            "network_plan": PLAN,
            # the kernel of the machine under the hosts may have no ipip
            "node_preflight_accept": ["encapsulation_modules_can_be_loaded"],
            "node_containerd_restrict_oom_score_adj": True,
            "node_containerd_disable_apparmor": True,
        }
        groups = {
            "control_plane": {"hosts": {first: hosts[first]}},
            "workers": {"hosts": {name: hosts[name] for name in others}},
        }
        (directory / "hosts.json").write_text(json.dumps({"all": {"vars": variables, "children": groups}}))

    def play(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.lab.run(
            ["ansible-playbook", "-i", str(self.directory / "hosts.json"), str(self.directory / "site.yml"), *arguments], check=False
        )


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(lab, tmp_path_factory.mktemp("site"))
    yield made
    for host in made.hosts.values():
        lab.remove(host)


def recap(process: subprocess.CompletedProcess[str]) -> dict[str, dict[str, int]]:
    """The counts of Ansible's recap by host."""
    lines = process.stdout.partition("PLAY RECAP")[2].splitlines()[1:]
    counts = {line.split(" ")[0]: {key: int(number) for key, number in re.findall(r"(\w+)=(\d+)", line)} for line in lines if "ok=" in line}
    assert counts, process.stdout + process.stderr
    return counts


def written(host: Host) -> list[str]:
    return host.run(["sh", "-c", 'for path; do if [ -e "$path" ]; then echo "$path"; fi; done', "sh", *WRITTEN]).stdout.splitlines()


def test_check_mode_runs_to_its_end_on_bare_hosts_and_shows_the_ports(site: Site) -> None:
    process = site.play("--check", "--diff")
    assert process.returncode == 0, process.stdout + process.stderr
    assert {name: (counts["failed"], counts["changed"] > 0) for name, counts in recap(process).items()} == dict.fromkeys(HOSTS, (0, True))
    for opening in ("+22/tcp", "+6443/tcp", "+10250/tcp from ", "+179/tcp from 192.168.4.0/24", "+protocol 4 from 192.168.4.0/24"):
        assert opening in process.stdout
    assert {name: written(host) for name, host in site.hosts.items()} == {name: [] for name in HOSTS}


def test_leftovers_are_named_and_nothing_is_changed(site: Site) -> None:
    host = site.hosts["node-nftables"]
    host.write("/etc/kubernetes/kubelet.conf", "apiVersion: v1\n")
    host.run(["ip", "link", "add", "cni0", "type", "bridge"])
    listener = host.start_process(["python3", "-m", "http.server", "10250"])
    site.lab.wait_for(lambda: ":10250" in host.run(["ss", "-Hltn"]).stdout, "a listener on 10250", 20)
    try:
        process = site.play("--limit", host.name)
        # two errors of three are accepted: the third still stops the host
        accepted = json.dumps(
            {
                "node_preflight_accept": [
                    "encapsulation_modules_can_be_loaded",
                    "kubelet_files_belong_to_a_running_kubelet",
                    "interfaces_belong_to_no_other_cni",
                ]
            }
        )
        again = site.play("--limit", host.name, "-e", accepted)
    finally:
        host.run(["pkill", "-f", "http.server 10250"], check=False)
        listener.wait(timeout=20)
        host.run(["ip", "link", "delete", "cni0"])
        host.run(["rm", "-r", "/etc/kubernetes"])
    assert recap(process)[host.name]["failed"] == 1
    assert "3 findings must be fixed first" in process.stdout
    for said in (
        "/etc/kubernetes/kubelet.conf: found left by an earlier cluster",
        "network interface cni0: found left by",
        "port 10250/tcp: found bound by python3 (pid ",
    ):
        assert said in process.stdout
    assert "1 finding must be fixed first" in again.stdout
    assert written(host) == []


def test_the_role_prepares_all_hosts(site: Site) -> None:
    process = site.play()
    assert process.returncode == 0, process.stdout + process.stderr
    assert all(counts["failed"] == counts["unreachable"] == 0 for counts in recap(process).values())
    for host in site.hosts.values():
        assert written(host) == list(WRITTEN)
        assert "Server:" in host.run(["ctr", "--connect-timeout", "10s", "version"]).stdout
        assert host.run(["sysctl", "-n", "net.ipv4.ip_forward"]).stdout == "1\n"
        assert host.run(["getent", "hosts", "node-firewalld"]).stdout.split() == ["192.168.4.233", "node-firewalld"]


def test_a_second_run_changes_nothing(site: Site) -> None:
    process = site.play()
    assert {name: counts["changed"] for name, counts in recap(process).items()} == dict.fromkeys(HOSTS, 0), process.stdout
    assert process.returncode == 0


def test_check_mode_agrees_with_a_prepared_host(site: Site) -> None:
    process = site.play("--check", "--diff")
    assert {name: counts["changed"] for name, counts in recap(process).items()} == dict.fromkeys(HOSTS, 0), process.stdout
    assert process.returncode == 0


CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3).close()"


@pytest.mark.parametrize("name", ["node-nftables", "node-firewalld"])
def test_a_planned_port_answers_and_no_other_does(site: Site, name: str) -> None:
    host, peer = site.hosts[name], site.hosts["node-ufw"]
    answers = {}
    for port in ("10250", "12345"):
        server = host.start_process(["python3", "-m", "http.server", port])
        site.lab.wait_for(lambda port=port: f":{port}" in host.run(["ss", "-Hltn"]).stdout, f"a listener on {port}", 20)
        answers[port] = peer.run(["python3", "-c", CONNECT, host.address, port], check=False).returncode == 0
        host.run(["pkill", "-f", f"http.server {port}"], check=False)
        server.wait(timeout=20)
    assert answers == {"10250": True, "12345": False}


def test_a_reboot_keeps_it(site: Site) -> None:
    host = site.hosts["node-ufw"]
    host.reboot()
    process = site.play("--check", "--limit", host.name)
    assert recap(process)[host.name]["changed"] == 0, process.stdout
    assert "Server:" in host.run(["ctr", "--connect-timeout", "10s", "version"]).stdout
