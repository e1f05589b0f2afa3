# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judgement of an installation source, and what roles need of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Callable, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.contents import CALICO_MANIFEST, Contents, read_contents
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.directory_rules import RULES
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.model import PROGRAMS, Expected, Installation
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.needed import is_for_control_plane_only
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.packages import (
    judge_packages,
    packages,
    release_is_of_the_planned_version,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._io.source_directory import SourceDirectory, Unreadable

KEYS: Mapping[str, frozenset[str]] = {
    "packages": frozenset({"kind", "repository", "key_url", "key_fingerprint"}),
    "directory": frozenset({"kind", "path"}),
}


@dataclass(frozen=True)
class Verdict:
    """installation: None if there is an error among the findings."""

    findings: list[Finding]
    installation: Optional[Installation]


def judge(source: Mapping[str, Any], expected: Expected, open_directory: Callable[[str], SourceDirectory]) -> Verdict:
    """Every problem of a source. open_directory: brings the directory of a path."""
    kind = source.get("kind")
    if not isinstance(kind, str) or kind not in KEYS:
        must_be, fix = "packages or directory", "Write `installation_source: {kind: packages}`, or {kind: directory, path: ...}."
        return Verdict([Finding("source_kind_is_known", "error", "installation_source.kind", repr(kind), must_be, fix)], None)
    findings = [*release_is_of_the_planned_version(expected), *_keys_belong_to_the_kind(source, kind)]
    contents = None
    if kind == "packages":
        findings.extend(judge_packages(source, expected))
    else:
        path = source.get("path")
        contents = _contents(path, open_directory, findings)
        if contents is not None:
            findings.extend(finding for rule in RULES for finding in rule(contents, expected))
    if any(finding.severity == "error" for finding in findings):
        return Verdict(findings, None)
    return Verdict(findings, packages(source, expected) if contents is None else directory(contents))


def _keys_belong_to_the_kind(source: Mapping[str, Any], kind: str) -> Iterator[Finding]:
    for key in sorted(set(source) - KEYS[kind]):
        other = next((name for name, keys in KEYS.items() if key in keys), None)
        yield Finding(
            "source_keys_belong_to_its_kind",
            "error",
            f"installation_source.{key}",
            f"a key of the kind {other}, beside kind: {kind}" if other else "an unknown key",
            f"only {', '.join(sorted(KEYS[kind]))}",
            f"Remove it, or write kind: {other}." if other else "Remove it.",
        )


def _contents(path: object, open_directory: Callable[[str], SourceDirectory], findings: list[Finding]) -> Optional[Contents]:
    rule = "source_directory_can_be_read"
    if not isinstance(path, str) or not path.startswith(("/", "~")):
        must_be, fix = "the absolute path of a directory on the controller", "Set installation_source.path."
        findings.append(Finding(rule, "error", "installation_source.path", repr(path), must_be, fix))
        return None
    opened = open_directory(path)
    files = opened.files()
    if isinstance(files, Unreadable):
        must_be, fix = "a directory on the controller that can be read", "Correct the path, or who may read it."
        findings.append(Finding(rule, "error", path, files.reason, must_be, fix))
        return None
    return read_contents(opened.path, files, opened)


def directory(contents: Contents) -> Installation:
    """What roles need, of a directory that has been judged."""
    description, sums = contents.description, contents.sums
    if description is None or sums is None:
        raise ValueError(contents.path)
    images = [
        {"name": image.name, "digest": image.digest, "archive": path.partition("/")[2]}
        for path, held in sorted(contents.images.items())
        for image in held
        if not isinstance(image, str)
    ]
    of_workers = [image for image in images if not is_for_control_plane_only(image["name"])]
    return Installation(
        "directory",
        description.kubernetes,
        {
            "architecture": description.architecture,
            "calico": description.calico,
            "programs": [{"name": name, "path": f"{contents.path}/bin/{name}", "sha256": sums[f"bin/{name}"]} for name in PROGRAMS],
            "image_directory": f"{contents.path}/images",
            "images": {"control_plane": images, "worker": of_workers},
            "calico_manifest": {"path": f"{contents.path}/{CALICO_MANIFEST}", "sha256": sums[CALICO_MANIFEST]},
        },
    )
