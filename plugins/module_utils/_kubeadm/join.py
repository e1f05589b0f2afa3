# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands of a worker's membership, and what makes it a member."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.configuration import KUBEADM_API, node_registration
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.join_discovery import Token
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.join_identity import Kubeconfig, public_key_hashes
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

Action = Literal["none", "enable", "start", "restart", "join", "rejoin"]
Registration = Literal["registered", "missing", "rejected", "unknown"]

RESET = "Reset it first: playbooks/reset.yml, limited to it."


@dataclass(frozen=True)
class Cluster:
    """The cluster to belong to. endpoint: host and port of its API server. ca_cert_hashes: pins of its authority; empty: not known yet."""

    name: str
    endpoint: str
    ca_cert_hashes: Sequence[str]

    def has_authority(self, pem: str) -> bool:
        return bool(set(public_key_hashes(pem)) & set(self.ca_cert_hashes))


@dataclass(frozen=True)
class Standing:
    """A worker as it was found.

    mark: the cluster that our mark names. kubelet_conf, bootstrap_conf: the kubelet's kubeconfigs. authority: pki/ca.crt.
    has_kubelet_config: /var/lib/kubelet/config.yaml. is_control_plane: an API server's static pod.
    registration: what the API server says to the kubelet's own credentials. is_serving: whether the kubelet calls itself healthy.
    """

    mark: Optional[str] = None
    kubelet_conf: Optional[Kubeconfig] = None
    bootstrap_conf: Optional[Kubeconfig] = None
    authority: Optional[str] = None
    has_kubelet_config: bool = False
    is_control_plane: bool = False
    is_active: bool = False
    is_enabled: bool = False
    is_serving: bool = False
    registration: Registration = "unknown"


@dataclass(frozen=True)
class Step:
    """What is to be done, and why, in words that follow the node's name."""

    action: Action
    reason: str

    @property
    def needs_token(self) -> bool:
        return self.action in ("join", "rejoin")


@dataclass(frozen=True)
class Node:
    """How the worker registers itself."""

    name: str
    addresses: Sequence[str]
    cri_socket: str
    ignore_preflight_errors: Sequence[str] = ()
    kubelet_extra_args: Mapping[str, str] = field(default_factory=dict)


def plan_membership(standing: Standing, cluster: Cluster, name: str) -> Step:
    """What makes the host a member. Refuses a host that is another cluster's, or this cluster's control plane."""
    if standing.is_control_plane:
        raise Refusal(
            f"host {name}",
            "a control plane: /etc/kubernetes/manifests/kube-apiserver.yaml is there",
            f"a worker of {cluster.name}",
            f"Take it out of the group of workers. {RESET}",
        )
    conf = standing.kubelet_conf or standing.bootstrap_conf
    authority = conf.authority if conf else standing.authority
    if authority is not None and cluster.ca_cert_hashes and not cluster.has_authority(authority):
        return _of_another_authority(standing, conf, cluster, name)
    if standing.kubelet_conf is None:
        return _without_membership(standing)
    found = standing.kubelet_conf
    troubles: tuple[tuple[bool, Action, str], ...] = (
        (
            bool(cluster.endpoint) and found.endpoint != cluster.endpoint,
            "rejoin",
            f"reached the cluster at {found.server}, where it is no more",
        ),
        (not standing.has_kubelet_config, "rejoin", "had lost /var/lib/kubelet/config.yaml"),
        (standing.registration == "rejected", "rejoin", "had credentials that the API server rejects, as after a year of sleep"),
        (not standing.is_active, "start", "had a stopped kubelet"),
        (standing.registration == "missing", "restart", "had no Node object any more: a kubelet registers when it starts"),
        (not standing.is_serving, "restart", "had a kubelet that ran and was not healthy"),
        (not standing.is_enabled, "enable", "had a kubelet that does not start at boot"),
    )
    return next((Step(action, reason) for holds, action, reason in troubles if holds), Step("none", "is a member"))


def _of_another_authority(standing: Standing, conf: Optional[Kubeconfig], cluster: Cluster, name: str) -> Step:
    if standing.mark == cluster.name or (conf is not None and conf.endpoint == cluster.endpoint):
        return Step("rejoin", f"was a member of an earlier cluster at https://{cluster.endpoint}, which has another authority now")
    other = " ".join([standing.mark or "of unknown name", *([f"at {conf.server or 'an unknown address'}"] if conf else [])])
    raise Refusal(
        f"host {name}",
        f"a member of another cluster: {other}",
        f"no membership, or one of {cluster.name} at https://{cluster.endpoint}",
        RESET,
    )


def _without_membership(standing: Standing) -> Step:
    if standing.bootstrap_conf is not None or standing.authority is not None:
        return Step("rejoin", "had been left in the middle of a join")
    if standing.has_kubelet_config:
        return Step("rejoin", "had a kubelet's configuration and no membership")
    return Step("join", "had been reset" if standing.mark else "was no member")


