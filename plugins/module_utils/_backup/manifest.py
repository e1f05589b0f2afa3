# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup's manifest and file names: what it contains, and whether it is complete."""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timezone
from typing import Any, Optional, TypeVar

from .._etcd.etcd import Snapshot
from .._findings import Finding
from .._host.archives import Contents, Member
from .._host.mark import MARKER
from .._json import read_json
from .._kubeadm.state import AUTHORITIES, CONFIGURATION, IRREPLACEABLE, PKI
from .._refusal import Refusal
from .._storage.archiving import UNFINISHED

# How backups are called, which of them is the newest, and which are no longer kept.

SUFFIX = ".tar.gz"
ENCRYPTED = ".gpg"
# sorts as text as it does as time
_TIME = "%Y%m%dT%H%M%SZ"
_CREATED = "%Y-%m-%dT%H:%M:%SZ"
_WRITTEN_TIME = r"\d{8}T\d{6}Z"
_PART = r"[a-z][a-z0-9_]*"
_FINGERPRINT = re.compile(r"(?:[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64})!?")
_CLUSTER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def refuse_unfit_cluster(cluster: str) -> None:
    """A cluster's name becomes the beginning of file names."""
    if not _CLUSTER.fullmatch(cluster):
        raise Refusal("cluster_name", repr(cluster), "letters, digits, _, . and -", "Correct the name of the cluster.")


def refuse_unfit_part(subject: str, part: str) -> None:
    """A part's name becomes one of file names, too."""
    if not re.fullmatch(_PART, part):
        raise Refusal(subject, repr(part), "lower case letters, digits and _", "Name it after the application.")


def refuse_ambiguous(recipients: Sequence[str]) -> None:
    """Reject names and addresses: each key in the ring that has them would do."""
    for one in recipients:
        if not _FINGERPRINT.fullmatch(one):
            step = f"Run `gpg --fingerprint {shlex.quote(one)}`, and write the fingerprint of that key without spaces."
            raise Refusal("recipients", repr(one), "fingerprints, as any key can have a name or an e-mail address", step)


def created(now: float) -> str:
    return datetime.fromtimestamp(now, timezone.utc).strftime(_CREATED)


def seconds(when: str) -> float:
    """Seconds since 1970 of what ``created`` wrote."""
    try:
        return datetime.strptime(when, _CREATED).replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        raise Refusal("the backup's time", repr(when), "one as in 2026-11-25T23:33:00Z", "Choose another backup.") from None


def stamp(now: float) -> str:
    """A time as names have it."""
    return datetime.fromtimestamp(now, timezone.utc).strftime(_TIME)


def file_name(cluster: str, now: float) -> str:
    return f"{cluster}-{stamp(now)}{SUFFIX}"


def backups(cluster: str, files: Iterable[str]) -> list[str]:
    """The backups of a cluster, the oldest first, encrypted ones too."""
    return [name for _time, name in _named(cluster, files)]


def named_at(cluster: str, file: str) -> Optional[float]:
    """When the backup of this name was begun, in seconds since 1970; None for the name of something else."""
    for time, _name in _named(cluster, [file]):
        try:
            return datetime.strptime(time, _TIME).replace(tzinfo=timezone.utc).timestamp()
        except ValueError:  # the 99th of a month
            return None
    return None


def encrypted(files: Iterable[str]) -> list[str]:
    """Those that only a key opens."""
    return [name for name in files if name.endswith(ENCRYPTED)]


def newest(cluster: str, files: Iterable[str]) -> Optional[str]:
    return next(reversed(backups(cluster, files)), None)


def part_name(backup: str, part: str) -> str:
    """What an application's archive is called that belongs to a backup and lies beside it; encrypted as the backup is."""
    end = backup.rfind(SUFFIX)
    # who renames a backup renames its parts likewise
    end = len(backup) if end < 0 else end
    return f"{backup[:end]}.{part}{backup[end:]}"


def with_part(cluster: str, files: Iterable[str], part: str) -> list[str]:
    """The backups that have this part beside them, the oldest first."""
    there = set(files)
    return [name for name in backups(cluster, there) if part_name(name, part) in there]


def parts_without_backup(cluster: str, files: Iterable[str]) -> list[str]:
    """Parts whose backup is gone, or never got its name: nothing shows any more whether they are whole."""
    there = set(files)
    belonging = {part_name(name, part) for name in backups(cluster, there) for _file, part in _parts(cluster, there)}
    return sorted(file for file, _part in _parts(cluster, there) if file not in belonging)


def no_longer_kept(cluster: str, files: Iterable[str], keep: int) -> list[str]:
    """The oldest backups, so many that ``keep`` are left; but never the newest one that has a part, for later ones may go without.

    Other files do not count.
    """
    there = set(files)
    found = backups(cluster, there)
    spared = {name for _file, part in _parts(cluster, there) for name in with_part(cluster, there, part)[-1:]}
    return [name for name in found[: max(0, len(found) - keep)] if name not in spared]


