# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images that Calico's own manifest asks for, made from the module that go.mod pins and from Debian's packages.

What the images carry besides programs (runit's services, confd's templates) is taken from the module where Go has put it.
Calico's fork of BIRD is no Go module: Debian's BIRD 1.6 stands in for it. It speaks BGP just so, but cannot route into an
IP-in-IP tunnel: with such a pool it refuses its configuration, and calico-node's probes -bird-live and -bird-ready say so.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Callable
from functools import cache as remembered
from pathlib import Path

from tests.cluster.build import build
from tests.cluster.oci import PATH, Image, ensure_archive
from tests.cluster.programs import HERE, PROGRAMS, go, version
from tests.cluster.rootfs import rootfs
from tests.lab.cache import cache, digest, write
from tests.lab.say import LabError

SUITE = "bookworm"
MODULE = PROGRAMS["calico-node"].module

# what the services of calico-node start, and what its start script is written in
NODE_PACKAGES = [
    "base-files", "bash", "bird", "conntrack", "coreutils", "dash", "debianutils", "ipset", "iproute2", "iptables", "kmod", "procps",
    "runit",
]  # fmt: skip
# Debian leaves some of these links to update-alternatives, and has no birdcl
NODE_LINKS = {
    "usr/bin/which": "which.debianutils",
    "usr/bin/birdcl": "../sbin/birdc",
    **{f"usr/sbin/{family}tables{suffix}": "xtables-nft-multi" for family in ("ip", "ip6") for suffix in ("", "-save", "-restore")},
}
NODE_UNUSED = ["etc/service", "usr/bin/perl*", "usr/lib/*/perl*", "usr/share/doc", "usr/share/locale", "usr/share/man", "usr/share/perl*"]

CNI_PLUGINS = ["bandwidth", "host-local", "loopback", "portmap", "tuning"]
CONTROLLERS_USER = 999


def calico_manifest() -> Path:
    """The manifest of the pinned release, as upstream wrote it."""
    return _module() / "manifests" / "calico.yaml"


def calico_images() -> dict[str, Path]:
    """The archive of every image that the manifest asks for, those made that are missing; builds the programs that they need."""
    build([program.name for program in PROGRAMS.values() if program.directory == "calico"])
    return {name: _ensure(name) for name in wanted()}


def wanted() -> list[str]:
    """The names of the images in the manifest, each with its tag."""
    return sorted(set(re.findall(r"^\s*image:\s*(\S+)$", calico_manifest().read_text(), re.MULTILINE)))


def archive(name: str) -> Path:
    """The file of an image, made or not."""
    return cache() / "cluster" / f"calico-images-{_key()}" / f"{name.replace('/', '_').replace(':', '_')}.tar"


@remembered
def _module() -> Path:
    """Where Go keeps the module, which is brought there if it is not yet."""
    return Path(json.loads(go("mod", "download", "-json", MODULE, directory="calico"))["Dir"])


def _key() -> str:
    pins = [(HERE / "calico" / name).read_bytes() for name in ("go.mod", "go.sum")]
    recipe = [
        Path(__file__).with_name(name).read_bytes() for name in ("calico_images.py", "rootfs.py", "oci.py", "programs.py", "build.py")
    ]
    return digest(*pins, *recipe, go("env", "GOVERSION", "GOOS", "GOARCH"))


def _ensure(name: str) -> Path:
    path = archive(name)
    if path.exists():
        return path
    repository, _colon, tag = name.rpartition(":")
    kind = repository.rpartition("/")[2]
    if kind not in _RECIPES:
        raise LabError(f"Calico's manifest asks for the image {name}, and there is no recipe for it; there are {' '.join(_RECIPES)}")
    if tag != version(PROGRAMS["calico-node"]):
        raise LabError(f"Calico's manifest asks for {name}, and the programs are stamped {version(PROGRAMS['calico-node'])} in programs.py")
    return ensure_archive(path, name, lambda: _RECIPES[kind](name))


def _program(name: str) -> Path:
    return build([name])[0]


def _node(name: str) -> Image:
    templates = archive(name).parent / "templates"
    templates.mkdir(exist_ok=True)
    files = {
        "/bin/calico-node": _program("calico-node"),
        "/bin/mountns": _program("calico-mountns"),
        **_tree("node/filesystem/etc", "/etc"),
        **_tree("node/filesystem/sbin", "/usr/sbin"),
        **_tree("confd/etc/calico/confd/conf.d", "/etc/calico/confd/conf.d"),
        **_tree("confd/etc/calico/confd/templates", "/etc/calico/confd/templates"),
        "/etc/calico/confd/templates/bird_ipam.cfg.template": _without_tunnel(templates / "bird_ipam.cfg.template"),
    }
    environment = {"SVDIR": "/etc/service/enabled"}
    return Image(name, ["start_runit"], files, _node_rootfs(), environment=environment, architecture=_architecture())


def _tree(source: str, target: str) -> dict[str, Path]:
    top = _module() / source
    return {f"{target}/{path.relative_to(top)}": path for path in top.rglob("*") if path.is_file()}


def _without_tunnel(path: Path) -> Path:
    """confd's template without the attribute krt_tunnel, which only Calico's own BIRD knows, for pools that have no tunnel."""
    text = (_module() / "confd/etc/calico/confd/templates/bird_ipam.cfg.template").read_text()
    assignment = 'krt_tunnel = "{{$data.ipip}}";'
    if assignment not in text:
        raise LabError(f"the template bird_ipam.cfg.template of {MODULE} no longer has `{assignment}`: see which BIRD it is written for")
    write(path, text.replace(assignment, "{{if $data.ipip}}" + assignment + "{{end}}"))
    return path


def _node_rootfs() -> Path:
    links = "; ".join(f"ln -sf {target} {link}" for link, target in NODE_LINKS.items())
    return rootfs("calico-node", NODE_PACKAGES, f'set -e; cd "$1"; {links}; rm -rf {" ".join(NODE_UNUSED)}', SUITE)


def _cni(name: str) -> Image:
    programs = {"calico": "calico-cni", "calico-ipam": "calico-cni", "install": "calico-cni-install", **dict(zip(CNI_PLUGINS, CNI_PLUGINS))}
    files = {f"/opt/cni/bin/{called}": _program(program) for called, program in programs.items()}
    return Image(name, ["/opt/cni/bin/install"], files, environment={"PATH": f"/opt/cni/bin:{PATH}"}, architecture=_architecture())


def _kube_controllers(name: str) -> Image:
    files = {
        "/usr/bin/kube-controllers": _program("calico-kube-controllers"),
        "/usr/bin/check-status": _program("calico-check-status"),
    }
    writable = archive(name).with_name(".kube-controllers-rootfs.tar")
    _writable(writable, ["status/status.json", "profiles/mem.pprof", "profiles/cpu.pprof"])
    return Image(name, ["/usr/bin/kube-controllers"], files, writable, user=str(CONTROLLERS_USER), architecture=_architecture())


def _writable(path: Path, names: list[str]) -> None:
    """A root file system of empty files that the user of kube-controllers may write."""
    with tarfile.open(path, "w") as rootfs:
        for directory in sorted({str(Path(name).parent) for name in names}):
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            rootfs.addfile(entry)
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.uid = CONTROLLERS_USER
            rootfs.addfile(entry, io.BytesIO())


def _architecture() -> str:
    return go("env", "GOARCH")


_RECIPES: dict[str, Callable[[str], Image]] = {"node": _node, "cni": _cni, "kube-controllers": _kube_controllers}
