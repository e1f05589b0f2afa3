# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's installation source: a directory with everything that a cluster is installed from, as a user without a network would have."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.build import build
from tests.cluster.busybox import busybox
from tests.cluster.calico_images import calico_images, calico_manifest
from tests.cluster.images import HOST_PROGRAMS, archive, make_images, wanted
from tests.cluster.monitoring_images import monitoring_images
from tests.cluster.oci import merge_archives
from tests.cluster.programs import go, program_of, version
from tests.lab.cache import cache, digest, installation_source, locked
from tests.lab.say import step

INSTALLED = ("kubeadm", *sorted(HOST_PROGRAMS))
CONTROL_PLANE_ONLY = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd")


def make_source(*, newer: bool = False) -> Path:
    """The directory, complete; what it needs is built first. newer: that of the next minor version, for tests of upgrades."""
    images = _images(newer)
    files = {f"bin/{path.name}": path for path in build(INSTALLED, newer=newer)}
    files["manifests/calico.yaml"] = calico_manifest()
    files |= {f"images/{name}": _merged(name, list(paths.values())) for name, paths in images.items()}
    description = {
        "kubernetes": version(program_of("kubeadm", newer=newer)).removeprefix("v"),
        "architecture": go("env", "GOARCH"),
        "calico": version(program_of("calico-node")).removeprefix("v"),
        "images": {name: list(paths) for name, paths in images.items()},
    }
    text = json.dumps(description, indent=1, sort_keys=True) + "\n"
    # the paths are named after what the files are made from
    directory = cache() / "cluster" / f"source-{digest(text, *(f'{name} {path}' for name, path in files.items()))}"
    with locked("cluster-source"):
        if not directory.exists():
            with step(f"installation source {directory}"):
                _assemble(directory, files, text)
        if newer:
            return directory
        link = installation_source()
        part = link.with_name(f".{link.name}.part")
        part.unlink(missing_ok=True)
        part.symlink_to(directory.name)
        part.rename(link)
    return directory


def _images(newer: bool) -> dict[str, dict[str, Path]]:
    """Images with the archives that they were made in, by the archive that hosts are given: what is wanted together is copied at once."""
    make_images(newer=newer)
    kubernetes = {name: archive(name, newer=newer) for name in wanted(newer=newer)}
    control_plane = {name: path for name, path in kubernetes.items() if Path(name).name.partition(":")[0] in CONTROL_PLANE_ONLY}
    return {
        "control-plane.tar": control_plane,
        "kubernetes.tar": {name: path for name, path in kubernetes.items() if name not in control_plane},
        "calico.tar": dict(calico_images()),
        "workloads.tar": dict([*monitoring_images().items(), busybox()]),
    }


def _merged(name: str, paths: Sequence[Path]) -> Path:
    """The paths are named after what the archives are made from."""
    path = cache() / "cluster" / f"images-together-{digest(*map(str, paths))}" / name
    with locked("cluster-source"):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            merge_archives(paths, path)
    return path


def _assemble(directory: Path, files: dict[str, Path], description: str) -> None:
    part = directory.with_name(f".{directory.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    for name, path in files.items():
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        _link(path, part / name)
    (part / "source.json").write_text(description)
    sums = {name: _sha256(part / name) for name in sorted([*files, "source.json"])}
    (part / "SHA256SUMS").write_text("".join(f"{total}  {name}\n" for name, total in sums.items()))
    part.rename(directory)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
        target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
