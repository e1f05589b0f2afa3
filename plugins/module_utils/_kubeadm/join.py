# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker's membership: the cluster of its files, what the API server offers, and the next step; and bootstrap tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Optional

from .._conditions import is_true
from .._host.commands import Commands, Completed
from .._host.files import HostFiles
from .._refusal import Refusal
from .._versions import OLDEST_KUBELET, minor_in
from .._waiting import Clock
from .._x509 import certificates_in, public_key
from .configuration import KUBEADM_API, node_registration

# Identify a cluster by files on a host: the server of a kubeconfig, and the CA by its public key

KUBELET_CONF = "/etc/kubernetes/kubelet.conf"
BOOTSTRAP_CONF = "/etc/kubernetes/bootstrap-kubelet.conf"
CA_CERTIFICATE = "/etc/kubernetes/pki/ca.crt"

_FIELD = re.compile(r"^[\s-]*(server|certificate-authority-data|client-certificate|client-key):[ \t]+['\"]?([^\s'\"]+)['\"]?[ \t]*$", re.M)


@dataclass(frozen=True)
class Kubeconfig:
    """The fields of a kubeconfig that identify a cluster.

    authority: the CA's certificates as PEM. client_certificate, client_key: paths. Empty: not set.
    """

    server: str
    authority: str = ""
    client_certificate: str = ""
    client_key: str = ""

    @property
    def endpoint(self) -> str:
        """Return host and port, as kubeadm takes them."""
        return self.server.partition("://")[2].rstrip("/")


def read_kubeconfig(text: Optional[str]) -> Optional[Kubeconfig]:
    """Read a kubeconfig as kubeadm and kubelet write it: one cluster and one user in block style; None if there is no file.

    Managed hosts have no YAML reader. A field that cannot be read is empty, so that it matches no cluster.
    """
    if text is None:
        return None
    fields = dict(reversed([(match[1], match[2]) for match in _FIELD.finditer(text)]))
    try:
        authority = base64.b64decode(fields.get("certificate-authority-data", ""), validate=True).decode("ascii")
    except ValueError:  # of base64, or for a character that is not ASCII
        authority = ""
    return Kubeconfig(
        fields.get("server", ""),
        authority,
        fields.get("client-certificate", ""),
        fields.get("client-key", fields.get("client-certificate", "")),
    )


def public_key_hashes(pem: str) -> tuple[str, ...]:
    """Return ``sha256:`` and the digest of each certificate's public key, as kubeadm pins them. Empty without certificates."""
    try:
        return tuple(f"sha256:{hashlib.sha256(public_key(der)).hexdigest()}" for der in certificates_in(pem))
    except ValueError:
        raise Refusal(
            "certificate of the cluster's CA",
            "text that is not a certificate",
            "an X.509 certificate in PEM form",
            "See `openssl x509 -noout -text -in /etc/kubernetes/pki/ca.crt` on the control plane.",
        ) from None


# What the API server offers a host with a token that has not joined, and reasons to reject the join
#
# kubeadm's discovery (``cmd/kubeadm/app/discovery/token`` of 1.36) reads the ConfigMap kube-public/cluster-info, which a controller signs
# with every valid token, and waits minutes for a missing signature. The version skew policy is that since Kubernetes 1.28.

CLUSTER_INFO = "/api/v1/namespaces/kube-public/configmaps/cluster-info"

_TOKEN = re.compile(r"[a-z0-9]{6}\.[a-z0-9]{16}")


@dataclass(frozen=True)
class Token:
    """A bootstrap token. Its repr does not contain the secret."""

    name: str
    secret: str

    @property
    def text(self) -> str:
        return f"{self.name}.{self.secret}"

    def __repr__(self) -> str:
        return f"Token({self.name})"


def read_token(text: str) -> Token:
    if not _TOKEN.fullmatch(text):
        raise Refusal(
            "token",
            "text that is not a token",
            "6 characters, a dot and 16 characters out of a-z and 0-9",
            "Pass `token` of what vmstation.cluster.kubeadm_join_token returned.",
        )
    name, _dot, secret = text.partition(".")
    return Token(name, secret)


@dataclass(frozen=True)
class ClusterInfo:
    """The ConfigMap cluster-info. signatures: by token ID, the public half of a token."""

    kubeconfig: str
    signatures: Mapping[str, str]

    @property
    def authority(self) -> str:
        found = read_kubeconfig(self.kubeconfig)
        return found.authority if found else ""


def read_cluster_info(body: Mapping[str, Any]) -> Optional[ClusterInfo]:
    """Read the ConfigMap from an API answer; None if it has no content."""
    data = body.get("data")
    if not isinstance(data, Mapping) or not isinstance(data.get("kubeconfig"), str):
        return None
    prefix = "jws-kubeconfig-"
    return ClusterInfo(data["kubeconfig"], {key[len(prefix) :]: str(data[key]) for key in data if key.startswith(prefix)})


