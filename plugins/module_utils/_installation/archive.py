# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what an image archive holds: an OCI layout (index.json) or what ``docker save`` writes (manifest.json), under containerd's names.

Facts: ``core/images/archive/importer.go`` of containerd takes index.json where there is an ``oci-layout``, else manifest.json, and
normalizes RepoTags; ``importer_opts.go`` takes an image's name from the annotation ``io.containerd.image.name``, else from
``org.opencontainers.image.ref.name`` if that is a full name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._installation.model import ArchivedImage
from ansible_collections.vmstation.cluster.plugins.module_utils._io.source_directory import Archive

CONTAINERD_NAME = "io.containerd.image.name"
REFERENCE_NAME = "org.opencontainers.image.ref.name"


class MalformedArchive(Exception):
    """The archive is not to be understood; the text says what was found."""


def images(archive: Archive, architecture: str) -> list[ArchivedImage]:
    """All named images of an archive. Of an image for several architectures the one that is given."""
    try:
        if "oci-layout" in archive.members:
            found = list(_of_oci(archive, architecture))
        elif "manifest.json" in archive.members:
            found = list(_of_docker(archive))
        else:
            raise MalformedArchive("neither index.json with oci-layout nor manifest.json in it")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise MalformedArchive(f"an index that is not to be understood ({type(error).__name__}: {error})") from None
    return found


def _of_oci(archive: Archive, architecture: str) -> Iterator[ArchivedImage]:
    for descriptor in _document(archive, "index.json")["manifests"]:
        manifest = _manifest(archive, descriptor, architecture)
        if manifest is None:
            raise MalformedArchive(f"no image for {architecture} under {_name(descriptor) or descriptor['digest']}")
        config = manifest["config"]["digest"]
        for layer in manifest["layers"]:
            if _blob(layer["digest"]) not in archive.members:
                raise MalformedArchive(f"an index without the layer {layer['digest']} that it names")
        yield ArchivedImage(_name(descriptor), config, _verified(archive, config)["architecture"])


def _manifest(archive: Archive, descriptor: Mapping[str, Any], architecture: str) -> Optional[Mapping[str, Any]]:
    content = _verified(archive, descriptor["digest"])
    if "manifests" not in content:
        return content
    for child in content["manifests"]:
        platform = child.get("platform") or {}
        if (platform.get("architecture"), platform.get("os")) == (architecture, "linux") and _blob(child["digest"]) in archive.members:
            return _verified(archive, child["digest"])
    return None


def _name(descriptor: Mapping[str, Any]) -> str:
    annotations = descriptor.get("annotations") or {}
    reference = str(annotations.get(REFERENCE_NAME) or "")
    # containerd would put a prefix of its own before a plain tag
    return str(annotations.get(CONTAINERD_NAME) or "") or (reference if set(reference) & set("/:@") else "")


def _of_docker(archive: Archive) -> Iterator[ArchivedImage]:
    for entry in _document(archive, "manifest.json"):
        config = archive.documents.get(entry["Config"])
        if config is None or not set(entry["Layers"]) <= archive.members:
            raise MalformedArchive("a manifest.json that names files which are not in it")
        digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
        for name in entry["RepoTags"] or [""]:
            yield ArchivedImage(full_name(name) if name else "", digest, json.loads(config)["architecture"])


def full_name(name: str) -> str:
    """A name as containerd keeps it: ``busybox`` is ``docker.io/library/busybox:latest``."""
    first, slash, _rest = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif not set(first) & set(".:") and first != "localhost":
        name = f"docker.io/{name}"
    return name if "@" in name or ":" in name.rpartition("/")[2] else f"{name}:latest"


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/', 1)}"


def _document(archive: Archive, name: str) -> Any:  # noqa: ANN401 (JSON)
    if name not in archive.documents:
        raise MalformedArchive(f"no {name} in it")
    return json.loads(archive.documents[name])


def _verified(archive: Archive, digest: str) -> Mapping[str, Any]:
    content = archive.documents.get(_blob(digest))
    if content is None:
        raise MalformedArchive(f"an index that names {digest}, which is not in it")
    if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
        raise MalformedArchive(f"a damaged {_blob(digest)}")
    document = json.loads(content)
    if not isinstance(document, Mapping):
        raise MalformedArchive(f"a {_blob(digest)} that is no object")
    return document
