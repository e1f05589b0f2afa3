# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds and edits what an upstream manifest holds, and refuses by name what it does not hold: nothing is edited by guess."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

Document = dict[str, Any]
_NEXT = "Set calico_version and its checksum to a release that roles/calico knows."


class Manifest:
    """The documents of an upstream manifest, copied, in their order."""

    def __init__(self, documents: Sequence[object]) -> None:
        for position, document in enumerate(documents):
            if not isinstance(document, dict) or not document.get("kind") or not (document.get("metadata") or {}).get("name"):
                raise lacking(f"document {position + 1}", "no Kubernetes object", "an object with kind and metadata.name")
        self.documents: list[Document] = copy.deepcopy([document for document in documents if isinstance(document, dict)])

    def one(self, kind: str, name: str) -> Document:
        found = [document for document in self.documents if (document["kind"], document["metadata"]["name"]) == (kind, name)]
        if len(found) != 1:
            of_kind = sorted(document["metadata"]["name"] for document in self.documents if document["kind"] == kind)
            raise lacking(f"{kind} {name}", f"{len(found)} of it; {kind}: {', '.join(of_kind) or 'none'}", "one of it")
        return found[0]

    def workloads(self) -> Iterator[Document]:
        return (document for document in self.documents if "template" in (document.get("spec") or {}))

    def containers(self) -> Iterator[Document]:
        """All containers and init containers of all workloads."""
        for workload in self.workloads():
            pod = workload["spec"]["template"]["spec"]
            yield from (*pod.get("initContainers", ()), *pod.get("containers", ()))

    def fields_of(self, resource: str) -> Document:
        """The fields of a custom resource's spec: ``ippools.crd.projectcalico.org``."""
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
        raise lacking(f"{label}: container {name}", ", ".join(str(one.get("name")) for one in containers) or "no containers", "one of it")
    return dict_of(found[0], f"{label}: container {name}")


def dict_of(value: object, subject: str) -> Document:
    if not isinstance(value, dict):
        raise lacking(subject, type(value).__name__, "a mapping")
    return value


def environment(one: Document) -> dict[str, Document]:
    """The variables of a container by name; their entries may be edited in place."""
    return {entry["name"]: entry for entry in one.get("env") or ()}


def put_variable(one: Document, name: str, value: str) -> None:
    """Give a variable a value, wherever its value came from."""
    entry = environment(one).get(name)
    if entry is None:
        one.setdefault("env", []).append({"name": name, "value": value})
    else:
        entry.pop("valueFrom", None)
        entry["value"] = value


def edit_variable(one: Document, name: str, value: str) -> None:
    """Change a variable that upstream sets to a value of its own."""
    entry = environment(one).get(name)
    if entry is None or "value" not in entry:
        found = "no such variable" if entry is None else "no value of its own"
        raise lacking(f"container {one['name']}: variable {name}", found, "a value to edit")
    entry["value"] = value


def remove_argument(one: Document, probe: str, argument: str, beside: str) -> None:
    """Take one flag out of a probe's command, however many dashes it has; another must stay, so that the probe still probes."""
    command = command_of(one, probe)
    flags = [word.lstrip("-") for word in command]
    for flag in (argument, beside):
        if flags.count(flag) != 1:
            raise lacking(f"container {one['name']}: {probe}", " ".join(command) or "no command", f"a command with {flag} once")
    one[probe]["exec"]["command"] = [word for word, flag in zip(command, flags) if flag != argument]


def command_of(one: Document, probe: str) -> list[str]:
    return [str(word) for word in ((one.get(probe) or {}).get("exec") or {}).get("command") or ()]
