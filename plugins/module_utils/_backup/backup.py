# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a backup on the control plane: a verified snapshot, the files that belong to it, and their manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .._etcd.etcd import EtcdTools, Snapshot, image_of, version_of
from .._findings import Finding
from .._host.archives import Member, Packing
from .._host.mark import MARKER, Mark, read_mark
from .._kubeadm.host import NodeHost
from .._kubeadm.state import CONFIGURATION, ENCRYPTION, ETCD_DATA, KUBELET_FILES, KUBERNETES, MANIFESTS, PKI, RESTORING, encrypts, lost
from .._notation import show_size
from .._refusal import Refusal
from .._storage.archiving import UNFINISHED
from . import manifest as names
from .manifest import FILES, NAME, SNAPSHOT, Manifest, Part, is_plain, listed

# Where files of a backup may be put on a host: the places that the restoring side knows, never those that an archive names.

# kubelet.conf names a certificate that is the host's own: a restore recreates it, and static Pods follow from the configuration
CLUSTER_FILES = (
    PKI,
    *(f"{KUBERNETES}/{name}.conf" for name in ("admin", "super-admin", "controller-manager", "scheduler")),
    *KUBELET_FILES,
    CONFIGURATION,
    MARKER,
)
SECRET = (".key", ".conf")
# this collection's own, of which earlier releases took the whole directory
_OURS = "/etc/vmstation"


def read_path(option: str, given: str) -> str:
    """A path that an owner gives, written in full."""
    path = given.rstrip("/")
    if not is_plain(path) or f"{path}/".startswith(f"{ETCD_DATA}/"):
        raise Refusal(option, repr(path), f"a path that begins with /, outside of {ETCD_DATA}", "Write it in full.")
    return path


def read_paths(option: str, given: Sequence[str]) -> tuple[str, ...]:
    """Paths of applications that an owner gives."""
    return tuple(read_path(f"{option}[{index}]", str(path)) for index, path in enumerate(given))


def place_of(path: str, paths: Sequence[str]) -> str:
    """The outermost place that a path is in; empty if it is in none. paths: those of applications, beside the cluster's own."""
    return min((place for place in _places(paths) if f"{path}/".startswith(f"{place}/")), key=len, default="")


def judge_places(manifest: Manifest, paths: Sequence[str], subject: str) -> Iterator[Finding]:
    """Whether everything goes where the owner of this host expects it."""
    astray = [member.path for member in manifest.files() if not place_of(member.path, paths)]
    if astray:
        yield Finding(
            "every_file_of_the_backup_goes_to_a_known_place",
            "error",
            subject,
            f"files for {listed(astray)}",
            f"files for {', '.join(_places(paths))} and what is below them",
            "If they are yours, name them in `backup_paths`, as when the backup was made; if not, another user has made it: take another.",
        )


def with_own_mode(member: Member) -> Member:
    """As a restore writes it: the cluster's files belong to root and only root may write them, whatever mode the archive has for them."""
    if not place_of(member.path, ()):
        return member
    most = 0o755 if member.kind == "directory" else 0o600 if member.path.endswith(SECRET) else 0o644
    return replace(member, mode=member.mode & most, owner=0, group=0)


def _places(paths: Sequence[str]) -> list[str]:
    return [*CLUSTER_FILES, _OURS, *paths]


# Makes a backup on the control plane: a snapshot that was verified, the files that go with it, and their manifest, in one archive.

LOCK_SECONDS = 600.0
DATABASE = f"{ETCD_DATA}/member/snap/db"


@dataclass(frozen=True)
class Order:
    """What to back up. paths: of applications, beside the cluster's own. destination: a directory of our own on the host.

    owner: who may read the archive. socket: where containerd answers. parts: archives of applications that will lie beside it.
    """

    cluster: str
    paths: Sequence[str]
    destination: str
    owner: str
    socket: str
    parts: Sequence[Part] = ()


@dataclass(frozen=True)
class Outcome:
    """path, size, sha256: of the archive; the last two are empty in check mode."""

    path: str
    manifest: Manifest
    size: int = 0
    sha256: str = ""

    def as_result(self) -> dict[str, Any]:
        name = self.path.rpartition("/")[2]
        return {"path": self.path, "name": name, "size": self.size, "sha256": self.sha256, "backup": self.manifest.summary()}


def order(params: Mapping[str, Any]) -> Order:
    names.refuse_unfit_cluster(params["cluster_name"])
    paths = read_paths("paths", params["paths"])
    destination = read_path("destination", params["destination"])
    owner, socket = params["owner"], params["containerd_address"]
    return Order(params["cluster_name"], paths, destination, owner, socket, _parts(params["parts"]))


def _parts(given: Sequence[Mapping[str, Any]]) -> tuple[Part, ...]:
    for index, one in enumerate(given):
        names.refuse_unfit_part(f"parts[{index}].name", one["name"])
        if bool(one["sha256"]) == bool(one["missing"]):
            found = "both" if one["missing"] else "neither"
            step = "Pass the checksum of the archive, or the reason why there is none."
            raise Refusal(f"parts[{index}].sha256 and parts[{index}].missing", found, "one of them", step)
    return tuple(Part(**one) for one in given)


