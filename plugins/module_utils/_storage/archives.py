# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How archives of a directory are called, and which of them are no longer kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.sizes import read_size

# sorts as text as it does as time
TIME = "%Y%m%dT%H%M%SZ"
# what an archive is called until it is complete
UNFINISHED = ".unfinished"
_WRITTEN_TIME = r"\d{8}T\d{6}Z"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.]*")
_NOT_OF_A_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Order:
    """What to archive. label: what the archive is of, such as a version. keep: how many archives of that name stay, this one included.

    owner: who may read it; empty: who runs this. largest: how many bytes there may be to archive; 0: any number. timeout: seconds.
    """

    source: str
    destination: str
    name: str
    label: str
    keep: int
    owner: str = ""
    largest: int = 0
    timeout: int = 3600


def order(params: Mapping[str, Any]) -> Order:
    """The module's options, read."""
    source, destination = (str(params[one]).rstrip("/") or "/" for one in ("source", "destination"))
    for option, path in (("source", source), ("destination", destination)):
        if not path.startswith("/"):
            raise Refusal(option, repr(path), "a path that begins with /", "Write it in full.")
    if f"{destination}/".startswith(f"{source.rstrip('/')}/"):
        raise Refusal(
            "destination", destination, f"a directory outside of {source}", "An archive cannot be part of itself: choose another."
        )
    if not _NAME.fullmatch(params["name"]):
        raise Refusal("name", repr(params["name"]), "letters, digits, _ and .", "Name it after what is archived.")
    if params["keep"] < 1:
        raise Refusal("keep", str(params["keep"]), "1 at least", "Leave the task out where no archive is wanted.")
    if params["timeout"] <= 0:
        raise Refusal("timeout", str(params["timeout"]), "a number of seconds above 0", "Leave it out for an hour.")
    label = _NOT_OF_A_NAME.sub("_", params["label"]).strip("_.-") or "unlabelled"
    largest = read_size("maximum_size", params["maximum_size"]) if params["maximum_size"] else 0
    return Order(source, destination, params["name"], label, params["keep"], params["owner"] or "", largest, params["timeout"])


def file_name(wanted: Order, time: str) -> str:
    return f"{wanted.name}-{wanted.label}-{time}.tar.gz"


def no_longer_kept(wanted: Order, files: Iterable[str], new: str) -> list[str]:
    """What a killed run has left, and the oldest archives of that name, so many that with the new one ``keep`` are left.

    Other files do not count.
    """
    form = re.compile(rf"{re.escape(wanted.name)}-.+-({_WRITTEN_TIME})\.tar\.gz({re.escape(UNFINISHED)})?")
    found = sorted((match[1], file) for file in {*files} - {new} if (match := form.fullmatch(file)))
    unfinished = [file for _time, file in found if file.endswith(UNFINISHED)]
    archives = [file for _time, file in found if not file.endswith(UNFINISHED)]
    return unfinished + archives[: max(0, len(archives) - (wanted.keep - 1))]
