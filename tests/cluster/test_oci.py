# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Image archives: what is in them, and that the same content gives the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster.oci import NET_BIND_SERVICE, Image, merge_archives, write_archive
from tests.cluster.unpack import blob_of, blobs_of, unpack_layer


@pytest.fixture
def image(tmp_path: Path) -> Image:
    program = tmp_path / "program"
    program.write_bytes(b"#!/bin/sh\n")
    return Image(
        "registry.k8s.io/coredns/coredns:v1.14.2", ["/usr/local/bin/program"], {"/usr/local/bin/program": program}, user="65532:65532",
        capabilities={"/usr/local/bin/program": NET_BIND_SERVICE},
    )  # fmt: skip


def test_every_descriptor_has_itsblob_of(image: Image, tmp_path: Path) -> None:
    write_archive(image, tmp_path / "image.tar")
    blobs = blobs_of(tmp_path / "image.tar")
    (entry,) = json.loads(blobs["index.json"])["manifests"]
    assert entry["annotations"]["io.containerd.image.name"] == image.name
    manifest = json.loads(blobs[blob_of(entry)])
    for descriptor in (entry, manifest["config"], *manifest["layers"]):
        content = blobs[blob_of(descriptor)]
        assert descriptor["size"] == len(content)
        assert descriptor["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    configuration = json.loads(blobs[blob_of(manifest["config"])])
    assert configuration["config"]["User"] == "65532:65532"
    (layer,) = manifest["layers"]
    plain = subprocess.run(["zstd", "--decompress"], input=blobs[blob_of(layer)], capture_output=True, check=True).stdout
    assert configuration["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(plain).hexdigest()}"]


def test_the_same_content_gives_the_same_bytes(image: Image, tmp_path: Path) -> None:
    write_archive(image, tmp_path / "one.tar")
    (program,) = image.files.values()
    os.utime(program, (1, 1))
    program.chmod(0o700)
    write_archive(image, tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    write_archive(replace(image, user=""), tmp_path / "three.tar")
    assert (tmp_path / "one.tar").read_bytes() != (tmp_path / "three.tar").read_bytes()


def test_files_stand_beside_those_of_a_root_file_system(image: Image, tmp_path: Path) -> None:
    (tmp_path / "root" / "usr" / "local").mkdir(parents=True)
    (tmp_path / "root" / "usr" / "nft").write_text("nft")
    (tmp_path / "root" / "usr" / "iptables").symlink_to("nft")
    rootfs = tmp_path / "rootfs.tar"
    with tarfile.open(rootfs, "w") as base:
        base.add(tmp_path / "root", arcname=".")
    write_archive(replace(image, rootfs=rootfs, capabilities={}), tmp_path / "image.tar")
    unpack_layer(tmp_path / "image.tar", tmp_path / "unpacked")
    assert (tmp_path / "unpacked" / "usr" / "iptables").read_text() == "nft"
    assert os.access(tmp_path / "unpacked" / "usr" / "local" / "bin" / "program", os.X_OK)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may set file capabilities")
def test_a_capability_is_what_the_kernel_takes(image: Image, tmp_path: Path) -> None:
    write_archive(image, tmp_path / "image.tar")
    unpack_layer(tmp_path / "image.tar", tmp_path / "unpacked")
    assert os.getxattr(tmp_path / "unpacked" / "usr" / "local" / "bin" / "program", "security.capability") == NET_BIND_SERVICE


def test_nothing_half_made_stays(image: Image, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_archive(replace(image, files={"/absent": tmp_path / "absent"}), tmp_path / "image.tar")
    assert [path.name for path in tmp_path.iterdir()] == ["program"]


def test_a_program_under_two_names_is_there_once(image: Image, tmp_path: Path) -> None:
    (program,) = image.files.values()
    program.write_bytes(bytes(1 << 20))
    write_archive(replace(image, files={"/bin/one": program, "/usr/bin/two": program}, capabilities={}), tmp_path / "image.tar")
    assert (tmp_path / "image.tar").stat().st_size < 1.1 * (1 << 20)
    unpack_layer(tmp_path / "image.tar", tmp_path / "unpacked")
    assert (tmp_path / "unpacked" / "usr" / "bin" / "two").read_bytes() == program.read_bytes()


def test_images_of_one_program_share_its_layer_in_one_archive(image: Image, tmp_path: Path) -> None:
    names = [f"registry.example/{number}:1" for number in range(3)]
    for name in names:
        write_archive(replace(image, name=name, environment={"NAME": name}), tmp_path / f"{name[-3]}.tar")
    merge_archives([tmp_path / f"{number}.tar" for number in range(3)], tmp_path / "merged.tar")
    blobs = blobs_of(tmp_path / "merged.tar")
    manifests = json.loads(blobs["index.json"])["manifests"]
    assert [one["annotations"]["io.containerd.image.name"] for one in manifests] == names
    of_images = [json.loads(blobs[blob_of(one)]) for one in manifests]
    assert len({one["config"]["digest"] for one in of_images}) == 3
    assert {blob_of(one["layers"][0]) for one in of_images} < set(blobs)
    with tarfile.open(tmp_path / "merged.tar") as merged:
        assert sorted(merged.getnames()) == sorted(blobs)
        assert len(blobs) == 2 + 3 + 3 + 1
