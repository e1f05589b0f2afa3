# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The labels and taints of nodes, as the inventory names them: checked, compared with the Node, and set."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from .._json import read_json
from .._refusal import Refusal, Unavailable
from .api import Patcher

# What the inventory may name.
# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME_LENGTH, _PREFIX_LENGTH = 63, 253
_OF_KUBERNETES = re.compile(r"(.*\.)?(kubernetes|k8s)\.io")
# prefixes and keys of Kubernetes that the administrator sets: https://kubernetes.io/docs/reference/labels-annotations-taints/
_FOR_LABELS = ("node-role.kubernetes.io", "node-restriction.kubernetes.io", "topology.kubernetes.io", "node.kubernetes.io")
_FOR_TAINTS = ("node-role.kubernetes.io",)
_OF_THE_COLLECTION = "vmstation.cluster"
# what the Pods of the roles monitoring and jellyfin tolerate
TOLERATED_BY_ROLES = ("node-role.kubernetes.io/control-plane:NoSchedule",)
_OF_ROLES = {
    "node-role.kubernetes.io/control-plane": "kubeadm and the variable control_plane_schedulable decide about it",
    "node-role.kubernetes.io/master": "an old name of node-role.kubernetes.io/control-plane",
    "node-role.kubernetes.io/worker": "the role worker sets it",
}


@dataclass(frozen=True)
class Taint:
    key: str
    effect: str
    value: str = ""

    @property
    def identity(self) -> str:
        """A node has at most one taint of a key and an effect."""
        return f"{self.key}:{self.effect}"

    def __str__(self) -> str:
        return f"{self.key}={self.value}:{self.effect}" if self.value else self.identity


@dataclass(frozen=True)
class Wish:
    """What a node is to have."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]


def inventory_errors(labels: object, taints: object, prefix: str = "node_") -> list[Refusal]:
    """All that is wrong with the variables ``node_labels`` and ``node_taints``, or with those of another prefix."""
    return [*_label_errors(labels, f"{prefix}labels", by_inventory=True), *_taint_errors(taints, f"{prefix}taints", by_inventory=True)]


def repelling(taints: object, tolerated: Collection[str]) -> list[str]:
    """Key and effect of the taints that keep a Pod away. tolerated: those that it tolerates. Kubernetes' own come and go by themselves."""
    entries = [one for one in taints if isinstance(one, Mapping)] if isinstance(taints, (list, tuple)) else []
    lasting = [one for one in entries if not str(one.get("key")).startswith("node.kubernetes.io/")]
    named = (f"{one.get('key')}:{one.get('effect')}" for one in lasting if one.get("effect") in ("NoSchedule", "NoExecute"))
    return [one for one in named if one not in tolerated]


def wishes(nodes: Sequence[Mapping[str, Any]]) -> list[Wish]:
    """The option ``nodes`` of the module, read."""
    found = []
    for index, node in enumerate(nodes):
        subject = f"nodes[{index}]"
        errors = [*_label_errors(node["labels"], f"{subject}.labels"), *_taint_errors(node["taints"], f"{subject}.taints")]
        if errors:
            raise errors[0]
        taints = tuple(Taint(one["key"], one["effect"], one.get("value") or "") for one in node["taints"])
        found.append(Wish(node["name"].lower(), node["labels"], taints))
    return found


def _label_errors(labels: object, variable: str, *, by_inventory: bool = False) -> Iterator[Refusal]:
    if not isinstance(labels, Mapping):
        yield Refusal(variable, repr(labels), "a dictionary", f"Write it as `{variable}: {{disk: ssd}}`.")
        return
    for key, value in labels.items():
        yield from _key_errors(key, f"{variable}, key {key}", _FOR_LABELS if by_inventory else None)
        yield from _value_errors(value, f"{variable}, value of {key}")


