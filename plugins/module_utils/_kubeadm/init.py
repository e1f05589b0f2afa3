# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run kubeadm init, continue an interrupted one, repair a control plane, and join a host as a further one."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Optional

from .._host.files import HostFiles
from .._host.mark import MARKER, Mark
from .._preflight.existing import watched_ports
from .._preflight.model import HostState
from .._refusal import Refusal
from .._waiting import look_until
from .._x509 import KUBELET_CERTIFICATE, first_certificate, not_after
from .configuration import CONTROL_PLANE_TAINT, CRI_SOCKET, KUBEADM_API, as_text, document_of
from .hardening import missing_files, refuse_unreadable_secrets, unneeded_files
from .host import NodeHost
from .join import Token, read_kubeconfig, read_token
from .state import (
    ADMIN_CONF,
    AUDIT_POLICY,
    AUTHORITIES,
    CA,
    CA_KEY,
    COMPONENTS,
    CONFIGURATION,
    ENCRYPTION,
    ETCD_DATA,
    KUBELET_CONF,
    MANIFESTS,
    PKI,
    SERVICE_ACCOUNT,
    Api,
    Kubeadm,
    Kubelet,
    NodeFiles,
    Piece,
    damaged,
    digest,
    encrypts,
    errors_of,
    half_written,
    is_queued,
    is_whole,
    lost,
    read_node_files,
)

# Run kubeadm init, also after an interrupted run

LOG = "/var/log/vmstation-kubeadm-init.log"
POLL = 1.0


@dataclass(frozen=True)
class Wanted:
    """A control plane as its documents describe it."""

    documents: tuple[Mapping[str, Any], ...]

    @property
    def text(self) -> str:
        return as_text(self.documents)

    @property
    def init(self) -> dict[str, Any]:
        return document_of(self.documents, "InitConfiguration")

    @property
    def cluster(self) -> dict[str, Any]:
        return document_of(self.documents, "ClusterConfiguration")

    @property
    def name(self) -> str:
        return str(self.init["nodeRegistration"]["name"])

    @property
    def address(self) -> str:
        return str(self.init["localAPIEndpoint"]["advertiseAddress"])

    @property
    def cluster_name(self) -> str:
        return str(self.cluster["clusterName"])

    @property
    def release(self) -> str:
        return str(self.cluster["kubernetesVersion"])

    @property
    def identity(self) -> dict[str, str]:
        """Return what certificates, etcd or addresses contain after init has started."""
        networking = {key: str(value) for key, value in self.cluster["networking"].items()}
        return {"name": self.name, "address": self.address, "endpoint": str(self.cluster["controlPlaneEndpoint"]), **networking}


def initialise(wanted: Wanted, host: NodeHost, timeout: float) -> None:
    """Run kubeadm init, also after an interrupted run. Raises Refusal; what it created is kept for the next run."""
    until = host.now() + timeout
    files = host.files
    mark = Mark(wanted.cluster_name, "control_plane", wanted.name, installed=False, identity=wanted.identity)
    wait_for_another_kubeadm(host, until)
    is_new_text = files.read(CONFIGURATION) not in (None, wanted.text)
    host.write({MARKER: mark.as_text()})
    host.write({CONFIGURATION: wanted.text, **missing_files(wanted.cluster, files)}, new_mode=0o600)
    host.write(dict.fromkeys(sorted({*half_written(files), *(_server_certificate(files) if is_new_text else ())})))
    answer = Kubeadm(host.commands).init(ignorable(wanted.init["nodeRegistration"], host.look()), max(1.0, until - host.now()))
    host.write({LOG: answer.stdout + answer.stderr}, new_mode=0o600)
    if answer.status:
        raise Refusal(
            "kubeadm init",
            "; ".join(errors_of(answer)) or f"exit status {answer.status}",
            "to finish without errors",
            "Correct what it names, then run again: the next run continues from there.",
        )
    host.write(dict.fromkeys(unneeded_files(wanted.cluster, files)))
    host.write({MARKER: replace(mark, installed=True, ca=digest(files.read(CA))).as_text()})


