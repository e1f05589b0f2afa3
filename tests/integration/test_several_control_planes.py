# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three control planes with real kubeadm, etcd and keepalived: set up, killed, completed, one without power, and removed."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.kubernetes_nodes import leftovers
from tests.integration.playbook_output import flat, recap
from tests.integration.test_control_plane_role import CONTAINER, KUBECTL, PLAN, kubernetes_alone
from tests.lab import Host, Lab
from tests.lab.cache import CHECKOUT
from tests.lab.say import say

pytestmark = [pytest.mark.kubernetes, pytest.mark.thorough]

VIP = "192.168.4.240"
HOSTS = {"cp-one": ("192.168.4.241", "ufw"), "cp-two": ("192.168.4.242", "nftables"), "cp-three": ("192.168.4.243", "firewalld")}
SECRET = "the-answer-is-42"
PLAYBOOK = """
- name: Play
  hosts: control_plane
  gather_facts: false
  roles: [vmstation.cluster.node, vmstation.cluster.control_plane]
- name: Verify
  hosts: control_plane
  gather_facts: false
  tasks:
    - name: Wait for the kubelets' certificates
      ansible.builtin.include_role:
        name: vmstation.cluster.control_plane
        tasks_from: verify_kubelets
"""
# asks ten times a second through the address, and prints the longest time between two answers
CLIENT = """
import http.client, ssl, sys, time
context, last, longest, answers = ssl._create_unverified_context(), time.monotonic(), 0.0, 0
end = last + float(sys.argv[2])
while time.monotonic() < end:
    began = time.monotonic()
    try:
        connection = http.client.HTTPSConnection(sys.argv[1], 6443, timeout=1, context=context)
        connection.request("GET", "/livez")
        if connection.getresponse().status == 200:
            now = time.monotonic()
            longest, last, answers = max(longest, now - last), now, answers + 1
        connection.close()
    except (OSError, http.client.HTTPException):
        pass
    time.sleep(max(0.0, 0.1 - (time.monotonic() - began)))
print(f"{max(longest, time.monotonic() - last):.1f} {answers}")
"""


class Site:
    """Three hosts, and the playbooks that run on them."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab, self.directory = lab, directory
        self.kubeconfig = directory / "kube" / "cp.config"
        self.hosts = {
            name: lab.start(name, address=address, mac=f"02:00:c0:a8:04:f{at}", firewall=firewall, kubernetes=True)
            for at, (name, (address, firewall)) in enumerate(HOSTS.items(), 1)
        }
        variables = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(lab.key),
            "ansible_ssh_common_args": "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR",
            "ansible_python_interpreter": "/usr/bin/python3",
            "network_plan": {**PLAN, "api_vip": VIP, "dhcp_range": "192.168.4.100-192.168.4.199"},
            "cluster_name": "trial",
            "cluster_kubeconfig": str(self.kubeconfig),
            "installation_source": {"kind": "directory", "path": str(kubernetes_alone(directory / "source"))},
            **CONTAINER,
        }
        groups = {"control_plane": {"hosts": {name: {"ansible_host": host.address} for name, host in self.hosts.items()}}, "workers": {}}
        (directory / "hosts.json").write_text(json.dumps({"all": {"vars": variables, "children": groups}}))
        (directory / "setup.yml").write_text(PLAYBOOK)

    def play(self, playbook: str = "", *arguments: str) -> subprocess.CompletedProcess[str]:
        path = str(CHECKOUT / "playbooks" / playbook) if playbook else str(self.directory / "setup.yml")
        return self.lab.run(["ansible-playbook", "-i", str(self.directory / "hosts.json"), path, *arguments], check=False, timeout=1800)

    def kubectl(self, host: str, *arguments: str) -> str:
        return self.hosts[host].run([*KUBECTL, *arguments]).stdout

    def holder(self) -> str:
        """The host that has the address: exactly one."""
        found = [name for name, host in self.hosts.items() if host.is_up() and f" {VIP}/32 " in host.run(["ip", "address"]).stdout]
        assert len(found) == 1, found
        return found[0]

    def kill_join(self, name: str) -> bool:
        """Kill kubeadm and our module with it as soon as the host's etcd is to start."""
        script = (
            "n=0; until pgrep -xf '[^ ]*kubeadm join .*' && test -e /etc/kubernetes/manifests/etcd.yaml; do "
            "n=$((n+1)); [ $n -lt 20000 ] || exit 1; sleep 0.05; done; pkill -KILL -x python3; pkill -KILL -x kubeadm; exit 0"
        )
        return self.hosts[name].run(["sh", "-c", script], check=False, timeout=1500).returncode == 0


