# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adapt Calico's manifest to a network plan."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Callable, Optional, Union

from .._cluster.api import Previewer
from .._cluster.objects import pending
from .._json import read_json
from .._network_plan.model import Plan
from .._network_plan.ports import may_use_typha, uses_typha
from .._network_plan.ranges import pools
from .._refusal import Refusal
from .._versions import image_name
from .documents import (
    API_VERSION,
    Document,
    Manifest,
    command_of,
    container,
    edit_variable,
    environment,
    lacking,
    modes_of,
    overlay_of,
    pool_documents,
    put_variable,
    read_plan,
    remove_argument,
    version_of,
)
from .typha import SERVICE_NAME, TYPHA, Placement, has_typha, place

# The manifest for a network plan, made from upstream's documents

METRICS_PORT = 9091
# enable Felix metrics for Prometheus; other settings keep Calico's defaults (iptablesBackend Auto detects the host's)
FELIX: Mapping[str, object] = {"prometheusMetricsEnabled": True, "prometheusMetricsPort": METRICS_PORT}
_BARE, _QUOTED = "__CNI_MTU__", '"__CNI_MTU__"'
_BIRD = {"livenessProbe": ("bird-live", "felix-live"), "readinessProbe": ("bird-ready", "felix-ready")}
_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"


@dataclass(frozen=True)
class Wishes:
    """Options for the manifest beyond the plan.

    mtu: of pods, or `plan` for the plan's derived MTU, or `auto` for what Calico detects on each host. images: by the last part of
    upstream's name, `node`. felix: fields of FelixConfiguration. node_env: variables of calico-node. awake: the hosts that never sleep.
    sleepers: how many hosts may sleep. typha: how often and where Typha runs, if the manifest has it.
    """

    mtu: Union[int, str] = "plan"
    images: Mapping[str, str] = field(default_factory=dict)
    felix: Mapping[str, object] = field(default_factory=dict)
    node_env: Mapping[str, object] = field(default_factory=dict)
    awake: tuple[str, ...] = ()
    sleepers: int = 0
    typha: Placement = field(default_factory=Placement)


@dataclass(frozen=True)
class Parts:
    """The documents in the order of application: definitions, Felix' configuration (and the pools), the rest."""

    version: str
    definitions: list[Document]
    felix: Document
    rest: list[Document]
    typha: bool = False


def as_planned(documents: Sequence[object], plan: Plan, wishes: Wishes) -> Parts:
    manifest = Manifest(documents)
    daemon_set = manifest.one("DaemonSet", "calico-node")
    node = container(daemon_set, "calico-node")
    version = version_of(node)
    _configure(manifest.one("ConfigMap", "calico-config"), plan, wishes)
    _set_node_variables(node, plan, wishes)
    _judge_without_bird(node, plan)
    _roll_out_beside_sleepers(daemon_set, wishes)
    _keep_awake(manifest.one("Deployment", "calico-kube-controllers"), wishes)
    typha = has_typha(manifest)
    if typha:
        place(manifest, wishes.typha)
    _require_pool_fields(manifest, plan)
    felix = _felix(manifest, node, wishes)
    _take_images(manifest, wishes)
    definitions = [document for document in manifest.documents if document["kind"] == "CustomResourceDefinition"]
    rest = [document for document in manifest.documents if document["kind"] != "CustomResourceDefinition"]
    return Parts(version, definitions, felix, rest, typha)


def has_family(plan: Plan, version: int) -> bool:
    return any(pod.version == version for pod in plan.pod_cidr or ())


def uses_bird(plan: Plan) -> bool:
    """Return whether BIRD routes the pods. VXLAN pools are routed by Felix."""
    return overlay_of(plan.encapsulation or "None") != "VXLAN"