def ignorable(registration: Mapping[str, Any], state: HostState) -> list[str]:
    """Return only the preflight errors caused by our own earlier attempt: its files, and its own processes' ports."""
    if "all" in [str(one).lower() for one in registration.get("ignorePreflightErrors", [])]:
        return []
    owners = watched_ports("control_plane")
    names = [f"FileAvailable-{MANIFESTS.replace('/', '-')}-{name}.yaml" for name in COMPONENTS if f"{name}.yaml" in state.manifests]
    names += [f"DirAvailable-{ETCD_DATA.replace('/', '-')}"] if state.etcd_entries else []
    names += [f"Port-{listener.port}" for listener in state.listeners if listener.process in owners.get(listener.port, ())]
    return names


def changed_identity(standing: NodeFiles, wanted: Wanted) -> list[str]:
    """Return what differs between the identity that init was started with and the present plan."""
    begun = dict(standing.mark.identity) if standing.mark else {}
    return [f"{key} {begun[key]}, now {value}" for key, value in wanted.identity.items() if begun.get(key, value) != value]


def refuse_another_identity(standing: NodeFiles, wanted: Wanted, etcd_entries: Collection[str]) -> bool:
    """Return whether an interrupted attempt under another plan can start again. Raises Refusal if etcd holds data."""
    changed = changed_identity(standing, wanted)
    if changed and "member" in etcd_entries:
        raise Refusal(
            "the control plane of an interrupted run",
            "; ".join(changed),
            "the plan that it was started with",
            "Restore the plan and run again, or run `kubeadm reset` on the host and start again: nothing uses this cluster yet.",
        )
    return bool(changed)


def refuse_second_cluster(peers: Sequence[str], host: NodeHost) -> None:
    """Reject init if the API server of another control plane host answers: it would create a second cluster with the same address."""
    answering = [address for address in peers if host.answers(address)]
    if answering:
        raise Refusal(
            "this control plane host",
            f"no control plane here, and an API server at {', '.join(answering)}",
            "to join the cluster of the other control plane hosts",
            "Run again without --limit, or with one of those hosts in it, so that this host joins them.",
        )


def begin_again(standing: NodeFiles, host: NodeHost) -> None:
    """Remove what an interrupted attempt under another plan created, before etcd held data."""
    host.write({path: None for path in standing.evidence if not path.startswith(ETCD_DATA)})


def foreign(standing: NodeFiles) -> Refusal:
    """Return the error that lists the files of another cluster."""
    mark = standing.mark
    whose = "left by a cluster that this collection did not make"
    if mark is not None:
        whose = f"of the cluster {mark.cluster} ({mark.role.replace('_', ' ')} {mark.name})"
    return Refusal(
        "files of another cluster",
        f"{', '.join(standing.evidence) or CA}, {whose}",
        "none, or those of this cluster",
        "If that cluster is no longer needed, back up what you need from it and run `kubeadm reset` on this host; then run again.",
    )


def _server_certificate(files: HostFiles) -> Sequence[str]:
    """Return the API server's certificate and key: kubeadm rejects the certificate if a name was added since."""
    return [path for path in (f"{PKI}/apiserver.crt", f"{PKI}/apiserver.key") if files.exists(path)]


def wait_for_another_kubeadm(host: NodeHost, until: float) -> None:
    """Wait for a kubeadm that runs already, as one whose run was killed. Raises Refusal if it runs on."""
    seen = look_until(host.look, lambda state: "kubeadm" not in state.processes, host, until - host.now(), POLL)
    if "kubeadm" in seen.processes:
        raise Refusal("process kubeadm", "still running", "no other kubeadm", "Wait for it or stop it, then run again.")


# Repair a control plane: find what is missing, and run the phase of kubeadm that creates it

