# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a backup on the control plane: a verified snapshot, the files that belong to it, and their manifest; and restore it.

A restore may be killed anywhere and started again. All that takes time is prepared while the old state still runs. While one state
replaces the other, a file records that; the old state is kept aside."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .._etcd.etcd import EtcdTools, Snapshot, bump, etcd_image, image_of, minor, stop_control_plane, version_of
from .._findings import Finding, failures
from .._host.archives import Member, Packing
from .._host.mark import MARKER, Mark, read_mark
from .._json import read_json
from .._kubeadm.host import NodeHost
from .._kubeadm.state import (
    CONFIGURATION,
    ENCRYPTION,
    ETCD_DATA,
    KUBELET_CONF,
    KUBELET_FILES,
    KUBERNETES,
    MANIFESTS,
    PKI,
    RESTORING,
    Kubeadm,
    encrypts,
    lost,
    read_node_files,
)
from .._kubeadm.static_pods import due, read_expirations, renew
from .._notation import show_size
from .._refusal import Refusal
from .._storage.archiving import UNFINISHED
from .._x509 import KUBELET_PKI
from . import manifest as names
from .manifest import FILES, NAME, SNAPSHOT, Manifest, Part, is_plain, judge, listed, read_manifest

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
        # a host does not know whether there are others, for which restore.yml is an error
        step = (
            "Run restore.yml. With several control plane hosts, back up another one with --limit, and replace this one as "
            "docs/several-control-planes.md describes."
        )
        raise Refusal("this control plane", what, "a complete one, as an incomplete backup is worthless", step)
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


# Restore: what is rejected, and the steps

PULL_SECONDS = 900.0
MEMBER = f"{ETCD_DATA}/member"
# on etcd's file system, so that a rename is all that is left to do; kubeadm reset empties that directory
WORK = f"{ETCD_DATA}/vmstation-restoring"
ASIDE = "vmstation-before-"
RENEWED = "renewed.json"
CREDENTIALS = "kubelet-client"


@dataclass(frozen=True)
class Wish:
    """archive: a plain one on this host. host, addresses: as the inventory has them. keep: how many former states stay.

    force: also in the place of a cluster that this collection has not made. socket: where containerd answers. paths: of applications.
    """

    archive: str
    cluster: str
    host: str
    addresses: Sequence[str]
    keep: int
    force: bool
    socket: str
    paths: Sequence[str] = ()


@dataclass
class Restoration:
    """aside: where the former state is; empty if there was none. removed: former states that are no longer kept."""

    manifest: Manifest
    aside: str = ""
    removed: Sequence[str] = ()
    renewed: Sequence[str] = ()

    def as_result(self) -> dict[str, Any]:
        restored = {
            "backup": self.manifest.summary(),
            "kept_aside": self.aside,
            "removed": list(self.removed),
            "renewed": list(self.renewed),
        }
        return {"changed": True, **restored}


def read_wish(params: Mapping[str, Any]) -> Wish:
    if params["keep"] < 1:
        raise Refusal("keep", str(params["keep"]), "1 at least", "The state before a restore is always kept for a while.")
    names.refuse_unfit_cluster(params["cluster_name"])
    return Wish(
        params["archive"],
        params["cluster_name"],
        params["name"].lower(),
        tuple(params["addresses"]),
        params["keep"],
        params["force"],
        params["containerd_address"],
        read_paths("paths", params["paths"]),
    )


def restore(wish: Wish, host: NodeHost, packing: Packing, *, check_mode: bool) -> Restoration:
    """Put the state of the backup in the place of what is there. Afterwards the control plane is down until its role has run."""
    if check_mode:
        return Restoration(_refuse_unfit_backup(wish, host, packing))
    with host.lock(LOCK_SECONDS):
        outcome = Restoration(_refuse_unfit_backup(wish, host, packing))
        aside = f"{ETCD_DATA}/{ASIDE}{names.stamp(packing.now())}"
        host.detached(lambda: _carry_out(wish, outcome.manifest, host, packing, aside))
        outcome.aside = aside if packing.entries(aside) else ""
        outcome.renewed = read_json(packing.text(f"{WORK}/{RENEWED}"))
        packing.remove(WORK)
        former = [f"{ETCD_DATA}/{name}" for name in packing.entries(ETCD_DATA) if name.startswith(ASIDE)]
        outcome.removed = former[: max(0, len(former) - wish.keep)]
        for path in outcome.removed:
            packing.remove(path)
        return outcome