def mtu_of(plan: Plan, wanted: Union[int, str]) -> int:
    """Return the MTU; 0: Calico detects it."""
    if wanted == "plan":
        return min(pool.mtu for pool in pools(plan))
    if wanted == "auto":
        return 0
    # IPv6 needs 1280 (RFC 8200); jumbo frames have about 9000 bytes
    lowest = 1280 if has_family(plan, 6) else 576
    if not str(wanted).isdigit() or not lowest <= int(wanted) <= 9216:
        raise Refusal("calico_mtu", repr(wanted), f"plan, auto, or a number of bytes from {lowest} to 9216", "Write calico_mtu: plan.")
    return int(wanted)


def _configure(config: Document, plan: Plan, wishes: Wishes) -> None:
    data = config.get("data") or {}
    for key in ("calico_backend", "veth_mtu", "cni_network_config"):
        if not isinstance(data.get(key), str):
            raise lacking(f"ConfigMap calico-config: {key}", "nothing", "a string to edit")
    data["calico_backend"] = "bird" if uses_bird(plan) else "vxlan"
    data["veth_mtu"] = str(mtu_of(plan, wishes.mtu))
    if has_family(plan, 6):
        data["cni_network_config"] = _give_addresses(data["cni_network_config"], plan)


def _give_addresses(text: str, plan: Plan) -> str:
    """Make the CNI plugin assign addresses of the plan's families. Upstream's text is JSON except for one number placeholder."""
    bare = _BARE in text and _QUOTED not in text
    try:
        network = read_json(text.replace(_BARE, _QUOTED) if bare else text)
        ipams = [plugin["ipam"] for plugin in network["plugins"] if plugin.get("type") == "calico"]
    except (ValueError, KeyError, TypeError, AttributeError):
        ipams = []
    if len(ipams) != 1 or not isinstance(ipams[0], dict) or ipams[0].get("type") != "calico-ipam":
        raise lacking("ConfigMap calico-config: cni_network_config", "no plugin calico with calico-ipam", "JSON with one such plugin")
    ipams[0].update({f"assign_ipv{version}": str(has_family(plan, version)).lower() for version in (4, 6)})
    edited = json.dumps(network, indent=2)
    return edited.replace(_QUOTED, _BARE) if bare else edited


def node_variables(plan: Plan) -> tuple[dict[str, str], dict[str, str]]:
    """Return the variables of calico-node that depend on the plan: those that upstream sets, and those that we add."""
    ipip, vxlan = modes_of(plan.encapsulation or "None")
    pools_of_ipv6 = [pool for pool in pools(plan) if pool.cidr.version == 6]
    edited = {
        "IP": "autodetect" if has_family(plan, 4) else "none",
        "CALICO_IPV4POOL_IPIP": ipip,
        "CALICO_IPV4POOL_VXLAN": vxlan,
        "CALICO_IPV6POOL_VXLAN": modes_of(pools_of_ipv6[0].encapsulation)[1] if pools_of_ipv6 else "Never",
        "FELIX_IPV6SUPPORT": str(has_family(plan, 6)).lower(),
    }
    # we apply the pools as objects; calico-node would create 192.168.0.0/16 for a family without one
    added = {"NO_DEFAULT_POOLS": "true"}
    for version, suffix in ((4, ""), (6, "6")):
        if has_family(plan, version):
            # kubelet's --node-ip: other interfaces may have addresses of node_cidr too, such as Wi-Fi, a virtual IP or a macvlan
            added[f"IP{suffix}_AUTODETECTION_METHOD"] = "kubernetes-internal-ip"
    if has_family(plan, 6):
        added["IP6"] = "autodetect"
    if not has_family(plan, 4):
        added["CALICO_ROUTER_ID"] = "hash"
    return edited, added


def _set_node_variables(node: Document, plan: Plan, wishes: Wishes) -> None:
    edited, added = node_variables(plan)
    for name, value in edited.items():
        edit_variable(node, name, value)
    for name, value in added.items():
        put_variable(node, name, value)
    # these set the pools of the first start, which NO_DEFAULT_POOLS disables
    ours = {*edited, *added, "CALICO_IPV4POOL_CIDR", "CALICO_IPV6POOL_CIDR", "CALICO_NETWORKING_BACKEND", "NODENAME", SERVICE_NAME}
    for name, wanted in wishes.node_env.items():
        if name in ours:
            required = "a variable that does not follow from the network plan"
            raise Refusal(f"calico_node_env.{name}", str(wanted), required, "Remove it from calico_node_env, and change network_plan.")
        put_variable(node, name, str(wanted).lower() if isinstance(wanted, bool) else str(wanted))