def refuse_other_authority(info: ClusterInfo, endpoint: str, ca_cert_hashes: Sequence[str]) -> None:
    """Reject an API server whose CA is not the pinned one."""
    found = public_key_hashes(info.authority)
    if not set(found) & set(ca_cert_hashes):
        raise Refusal(
            f"CA of the API server https://{endpoint}",
            ", ".join(found) or "none",
            f"one of {', '.join(ca_cert_hashes)}",
            "Another cluster answers at that address, or ca_cert_hashes belongs to another one. Find the host with that address, then take "
            "ca_cert_hashes from vmstation.cluster.kubeadm_join_token on this cluster's control plane.",
        )


def refuse_bad_token(info: Optional[ClusterInfo], token: Token, endpoint: str, waited: float) -> None:
    """Reject a token that is unknown or expired, and one with a wrong secret."""
    signature = info.signatures.get(token.name) if info else None
    if info is None or not signature:
        raise Refusal(
            f"token {token.name}",
            f"no signature for it at https://{endpoint} for {waited:g} s: it has expired, was removed, or is another cluster's",
            "a token that the cluster knows",
            "Run again: the role makes a new one for each run (vmstation.cluster.kubeadm_join_token).",
        )
    header, _payload, digest = [*signature.split("."), "", ""][:3]
    signed = f"{header}.{_unpadded(info.kubeconfig.encode())}".encode()
    if not hmac.compare_digest(_unpadded(hmac.new(token.secret.encode(), signed, hashlib.sha256).digest()), digest):
        raise Refusal(
            f"token {token.name}",
            f"a secret other than the one that https://{endpoint} signs with",
            "the complete token",
            "Pass `token` of what vmstation.cluster.kubeadm_join_token returned.",
        )


def refuse_version_skew(api_server: str, kubelet: str, kubeadm: str, name: str) -> None:
    """Reject a kubelet that the API server does not support, and a kubeadm of another minor version."""
    server, own = _minor(api_server, "API server"), _minor(kubelet, "kubelet")
    install = f"Install the kubelet and kubeadm of {api_server} on {name}"
    if own[0] != server[0] or not server[1] - OLDEST_KUBELET <= own[1] <= server[1]:
        raise Refusal(
            f"kubelet of {name}",
            kubelet,
            f"a kubelet that is not newer than the API server ({api_server}) and at most {OLDEST_KUBELET} minor versions older",
            f"{install}" + (", or upgrade the control plane first." if own > server else "."),
        )
    if _minor(kubeadm, "kubeadm") != server:
        raise Refusal(
            f"kubeadm of {name}", kubeadm, f"kubeadm of the minor version of the API server ({api_server}), to join", f"{install}."
        )


def _minor(version: str, what: str) -> tuple[int, int]:
    found = minor_in(version)
    if found is None:
        raise Refusal(f"version of {what}", repr(version), "a version such as v1.36.4", f"See what {what} prints as its version.")
    return found


def _unpadded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


# Membership: the state of a worker, and the step that makes it a member

Action = Literal["none", "enable", "start", "restart", "reconfigure", "join", "rejoin"]
Registration = Literal["registered", "missing", "rejected", "unknown"]

RESET = "Reset it first: playbooks/reset.yml, limited to it."


@dataclass(frozen=True)
class Cluster:
    """The cluster to join. endpoint: host and port of its API server.

    ca_cert_hashes: pins of its CA; empty: not known yet.
    """

    name: str
    endpoint: str
    ca_cert_hashes: Sequence[str]

    def has_authority(self, pem: str) -> bool:
        return bool(set(public_key_hashes(pem)) & set(self.ca_cert_hashes))


@dataclass(frozen=True)
class Standing:
    """The current state of a worker.

    mark: the cluster that our marker file names. kubelet_conf, bootstrap_conf: the kubelet's kubeconfigs. authority: pki/ca.crt.
    has_kubelet_config: /var/lib/kubelet/config.yaml. lost_resolver: the file that it names as resolvConf and that is missing.
    is_control_plane: it has an API server's static pod.
    registration: the API server's answer to the kubelet's own credentials. is_serving: the kubelet's health endpoint answers.
    """

    mark: Optional[str] = None
    kubelet_conf: Optional[Kubeconfig] = None
    bootstrap_conf: Optional[Kubeconfig] = None
    authority: Optional[str] = None
    has_kubelet_config: bool = False
    lost_resolver: str = ""
    is_control_plane: bool = False
    is_active: bool = False
    is_enabled: bool = False
    is_serving: bool = False
    registration: Registration = "unknown"


@dataclass(frozen=True)
class Step:
    """The next step, and the reason, as words that follow the node's name."""

    action: Action
    reason: str

    @property
    def needs_token(self) -> bool:
        return self.action in ("join", "rejoin")


