# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check an installation source: a directory, or a package repository."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Callable, Optional

from .._findings import Finding, LookedAt, state_of
from .._versions import minor_of, minor_text, release_of
from .io import SourceDirectory, Unreadable
from .model import (
    ARCHITECTURES,
    CALICO_MANIFEST,
    PROGRAMS,
    SUMS,
    Contents,
    Expected,
    Installation,
    is_for_control_plane_only,
    read_contents,
    repository,
    required,
    tag,
    usual,
)

# Package repositories: the community's, or another one with the same packages
#
# pkgs.k8s.io has one repository for each minor version and package format, signed by one key of the project's build service (fingerprint
# below, https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/install-kubeadm/).

REPOSITORY = "https://pkgs.k8s.io/core:/stable:/v{minor}/{format}/"
FINGERPRINT = "DE15B14486CD377B9E876E1A234654DA9A296436"
PACKAGE_KEYS: Mapping[str, str] = {"deb": "Release.key", "rpm": "repodata/repomd.xml.key"}
"""Package format -> path of the key in its repository."""

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
URL = re.compile(r"(https?://[^\s/]+|file://)/\S*")
HEXADECIMAL = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}", re.ASCII)


def fingerprint_of(text: str) -> str:
    """Return a fingerprint in capitals, without the spaces that tools print."""
    return "".join(text.split()).upper()


def judge_packages(source: Mapping[str, Any], expected: Expected) -> Iterator[Finding]:
    yield from _templates_are_urls(source)
    fingerprint = source.get("key_fingerprint", FINGERPRINT)
    if not isinstance(fingerprint, str) or not HEXADECIMAL.fullmatch(fingerprint_of(fingerprint)):
        yield Finding(
            "key_fingerprint_is_whole",
            "error",
            "installation_source.key_fingerprint",
            repr(fingerprint),
            "40 hexadecimal digits, or 64 of a version 6 key; a short key id can be forged",
            "Get it from the publisher of the repository; in YAML put it in quotes.",
        )
    if "repository" in source and "key_fingerprint" not in source:
        yield Finding(
            "key_fingerprint_belongs_to_the_repository",
            "warning",
            "installation_source.key_fingerprint",
            f"not set, while repository is {source['repository']!r}",
            "the fingerprint of that repository's key, unless it mirrors the community's repository with its signatures",
            "Set key_fingerprint.",
        )
    if not release_of(expected.release):
        yield Finding(
            "release_is_pinned",
            "error",
            "node_kubernetes_release",
            repr(expected.release),
            "a whole release such as 1.36.4: packages are pinned to it",
            "Set it to a release of network_plan.kubernetes_version.",
        )


def release_is_of_the_planned_version(expected: Expected) -> Iterator[Finding]:
    """Check the release; for both kinds of sources."""
    pinned, planned = minor_of(expected.release), minor_of(expected.version)
    if planned is None:
        yield Finding(
            "release_is_of_the_planned_version",
            "error",
            "network_plan.kubernetes_version",
            repr(expected.version),
            'a version such as "1.36"',
            "Put it in quotes.",
        )
    elif expected.release and pinned and pinned != planned:
        yield Finding(
            "release_is_of_the_planned_version",
            "error",
            "node_kubernetes_release",
            expected.release,
            f"a release of {expected.version}, as in network_plan.kubernetes_version",
            "Change one of the two; on a running cluster upgrade with kubeadm first.",
        )


def packages(source: Mapping[str, Any], expected: Expected) -> Installation:
    """Return what roles need from a checked package repository."""
    minor = minor_of(expected.release)
    repositories = {}
    for format_name, key in PACKAGE_KEYS.items():
        values = {"minor": minor_text(minor) if minor else "", "format": format_name}
        url = _filled(source.get("repository", REPOSITORY), values).rstrip("/") + "/"
        repositories[format_name] = {"url": url, "key_url": _filled(source["key_url"], values) if "key_url" in source else url + key}
    return Installation(
        "packages",
        expected.release,
        {
            "repositories": repositories,
            "key_fingerprint": fingerprint_of(source.get("key_fingerprint", FINGERPRINT)),
            "packages": list(PROGRAMS),
        },
    )