LABEL = str(CONTROL_PLANE_TAINT["key"])
RUNS = {"ActiveState": "active", "UnitFileState": "enabled"}
NODE_WAIT = 60.0
KUBELET_START = 20.0
REPAIR_POLL = 1.0
# what kubeadm writes on a host with systemd-resolved (`mutateResolverConfig` in cmd/kubeadm/app/componentconfigs/kubelet_unix.go)
RESOLVED = "resolvConf: /run/systemd/resolve/resolv.conf"
_SYSTEM = "/api/v1/namespaces/kube-system"
# objects that kubeadm creates in the cluster: their API paths, and the phase
OBJECTS = (
    ((f"{_SYSTEM}/configmaps/kubeadm-config",), ("upload-config", "kubeadm")),
    ((f"{_SYSTEM}/configmaps/kubelet-config",), ("upload-config", "kubelet")),
    (("/api/v1/namespaces/kube-public/configmaps/cluster-info",), ("bootstrap-token",)),
    ((f"{_SYSTEM}/configmaps/kube-proxy", "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy"), ("addon", "kube-proxy")),
)


class Repair:
    """Repairs what is missing and records it. In check mode it only records. is_one_of_several: there are other control plane hosts."""

    def __init__(self, wanted: Wanted, host: NodeHost, standing: NodeFiles, *, check: bool, is_one_of_several: bool = False) -> None:
        self._wanted, self._host, self._check, self._is_one_of_several = wanted, host, check, is_one_of_several
        self._moved = changed_identity(standing, wanted)
        self._kubeadm, self._kubelet = Kubeadm(host.commands), Kubelet(host.commands)
        self.done: list[str] = []

    def host_side(self) -> None:
        """Repair files and the kubelet's service."""
        self._refuse_losses()
        refuse_unreadable_secrets(self._wanted.cluster, self._host.files)
        self._write_missing_files()
        if not self._moved and self._host.files.read(CONFIGURATION) != self._wanted.text:
            self.done.append(f"{CONFIGURATION}: rewritten; the running cluster was changed only by the other repairs listed here")
            if not self._check:
                self._host.write({CONFIGURATION: self._wanted.text}, new_mode=0o600)
        for piece in damaged(self._host.files):
            self._make(piece)
        self._renew_kubelets_credentials()
        state = self._settled_kubelet()
        wrong = [f"{key} {state.get(key)}" for key, value in RUNS.items() if state.get(key) != value]
        if wrong:
            self.done.append(f"kubelet: {', '.join(wrong)}; enabled and started")
            if not self._check:
                self._kubelet.enable_and_start()

    def cluster_side(self, api: Api) -> None:
        """Repair objects that kubeadm creates in the cluster. The API server must be ready."""
        for paths, phase in OBJECTS:
            missing = [path for path in paths if api.get(path) is None]
            if missing:
                self._note(f"{', '.join(path.rpartition('/')[2] for path in missing)}: was missing in the cluster", phase)
                self._run(phase)
        self._keep_the_key_in_upgrades(api)
        self._resolver_of_this_host_alone(api)
        node = api.get(f"/api/v1/nodes/{self._wanted.name}")
        if node is None:
            self.done.append(f"Node {self._wanted.name}: was missing; registered by a restart of the kubelet")
            if self._check:
                return
            node = self._registered_again(api)
        self._labels_and_taints(api, node)

    def _renew_kubelets_credentials(self) -> None:
        """A kubelet renews its client certificate itself, unless its host was off until it had expired: then it cannot start."""
        try:
            certificate = first_certificate(self._host.files.read(KUBELET_CERTIFICATE) or "")
            end = not_after(certificate) if certificate is not None else None
        except ValueError:
            return  # the kubelet reports it
        if end is None or end.timestamp() >= self._host.unix_time():
            return
        found = f"expired on {end:%Y-%m-%dT%H:%M:%SZ}"
        if not self._host.files.exists(CA_KEY):
            raise Refusal(
                KUBELET_CERTIFICATE,
                f"{found}, and no {CA_KEY} to issue another one",
                "a valid certificate",
                f"Issue one from your CA, with CN system:node:{self._wanted.name} and O system:nodes, write it and its key into that file, "
                "then run again.",
            )
        phase = ("kubeconfig", "kubelet")
        self._note(f"{KUBELET_CERTIFICATE}: {found}", phase)
        if not self._check:
            # kubeadm keeps an existing file
            self._host.write({KUBELET_CONF: None, KUBELET_CERTIFICATE: None})
            self._run(phase)
            self._kubelet.restart()

    def _keep_the_key_in_upgrades(self, api: Api) -> None:
        """kubeadm's upgrade writes the API server's manifest from this ConfigMap: without the key, Secrets could not be read any more.

        An older cluster gets the key if its manifest is written again, as after a restore.
        """
        if self._moved or not encrypts(self._host.files):
            return
        stored = str(((api.get(f"{_SYSTEM}/configmaps/kubeadm-config") or {}).get("data") or {}).get("ClusterConfiguration", ""))
        if stored and ENCRYPTION not in stored:
            phase = ("upload-config", "kubeadm")
            self._note("ConfigMap kube-system/kubeadm-config: did not name the key that Secrets are encrypted with", phase)
            self._run(phase)

    def _resolver_of_this_host_alone(self, api: Api) -> None:
        """Keep this host's resolver out of the configuration that workers get: kubeadm adds it on each host with systemd-resolved."""
        text = str(((api.get(f"{_SYSTEM}/configmaps/kubelet-config") or {}).get("data") or {}).get("kubelet", ""))
        lines = text.splitlines(keepends=True)
        others = [line for line in lines if line.strip() != RESOLVED]
        if others == lines or "resolvConf" in document_of(self._wanted.documents, "KubeletConfiguration"):
            return
        self.done.append(f"ConfigMap kube-system/kubelet-config: `{RESOLVED}` removed, so that each host uses its own resolver")
        if not self._check:
            api.set_data("kubelet-config", {"kubelet": "".join(others)})

    def _write_missing_files(self) -> None:
        missing = {} if self._moved else missing_files(self._wanted.cluster, self._host.files)
        self.done += [f"{path}: was missing; written for the API server" for path in missing]
        if missing and not self._check:
            self._host.write(missing, new_mode=0o600)

    def _settled_kubelet(self) -> dict[str, str]:
        """Return the state of the kubelet's unit, after waiting for its start, as when the host boots."""
        return look_until(self._kubelet.state, lambda state: not _is_starting(state), self._host, KUBELET_START, REPAIR_POLL)

    def _refuse_losses(self) -> None:
        gone = lost(self._host.files)
        if "member" not in self._host.files.entries(ETCD_DATA):
            gone.append(f"{ETCD_DATA}/member")
        if not gone:
            return
        step = "Restore them from a backup with restore.yml, or discard the cluster with `kubeadm reset` on this host and run again."
        if self._is_one_of_several:
            # restore.yml rejects several control plane hosts; the others still have all of it
            step = (
                f"Run `reset.yml --limit {self._wanted.name}`, then site.yml: the host joins the other control plane hosts again. If more "
                "than half of the members of etcd are lost, see docs/several-control-planes.md under `Without restore.yml`."
            )
        found = f"{', '.join(gone)} missing or incomplete"
        raise Refusal("this control plane", found, "its CAs, keys and etcd's data, which cannot be recreated", step)

    def _make(self, piece: Piece) -> None:
        files = self._host.files
        broken = [path for path in piece.paths if files.exists(path)]
        what = "was incomplete" if broken and len(piece.paths) == 1 else "was missing"
        self._note(
            f"{', '.join(path for path in piece.paths if len(piece.paths) == 1 or not files.read(path)) or piece.paths[0]}: {what}",
            piece.phase,
        )
        if self._check:
            return
        if piece.phase[0] in ("certs", "kubeconfig"):
            # kubeadm keeps an existing file, or rejects it
            self._host.write(dict.fromkeys(broken))
        self._run(piece.phase)
        if piece.paths == (KUBELET_CONF,):
            self._run(("kubelet-finalize", "enable-client-cert-rotation"))

    def _labels_and_taints(self, api: Api, node: Mapping[str, Any]) -> None:
        is_marked = LABEL in node["metadata"].get("labels", {})
        is_tainted = any(taint.get("key") == LABEL for taint in node["spec"].get("taints") or [])
        wants_taint = bool(self._wanted.init["nodeRegistration"].get("taints", [CONTROL_PLANE_TAINT]))
        if not is_marked or (wants_taint and not is_tainted):
            self._note(f"Node {self._wanted.name}: was not marked as control plane", ("mark-control-plane",))
            self._run(("mark-control-plane",))
        if is_tainted and not wants_taint:
            self.done.append(f"Node {self._wanted.name}: its taint {LABEL} is removed, so that ordinary Pods may run on it")
            if not self._check:
                api.taint(self._wanted.name, f"{LABEL}-")

    def _registered_again(self, api: Api) -> dict[str, Any]:
        self._kubelet.restart()
        path = f"/api/v1/nodes/{self._wanted.name}"
        node: Optional[dict[str, Any]] = look_until(lambda: api.get(path), bool, self._host, NODE_WAIT, REPAIR_POLL)
        if not node:
            raise Refusal(
                f"Node {self._wanted.name}",
                f"not registered {NODE_WAIT:g} s after the kubelet's restart",
                "to be registered",
                "See `journalctl -u kubelet` on the host.",
            )
        return node

    def _note(self, what: str, phase: tuple[str, ...]) -> None:
        if self._moved:
            raise Refusal(
                what,
                f"a plan that the cluster was not created from: {'; '.join(self._moved)}",
                "the plan that it was created from, to recreate this",
                "Restore the plan and run again.",
            )
        self.done.append(f"{what}; recreated by `kubeadm init phase {' '.join(phase)}`")

    def _run(self, phase: tuple[str, ...]) -> None:
        if not self._check:
            self._kubeadm.phase(*phase)


