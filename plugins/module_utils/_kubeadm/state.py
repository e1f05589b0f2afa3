# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a node on its host: kubeadm, kubelet, the files of a control plane and their certificates."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable, Literal, Optional

from .._host.commands import Commands, Completed
from .._host.files import HostFiles
from .._host.mark import MARKER, Mark, Role, read_mark
from .._json import read_json
from .._notation import in_url
from .._refusal import Refusal, Unavailable

# kubeadm, the kubelet's service, and the API of a control plane host, all through the host's own programs

CONFIGURATION = "/etc/kubernetes/vmstation-kubeadm.yaml"
PHASE_TIMEOUT = 300.0
# kubectl would cache API data below /root; it is called too rarely for that
KUBECTL_CACHE = "/run/vmstation-kubectl"
ATTEMPTS, PAUSE = 4, 3.0
_VERSION = re.compile(r"v(\d+\.\d+\.\d+)")


class Kubeadm:
    """kubeadm on this host."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    @property
    def is_there(self) -> bool:
        return self._commands.has("kubeadm")

    def refuse_other_release(self, wanted: str, *, kubelet: bool) -> None:
        """Reject programs of another version. wanted: like v1.36.4. kubelet: whether to check it too."""
        programs = [("kubeadm", ["kubeadm", "version", "--output=short"])]
        programs += [("kubelet", ["kubelet", "--version"])] if kubelet else []
        for program, argv in programs:
            answer = self._commands.run(argv, timeout=30.0).stdout
            match = _VERSION.search(answer)
            if not match or f"v{match.group(1)}" != wanted:
                raise Refusal(
                    program,
                    f"version {answer.strip() or 'unknown'}",
                    f"{wanted}, the version in the configuration",
                    f"Install {program} {wanted}, or change the configured version; upgrade an existing cluster with upgrade.yml.",
                )

    def validate(self, text: str) -> None:
        """Reject a configuration that kubeadm does not accept."""
        answer = self._commands.run(["kubeadm", "config", "validate", "--config=/dev/stdin"], stdin=text, timeout=60.0, check=False)
        if answer.status:
            raise Refusal(
                "the kubeadm configuration",
                "; ".join(errors_of(answer)) or "no reason",
                "a configuration that `kubeadm config validate` accepts",
                "Correct the setting that it names.",
            )

    def init(self, ignore: Sequence[str], timeout: float) -> Completed:
        """Run all phases. ignore: names of preflight checks whose errors are expected."""
        argv = ["kubeadm", "init", f"--config={CONFIGURATION}", "--skip-token-print"]
        argv += [f"--ignore-preflight-errors={','.join(ignore)}"] if ignore else []
        return self._commands.run(argv, timeout=timeout, check=False)

    def phase(self, *phase: str) -> None:
        """Run one phase of init, with the configuration on disk."""
        quiet = ["--skip-token-print"] if phase == ("bootstrap-token",) else []
        self._commands.run(["kubeadm", "init", "phase", *phase, f"--config={CONFIGURATION}", *quiet], timeout=PHASE_TIMEOUT)

    def certificates(self) -> Completed:
        return self._commands.run(
            ["kubeadm", "certs", "check-expiration", "--output=json", f"--config={CONFIGURATION}"], timeout=60.0, check=False
        )


def is_queued(state: Mapping[str, str]) -> bool:
    """Return whether systemd has a job for a unit, such as its start during boot. Without a job, Job is empty or 0."""
    return state.get("Job", "") not in ("", "0")


class Kubelet:
    """The kubelet's systemd unit."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def state(self, *, check: bool = True) -> dict[str, str]:
        """Return ActiveState, SubState, UnitFileState and Job (the number of systemd's job). Empty without a unit if not ``check``."""
        argv = ["systemctl", "show", "kubelet", "--property=ActiveState,SubState,UnitFileState,Job"]
        lines = self._commands.run(argv, timeout=30.0, check=check).stdout.splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def enable_and_start(self) -> None:
        self._commands.run(["systemctl", "enable", "--now", "kubelet"], timeout=120.0)

    def restart(self) -> None:
        self._commands.run(["systemctl", "restart", "kubelet"], timeout=120.0)


