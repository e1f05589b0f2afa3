# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role worker and reset.yml with real kubeadm: joined, repaired, refused before damage, killed and completed, removed again."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cluster.build import missing
from tests.integration.kubernetes_nodes import init, kubectl, leftovers, network, prepare
from tests.integration.playbook_output import flat, recap
from tests.lab import Host, Lab
from tests.lab.lab import SSH_OPTIONS
from tests.rounds import rounds

# the gate has its joins, repairs, kills and resets in tests/site
pytestmark = [pytest.mark.kubernetes, pytest.mark.thorough]

PLAN = {
    "node_cidr": "192.168.4.0/24",
    "gateway": "192.168.4.1",
    "pod_cidr": "10.244.0.0/16",
    "service_cidr": "10.96.0.0/12",
    "dns_service_ip": "10.96.0.10",
    "kubernetes_version": "1.36",
    "encapsulation": "VXLAN",
}
HOSTS = {
    "join-control": ("192.168.4.241", "02:00:c0:a8:04:f1"),
    "join-first": ("192.168.4.242", "02:00:c0:a8:04:f2"),
    "join-second": ("192.168.4.243", "02:00:c0:a8:04:f3"),
}
ENDPOINT = f"{HOSTS['join-control'][0]}:6443"
PLAYBOOK = """
- name: Join
  hosts: workers
  gather_facts: false
  tasks:
    - name: Join, and note where that ends early
      block:
        - name: Join
          ansible.builtin.import_role:
            name: vmstation.cluster.worker
      rescue:
        - name: Note what failed
          ansible.builtin.set_fact:
            site_failure: "{{ ansible_failed_result.msg }}"
    - name: Fail where that ended early
      ansible.builtin.fail:
        msg: "{{ site_failure }}"
      when: site_failure is defined
"""
PODS = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"name": "idle", "namespace": "default"},
    "spec": {
        "selector": {"matchLabels": {"app": "idle"}},
        "template": {
            "metadata": {"labels": {"app": "idle"}},
            "spec": {
                "containers": [{"name": "idle", "image": "registry.k8s.io/pause:3.10.2"}],
                "volumes": [{"name": "data", "hostPath": {"path": "/srv/data", "type": "DirectoryOrCreate"}}],
            },
        },
    },
}
# what Calico makes beside its chains, and what an owner has who has never heard of it
OF_CALICO = """
set -e
ip link add vxlan.calico type vxlan id 4096 dstport 4789 dev eth0
ip link set vxlan.calico up
ip route add 10.244.7.0/26 via 192.168.4.1 proto 80
ip route add blackhole 10.244.8.64/26 proto 80
ipset create cali40all-ipam-pools hash:net
iptables -N cali-FORWARD
iptables -A cali-FORWARD -m set --match-set cali40all-ipam-pools src -j ACCEPT
iptables -I FORWARD -m comment --comment cali:wUHhoiAYhphO9Mso -j cali-FORWARD
iptables -A FORWARD -m comment --comment cali:S93hcgKJrXEqnTfs -m mark --mark 0x10000/0x10000 -j ACCEPT
mkdir -p /var/lib/calico /run/calico/cgroup
echo node > /var/lib/calico/nodename
mount -t tmpfs none /run/calico/cgroup
mkdir -p "/var/lib/kubelet/pods/x/volumes/kubernetes.io~local-volume/my data"
mount --bind /srv/data "/var/lib/kubelet/pods/x/volumes/kubernetes.io~local-volume/my data"
"""
OF_THE_OWNER = """
set -e
mkdir -p /srv/data
echo kept > /srv/data/file
ip route add 10.99.0.0/24 via 192.168.4.1 proto 80
ipset create owner hash:net
iptables -t nat -N OWNER
iptables -t nat -A OWNER -j RETURN
iptables -A INPUT -p tcp --dport 22 -m comment --comment "the owner's" -j ACCEPT
"""
# what monitoring stores on the control plane and Jellyfin on the first worker, and what stays whatever is asked for
DATA = {
    "join-control": ["/var/lib/vmstation/monitoring/prometheus/chunk", "/var/lib/vmstation/alloy/positions"],
    "join-first": ["/var/lib/vmstation/jellyfin/config/data/jellyfin.db", "/var/lib/vmstation/jellyfin/cache/picture"],
}
KEPT = {
    "join-control": ["/etc/vmstation/grafana-admin-password"],
    "join-first": ["/srv/media/film", "/var/lib/vmstation/jellyfin-backups/jellyfin-1.tar.gz"],
}
OWNED = "cat /srv/data/file; ip route show 10.99.0.0/24; ipset list -n; iptables -t nat -S OWNER; iptables -S INPUT"