def _is_starting(state: Mapping[str, str]) -> bool:
    return state.get("ActiveState") == "activating" or is_queued(state)


# Join a host as a further control plane: the files that all control planes share, and `kubeadm join`

# kubeadm creates these once for a cluster, or this collection does: the key that Secrets in etcd are encrypted with
_OF_KUBEADM = (*(f"{PKI}/{name}.{kind}" for name in AUTHORITIES for kind in ("crt", "key")), *SERVICE_ACCOUNT)
SHARED = (*_OF_KUBEADM, AUDIT_POLICY, ENCRYPTION)
RESET_SECONDS = 300.0


@dataclass(frozen=True)
class Joining:
    """How to join. endpoint: host and port of the API. ca_cert_hashes: pins of its CA. files: path -> text of the shared files."""

    endpoint: str
    token: Token
    ca_cert_hashes: Sequence[str]
    files: Mapping[str, str] = field(repr=False)


def shared_files(files: HostFiles) -> dict[str, str]:
    """Return the shared files of this control plane. Raises Refusal if one is missing that another host cannot do without."""
    found = {path: text for path in SHARED if (text := files.read(path)) is not None}
    missing = [path for path in _OF_KUBEADM if not is_whole(path, found.get(path))]
    if missing:
        raise Refusal(
            "this control plane",
            f"{', '.join(missing)} missing or incomplete",
            "the CAs, with their keys, and the keys of service accounts, which a further control plane needs",
            "Restore them from a backup. With a CA whose key is elsewhere, this collection sets up one control plane only.",
        )
    return found