@dataclass(frozen=True)
class Node:
    """How the worker registers."""

    name: str
    addresses: Sequence[str]
    cri_socket: str
    ignore_preflight_errors: Sequence[str] = ()
    kubelet_extra_args: Mapping[str, str] = field(default_factory=dict)


def plan_membership(standing: Standing, cluster: Cluster, name: str) -> Step:
    """Return the step that makes the host a member. Rejects a member of another cluster, and this cluster's control plane."""
    if standing.is_control_plane:
        raise Refusal(
            f"host {name}",
            "a control plane: /etc/kubernetes/manifests/kube-apiserver.yaml is there",
            f"a worker of {cluster.name}",
            f"Remove it from the group workers. {RESET}",
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
            f"used {found.server}, which is not the cluster's address any more",
        ),
        (not standing.has_kubelet_config, "rejoin", "had lost /var/lib/kubelet/config.yaml"),
        (standing.registration == "rejected", "rejoin", "had credentials that the API server rejects, as after a year of sleep"),
        (
            bool(standing.lost_resolver),
            "reconfigure",
            f"had a kubelet that starts no Pod: its resolvConf, {standing.lost_resolver}, is not on this host",
        ),
        (not standing.is_active, "start", "had a stopped kubelet"),
        (standing.registration == "missing", "restart", "had no Node object any more: a kubelet registers when it starts"),
        (not standing.is_serving, "restart", "had a kubelet that ran and was not healthy"),
        (not standing.is_enabled, "enable", "had a kubelet that does not start at boot"),
    )
    return next((Step(action, reason) for holds, action, reason in troubles if holds), Step("none", "is a member"))


def _of_another_authority(standing: Standing, conf: Optional[Kubeconfig], cluster: Cluster, name: str) -> Step:
    if standing.mark == cluster.name or (conf is not None and conf.endpoint == cluster.endpoint):
        return Step("rejoin", f"was a member of an earlier cluster at https://{cluster.endpoint}, which has another CA now")
    other = " ".join([standing.mark or "of unknown name", *([f"at {conf.server or 'an unknown address'}"] if conf else [])])
    raise Refusal(
        f"host {name}",
        f"a member of another cluster: {other}",
        f"no membership, or one of {cluster.name} at https://{cluster.endpoint}",
        RESET,
    )


def _without_membership(standing: Standing) -> Step:
    if standing.bootstrap_conf is not None or standing.authority is not None:
        return Step("rejoin", "had an incomplete join")
    if standing.has_kubelet_config:
        return Step("rejoin", "had a kubelet configuration but no membership")
    return Step("join", "had been reset" if standing.mark else "was no member")


def join_configuration(node: Node, cluster: Cluster, token: Token, timeout: float) -> str:
    """Return JoinConfiguration as JSON, which kubeadm reads as YAML. It contains the token."""
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
    """Reject a name that another host uses: the control plane, or a Node with other addresses."""
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
    """Return whether the Node is Ready. kubeadm does not join a host whose Node is."""
    return is_true(found, "Ready")


def join_failure(output: str, token: Token, cluster: Cluster) -> Refusal:
    """Return the error for a failed `kubeadm join`, from its output without the token."""
    text = output.replace(token.text, "[token]").replace(token.secret, "[secret]")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for said, required, next_step in KNOWN_FAILURES:
        line = next((line for line in lines if said in line and not line.startswith("[WARNING")), None)
        if line is not None:
            return Refusal(f"join of {cluster.name} at https://{cluster.endpoint}", line, required, next_step)
    errors = [line for line in lines if line.startswith("[ERROR")] or [line for line in lines if line.startswith("error:")] or lines[-5:]
    return Refusal(
        f"join of {cluster.name} at https://{cluster.endpoint}",
        " | ".join(errors) or "no output of kubeadm",
        "a join without errors",
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
        "Run again: the role makes a new token for each run. A wrong clock on either host makes tokens expire early.",
    ),
    (
        "x509: certificate has expired or is not yet valid",
        "clocks that agree, and certificates that are valid now",
        "Compare the clocks of this host and the control plane (`timedatectl`), and see `kubeadm certs check-expiration` there.",
    ),
    (
        "failed while waiting for the kubelet to start",
        "a kubelet that becomes healthy",
        "See `journalctl -u kubelet` on the host; on a host with control groups of version 1 the cluster's KubeletConfiguration must "
        "contain failCgroupV1: false.",
    ),
    (
        "failed while waiting for TLS bootstrap",
        "a client certificate for the kubelet",
        "See `kubectl get certificatesigningrequests` and `journalctl -u kubelet` on the host.",
    ),
    (
        "couldn't validate the identity of the API Server",
        "an API server whose CA is pinned, and a token that it knows",
        "Run again: the role makes a new token for each run.",
    ),
)
"""What kubeadm prints, what is required, and the next step."""


