# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role node on three real hosts, each behind another firewall: looked at, left alone when not ready, prepared, and left alone again."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.containerd import PIN

from tests.cluster.build import build
from tests.cluster.oci import merge_archives
from tests.cluster.unpack import blob_of, blobs_of
from tests.integration.playbook_output import recap
from tests.lab import Lab
from tests.lab.cache import CHECKOUT
from tests.lab.hosts import Host
from tests.unit.installation.sources import IMAGES, PAUSE, RELEASE, make_source, tar_of, write_docker_archive, write_image

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
    "node-ufw": {"address": "192.168.4.231", "mac": "02:00:c0:a8:04:e7", "firewall": "ufw", "kubernetes": True},
    "node-nftables": {
        "address": "192.168.4.232",
        "mac": "02:00:c0:a8:04:e8",
        "firewall": "nftables",
        "image": "debian13",
        "kubernetes": True,
    },
    "node-firewalld": {"address": "192.168.4.233", "mac": "02:00:c0:a8:04:e9", "firewall": "firewalld", "kubernetes": True},
}
SECOND_RUN_TASKS = 14
# what the role writes, and a bare host does not have
WRITTEN = (
    "/etc/modules-load.d/vmstation-kubernetes.conf",
    "/etc/sysctl.d/99-vmstation-kubernetes.conf",
    "/etc/containerd",
    "/etc/crictl.yaml",
    "/usr/bin/kubeadm",
    "/usr/bin/kubelet",
    "/usr/bin/kubectl",
    "/usr/lib/systemd/system/kubelet.service",
)


def programs() -> dict[str, Path]:
    """Kubernetes' own programs, compiled before."""
    return {path.name: path for path in build(["kubeadm", "kubelet", "kubectl"])}


class Site:
    """The three hosts, and a playbook that uses the role on them."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab = lab
        self.hosts = {name: lab.start(name, **spec) for name, spec in HOSTS.items()}
        self.directory = directory
        self.source = make_source(directory / "source", programs())
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
            "installation_source": {"kind": "directory", "path": str(self.source)},
            # the kernel of the machine under the hosts may have no ipip
            "node_preflight_accept": ["encapsulation_modules_can_be_loaded", "cgroup_version_is_2"],
            "node_containerd_restrict_oom_score_adj": True,
            "node_containerd_disable_apparmor": True,
        }
        groups = {
            "control_plane": {"hosts": {first: hosts[first]}},
            "workers": {"hosts": {name: hosts[name] for name in others}},
        }
        (directory / "hosts.json").write_text(json.dumps({"all": {"vars": variables, "children": groups}}))

    def play(self, *arguments: str, playbook: str = "") -> subprocess.CompletedProcess[str]:
        return self.lab.run(
            ["ansible-playbook", "-i", str(self.directory / "hosts.json"), playbook or str(self.directory / "site.yml"), *arguments],
            check=False,
            timeout=1800,
        )

    def check_hosts(self) -> dict[str, tuple[str, str]]:
        """Mark and finding by subject, of check.yml's report on the hosts."""
        given = {
            "check_only": "hosts",
            "check_report_directory": str(self.directory),
            "cluster_name": "trial",
            "cluster_kubeconfig": "none",
        }
        process = self.play("-e", json.dumps(given), playbook=str(CHECKOUT / "playbooks" / "check.yml"))
        assert process.returncode in {0, 2}, process.stdout + process.stderr
        report = json.loads((self.directory / "report.json").read_text())
        return {line["subject"]: (line["mark"], line["finding"]) for line in report["lines"]}


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(lab, tmp_path_factory.mktemp("site"))
    yield made
    for host in made.hosts.values():
        lab.remove(host)


def written(host: Host) -> list[str]:
    return host.run(["sh", "-c", 'for path; do if [ -e "$path" ]; then echo "$path"; fi; done', "sh", *WRITTEN]).stdout.splitlines()


def test_check_mode_runs_to_its_end_on_bare_hosts_and_shows_the_ports(site: Site) -> None:
    process = site.play("--check", "--diff")
    assert process.returncode == 0, process.stdout + process.stderr
    assert {name: (counts["failed"], counts["changed"] > 0) for name, counts in recap(process).items()} == dict.fromkeys(HOSTS, (0, True))
    for opening in ("+22/tcp", "+6443/tcp", "+10249-10250/tcp from ", "+179/tcp from 192.168.4.", "+protocol 4 from 192.168.4."):
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
                    "cgroup_version_is_2",
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
        "port 10250/tcp: found used by python3 (pid ",
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


