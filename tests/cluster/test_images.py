# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images that kubeadm asks for: all are there, and each runs what its tag says."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.cluster import images
from tests.cluster.build import missing
from tests.cluster.unpack import unpack_layer
from tests.lab.say import LabError

# what a program of the image says of itself; {version} is the tag's, without v and without the -0 of a rebuilt image
SAYS = {
    "kube-apiserver": (["/usr/local/bin/kube-apiserver", "--version"], "Kubernetes v{version}"),
    "kube-controller-manager": (["/usr/local/bin/kube-controller-manager", "--version"], "Kubernetes v{version}"),
    "kube-scheduler": (["/usr/local/bin/kube-scheduler", "--version"], "Kubernetes v{version}"),
    "kube-proxy": (["/usr/local/bin/kube-proxy", "--version"], "Kubernetes v{version}"),
    "etcd": (["/usr/local/bin/etcd", "--version"], "etcd Version: {version}"),
    "coredns": (["/coredns", "-version"], "CoreDNS-{version}"),
    "pause": (["/pause", "-v"], "v{version}"),
}
# kube-proxy starts these by their plain names
PROXY_STARTS = ["iptables", "ip6tables", "iptables-save", "iptables-restore", "nft", "conntrack", "ipset"]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may chroot")


@pytest.fixture(autouse=True, scope="module")
def _built() -> None:
    try:
        unbuilt = missing(()) or [name for name in images.wanted() if not images.archive(name).exists()]
    except LabError as error:
        unbuilt = [str(error)]
    if unbuilt:
        pytest.skip(f"not built: {' '.join(unbuilt)}; run `python3 -m tests.cluster images`")


def _unpacked(kind: str, directory: Path) -> tuple[Path, str]:
    """The unpacked image of this kind, and its tag."""
    (name,) = [name for name in images.wanted() if name.rpartition(":")[0].rpartition("/")[2] == kind]
    unpack_layer(images.archive(name), directory / kind)
    return directory / kind, name.rpartition(":")[2]


def _chrooted(root: Path, *argv: str) -> str:
    path = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    return subprocess.run(["/usr/sbin/chroot", str(root), *argv], env=path, capture_output=True, text=True, check=True, timeout=60).stdout


def test_there_is_a_test_for_every_image_that_kubeadm_asks_for() -> None:
    assert {name.rpartition(":")[0].rpartition("/")[2] for name in images.wanted()} == set(SAYS)


@pytest.mark.parametrize("kind", SAYS)
def test_an_image_runs_the_version_of_its_tag(kind: str, tmp_path: Path) -> None:
    root, tag = _unpacked(kind, tmp_path)
    argv, says = SAYS[kind]
    assert says.format(version=tag.removeprefix("v").partition("-")[0]) in _chrooted(root, *argv)


def test_kube_proxy_finds_what_it_starts(tmp_path: Path) -> None:
    root, _tag = _unpacked("kube-proxy", tmp_path)
    for program in PROXY_STARTS:
        assert " v" in _chrooted(root, program, "--version")


@pytest.mark.parametrize(("newer", "directory"), [(False, "etcd"), (True, "newer_etcd")])
def test_a_version_that_go_mod_does_not_pin_is_refused(newer: bool, directory: str) -> None:
    with pytest.raises(LabError, match=rf"kubeadm asks for etcd 3\.4\.0-0, .*/{directory}/go\.mod pins v3\."):
        images._same_version("etcd", "3.4.0-0", newer)
