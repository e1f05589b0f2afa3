# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores a control plane from a backup: what is rejected, and the steps, which may be killed anywhere and started again.

All that takes time is prepared while the old state still runs. While one state replaces the other, a file records that; the old state is
kept aside.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._etcd.etcd import EtcdTools, bump, etcd_image, minor, stop_control_plane, version_of
from .._findings import failures
from .._host.archives import Packing
from .._host.mark import MARKER
from .._json import read_json
from .._kubeadm.host import NodeHost
from .._kubeadm.state import CONFIGURATION, ETCD_DATA, KUBELET_CONF, KUBELET_FILES, KUBERNETES, PKI, RESTORING, Kubeadm, read_node_files
from .._kubeadm.static_pods import due, read_expirations, renew
from .._notation import show_size
from .._refusal import Refusal
from .._x509 import KUBELET_PKI
from . import manifest as names
from .making import judge_places, place_of, read_paths, with_own_mode
from .manifest import FILES, SNAPSHOT, Manifest, judge, read_manifest

LOCK_SECONDS = 600.0
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
class Outcome:
    """aside: where the former state is; empty if there was none. removed: former states that are no longer kept."""

    manifest: Manifest
    aside: str = ""
    removed: Sequence[str] = ()
    renewed: Sequence[str] = ()

    def as_result(self) -> dict[str, Any]:
        told = {"backup": self.manifest.summary(), "kept_aside": self.aside, "removed": list(self.removed), "renewed": list(self.renewed)}
        return {"changed": True, **told}


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


def restore(wish: Wish, host: NodeHost, packing: Packing, *, check_mode: bool) -> Outcome:
    """Put the state of the backup in the place of what is there. Afterwards the control plane is down until its role has run."""
    if check_mode:
        return Outcome(_refuse_unfit(wish, host, packing))
    with host.lock(LOCK_SECONDS):
        outcome = Outcome(_refuse_unfit(wish, host, packing))
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


def _refuse_unfit(wish: Wish, host: NodeHost, packing: Packing) -> Manifest:
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
