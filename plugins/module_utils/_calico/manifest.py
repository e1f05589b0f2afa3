# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upstream's documents in, ours out: the manifest of Calico as a network plan wants it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Union

from ansible_collections.vmstation.cluster.plugins.module_utils._calico.documents import (
    Document,
    Manifest,
    command_of,
    container,
    edit_variable,
    environment,
    lacking,
    put_variable,
    remove_argument,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.pools import (
    API_VERSION,
    modes_of,
    overlay_of,
    pool_documents,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.releases import version_of
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.model import Plan
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.ranges import pools
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

METRICS_PORT = 9091
# Prometheus scrapes Felix; all else is Calico's own default (iptablesBackend Auto finds out what a host has)
FELIX: Mapping[str, object] = {"prometheusMetricsEnabled": True, "prometheusMetricsPort": METRICS_PORT}
_BARE, _QUOTED = "__CNI_MTU__", '"__CNI_MTU__"'
_BIRD = {"livenessProbe": ("bird-live", "felix-live"), "readinessProbe": ("bird-ready", "felix-ready")}
_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"


@dataclass(frozen=True)
class Wishes:
    """What the manifest is to become, besides the plan.

    mtu: of pods, or `plan` for what the plan derives, or `auto` for what Calico finds on each host. images: by the last part of upstream's
    name, `node`. felix: fields of FelixConfiguration. node_env: variables of calico-node. awake: the hosts that never sleep.
    sleepers: how many hosts sleep now and then.
    """

    mtu: Union[int, str] = "plan"
    images: Mapping[str, str] = field(default_factory=dict)
    felix: Mapping[str, object] = field(default_factory=dict)
    node_env: Mapping[str, object] = field(default_factory=dict)
    awake: tuple[str, ...] = ()
    sleepers: int = 0


@dataclass(frozen=True)
class Parts:
    """The documents in the order in which they are applied: definitions, then Felix' configuration (and the pools), then all else."""

    version: str
    definitions: list[Document]
    felix: Document
    rest: list[Document]


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
    _require_pool_fields(manifest, plan)
    felix = _felix(manifest, node, wishes)
    _take_images(manifest, wishes)
    definitions = [document for document in manifest.documents if document["kind"] == "CustomResourceDefinition"]
    rest = [document for document in manifest.documents if document["kind"] != "CustomResourceDefinition"]
    return Parts(version, definitions, felix, rest)


def has_family(plan: Plan, version: int) -> bool:
    return any(pod.version == version for pod in plan.pod_cidr or ())


def uses_bird(plan: Plan) -> bool:
    """Felix routes the pools of VXLAN by itself; all others are routed by BIRD."""
    return overlay_of(plan.encapsulation or "None") != "VXLAN"


def mtu_of(plan: Plan, wanted: Union[int, str]) -> int:
    """0: Calico finds it out."""
    if wanted == "plan":
        return min(pool.mtu for pool in pools(plan))
    if wanted == "auto":
        return 0
    # IPv6 needs 1280 (RFC 8200); 9000 is what the largest Ethernet frames carry, give or take a few
    lowest = 1280 if has_family(plan, 6) else 576
    if not str(wanted).isdigit() or not lowest <= int(wanted) <= 9216:
        raise Refusal("calico_mtu", repr(wanted), f"plan, auto, or a number of bytes from {lowest} to 9216", "Write calico_mtu: plan.")
    return int(wanted)


def _configure(config: Document, plan: Plan, wishes: Wishes) -> None:
    data = config.get("data") or {}
    for key in ("calico_backend", "veth_mtu", "cni_network_config"):
        if not isinstance(data.get(key), str):
            raise lacking(f"ConfigMap calico-config: {key}", "nothing", "a text to edit")
    data["calico_backend"] = "bird" if uses_bird(plan) else "vxlan"
    data["veth_mtu"] = str(mtu_of(plan, wishes.mtu))
    if has_family(plan, 6):
        data["cni_network_config"] = _give_addresses(data["cni_network_config"], plan)


def _give_addresses(text: str, plan: Plan) -> str:
    """Have the CNI plugin give addresses of the plan's families. Upstream's text is JSON but for one placeholder of a number."""
    bare = _BARE in text and _QUOTED not in text
    try:
        network = json.loads(text.replace(_BARE, _QUOTED) if bare else text)
        ipams = [plugin["ipam"] for plugin in network["plugins"] if plugin.get("type") == "calico"]
    except (ValueError, KeyError, TypeError, AttributeError):
        ipams = []
    if len(ipams) != 1 or not isinstance(ipams[0], dict) or ipams[0].get("type") != "calico-ipam":
        raise lacking("ConfigMap calico-config: cni_network_config", "no plugin calico with calico-ipam", "JSON with one such plugin")
    ipams[0].update({f"assign_ipv{version}": str(has_family(plan, version)).lower() for version in (4, 6)})
    edited = json.dumps(network, indent=2)
    return edited.replace(_QUOTED, _BARE) if bare else edited


def node_variables(plan: Plan) -> tuple[dict[str, str], dict[str, str]]:
    """Variables of calico-node that follow from the plan: those that upstream sets and we edit, and those that we add."""
    ipip, vxlan = modes_of(plan.encapsulation or "None")
    pools_of_ipv6 = [pool for pool in pools(plan) if pool.cidr.version == 6]
    edited = {
        "IP": "autodetect" if has_family(plan, 4) else "none",
        "CALICO_IPV4POOL_IPIP": ipip,
        "CALICO_IPV4POOL_VXLAN": vxlan,
        "CALICO_IPV6POOL_VXLAN": modes_of(pools_of_ipv6[0].encapsulation)[1] if pools_of_ipv6 else "Never",
        "FELIX_IPV6SUPPORT": str(has_family(plan, 6)).lower(),
    }
    # the pools are objects that we apply; calico-node would make one of 192.168.0.0/16 for a family that has none
    added = {"NO_DEFAULT_POOLS": "true"}
    for version, suffix in ((4, ""), (6, "6")):
        networks = [str(net) for net in plan.node_cidr or () if net.version == version]
        if has_family(plan, version) and networks:
            added[f"IP{suffix}_AUTODETECTION_METHOD"] = f"cidr={','.join(networks)}"
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
    # these make pools at the first start, which NO_DEFAULT_POOLS excludes
    ours = {*edited, *added, "CALICO_IPV4POOL_CIDR", "CALICO_IPV6POOL_CIDR", "CALICO_NETWORKING_BACKEND", "NODENAME"}
    for name, wanted in wishes.node_env.items():
        if name in ours:
            required = "a variable that does not follow from the network plan"
            raise Refusal(f"calico_node_env.{name}", str(wanted), required, "Take it out of calico_node_env, and change network_plan.")
        put_variable(node, name, str(wanted).lower() if isinstance(wanted, bool) else str(wanted))


def _judge_without_bird(node: Document, plan: Plan) -> None:
    """Without BIRD, a probe that asks for it never succeeds."""
    for probe, (bird, felix) in _BIRD.items():
        if not uses_bird(plan):
            remove_argument(node, probe, bird, beside=felix)
        elif bird not in [word.lstrip("-") for word in command_of(node, probe)]:
            raise lacking(f"container {node['name']}: {probe}", " ".join(command_of(node, probe)) or "no command", f"a command with {bird}")


def _roll_out_beside_sleepers(daemon_set: Document, wishes: Wishes) -> None:
    """A Pod on a host that sleeps is unavailable: it uses up maxUnavailable, and the others would never be updated."""
    rolling = (daemon_set["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
    if not isinstance(rolling.get("maxUnavailable"), int):
        raise lacking("DaemonSet calico-node: updateStrategy.rollingUpdate.maxUnavailable", str(rolling.get("maxUnavailable")), "a number")
    rolling["maxUnavailable"] += wishes.sleepers


def _keep_awake(deployment: Document, wishes: Wishes) -> None:
    """Have the controllers run where nobody sleeps, which is the control plane as a rule, if there is room."""
    pod = deployment["spec"]["template"]["spec"]
    if not any(_tolerates_the_control_plane(one) for one in pod.get("tolerations") or ()):
        raise lacking(
            "Deployment calico-kube-controllers: tolerations", json.dumps(pod.get("tolerations")), f"one of {_CONTROL_PLANE}:NoSchedule"
        )
    if wishes.sleepers and wishes.awake:
        if "affinity" in pod:
            raise lacking("Deployment calico-kube-controllers: affinity", json.dumps(pod["affinity"]), "none, for ours to take its place")
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
            raise Refusal(f"calico_felix.{name}", found, required, "Correct its name, or take it out.")
        if str(name).upper() in set_by_variables:
            found = f"a setting that calico-node's variable {set_by_variables[str(name).upper()]} overrides"
            raise Refusal(
                f"calico_felix.{name}", found, "a setting of its own", f"Set {set_by_variables[str(name).upper()]} in calico_node_env."
            )
    return {"apiVersion": API_VERSION, "kind": "FelixConfiguration", "metadata": {"name": "default"}, "spec": spec}


def _require_pool_fields(manifest: Manifest, plan: Plan) -> None:
    """The pools that will be applied are of this release's kind."""
    known = manifest.fields_of("ippools.crd.projectcalico.org")
    for missing in sorted({name for pool in pool_documents(plan, (), True) for name in pool["spec"]} - set(known)):
        raise lacking("CustomResourceDefinition ippools.crd.projectcalico.org", f"no field {missing}", f"the field {missing}")


def _take_images(manifest: Manifest, wishes: Wishes) -> None:
    used = {}
    for one in manifest.containers():
        name, _colon, _tag = str(one["image"]).rpartition(":")
        short = name.rpartition("/")[2]
        used[short] = one["image"]
        one["image"] = wishes.images.get(short, one["image"])
        one["imagePullPolicy"] = "IfNotPresent"
    for stranger in sorted(set(wishes.images) - set(used)):
        raise Refusal(
            f"calico_images.{stranger}", "an image that this release does not use", f"one of {', '.join(sorted(used))}", "Correct its name."
        )