def _refuse_unfit_backup(wish: Wish, host: NodeHost, packing: Packing) -> Manifest:
    """Looks at the archive and at the host, and touches neither."""
    subject = f"archive {wish.archive}"
    contents = packing.look(wish.archive)
    manifest = read_manifest(contents, subject)
    findings = [*judge(manifest, contents, wish.cluster, subject), *judge_places(manifest, wish.paths, subject)]
    wrong = failures(findings, "error")
    if wrong:
        raise Refusal(wrong[0].subject, wrong[0].found, wrong[0].expected, wrong[0].fix)
    _refuse_another_host(wish, manifest)
    _refuse_another_cluster(wish, host)
    _refuse_what_is_in_the_way(wish, manifest, packing)
    for program, version in _installed(host).items():
        if minor(version) != minor(manifest.kubernetes):
            raise Refusal(
                program,
                f"version {version}",
                f"a release of {'.'.join(minor(manifest.kubernetes))}, as in the backup",
                "Install that minor version first, restore, then upgrade.",
            )
    needed = 3 * sum(member.size for member in manifest.members) + (64 << 20)
    free = packing.free(ETCD_DATA)
    if free < needed:
        raise Refusal(ETCD_DATA, f"{show_size(free)} free", f"{show_size(needed)} to restore beside the present data", "Free some space.")
    return manifest


def _refuse_another_host(wish: Wish, manifest: Manifest) -> None:
    if manifest.host != wish.host or manifest.address not in wish.addresses:
        raise Refusal(
            f"host {wish.host}",
            f"the addresses {', '.join(wish.addresses)}",
            f"{manifest.host} with {manifest.address}, which are in the backup's certificates and in every kubeconfig file",
            "Give the host that name and address, in the inventory and itself.",
        )


def _refuse_another_cluster(wish: Wish, host: NodeHost) -> None:
    standing = read_node_files(host.files)
    mark = standing.mark
    if mark is not None and (mark.cluster, mark.role) != (wish.cluster, "control_plane"):
        raise Refusal(
            f"host {wish.host}",
            f"a {mark.role.replace('_', ' ')} of the cluster {mark.cluster}",
            f"the control plane of {wish.cluster}, or a host without a cluster",
            "Reset it first, if that cluster is no longer needed.",
        )
    if mark is None and standing.evidence and not (wish.force or host.files.exists(RESTORING)):
        foreign = [path for path in standing.evidence if not path.startswith((WORK, f"{ETCD_DATA}/{ASIDE}"))]
        if foreign:
            raise Refusal(
                f"host {wish.host}",
                f"{', '.join(foreign)}, and no {MARKER}: left by another cluster, or by a damaged one",
                f"the control plane of {wish.cluster}, or a host without a cluster",
                "Find out what it is. If it may be moved aside, pass `force: true` (playbooks/restore.yml: `-e restore_force=true`).",
            )


def _refuse_what_is_in_the_way(wish: Wish, manifest: Manifest, packing: Packing) -> None:
    """A link on this host would lead a file elsewhere. Directories above those that are restored may be links of the user's."""
    for member in manifest.files():
        place = place_of(member.path, wish.paths)
        names_below = member.path[len(place) :].split("/")
        above = [place + "/".join(names_below[:count]) for count in range(1, len(names_below))]
        for path in [*above, *([member.path] if member.kind == "directory" else [])]:
            if packing.kind(path) not in ("", "directory"):
                raise Refusal(path, f"a {packing.kind(path)}", "a directory, as in the backup", "Move it away, then run again.")
        if member.kind != "directory" and packing.kind(member.path) == "directory":
            raise Refusal(member.path, "a directory", f"a {member.kind}, as in the backup", "Move it away, then run again.")


def _installed(host: NodeHost) -> dict[str, str]:
    kubelet = host.commands.run(["kubelet", "--version"], timeout=30.0).stdout.split()
    return {"kubeadm": host.commands.run(["kubeadm", "version", "--output=short"], timeout=30.0).stdout.strip(), "kubelet": kubelet[-1]}


