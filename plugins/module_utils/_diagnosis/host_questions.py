# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a host. Nothing of it changes the host, and none of these files is there to hold a secret."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.model import KIB, MIB, Keep

NIC = "{nic}"


@dataclass(frozen=True)
class Question:
    """name: of the file in the archive. argv: a program, once for each network card if NIC is in it. path: a file.

    accept: exit statuses that are an answer. room: bytes that are kept, at the end that ``keep`` names. needs: a file without which there
    is nothing to ask for.
    """

    name: str
    argv: tuple[str, ...] = ()
    path: str = ""
    room: int = 256 * KIB
    keep: Keep = "head"
    accept: tuple[int, ...] = (0,)
    seconds: float = 15.0
    needs: str = ""


@dataclass(frozen=True)
class Files:
    """The files that a pattern matches, in the directory ``name`` of the archive, the newest ``most`` of them.

    below: what their paths begin with, which is left out of their names.
    """

    name: str
    pattern: str
    below: str
    most: int = 20
    room: int = 64 * KIB
    keep: Keep = "head"


def _run(name: str, line: str, **more: object) -> Question:
    return Question(name, tuple(line.split()), **more)  # type: ignore[arg-type]


def _journal(name: str, line: str, room: int = 512 * KIB) -> Question:
    argv = f"journalctl --quiet --no-pager --output=short-iso {line}"
    return Question(name, tuple(argv.split()), room=room, keep="tail", seconds=30.0)


# a unit that does not run, or does not exist, is an answer
_UNIT = (0, 1, 2, 3, 4)
_STATUS = "systemctl --no-pager --full --lines=20 status"
_KUBELET_CERTIFICATE = "/var/lib/kubelet/pki/kubelet-client-current.pem"
_SYSCTLS = (
    r"^(net\.ipv[46]\.(ip_forward|conf\.[^.]+\.(forwarding|rp_filter|arp_ignore|disable_ipv6|accept_ra|proxy_arp))|net\.bridge\."
    r"|net\.(netfilter\.)?nf_conntrack_(max|count|buckets)|vm\.(overcommit_memory|panic_on_oom|swappiness|max_map_count)"
    r"|kernel\.(panic|panic_on_oops|pid_max|keys\..*)|fs\.(inotify\..*|file-(max|nr)))"
)

