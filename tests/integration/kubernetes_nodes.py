# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts with containerd, kubelet and kubeadm, and a control plane by plain kubeadm: what the roles before `worker` bring."""

from __future__ import annotations

import json

from tests.cluster.build import binary
from tests.cluster.images import archive, wanted
from tests.lab import Host

PROGRAMS = ("kubeadm", "kubelet", "kubectl")
CONTAINERD = """
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = true
"""
PRESENCE = r"""
iptables-save 2>/dev/null | grep -cE 'KUBE-|cali' ; ip6tables-save 2>/dev/null | grep -c KUBE- ; ctr -n k8s.io containers list -q | wc -l
ip -br link | grep -cE 'cali|vxlan' ; ip route show table all | grep -c '10.244.' ; ipset list -n | grep -c cali
findmnt -rn | grep -cE '/var/lib/kubelet|/run/calico' ; pgrep -c kubelet ; ls -d /run/netns/cni-* 2>/dev/null | wc -l
ls -d /etc/kubernetes /var/lib/kubelet /var/lib/etcd /var/lib/calico /run/calico /etc/cni/net.d/10-calico.conflist 2>/dev/null | wc -l
systemctl list-units --no-legend 'kubepods*' | wc -l
"""
UNIT = """
[Unit]
After=containerd.service
Wants=containerd.service
StartLimitIntervalSec=0
[Service]
Environment="BOOTSTRAP=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf"
Environment="CONFIGURATION=--kubeconfig=/etc/kubernetes/kubelet.conf --config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
ExecStart=/usr/bin/kubelet $BOOTSTRAP $CONFIGURATION $KUBELET_KUBEADM_ARGS
Restart=always
RestartSec=2
[Install]
WantedBy=multi-user.target
"""
KUBEADM = {
    "InitConfiguration": {
        "bootstrapTokens": [{"ttl": "1s"}],
        "nodeRegistration": {
            "criSocket": "unix:///run/containerd/containerd.sock",
            "imagePullPolicy": "IfNotPresent",
            "ignorePreflightErrors": ["SystemVerification"],
        },
        "skipPhases": ["addon/coredns", "show-join-command"],
    },
    "ClusterConfiguration": {
        "kubernetesVersion": "v1.36.4",
        "networking": {"podSubnet": "10.244.0.0/16", "serviceSubnet": "10.96.0.0/12", "dnsDomain": "cluster.local"},
    },
}
KUBELET = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "cgroupDriver": "systemd",
    "failCgroupV1": False,
    "failSwapOn": False,
}
KUBE_PROXY = {
    "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
    "kind": "KubeProxyConfiguration",
    "mode": "iptables",
    "clusterCIDR": "10.244.0.0/16",
    "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
}


def prepare(host: Host, *, images: tuple[str, ...]) -> None:
    """containerd, the programs of Kubernetes, the images whose names contain one of ``images``, and a pod network of this host alone."""
    packages = ["containerd", "runc", "containernetworking-plugins", "iptables", "socat", "ebtables", "ipset"]
    host.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages], timeout=180)
    (pause,) = [name for name in wanted() if "/pause:" in name]
    host.write("/etc/containerd/config.toml", CONTAINERD.format(pause=pause))
    host.write("/etc/systemd/system/kubelet.service", UNIT)
    for program in PROGRAMS:
        host.bring(binary(program), f"/usr/bin/{program}", 0o755)
    network(host)
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "enable", "-q", "kubelet"])
    host.run(["systemctl", "restart", "containerd"])
    host.run(["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"])
    for name in wanted():
        if any(part in name for part in images):
            host.bring(archive(name), "/var/tmp/image.tar")
            host.run(["ctr", "-n", "k8s.io", "images", "import", "/var/tmp/image.tar"], timeout=180)


def network(host: Host) -> None:
    """Pods of this host reach each other; under the name that Calico's configuration has."""
    last = host.address.rpartition(".")[2]
    plugin = {"type": "ptp", "ipam": {"type": "host-local", "subnet": f"10.244.{last}.0/24"}}
    host.write("/etc/cni/net.d/10-calico.conflist", json.dumps({"cniVersion": "0.4.0", "name": "k8s-pod-network", "plugins": [plugin]}))


def init(host: Host) -> None:
    """`kubeadm init`."""
    documents = [{"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": kind, **content} for kind, content in KUBEADM.items()]
    init_, cluster = documents
    init_ |= {"localAPIEndpoint": {"advertiseAddress": host.address, "bindPort": 6443}}
    registration = {**init_["nodeRegistration"], "name": host.name, "kubeletExtraArgs": [{"name": "node-ip", "value": host.address}]}
    init_["nodeRegistration"] = registration
    cluster |= {"controlPlaneEndpoint": f"{host.address}:6443"}
    host.write("/root/kubeadm.json", "\n---\n".join(map(json.dumps, [init_, cluster, KUBELET, KUBE_PROXY])))
    host.run(["kubeadm", "init", "--config", "/root/kubeadm.json"], timeout=300)


def kubectl(host: Host, *arguments: str, check: bool = True) -> str:
    """kubectl on the control plane."""
    return host.run(["kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", *arguments], check=check).stdout


def leftovers(host: Host) -> list[int]:
    """How much there is of a cluster on a host, a number for each kind of thing; all zero on one that has never had any."""
    return [int(number) for number in host.run(["sh", "-c", PRESENCE], check=False).stdout.split()]