# Bootstrap tokens that this collection creates for one run and removes afterwards

DESCRIPTION = "vmstation.cluster: lets workers join during one run"
"""Identifies our tokens."""

_CREATED_TOKEN = re.compile(r"^[a-z0-9]{6}\.[a-z0-9]{16}$", re.M)
_TTL = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
LONGEST_TTL = 24 * 3600

PATIENCE, PAUSE = 60.0, 2.0  # seconds for an API server that has just started or is busy
_MAY_PASS = (
    "Client.Timeout",
    "context deadline exceeded",
    "connection refused",
    "handshake timeout",
    "i/o timeout",
    "EOF",
    "etcdserver:",
    "unable to handle the request",
    "Too many requests",
)


@dataclass(frozen=True)
class Outcome:
    """token: empty unless one was created. removed: the IDs of our tokens that existed, without secrets."""

    changed: bool
    endpoint: str = ""
    ca_cert_hashes: Sequence[str] = ()
    token: str = field(default="", repr=False)
    removed: Sequence[str] = ()


@dataclass(frozen=True)
class Wish:
    """state: present leaves one new token of ours, absent none. kubeconfig: an administrator's."""

    state: Literal["present", "absent"]
    ttl: str
    kubeconfig: str


def refuse_ttl(text: str) -> None:
    """Reject a time that kubeadm does not understand, and zero, which means no expiry."""
    found = _TTL.fullmatch(text)
    seconds = sum(int(part or 0) * unit for part, unit in zip(found.groups(), (3600, 60, 1))) if found else 0
    if not 0 < seconds <= LONGEST_TTL:
        raise Refusal("ttl", repr(text), "a time of up to 24h, such as 30m or 1h30m", "Pass 30m, for example.")


@dataclass(frozen=True)
class Host:
    """I/O of the control plane."""

    commands: Commands
    files: HostFiles
    clock: Clock


def ensure_tokens(host: Host, wish: Wish, predict: bool) -> Outcome:
    """Create or remove tokens, and return the cluster's endpoint and CA hashes."""
    refuse_ttl(wish.ttl)
    state, kubeconfig = wish.state, wish.kubeconfig
    conf = read_kubeconfig(host.files.read(kubeconfig))
    if conf is None and predict:
        return Outcome(changed=state == "present")
    hashes = public_key_hashes(conf.authority) if conf else ()
    if conf is None or not conf.endpoint or not hashes:
        raise Refusal(
            f"kubeconfig {kubeconfig}",
            "no such file" if conf is None else "no server, or no CA certificate",
            "an administrator's kubeconfig of the cluster",
            "Run this on the control plane, after `kubeadm init` (role control_plane).",
        )
    listed = _kubeadm(host, wish, "list", "--output", "json")
    ours = [name for name, description in read_tokens(listed.stdout) if description == DESCRIPTION]
    token = ""
    if not predict and ours:
        _kubeadm(host, wish, "delete", *ours)
    if not predict and state == "present":
        made = _kubeadm(host, wish, "create", "--ttl", wish.ttl, "--description", DESCRIPTION)
        found = _CREATED_TOKEN.search(made.stdout)
        if found is None:
            raise Refusal("`kubeadm token create`", "no token in its output", "a token", "Run it manually on the control plane.")
        token = found[0]
    return Outcome(bool(ours) or state == "present", conf.endpoint, hashes, token, ours)


def _kubeadm(host: Host, wish: Wish, *words: str) -> Completed:
    """Run `kubeadm token` and retry while the API server cannot answer. A token created twice is removed with the other."""
    argv = ["kubeadm", "token", *words, "--kubeconfig", wish.kubeconfig]
    until = host.clock.now() + PATIENCE
    while True:
        may_try_again = host.clock.now() < until
        done = host.commands.run(argv, check=not may_try_again)
        if done.status == 0:
            return done
        if not any(sign in done.stderr for sign in _MAY_PASS):
            return host.commands.run(argv)
        host.clock.sleep(PAUSE)


def read_tokens(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and description of each token in the JSON output of `kubeadm token list`: objects that follow one another."""
    decoder = json.JSONDecoder()
    rest = text.lstrip()
    while rest:
        try:
            entry, end = decoder.raw_decode(rest)
            yield _name(entry["token"]), str(entry.get("description", ""))
        except (ValueError, KeyError, TypeError):
            # show none of the text: it may contain a secret
            raise Refusal(
                "output of `kubeadm token list`",
                "text that is not a token in JSON",
                "an object for each token",
                "Run it on the control plane.",
            ) from None
        rest = rest[end:].lstrip()


def _name(token: object) -> str:
    return str(token["id"]) if isinstance(token, dict) else str(token).partition(".")[0]
