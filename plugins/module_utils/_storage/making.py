# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes directories that are missing. One that is there keeps owner and mode, or is refused where a program's data are to be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._io.storage import DirectoryMaker, Place, Storage
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

Step = Literal["create", "claim", "keep"]


@dataclass(frozen=True)
class Wish:
    """owner, group: numbers; None: those of who runs this. for_owner: it has to be the owner's, or empty, if it is there."""

    path: str
    mode: int = 0o755
    owner: Optional[int] = None
    group: Optional[int] = None
    for_owner: bool = False


@dataclass(frozen=True)
class Planned:
    """One directory, what is there, and what is done about it."""

    wish: Wish
    place: Place
    step: Step

    def before(self) -> str:
        place = self.place
        return f"{place.mode:04o} {place.owner}:{place.group}" if place.exists and place.mode is not None else "absent"

    def after(self) -> str:
        wish = self.wish
        if self.step == "keep":
            return self.before()
        owner, group = ("its user" if one is None else str(one) for one in (wish.owner, wish.group))
        return f"{wish.mode:04o} {owner}:{group}"


def read_wishes(params: Mapping[str, Any]) -> tuple[Wish, ...]:
    return tuple(_wish(f"directories[{index}]", entry) for index, entry in enumerate(params["directories"]))


def plan(wishes: Iterable[Wish], storage: Storage) -> list[Planned]:
    """What is done about each. All that cannot be is one Refusal, before anything is touched."""
    planned, refused = [], []
    for wish in wishes:
        try:
            place = storage.place(wish.path)
            planned.append(Planned(wish, place, _step(wish, place)))
        except Refusal as refusal:
            refused.append(refusal)
    if len(refused) > 1:
        # each is a sentence of its own
        raise Refusal(
            f"{len(refused)} directories",
            "; ".join(f"{one.subject}: {one.found}" for one in refused),
            "; ".join(sorted({one.required for one in refused})),
            " ".join(sorted({one.next_step for one in refused})),
        )
    if refused:
        raise refused[0]
    return planned


def carry_out(planned: Sequence[Planned], maker: DirectoryMaker) -> None:
    for one in planned:
        if one.step != "keep":
            maker.make(one.wish.path, one.wish.mode, one.wish.owner, one.wish.group)


def _wish(subject: str, entry: Mapping[str, Any]) -> Wish:
    path = str(entry["path"])
    if not path.startswith("/"):
        raise Refusal(f"{subject}.path", repr(path), "a path that begins with /", "Write it in full.")
    if entry["for_owner"] and entry["owner"] is None:
        raise Refusal(f"{subject}.owner", "none", "a user's number, with for_owner", "Name whose data it is for.")
    try:
        mode = int(entry["mode"], 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777:
        raise Refusal(f"{subject}.mode", repr(entry["mode"]), "an octal number, such as 0750", "Write it in quotation marks.")
    return Wish(path, mode, entry["owner"], entry["group"], bool(entry["for_owner"]))


def _step(wish: Wish, place: Place) -> Step:
    if not place.exists:
        return "create"
    subject = f"directory {wish.path}"
    if not place.is_directory:
        raise Refusal(subject, "something that is no directory", "a directory", "Move it away, or choose another path.")
    # the kubelet gives a volume's directory a group and a mode of its own
    if not wish.for_owner or place.owner == wish.owner:
        return "keep"
    if not place.is_empty:
        whom = f"{wish.owner}:{wish.group}" if wish.group is not None else str(wish.owner)
        raise Refusal(
            subject,
            f"files in it, and user {place.owner} as its owner",
            f"one that is missing, empty, or of user {wish.owner}, whose data it is for",
            f"Choose another directory. Only if its files are that program's: `chown --recursive {whom} {wish.path}`.",
        )
    return "claim"
