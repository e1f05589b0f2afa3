# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An installation source: a directory or packages, the images that a release needs, and what the source contains.

Image archives are read in OCI layout, or as written by ``docker save``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional, Union

from .._json import read_json
from .._versions import image_name, image_tag, minor_of, minor_text, release_of
from .io import Archive, SourceDirectory, Unreadable

# An installation source, and what roles get from a valid one

PROGRAMS = ("kubeadm", "kubelet", "kubectl")
ARCHITECTURES: Mapping[str, int] = {"amd64": 62, "arm64": 183}
"""Architecture, as Kubernetes names it -> the machine number in the header of its programs (``e_machine`` of ELF)."""


@dataclass(frozen=True)
class Expected:
    """What is expected of the source. Empty: not checked.

    version: the plan's minor version, ``1.36``. release: the pinned one, ``1.36.4``. pause_image: the name in containerd's configuration.
    """

    version: str
    release: str = ""
    pause_image: str = ""


@dataclass(frozen=True)
class Description:
    """The contents of ``source.json``. images: file name of an archive -> names of its images."""

    kubernetes: str = ""
    architecture: str = ""
    calico: str = ""
    images: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class ArchivedImage:
    """An image in an archive. digest: of its configuration, the image ID in CRI."""

    name: str
    digest: str
    architecture: str


@dataclass(frozen=True)
class Installation:
    """What roles need from a source, so that they parse nothing themselves. As a dictionary it is the module's result."""

    kind: str
    kubernetes: str
    values: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "kubernetes": self.kubernetes, **self.values}


# SHA256SUMS, as sha256sum writes it

LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)", re.ASCII)


def checksums(text: str) -> tuple[dict[str, str], list[tuple[int, str]]]:
    """Return relative path -> checksum, and the malformed lines: (number, text). ``./`` before a path is ignored."""
    found: dict[str, str] = {}
    malformed = []
    for number, line in enumerate(text.splitlines(), start=1):
        match = LINE.fullmatch(line)
        path = (match[2][2:] if match[2].startswith("./") else match[2]) if match else ""
        # ignore paths that lead out of the directory
        if match and path and not path.startswith("/") and ".." not in path.split("/") and path not in found:
            found[path] = match[1].lower()
        elif line.strip():
            malformed.append((number, line))
    return found, malformed


# The images that kubeadm of a release needs
#
# ``cmd/kubeadm/app/constants`` of each release has the tags of etcd, CoreDNS and pause; ``kubeadm config images list`` prints all seven
# names.

REGISTRY = "registry.k8s.io"
COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
OTHERS = ("coredns/coredns", "pause", "etcd")
ON_CONTROL_PLANE_ONLY = tuple(f"{REGISTRY}/{name}" for name in (*COMPONENTS[:3], "etcd"))

TAGS: Mapping[str, Mapping[str, str]] = {
    "1.36": {"coredns/coredns": "v1.14.2", "pause": "3.10.2", "etcd": "3.6.8-0"},
    "1.37": {"coredns/coredns": "v1.14.6", "pause": "3.10.2", "etcd": "3.7.0-0"},
}
"""Minor version -> tags published with it. A later patch release may bring a newer etcd, so these are expected, not required."""


def repository(name: str) -> str:
    """Return an image's name without its tag."""
    return image_name(name)


def tag(name: str) -> str:
    return image_tag(name)


def required(release: str) -> dict[str, str]:
    """Return image names without tags -> the required tag; empty: any."""
    components = {f"{REGISTRY}/{name}": f"v{release.lstrip('v')}" if release_of(release) else "" for name in COMPONENTS}
    return {**components, **{f"{REGISTRY}/{name}": "" for name in OTHERS}}


def usual(release: str) -> dict[str, str]:
    """Return image names without tags -> the tag published with this minor version; empty if it is not known here."""
    minor = minor_of(release)
    known = TAGS.get(minor_text(minor), {}) if minor else {}
    return {f"{REGISTRY}/{name}": tag for name, tag in known.items()}


def coredns_image(minor: tuple[int, int]) -> str:
    """Return the image of CoreDNS published with a minor version of Kubernetes; for one that is not known, that of the newest known one."""
    name, newest = "coredns/coredns", max(TAGS, key=lambda one: minor_of(one) or (0, 0))
    return f"{REGISTRY}/{name}:{TAGS.get(minor_text(minor), TAGS[newest])[name]}"


def is_for_control_plane_only(name: str) -> bool:
    return repository(name) in ON_CONTROL_PLANE_ONLY


# Images in an archive: an OCI layout (index.json) or the output of ``docker save`` (manifest.json), with containerd's names
#
# ``core/images/archive/importer.go`` of containerd uses index.json if there is an ``oci-layout``, else manifest.json, and normalizes
# RepoTags; ``importer_opts.go`` takes an image's name from the annotation ``io.containerd.image.name``, else from
# ``org.opencontainers.image.ref.name`` if that is a full name.

CONTAINERD_NAME = "io.containerd.image.name"
REFERENCE_NAME = "org.opencontainers.image.ref.name"


class MalformedArchive(Exception):
    """The archive cannot be parsed; the message is what was found."""


def images_of(archive: Archive, architecture: str) -> list[ArchivedImage]:
    """Return all named images of an archive; of a multi-architecture image, the one for this architecture."""
    try:
        if "oci-layout" in archive.members:
            found = list(_of_oci(archive, architecture))
        elif "manifest.json" in archive.members:
            found = list(_of_docker(archive))
        else:
            raise MalformedArchive("neither index.json with oci-layout nor manifest.json in it")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise MalformedArchive(f"an index that cannot be parsed ({type(error).__name__}: {error})") from None
    return found


