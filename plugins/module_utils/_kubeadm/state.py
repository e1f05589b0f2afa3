# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands of a node on a host: nothing, an interrupted attempt of ours, a node of ours, or what somebody else left."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._io.host_state import HostFiles
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.mark import MARKER, Mark, Role, read_mark

Situation = Literal["absent", "interrupted", "complete", "foreign"]

KUBERNETES = "/etc/kubernetes"
PKI = f"{KUBERNETES}/pki"
MANIFESTS = f"{KUBERNETES}/manifests"
ETCD_DATA = "/var/lib/etcd"
CA = f"{PKI}/ca.crt"
ADMIN_CONF = f"{KUBERNETES}/admin.conf"
KUBELET_CONF = f"{KUBERNETES}/kubelet.conf"
# there while a restore puts another state in the place of what was
RESTORING = f"{KUBERNETES}/vmstation-restore.json"
KUBECONFIGS = ("admin", "super-admin", "kubelet", "bootstrap-kubelet", "controller-manager", "scheduler")
# an authority and the key of service accounts may be prepared by an owner before init; leaves are kubeadm's
AUTHORITIES = ("ca", "front-proxy-ca", "etcd/ca")
LEAVES = (
    "apiserver",
    "apiserver-kubelet-client",
    "apiserver-etcd-client",
    "front-proxy-client",
    "etcd/server",
    "etcd/peer",
    "etcd/healthcheck-client",
)
COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
KUBELET_FILES = ("/var/lib/kubelet/config.yaml", "/var/lib/kubelet/kubeadm-flags.env")


@dataclass(frozen=True)
class NodeFiles:
    """kubeadm's files on a host. evidence: those that only an init or a join makes, in a fixed order. ca: digest of the authority."""

    evidence: tuple[str, ...]
    ca: str = ""
    mark: Optional[Mark] = None

    def situation(self, cluster: str, role: Role) -> Situation:
        """What stands, on a host that is to have this role in this cluster."""
        # an owner may prepare an authority for a control plane; a worker gets it by joining
        if not self.evidence and not (role == "worker" and self.ca):
            return "absent"
        if self.mark is None or (self.mark.cluster, self.mark.role) != (cluster, role):
            return "foreign"
        if not self.mark.installed:
            return "interrupted"
        # without its authority a node of ours is damaged, not another's
        return "complete" if self.ca in ("", self.mark.ca) else "foreign"


def read_node_files(files: HostFiles) -> NodeFiles:
    """Looks at the files of this host."""
    return NodeFiles(
        evidence=tuple(path for path in _evidence(files) if files.exists(path)),
        ca=digest(files.read(CA)),
        mark=read_mark(files.read(MARKER)),
    )


def digest(text: Optional[str]) -> str:
    """A fingerprint of a file's text; empty if there is no file."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest() if text else ""


def _evidence(files: HostFiles) -> tuple[str, ...]:
    return (
        *(f"{KUBERNETES}/{name}.conf" for name in KUBECONFIGS),
        *(f"{PKI}/{name}.{kind}" for name in LEAVES for kind in ("crt", "key")),
        *(f"{MANIFESTS}/{name}" for name in files.entries(MANIFESTS)),
        *(f"{ETCD_DATA}/{name}" for name in files.entries(ETCD_DATA)),
    )
