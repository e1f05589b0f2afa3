# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest of a backup: what it is of, what is in it, and whether all of that is whole."""

from __future__ import annotations

import json
import posixpath
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._io.packing import Contents, Member
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.mark import MARKER
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.pieces import IRREPLACEABLE
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.state import AUTHORITIES, PKI
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.tools import CONFIGURATION
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

SCHEMA = "vmstation.cluster/backup/1"
NAME = "manifest.json"
SNAPSHOT = "etcd.db"
FILES = "files"
# without these there is nothing to restore; an authority's key may be kept elsewhere by its owner
NEEDED = (SNAPSHOT, *(FILES + path for path in (*IRREPLACEABLE, MARKER, CONFIGURATION)))
WANTED = tuple(f"{FILES}{PKI}/{name}.key" for name in AUTHORITIES)
_NOT_OURS = "It is not as backup.yml writes it: take another."
_KINDS = ("file", "directory", "link")
_SHOWN = 5
_TAKE_ANOTHER = "Take the backup before it, and see what damaged this one: a disk, or a copy that was cut short."


@dataclass(frozen=True)
class Snapshot:
    """What etcdutl says of the snapshot."""

    hash: int
    revision: int
    keys: int


@dataclass(frozen=True)
class Part:
    """An application's archive, which lies beside the backup that it belongs to. missing: why there is none; empty if there is one.

    host: where it is from. label: what it is of, such as a version.
    """

    name: str
    host: str = ""
    label: str = ""
    size: int = 0
    sha256: str = ""
    missing: str = ""


@dataclass(frozen=True)
class Manifest:
    """created: as in 2026-11-25T23:33:00Z. host, address: of the control plane. absent: paths that were asked for and not there."""

    cluster: str
    created: str
    host: str
    address: str
    kubernetes: str
    etcd: str
    snapshot: Snapshot
    members: Sequence[Member] = ()
    absent: Sequence[str] = field(default_factory=tuple)
    parts: Sequence[Part] = ()

    def as_text(self) -> str:
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1, ensure_ascii=False) + "\n"

    def summary(self) -> dict[str, Any]:
        """What a person asks of a backup, without its list of files."""
        told = asdict(self)
        told["members"] = len(self.members)
        told["absent"] = list(self.absent)
        told["parts"] = [asdict(part) for part in self.parts]
        return told

    def files(self) -> list[Member]:
        """What is put to its place on the host."""
        return [member for member in self.members if member.name.startswith(f"{FILES}/")]


