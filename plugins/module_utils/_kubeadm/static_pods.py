# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A control plane's static Pods, through containerd's own client, as the API server may be down; and their certificates.

kubeadm issues certificates for a year and renews them only in an upgrade. A static Pod reads most of them only when it starts, so it is
restarted (https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs/).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._ctr import ctr
from .._findings import Finding
from .._json import read_json
from .._refusal import Refusal
from .._waiting import look_until
from .host import NodeHost
from .state import CONFIGURATION

# the API server would take a minute to let its clients go
PATIENCE = {"SIGTERM": 5.0, "SIGKILL": 30.0}
POLL = 0.5
KUBELET_STARTS = 120.0


def stop(components: Sequence[str], host: NodeHost, socket: str) -> None:
    """Stop the running containers of components. The kubelet starts them again, unless it is stopped or their manifests are gone."""
    before = running = _running(components, host, socket)
    for signal, patience in PATIENCE.items():
        for name in running:
            host.commands.run(ctr(socket, "tasks", "kill", "--signal", signal, name), check=False)
        running = look_until(
            lambda: [name for name in _running(components, host, socket) if name in before], lambda left: not left, host, patience, POLL
        )
        if not running:
            return
    raise Refusal(
        f"containers {', '.join(name[:13] for name in running)}",
        "still running after SIGKILL",
        f"no container of {', '.join(components)}",
        "See `ctr --namespace k8s.io tasks list`, and the kernel's messages, then run again.",
    )


def restart(component: str, host: NodeHost, socket: str) -> None:
    """Stop a component, and wait until the kubelet has started it again."""
    stop([component], host, socket)
    if not look_until(lambda: _running([component], host, socket), bool, host, KUBELET_STARTS, POLL):
        raise Refusal(
            f"static Pod {component}",
            f"not started again {KUBELET_STARTS:g} s after it was stopped",
            "a running container",
            "See `journalctl -u kubelet` on the host, then run again.",
        )


def _running(components: Sequence[str], host: NodeHost, socket: str) -> list[str]:
    # of several filters, one is enough
    filters = [f'labels."io.kubernetes.container.name"=={name}' for name in components]
    listed = host.commands.run(ctr(socket, "containers", "list", "--quiet", *filters), timeout=60.0).stdout.split()
    lines = host.commands.run(ctr(socket, "tasks", "list"), timeout=60.0).stdout.splitlines()
    running = {words[0] for line in lines if len(words := line.split()) > 2 and words[2] == "RUNNING"}
    return sorted(running & set(listed))


# Certificates: when they expire, and their renewal in time

SECONDS_A_DAY = 86400
RULE = "certificates_last_a_while"
# certificates of kubeadm, and the static Pods that read them
READERS: Mapping[str, str] = {
    "etcd-server": "etcd",
    "etcd-peer": "etcd",
    "apiserver": "kube-apiserver",
    "apiserver-kubelet-client": "kube-apiserver",
    "apiserver-etcd-client": "kube-apiserver",
    "front-proxy-client": "kube-apiserver",
    "controller-manager.conf": "kube-controller-manager",
    "scheduler.conf": "kube-scheduler",
}


@dataclass(frozen=True)
class Certificate:
    """A certificate as kubeadm lists it. days: whole days until it expires. is_renewable: kubeadm has its CA's key, and it is no CA."""

    name: str
    expires: str
    days: int
    is_renewable: bool

    @property
    def when(self) -> str:
        return f"expired on {self.expires}" if self.days < 0 else f"expires in {self.days} days, on {self.expires}"

    def as_data(self) -> dict[str, Any]:
        return {"name": self.name, "expires": self.expires, "days": self.days}


def read_expirations(text: str) -> list[Certificate]:
    """Parse `kubeadm certs check-expiration -o json`: every existing certificate and CA."""
    try:
        read = read_json(text[text.index("{") :])
    except ValueError:
        return []
    return [
        Certificate(entry["name"], entry["expirationDate"], entry["residualTime"] // SECONDS_A_DAY, is_leaf and not _is_external(entry))
        for kind, is_leaf in (("certificates", True), ("certificateAuthorities", False))
        for entry in read.get(kind) or []
        if entry.get("expirationDate") and not entry.get("missing")
    ]


def _is_external(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("externallyManaged"))


def due(certificates: Sequence[Certificate], least_days: int) -> list[Certificate]:
    """Return the certificates to renew now."""
    return [one for one in certificates if one.is_renewable and one.days < least_days]


def renewals(certificates: Sequence[Certificate]) -> list[str]:
    """Return a line for each certificate that is renewed."""
    return [f"certificate {one.name}: {one.when}; renewed by `kubeadm certs renew {one.name}`" for one in certificates]


def renew(names: Sequence[str], host: NodeHost) -> None:
    """Renew certificates. The static Pods that read them go on with the old ones until they are restarted."""
    for name in names:
        host.commands.run(["kubeadm", "certs", "renew", name, f"--config={CONFIGURATION}"], timeout=60.0)


def renew_and_restart(names: Sequence[str], host: NodeHost, socket: str) -> None:
    """Renew certificates, and restart one static Pod after the other that reads any of them. socket: of containerd.

    What follows a failure is not renewed, so that the next run restarts its static Pods, too.
    """
    renew([name for name in names if name not in READERS], host)
    for component in dict.fromkeys(READERS.values()):
        read = [name for name in names if READERS.get(name) == component]
        if read:
            renew(read, host)
            restart(component, host, socket)


def findings(certificates: Sequence[Certificate], least_days: int) -> list[Finding]:
    """Report certificates that expire soon and cannot be renewed by kubeadm. No certificates at all is unknown, not fine."""
    if not certificates:
        return [
            Finding(
                RULE,
                "warning",
                "kubeadm's certificates",
                "unknown: kubeadm listed none",
                f"at least {least_days} days each",
                "Run `kubeadm certs check-expiration` on the host.",
            )
        ]
    return [
        Finding(
            RULE,
            "error" if one.days < 0 else "warning",
            f"certificate {one.name}",
            one.when,
            f"at least {least_days} days",
            "kubeadm does not renew it. A certificate of your own CA: issue it again in /etc/kubernetes/pki. A CA: rotate it as "
            "https://kubernetes.io/docs/tasks/tls/manual-rotation-of-ca-certificates/ describes.",
        )
        for one in certificates
        if one.days < least_days and not one.is_renewable
    ]