def _templates_are_urls(source: Mapping[str, Any]) -> Iterator[Finding]:
    for key in ("repository", "key_url"):
        value = source.get(key, REPOSITORY)
        if not isinstance(value, str) or not URL.fullmatch(value) or set(PLACEHOLDER.findall(value)) - {"minor", "format"}:
            yield Finding(
                "repository_is_a_url_template",
                "error",
                f"installation_source.{key}",
                repr(value),
                "an http, https or file URL, which may contain {minor} and {format} (deb or rpm)",
                f"Write it like {REPOSITORY}",
            )


def _filled(template: str, values: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda match: values[match[1]], template)


# Rules for an installation directory

Rule = Callable[[Contents, Expected], Iterator[Finding]]

DOCUMENT = "see docs/installation-sources.md"
NAMES = {number: name for name, number in ARCHITECTURES.items()}
REWRITE_SUMS = "`find . -type f ! -name SHA256SUMS -printf '%P\\0' | sort -z | xargs -0 sha256sum > SHA256SUMS`"


def description_and_checksums_can_be_read(contents: Contents, _expected: Expected) -> Iterator[Finding]:
    for file, found, must_be in contents.unread:
        yield Finding(
            "description_and_checksums_can_be_read", "error", f"{contents.path}/{file}", found, must_be, f"Correct it; {DOCUMENT}."
        )


def source_is_of_the_wanted_release(contents: Contents, expected: Expected) -> Iterator[Finding]:
    description = contents.description
    if description is None:
        return
    fix = "Create the directory again with that release, or change the wanted release."
    subject = f"{contents.path}/source.json: kubernetes"
    if expected.release and description.kubernetes != expected.release:
        yield Finding("source_is_of_the_wanted_release", "error", subject, description.kubernetes, f"{expected.release}, as pinned", fix)
    elif minor_of(expected.version) and minor_of(description.kubernetes) != minor_of(expected.version):
        must_be = f"a release of {expected.version}, as in network_plan.kubernetes_version"
        yield Finding("source_is_of_the_wanted_release", "error", subject, description.kubernetes, must_be, fix)


def files_of_the_checksums_are_there(contents: Contents, _expected: Expected) -> Iterator[Finding]:
    for path in sorted(set(contents.sums or ()) - contents.files):
        yield Finding(
            "files_of_the_checksums_are_there",
            "error",
            f"{contents.path}/{path}",
            f"no such file, but {SUMS} lists it",
            "the file",
            "Copy the complete directory again.",
        )


def every_file_has_a_checksum(contents: Contents, _expected: Expected) -> Iterator[Finding]:
    if contents.sums is None:
        return
    for path in sorted(contents.files - set(contents.sums) - {SUMS}):
        yield Finding(
            "every_file_has_a_checksum",
            "error",
            f"{contents.path}/{path}",
            f"not in {SUMS}",
            f"a line in {SUMS} for every file",
            f"Remove the file if it does not belong there; otherwise run {REWRITE_SUMS} where the directory was created.",
        )


def files_match_their_checksums(contents: Contents, _expected: Expected) -> Iterator[Finding]:
    for path, actual in contents.actual.items():
        wanted = (contents.sums or {})[path]
        if actual != wanted:
            yield Finding(
                "files_match_their_checksums",
                "error",
                f"{contents.path}/{path}",
                f"unreadable: {actual.reason}" if isinstance(actual, Unreadable) else f"sha256 {actual}",
                f"sha256 {wanted}, as in {SUMS}",
                "Copy the file again; if it was changed on purpose, update its checksum where that was done.",
            )


def programs_are_there(contents: Contents, _expected: Expected) -> Iterator[Finding]:
    for name in PROGRAMS:
        if f"bin/{name}" not in contents.files:
            found = "no such file"
            yield Finding("programs_are_there", "error", f"{contents.path}/bin/{name}", found, "the program", f"Add it; {DOCUMENT}.")