def read_manifest(contents: Contents, subject: str) -> Manifest:
    """The manifest of an archive. Raises Refusal if it is none of ours."""
    name, text = contents.first
    try:
        read: dict[str, Any] = json.loads(text) if name == NAME else {"schema": f"none: the first member is {name or 'nothing'}"}
        _require_schema(read)
        return Manifest(
            snapshot=_made(Snapshot, read["snapshot"]),
            members=tuple(_made(Member, member) for member in read["members"]),
            absent=tuple(str(path) for path in read["absent"]),
            # backups of earlier releases have none
            parts=tuple(_made(Part, part) for part in read.get("parts", ())),
            **{key: str(read[key]) for key in ("cluster", "created", "host", "address", "kubernetes", "etcd")},
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refusal(
            subject,
            f"no manifest that can be read ({error})",
            f"{NAME} with schema {SCHEMA} as the first member",
            "It is no backup of backup.yml, or one of another release of vmstation.cluster: take another.",
        ) from error


Made = TypeVar("Made", Member, Snapshot, Part)


def _made(kind: type[Made], read: Mapping[str, Any]) -> Made:
    """Numbers where numbers are to be, and text where text is."""
    made = kind(**read)
    for one in fields(made):
        value = getattr(made, one.name)
        if type(value).__name__ != one.type:
            raise ValueError(f"{one.name} is {str(value)[:80]}")
    return made


def _require_schema(read: Mapping[str, Any]) -> None:
    if read.get("schema") != SCHEMA:
        raise ValueError(f"schema {read.get('schema')}")


def judge(manifest: Manifest, contents: Contents, cluster: str, subject: str) -> list[Finding]:
    """Everything that is wrong with a backup. cluster: whose it must be; empty: anybody's."""
    return [
        *_of_the_cluster(manifest, cluster, subject),
        *_trustworthy(manifest, subject),
        *_complete(manifest, subject),
        *_whole(manifest, contents.members, subject),
    ]


def _of_the_cluster(manifest: Manifest, cluster: str, subject: str) -> Iterable[Finding]:
    if cluster not in ("", manifest.cluster):
        yield Finding(
            "the_backup_is_of_this_cluster",
            "error",
            subject,
            f"a backup of the cluster {manifest.cluster}",
            f"one of {cluster}",
            "Choose a backup of this cluster.",
        )


def _trustworthy(manifest: Manifest, subject: str) -> Iterable[Finding]:
    """Whether the manifest's own list can be trusted to name what is in the archive, and nothing that becomes more than it seems."""
    rule = "every_member_of_the_backup_is_named_after_its_path"
    wrong = [one for one in manifest.members if one.name != (FILES + one.path if one.path else SNAPSHOT) or not _is_fit(one)]
    if wrong:
        found = listed(f"{one.name} for {one.path or 'no path'}" for one in wrong)
        yield Finding(rule, "error", subject, found, f"{FILES} and the path in full, and {SNAPSHOT}", _NOT_OURS)
    twice = [name for name, count in Counter(member.name for member in manifest.members).items() if count > 1]
    if twice:
        yield Finding(rule, "error", subject, f"more than once: {listed(twice)}", "each member once", _NOT_OURS)
    odd = [member for member in manifest.files() if member.kind != "directory" and member.mode & 0o6000]
    if odd:
        found = listed(f"{member.path} with mode {member.mode:04o}" for member in odd)
        rule = "no_file_of_the_backup_runs_as_another_user"
        yield Finding(rule, "error", subject, found, "files without setuid and setgid", _NOT_OURS)


def _complete(manifest: Manifest, subject: str) -> Iterable[Finding]:
    names = {member.name for member in manifest.members}
    for severity, wanted in (("error", NEEDED), ("warning", WANTED)):
        lacking = [name for name in wanted if name not in names]
        if lacking:
            yield Finding(
                "the_backup_is_complete",
                "error" if severity == "error" else "warning",
                subject,
                f"no {', '.join(lacking)}",
                "what a control plane cannot be made again without",
                "Choose another backup." if severity == "error" else "Have these keys at hand: they were not on the host.",
            )
    if manifest.absent:
        yield Finding(
            "what_was_asked_for_is_in_the_backup",
            "info",
            subject,
            f"without {', '.join(manifest.absent)}, not there when it was taken",
            "every path of backup_paths",
            "Nothing to do if nothing was to be there.",
        )
    for part in manifest.parts:
        if part.missing:
            yield Finding(
                "the_backup_has_every_application",
                "warning",
                f"{subject}, {part.name}",
                f"none: {part.missing}",
                f"what {part.name} keeps on its host",
                "Put right what it names and run backup.yml again; the newest backup that has it stays meanwhile.",
            )


def _whole(manifest: Manifest, found: Mapping[str, Member], subject: str) -> Iterable[Finding]:
    rule = "every_member_of_the_backup_is_whole"
    known = {member.name for member in manifest.members}
    for member in manifest.members:
        there = found.get(member.name)
        if there is None:
            yield Finding(rule, "error", f"{subject}, {member.name}", "not there", f"a {member.kind}", _TAKE_ANOTHER)
        elif _identity(there) != _identity(member):
            yield Finding(rule, "error", f"{subject}, {member.name}", _told(there), _told(member), _TAKE_ANOTHER)
    for name in sorted(set(found) - known):
        yield Finding(rule, "error", f"{subject}, {name}", "a member that the manifest does not know", "none", _TAKE_ANOTHER)


def _identity(member: Member) -> tuple[object, ...]:
    return (member.kind, member.size, member.sha256, member.target)


def _told(member: Member) -> str:
    if member.kind == "file":
        return f"{member.size} bytes with SHA-256 {member.sha256[:16]}..."
    return f"a {member.kind}" + (f" to {member.target}" if member.target else "")


def is_plain(path: str) -> bool:
    """Whether a path is written in full, and in the one way."""
    return path.startswith("/") and not path.startswith("//") and posixpath.normpath(path) == path and "\0" not in path


def _is_fit(member: Member) -> bool:
    numbers = 0 <= member.mode <= 0o7777 and 0 <= member.owner < 1 << 32 and 0 <= member.group < 1 << 32
    return numbers and member.kind in _KINDS and (is_plain(member.path) if member.path else member.kind == "file")


def listed(names: Iterable[str]) -> str:
    """The first of them, fit for a line of text, and how many more there are."""
    shown = list(names)
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(name[:200] if name.isprintable() else repr(name[:200]) for name in shown[:_SHOWN]) + more