QUESTIONS = (
    # the system
    Question("system/os-release.txt", path="/etc/os-release"),
    _run("system/uname.txt", "uname -a"),
    _run("system/uptime.txt", "uptime"),
    _run("system/time.txt", "timedatectl"),
    _run("system/chrony.txt", "chronyc -n tracking", seconds=5.0),
    _run("system/memory.txt", "free -m"),
    _run("system/processes.txt", "ps -eo pid,ppid,user,stat,etimes,pcpu,rss,comm --sort=-rss"),  # no arguments: others' secrets are there
    Question("system/pressure-cpu.txt", path="/proc/pressure/cpu"),
    Question("system/pressure-io.txt", path="/proc/pressure/io"),
    Question("system/pressure-memory.txt", path="/proc/pressure/memory"),
    Question("system/swaps.txt", path="/proc/swaps"),
    _run("system/modules.txt", "lsmod"),
    Question("system/sysctl.txt", ("sysctl", "--all", "--pattern", _SYSCTLS)),
    _run("system/failed-units.txt", "systemctl --no-pager --full list-units --failed"),
    _run("system/boots.txt", "journalctl --no-pager --list-boots", keep="tail", room=16 * KIB),
    _journal("system/kernel.log", "--dmesg --boot --priority=warning --lines=1000", 128 * KIB),
    _journal("system/errors.log", "--boot --priority=err --lines=1000", 128 * KIB),
    # a mount of a server that is gone would be waited for: of these only the names
    _run("storage/free.txt", "df --human-readable --print-type --local"),
    _run("storage/inodes.txt", "df --inodes --local"),
    _run("storage/mounts.txt", "findmnt --noheadings --list --output=TARGET,SOURCE,FSTYPE,OPTIONS"),
    _run("storage/blocks.txt", "lsblk --output=NAME,TYPE,SIZE,FSTYPE,MOUNTPOINT"),
    # the network
    _run("network/addresses.txt", "ip -details address show"),
    _run("network/links.txt", "ip -details -statistics link show"),
    _run("network/routes.txt", "ip -details route show table all"),
    _run("network/routes-ipv6.txt", "ip -6 -details route show table all"),
    _run("network/rules.txt", "ip -details rule show"),
    _run("network/rules-ipv6.txt", "ip -6 -details rule show"),
    _run("network/neighbours.txt", "ip -statistics neighbour show"),
    _run("network/bridges.txt", "bridge -details link show"),
    _run("network/forwarding-vxlan.txt", "bridge fdb show"),
    _run("network/sockets.txt", "ss --listening --numeric --tcp --udp --processes"),
    _run("network/connections.txt", "ss --summary"),
    _run("network/ethtool-{nic}.txt", "ethtool {nic}"),
    _run("network/ethtool-features-{nic}.txt", "ethtool --show-features {nic}"),
    Question("network/hosts.txt", path="/etc/hosts"),
    Question("network/resolv.conf", path="/etc/resolv.conf"),
    Question("network/resolv-of-systemd.conf", path="/run/systemd/resolve/resolv.conf"),
    Question("network/nsswitch.conf", path="/etc/nsswitch.conf"),
    _run("network/conntrack.txt", "conntrack --stats", needs="/proc/net/stat/nf_conntrack"),
    # the firewall
    _run("firewall/nft.txt", "nft list ruleset", room=MIB, seconds=30.0),
    _run("firewall/iptables.txt", "iptables-save --counters", room=MIB, seconds=30.0),
    _run("firewall/ip6tables.txt", "ip6tables-save --counters", room=MIB, seconds=30.0),
    _run("firewall/iptables-legacy.txt", "iptables-legacy-save --counters", room=MIB, seconds=30.0),
    _run("firewall/ip6tables-legacy.txt", "ip6tables-legacy-save --counters", room=MIB, seconds=30.0),
    _run("firewall/ipset.txt", "ipset list"),
    _run("firewall/ufw.txt", "ufw status verbose", seconds=30.0),
    _run("firewall/firewalld-state.txt", "firewall-cmd --state", accept=(0, 252)),
    _run("firewall/firewalld-zones.txt", "firewall-cmd --list-all-zones", accept=(0, 252), seconds=30.0),
    _run("firewall/firewalld-active-zones.txt", "firewall-cmd --get-active-zones", accept=(0, 252)),
    _run("firewall/firewalld-policies.txt", "firewall-cmd --list-all-policies", accept=(0, 252), seconds=30.0),
    _run("firewall/units.txt", f"{_STATUS} ufw nftables firewalld iptables netfilter-persistent", accept=_UNIT),
    # Kubernetes
    _run("kubernetes/kubelet-status.txt", f"{_STATUS} kubelet", accept=_UNIT),
    _run("kubernetes/kubelet-unit.txt", "systemctl --no-pager cat kubelet", accept=(0, 1)),
    _journal("kubernetes/kubelet.log", "--unit=kubelet --lines=3000"),
    Question("kubernetes/kubelet-config.yaml", path="/var/lib/kubelet/config.yaml"),
    Question("kubernetes/kubeadm-flags.env", path="/var/lib/kubelet/kubeadm-flags.env"),
    _run("kubernetes/versions-kubelet.txt", "kubelet --version"),
    _run("kubernetes/versions-kubeadm.txt", "kubeadm version"),
    # it asks the API server for its configuration first, and does without when there is no answer
    _run("kubernetes/certificates.txt", "kubeadm certs check-expiration", seconds=45.0, needs="/etc/kubernetes/pki/apiserver.crt"),
    _run(
        "kubernetes/kubelet-certificate.txt",
        f"openssl x509 -noout -subject -issuer -dates -in {_KUBELET_CERTIFICATE}",
        needs=_KUBELET_CERTIFICATE,
    ),
    _run("kubernetes/directories.txt", "ls -lanR /etc/kubernetes /var/lib/etcd /etc/cni /opt/cni/bin /usr/lib/cni", accept=(0, 2)),
    # containers
    _run("containers/containerd-status.txt", f"{_STATUS} containerd", accept=_UNIT),
    _journal("containers/containerd.log", "--unit=containerd --lines=2000"),
    Question("containers/containerd-config.toml", path="/etc/containerd/config.toml"),
    Question("containers/crictl.yaml", path="/etc/crictl.yaml"),
    _run("containers/containerd-version.txt", "containerd --version"),
    _run("containers/runc-version.txt", "runc --version"),
    _run("containers/crictl-pods.txt", "crictl pods"),
    _run("containers/crictl-containers.txt", "crictl ps --all"),
    _run("containers/crictl-images.txt", "crictl images"),
    _run("containers/crictl-info.json", "crictl info"),
    _run("containers/ctr-containers.txt", "ctr --connect-timeout=5s --namespace=k8s.io containers list"),
    _run("containers/ctr-tasks.txt", "ctr --connect-timeout=5s --namespace=k8s.io tasks list"),
    _run("containers/ctr-images.txt", "ctr --connect-timeout=5s --namespace=k8s.io images list --quiet"),
)  # fmt: skip

FILES = (
    Files("kubernetes/manifests", "/etc/kubernetes/manifests/*", "/etc/kubernetes/manifests/"),
    Files("kubernetes/kubelet.service.d", "/etc/systemd/system/kubelet.service.d/*.conf", "/etc/systemd/system/kubelet.service.d/"),
    Files("kubernetes/kubelet.conf.d", "/usr/lib/vmstation-kubelet.conf.d/*.conf", "/usr/lib/vmstation-kubelet.conf.d/"),
    # the kubeconfigs of Calico and Multus in there have tokens, and are called otherwise
    Files("kubernetes/cni", "/etc/cni/net.d/*.conf*", "/etc/cni/net.d/"),
    Files("system/sysctl.d", "/etc/sysctl.d/*.conf", "/etc/sysctl.d/"),
    Files("system/modules-load.d", "/etc/modules-load.d/*.conf", "/etc/modules-load.d/"),
    # the wake-up of network cards
    Files("network/systemd", "/etc/systemd/network/*.link", "/etc/systemd/network/"),
    Files("firewall/ufw", "/etc/ufw/*.rules", "/etc/ufw/"),
    Files("firewall/nftables", "/etc/nftables.conf", "/etc/"),
    # with the API server dead nobody else has them
    Files("logs", "/var/log/pods/kube-system_*/*/*.log", "/var/log/pods/", most=40, room=128 * KIB, keep="tail"),
    Files("logs", "/var/log/pods/calico-system_*/*/*.log", "/var/log/pods/", room=128 * KIB, keep="tail"),
    Files("logs", "/var/log/pods/tigera-operator_*/*/*.log", "/var/log/pods/", room=128 * KIB, keep="tail"),
)

# cards that are made for pods, bridges and tunnels say nothing of the wire
NO_CARDS = (
    "lo",
    "cali",
    "veth",
    "tunl",
    "vxlan",
    "wireguard",
    "docker",
    "cni",
    "flannel",
    "br-",
    "virbr",
    "kube-",
    "nodelocaldns",
    "dummy",
)
MOST_CARDS = 8