def standing(cluster: str, endpoint: str, files: HostFiles) -> str:
    """Return the situation of this host. Raises Refusal if its cluster has another endpoint than the one in the plan."""
    situation = read_node_files(files).situation(cluster, "control_plane")
    conf = read_kubeconfig(files.read(ADMIN_CONF)) if situation == "complete" else None
    if conf is not None and conf.endpoint and endpoint and conf.endpoint != endpoint:
        raise Refusal(
            f"the cluster {cluster}",
            f"created with the address {conf.endpoint}, which is in its certificates and kubeconfig files",
            f"{endpoint}, the network plan's api_vip, for several control planes",
            "Remove api_vip and keep one host in the group control_plane; or create the cluster again with api_vip, as "
            "docs/several-control-planes.md describes under `From one to three`.",
        )
    return situation


def read_joining(options: Mapping[str, Any]) -> Joining:
    """Validate the module's option ``join``. Raises Refusal without any of its texts."""
    files = {str(path): str(text) for path, text in options["files"].items()}
    others = sorted(set(files) - set(SHARED))
    missing = sorted(set(_OF_KUBEADM) - set(files))
    if others or missing:
        found = "; ".join([*([f"others: {', '.join(others)}"] if others else []), *([f"none for {', '.join(missing)}"] if missing else [])])
        step = "Pass `files` of what vmstation.cluster.kubeadm_control_plane_info returned with shared_files."
        raise Refusal("join.files", found, "the files that control planes share", step)
    if not options["endpoint"] or not options["ca_cert_hashes"]:
        step = "Pass what vmstation.cluster.kubeadm_join_token returned."
        raise Refusal("join.endpoint and join.ca_cert_hashes", "empty", "the cluster's address and the pins of its CA", step)
    return Joining(options["endpoint"], read_token(options["token"]), tuple(options["ca_cert_hashes"]), files)


