# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd on the control plane hosts: its tools (the host's or the etcd image's), snapshots, and its members.

Members: what they are, which of them may go, and what is wrong.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional, Protocol
from urllib.parse import urlsplit

from .._ctr import calls_to_remove, ctr
from .._findings import Finding, LookedAt, Verdict, state_of
from .._host.commands import Commands
from .._json import read_json
from .._kubeadm.host import NodeHost
from .._kubeadm.state import COMPONENTS, MANIFESTS
from .._kubeadm.static_pods import stop
from .._notation import in_url
from .._refusal import Refusal
from .._versions import image_tag

# Members

SUBJECT = "etcd"
_NODES = "/api/v1/nodes"
SITE = "Run `ansible-playbook site.yml`"


class Etcd(Protocol):
    """What the core is given of etcd; tests pass a fake. Both return what etcdctl prints as JSON."""

    def members(self) -> str:
        """All members."""

    def health(self) -> str:
        """The health of the endpoint of each member."""

    def remove(self, member: str) -> None:
        """Remove the member with this ID, in hexadecimal digits."""


@dataclass(frozen=True)
class Member:
    """A member. name: its host's; empty if it has not started yet. host: of its peer URL. is_learner: it has no vote yet."""

    id: str
    name: str
    host: str
    is_learner: bool
    is_healthy: bool

    @property
    def label(self) -> str:
        return self.name or f"at {self.host}"

    def as_data(self) -> dict[str, Any]:
        return {"id": self.id, "name": self.name, "address": self.host, "learner": self.is_learner, "healthy": self.is_healthy}


def read_members(listed: str, health: str) -> tuple[Member, ...]:
    """Return the members, sorted by name, from the output of `etcdctl member list` and `etcdctl endpoint health --cluster`."""
    try:
        healthy = {urlsplit(str(one["endpoint"])).hostname for one in read_json(_json(health, "[", "]")) if one.get("health") is True}
        found = [
            Member(
                f"{int(one['ID']):x}",
                str(one.get("name", "")),
                str(urlsplit(one["peerURLs"][0]).hostname),
                bool(one.get("isLearner")),
                any(urlsplit(url).hostname in healthy for url in one.get("clientURLs") or ()),
            )
            for one in read_json(_json(listed, "{", "}"))["members"]
        ]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise Refusal("etcdctl", f"an answer that cannot be read ({error})", "members as JSON", "Use etcd 3.5 or newer.") from error
    return tuple(sorted(found, key=lambda member: (member.name, member.host)))


def _json(text: str, first: str, last: str) -> str:
    """Return the JSON in an output, without the lines around it."""
    return text[text.index(first) : text.rindex(last) + 1]


