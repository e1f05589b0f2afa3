# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calico's manifest as documents, found and edited by name. Calico's releases and IP pools."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Literal, Optional

from .._network_plan.model import Encapsulation, Network, Plan
from .._network_plan.ranges import Pool, pools
from .._network_plan.reading import read_needed
from .._refusal import Refusal
from .._versions import image_tag, minor_at_start, minor_text, release_of

# The upstream manifest: find and edit documents by name; what is missing is an error, never a guess

Document = dict[str, Any]
_NEXT = "Set calico_version and its checksum to a release that roles/calico knows."


class Manifest:
    """A copy of an upstream manifest's documents, in their order."""

    def __init__(self, documents: Sequence[object]) -> None:
        for position, document in enumerate(documents):
            if not isinstance(document, dict) or not document.get("kind") or not (document.get("metadata") or {}).get("name"):
                raise lacking(f"document {position + 1}", "not a Kubernetes object", "an object with kind and metadata.name")
        self.documents: list[Document] = copy.deepcopy([document for document in documents if isinstance(document, dict)])

    def one(self, kind: str, name: str) -> Document:
        found = [document for document in self.documents if (document["kind"], document["metadata"]["name"]) == (kind, name)]
        if len(found) != 1:
            of_kind = sorted(document["metadata"]["name"] for document in self.documents if document["kind"] == kind)
            raise lacking(f"{kind} {name}", f"{len(found)} objects; {kind}: {', '.join(of_kind) or 'none'}", "exactly one")
        return found[0]

    def workloads(self) -> Iterator[Document]:
        return (document for document in self.documents if "template" in (document.get("spec") or {}))

    def containers(self) -> Iterator[Document]:
        """All containers and init containers of all workloads."""
        for workload in self.workloads():
            pod = workload["spec"]["template"]["spec"]
            yield from (*pod.get("initContainers", ()), *pod.get("containers", ()))

    def fields_of(self, resource: str) -> Document:
        """Return the fields of a custom resource's spec, such as ``ippools.crd.projectcalico.org``."""
        versions = self.one("CustomResourceDefinition", resource)["spec"]["versions"]
        served = [version for version in versions if version["name"] == "v1" and version.get("served")]
        if not served:
            raise lacking(
                f"CustomResourceDefinition {resource}", f"versions {', '.join(version['name'] for version in versions)}", "version v1"
            )
        fields: Document = served[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        return fields


def lacking(subject: str, found: str, required: str) -> Refusal:
    return Refusal(f"Calico's manifest: {subject}", found, required, _NEXT)


def container(workload: Document, name: str) -> Document:
    label = f"{workload['kind']} {workload['metadata']['name']}"
    containers = workload["spec"]["template"]["spec"].get("containers", [])
    found = [one for one in containers if one.get("name") == name]
    if len(found) != 1:
        raise lacking(f"{label}: container {name}", ", ".join(str(one.get("name")) for one in containers) or "no containers", "exactly one")
    return dict_of(found[0], f"{label}: container {name}")


def dict_of(value: object, subject: str) -> Document:
    if not isinstance(value, dict):
        raise lacking(subject, type(value).__name__, "a mapping")
    return value


def environment(one: Document) -> dict[str, Document]:
    """Return the variables of a container by name; the entries may be edited in place."""
    return {entry["name"]: entry for entry in one.get("env") or ()}


def put_variable(one: Document, name: str, value: str) -> None:
    """Set a variable, whatever the source of its value was."""
    entry = environment(one).get(name)
    if entry is None:
        one.setdefault("env", []).append({"name": name, "value": value})
    else:
        entry.pop("valueFrom", None)
        entry["value"] = value


def edit_variable(one: Document, name: str, value: str) -> None:
    """Change a variable that the upstream manifest sets with a literal value."""
    entry = environment(one).get(name)
    if entry is None or "value" not in entry:
        found = "no such variable" if entry is None else "no literal value"
        raise lacking(f"container {one['name']}: variable {name}", found, "a value to edit")
    entry["value"] = value


def remove_argument(one: Document, probe: str, argument: str, beside: str) -> None:
    """Remove one flag from a probe's command, whatever its number of dashes. Another flag must remain, so that the probe still works."""
    command = command_of(one, probe)
    flags = [word.lstrip("-") for word in command]
    for flag in (argument, beside):
        if flags.count(flag) != 1:
            raise lacking(f"container {one['name']}: {probe}", " ".join(command) or "no command", f"a command with {flag} once")
    one[probe]["exec"]["command"] = [word for word, flag in zip(command, flags) if flag != argument]


def command_of(one: Document, probe: str) -> list[str]:
    return [str(word) for word in ((one.get(probe) or {}).get("exec") or {}).get("command") or ()]


# Calico's releases, from their requirements pages

REQUIREMENTS = "https://docs.tigera.io/calico/{release}/getting-started/kubernetes/requirements"
# the first and last Kubernetes version that Calico tests a release with
TESTED: dict[tuple[int, int], tuple[tuple[int, int], tuple[int, int]]] = {
    (3, 28): ((1, 27), (1, 30)),
    (3, 29): ((1, 29), (1, 32)),
    (3, 30): ((1, 31), (1, 35)),
    (3, 31): ((1, 32), (1, 35)),
    (3, 32): ((1, 34), (1, 36)),
}


def requirements_page(version: str) -> str:
    minor = minor_at_start(version)
    return REQUIREMENTS.format(release=minor_text(minor) if minor else "latest")


def version_of(node: Document) -> str:
    """Return the version in an image's tag, without the v."""
    tag = image_tag(str(node.get("image", "")))
    if release_of(tag) is None:
        raise lacking(f"container {node['name']}: image", str(node.get("image")), "an image whose tag is Calico's version")
    return tag.removeprefix("v")


# IP pools: planned and existing

Overlay = Literal["IPIP", "VXLAN", "None"]
Mode = Literal["Always", "CrossSubnet", "Never"]

API_VERSION = "crd.projectcalico.org/v1"
# the names that Calico uses for pools that it creates itself
DEFAULT_NAMES = {4: "default-ipv4-ippool", 6: "default-ipv6-ippool"}
DEFAULT_USES = ("Workload", "Tunnel")
EVERY_NODE = "all()"
_NEEDED = ("node_cidr", "pod_cidr", "encapsulation", "block_size", "kubernetes_version", "typha")


def read_plan(plan: object, who: str) -> Plan:
    """Return the plan if it contains all that Calico needs."""
    return read_needed(plan, _NEEDED, who).plan


def overlay_of(word: Encapsulation) -> Overlay:
    return "IPIP" if word.startswith("IPIP") else "VXLAN" if word.startswith("VXLAN") else "None"


def modes_of(word: Encapsulation) -> tuple[Mode, Mode]:
    """Return ipipMode and vxlanMode."""
    scope: Mode = "CrossSubnet" if word.endswith("CrossSubnet") else "Always"
    return (scope if overlay_of(word) == "IPIP" else "Never", scope if overlay_of(word) == "VXLAN" else "Never")


def leaves_by_nat(cidr: Network, wanted: bool) -> bool:
    """Return whether outgoing pod traffic is NATed to the node's address. Public IPv6 pod addresses need no NAT."""
    return wanted and (cidr.version == 4 or cidr.is_private)


@dataclass(frozen=True)
class LivePool:
    """An existing IPPool. cidr: None if it cannot be parsed."""

    name: str
    cidr: Optional[Network]
    block_size: int
    ipip: str
    vxlan: str
    nat_outgoing: bool
    disabled: bool
    node_selector: str
    allowed_uses: tuple[str, ...]
    assignment: str

    @property
    def overlay(self) -> Overlay:
        return "IPIP" if self.ipip != "Never" else "VXLAN" if self.vxlan != "Never" else "None"

    @property
    def scope(self) -> str:
        return self.ipip if self.ipip != "Never" else self.vxlan

    @property
    def serves_pods(self) -> bool:
        return not self.disabled and "Workload" in self.allowed_uses


def read_pools(resources: object) -> tuple[LivePool, ...]:
    """Parse IPPool objects of the Kubernetes API, with Calico's defaults for missing fields."""
    if not isinstance(resources, (list, tuple)):
        raise Refusal("pools", type(resources).__name__, "a list of IPPool objects", "Pass the resources of kubernetes.core.k8s_info.")
    return tuple(_live(resource) for resource in resources)


def _live(resource: object) -> LivePool:
    spec: Mapping[str, Any] = (resource.get("spec") or {}) if isinstance(resource, Mapping) else {}
    name = (resource.get("metadata") or {}).get("name") if isinstance(resource, Mapping) else None
    if not name or not spec.get("cidr"):
        raise Refusal("pools", "an object without name or spec.cidr", "IPPool objects", "Pass the resources of kubernetes.core.k8s_info.")
    try:
        cidr: Optional[Network] = ip_network(str(spec["cidr"]), strict=False)
    except ValueError:
        cidr = None
    return LivePool(
        name=str(name),
        cidr=cidr,
        block_size=int(spec.get("blockSize") or (122 if cidr is not None and cidr.version == 6 else 26)),
        ipip=spec.get("ipipMode") or "Never",
        vxlan=spec.get("vxlanMode") or "Never",
        nat_outgoing=bool(spec.get("natOutgoing")),
        disabled=bool(spec.get("disabled")),
        node_selector=spec.get("nodeSelector") or EVERY_NODE,
        allowed_uses=tuple(spec.get("allowedUses") or DEFAULT_USES),
        assignment=spec.get("assignmentMode") or "Automatic",
    )


def standing(pool: Pool, live: Iterable[LivePool]) -> Optional[LivePool]:
    """Return the existing pool with a planned pool's network, whatever its name, as after a migration."""
    return next((one for one in live if one.cidr == pool.cidr), None)


def pool_documents(plan: Plan, live: Sequence[LivePool], nat_outgoing: bool) -> list[Document]:
    return [_document(pool, standing(pool, live), nat_outgoing) for pool in pools(plan)]


def _document(pool: Pool, live: Optional[LivePool], nat_outgoing: bool) -> Document:
    ipip, vxlan = modes_of(pool.encapsulation)
    return {
        "apiVersion": API_VERSION,
        "kind": "IPPool",
        "metadata": {"name": live.name if live else DEFAULT_NAMES[pool.cidr.version]},
        "spec": {
            "cidr": str(pool.cidr),
            "blockSize": pool.block_size,
            "ipipMode": ipip,
            "vxlanMode": vxlan,
            "natOutgoing": leaves_by_nat(pool.cidr, nat_outgoing),
            "nodeSelector": EVERY_NODE,
            "allowedUses": list(DEFAULT_USES),
        },
    }
