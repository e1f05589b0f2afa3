# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host of the lab runs a real kubelet and real pods, privileged ones too, sleeps and wakes with them, and the machine stays as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.build import binary
from tests.cluster.busybox import busybox
from tests.cluster.images import archive, wanted
from tests.integration.lab_traces import machine_state, traces
from tests.lab import Host, Lab

# the gate has Pods on such hosts in tests/site
pytestmark = [pytest.mark.kubernetes, pytest.mark.thorough]

CONTAINERD = """
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = true
"""
KUBELET = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "cgroupDriver": "systemd",
    "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
    "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
    "authorization": {"mode": "AlwaysAllow"},
    "enableServer": False,
    "failCgroupV1": False,
    "failSwapOn": False,
    "staticPodPath": "/etc/kubernetes/manifests",
}
UNIT = """
[Unit]
After=containerd.service
[Service]
ExecStart=/usr/bin/kubelet --config=/etc/kubernetes/kubelet.json
Restart=always
RestartSec=1
[Install]
WantedBy=multi-user.target
"""
# what calico-node does to a host: a file system that the host sees, a tunnel, a sysctl of its network
AS_CALICO = """
set -e
busybox mount -t bpf bpffs /sys/fs/bpf
ip link add vxlan.test type vxlan id 4096 dstport 4789
echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter
"""
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "network", "namespace": "kube-system"},
    "spec": {
        "hostNetwork": True,
        "initContainers": [
            {
                "name": "prepare",
                "command": ["sh", "-c", AS_CALICO],
                "securityContext": {"privileged": True},
                "volumeMounts": [{"name": "sys-fs", "mountPath": "/sys/fs", "mountPropagation": "Bidirectional"}],
            }
        ],
        "containers": [
            {
                "name": "work",
                # another user, whose namespaces only CAP_SYS_PTRACE may enter
                "command": ["sh", "-c", "id -u > /shared/user; hostname > /shared/name; trap exit TERM; sleep 100000 & wait"],
                "securityContext": {"runAsUser": 65532},
                "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
            }
        ],
        "volumes": [
            {"name": "sys-fs", "hostPath": {"path": "/sys/fs"}},
            {"name": "lock", "hostPath": {"path": "/run/xtables.lock", "type": "FileOrCreate"}},
            {"name": "shared", "hostPath": {"path": "/run/shared"}},
        ],
    },
}
CONTENTS = """
findmnt -n -o FSTYPE /sys/fs/bpf && ip link show vxlan.test && cat /proc/sys/net/ipv4/conf/all/rp_filter /run/shared/user /run/shared/name
"""
# what kubelet writes, and what it finds when it reads it again
WRITTEN = {"vm/overcommit_memory": "1", "kernel/panic": "10", "kernel/panic_on_oops": "1", "kernel/keys/root_maxkeys": "1000000"}


@pytest.fixture
def own_lab(lab: Lab) -> Iterator[Lab]:
    """One more lab, whose end can be looked at."""
    made = Lab(f"{lab.name}-kubernetes")
    made.prepare()
    yield made
    made.down()


def install(host: Host, image: str, archives: list[Path], pause: str) -> None:
    """containerd, a kubelet that asks no API server, and a pod for it."""
    host.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", "containerd", "runc"], timeout=120)
    host.write("/etc/containerd/config.toml", CONTAINERD.format(pause=pause))
    host.bring(binary("kubelet"), "/usr/bin/kubelet", 0o755)
    host.run(["systemctl", "restart", "containerd"])
    for path in archives:
        host.bring(path, "/var/tmp/image.tar")
        host.run(["ctr", "-n", "k8s.io", "images", "import", "/var/tmp/image.tar"])
    pod = json.loads(json.dumps(POD))
    for container in (*pod["spec"]["initContainers"], *pod["spec"]["containers"]):
        container |= {"image": image, "imagePullPolicy": "Never"}
    host.run(["install", "-d", "-m", "0777", "/run/shared"])
    host.write("/etc/tmpfiles.d/shared.conf", "d /run/shared 0777\n")
    host.write("/etc/kubernetes/kubelet.json", json.dumps(KUBELET))
    host.write("/etc/kubernetes/manifests/network.json", json.dumps(pod))
    host.write("/etc/systemd/system/kubelet.service", UNIT)
    host.run(["systemctl", "enable", "-q", "--now", "kubelet"])


def pod_works(host: Host) -> bool:
    return host.run(["sh", "-c", CONTENTS], check=False).stdout.splitlines()[-3:] == ["1", "65532", host.name]


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize("release", ["debian12", pytest.param("debian13", marks=pytest.mark.thorough)])
def test_pods_work_and_come_back_and_the_machine_stays_as_it_was(own_lab: Lab, release: str) -> None:
    (pause,) = [name for name in wanted() if "/pause:" in name]
    image, path = busybox()
    before = machine_state()
    host = own_lab.start("node", address="192.168.4.97", mac="02:00:c0:a8:04:61", image=release, kubernetes=True)
    container = own_lab.podman.run("inspect", "-f", "{{.Id}}", host.container)
    namespace = Path(f"/run/netns/{own_lab.namespace}").stat().st_ino
    install(host, image, [archive(pause), path], pause)
    own_lab.wait_for(lambda: pod_works(host), "the pod", 60)
    assert {name: host.read(f"/proc/sys/{name}").strip() for name in WRITTEN} == WRITTEN
    assert machine_state() == before

    host.stop()
    assert machine_state() == before
    host.boot()
    own_lab.wait_for(lambda: pod_works(host), "the pod after a sleep", 60)
    assert machine_state() == before
    assert traces(own_lab.name, [container], namespace)

    # with everything still running
    own_lab.remove(host)
    assert [trace for trace in traces(own_lab.name, [container], namespace) if trace.split()[0] in ("container", "volume", "cgroup")] == []
    own_lab.down()
    assert traces(own_lab.name, [container], namespace) == []
    assert machine_state() == before


@pytest.mark.parametrize("name", ["vm/swappiness", "kernel/pid_max", "fs/inotify/max_user_instances", "user/max_net_namespaces"])
def test_what_belongs_to_the_machine_cannot_be_changed(lab: Lab, name: str) -> None:
    host = lab.start("shielded", address="192.168.4.99", mac="02:00:c0:a8:04:63", kubernetes=True)
    path = Path("/proc/sys", name)
    value = path.read_text()
    assert "Read-only" in host.run(["sh", "-c", f"echo {value.strip()} > {path}"], check=False).stderr
    assert path.read_text() == value


def test_a_volume_without_its_host_goes_with_the_lab(own_lab: Lab) -> None:
    """A kill between making the volume and making the host leaves it."""
    own_lab.podman.run("volume", "create", "--label", f"vmstation.lab={own_lab.name}", own_lab.volume("never"))
    own_lab.down()
    assert not own_lab.podman.succeeds("volume", "exists", own_lab.volume("never"))


def test_a_host_made_anew_has_nothing_of_the_old_one(lab: Lab) -> None:
    spec = {"address": "192.168.4.100", "mac": "02:00:c0:a8:04:64", "kubernetes": True}
    host = lab.start("anew", **spec)
    host.write("/var/lib/kubelet/config.yaml", "old")
    host.stop()
    host.boot()
    assert host.read("/var/lib/kubelet/config.yaml") == "old"
    lab.remove(host)
    host = lab.start("anew", **spec)
    assert host.run(["test", "-e", "/var/lib/kubelet/config.yaml"], check=False).returncode == 1
    # and it has what Debian's packages have put there
    assert "containerd" in host.run(["apt-cache", "madison", "containerd"]).stdout
    lab.remove(host)