def programs_are_of_the_architecture(contents: Contents, _expected: Expected) -> Iterator[Finding]:
    description = contents.description
    if description is None:
        return
    for name, head in contents.heads.items():
        number = int.from_bytes(head[18:20], "little") if head[:4] == b"\x7fELF" else None
        if number != ARCHITECTURES[description.architecture]:
            yield Finding(
                "programs_are_of_the_architecture",
                "error",
                f"{contents.path}/bin/{name}",
                "not a Linux program" if number is None else f"a program for {NAMES.get(number, f'machine number {number}')}",
                f"a program for {description.architecture}, as in source.json",
                "Download the program for that architecture.",
            )


def archives_are_there(contents: Contents, _expected: Expected) -> Iterator[Finding]:
    if contents.description is None:
        return
    declared = {f"images/{name}" for name in contents.description.images}
    for path in sorted(declared - contents.files):
        found, fix = "no such file, but source.json lists it", "Add it, or remove it from source.json."
        yield Finding("archives_are_there", "error", f"{contents.path}/{path}", found, "the archive", fix)
    for path in sorted({file for file in contents.files if file.startswith("images/")} - declared):
        found, fix = "not listed in source.json", "List it and its images in source.json, or remove it."
        yield Finding("archives_are_there", "error", f"{contents.path}/{path}", found, "an archive that source.json lists", fix)


def archives_hold_the_declared_images(contents: Contents, _expected: Expected) -> Iterator[Finding]:
    description = contents.description
    for path, held in contents.images.items():
        subject = f"{contents.path}/{path}"
        if isinstance(held, str):
            yield Finding(
                "archives_hold_the_declared_images",
                "error",
                subject,
                held,
                "an uncompressed OCI archive, or the output of `docker save`",
                "Save the image again, for example with `skopeo copy` to an oci-archive, without compression.",
            )
            continue
        declared = set(description.images[path.partition("/")[2]]) if description else set()
        names = {image.name for image in held}
        if names != declared:
            yield Finding(
                "archives_hold_the_declared_images",
                "error",
                subject,
                ", ".join(sorted(name or "an image without a full name" for name in names)) or "no image",
                f"{', '.join(sorted(declared))}, as in source.json",
                "Save the image under that name, or correct source.json.",
            )


def images_are_of_the_architecture(contents: Contents, _expected: Expected) -> Iterator[Finding]:
    architecture = contents.description.architecture if contents.description else ""
    for path, held in contents.images.items():
        for image in () if isinstance(held, str) else held:
            if image.architecture != architecture:
                yield Finding(
                    "images_are_of_the_architecture",
                    "error",
                    f"{contents.path}/{path}: {image.name}",
                    f"for {image.architecture}",
                    f"for {architecture}, as in source.json",
                    "Save the image for that architecture.",
                )


def image_is_in_one_archive(contents: Contents, _expected: Expected) -> Iterator[Finding]:
    seen: dict[str, list[str]] = {}
    for archive, names in (contents.description.images if contents.description else {}).items():
        for name in names:
            seen.setdefault(name, []).append(archive)
    for name, archives in seen.items():
        if len(archives) > 1:
            found, fix = f"in {', '.join(archives)}", "Keep one of them."
            yield Finding("image_is_in_one_archive", "error", f"image {name}", found, "in one archive", fix)


def images_that_kubeadm_needs_are_there(contents: Contents, expected: Expected) -> Iterator[Finding]:
    description = contents.description
    if description is None:
        return
    names = {name for images in description.images.values() for name in images}
    release = expected.release or description.kubernetes
    for needed, needed_tag in required(release).items():
        tags = sorted(tag(name) for name in names if repository(name) == needed)
        if not tags or (needed_tag and needed_tag not in tags):
            yield Finding(
                "images_that_kubeadm_needs_are_there",
                "error",
                f"image {needed}",
                f"tag {', '.join(tags)}" if tags else "in no archive",
                f"{needed}:{needed_tag or usual(release).get(needed, '<tag>')}",
                "Add its archive; `kubeadm config images list` of that release prints all names.",
            )


