# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold of an installation directory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Callable

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.contents import CALICO_MANIFEST, SUMS, Contents
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.model import ARCHITECTURES, PROGRAMS, Expected
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.needed import repository, required, tag, usual
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.release import minor_of
from ansible_collections.vmstation.cluster.plugins.module_utils._io.source_directory import Unreadable

Rule = Callable[[Contents, Expected], Iterator[Finding]]

DOCUMENT = "docs/installation-sources.md shows how to make one"
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
    fix = "Make the directory anew with that release, or change what is asked for."
    subject = f"{contents.path}/source.json: kubernetes"
    if expected.release and description.kubernetes != expected.release:
        yield Finding("source_is_of_the_wanted_release", "error", subject, description.kubernetes, f"{expected.release}, as pinned", fix)
    elif minor_of(expected.version) and minor_of(description.kubernetes) != minor_of(expected.version):
        must_be = f"a release of {expected.version}, as network_plan.kubernetes_version says"
        yield Finding("source_is_of_the_wanted_release", "error", subject, description.kubernetes, must_be, fix)


def files_of_the_checksums_are_there(contents: Contents, _expected: Expected) -> Iterator[Finding]:
    for path in sorted(set(contents.sums or ()) - contents.files):
        yield Finding(
            "files_of_the_checksums_are_there",
            "error",
            f"{contents.path}/{path}",
            f"no such file, though {SUMS} names it",
            "the file",
            "Copy the directory again, whole.",
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
            "a line there for every file",
            f"Remove the file if it does not belong there; else {REWRITE_SUMS} where the directory was made.",
        )


def files_match_their_checksums(contents: Contents, _expected: Expected) -> Iterator[Finding]:
    for path, actual in contents.actual.items():
        wanted = (contents.sums or {})[path]
        if actual != wanted:
            yield Finding(
                "files_match_their_checksums",
                "error",
                f"{contents.path}/{path}",
                f"not to be read: {actual.reason}" if isinstance(actual, Unreadable) else f"sha256 {actual}",
                f"sha256 {wanted}, as in {SUMS}",
                "Copy the file again; if it was changed on purpose, write its checksum anew where that was done.",
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
                "no Linux program" if number is None else f"a program for {NAMES.get(number, f'machine number {number}')}",
                f"a program for {description.architecture}, as source.json says",
                "Download the program of that architecture.",
            )


def archives_are_there(contents: Contents, _expected: Expected) -> Iterator[Finding]:
    if contents.description is None:
        return
    declared = {f"images/{name}" for name in contents.description.images}
    for path in sorted(declared - contents.files):
        found, fix = "no such file, though source.json names it", "Add it, or take it out of source.json."
        yield Finding("archives_are_there", "error", f"{contents.path}/{path}", found, "the archive", fix)
    for path in sorted({file for file in contents.files if file.startswith("images/")} - declared):
        found, fix = "not named in source.json", "Name it and its images in source.json, or remove it."
        yield Finding("archives_are_there", "error", f"{contents.path}/{path}", found, "an archive that source.json names", fix)


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
                "an uncompressed OCI archive, or what `docker save` writes",
                "Save the image again, for example with `skopeo copy` to an oci-archive; unpack what is compressed.",
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
                f"{', '.join(sorted(declared))}, as source.json says",
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
                    f"for {architecture}, as source.json says",
                    "Save the image of that architecture.",
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
                f"tag {usual_tag}, which the release was published with, unless a later patch release asks for another",
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
            "the image that containerd is told to start pods with",
            "Add its archive, or set node_pause_image to the one that is there.",
        )


def calico_manifest_and_its_images_are_there(contents: Contents, _expected: Expected) -> Iterator[Finding]:
    rule = "calico_manifest_and_its_images_are_there"
    if CALICO_MANIFEST not in contents.files:
        path = f"{contents.path}/{CALICO_MANIFEST}"
        yield Finding(rule, "error", path, "no such file", "Calico's own manifest, unchanged", f"Add it; {DOCUMENT}.")
    if contents.description is None:
        return
    names = {name for images in contents.description.images.values() for name in images}
    for name in sorted(set(contents.manifest_images) - names):
        fix = "Add its archive, or the manifest of the release whose images are there."
        yield Finding(rule, "error", f"image {name}", f"in no archive, though {CALICO_MANIFEST} names it", "an archive of it", fix)


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