def join_document(wanted: Wanted, joining: Joining) -> dict[str, Any]:
    """Return JoinConfiguration. It contains the token."""
    init = wanted.init
    return {
        "apiVersion": KUBEADM_API,
        "kind": "JoinConfiguration",
        "discovery": {
            "bootstrapToken": {
                "token": joining.token.text,
                "apiServerEndpoint": joining.endpoint,
                "caCertHashes": list(joining.ca_cert_hashes),
            }
        },
        "controlPlane": {"localAPIEndpoint": init["localAPIEndpoint"]},
        "nodeRegistration": init["nodeRegistration"],
        "timeouts": init.get("timeouts", {}),
    }


def join(wanted: Wanted, joining: Joining, host: NodeHost, timeout: float) -> None:
    """Run kubeadm join. What an interrupted join has left is removed first, with its etcd member."""
    until = host.now() + timeout
    wait_for_another_kubeadm(host, until)
    if read_node_files(host.files).evidence:
        socket = str(wanted.init["nodeRegistration"].get("criSocket", CRI_SOCKET))
        host.commands.run(["kubeadm", "reset", "--force", "--cri-socket", socket, "--ignore-preflight-errors=all"], timeout=RESET_SECONDS)
    mark = Mark(wanted.cluster_name, "control_plane", wanted.name, installed=False, identity=wanted.identity)
    host.write({MARKER: mark.as_text()})
    host.write({CONFIGURATION: wanted.text, **_of(joining.files, public=False)}, new_mode=0o600)
    host.write(_of(joining.files, public=True))
    # the token passes through a pipe: not in a file, not in an argument
    answer = host.commands.run(
        ["kubeadm", "join", "--config", "/dev/stdin"],
        stdin=json.dumps(join_document(wanted, joining), indent=2),
        timeout=max(1.0, until - host.now()),
        check=False,
    )
    said = f"{answer.stdout}{answer.stderr}".replace(joining.token.text, "[token]").replace(joining.token.secret, "[secret]")
    host.write({LOG: said}, new_mode=0o600)
    if answer.status:
        errors = errors_of(replace(answer, stdout=said, stderr=""))
        raise Refusal(
            "kubeadm join",
            "; ".join(errors) or f"exit status {answer.status}",
            "to finish without errors",
            "Correct what it names, then run again: the next run removes what this one has left, and joins again.",
        )
    host.write({MARKER: replace(mark, installed=True, ca=digest(host.files.read(CA))).as_text()})


def _of(files: Mapping[str, str], *, public: bool) -> dict[str, str]:
    return {path: text for path, text in files.items() if path.endswith(".crt") == public}
