# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes OCI image archives of one layer, the same bytes for the same content: the format is three small JSON documents in a tar.

The layer is compressed, as registries keep it: hosts are given a third of its bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.cache import locked
from tests.lab.say import step

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Image:
    """What an image is made of. files: path in the image -> file on this machine. capabilities: path -> ``security.capability``."""

    name: str  # in full, as in registry.k8s.io/pause:3.10.2
    entrypoint: Sequence[str]
    files: Mapping[str, Path]
    rootfs: Path | None = None  # a tar that comes first
    user: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    capabilities: Mapping[str, bytes] = field(default_factory=dict)
    architecture: str = "amd64"


# VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE, then CAP_NET_BIND_SERVICE (10) as permitted: linux/capability.h
NET_BIND_SERVICE = bytes([1, 0, 0, 2, 0, 4, *[0] * 14])


def _entry(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, mode: int = 0o755) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name.lstrip("/"))
    entry.size, entry.type, entry.mode = size, kind, mode
    return entry


def _layer(image: Image, path: Path) -> None:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as layer:
        made = set()
        first: dict[Path, str] = {}  # a program under two names is there once
        if image.rootfs:
            with tarfile.open(image.rootfs) as base:
                for member in base:
                    made.add(member.name.strip("./"))
                    layer.addfile(member, base.extractfile(member) if member.isreg() else None)
        for name, source in sorted(image.files.items()):
            for parent in reversed(Path(name.lstrip("/")).parents[:-1]):
                if str(parent) not in made:
                    made.add(str(parent))
                    layer.addfile(_entry(str(parent), kind=tarfile.DIRTYPE))
            if source in first:
                entry = _entry(name, kind=tarfile.LNKTYPE)
                entry.linkname = first[source]
                layer.addfile(entry)
                continue
            entry = _entry(name, source.stat().st_size)
            first[source] = entry.name
            if name in image.capabilities:
                entry.pax_headers["SCHILY.xattr.security.capability"] = image.capabilities[name].decode("ascii")
            with source.open("rb") as content:
                layer.addfile(entry, content)


def _digest(path: Path) -> str:
    total = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            total.update(chunk)
    return total.hexdigest()


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def ensure_archive(path: Path, name: str, make: Callable[[], Image]) -> Path:
    """The image's archive, made if it is missing: once, whoever else wants it meanwhile."""
    with locked("images"):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with step(f"image {name}"):
                write_archive(make(), path)
    return path


def write_archive(image: Image, path: Path) -> str:
    """Write the image to a file that ``ctr images import`` and ``podman load`` take; replaced at once.

    Returns the digest of the image's configuration.
    """
    plain, layer, part = (path.with_name(f".{path.name}.{what}") for what in ("plain", "layer", "part"))
    try:
        _layer(image, plain)
        plain_digest = _digest(plain)
        # a fixed number of threads: the bytes depend on it
        subprocess.run(["zstd", "--quiet", "--force", "-T2", str(plain), "-o", str(layer)], check=True, timeout=600)
        layer_digest = _digest(layer)
        configuration = _json(
            {
                "architecture": image.architecture,
                "os": "linux",
                "created": "1970-01-01T00:00:00Z",
                "config": {
                    "Entrypoint": list(image.entrypoint),
                    "Env": [f"{name}={value}" for name, value in {"PATH": PATH, **image.environment}.items()],
                    "WorkingDir": "/",
                    **({"User": image.user} if image.user else {}),
                },
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{plain_digest}"]},
            }
        )
        manifest = _json(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": _descriptor("application/vnd.oci.image.config.v1+json", configuration),
                "layers": [
                    {
                        "mediaType": "application/vnd.oci.image.layer.v1.tar+zstd",
                        "digest": f"sha256:{layer_digest}",
                        "size": layer.stat().st_size,
                    }
                ],
            }
        )
        index = _index(
            [
                {
                    **_descriptor("application/vnd.oci.image.manifest.v1+json", manifest),
                    "platform": {"architecture": image.architecture, "os": "linux"},
                    # the first is what containerd names the image after, the second is podman's
                    "annotations": {"io.containerd.image.name": image.name, "org.opencontainers.image.ref.name": image.name},
                }
            ]
        )
        with tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as archive:
            _add(archive, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
            _add(archive, "index.json", _json(index))
            for blob in (manifest, configuration):
                _add(archive, f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}", blob)
            with layer.open("rb") as content:
                archive.addfile(_entry(f"blobs/sha256/{layer_digest}", layer.stat().st_size, mode=0o644), content)
        part.rename(path)
        return f"sha256:{hashlib.sha256(configuration).hexdigest()}"
    finally:
        for left in (plain, layer, part):
            left.unlink(missing_ok=True)


def merge_archives(paths: Sequence[Path], path: Path) -> None:
    """Write one archive that holds the images of several; replaced at once."""
    part = path.with_name(f".{path.name}.part")
    manifests: list[object] = []
    there = {"index.json"}
    try:
        with tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as merged:
            for one in paths:
                with tarfile.open(one) as archive:
                    for member in archive:
                        content = archive.extractfile(member)
                        assert content is not None
                        if member.name == "index.json":
                            manifests += json.load(content)["manifests"]
                        elif member.name not in there:
                            there.add(member.name)
                            merged.addfile(member, content)
            _add(merged, "index.json", _json(_index(manifests)))
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)


def _index(manifests: Sequence[object]) -> dict[str, object]:
    return {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests}


def _descriptor(media_type: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": f"sha256:{hashlib.sha256(blob).hexdigest()}", "size": len(blob)}


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    archive.addfile(_entry(name, len(content), mode=0o644), io.BytesIO(content))