@pytest.fixture(scope="module")
def site(lab: Lab, programs: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(lab, tmp_path_factory.mktemp("several"))
    yield made
    for host in made.hosts.values():
        lab.remove(host)


def test_a_killed_join_fails_its_host_and_is_named(site: Site) -> None:
    predicted = site.play("", "--check")
    assert predicted.returncode == 0, predicted.stdout + predicted.stderr
    killed: list[bool] = []
    thread = threading.Thread(target=lambda: killed.append(site.kill_join("cp-two")))
    thread.start()
    process = site.play()
    thread.join()
    assert killed == [True], process.stdout
    assert process.returncode != 0
    assert site.holder() == "cp-one"


def test_the_next_run_completes_it_and_one_more_changes_nothing(site: Site) -> None:
    process = site.play()
    assert process.returncode == 0, process.stdout + process.stderr
    nodes = json.loads(site.kubectl("cp-three", "get", "nodes", "--output=json"))["items"]
    assert sorted(node["metadata"]["name"] for node in nodes) == sorted(HOSTS)
    assert all("node-role.kubernetes.io/control-plane" in node["metadata"]["labels"] for node in nodes)
    # in no log and no argument
    token = [line for line in process.stdout.splitlines() if "PRIVATE KEY" in line or "client-key-data" in line]
    assert token == []
    again = site.play()
    assert again.returncode == 0, again.stdout + again.stderr
    assert {name: counts["changed"] for name, counts in recap(again).items()} == {**dict.fromkeys(HOSTS, 0)}, again.stdout


def test_a_secret_that_one_has_stored_is_read_by_the_others(site: Site) -> None:
    site.kubectl("cp-one", "create", "secret", "generic", "answer", f"--from-literal=it={SECRET}")
    for name, (address, _firewall) in HOSTS.items():
        read = site.kubectl(name, f"--server=https://{address}:6443", "get", "secret", "answer", "--output=jsonpath={.data.it}")
        assert read == "dGhlLWFuc3dlci1pcy00Mg=="


def test_check_yml_reports_the_members_and_the_address(site: Site) -> None:
    process = site.play("check.yml", "-e", "check_only=control_plane", "-e", "check_verbose=true")
    assert process.returncode == 0, process.stdout + process.stderr
    assert "3 of 3 healthy" in flat(process)
    assert f"address {VIP} of the API" in flat(process)


def test_upgrade_and_restore_are_rejected_by_name(site: Site) -> None:
    for name in ("upgrade", "restore"):
        process = site.play(f"{name}.yml", "-e", "confirm=trial")
        assert process.returncode != 0
        assert f"{name}.yml does not support several control planes yet" in flat(process)
        assert all(counts["changed"] == 0 for counts in recap(process).values())


def test_the_address_moves_when_its_host_loses_power(site: Site) -> None:
    before = site.holder()
    gaps: list[str] = []
    client = threading.Thread(target=lambda: gaps.append(site.lab.run(["python3", "-c", CLIENT, VIP, "40"], timeout=120).stdout))
    client.start()
    threading.Event().wait(5)
    site.hosts[before].lose_power()
    client.join()
    longest, answers = gaps[0].split()
    say(f"{before} lost its power while a client asked ten times a second: the longest gap was {longest} s, {answers} answers in 40 s")
    after = site.holder()
    assert after != before
    assert float(longest) < 10
    assert site.kubectl(after, "get", "secret", "answer", "--output=name") == "secret/answer\n"
    # the others are told, and report it
    process = site.play("check.yml", "-e", "check_only=control_plane")
    assert "2 of 3 members healthy" in flat(process), process.stdout
    site.hosts[before].boot()
    members = ["kubectl", f"--server=https://{HOSTS[before][0]}:6443", "get", "--raw=/readyz"]
    site.lab.wait_for(lambda: ready(site.hosts[before], members), f"the API server of {before}", 180)
    # it does not take the address back
    assert site.holder() == after


def ready(host: Host, asked: list[str]) -> bool:
    return host.run([*asked, "--kubeconfig=/etc/kubernetes/admin.conf"], check=False).stdout == "ok"


def test_one_is_reset_and_joins_again(site: Site) -> None:
    process = site.play("reset.yml", "-e", "confirm=trial", "--limit", "cp-three")
    assert process.returncode == 0, process.stdout + process.stderr
    assert leftovers(site.hosts["cp-three"]) == [0] * len(leftovers(site.hosts["cp-three"]))
    assert site.kubectl("cp-one", "get", "--raw=/readyz") == "ok"
    process = site.play()
    assert process.returncode == 0, process.stdout + process.stderr
    assert "3 of 3 healthy" in flat(site.play("check.yml", "-e", "check_only=control_plane", "-e", "check_verbose=true"))


def test_reset_leaves_nothing(site: Site) -> None:
    process = site.play("reset.yml", "-e", "confirm=trial")
    assert process.returncode == 0, process.stdout + process.stderr
    for name, host in site.hosts.items():
        found = leftovers(host)
        assert found == [0] * len(found), (name, found)
        assert VIP not in host.run(["ip", "address"]).stdout
        assert host.run(["sh", "-c", "ls -d /etc/vmstation /usr/local/lib/vmstation /run/vmstation-api-address"], check=False).stdout == ""
        assert "vmstation" not in host.run(["systemctl", "list-unit-files"]).stdout
        assert "VRRP" not in host.run(["sh", "-c", "nft list ruleset; iptables-save"]).stdout
    assert not site.kubeconfig.exists()