class Site:
    """A control plane by plain kubeadm, two hosts that can become workers, and a playbook that uses the role."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab, self.directory = lab, directory
        self.hosts = {name: lab.start(name, address=address, mac=mac, kubernetes=True) for name, (address, mac) in HOSTS.items()}
        self.control, self.first, self.second = self.hosts.values()
        with ThreadPoolExecutor() as at_once:
            list(at_once.map(self.prepare, self.hosts.values()))
        self.kubeconfig = directory / "cluster.config"
        self.make_control_plane()
        (directory / "site.yml").write_text(PLAYBOOK)
        self.write_inventory()

    def prepare(self, host: Host) -> None:
        prepare(host, images=("/kube-", "/etcd", "/pause") if host is self.control else ("/kube-proxy", "/pause"))
        host.run(["sh", "-c", "cat >> /etc/hosts"], stdin="".join(f"{address} {name}\n" for name, (address, _mac) in HOSTS.items()))
        host.run(["sh", "-c", OF_THE_OWNER])

    def make_control_plane(self) -> None:
        init(self.control)
        self.kubeconfig.write_text(self.control.read("/etc/kubernetes/admin.conf"))
        self.kubeconfig.chmod(0o600)
        self.hashes = self.cluster()["ca_cert_hashes"]
        # kubeadm init's own ends after a second, but it is there until the controller manager has seen that
        self.lab.wait_for(lambda: self.tokens() == "", "the end of kubeadm init's token", 180)

    def write_inventory(self) -> None:
        hosts = {
            name: {"ansible_host": host.address, "ansible_python_interpreter": "/usr/bin/python3"} for name, host in self.hosts.items()
        }
        variables = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.lab.key),
            "ansible_ssh_common_args": f"{SSH_OPTIONS} -o ServerAliveInterval=5 -o ServerAliveCountMax=3",
            "network_plan": PLAN,
            "cluster_name": "vmstation",
            "cluster_kubeconfig": str(self.kubeconfig),
            "worker_ignore_preflight_errors": ["SystemVerification"],
            "worker_ready_timeout": 120,
            # on a busy machine
            "worker_join_timeout": 300,
        }
        first, *others = hosts
        groups = {
            "control_plane": {"hosts": {first: hosts[first]}},
            "workers": {"hosts": {name: hosts[name] for name in others}},
        }
        (self.directory / "hosts.json").write_text(json.dumps({"all": {"vars": variables, "children": groups}}))

    def argv(self, *arguments: str, playbook: str = "") -> list[str]:
        return ["ansible-playbook", "-i", str(self.directory / "hosts.json"), playbook or str(self.directory / "site.yml"), *arguments]

    def play(self, *arguments: str, playbook: str = "") -> subprocess.CompletedProcess[str]:
        return self.lab.run(self.argv(*arguments, playbook=playbook), check=False, timeout=900)

    def membership(self, host: Host, **options: object) -> dict[str, object]:
        """What kubeadm_worker says to a host, with the right cluster unless told otherwise."""
        asked = {
            "cluster_name": "vmstation",
            "api_server_endpoint": ENDPOINT,
            "ca_cert_hashes": self.hashes,
            "plan": PLAN,
            "name": host.name,
            "addresses": [host.address],
            "ignore_preflight_errors": ["SystemVerification"],
        }
        return self.lab.module(host, "kubeadm_worker", {**asked, **options})

    def cluster(self) -> dict[str, object]:
        return self.lab.module(self.control, "kubeadm_join_token", {"state": "absent"})

    def token(self, ttl: str = "30m") -> str:
        return str(self.lab.module(self.control, "kubeadm_join_token", {"ttl": ttl})["token"])

    def tokens(self) -> str:
        return self.control.run(["kubeadm", "token", "list", "--kubeconfig", "/etc/kubernetes/admin.conf"]).stdout

    def nodes(self) -> dict[str, bool]:
        """Node -> whether it is ready."""
        items = json.loads(kubectl(self.control, "get", "nodes", "-o", "json"))["items"]
        return {
            item["metadata"]["name"]: any(one["type"] == "Ready" and one["status"] == "True" for one in item["status"]["conditions"])
            for item in items
        }

    def require_all_ready(self) -> None:
        process = self.play()
        assert process.returncode == 0, process.stdout + process.stderr
        assert self.nodes() == dict.fromkeys(HOSTS, True)


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory, programs: None) -> Iterator[Site]:
    assert not missing(["kubectl"])
    made = Site(lab, tmp_path_factory.mktemp("site"))
    yield made
    for host in made.hosts.values():
        lab.remove(host)


def unjoined(host: Host) -> bool:
    return host.run(["sh", "-c", "ls /etc/kubernetes /var/lib/kubelet 2>/dev/null | wc -l"]).stdout.strip() == "0"


def test_check_mode_predicts_and_touches_nothing(site: Site) -> None:
    process = site.play("--check", "--diff")
    assert process.returncode == 0, process.stdout + process.stderr
    assert "join-first was no member (join)" in flat(process)
    assert unjoined(site.first)
    assert unjoined(site.second)
    assert site.tokens() == ""


def test_a_token_that_has_expired_is_named_before_damage(site: Site) -> None:
    token = site.token("1s")
    time.sleep(2)
    answer = site.membership(site.first, token=token)
    name = token.partition(".")[0]
    assert f"token {name}: found no signature for it at https://{ENDPOINT}" in str(answer["msg"])
    assert token not in json.dumps(answer)
    assert unjoined(site.first)


def test_a_token_with_another_secret_is_named_before_damage(site: Site) -> None:
    name = site.token().partition(".")[0]
    answer = site.membership(site.first, token=f"{name}.0123456789abcdef")
    assert f"token {name}: found a secret other than the one that https://{ENDPOINT} signs with" in str(answer["msg"])
    assert unjoined(site.first)


def test_another_authority_is_named_before_damage(site: Site) -> None:
    wrong = "sha256:" + "0" * 64
    answer = site.membership(site.first, token=site.token(), ca_cert_hashes=[wrong])
    assert f"required: one of {wrong}" in str(answer["msg"])
    assert "sha256:" in str(answer["msg"]).partition("required")[0]
    assert unjoined(site.first)
    site.cluster()


@pytest.mark.parametrize(("endpoint", "found"), [("192.168.4.243:6443", "connection refused"), ("192.168.4.250:6443", "")])
def test_an_api_server_that_does_not_answer_is_named_before_damage(site: Site, endpoint: str, found: str) -> None:
    answer = site.membership(site.first, token="abcdef.0123456789abcdef", api_server_endpoint=endpoint)
    assert f"API server https://{endpoint}, asked from join-first: found {found}" in str(answer["msg"])
    assert "required: an answer" in str(answer["msg"])
    assert unjoined(site.first)


def test_a_control_plane_is_no_worker(site: Site) -> None:
    answer = site.membership(site.control, token="abcdef.0123456789abcdef")
    assert "host join-control: found a control plane" in str(answer["msg"])


def test_one_host_fails_alone(site: Site) -> None:
    site.first.run(["systemctl", "stop", "containerd"])
    site.first.run(["mv", "/usr/bin/containerd", "/usr/bin/containerd.off"])
    try:
        process = site.play()
    finally:
        site.first.run(["mv", "/usr/bin/containerd.off", "/usr/bin/containerd"])
        site.first.run(["systemctl", "start", "containerd"])
    counts = recap(process)
    assert (counts["join-first"]["failed"], counts["join-second"]["failed"]) == (1, 0), process.stdout
    assert "required: a container runtime that serves the CRI" in flat(process)
    assert site.nodes() == {"join-control": True, "join-second": True}
    assert site.tokens() == ""


def test_the_next_run_completes_and_labels(site: Site) -> None:
    process = site.play()
    assert process.returncode == 0, process.stdout + process.stderr
    assert site.nodes() == dict.fromkeys(HOSTS, True)
    labelled = kubectl(site.control, "get", "nodes", "--selector", "node-role.kubernetes.io/worker", "-o", "name").split()
    assert labelled == ["node/join-first", "node/join-second"]
    awake = kubectl(site.control, "get", "nodes", "--selector", "vmstation.cluster/sleeps=false", "-o", "name").split()
    assert awake == labelled
    assert site.tokens() == ""


def test_a_run_that_finds_members_changes_nothing(site: Site) -> None:
    for arguments in ((), ("--check", "--diff")):
        process = site.play(*arguments)
        assert {name: counts["changed"] for name, counts in recap(process).items()} == dict.fromkeys(list(HOSTS)[1:], 0), process.stdout
        assert process.returncode == 0


REPAIRS = {
    "a deleted Node object": ("kubectl", "had no Node object any more", "restart"),
    "a stopped kubelet": ("systemctl stop kubelet", "had a stopped kubelet", "start"),
    "a disabled kubelet": ("systemctl -q disable kubelet", "had a kubelet that does not start at boot", "enable"),
    "a reset": ("kubeadm reset --force --cri-socket unix:///run/containerd/containerd.sock", "had been reset", "join"),
    "half a join": ("rm -r /etc/kubernetes/kubelet.conf /var/lib/kubelet/pki", "had an incomplete join", "rejoin"),
    "lost credentials": ("systemctl stop kubelet; rm -r /var/lib/kubelet/pki", "had credentials that the API server rejects", "rejoin"),
    "the resolver of another host": (
        "echo resolvConf: /run/systemd/resolve/resolv.conf >> /var/lib/kubelet/config.yaml; systemctl restart kubelet",
        "had a kubelet that starts no Pod: its resolvConf, /run/systemd/resolve/resolv.conf, is not on this host",
        "reconfigure",
    ),
    "a lost configuration": ("systemctl stop kubelet; rm /var/lib/kubelet/config.yaml", "had lost /var/lib/kubelet/config.yaml", "rejoin"),
}


@pytest.mark.parametrize("case", REPAIRS)
def test_the_next_run_repairs_and_says_so(site: Site, case: str) -> None:
    damage, found, action = REPAIRS[case]
    if damage == "kubectl":
        kubectl(site.control, "delete", "node", "join-first")
    else:
        site.first.run(["sh", "-c", damage], check=False)
    process = site.play()
    assert process.returncode == 0, process.stdout + process.stderr
    assert f"join-first {found}" in flat(process)
    assert f"({action})" in flat(process)
    assert recap(process)["join-second"]["changed"] == 0
    assert site.nodes() == dict.fromkeys(HOSTS, True)
    assert kubectl(site.control, "get", "node", "join-first", "-o", "jsonpath={.metadata.labels.node-role\\.kubernetes\\.io/worker}") == ""
    assert "join-first" in kubectl(site.control, "get", "nodes", "--selector", "node-role.kubernetes.io/worker", "-o", "name")
    assert site.tokens() == ""


def test_a_member_of_another_cluster_is_refused_by_both_names(site: Site) -> None:
    before = site.first.read("/etc/kubernetes/kubelet.conf")
    answer = site.membership(
        site.first, cluster_name="other", api_server_endpoint="192.168.4.250:6443", ca_cert_hashes=["sha256:" + "1" * 64]
    )
    assert f"found a member of another cluster: vmstation at https://{ENDPOINT}" in str(answer["msg"])
    assert "one of other at https://192.168.4.250:6443" in str(answer["msg"])
    assert site.first.read("/etc/kubernetes/kubelet.conf") == before


@pytest.mark.parametrize("attempt", range(rounds(1, 5)))
def test_a_killed_run_is_completed_by_the_next(site: Site, attempt: int) -> None:
    site.first.run(["kubeadm", "reset", "--force", "--cri-socket", "unix:///run/containerd/containerd.sock"])
    kubectl(site.control, "delete", "node", "join-first", "--ignore-not-found")
    run = site.lab.start_process(site.argv())
    time.sleep(random.Random(attempt).uniform(3, 14))
    run.kill()
    run.wait(timeout=30)
    if attempt % 2:
        # as at a power loss: what goes on there by itself ends too
        site.first.run(["systemctl", "kill", "--signal", "SIGKILL", "kubelet"], check=False)
        site.first.run(["pkill", "--signal", "KILL", "kubeadm"], check=False)
        site.lab.close_connections(site.first.address)
        site.first.reboot()
        # these hosts were not prepared by the role node, which keeps it over a reboot
        site.first.run(["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"])
    site.require_all_ready()
    assert site.tokens() == ""


CUT_OFF = """
table inet cut_off {
  chain input { type filter hook input priority -300; iif != "lo" drop; }
  chain output { type filter hook output priority -300; oif != "lo" drop; }
}
"""


def test_a_host_that_is_cut_off_in_the_middle_fails_alone_and_converges_later(site: Site) -> None:
    site.first.run(["kubeadm", "reset", "--force", "--cri-socket", "unix:///run/containerd/containerd.sock"])
    kubectl(site.control, "delete", "node", "join-first", "--ignore-not-found")
    run = site.lab.start_process(site.argv())
    try:
        site.lab.wait_for(lambda: site.tokens() != "", "a token", 180)
        site.first.run(["nft", "-f", "-"], stdin=CUT_OFF)
        output, errors = run.communicate(timeout=600)
    finally:
        run.kill()
        site.first.run(["nft", "delete", "table", "inet", "cut_off"], check=False)
    counts = recap(subprocess.CompletedProcess([], run.returncode, output, errors))
    assert (counts["join-second"]["failed"], counts["join-second"]["unreachable"]) == (0, 0), output
    assert counts["join-first"]["failed"] + counts["join-first"]["unreachable"] == 1, output
    assert site.tokens() == ""
    site.require_all_ready()


def test_reset_asks_for_the_name_and_refuses_what_it_cannot_read(site: Site) -> None:
    playbook = str(Path(__file__).resolve().parents[2] / "playbooks" / "reset.yml")
    for arguments in ((), ("-e", "confirm=other")):
        process = site.play(*arguments, playbook=playbook)
        assert process.returncode != 0
        assert "required: the cluster's name, vmstation. Nothing was touched." in flat(process).replace("''", "'")
    process = site.play("-e", "confirm=vmstation", "-e", "reset_data=maybe", playbook=playbook)
    assert process.returncode != 0
    assert "The value 'maybe' is not a valid boolean" in flat(process).replace("''", "'")
    assert site.nodes() == dict.fromkeys(HOSTS, True)


def test_reset_takes_all_that_is_the_clusters_and_nothing_else(site: Site) -> None:
    kubectl(site.control, "apply", "-f", "-", check=False)
    site.control.run(["kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", "apply", "-f", "-"], stdin=json.dumps(PODS))
    site.lab.wait_for(lambda: "k8s-pod-network" in site.first.run(["ls", "/var/lib/cni/networks"], check=False).stdout, "a Pod", 60)
    owned = {}
    for host in (site.first, site.second):
        owned[host.name] = host.run(["sh", "-c", OWNED]).stdout.replace("cali40all-ipam-pools\n", "")
        owned[host.name] = "\n".join(line for line in owned[host.name].splitlines() if "KUBE" not in line)
        host.run(["sh", "-c", OF_CALICO])
        assert all(number > 0 for number in leftovers(host)[:4]), leftovers(host)
    stored = {(host, path) for paths in (DATA, KEPT) for host in paths for path in paths[host]}
    for name, path in stored:
        site.hosts[name].run(["install", "-D", "/dev/null", path])
    playbook = str(Path(__file__).resolve().parents[2] / "playbooks" / "reset.yml")
    # the control plane was made by hand: it has no mark
    refused = site.play("-e", "confirm=vmstation", playbook=playbook)
    assert refused.returncode != 0
    assert "a cluster that vmstation.cluster did not create" in flat(refused)
    assert site.nodes() == dict.fromkeys(HOSTS, True)
    predicted = site.play("-e", "confirm=vmstation", "-e", "reset_force=true", "--check", playbook=playbook)
    assert predicted.returncode == 0, predicted.stdout
    assert site.nodes() == dict.fromkeys(HOSTS, True)

    # nothing is removed anywhere while a host does not answer
    site.second.run(["systemctl", "stop", "ssh"])
    site.lab.close_connections(site.second.address)
    partly = site.play("-e", "confirm=vmstation", "-e", "reset_force=true", playbook=playbook)
    site.second.run(["systemctl", "start", "ssh"])
    assert partly.returncode != 0
    assert "join-second: UNREACHABLE" in partly.stdout.replace("[", "").replace("]", "")
    assert site.nodes() == dict.fromkeys(HOSTS, True)

    process = site.play("-e", "confirm=vmstation", "-e", "reset_force=true", playbook=playbook)
    assert process.returncode == 0, process.stdout + process.stderr
    assert flat(process).count(", 0 left over") == len(HOSTS)
    for host in site.hosts.values():
        assert sum(leftovers(host)) == 0, f"{host.name}: {leftovers(host)}"
    for host in (site.first, site.second):
        assert host.run(["sh", "-c", OWNED]).stdout.splitlines() == owned[host.name].splitlines()
    assert not site.kubeconfig.exists()

    assert there(site, stored) == stored
    of_data = ("-e", "confirm=vmstation", "-e", "reset_data=true")
    predicted = site.play(*of_data, "--check", playbook=playbook)
    assert there(site, stored) == stored
    process = site.play(*of_data, playbook=playbook)
    assert process.returncode == 0, process.stdout + process.stderr
    assert there(site, stored) == {(host, path) for host in KEPT for path in KEPT[host]}
    left = [site.hosts[name].run(["ls", "/var/lib/vmstation"], check=False).stdout.split() for name in DATA]
    assert left == [[], ["jellyfin-backups"]]
    # that a directory will be empty is not predicted
    assert 0 < recap(predicted)["join-control"]["changed"] <= recap(process)["join-control"]["changed"]
    again = site.play(*of_data, playbook=playbook)
    assert {name: counts["changed"] for name, counts in recap(again).items() if name in HOSTS} == dict.fromkeys(HOSTS, 0), again.stdout


def there(site: Site, files: set[tuple[str, str]]) -> set[tuple[str, str]]:
    return {(name, path) for name, path in files if site.hosts[name].run(["test", "-f", path], check=False).returncode == 0}


def test_after_a_reset_all_join_again(site: Site) -> None:
    for host in site.hosts.values():
        network(host)
    site.make_control_plane()
    site.require_all_ready()


def test_a_worker_that_slept_through_a_reset_joins_the_new_cluster(site: Site) -> None:
    site.control.run(["kubeadm", "reset", "--force", "--cri-socket", "unix:///run/containerd/containerd.sock"])
    site.make_control_plane()
    process = site.play()
    assert process.returncode == 0, process.stdout + process.stderr
    assert f"join-first was a member of an earlier cluster at https://{ENDPOINT}" in flat(process)
    assert site.nodes() == dict.fromkeys(HOSTS, True)


@pytest.mark.parametrize("attempt", range(rounds(1, 3)))
def test_a_killed_reset_is_completed_by_the_next(site: Site, attempt: int) -> None:
    options = {"cluster_name": "vmstation", "name": "join-first", "pod_networks": ["10.244.0.0/16"]}
    run = site.lab.start_process(
        [
            "ansible",
            "join-first",
            "-i",
            str(site.directory / "hosts.json"),
            "-m",
            "vmstation.cluster.kubeadm_reset",
            "-a",
            json.dumps(options),
        ]
    )
    time.sleep(random.Random(attempt).uniform(1.5, 5))
    site.first.run(["sh", "-c", "pkill -KILL -f '[k]ubeadm reset'; pkill -KILL -f '[k]ubeadm_reset'"], check=False)
    run.kill()
    run.wait(timeout=30)
    answer = site.lab.module(site.first, "kubeadm_reset", options)
    assert answer["leftovers"] == [], answer
    assert sum(leftovers(site.first)) == 0, leftovers(site.first)
    network(site.first)
    site.require_all_ready()