def _carry_out(wish: Wish, manifest: Manifest, host: NodeHost, packing: Packing, aside: str) -> None:
    _prepare(wish, manifest, host, packing)
    _copy_aside(manifest, packing, aside)
    host.write({RESTORING: json.dumps({"backup": manifest.created, "kept_aside": aside}) + "\n"}, new_mode=0o600)
    stop_control_plane(host, wish.socket)
    if packing.exists(MEMBER):
        packing.make_directory(aside, 0o700)
        packing.rename(MEMBER, f"{aside}/member")
    _put_in_place(wish, manifest, packing)
    renewed = _renew_expired(host)
    packing.write(f"{WORK}/{RENEWED}", json.dumps(renewed))
    packing.sync()
    host.write({RESTORING: None})


def _prepare(wish: Wish, manifest: Manifest, host: NodeHost, packing: Packing) -> None:
    """Everything that may fail, while nothing has been touched."""
    packing.make_directory(ETCD_DATA, 0o700)
    packing.remove(WORK)
    packing.make_directory(WORK, 0o700)
    packing.unpack(wish.archive, WORK)
    configuration = f"{WORK}/{FILES}{CONFIGURATION}"
    image = etcd_image(host.commands.run(["kubeadm", "config", "images", "list", f"--config={configuration}"], timeout=60.0).stdout)
    if minor(version_of(image)) != minor(manifest.etcd):
        required = f"etcd {'.'.join(minor(manifest.etcd))}, as in the backup"
        raise Refusal(f"image {image}", f"etcd {version_of(image)}", required, "Install the Kubernetes release of the backup.")
    stored = host.commands.run(["ctr", "--address", wish.socket, "--namespace", "k8s.io", "images", "list", "--quiet"], timeout=60.0)
    if image not in stored.stdout.split():
        host.commands.run(["kubeadm", "config", "images", "pull", f"--config={configuration}"], timeout=PULL_SECONDS)
    tools = EtcdTools(host.commands, image, wish.socket)
    ahead = bump(names.seconds(manifest.created), packing.now())
    tools.restore(f"{WORK}/{SNAPSHOT}", f"{WORK}/data", WORK, name=manifest.host, address=manifest.address, ahead=ahead)
    if not packing.exists(f"{WORK}/data/member"):
        raise Refusal(
            f"{WORK}/data", "no data in it", "what etcdutl restores", "Run `etcdutl snapshot restore` manually and see its output."
        )
    packing.sync()


def _copy_aside(manifest: Manifest, packing: Packing, aside: str) -> None:
    """The files that are about to be replaced: as copies, for they may be on another file system than etcd's data, which follows later."""
    applications = [member.path for member in manifest.files() if member.kind != "directory" and not _is_of_the_cluster(member.path)]
    for path in (KUBERNETES, *KUBELET_FILES, *applications):
        if packing.exists(path):
            packing.make_directory(aside, 0o700)
            packing.copy(path, f"{aside}/{FILES}", FILES)


def _put_in_place(wish: Wish, manifest: Manifest, packing: Packing) -> None:
    """The backup's files, then etcd's data. What is of the host alone is recreated by kubeadm."""
    wanted = {member.path for member in manifest.files()}
    for path in _below(packing, PKI):
        if path not in wanted:
            packing.remove(path)
    # kubelet's credentials may be those of another CA
    for path in (KUBELET_CONF, f"{KUBERNETES}/bootstrap-kubelet.conf", *_credentials(packing)):
        packing.remove(path)
    for member in manifest.files():
        packing.place(f"{WORK}/{member.name}", with_own_mode(member), place_of(member.path, wish.paths))
    packing.rename(f"{WORK}/data/member", MEMBER)


def _renew_expired(host: NodeHost) -> list[str]:
    """Certificates that expired since the backup: with them, nothing would start."""
    expired = [one.name for one in due(read_expirations(Kubeadm(host.commands).certificates().stdout), least_days=0)]
    renew(expired, host)
    return expired


def _is_of_the_cluster(path: str) -> bool:
    return path.startswith(f"{KUBERNETES}/") or path in KUBELET_FILES


def _credentials(packing: Packing) -> list[str]:
    return [f"{KUBELET_PKI}/{name}" for name in packing.entries(KUBELET_PKI) if name.startswith(CREDENTIALS)]


def _below(packing: Packing, directory: str) -> list[str]:
    """Everything below a directory; a directory comes before what is in it."""
    found = []
    for name in packing.entries(directory):
        found += [f"{directory}/{name}", *_below(packing, f"{directory}/{name}")]
    return found
