# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks into an image archive, for the tests."""

from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path


def blobs_of(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive if member.isreg()}


def unpack_layer(path: Path, directory: Path) -> None:
    blobs = blobs_of(path)
    manifest = json.loads(blobs[blob_of(json.loads(blobs["index.json"])["manifests"][0])])
    layer = directory.with_suffix(".tar")
    layer.write_bytes(blobs[blob_of(manifest["layers"][0])])
    directory.mkdir()
    subprocess.run(["tar", "-x", "--xattrs", "--xattrs-include=*", "-f", layer, "-C", directory], check=True)


def blob_of(descriptor: dict[str, str]) -> str:
    return f"blobs/sha256/{descriptor['digest'].removeprefix('sha256:')}"
