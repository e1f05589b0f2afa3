# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""BusyBox as an image, from Debian's static build: what pods of the tests run, and what the network checks ask with."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.oci import Image, write_archive
from tests.cluster.programs import go
from tests.lab.cache import cache, digest, locked
from tests.lab.say import quietly, step

# the version that Debian 12 has, under the name that everybody pulls it by
NAME = "docker.io/library/busybox:1.35.0"
SUITE = "bookworm"
APPLETS = [
    "sh",
    "sleep",
    "cat",
    "echo",
    "hostname",
    "httpd",
    "id",
    "ip",
    "mkdir",
    "nc",
    "nslookup",
    "ping",
    "printf",
    "seq",
    "true",
    "wget",
]

_RECIPE = [
    "mmdebstrap", "--quiet", "--format=tar", "--mode=root", "--variant=extract", "--include=busybox-static",
    f'--extract-hook=cd "$1/bin"; for name in {" ".join(APPLETS)}; do ln -sf busybox $name; done; mkdir -p "$1/tmp"; chmod 1777 "$1/tmp"',
    "--extract-hook=rm -rf \"$1\"/usr/share", SUITE,
]  # fmt: skip


def busybox() -> tuple[str, Path]:
    """The image's name and its archive, made if it is missing."""
    path = cache() / "cluster" / f"busybox-{digest(NAME, *_RECIPE, Path(__file__).with_name('oci.py').read_text())}.tar"
    with locked("busybox-image"):
        if not path.exists():
            with step(f"image {NAME}"):
                path.parent.mkdir(parents=True, exist_ok=True)
                rootfs = path.with_name(f".{path.name}.rootfs")
                try:
                    quietly([*_RECIPE, str(rootfs)])
                    write_archive(Image(NAME, ["/bin/sh"], {}, rootfs=rootfs, architecture=go("env", "GOARCH")), path)
                finally:
                    rootfs.unlink(missing_ok=True)
    return NAME, path