def _of_oci(archive: Archive, architecture: str) -> Iterator[ArchivedImage]:
    for descriptor in _document(archive, "index.json")["manifests"]:
        manifest = _manifest(archive, descriptor, architecture)
        if manifest is None:
            raise MalformedArchive(f"no image for {architecture} under {_name(descriptor) or descriptor['digest']}")
        config = manifest["config"]["digest"]
        for layer in manifest["layers"]:
            if _blob(layer["digest"]) not in archive.members:
                raise MalformedArchive(f"an index with the layer {layer['digest']}, which is not in the archive")
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
    # containerd would add its own prefix to a plain tag
    return str(annotations.get(CONTAINERD_NAME) or "") or (reference if set(reference) & set("/:@") else "")


def _of_docker(archive: Archive) -> Iterator[ArchivedImage]:
    for entry in _document(archive, "manifest.json"):
        config = archive.documents.get(entry["Config"])
        if config is None or not set(entry["Layers"]) <= archive.members:
            raise MalformedArchive("a manifest.json that lists files which are not in the archive")
        digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
        for name in entry["RepoTags"] or [""]:
            yield ArchivedImage(full_name(name) if name else "", digest, read_json(config)["architecture"])


def full_name(name: str) -> str:
    """Return a name as containerd stores it: ``busybox`` is ``docker.io/library/busybox:latest``."""
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
    return read_json(archive.documents[name])


def _verified(archive: Archive, digest: str) -> Mapping[str, Any]:
    content = archive.documents.get(_blob(digest))
    if content is None:
        raise MalformedArchive(f"an index with {digest}, which is not in the archive")
    if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
        raise MalformedArchive(f"a damaged {_blob(digest)}")
    document = read_json(content)
    if not isinstance(document, Mapping):
        raise MalformedArchive(f"a {_blob(digest)} that is not an object")
    return document


# Contents of an installation directory, for the rules. All I/O is passed in.

DESCRIPTION, SUMS, CALICO_MANIFEST = "source.json", "SHA256SUMS", "manifests/calico.yaml"
# needed only if the cluster uses Typha
CALICO_TYPHA_MANIFEST = "manifests/calico-typha.yaml"
IMAGE_LINE = re.compile(r"""^\s*(?:-\s+)?image:\s*["']?([^\s"'#]+)""", re.MULTILINE)
ELF_HEAD = 20


@dataclass(frozen=True)
class Contents:
    """What the rules check. None: the file is missing or cannot be parsed, see ``unread``.

    unread: (file, what was found, what is required). sums: SHA256SUMS. actual: the files' checksums. heads: the first bytes of programs.
    images: archive -> its images, or why they cannot be read. manifest_images: the names in Calico's manifests, each with a file that
    has it.
    """

    path: str
    files: frozenset[str]
    unread: tuple[tuple[str, str, str], ...] = ()
    description: Optional[Description] = None
    sums: Optional[Mapping[str, str]] = None
    actual: Mapping[str, Union[str, Unreadable]] = field(default_factory=dict)
    heads: Mapping[str, bytes] = field(default_factory=dict)
    images: Mapping[str, Union[tuple[ArchivedImage, ...], str]] = field(default_factory=dict)
    manifest_images: Mapping[str, str] = field(default_factory=dict)


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
        manifest_images=_manifest_images(there, directory),
    )


def _description(there: frozenset[str], directory: SourceDirectory, unread: list[tuple[str, str, str]]) -> Optional[Description]:
    text = directory.text(DESCRIPTION) if DESCRIPTION in there else Unreadable("no such file")
    if isinstance(text, Unreadable):
        unread.append((DESCRIPTION, text.reason, "a JSON object"))
        return None
    try:
        content = read_json(text)
    except ValueError as error:
        unread.append((DESCRIPTION, f"invalid JSON ({error})", "a JSON object"))
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
    """Return (key, requirement) of missing or wrong values."""
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
    return all(isinstance(image, str) and full_name(image) == image for image in images)


def _sums(there: frozenset[str], directory: SourceDirectory, unread: list[tuple[str, str, str]]) -> Optional[dict[str, str]]:
    text = directory.text(SUMS) if SUMS in there else Unreadable("no such file")
    if isinstance(text, Unreadable):
        unread.append((SUMS, text.reason, "the checksums of all other files, as sha256sum writes them"))
        return None
    found, malformed = checksums(text)
    must_be = "a checksum, two spaces, and a path that occurs only once"
    unread.extend((f"{SUMS}, line {number}", repr(line), must_be) for number, line in malformed)
    return found


def _images(content: Union[Archive, Unreadable], architecture: str) -> Union[tuple[ArchivedImage, ...], str]:
    if isinstance(content, Unreadable):
        return content.reason
    try:
        return tuple(images_of(content, architecture))
    except MalformedArchive as error:
        return str(error)


def _manifest_images(there: frozenset[str], directory: SourceDirectory) -> dict[str, str]:
    found: dict[str, str] = {}
    for manifest in (CALICO_MANIFEST, CALICO_TYPHA_MANIFEST):
        text = directory.text(manifest) if manifest in there else ""
        for name in IMAGE_LINE.findall("" if isinstance(text, Unreadable) else text):
            found.setdefault(full_name(name), manifest)
    return found