def images(host: Host) -> set[str]:
    return {name for name in host.run(["ctr", "-n", "k8s.io", "images", "list", "-q"]).stdout.split() if not name.startswith("sha256:")}


def test_kubernetes_is_installed_and_kubelet_waits(site: Site) -> None:
    for host in site.hosts.values():
        assert host.run(["kubeadm", "version", "-o", "short"]).stdout == f"v{RELEASE}\n"
        assert host.run(["kubelet", "--version"]).stdout == f"Kubernetes v{RELEASE}\n"
        assert host.run(["systemctl", "is-enabled", "kubelet"]).stdout == "enabled\n"
        host.run(["systemctl", "start", "kubelet"])
        state = host.run(["systemctl", "show", "kubelet", "--property", "ActiveState,ConditionResult,NRestarts"]).stdout
        assert set(state.split()) == {"ActiveState=inactive", "ConditionResult=no", "NRestarts=0"}
        assert "/opt/cni/bin" in host.run(["containerd", "config", "dump"]).stdout
        assert host.run(["ls", "/var/lib"]).stdout.count("vmstation-images") == 0, "archives stay on no host"


def test_all_images_are_there_and_workers_have_no_control_plane_s(site: Site) -> None:
    control_plane, *workers = site.hosts.values()
    assert images(control_plane) == set(IMAGES)
    left_out = {name for name in IMAGES if any(part in name for part in ("apiserver", "controller-manager", "scheduler", "etcd"))}
    assert len(left_out) == 4
    for worker in workers:
        assert images(worker) == set(IMAGES) - left_out


def test_a_second_run_changes_nothing(site: Site) -> None:
    process = site.play()
    assert {name: counts["changed"] for name, counts in recap(process).items()} == dict.fromkeys(HOSTS, 0), process.stdout
    assert process.returncode == 0


def test_a_second_run_does_little_on_each_host(site: Site) -> None:
    process = site.play()
    # tasks that ran, on the controller too; those that have nothing to do are skipped. It was 27 before they were
    assert max(counts["ok"] for counts in recap(process).values()) <= SECOND_RUN_TASKS, process.stdout


# what has to be seen before tasks are skipped: each path, moved away, and what else may be damaged and put right again
PATHS = (
    "/etc/modules-load.d/vmstation-kubernetes.conf",
    "/etc/containerd/config.toml",
    "/etc/containerd/certs.d",
    "/etc/crictl.yaml",
    "/usr/bin/kubeadm",
    "/usr/bin/kubelet",
    "/usr/bin/kubectl",
    "/usr/lib/systemd/system/kubelet.service",
    "/usr/lib/vmstation-kubelet.conf.d",
)
DAMAGES = [
    *({"damage": f"mv {path} {path}.away", "repair": f"mv {path}.away {path}"} for path in PATHS),
    {"damage": "chmod 600 /etc/crictl.yaml", "repair": "chmod 644 /etc/crictl.yaml"},
    {"damage": "echo >> /etc/containerd/config.toml", "repair": "sed -i '$ d' /etc/containerd/config.toml"},
    {"damage": "systemctl disable kubelet", "repair": "systemctl enable kubelet"},
    {"damage": "systemctl stop containerd", "repair": "systemctl start containerd"},
    {"damage": "dpkg --remove --force-depends socat", "repair": "apt-get install --yes --no-install-recommends socat"},
    {"damage": "apt-mark auto socat", "repair": "apt-mark manual socat"},
]
LOOK = """
- name: Look at a damaged host
  hosts: workers
  gather_facts: false
  tasks:
    - ansible.builtin.include_tasks: damage.yml
      loop: "{{ damages }}"
    - ansible.builtin.assert:
        that: unseen | default([]) == []
        fail_msg: "{{ unseen | default([]) }}"
"""
DAMAGE = """
- ansible.builtin.command: {argv: [sh, -c, "{{ item.damage }}"]}
- ansible.builtin.include_role: {name: vmstation.cluster.node, tasks_from: preflight}
- ansible.builtin.set_fact:
    unseen: "{{ unseen | default([]) + [item.damage] }}"
  when: _node_installed.complete and _node_preflight.packages_installed
- ansible.builtin.command: {argv: [sh, -c, "{{ item.repair }} && systemctl daemon-reload"]}
"""


@pytest.mark.thorough
def test_every_damage_is_seen(site: Site) -> None:
    (site.directory / "look.yml").write_text(LOOK)
    (site.directory / "damage.yml").write_text(DAMAGE)
    limit = ("--limit", "node-nftables")
    process = site.play(*limit, "-e", json.dumps({"damages": DAMAGES}), playbook=str(site.directory / "look.yml"))
    assert process.returncode == 0, process.stdout + process.stderr
    again = site.play(*limit)
    assert (again.returncode, recap(again)["node-nftables"]["changed"]) == (0, 0), again.stdout