def join_configuration(node: Node, cluster: Cluster, token: Token, timeout: float) -> str:
    """JoinConfiguration as JSON, which kubeadm reads as YAML. It holds the token."""
    seconds = max(20, int(timeout / 3))
    registration = node_registration(node.name, node.addresses, node.cri_socket, node.ignore_preflight_errors)
    registration["kubeletExtraArgs"] = [
        *registration["kubeletExtraArgs"],
        *({"name": key, "value": value} for key, value in sorted(node.kubelet_extra_args.items())),
    ]
    document: dict[str, Any] = {
        "apiVersion": KUBEADM_API,
        "kind": "JoinConfiguration",
        "discovery": {
            "bootstrapToken": {
                "token": token.text,
                "apiServerEndpoint": cluster.endpoint,
                "caCertHashes": list(cluster.ca_cert_hashes),
            }
        },
        "nodeRegistration": registration,
        "timeouts": dict.fromkeys(("discovery", "kubeletHealthCheck", "tlsBootstrap", "kubernetesAPICall"), f"{seconds}s"),
    }
    return json.dumps(document, indent=2)


def refuse_namesake(found: Optional[Mapping[str, Any]], node: Node, cluster: Cluster) -> None:
    """Refuses a name under which another host is registered: the control plane, or a Node with other addresses than this host's."""
    if found is None:
        return
    labels = (found.get("metadata") or {}).get("labels") or {}
    addresses = [entry.get("address") for entry in (found.get("status") or {}).get("addresses") or () if entry.get("type") == "InternalIP"]
    taken = "node-role.kubernetes.io/control-plane" in labels or (addresses and not set(addresses) & set(node.addresses))
    if taken:
        raise Refusal(
            f"Node {node.name} of {cluster.name}",
            f"another host, at {', '.join(map(str, addresses)) or 'no address'}",
            f"no Node of this name, or one at {', '.join(node.addresses)}",
            f"Give one of the two hosts another name, or remove the Node if its host is gone: `kubectl delete node {node.name}`.",
        )


def is_ready(found: Optional[Mapping[str, Any]]) -> bool:
    """Whether the Node's condition Ready holds. kubeadm joins no host whose Node does."""
    conditions = ((found or {}).get("status") or {}).get("conditions") or ()
    return any(condition.get("type") == "Ready" and condition.get("status") == "True" for condition in conditions)


def join_failure(output: str, token: Token, cluster: Cluster) -> Refusal:
    """Why `kubeadm join` failed, from what it printed. The token does not appear in it."""
    text = output.replace(token.text, "[token]").replace(token.secret, "[secret]")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for said, required, next_step in KNOWN_FAILURES:
        line = next((line for line in lines if said in line and not line.startswith("[WARNING")), None)
        if line is not None:
            return Refusal(f"join of {cluster.name} at https://{cluster.endpoint}", line, required, next_step)
    told = [line for line in lines if line.startswith("[ERROR")] or [line for line in lines if line.startswith("error:")] or lines[-5:]
    return Refusal(
        f"join of {cluster.name} at https://{cluster.endpoint}",
        " | ".join(told) or "no output of kubeadm",
        "an end without errors",
        "Correct what kubeadm names, then run again. `journalctl -u kubelet` on the host has the kubelet's side.",
    )


KNOWN_FAILURES = (
    (
        "[ERROR CRI]",
        "a container runtime that serves the CRI",
        "See `systemctl status containerd` and `journalctl -u containerd` on the host for why its CRI plugin was not loaded.",
    ),
    (
        "Unauthorized",
        "a token that has not expired",
        "Run again: the role makes a new token for each run. A clock that is wrong on either host makes tokens expire early.",
    ),
    (
        "x509: certificate has expired or is not yet valid",
        "clocks that agree, and certificates that are valid now",
        "Compare the clocks of this host and the control plane (`timedatectl`), and see `kubeadm certs check-expiration` there.",
    ),
    (
        "failed while waiting for the kubelet to start",
        "a kubelet that becomes healthy",
        "See `journalctl -u kubelet` on the host; on a host with control groups of version 1 the cluster's KubeletConfiguration must say "
        "failCgroupV1: false.",
    ),
    (
        "failed while waiting for TLS bootstrap",
        "a client certificate for the kubelet",
        "See `kubectl get certificatesigningrequests` and `journalctl -u kubelet` on the host.",
    ),
    (
        "couldn't validate the identity of the API Server",
        "an API server whose authority is pinned, and a token that it knows",
        "Run again: the role makes a new token for each run.",
    ),
)
"""What kubeadm prints, what is required, and the next step."""
