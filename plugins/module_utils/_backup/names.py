# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How backups are called, which of them is the newest, and which are no longer kept."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.archives import UNFINISHED

SUFFIX = ".tar.gz"
ENCRYPTED = ".gpg"
# sorts as text as it does as time
_TIME = "%Y%m%dT%H%M%SZ"
_CREATED = "%Y-%m-%dT%H:%M:%SZ"
_WRITTEN_TIME = r"\d{8}T\d{6}Z"
_PART = r"[a-z][a-z0-9_]*"
_CLUSTER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def refuse_unfit_cluster(cluster: str) -> None:
    """A cluster's name becomes the beginning of file names."""
    if not _CLUSTER.fullmatch(cluster):
        raise Refusal("cluster_name", repr(cluster), "letters, digits, _, . and -", "Correct the name of the cluster.")


def refuse_unfit_part(subject: str, part: str) -> None:
    """A part's name becomes one of file names, too."""
    if not re.fullmatch(_PART, part):
        raise Refusal(subject, repr(part), "lower case letters, digits and _", "Name it after the application.")


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


def encrypted(files: Iterable[str]) -> list[str]:
    """Those that only a key opens."""
    return [name for name in files if name.endswith(ENCRYPTED)]


def newest(cluster: str, files: Iterable[str]) -> Optional[str]:
    return next(reversed(backups(cluster, files)), None)


def part_name(backup: str, part: str) -> str:
    """What an application's archive is called that belongs to a backup and lies beside it; encrypted as the backup is."""
    end = backup.rfind(SUFFIX)
    # whoever calls a backup otherwise calls its parts likewise
    end = len(backup) if end < 0 else end
    return f"{backup[:end]}.{part}{backup[end:]}"


def with_part(cluster: str, files: Iterable[str], part: str) -> list[str]:
    """The backups that have this part beside them, the oldest first."""
    there = set(files)
    return [name for name in backups(cluster, there) if part_name(name, part) in there]


def parts_without_backup(cluster: str, files: Iterable[str]) -> list[str]:
    """Parts whose backup is gone, or never got its name: nothing tells any more whether they are whole."""
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