def test_what_was_damaged_is_repaired_and_said(site: Site) -> None:
    host = site.hosts["node-ufw"]
    damage = "rm /etc/crictl.yaml /usr/lib/vmstation-kubelet.conf.d/*; chmod 600 /etc/modules-load.d/vmstation-kubernetes.conf"
    host.run(["sh", "-c", f"{damage}; systemctl disable kubelet; systemctl stop containerd; dpkg --remove --force-depends socat"])
    limit = ("--limit", host.name)
    process, again = site.play(*limit), site.play(*limit)
    assert process.returncode == 0, process.stdout + process.stderr
    assert [recap(run)[host.name]["changed"] for run in (process, again)] == [6, 0], process.stdout + again.stdout
    assert host.run(["systemctl", "is-enabled", "kubelet"]).stdout == "enabled\n"


def test_check_mode_agrees_with_a_prepared_host(site: Site) -> None:
    process = site.play("--check", "--diff")
    assert {name: counts["changed"] for name, counts in recap(process).items()} == dict.fromkeys(HOSTS, 0), process.stdout
    assert process.returncode == 0


def test_a_removed_image_and_overwritten_programs_are_repaired_and_said(site: Site) -> None:
    host = site.hosts["node-ufw"]
    host.run(["ctr", "-n", "k8s.io", "images", "remove", "--sync", PAUSE])
    host.run(["ctr", "-n", "k8s.io", "images", "tag", "--force", IMAGES[0], IMAGES[1]])
    host.run(["sh", "-c", "echo '#!/bin/sh' > /usr/bin/kubelet; chmod 700 /usr/bin/kubectl"])
    unpinned = site.hosts["node-nftables"]
    unpinned.run(["ctr", "-n", "k8s.io", "images", "label", PAUSE, f"{PIN}="])
    report = site.check_hosts()
    assert report[f"images on {host.name}"] == ("error", f"missing: {', '.join(sorted([IMAGES[1], PAUSE]))}")
    assert report[f"images on {unpinned.name}"] == ("warning", f"not pinned: {PAUSE}")
    assert report["images on node-firewalld"] == ("ok", "all images of the installation source, pinned")
    both = ("--limit", f"{host.name},{unpinned.name}")
    checked, process, again = site.play("--check", *both), site.play(*both), site.play(*both)
    assert process.returncode == 0, process.stdout + process.stderr
    # the programs and the import; a real run also makes and removes the directory of archives, and copies them
    assert [recap(checked)[name]["changed"] for name in (host.name, unpinned.name)] == [2, 1]
    assert [recap(process)[name]["changed"] for name in (host.name, unpinned.name)] == [5, 1]
    for said in ("(item=kubelet)", "(item=kubectl)", "(item=pause-3.10.2.tar)", "(item=kube-controller-manager-v1.36.4.tar)"):
        assert f"changed: [{host.name}] => {said}" in process.stdout
    assert "(item=kubeadm)" not in process.stdout
    assert "(item=etcd" not in process.stdout
    assert [recap(again)[name]["changed"] for name in (host.name, unpinned.name)] == [0, 0], again.stdout
    assert images(host) == set(IMAGES)
    assert host.run(["kubelet", "--version"]).stdout == f"Kubernetes v{RELEASE}\n"


def test_container_images_check_apply_check_apply(site: Site, tmp_path: Path) -> None:
    host, archive = site.hosts["node-nftables"], "extra.tar"
    name = "docker.io/library/extra:1"
    write_image(tmp_path / archive, name)
    arguments = {"images": [{"name": name, "archive": archive}], "directory": "/var/tmp/extra"}
    check = site.lab.module(host, "container_images", arguments, check=True, diff=True)
    assert (check["changed"], check["imported"], check["archives"]) == (True, [name], [archive])
    assert check["diff"] == {"before": "", "after": f"{name}\n"}
    absent = site.lab.module(host, "container_images", arguments)
    assert absent["failed"]
    assert "/var/tmp/extra/extra.tar: found no such file on this host" in str(absent["msg"])
    host.run(["mkdir", "/var/tmp/extra"])
    site.lab.module(host, "ansible.builtin.copy", {"src": str(tmp_path / archive), "dest": "/var/tmp/extra/", "mode": "0600"})
    applied = site.lab.module(host, "container_images", arguments)
    assert (applied["changed"], applied["imported"]) == (True, [name])
    host.run(["rm", "-r", "/var/tmp/extra"])
    for again in (site.lab.module(host, "container_images", arguments, check=True), site.lab.module(host, "container_images", arguments)):
        assert (again["changed"], again["imported"], again["archives"]) == (False, [], [])
    other = {**arguments, "images": [{"name": name, "archive": archive, "digest": f"sha256:{'0' * 64}"}]}
    assert site.lab.module(host, "container_images", other, check=True)["imported"] == [name]
    host.run(["ctr", "-n", "k8s.io", "images", "remove", "--sync", name])


