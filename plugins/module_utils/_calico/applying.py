# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the filter calico_manifest is asked for, and its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._calico.manifest import Wishes, as_planned
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.pools import read_plan
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.model import Plan
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

WHO = "calico_manifest"
SUBJECT = "Calico's manifest"
_NEXT = "Get the file anew from Calico's release, or correct its checksum if you trust this one."
_OPTIONS = ("plan", "hosts", "sha256", "sums", "known", "version", "mtu", "images", "felix", "node_env")
MANIFEST = "manifests/calico.yaml"


@dataclass(frozen=True)
class Order:
    """sha256: what the text must have. sums: the SHA256SUMS of the directory that it is from. known: the checksum of each known version."""

    plan: Plan
    wishes: Wishes
    sha256: str
    sums: Optional[str]
    known: Mapping[str, str]
    version: str

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Order:
        for stranger in sorted(set(options) - set(_OPTIONS)):
            raise Refusal(f"{WHO}: {stranger}", "an unknown option", f"one of {', '.join(_OPTIONS)}", "Correct its name.")
        hosts = options.get("hosts") or []
        wishes = {one.name: options[one.name] for one in fields(Wishes) if options.get(one.name) is not None}
        awake = tuple(str(host.get("name")) for host in hosts if not host.get("sleeps"))
        return cls(
            plan=read_plan(options.get("plan"), WHO),
            wishes=Wishes(**{**wishes, "awake": awake, "sleepers": len(hosts) - len(awake)}),
            sha256=str(options.get("sha256") or "").lower(),
            sums=options.get("sums"),
            known=options.get("known") or {},
            version=str(options.get("version") or "").removeprefix("v"),
        )

    def verify(self, digest: str) -> None:
        """Refuse a text that nobody vouches for, before it is even read."""
        if self.sums is not None:
            wanted = _sum_of(self.sums)
            if digest != wanted:
                raise Refusal(MANIFEST, f"SHA-256 {digest}", f"{wanted or 'a line for it'}, as in SHA256SUMS", _NEXT)
        elif digest != self.sha256:
            required = self.sha256 or f"a checksum for it; known are those of {', '.join(sorted(self.known)) or 'no version'}"
            raise Refusal(SUBJECT, f"SHA-256 {digest}", required, _NEXT)

    def verify_version(self, found: str, digest: str) -> None:
        """A directory's file of a version that is known must be upstream's own."""
        if self.version and found != self.version:
            raise Refusal(SUBJECT, f"version {found}", self.version, "Set calico_version to the version of the manifest.")
        if self.sums is not None and digest != self.known.get(found, digest):
            raise Refusal(f"{MANIFEST} of version {found}", f"SHA-256 {digest}", f"upstream's {self.known[found]}", _NEXT)


def _sum_of(sums: str) -> str:
    """The checksum of the manifest in the format of sha256sum: a checksum, a blank, a blank or a star, a path."""
    pairs = (line.split(maxsplit=1) for line in sums.splitlines() if " " in line.strip())
    return next((digest.lower() for digest, path in pairs if path.lstrip("*").removeprefix("./").strip() == MANIFEST), "")


def to_apply(documents: Sequence[object], order: Order, digest: str) -> dict[str, object]:
    parts = as_planned(documents, order.plan, order.wishes)
    order.verify_version(parts.version, digest)
    return {
        "version": parts.version,
        "images": sorted(_images(parts.rest)),
        "definitions": parts.definitions,
        "felix": parts.felix,
        "rest": parts.rest,
    }


def _images(documents: Sequence[Mapping[str, Any]]) -> set[str]:
    pods = [document["spec"]["template"]["spec"] for document in documents if "template" in (document.get("spec") or {})]
    return {one["image"] for pod in pods for one in (*pod.get("initContainers", ()), *pod.get("containers", ()))}