def _taint_errors(taints: object, variable: str, *, by_inventory: bool = False) -> Iterator[Refusal]:
    if not isinstance(taints, (list, tuple)):
        yield Refusal(variable, repr(taints), "a list", f"Write it as `{variable}: [{{key: gpu, effect: NoSchedule}}]`.")
        return
    seen = set()
    for index, taint in enumerate(taints):
        subject = f"{variable}[{index}]"
        if not isinstance(taint, Mapping) or not {"key", "effect"} <= set(taint) <= {"key", "effect", "value"}:
            yield Refusal(subject, repr(taint), "a dictionary of key, effect and, if needed, value", "Correct the names of its keys.")
            continue
        yield from _key_errors(taint["key"], f"{subject}.key", _FOR_TAINTS if by_inventory else None)
        yield from _value_errors(taint.get("value") or "", f"{subject}.value")
        if taint["effect"] not in EFFECTS:
            step = "NoSchedule keeps new Pods off the node, PreferNoSchedule only if there is another node, NoExecute also evicts Pods."
            yield Refusal(f"{subject}.effect", repr(taint["effect"]), f"one of {', '.join(EFFECTS)}", step)
        identity = f"{taint['key']}:{taint['effect']}"
        if identity in seen:
            yield Refusal(subject, f"a second taint {identity}", "one taint of a key and an effect", "Remove one of them.")
        seen.add(identity)


def _key_errors(key: object, subject: str, allowed: Optional[Sequence[str]]) -> Iterator[Refusal]:
    """allowed: the prefixes of Kubernetes that the key may have; None: any."""
    prefix, slash, name = str(key).rpartition("/")
    fits = _NAME.fullmatch(name) and len(name) <= _NAME_LENGTH
    fits = fits and (not slash or (_PREFIX.fullmatch(prefix) and len(prefix) <= _PREFIX_LENGTH))
    if not isinstance(key, str) or not fits:
        required = (
            f"a name of at most {_NAME_LENGTH} letters, digits, `-`, `_` and `.` that begins and ends with a letter or a digit; before it, "
            "if needed, a DNS domain in lower case and `/`"
        )
        yield Refusal(subject, repr(key), required, "Write a key such as disk or example.com/disk.")
    elif allowed is not None and key in _OF_ROLES:
        yield Refusal(subject, f"{key}: {_OF_ROLES[key]}", "another key", "Remove it.")
    elif allowed is not None and prefix == _OF_THE_COLLECTION:
        yield Refusal(subject, f"{key}, of the collection itself", "another prefix", f"Write {name}, or a domain of your own before it.")
    elif allowed is not None and _OF_KUBERNETES.fullmatch(prefix) and prefix not in allowed:
        required = f"a key outside kubernetes.io and k8s.io, which belong to Kubernetes, or one of {', '.join(allowed)}"
        yield Refusal(subject, key, required, f"Write {name}, or a domain of your own before it.")


def _value_errors(value: object, subject: str) -> Iterator[Refusal]:
    if not isinstance(value, str):
        yield Refusal(subject, repr(value), "a string", "Put it in quotes.")
    elif value and not (_NAME.fullmatch(value) and len(value) <= _NAME_LENGTH):
        required = f"at most {_NAME_LENGTH} letters, digits, `-`, `_` and `.`, the first and last a letter or a digit, or an empty string"
        yield Refusal(subject, repr(value), required, "Correct it, or use an annotation.")


# What a Node lacks of it. The keys that are ours are remembered on the Node, so that they can be removed; all others stay.

REMEMBERED = "vmstation.cluster/inventory"


@dataclass(frozen=True)
class Change:
    """patch: for the API. before, after: of what is or was ours. evicts: new taints that evict Pods."""

    patch: dict[str, Any]
    before: dict[str, Any]
    after: dict[str, Any]
    evicts: tuple[str, ...]


def remembered(node: Mapping[str, Any]) -> tuple[frozenset[str], frozenset[str]]:
    """The keys of labels, and the taints as ``key:effect``, that the inventory named in the last run."""
    text = (node["metadata"].get("annotations") or {}).get(REMEMBERED, "{}")
    try:
        memory = read_json(text)
        return frozenset(memory.get("labels", ())), frozenset(memory.get("taints", ()))
    except (ValueError, AttributeError, TypeError):
        name = node["metadata"]["name"]
        step = f"`kubectl annotate node {name} {REMEMBERED}-`; then remove by hand what the inventory does not name any more."
        raise Refusal(f"node {name}, annotation {REMEMBERED}", repr(text), "what this collection wrote", step) from None


def taints_of_the_inventory(node: Mapping[str, Any]) -> frozenset[str]:
    """The taints that are remembered; none if the memory is damaged."""
    try:
        return remembered(node)[1]
    except Refusal:
        return frozenset()