def test_an_archive_of_docker_save_is_imported_under_the_digest_that_the_check_tells(site: Site, tmp_path: Path) -> None:
    host, name = site.hosts["node-nftables"], "docker.io/library/saved:1"
    digest = write_docker_archive(tmp_path / "saved.tar", "saved:1")
    arguments = {"images": [{"name": name, "digest": digest, "archive": "saved.tar"}], "directory": "/var/tmp/saved"}
    host.run(["mkdir", "/var/tmp/saved"])
    site.lab.module(host, "ansible.builtin.copy", {"src": str(tmp_path / "saved.tar"), "dest": "/var/tmp/saved/", "mode": "0600"})
    applied, again = site.lab.module(host, "container_images", arguments), site.lab.module(host, "container_images", arguments)
    assert (applied.get("changed"), again.get("changed")) == (True, False), (applied, again)
    host.run(["sh", "-c", f"rm -r /var/tmp/saved; ctr -n k8s.io images remove --sync {name}"])


def test_an_image_that_comes_again_beside_a_missing_one_is_known_to_cri(site: Site, tmp_path: Path) -> None:
    host, names = site.hosts["node-nftables"], ["docker.io/library/one:1", "docker.io/library/two:1"]
    archives = [tmp_path / "one.tar", tmp_path / "two.tar"]
    digests = [write_image(archive, name) for archive, name in zip(archives, names)]
    images = [{"name": name, "digest": digest, "archive": "both.tar"} for name, digest in zip(names, digests)]
    arguments = {"images": images, "directory": "/var/tmp/both"}

    def bring_both() -> None:
        merge_archives(archives, tmp_path / "both.tar")
        site.lab.module(host, "ansible.builtin.copy", {"src": str(tmp_path / "both.tar"), "dest": "/var/tmp/both/", "mode": "0600"})

    host.run(["mkdir", "/var/tmp/both"])
    bring_both()
    assert site.lab.module(host, "container_images", arguments)["imported"] == names
    host.run(["ctr", "-n", "k8s.io", "images", "remove", "--sync", names[1]])
    # the same image, exported anew
    annotate(archives[0])
    bring_both()
    applied, again = site.lab.module(host, "container_images", arguments), site.lab.module(host, "container_images", arguments)
    assert (applied.get("imported"), again.get("changed")) == ([names[1]], False), (applied, again)
    host.run(["sh", "-c", f"rm -r /var/tmp/both; ctr -n k8s.io images remove --sync {' '.join(names)}"])


def annotate(archive: Path) -> None:
    """Give the image of an archive another manifest, and leave the image itself as it is."""
    blobs = blobs_of(archive)
    index = json.loads(blobs.pop("index.json"))
    (entry,) = index["manifests"]
    manifest = json.dumps({**json.loads(blobs.pop(blob_of(entry))), "annotations": {"exported": "anew"}}).encode()
    entry.update(digest=f"sha256:{hashlib.sha256(manifest).hexdigest()}", size=len(manifest))
    archive.write_bytes(tar_of({**blobs, blob_of(entry): manifest, "index.json": json.dumps(index).encode()}))


@contextmanager
def kubelet_alone(site: Site, host: Host, **more: object) -> Iterator[None]:
    """kubelet alone, without a cluster: it serves, so that nothing of it is a leftover."""
    configuration = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "systemd",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "failCgroupV1": False,
        "failSwapOn": False,
        **more,
    }
    host.write("/etc/default/kubelet", "KUBELET_EXTRA_ARGS=--kubeconfig= --bootstrap-kubeconfig=\n")
    host.write("/etc/kubernetes/kubelet.conf", "apiVersion: v1\n")
    host.write("/var/lib/kubelet/config.yaml", json.dumps(configuration))
    host.run(["systemctl", "start", "kubelet"])
    try:
        site.lab.wait_for(lambda: ":10250" in host.run(["ss", "-Hltn"]).stdout, "a kubelet that serves", 120)
        yield
    finally:
        host.run(["systemctl", "stop", "kubelet"])
        host.run(["rm", "-r", "/etc/kubernetes/kubelet.conf", "/etc/default/kubelet", "/var/lib/kubelet/config.yaml"])