def unfinished(cluster: str, files: Iterable[str]) -> list[str]:
    """What killed runs have left of backups and their parts, on the host or the controller."""
    of_backup, of_part = rf"{_WRITTEN_TIME}(?:\.{_PART})?", _PART
    form = re.compile(rf"\.?{re.escape(cluster)}-(?:{of_backup}|{of_part}){re.escape(SUFFIX)}(?:\.[a-z]+)*{re.escape(UNFINISHED)}")
    return sorted(name for name in files if form.fullmatch(name))


def _parts(cluster: str, files: Iterable[str]) -> list[tuple[str, str]]:
    """File and part."""
    form = re.compile(rf"{re.escape(cluster)}-{_WRITTEN_TIME}\.({_PART}){re.escape(SUFFIX)}(?:{re.escape(ENCRYPTED)})?")
    return sorted((name, match[1]) for name in files if (match := form.fullmatch(name)))


def _named(cluster: str, files: Iterable[str]) -> list[tuple[str, str]]:
    form = re.compile(rf"{re.escape(cluster)}-({_WRITTEN_TIME}){re.escape(SUFFIX)}(?:{re.escape(ENCRYPTED)})?")
    return sorted((match[1], name) for name in files if (match := form.fullmatch(name)))


# The manifest of a backup: what it is of, what is in it, and whether all of that is whole.

SCHEMA = "vmstation.cluster/backup/1"
NAME = "manifest.json"
SNAPSHOT = "etcd.db"
FILES = "files"
# without these there is nothing to restore; the key of a CA may be kept elsewhere by its owner
NEEDED = (SNAPSHOT, *(FILES + path for path in (*IRREPLACEABLE, MARKER, CONFIGURATION)))
WANTED = tuple(f"{FILES}{PKI}/{name}.key" for name in AUTHORITIES)
_NOT_OURS = "It differs from what backup.yml writes: use another backup."
_KINDS = ("file", "directory", "link")
_SHOWN = 5
_TAKE_ANOTHER = "Use the previous backup, and find out what damaged this one: a disk, or an incomplete copy."


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
        summary = asdict(self)
        summary["members"] = len(self.members)
        summary["absent"] = list(self.absent)
        summary["parts"] = [asdict(part) for part in self.parts]
        return summary

    def files(self) -> list[Member]:
        """What is put to its place on the host."""
        return [member for member in self.members if member.name.startswith(f"{FILES}/")]


def read_manifest(contents: Contents, subject: str) -> Manifest:
    """The manifest of an archive. Raises Refusal if it is none of ours."""
    name, text = contents.first
    try:
        read: dict[str, Any] = read_json(text) if name == NAME else {"schema": f"none: the first member is {name or 'nothing'}"}
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
            f"no readable manifest ({error})",
            f"{NAME} with schema {SCHEMA} as the first member",
            "It is not a backup of backup.yml, or one of another release of vmstation.cluster: use another.",
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
    """Everything that is wrong with a backup. cluster: whose it must be; empty: any cluster's."""
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
                "everything that a control plane cannot be recreated without",
                "Choose another backup." if severity == "error" else "Keep these keys ready: they were not on the host.",
            )
    if manifest.absent:
        yield Finding(
            "what_was_asked_for_is_in_the_backup",
            "info",
            subject,
            f"without {', '.join(manifest.absent)}, not there when it was taken",
            "every path of backup_paths",
            "Nothing to do if they were not expected.",
        )
    for part in manifest.parts:
        if part.missing:
            yield Finding(
                "the_backup_has_every_application",
                "warning",
                f"{subject}, {part.name}",
                f"none: {part.missing}",
                f"what {part.name} keeps on its host",
                "Correct the problem and run backup.yml again; the newest backup that contains it is kept meanwhile.",
            )


def _whole(manifest: Manifest, found: Mapping[str, Member], subject: str) -> Iterable[Finding]:
    rule = "every_member_of_the_backup_is_whole"
    known = {member.name for member in manifest.members}
    for member in manifest.members:
        there = found.get(member.name)
        if there is None:
            yield Finding(rule, "error", f"{subject}, {member.name}", "not there", f"a {member.kind}", _TAKE_ANOTHER)
        elif _identity(there) != _identity(member):
            yield Finding(rule, "error", f"{subject}, {member.name}", _shown(there), _shown(member), _TAKE_ANOTHER)
    for name in sorted(set(found) - known):
        yield Finding(rule, "error", f"{subject}, {name}", "a member that is not in the manifest", "none", _TAKE_ANOTHER)


def _identity(member: Member) -> tuple[object, ...]:
    return (member.kind, member.size, member.sha256, member.target)


def _shown(member: Member) -> str:
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
