# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads an installation directory into Contents, which the rules judge. What it reads from is passed in."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional, Union

from ansible_collections.vmstation.cluster.plugins.module_utils._installation import archive
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.model import (
    ARCHITECTURES,
    PROGRAMS,
    ArchivedImage,
    Description,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.release import release_of
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.sums import checksums
from ansible_collections.vmstation.cluster.plugins.module_utils._io.source_directory import Archive, SourceDirectory, Unreadable

DESCRIPTION, SUMS, CALICO_MANIFEST = "source.json", "SHA256SUMS", "manifests/calico.yaml"
IMAGE_LINE = re.compile(r"""^\s*(?:-\s+)?image:\s*["']?([^\s"'#]+)""", re.MULTILINE)
ELF_HEAD = 20


@dataclass(frozen=True)
class Contents:
    """All that there is to judge. None: the file is not there or not to be understood, and ``unread`` says so.

    unread: (file, what was found, what it must be). sums: SHA256SUMS. actual: the files' checksums. heads: the first bytes of programs.
    images: archive -> what is in it, or why that cannot be told. manifest_images: the names in Calico's manifest.
    """

    path: str
    files: frozenset[str]
    unread: tuple[tuple[str, str, str], ...] = ()
    description: Optional[Description] = None
    sums: Optional[Mapping[str, str]] = None
    actual: Mapping[str, Union[str, Unreadable]] = field(default_factory=dict)
    heads: Mapping[str, bytes] = field(default_factory=dict)
    images: Mapping[str, Union[tuple[ArchivedImage, ...], str]] = field(default_factory=dict)
    manifest_images: tuple[str, ...] = ()


def read_contents(path: str, files: tuple[str, ...], directory: SourceDirectory) -> Contents:
    there = frozenset(files)
    unread: list[tuple[str, str, str]] = []
    description = _description(there, directory, unread)
    sums = _sums(there, directory, unread)
    architecture = description.architecture if description else ""
    declared = {f"images/{name}" for name in description.images} if description else set()
    archives = sorted(there & declared)
    return Contents(
        path=path,
        files=there,
        unread=tuple(unread),
        description=description,
        sums=sums,
        actual=directory.sha256(sorted((there & set(sums)) if sums else ())),
        heads={name: directory.head(f"bin/{name}", ELF_HEAD) for name in PROGRAMS if f"bin/{name}" in there},
        images={name: _images(directory.archive(name), architecture) for name in archives},
        manifest_images=_manifest_images(directory) if CALICO_MANIFEST in there else (),
    )


def _description(there: frozenset[str], directory: SourceDirectory, unread: list[tuple[str, str, str]]) -> Optional[Description]:
    text = directory.text(DESCRIPTION) if DESCRIPTION in there else Unreadable("no such file")
    if isinstance(text, Unreadable):
        unread.append((DESCRIPTION, text.reason, "a JSON object"))
        return None
    try:
        content = json.loads(text)
    except ValueError as error:
        unread.append((DESCRIPTION, f"no JSON ({error})", "a JSON object"))
        return None
    if not isinstance(content, dict):
        unread.append((DESCRIPTION, type(content).__name__, "a JSON object"))
        return None
    wrong = [(f"{DESCRIPTION}: {key}", repr(content.get(key)), required) for key, required in _wrong_values(content)]
    unread.extend(wrong)
    if wrong:
        return None
    images = {name: tuple(names) for name, names in content["images"].items()}
    return Description(content["kubernetes"].lstrip("v"), content["architecture"], str(content.get("calico") or "").lstrip("v"), images)


def _wrong_values(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(key, what it must be) of what is missing or wrong."""
    kubernetes, architecture, images = (content.get(key) for key in ("kubernetes", "architecture", "images"))
    archives = isinstance(images, dict) and all(map(_is_image_entry, images.items()))
    tests = (
        ("kubernetes", isinstance(kubernetes, str) and release_of(kubernetes) is not None, "a release such as 1.36.4"),
        ("architecture", isinstance(architecture, str) and architecture in ARCHITECTURES, f"one of {', '.join(ARCHITECTURES)}"),
        ("calico", isinstance(content.get("calico", ""), str), "a release such as 3.32.1"),
        ("images", archives, "an archive's file name -> a list of full names"),
    )
    return [(key, required) for key, right, required in tests if not right]


def _is_image_entry(entry: tuple[Any, Any]) -> bool:
    name, images = entry
    if "/" in name or not isinstance(images, list) or not images:
        return False
    return all(isinstance(image, str) and archive.full_name(image) == image for image in images)


def _sums(there: frozenset[str], directory: SourceDirectory, unread: list[tuple[str, str, str]]) -> Optional[dict[str, str]]:
    text = directory.text(SUMS) if SUMS in there else Unreadable("no such file")
    if isinstance(text, Unreadable):
        unread.append((SUMS, text.reason, "the checksums of all other files, as sha256sum writes them"))
        return None
    found, malformed = checksums(text)
    must_be = "a checksum, two spaces, and a path that stands once"
    unread.extend((f"{SUMS}, line {number}", repr(line), must_be) for number, line in malformed)
    return found


def _images(content: Union[Archive, Unreadable], architecture: str) -> Union[tuple[ArchivedImage, ...], str]:
    if isinstance(content, Unreadable):
        return content.reason
    try:
        return tuple(archive.images(content, architecture))
    except archive.MalformedArchive as error:
        return str(error)


def _manifest_images(directory: SourceDirectory) -> tuple[str, ...]:
    text = directory.text(CALICO_MANIFEST)
    return () if isinstance(text, Unreadable) else tuple(sorted({archive.full_name(name) for name in IMAGE_LINE.findall(text)}))