def test_a_kubelet_that_runs_is_left_alone_and_restarted_when_its_program_was_another(site: Site) -> None:
    host = site.hosts["node-nftables"]
    with kubelet_alone(site, host):
        untouched = site.play("--limit", host.name)
        # the program cannot be written to while it runs
        other = "cp kubelet .kubelet && echo >> .kubelet && mv .kubelet kubelet"
        host.run(["sh", "-c", f"cd /usr/bin && {other}"])
        before = host.run(["systemctl", "show", "kubelet", "--property", "MainPID"]).stdout
        repaired = site.play("--limit", host.name)
        after = host.run(["systemctl", "show", "kubelet", "--property", "MainPID"]).stdout
    assert (untouched.returncode, recap(untouched)[host.name]["changed"]) == (0, 0), untouched.stdout
    # the program, and the restart
    assert (repaired.returncode, recap(repaired)[host.name]["changed"]) == (0, 2), repaired.stdout
    assert before != after != "MainPID=0\n"


EXTRA = "docker.io/library/extra:1"
STORE = "/var/lib/containerd"


@pytest.fixture
def small_stores(site: Site, tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    """Two hosts, with containerd 1.6 and 1.7, whose images have a small file system of their own, and an image that is not the source's."""
    hosts = site.hosts["node-ufw"], site.hosts["node-nftables"]
    write_image(tmp_path / "extra.tar", EXTRA)
    for host in hosts:
        host.run(["systemctl", "stop", "containerd"])
        host.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", STORE])
        host.run(["systemctl", "start", "containerd"])
        site.lab.module(host, "ansible.builtin.copy", {"src": str(tmp_path / "extra.tar"), "dest": "/var/tmp/extra.tar", "mode": "0600"})
        host.run(["ctr", "-n", "k8s.io", "images", "import", "/var/tmp/extra.tar"])
    try:
        yield hosts
    finally:
        for host in hosts:
            host.run(["sh", "-c", f"systemctl stop containerd; umount --lazy {STORE}; systemctl start containerd; rm /var/tmp/extra.tar"])


def has_reclaimed(host: Host) -> bool:
    """Whether kubelet has said what came of its attempt to make room."""
    said = "must evict pod|able to reduce resource pressure"
    return host.run(["journalctl", "--unit", "kubelet", "--quiet", "--grep", said], check=False).returncode == 0


def test_kubelet_deletes_no_image_of_the_source_when_the_disk_is_full(site: Site, small_stores: tuple[Host, Host]) -> None:
    without_pins, with_pins = small_stores
    assert "1.6." in without_pins.run(["containerd", "--version"]).stdout
    process = site.play("--limit", ",".join(host.name for host in small_stores))
    assert process.returncode == 0, process.stdout + process.stderr
    before = {host.name: images(host) for host in small_stores}
    assert all(EXTRA in names for names in before.values())
    # an image is safe for two minutes otherwise; kubelet's own threshold is 15 %
    young = {"imageMinimumGCAge": "1s"}
    with kubelet_alone(site, without_pins, **young), kubelet_alone(site, with_pins, **young):
        for host in small_stores:
            host.run(["sh", "-c", f"head -c 60M /dev/zero > {STORE}/filler"])
        for host in small_stores:
            judged = site.lab.module(host, "node_preflight_check", {"role": "worker", "name": host.name, "fail_on": "never"})
            warnings = {finding["subject"]: finding["found"] for finding in judged["findings"] if finding["rule"] == "disk_has_room"}
            assert warnings[f"file system {STORE} with {STORE}"].endswith("% of its space used")
            site.lab.wait_for(lambda host=host: has_reclaimed(host), "kubelet to have deleted what it may", 90)
            host.run(["rm", f"{STORE}/filler"])
    assert images(without_pins) == before[without_pins.name]
    assert images(with_pins) == before[with_pins.name] - {EXTRA}


def test_an_archive_with_a_wrong_checksum_is_named_before_any_host_is_touched(site: Site) -> None:
    archive = site.source / "images" / "pause-3.10.2.tar"
    sound = archive.read_bytes()
    archive.write_bytes(sound[:-1] + b"x")
    try:
        process = site.play()
    finally:
        archive.write_bytes(sound)
    # the task runs once and for all: Ansible counts its failure on one host, and goes on with none
    counts = recap(process)
    assert process.returncode != 0
    assert sum(one["failed"] for one in counts.values()) == 1
    assert {name: one["changed"] for name, one in counts.items()} == dict.fromkeys(HOSTS, 0)
    assert f"{archive}: found sha256 " in process.stdout


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