def _judge_without_bird(node: Document, plan: Plan) -> None:
    """Remove BIRD from the probes if it does not run: such a probe would never succeed."""
    for probe, (bird, felix) in _BIRD.items():
        if not uses_bird(plan):
            remove_argument(node, probe, bird, beside=felix)
        elif bird not in [word.lstrip("-") for word in command_of(node, probe)]:
            raise lacking(f"container {node['name']}: {probe}", " ".join(command_of(node, probe)) or "no command", f"a command with {bird}")


def _roll_out_beside_sleepers(daemon_set: Document, wishes: Wishes) -> None:
    """Raise maxUnavailable by the sleep-capable hosts: Pods on hosts that are asleep are unavailable, and would block updates of others."""
    rolling = (daemon_set["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
    if not isinstance(rolling.get("maxUnavailable"), int):
        raise lacking("DaemonSet calico-node: updateStrategy.rollingUpdate.maxUnavailable", str(rolling.get("maxUnavailable")), "a number")
    rolling["maxUnavailable"] += wishes.sleepers


def _keep_awake(deployment: Document, wishes: Wishes) -> None:
    """Prefer hosts that never sleep for the controllers, usually the control plane."""
    pod = deployment["spec"]["template"]["spec"]
    if not any(_tolerates_the_control_plane(one) for one in pod.get("tolerations") or ()):
        raise lacking(
            "Deployment calico-kube-controllers: tolerations", json.dumps(pod.get("tolerations")), f"one of {_CONTROL_PLANE}:NoSchedule"
        )
    if wishes.sleepers and wishes.awake:
        if "affinity" in pod:
            raise lacking("Deployment calico-kube-controllers: affinity", json.dumps(pod["affinity"]), "none, as the role sets its own")
        names = {"key": "kubernetes.io/hostname", "operator": "In", "values": sorted(wishes.awake)}
        preferred = [{"weight": 100, "preference": {"matchExpressions": [names]}}]
        pod["affinity"] = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}


def _tolerates_the_control_plane(toleration: Mapping[str, object]) -> bool:
    return toleration.get("key") in (_CONTROL_PLANE, None) and toleration.get("effect") in ("NoSchedule", None)


def _felix(manifest: Manifest, node: Document, wishes: Wishes) -> Document:
    known = manifest.fields_of("felixconfigurations.crd.projectcalico.org")
    spec = {**FELIX, **wishes.felix}
    set_by_variables = {name.removeprefix("FELIX_"): name for name in environment(node) if name.startswith("FELIX_")}
    for name in spec:
        if name not in known:
            near = sorted(one for one in known if one.lower() == str(name).lower())
            found, required = "no such field in this release", f"a field of FelixConfiguration{f', {near[0]}' if near else ''}"
            raise Refusal(f"calico_felix.{name}", found, required, "Correct its name, or remove it.")
        if str(name).upper() in set_by_variables:
            found = f"a setting that calico-node's variable {set_by_variables[str(name).upper()]} overrides"
            raise Refusal(
                f"calico_felix.{name}",
                found,
                "a setting without such a variable",
                f"Set {set_by_variables[str(name).upper()]} in calico_node_env.",
            )
    return {"apiVersion": API_VERSION, "kind": "FelixConfiguration", "metadata": {"name": "default"}, "spec": spec}


def _require_pool_fields(manifest: Manifest, plan: Plan) -> None:
    """Check that this release's IPPool has the fields of the pools to apply."""
    known = manifest.fields_of("ippools.crd.projectcalico.org")
    for missing in sorted({name for pool in pool_documents(plan, (), True) for name in pool["spec"]} - set(known)):
        raise lacking("CustomResourceDefinition ippools.crd.projectcalico.org", f"no field {missing}", f"the field {missing}")


def _take_images(manifest: Manifest, wishes: Wishes) -> None:
    used = {}
    for one in manifest.containers():
        short = image_name(str(one["image"])).rpartition("/")[2]
        used[short] = one["image"]
        one["image"] = wishes.images.get(short, one["image"])
        one["imagePullPolicy"] = "IfNotPresent"
    for stranger in sorted(set(wishes.images) - {*used, "typha"}):
        raise Refusal(
            f"calico_images.{stranger}", "an image that this release does not use", f"one of {', '.join(sorted(used))}", "Correct its name."
        )


# Objects of Calico that are not applied to the cluster yet


def outstanding(
    manifest: Mapping[str, Any], pools: Sequence[Document], typha: Sequence[Document], cluster: Previewer, manager: str
) -> dict[str, list[Document]]:
    """definitions: custom resources, which must be served before their objects are applied. objects: all others.

    removals: the objects of Typha (those that exist), if the manifest does not have it.
    """
    definitions = manifest["definitions"]
    everything = [*definitions, manifest["felix"], *pools, *manifest["rest"]]
    found = pending(everything, cluster, manager)
    return {
        "definitions": [one for one in definitions if one in found or not _is_served(one, cluster)],
        "objects": [one for one in found if one not in definitions],
        "removals": [] if manifest["typha"] else list(typha),
    }


def _is_served(definition: Document, cluster: Previewer) -> bool:
    """Return whether the API server serves it, which takes some time after its creation."""
    spec = definition["spec"]
    versions = [one["name"] for one in spec["versions"] if one.get("served")]
    return all(cluster.serves(f"{spec['group']}/{version}", spec["names"]["kind"]) for version in versions)


# Options of calico_manifest and calico_preflight_check, and the result

WHO = "calico_manifest"
SUBJECT = "Calico's manifest"
WITH_TYPHA = "Calico's manifest with Typha"
_NEXT = "Download the file again from Calico's release, or correct its checksum if you trust this one."
_OPTIONS = ("plan", "hosts", "sha256", "sums", "known", "version", "file", "mtu", "images", "felix", "node_env")
MANIFEST, TYPHA_MANIFEST = "manifests/calico.yaml", "manifests/calico-typha.yaml"


@dataclass(frozen=True)
class Order:
    """sha256: expected checksum of the text. sums: SHA256SUMS of its source directory. known: the checksum of each known version.

    file: the path of the manifest in its source directory.
    """

    plan: Plan
    wishes: Wishes
    sha256: str
    sums: Optional[str]
    known: Mapping[str, str]
    version: str
    file: str = MANIFEST

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Order:
        for stranger in sorted(set(options) - set(_OPTIONS)):
            raise Refusal(f"{WHO}: {stranger}", "an unknown option", f"one of {', '.join(_OPTIONS)}", "Correct its name.")
        hosts = options.get("hosts") or []
        wishes = {one.name: options[one.name] for one in fields(Wishes) if options.get(one.name) is not None}
        awake = tuple(str(host.get("name")) for host in hosts if not host.get("sleeps"))
        return cls(
            plan=read_plan(options.get("plan"), WHO),
            wishes=Wishes(**{**wishes, "awake": awake, "sleepers": len(hosts) - len(awake), "typha": Placement.of(hosts)}),
            sha256=str(options.get("sha256") or "").lower(),
            sums=options.get("sums"),
            known=options.get("known") or {},
            version=str(options.get("version") or "").removeprefix("v"),
            file=str(options.get("file") or MANIFEST),
        )

    def verify(self, digest: str) -> None:
        """Reject a text with a wrong checksum, before it is parsed."""
        if self.sums is not None:
            wanted = _sum_of(self.sums, self.file)
            if digest != wanted:
                raise Refusal(self.file, f"SHA-256 {digest}", f"{wanted or 'a line for it'}, as in SHA256SUMS", _NEXT)
        elif digest != self.sha256:
            required = self.sha256 or f"a checksum for it; known are those of {', '.join(sorted(self.known)) or 'no version'}"
            raise Refusal(SUBJECT, f"SHA-256 {digest}", required, _NEXT)

    def verify_version(self, found: str, digest: str) -> None:
        """Check that a directory's file of a known version is upstream's own."""
        if self.version and found != self.version:
            raise Refusal(SUBJECT, f"version {found}", self.version, "Set calico_version to the version of the manifest.")
        if self.sums is not None and digest != self.known.get(found, digest):
            raise Refusal(f"{self.file} of version {found}", f"SHA-256 {digest}", f"upstream's {self.known[found]}", _NEXT)


def files_of(plan: object, hosts: Sequence[object], who: str) -> list[str]:
    """Return the manifests that may be needed. Whether a cluster of medium size keeps Typha is known only when it is read."""
    known = read_plan(plan, who)
    without = [] if uses_typha(known, len(hosts), runs=False) else ["calico.yaml"]
    return [*without, *(["calico-typha.yaml"] if may_use_typha(known, len(hosts)) else [])]


def _sum_of(sums: str, file: str) -> str:
    """Return the checksum of a file from sha256sum format: checksum, blank, blank or asterisk, path."""
    pairs = (line.split(maxsplit=1) for line in sums.splitlines() if " " in line.strip())
    return next((digest.lower() for digest, path in pairs if path.lstrip("*").removeprefix("./").strip() == file), "")


ReadDocuments = Callable[[str, str], Sequence[object]]


def read_manifest(
    params: Mapping[str, Any], typha_runs: bool, read_text: Callable[[str, str], str], read_documents: ReadDocuments
) -> dict[str, Any]:
    """Return the manifest for calico_preflight_check; empty if none is given. typha_runs: whether the cluster has Typha."""
    if not params["manifest"]:
        return {}
    options = {**params["manifest"], "plan": params["plan"]}
    with_typha = options.pop("typha") or {}
    wanted = uses_typha(read_plan(params["plan"], WHO), len(options["hosts"] or ()), typha_runs)
    if wanted:
        options.update(path=with_typha.get("path"), sha256=with_typha.get("sha256"), known=with_typha.get("known"), file=TYPHA_MANIFEST)
    path, sums = options.pop("path"), options.pop("sums")
    if not path:
        fix = "Set manifest.typha to Calico's calico-typha.yaml, or typha: absent in the network plan."
        raise Refusal(WITH_TYPHA, "no option manifest.typha", "the path of calico-typha.yaml, because this cluster uses Typha", fix)
    options["sums"] = read_text(sums, "SHA256SUMS") if sums else None
    made = planned(read_text(path, WITH_TYPHA if wanted else SUBJECT), options, read_documents)
    if made["typha"] != wanted:
        found, required = (TYPHA, f"no {TYPHA}") if made["typha"] else (f"no {TYPHA}", TYPHA)
        fix = "Use Calico's calico.yaml and calico-typha.yaml, or set typha in the network plan to absent or present."
        raise Refusal(f"{WITH_TYPHA if wanted else SUBJECT} {path}", f"{found} in it", f"{required} in it", fix)
    return made


def planned(text: str, options: Mapping[str, Any], read_documents: ReadDocuments) -> dict[str, Any]:
    """Return the manifest for the plan; see Order for the options."""
    order = Order.of(options)
    digest = hashlib.sha256(text.encode()).hexdigest()
    order.verify(digest)
    return to_apply(read_documents(text, SUBJECT), order, digest)


def to_apply(documents: Sequence[object], order: Order, digest: str) -> dict[str, Any]:
    parts = as_planned(documents, order.plan, order.wishes)
    order.verify_version(parts.version, digest)
    return {
        "version": parts.version,
        "images": sorted(_images(parts.rest)),
        "definitions": parts.definitions,
        "felix": parts.felix,
        "rest": parts.rest,
        "typha": parts.typha,
    }


def _images(documents: Sequence[Mapping[str, Any]]) -> set[str]:
    pods = [document["spec"]["template"]["spec"] for document in documents if "template" in (document.get("spec") or {})]
    return {one["image"] for pod in pods for one in (*pod.get("initContainers", ()), *pod.get("containers", ()))}
