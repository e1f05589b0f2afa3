# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images that kubeadm asks for, under the names that it asks for, made from the programs that go.mod pins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.cluster.build import binary, build
from tests.cluster.oci import NET_BIND_SERVICE, Image, ensure_archive
from tests.cluster.programs import HERE, NEWER, PROGRAMS, go, pins_of, program_of, version
from tests.cluster.rootfs import rootfs
from tests.lab.cache import cache, digest
from tests.lab.say import LabError, quietly

# what kube-proxy runs, and what it finds by its plain name: Debian leaves that link to update-alternatives
PROXY_PACKAGES = ["conntrack", "iptables", "ipset", "kmod", "nftables"]
PROXY_LINKS = [f"{family}tables{suffix}" for family in ("ip", "ip6") for suffix in ("", "-save", "-restore")]
SUITE = "bookworm"

# what is no part of an image
HOST_PROGRAMS = {"kubectl", "kubelet"}


def wanted(*, newer: bool = False) -> list[str]:
    """The names of the images that kubeadm would pull for its own release, each with its tag. newer: of the next minor version."""
    release = version(program_of("kubeadm", newer=newer))
    return quietly([str(binary("kubeadm", newer=newer)), "config", "images", "list", "--kubernetes-version", release]).split()


def archive(name: str, *, newer: bool = False) -> Path:
    """The file of an image, made or not."""
    return cache() / "cluster" / f"images-{_key(newer)}" / f"{name.replace('/', '_').replace(':', '_')}.tar"


def _key(newer: bool) -> str:
    pins = [(HERE / pins_of(directory, newer=newer) / name).read_bytes() for directory in NEWER for name in ("go.mod", "go.sum")]
    recipe = [Path(__file__).with_name(name).read_bytes() for name in ("images.py", "rootfs.py", "oci.py", "programs.py", "build.py")]
    return digest(*pins, *recipe, go("env", "GOVERSION", "GOOS", "GOARCH"))


def make_images(*, newer: bool = False) -> list[Path]:
    """All image archives, those made that are missing; builds the programs that they need."""
    build([name for name, program in PROGRAMS.items() if name not in HOST_PROGRAMS and program.directory in NEWER], newer=newer)
    return [_ensure(name, newer) for name in wanted(newer=newer)]


def _ensure(name: str, newer: bool) -> Path:
    path = archive(name, newer=newer)
    if path.exists():
        return path
    repository, _colon, tag = name.rpartition(":")
    kind = repository.rpartition("/")[2]
    if kind not in _RECIPES:
        raise LabError(f"kubeadm asks for the image {name}, and there is no recipe for it; there are {' '.join(_RECIPES)}")
    return ensure_archive(path, name, lambda: _RECIPES[kind](name, tag, newer))


def _same_version(name: str, tag: str, newer: bool) -> Path:
    """The program behind an image; refuses to call it by a version that it is not."""
    program = program_of(name, newer=newer)
    if tag.removeprefix("v").partition("-")[0] != version(program).removeprefix("v"):
        raise LabError(
            f"kubeadm asks for {name} {tag}, {HERE / program.directory / 'go.mod'} pins {version(program)}. "
            f"`go get {program.module}@<that version> && go mod tidy` there."
        )
    return build([name], newer=newer)[0]


def _component(name: str, tag: str, newer: bool) -> Image:
    program = name.rpartition(":")[0].rpartition("/")[2]
    path = f"/usr/local/bin/{program}"
    return Image(name, [path], {path: _same_version(program, tag, newer)}, architecture=_architecture())


def _etcd(name: str, tag: str, newer: bool) -> Image:
    files = {f"/usr/local/bin/{program}": _same_version(program, tag, newer) for program in ("etcd", "etcdctl", "etcdutl")}
    return Image(name, ["/usr/local/bin/etcd"], files, architecture=_architecture())


def _coredns(name: str, tag: str, newer: bool) -> Image:
    # as upstream: not root, and the right to bind port 53 is on the file
    return Image(
        name, ["/coredns"], {"/coredns": _same_version("coredns", tag, newer)}, user="65532:65532",
        capabilities={"/coredns": NET_BIND_SERVICE}, architecture=_architecture(),
    )  # fmt: skip


def _proxy(name: str, tag: str, newer: bool) -> Image:
    path = "/usr/local/bin/kube-proxy"
    return Image(name, [path], {path: _same_version("kube-proxy", tag, newer)}, rootfs=_proxy_rootfs(), architecture=_architecture())


def _proxy_rootfs() -> Path:
    """iptables, nft and conntrack from Debian's packages: kube-proxy has nothing of them in itself."""
    links = f'cd "$1/usr/sbin"; for name in {" ".join(PROXY_LINKS)}; do ln -sf xtables-nft-multi $name; done'
    return rootfs("proxy", PROXY_PACKAGES, links, SUITE)


def _pause(name: str, tag: str, newer: bool) -> Image:
    """Upstream's own pause program, from the source that the pinned module carries."""
    directory = pins_of("kubernetes", newer=newer)
    source = Path(go("list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes", directory=directory)) / "build" / "pause" / "linux" / "pause.c"
    path = archive(name, newer=newer).with_name("pause")
    try:
        quietly(["gcc", "-Os", "-Wall", "-Werror", "-static", "-s", f"-DVERSION=v{tag}", "-o", str(path), str(source)])
    except LabError as error:
        raise LabError(f"{name} needs a C compiler and a static C library (Debian: gcc libc6-dev): {error}") from None
    return Image(name, ["/pause"], {"/pause": path}, user="65535:65535", architecture=_architecture())


def _architecture() -> str:
    return go("env", "GOARCH")


_RECIPES: dict[str, Callable[[str, str, bool], Image]] = {
    "kube-apiserver": _component,
    "kube-controller-manager": _component,
    "kube-scheduler": _component,
    "kube-proxy": _proxy,
    "etcd": _etcd,
    "coredns": _coredns,
    "pause": _pause,
}