def make(wanted: Order, host: NodeHost, packing: Packing, *, check_mode: bool) -> Outcome:
    """Write the archive. Raises Refusal; what it has begun is removed then, or by the next run."""
    mark = _refuse_unfit(wanted, host)
    images = {name: image_of(host.files.read(_manifest(name)) or "", _manifest(name)) for name in ("etcd", "kube-apiserver")}
    tools = EtcdTools(host.commands, images["etcd"], wanted.socket)
    now = packing.now()
    manifest = Manifest(
        cluster=wanted.cluster,
        created=names.created(now),
        host=mark.name,
        address=mark.identity.get("address", ""),
        kubernetes=version_of(images["kube-apiserver"]),
        etcd=version_of(images["etcd"]),
        snapshot=Snapshot(0, 0, 0),
        absent=tuple(path for path in wanted.paths if not packing.exists(path)),
        parts=wanted.parts,
    )
    path = f"{wanted.destination}/{names.file_name(wanted.cluster, now)}"
    if check_mode:
        return Outcome(path, manifest)
    # a key that the API server does not use would make a restore require it
    left_out = () if encrypts(host.files) else (ENCRYPTION,)
    with host.lock(LOCK_SECONDS):
        return _make(wanted, packing, tools, manifest, path, left_out=left_out)


def _make(wanted: Order, packing: Packing, tools: EtcdTools, manifest: Manifest, path: str, *, left_out: Sequence[str]) -> Outcome:
    stage = f"{wanted.destination}/stage"
    # the user that fetches the archive passes through here, and can read only that file
    packing.make_directory(wanted.destination, 0o711)
    _sweep(wanted, packing, stage)
    _refuse_little_room(packing, wanted.destination)
    try:
        packing.make_directory(stage, 0o700)
        copied = (member for one in _paths(wanted, packing) for member in packing.copy(one, f"{stage}/{FILES}", FILES))
        members = [member for member in copied if member.path not in left_out]
        snapshot = _snapshot(packing, tools, f"{stage}/{SNAPSHOT}", stage)
        database = packing.member(f"{stage}/{SNAPSHOT}", SNAPSHOT)
        whole = Manifest(**{**vars(manifest), "snapshot": snapshot, "members": (replace(database, path=""), *members)})
        packing.write(f"{stage}/{NAME}", whole.as_text())
        packed = packing.pack(stage, [NAME, *(member.name for member in whole.members)], path + UNFINISHED, wanted.owner)
        packing.rename(path + UNFINISHED, path)
    finally:
        packing.remove(stage)
        packing.remove(path + UNFINISHED)
    return Outcome(path, whole, packed.size, packed.sha256)


def _snapshot(packing: Packing, tools: EtcdTools, path: str, stage: str) -> Snapshot:
    tools.save(path, stage)
    if not packing.ends_with_its_checksum(path):
        raise Refusal(
            "etcd's snapshot",
            "a checksum that is not its own",
            "the one that etcd appends to it",
            "Run again; check the disk.",
        )
    return tools.status(path, stage)


def _paths(wanted: Order, packing: Packing) -> list[str]:
    """What is there, each once: a path below another one comes with it."""
    there = sorted({path for path in (*CLUSTER_FILES, *wanted.paths) if packing.exists(path)})
    return [path for path in there if not any(path.startswith(f"{other}/") for other in there)]


def _refuse_unfit(wanted: Order, host: NodeHost) -> Mark:
    mark = read_mark(host.files.read(MARKER))
    if mark is None or mark.role != "control_plane" or not mark.installed:
        raise Refusal(
            "this host",
            f"no complete control plane of vmstation.cluster ({MARKER})",
            f"the control plane of {wanted.cluster}",
            "Run site.yml successfully first.",
        )
    if mark.cluster != wanted.cluster:
        raise Refusal("this host", f"the control plane of {mark.cluster}", f"that of {wanted.cluster}", "Correct cluster_name.")
    gone = [RESTORING] if host.files.exists(RESTORING) else lost(host.files)
    if gone:
        what = "an incomplete restore" if gone == [RESTORING] else f"{', '.join(gone)} missing or incomplete"
        raise Refusal("this control plane", what, "a complete one, as an incomplete backup is worthless", "Run restore.yml.")
    return mark


def _refuse_little_room(packing: Packing, directory: str) -> None:
    # the snapshot, and the archive that it goes into
    needed = 2 * packing.size(DATABASE) + (64 << 20)
    free = packing.free(directory)
    if free < needed:
        raise Refusal(directory, f"{show_size(free)} free", f"{show_size(needed)} for etcd's snapshot and its archive", "Free some space.")


def _sweep(wanted: Order, packing: Packing, stage: str) -> None:
    """What a run left that was killed, or whose archive was not fetched."""
    packing.remove(stage)
    entries = packing.entries(wanted.destination)
    for name in (*names.unfinished(wanted.cluster, entries), *names.backups(wanted.cluster, entries)):
        packing.remove(f"{wanted.destination}/{name}")


def _manifest(name: str) -> str:
    return f"{MANIFESTS}/{name}.yaml"
