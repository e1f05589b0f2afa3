# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small installation directory, whole and sound: the names of a real one, images of a few bytes."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.cluster.oci import Image, write_archive

RELEASE, CALICO = "1.36.4", "3.28.5"
PAUSE = "registry.k8s.io/pause:3.10.2"
IMAGES = (
    *(f"registry.k8s.io/{name}:v{RELEASE}" for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")),
    "registry.k8s.io/coredns/coredns:v1.14.2",
    PAUSE,
    "registry.k8s.io/etcd:3.6.8-0",
    *(f"docker.io/calico/{name}:v{CALICO}" for name in ("cni", "node", "kube-controllers")),
)
MANIFEST = f"""\
kind: Deployment
spec:
  containers:
    - name: calico-kube-controllers
      image: docker.io/calico/kube-controllers:v{CALICO}
---
kind: DaemonSet
spec:
  initContainers:
    - image: "docker.io/calico/cni:v{CALICO}"
  containers:
    - name: calico-node
      image: calico/node:v{CALICO}
"""
# the first bytes of a program of this machine number
AMD64, ARM64 = (b"\x7fELF\x02\x01\x01" + bytes(11) + bytes([number, 0]) for number in (62, 183))


def archive_name(image: str) -> str:
    return f"{image.rpartition('/')[2].replace(':', '-')}.tar"


def write_image(path: Path, name: str, *, architecture: str = "amd64", content: str = "") -> str:
    """Returns the digest of the image's configuration."""
    file = path.with_suffix(".content")
    file.write_text(content or name)
    digest = write_archive(Image(name, ["/program"], {"/program": file}, architecture=architecture), path)
    file.unlink()
    return digest


def write_docker_archive(path: Path, name: str) -> str:
    """What ``docker save`` writes; returns the digest of the image's configuration."""
    layer = tar_of({"program": name.encode()})
    root = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]}
    configuration = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Entrypoint": ["/program"]}, "rootfs": root}).encode()
    digest = hashlib.sha256(configuration).hexdigest()
    manifest = [{"Config": f"{digest}.json", "RepoTags": [name], "Layers": ["layer/layer.tar"]}]
    path.write_bytes(tar_of({f"{digest}.json": configuration, "layer/layer.tar": layer, "manifest.json": json.dumps(manifest).encode()}))
    return f"sha256:{digest}"


def write_index_of_other_platforms(path: Path, name: str) -> str:
    """What ``docker save`` writes of a pulled index: it lists linux/386 and an attestation, and has the content of linux/amd64 alone."""
    layer, blobs = tar_of({"program": name.encode()}), dict[str, bytes]()

    def put(kind: str, content: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(content)}

    def document(kind: str, **values: object) -> dict[str, Any]:
        return put(kind, json.dumps({"schemaVersion": 2, "mediaType": f"application/vnd.oci.image.{kind}", **values}).encode())

    def absent(architecture: str, os: str) -> dict[str, Any]:
        digest = hashlib.sha256(architecture.encode()).hexdigest()
        platform = {"architecture": architecture, "os": os}
        return {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": f"sha256:{digest}", "size": 481, "platform": platform}

    root = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]}
    config = put("config.v1+json", json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": root}).encode())
    manifest = document("manifest.v1+json", config=config, layers=[put("layer.v1.tar", layer)])
    manifest["platform"] = {"architecture": "amd64", "os": "linux"}
    index = document("index.v1+json", manifests=[manifest, absent("386", "linux"), absent("unknown", "unknown")])
    index["annotations"] = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rpartition(":")[2]}
    top = json.dumps({"schemaVersion": 2, "manifests": [index]}).encode()
    path.write_bytes(tar_of({**blobs, "index.json": top, "oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}))
    return str(config["digest"])


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """Files by name, as the tar that holds them."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
    return content.getvalue()


def make_source(directory: Path, programs: Mapping[str, Path] | None = None, extra_images: tuple[str, ...] = ()) -> Path:
    """Write a sound directory. programs: real ones, by name; without them there are files that look like programs."""
    for name in ("bin", "images", "manifests"):
        (directory / name).mkdir(parents=True)
    for name in ("kubeadm", "kubelet", "kubectl"):
        if programs:
            (directory / "bin" / name).symlink_to(programs[name])
        else:
            (directory / "bin" / name).write_bytes(AMD64 + name.encode())
    images = {archive_name(image): [image] for image in (*IMAGES, *extra_images)}
    for file, [image] in images.items():
        write_image(directory / "images" / file, image)
    (directory / "manifests" / "calico.yaml").write_text(MANIFEST)
    describe(directory, images=images)
    return directory


def describe(directory: Path, **values: object) -> None:
    """Write source.json, with other values where they are given, and the checksums of what is there."""
    description = directory / "source.json"
    old = (
        json.loads(description.read_text()) if description.exists() else {"kubernetes": RELEASE, "architecture": "amd64", "calico": CALICO}
    )
    description.write_text(json.dumps({**old, **values}))
    sign(directory)


def sign(directory: Path) -> None:
    """Write SHA256SUMS anew."""
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(directory)}\n" for path in files]
    (directory / "SHA256SUMS").write_text("".join(lines))