class Api:
    """The API server of this host, at the host's own address, with the administrator's kubeconfig of kubeadm."""

    def __init__(self, commands: Commands, address: str, sleep: Callable[[float], None]) -> None:
        self._commands, self._sleep = commands, sleep
        self._kubectl = [
            "kubectl",
            f"--kubeconfig={ADMIN_CONF}",
            f"--server=https://{in_url(address)}:6443",
            f"--cache-dir={KUBECTL_CACHE}",
            "--request-timeout=10s",
        ]

    def why_not_ready(self) -> str:
        """Return why the API server is not ready; empty if it is."""
        answer = self._run(["get", "--raw=/readyz"])
        return "" if answer.status == 0 and answer.stdout.strip() == "ok" else " ".join((answer.stderr or answer.stdout).split())[-300:]

    def get(self, path: str) -> Optional[dict[str, Any]]:
        """Return an object or a list; None if there is none of this name."""
        answer = self._persistently(["get", f"--raw={path}"], "(NotFound)")
        if answer.status == 0:
            read = read_json(answer.stdout)
            return read if isinstance(read, dict) else None
        if "(NotFound)" in answer.stderr:
            return None
        raise _unavailable(f"GET {path}", answer)

    def create(self, path: str, thing: Mapping[str, Any]) -> None:
        answer = self._persistently(["create", f"--raw={path}", "--filename=-"], "(AlreadyExists)", stdin=json.dumps(thing))
        if answer.status and "(AlreadyExists)" not in answer.stderr:
            raise _unavailable(f"POST {path}", answer)

    def replace(self, path: str, thing: Mapping[str, Any]) -> bool:
        """Replace an object, or a part of it; False if another client has changed or deleted it since it was read."""
        answer = self._persistently(["replace", f"--raw={path}", "--filename=-"], "(Conflict)", stdin=json.dumps(thing))
        if answer.status and not any(one in answer.stderr for one in ("(Conflict)", "(NotFound)")):
            raise _unavailable(f"PUT {path}", answer)
        return answer.status == 0

    def delete(self, path: str) -> bool:
        """Delete an object; False if there is none of this name."""
        answer = self._persistently(["delete", f"--raw={path}"], "(NotFound)")
        if answer.status and "(NotFound)" not in answer.stderr:
            raise _unavailable(f"DELETE {path}", answer)
        return answer.status == 0

    def set_data(self, config_map: str, data: Mapping[str, str]) -> None:
        """Set keys of a ConfigMap of kube-system."""
        argv = ["patch", "configmap", config_map, "--namespace=kube-system", "--type=merge", "--patch-file=/dev/stdin"]
        answer = self._persistently(argv, "(NotFound)", stdin=json.dumps({"data": dict(data)}))
        if answer.status:
            raise _unavailable(f"a change of ConfigMap kube-system/{config_map}", answer)

    def taint(self, node: str, taint: str) -> None:
        answer = self._persistently(["taint", "node", node, taint], "not found")
        if answer.status and "not found" not in answer.stderr:
            raise _unavailable(f"the taint {taint} of node {node}", answer)

    def as_mappings(self, documents: Sequence[str]) -> list[dict[str, Any]]:
        """Parse YAML documents that kubeadm stores. kubectl does it, as managed hosts have no YAML reader; it contacts no server."""
        argv = ["kubectl", "annotate", "--local", "--output=json", "--filename=-", "vmstation=read"]
        text = self._commands.run(argv, stdin="\n---\n".join(documents), timeout=30.0).stdout
        return _json_texts(text)

    def _persistently(self, argv: Sequence[str], settled: str, stdin: str = "") -> Completed:
        """Retry: an API server that just became ready may not answer at once. settled: an error text that is a final answer."""
        answer = self._run(argv, stdin)
        for _attempt in range(ATTEMPTS - 1):
            if answer.status == 0 or settled in answer.stderr:
                break
            self._sleep(PAUSE)
            answer = self._run(argv, stdin)
        return answer

    def _run(self, argv: Sequence[str], stdin: str = "") -> Completed:
        return self._commands.run([*self._kubectl, *argv], stdin=stdin, timeout=30.0, check=False)


