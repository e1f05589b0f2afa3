# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Members of etcd on the control plane hosts: what they are, which of them may go, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional, Protocol
from urllib.parse import urlsplit

from .._findings import Finding, LookedAt, Verdict, state_of
from .._json import read_json
from .._refusal import Refusal

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
