# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to check in a cluster, and what was read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Optional, TypeVar, Union

from .._kubelet.requests import as_nodes, nodes_of
from .._refusal import Refusal

Object = Mapping[str, Any]

T = TypeVar("T")
# the value, or why it could not be read
Seen = Union[T, Refusal]

KUBE_SYSTEM = "kube-system"
NODE_LEASES = "kube-node-lease"
# Control plane components renew their Leases every 2 seconds, a kubelet every 10.
LATE, LATE_KUBELET = 30.0, 50.0
OWN_NAMESPACES = (KUBE_SYSTEM, "monitoring", "jellyfin")
CERTIFICATE_DAYS = 30

# the lists of each group, by their key in Sight.read
LISTS: dict[str, dict[str, tuple[str, str]]] = {
    "control_plane": {"Lease": ("coordination.k8s.io/v1", "Lease"), "Pod": ("v1", "Pod")},
    "workloads": {
        "Lease": ("coordination.k8s.io/v1", "Lease"),
        "Pod": ("v1", "Pod"),
        "Deployment": ("apps/v1", "Deployment"),
        "StatefulSet": ("apps/v1", "StatefulSet"),
        "DaemonSet": ("apps/v1", "DaemonSet"),
        "Job": ("batch/v1", "Job"),
    },
    "storage": {
        "Lease": ("coordination.k8s.io/v1", "Lease"),
        "Pod": ("v1", "Pod"),
        "PersistentVolume": ("v1", "PersistentVolume"),
        "PersistentVolumeClaim": ("v1", "PersistentVolumeClaim"),
    },
    "api": {
        "ValidatingWebhookConfiguration": ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
        "MutatingWebhookConfiguration": ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
        "APIService": ("apiregistration.k8s.io/v1", "APIService"),
        "Namespace": ("v1", "Namespace"),
    },
    "certificates": {"CertificateSigningRequest": ("certificates.k8s.io/v1", "CertificateSigningRequest")},
    "monitoring": {"Lease": ("coordination.k8s.io/v1", "Lease")},
}
GROUPS = tuple(LISTS)
# the API server's health reports, by the same key
PATHS = ("/livez?verbose", "/readyz?verbose")


@dataclass(frozen=True)
class Wanted:
    """The module's options. Host names are node names. replicas: planned replicas of CoreDNS. monitoring: its namespace.

    addresses: of each node in the inventory.
    """

    groups: tuple[str, ...] = GROUPS
    control_plane: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    asleep: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset(OWN_NAMESPACES)
    replicas: int = 1
    certificate_days: int = CERTIFICATE_DAYS
    monitoring: str = "monitoring"
    addresses: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def awake(self) -> tuple[str, ...]:
        return tuple(name for name in self.nodes if name not in self.asleep)


@dataclass(frozen=True)
class Sight:
    """What was read. now: the API server's time. read: lists by kind, the answers of /livez and /readyz, and those of monitoring.

    storage_bytes: the size of etcd's database. certificates: the end of validity of each.
    """

    now: datetime
    read: Mapping[str, Any] = field(default_factory=dict)
    storage_bytes: Seen[Optional[float]] = None
    certificates: Mapping[str, Seen[datetime]] = field(default_factory=dict)

    def all(self, kind: str) -> Sequence[Object]:
        """Return the objects of a kind; none if they could not be read, which is a separate finding."""
        found: Seen[Sequence[Object]] = self.read.get(kind, ())
        return () if isinstance(found, Refusal) else found

    def age(self, moment: object) -> float:
        """Return the seconds since a time; infinite if it cannot be parsed."""
        at = moment_of(moment)
        return (self.now - at).total_seconds() if at else float("inf")

    @cached_property
    def leases(self) -> Mapping[tuple[str, str], float]:
        """Return the seconds since each Lease was renewed, by namespace and name."""
        found = self.all("Lease")
        return {
            (one["metadata"]["namespace"], one["metadata"]["name"]): self.age((one.get("spec") or {}).get("renewTime")) for one in found
        }

    @property
    def takes_writes(self) -> bool:
        """Whether any Lease was renewed in time. If not, nothing can be written, and a late Lease does not show that its owner is down."""
        return min(self.leases.values(), default=0.0) <= LATE

    def silent_nodes(self, names: Iterable[str]) -> dict[str, float]:
        """Return nodes whose kubelets no longer renew their Leases, and since how many seconds."""
        ages = {name: self.leases.get((NODE_LEASES, name), 0.0) for name in names} if self.takes_writes else {}
        return {name: age for name, age in ages.items() if age > LATE_KUBELET}


def wanted(params: Mapping[str, Any]) -> Wanted:
    """Validate the module's options."""
    hosts = {str(one["name"]).lower(): one.get("role") for one in params["nodes"]}
    if params["certificate_days"] < 0:
        raise Refusal(
            "certificate_days", str(params["certificate_days"]), "a number of days, 0 or more", "Remove it for the default of 30 days."
        )
    return Wanted(
        tuple(group for group in GROUPS if group in params["groups"]),
        tuple(name for name, role in hosts.items() if role == "control_plane"),
        tuple(hosts),
        frozenset(name.lower() for name in params["asleep"]),
        frozenset(params["namespaces"]),
        params["dns_replicas"],
        params["certificate_days"],
        params["monitoring_namespace"],
        as_nodes(nodes_of(params["nodes"])),
    )


def moment_of(value: object) -> Optional[datetime]:
    """Parse a time as the Kubernetes API writes it."""
    try:
        # Python 3.9 parses neither the Z nor more than six digits
        return datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        return None


def name_of(thing: Object) -> str:
    """Return an object's name with its namespace, if it has one."""
    metadata = thing["metadata"]
    return "/".join(str(metadata[key]) for key in ("namespace", "name") if metadata.get(key))


def place_of(thing: Object) -> tuple[str, str]:
    """Return an object's namespace and name."""
    return thing["metadata"]["namespace"], thing["metadata"]["name"]


def seconds(count: float) -> str:
    if count == float("inf"):
        return "an unknown time"
    return f"{count:.0f} s" if count < 300 else f"{count / 60:.0f} minutes" if count < 7200 else f"{count / 3600:.0f} hours"