def errors_of(answer: Completed) -> list[str]:
    """Return kubeadm's error lines, or its last lines."""
    lines = [line.strip() for line in (answer.stdout + "\n" + answer.stderr).splitlines() if line.strip()]
    wrong = [line for line in lines if line.startswith(("error:", "[ERROR", "error execution"))]
    return [line for line in wrong or lines[-3:] if not line.startswith("To see the stack trace")]


def _json_texts(text: str) -> list[dict[str, Any]]:
    """Parse JSON values that follow one another."""
    decoder, found, position = json.JSONDecoder(), [], 0
    while position < len(text):
        value, position = decoder.raw_decode(text, position)
        found.append(value)
        while position < len(text) and text[position].isspace():
            position += 1
    return found


def _unavailable(what: str, answer: Completed) -> Unavailable:
    said = " ".join((answer.stderr or answer.stdout).split()) or "no answer"
    return Unavailable(
        f"Kubernetes API, {what}",
        said,
        "an answer",
        "See `crictl ps -a` and `journalctl -u kubelet` on the host, then run again.",
    )


# The state of a node: none, an interrupted attempt of ours, a node of ours, or a node of another cluster

Situation = Literal["absent", "interrupted", "complete", "foreign"]

KUBERNETES = "/etc/kubernetes"
PKI = f"{KUBERNETES}/pki"
MANIFESTS = f"{KUBERNETES}/manifests"
ETCD_DATA = "/var/lib/etcd"
CA = f"{PKI}/ca.crt"
CA_KEY = f"{PKI}/ca.key"
# what a hardened API server reads: in a directory that kubeadm mounts and a backup contains. A backup keeps *.conf for root alone
AUDIT_POLICY = f"{PKI}/vmstation-audit-policy.json"
ENCRYPTION = f"{PKI}/vmstation-encryption.conf"
# the argument with which the API server verifies kubelets
VERIFICATION = "kubelet-certificate-authority"
ADMIN_CONF = f"{KUBERNETES}/admin.conf"
SUPER_ADMIN_CONF = f"{KUBERNETES}/super-admin.conf"
KUBELET_CONF = f"{KUBERNETES}/kubelet.conf"
# exists while a restore replaces the state of the control plane
RESTORING = f"{KUBERNETES}/vmstation-restore.json"
KUBECONFIGS = ("admin", "super-admin", "kubelet", "bootstrap-kubelet", "controller-manager", "scheduler")
# the user may prepare CAs and the service account key before init; kubeadm creates the other certificates
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
    """kubeadm's files on a host. evidence: those that only init or join creates, in a fixed order. ca: digest of the CA certificate."""

    evidence: tuple[str, ...]
    ca: str = ""
    mark: Optional[Mark] = None

    def situation(self, cluster: str, role: Role) -> Situation:
        """Return the state of a host that should have this role in this cluster."""
        # the user may prepare a CA for a control plane; a worker gets it by joining
        if not self.evidence and not (role == "worker" and self.ca):
            return "absent"
        if self.mark is None or (self.mark.cluster, self.mark.role) != (cluster, role):
            return "foreign"
        if not self.mark.installed:
            return "interrupted"
        # a node of ours without its CA is damaged, not another cluster's
        return "complete" if self.ca in ("", self.mark.ca) else "foreign"


def read_node_files(files: HostFiles) -> NodeFiles:
    """Read the files of this host."""
    return NodeFiles(
        evidence=tuple(path for path in _evidence(files) if files.exists(path)),
        ca=digest(files.read(CA)),
        mark=read_mark(files.read(MARKER)),
    )