def image_tags_are_those_of_the_release(contents: Contents, expected: Expected) -> Iterator[Finding]:
    description = contents.description
    names = {name for images in (description.images if description else {}).values() for name in images}
    for needed, usual_tag in usual(expected.release or (description.kubernetes if description else "")).items():
        tags = sorted(tag(name) for name in names if repository(name) == needed)
        if tags and usual_tag not in tags:
            yield Finding(
                "image_tags_are_those_of_the_release",
                "warning",
                f"image {needed}",
                f"tag {', '.join(tags)}",
                f"tag {usual_tag}, which the release was published with, unless a later patch release needs another",
                "Compare with `kubeadm config images list` of that release.",
            )


def pause_image_is_the_configured_one(contents: Contents, expected: Expected) -> Iterator[Finding]:
    names = {name for images in (contents.description.images if contents.description else {}).values() for name in images}
    if contents.description and expected.pause_image and expected.pause_image not in names:
        yield Finding(
            "pause_image_is_the_configured_one",
            "error",
            f"image {expected.pause_image}",
            "in no archive",
            "the pause image in containerd's configuration",
            "Add its archive, or set node_pause_image to the archived one.",
        )


def calico_manifest_and_its_images_are_there(contents: Contents, _expected: Expected) -> Iterator[Finding]:
    rule = "calico_manifest_and_its_images_are_there"
    if CALICO_MANIFEST not in contents.files:
        path = f"{contents.path}/{CALICO_MANIFEST}"
        yield Finding(rule, "error", path, "no such file", "Calico's own manifest, unchanged", f"Add it; {DOCUMENT}.")
    if contents.description is None:
        return
    names = {name for images in contents.description.images.values() for name in images}
    for name, manifest in sorted(contents.manifest_images.items()):
        if name in names:
            continue
        fix = "Add its archive, or use the manifest of the release whose images are archived."
        yield Finding(rule, "error", f"image {name}", f"in no archive, but {manifest} lists it", "an archive of it", fix)


RULES: tuple[Rule, ...] = (
    description_and_checksums_can_be_read,
    source_is_of_the_wanted_release,
    files_of_the_checksums_are_there,
    every_file_has_a_checksum,
    files_match_their_checksums,
    programs_are_there,
    programs_are_of_the_architecture,
    archives_are_there,
    archives_hold_the_declared_images,
    images_are_of_the_architecture,
    image_is_in_one_archive,
    images_that_kubeadm_needs_are_there,
    image_tags_are_those_of_the_release,
    pause_image_is_the_configured_one,
    calico_manifest_and_its_images_are_there,
)


# Check a source, and return what roles need from it

KEYS: Mapping[str, frozenset[str]] = {
    "packages": frozenset({"kind", "repository", "key_url", "key_fingerprint"}),
    "directory": frozenset({"kind", "path"}),
}


@dataclass(frozen=True)
class Verdict:
    """installation: None if the findings contain an error, or the source could not be read."""

    findings: list[Finding]
    installation: Optional[Installation]

    @property
    def looked_at(self) -> list[LookedAt]:
        found = self.installation
        facts = f"{found.kind}, Kubernetes {found.kubernetes}" if found else "not usable"
        return [LookedAt("installation source", facts, state_of(self.findings))]


def judge(source: Mapping[str, Any], expected: Expected, open_directory: Callable[[str], SourceDirectory]) -> Verdict:
    """Return every problem of a source. open_directory: opens a directory by its path."""
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
    if any(finding.severity in {"error", "unknown"} for finding in findings):
        return Verdict(findings, None)
    return Verdict(findings, packages(source, expected) if contents is None else directory(contents))


def _keys_belong_to_the_kind(source: Mapping[str, Any], kind: str) -> Iterator[Finding]:
    for key in sorted(set(source) - KEYS[kind]):
        other = next((name for name, keys in KEYS.items() if key in keys), None)
        yield Finding(
            "source_keys_belong_to_its_kind",
            "error",
            f"installation_source.{key}",
            f"a key of the kind {other}, with kind: {kind}" if other else "an unknown key",
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
        must_be, fix = "a readable directory on the controller", "Correct the path or its permissions."
        findings.append(Finding(rule, "unknown", path, files.reason, must_be, fix))
        return None
    return read_contents(opened.path, files, opened)


def directory(contents: Contents) -> Installation:
    """Return what roles need from a checked directory."""
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