def change_of(node: Mapping[str, Any], wish: Wish) -> Optional[Change]:
    """What is to be changed, if anything."""
    metadata, there = node["metadata"], list((node.get("spec") or {}).get("taints") or ())
    old_labels, old_taints = remembered(node)
    labels: Mapping[str, str] = metadata.get("labels") or {}
    wanted = {one.identity: one for one in wish.taints}
    found = {one.identity: one for one in (Taint(raw["key"], raw["effect"], raw.get("value") or "") for raw in there)}
    ours = old_taints | set(wanted)

    new_labels: dict[str, Optional[str]] = {key: value for key, value in wish.labels.items() if labels.get(key) != value}
    new_labels.update((key, None) for key in old_labels if key in labels and key not in wish.labels)
    memory = {"labels": sorted(wish.labels), "taints": sorted(wanted)} if wish.labels or wanted else None
    old_text, text = (metadata.get("annotations") or {}).get(REMEMBERED), json.dumps(memory) if memory else None

    patch: dict[str, Any] = {}
    if new_labels:
        patch["labels"] = new_labels
    if text != old_text:
        patch["annotations"] = {REMEMBERED: text}
    spec: dict[str, Any] = {}
    if {key: one for key, one in found.items() if key in ours} != wanted:
        # what is right keeps its time
        kept = [raw for raw, one in zip(there, found.values()) if one.identity not in ours or wanted.get(one.identity) == one]
        added = [one for one in wish.taints if found.get(one.identity) != one]
        spec["taints"] = [*kept, *({"key": one.key, "effect": one.effect, **({"value": one.value} if one.value else {})} for one in added)]
        # the list is replaced, so no other client may have changed it meanwhile
        patch["resourceVersion"] = metadata["resourceVersion"]
    if not patch:
        return None
    had = {key: labels[key] for key in old_labels | set(wish.labels) if key in labels}
    return Change(
        {"metadata": patch, **({"spec": spec} if spec else {})},
        _shown(had, (found[key] for key in ours if key in found), old_text),
        _shown(wish.labels, wish.taints, text),
        tuple(str(one) for one in wish.taints if one.effect == "NoExecute" and one.identity not in found),
    )


def _shown(labels: Mapping[str, str], taints: Iterable[Taint], memory: Optional[str]) -> dict[str, Any]:
    return {"labels": dict(sorted(labels.items())), "taints": sorted(map(str, taints)), REMEMBERED: memory}


# Sets it, with one request for each node that differs.

TRIES = 5


@dataclass(frozen=True)
class Outcome:
    """One node. change: what was changed, or would be. error: why it could not be."""

    change: Optional[Change] = None
    error: Optional[Refusal] = None


def ensure(wanted: Sequence[Wish], cluster: Patcher, check_mode: bool) -> dict[str, Outcome]:
    """One list of nodes, then the patches. What fails for one node does not keep the others from theirs."""
    nodes = {str(node["metadata"]["name"]): node for node in cluster.items("v1", "Node")}
    outcomes = {}
    for wish in wanted:
        try:
            outcomes[wish.name] = Outcome(_ensure_one(wish, nodes.get(wish.name), cluster, check_mode))
        except Refusal as refusal:
            outcomes[wish.name] = Outcome(error=refusal)
    return outcomes


def _ensure_one(wish: Wish, node: Optional[Mapping[str, Any]], cluster: Patcher, check_mode: bool) -> Optional[Change]:
    for _try in range(TRIES):
        if node is None:
            step = "The host has not joined, or its Node was deleted: run the role worker on it, which joins it."
            raise Refusal(f"node {wish.name}", "no Node object", "a Node object", step)
        change = change_of(node, wish)
        if change is None or check_mode or cluster.patch("v1", "Node", wish.name, change.patch):
            return change
        node = cluster.get("v1", "Node", wish.name)
    raise Unavailable(f"node {wish.name}", f"changed by others at each of {TRIES} tries", "a Node that can be changed", "Run this again.")


def warnings(outcomes: Mapping[str, Outcome]) -> list[str]:
    """One for each taint that evicts Pods, when it is new."""
    evicting = ((name, taint) for name, outcome in outcomes.items() if outcome.change for taint in outcome.change.evicts)
    return [f"node {name}: the new taint {taint} evicts Pods that do not tolerate it" for name, taint in evicting]


def as_data(outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
    changes = {name: outcome.change for name, outcome in outcomes.items() if outcome.change}
    nodes = {name: {"changed": name in changes, "error": str(outcome.error or "")} for name, outcome in outcomes.items()}
    diff = {when: {name: getattr(change, when) for name, change in changes.items()} for when in ("before", "after")}
    return {"changed": bool(changes), "nodes": nodes, "diff": diff}