def digest(text: Optional[str]) -> str:
    """Return the SHA-256 digest of a file's text; empty if there is no file."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest() if text else ""


def _evidence(files: HostFiles) -> tuple[str, ...]:
    return (
        *(f"{KUBERNETES}/{name}.conf" for name in KUBECONFIGS),
        *(f"{PKI}/{name}.{kind}" for name in LEAVES for kind in ("crt", "key")),
        *(f"{MANIFESTS}/{name}" for name in files.entries(MANIFESTS)),
        *(f"{ETCD_DATA}/{name}" for name in files.entries(ETCD_DATA)),
    )


# The files of a control plane: complete or not, and the phase of kubeadm that creates each

SERVICE_ACCOUNT = (f"{PKI}/sa.pub", f"{PKI}/sa.key")


@dataclass(frozen=True)
class Piece:
    """Files that one phase of kubeadm creates together."""

    paths: tuple[str, ...]
    phase: tuple[str, ...]


def _pair(name: str) -> tuple[str, str]:
    return f"{PKI}/{name}.crt", f"{PKI}/{name}.key"


_CONTROLLERS = {
    "kube-apiserver": "apiserver",
    "kube-controller-manager": "controller-manager",
    "kube-scheduler": "scheduler",
}
# without super-admin.conf, which nothing needs after init
REPAIRABLE = (
    *(Piece(_pair(name), ("certs", name.replace("/", "-"))) for name in LEAVES),
    *(Piece((f"{KUBERNETES}/{name}.conf",), ("kubeconfig", name)) for name in ("admin", "kubelet", "controller-manager", "scheduler")),
    Piece((f"{MANIFESTS}/etcd.yaml",), ("etcd", "local")),
    *(Piece((f"{MANIFESTS}/{name}.yaml",), ("control-plane", _CONTROLLERS[name])) for name in COMPONENTS if name != "etcd"),
    Piece(KUBELET_FILES, ("kubelet-start",)),
)
# without these a cluster cannot be repaired, only restored
IRREPLACEABLE = (*(f"{PKI}/{name}.crt" for name in AUTHORITIES), *SERVICE_ACCOUNT)


def damaged(files: HostFiles) -> list[Piece]:
    """Return the pieces with a missing or incomplete file."""
    return [piece for piece in REPAIRABLE if not all(is_whole(path, files.read(path)) for path in piece.paths)]


def lost(files: HostFiles) -> list[str]:
    """Return missing or incomplete files that cannot be recreated."""
    keys = (ENCRYPTION,) if encrypts(files) and not files.exists(ENCRYPTION) else ()
    return [*(path for path in IRREPLACEABLE if not is_whole(path, files.read(path))), *keys]


def encrypts(files: HostFiles) -> bool:
    """Return whether the API server encrypts Secrets with our key."""
    return ENCRYPTION in (files.read(f"{MANIFESTS}/kube-apiserver.yaml") or "")


def verifies_kubelets(files: HostFiles) -> bool:
    """Return whether the API server verifies kubelets. Without its manifest, as after a restore, kubeadm's last configuration decides."""
    path = f"{MANIFESTS}/kube-apiserver.yaml"
    manifest = files.read(path)
    return VERIFICATION in ((manifest if is_whole(path, manifest) else files.read(CONFIGURATION)) or "")


def half_written(files: HostFiles) -> set[str]:
    """Return files that kubeadm left incomplete when it was killed, with the other file of each pair.

    kubeadm rejects such files, or uses a key without its public part. It writes the key first. A certificate without a key may be the
    user's own, with the key elsewhere.
    """
    leaves = {path for name in LEAVES for path in _pair(name)}
    kubeconfigs = {f"{KUBERNETES}/{name}.conf" for name in ("admin", "super-admin", "kubelet", "controller-manager", "scheduler")}
    found = {path for name in AUTHORITIES for path in _broken(files, *_pair(name))}
    if found:
        # a new CA has signed none of the existing files
        found |= leaves | kubeconfigs
    for name in LEAVES:
        found |= _broken(files, *_pair(name))
    found |= _broken(files, *SERVICE_ACCOUNT)
    found |= {path for path in kubeconfigs if not is_whole(path, files.read(path))}
    return {path for path in found if files.exists(path)}


def _broken(files: HostFiles, public: str, key: str) -> set[str]:
    """Return the files of a pair to remove."""
    if files.exists(key) and not (is_whole(key, files.read(key)) and is_whole(public, files.read(public))):
        return {public, key}
    return {public} if files.exists(public) and not is_whole(public, files.read(public)) else set()


def is_whole(path: str, text: Optional[str]) -> bool:
    """Return whether a file is complete. kubeadm and kubelet do not replace files atomically, so a kill or power loss truncates them."""
    if not text:
        return False
    if path.endswith((".crt", ".key", ".pub")):
        return "-----BEGIN " in text and text.rstrip().endswith("-----") and "-----END " in text
    if path.endswith(".conf"):
        # keys are sorted, so the user's credentials are last
        return text.endswith("\n") and "\nusers:" in text and ("client-key" in text.rpartition("\nusers:")[2])
    return text.endswith("\n")