def control_planes(nodes: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the control plane hosts of the cluster: the name of each node, and its addresses."""
    return {str(node.get("name")).lower(): _addresses(node) for node in nodes if node.get("role") == "control_plane"}


def _addresses(node: Mapping[str, Any]) -> list[str]:
    given = node.get("address")
    return [str(one) for one in (given if isinstance(given, (list, tuple)) else [given])]


def majority(members: Sequence[Member]) -> bool:
    """Return whether more than half of the members that vote are healthy."""
    voting = [member for member in members if not member.is_learner]
    return 2 * sum(member.is_healthy for member in voting) > len(voting)


def to_remove(members: Sequence[Member], hosts: Mapping[str, Sequence[str]]) -> tuple[Member, ...]:
    """Return the members of these hosts (name -> addresses). Raises Refusal if the others would have no healthy majority."""
    going = tuple(member for member in members if member.name in hosts or any(member.host in each for each in hosts.values()))
    staying = [member for member in members if member not in going]
    if going and not (staying and majority(staying)):
        sick = [member.label for member in staying if not member.is_healthy]
        raise Refusal(
            f"{SUBJECT}, without {', '.join(member.label for member in going)}",
            f"{len(staying)} members, not healthy: {', '.join(sick) or 'none'}",
            "more than half of the remaining members healthy",
            "Start those hosts again; or restore a backup as docs/several-control-planes.md describes under `Without restore.yml`.",
        )
    return going


class Nodes(Protocol):
    """What the core is given of the Kubernetes API; tests pass a fake."""

    def get(self, path: str) -> Optional[dict[str, Any]]:
        """An object; None if there is none of this name."""

    def delete(self, path: str) -> bool:
        """Delete an object."""


def ensure_removed(etcd: Etcd, nodes: Nodes, hosts: Mapping[str, Sequence[str]], *, check_mode: bool) -> dict[str, Any]:
    """The module's result. Members are removed one after the other, those that are not healthy first; then the Nodes."""
    members = read_members(etcd.members(), etcd.health())
    going = to_remove(members, hosts)
    if not check_mode:
        for member in sorted(going, key=lambda one: one.is_healthy):
            etcd.remove(member.id)
    # kubeadm joins no host whose Node is still ready
    deleted = [name for name in hosts if nodes.get(f"{_NODES}/{name}") is not None]
    if not check_mode:
        for name in deleted:
            nodes.delete(f"{_NODES}/{name}")
    kept = [member for member in members if member not in going]
    return {
        "changed": bool(going or deleted),
        "members": [member.as_data() for member in kept],
        "removed": [member.label for member in going],
        "nodes_deleted": deleted,
        "diff": {
            "before": "".join([*(f"member {one.label}\n" for one in members), *(f"node {name}\n" for name in deleted)]),
            "after": "".join(f"member {one.label}\n" for one in kept),
        },
    }


def judge(members: Sequence[Member], hosts: Mapping[str, Sequence[str]]) -> Verdict:
    """Compare the members with the control plane hosts of the inventory."""
    findings = list(_findings(members, hosts))
    sound = sum(member.is_healthy for member in members)
    return Verdict(findings, [LookedAt("members of etcd", f"{sound} of {len(members)} healthy", state_of(findings))])


def _findings(members: Sequence[Member], hosts: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    names = {member.name for member in members}
    for host in hosts:
        if host not in names:
            fix = f"{SITE}: {host} joins with a member of its own."
            yield Finding("each_control_plane_has_an_etcd_member", "error", SUBJECT, f"no member {host}", f"a member {host}", fix, (host,))
    for member in members:
        if member.name not in hosts:
            found, expected = f"a member {member.label} of no control plane host", f"members of {', '.join(hosts)} only"
            fix = f"{SITE} if its host is joining; or remove it: `etcdctl member remove {member.id}`."
            yield Finding("etcd_has_no_other_members", "error", SUBJECT, found, expected, fix)
    sick = [member for member in members if not member.is_healthy]
    if sick:
        count = f"{len(members) - len(sick)} of {len(members)} members healthy, not {', '.join(member.label for member in sick)}"
        lost = "" if majority(members) else ": without a majority nothing is stored"
        spare = (
            "" if lost else "; the next one that fails may stop the cluster" if len(members) - len(sick) <= len(members) // 2 + 1 else ""
        )
        fix = f"Start {', '.join(member.label for member in sick)}; see `crictl logs` of its container etcd."
        known = tuple(member.name for member in sick if member.name in hosts)
        yield Finding("etcd_members_are_healthy", "error", SUBJECT, f"{count}{lost}{spare}", "all members healthy", fix, known)


# Tools: etcdctl and etcdutl, the host's own or those of the etcd image in a container that lives as long as the command

# After etcdutl restore, revisions that clients have already seen are used again, with other contents: a watch of a kubelet or a controller
# that continues from there would miss what was undone. So the revision is set far ahead, and all before it is marked as compacted: then
# clients read everything again. https://etcd.io/docs/v3.6/op-guide/recovery/ ("Revision difference").

CONTAINER = "vmstation-etcd"
PKI = "/etc/kubernetes/pki/etcd"
TIMEOUT = 600.0
_CONNECTION = (
    "--endpoints=https://127.0.0.1:2379",
    f"--cacert={PKI}/ca.crt",
    f"--cert={PKI}/healthcheck-client.crt",
    f"--key={PKI}/healthcheck-client.key",
)
BUMP = 1_000_000_000
WRITES_A_SECOND = 1000
_IMAGE = re.compile(r"^\s*(?:- )?image:\s*\"?([^\s\"]+)", re.MULTILINE)
_TAG = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True)
class Snapshot:
    """What etcdutl reports about the snapshot."""

    hash: int
    revision: int
    keys: int


@dataclass(frozen=True)
class EtcdTools:
    """How to run them. image: etcd's, as containerd knows it. socket: where containerd answers."""

    commands: Commands
    image: str
    socket: str

    def save(self, path: str, directory: str) -> None:
        """A snapshot of the running member."""
        self._run("etcdctl", [*_CONNECTION, "snapshot", "save", path], directory, (PKI,))

    def members(self) -> str:
        """All members, as JSON."""
        return self._run("etcdctl", [*_CONNECTION, "--write-out=json", "member", "list"], "", (PKI,))

    def health(self) -> str:
        """The health of each member's endpoint, as JSON; also if one is not healthy."""
        return self._run("etcdctl", [*_CONNECTION, "--write-out=json", "endpoint", "health", "--cluster"], "", (PKI,), check=False)

    def remove(self, member: str) -> None:
        """Remove a member by its ID."""
        self._run("etcdctl", [*_CONNECTION, "member", "remove", member], "", (PKI,))

    def status(self, path: str, directory: str) -> Snapshot:
        """What is in a snapshot. etcdutl walks its whole tree for that, and fails if the tree is damaged."""
        return read_status(self._run("etcdutl", ["--write-out=json", "snapshot", "status", path], directory))

    def restore(self, path: str, data: str, directory: str, *, name: str, address: str, ahead: int) -> None:
        """Make the data of a member of that name, alone in its cluster, out of a snapshot."""
        peer = f"https://{in_url(address)}:2380"
        argv = ["snapshot", "restore", path, f"--data-dir={data}", f"--name={name}", f"--initial-cluster={name}={peer}"]
        argv += [f"--initial-advertise-peer-urls={peer}", f"--bump-revision={ahead}", "--mark-compacted"]
        self._run("etcdutl", argv, directory)

    def _run(self, program: str, argv: Sequence[str], directory: str, readable: Sequence[str] = (), *, check: bool = True) -> str:
        if self.commands.has(program):
            return self.commands.run([program, *argv], timeout=TIMEOUT, check=check).stdout
        self._sweep()
        # a name of its own: a task that a killed run was about to make may come up after the sweep, and ctr has no task of its name twice
        container = f"{CONTAINER}-{secrets.token_hex(4)}"
        mounts = [*([_mount(directory, "rw")] if directory else []), *(_mount(path, "ro") for path in readable)]
        words = [word for mount in mounts for word in ("--mount", mount)]
        try:
            return self.commands.run(
                ctr(self.socket, "run", "--rm", "--net-host", *words, self.image, container, f"/usr/local/bin/{program}", *argv),
                timeout=TIMEOUT,
                check=check,
            ).stdout
        except Refusal:
            self._sweep()
            raise

    def _sweep(self) -> None:
        """Remove what killed runs have left."""
        containers = _ours(self.commands.run(ctr(self.socket, "containers", "list", "--quiet"), check=False).stdout)
        tasks = _ours(self.commands.run(ctr(self.socket, "tasks", "list", "--quiet"), check=False).stdout)
        for name in tasks - containers:
            # ctr finds a task by its container only
            self.commands.run(ctr(self.socket, "containers", "create", self.image, name), check=False)
        for name in sorted(tasks | containers):
            for argv in calls_to_remove(self.socket, name):
                self.commands.run(argv, check=False)


def _ours(listed: str) -> set[str]:
    return {name for name in listed.split() if name.startswith(CONTAINER)}


def _mount(path: str, mode: str) -> str:
    return f"type=bind,src={path},dst={path},options=rbind:{mode}"


def bump(taken: float, now: float) -> int:
    """How far the revision goes ahead: beyond what was written since, and beyond an earlier restore of the same backup."""
    return BUMP + WRITES_A_SECOND * max(0, int(now - taken))


def read_status(text: str) -> Snapshot:
    try:
        read = read_json(text[text.index("{") :])
        snapshot = Snapshot(int(read["hash"]), int(read["revision"]), int(read["totalKey"]))
    except (ValueError, KeyError, TypeError) as error:
        required, step = "hash, revision and number of keys as JSON", "Use etcd 3.5 or newer."
        raise Refusal("etcdutl snapshot status", f"{text.strip() or 'nothing'}", required, step) from error
    if snapshot.keys < 1:
        raise Refusal("etcd's snapshot", "no keys in it", "the keys of a cluster", "See whether etcd holds the cluster's data.")
    return snapshot


def image_of(manifest: str, path: str) -> str:
    """The image of a static Pod's manifest, as kubeadm writes it."""
    match = _IMAGE.search(manifest)
    if not match:
        raise Refusal(path, "no image" if manifest else "not there", "a manifest of kubeadm", "Run site.yml: it recreates what is missing.")
    return match[1]


def version_of(image: str) -> str:
    """The version in an image's tag: kubeadm's images have no other, etcd's has a number behind it."""
    match = _TAG.match(image_tag(image))
    if not match:
        raise Refusal(f"image {image}", "no version in its tag", "a tag such as v1.36.4 or 3.6.8-0", "Use kubeadm's own images.")
    return ".".join(match.groups())


def minor(version: str) -> tuple[str, str]:
    """What must not differ between a backup and a host."""
    major, second = version.lstrip("v").split(".")[:2]
    return major, second


def etcd_image(listed: str) -> str:
    """Etcd's among the images that kubeadm lists."""
    found = [line for line in listed.split() if re.search(r"(^|/)etcd:", line)]
    if not found:
        raise Refusal("kubeadm config images list", "no image of etcd", "one", "Run it with the configuration in the backup.")
    return found[0]


# Stops a control plane so that nothing reads or writes its files: the kubelet, its static Pods' manifests, their containers.


def stop_control_plane(host: NodeHost, socket: str) -> None:
    """Ordinary Pods run on. The manifests are kubeadm's, which makes them again."""
    host.commands.run(["systemctl", "stop", "kubelet"], timeout=120.0)
    host.write({f"{MANIFESTS}/{name}.yaml": None for name in COMPONENTS})
    stop(COMPONENTS, host, socket)
