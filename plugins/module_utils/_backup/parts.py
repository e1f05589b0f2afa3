# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs to a backup and lies beside it: archives of applications, whose checksums stand in the backup's manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._backup import names
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.manifest import Manifest, Part
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.opening import find, opened, plain_copy, read_key, require_whole
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._io.encryption import Encryption, Key
from ansible_collections.vmstation.cluster.plugins.module_utils._io.packing import Packing
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.sizes import show_size


@dataclass(frozen=True)
class Copied:
    """A plain copy. path, manifest: of the backup. part: what was copied in its place. destination: where. Empty: nothing to copy."""

    path: str = ""
    manifest: Optional[Manifest] = None
    part: Optional[Part] = None
    destination: str = ""

    def as_result(self) -> dict[str, Any]:
        backup, part = self.manifest.summary() if self.manifest else {}, asdict(self.part) if self.part else {}
        return {"changed": bool(self.path), "path": self.path, "part": part, "backup": backup, "destination": self.destination}


def refuse_elsewhere(option: str, source: str, directory: str, key: Key, packing: Packing) -> None:
    """What is fetched elsewhere cannot get its name by a rename, and has to be encrypted."""
    if not packing.exists(source) or (not key and source.rpartition("/")[0] != directory):
        raise Refusal(option, source, f"a file in {directory}", "Fetch the archive to that directory, under a name that begins with a dot.")


def refuse_changed(source: str, sha256: str, packing: Packing) -> None:
    """sha256: that on the host; empty if nobody knows it."""
    found = packing.member(source, "").sha256
    if sha256 not in ("", found):
        raise Refusal(f"archive {source}", f"SHA-256 {found}", f"{sha256}, that on the host", "Fetch it again.")


def fetched(given: Sequence[Mapping[str, Any]], manifest: Manifest, directory: str, key: Key, packing: Packing) -> dict[str, str]:
    """The fetched archives by their parts: those that the manifest knows, each as it was on its host."""
    archives = {str(one["name"]): str(one["source"]) for one in given}
    wanted = {part.name: part for part in _there(manifest)}
    if set(archives) != set(wanted):
        found, required = (", ".join(sorted(names_of)) or "none" for names_of in (archives, wanted))
        raise Refusal("parts", found, f"{required}, as the backup's manifest says", "Fetch what belongs to the backup, and nothing else.")
    for name, source in archives.items():
        refuse_elsewhere(f"parts: {name}", source, directory, key, packing)
        refuse_changed(source, wanted[name].sha256, packing)
    return archives


def judge(path: str, manifest: Manifest, key: Key, packing: Packing, encryption: Encryption) -> Iterator[Finding]:
    """Of each part, whether it lies beside the backup and is whole. The control plane can be restored without."""
    for part in _there(manifest):
        archive = names.part_name(path, part.name)
        wrong = _wrong(archive, part, key, packing, encryption)
        if wrong:
            step = "Take it from the copy that you have elsewhere; what the backup itself is of can be restored without it."
            yield Finding("every_part_of_the_backup_is_whole", "warning", f"archive {archive}", wrong, f"{part.name} of {part.host}", step)


def copy_part(params: Mapping[str, Any], choose: Callable[[int], str], packing: Packing, encryption: Encryption) -> Copied:
    """A plain copy of a part, verified, for its owner alone: that of the backup which is named, or of the newest one that has it."""
    path = _backup(params, packing)
    if not path:
        return Copied()
    key = read_key(params)
    with opened(path, key, packing, encryption) as plain:
        manifest = require_whole(plain, params["cluster_name"], packing)
    part = next((one for one in _there(manifest) if one.name == params["part"]), None)
    if part is None:
        return Copied()
    archive = names.part_name(path, part.name)
    if not packing.exists(archive):
        raise Refusal(f"archive {archive}", "not there", f"{part.name}, which belongs to {path}", "Put it beside the backup.")
    target = choose(part.size)
    _refuse_little_room(target, part, packing)
    with plain_copy(archive, target, key, packing, encryption) as copied:
        if packing.member(copied, "").sha256 != part.sha256:
            raise Refusal(f"archive {archive}", "another checksum", "that in the backup's manifest", "Take the backup before it.")
    return Copied(path, manifest, part, target)


def _there(manifest: Manifest) -> Iterable[Part]:
    return (part for part in manifest.parts if not part.missing)


def _wrong(archive: str, part: Part, key: Key, packing: Packing, encryption: Encryption) -> str:
    if not packing.exists(archive):
        return "not there"
    try:
        with opened(archive, key, packing, encryption) as plain:
            return "" if packing.member(plain, "").sha256 == part.sha256 else "another checksum than that in the backup's manifest"
    except Refusal as refusal:
        return refusal.found


def _backup(params: Mapping[str, Any], packing: Packing) -> str:
    if params["path"]:
        return find(params, packing)
    directory = str(params["directory"]).rstrip("/")
    entries = packing.entries(directory)
    having = names.with_part(params["cluster_name"], names.encrypted(entries) if read_key(params) else entries, params["part"])
    return f"{directory}/{having[-1]}" if having else ""


def _refuse_little_room(target: str, part: Part, packing: Packing) -> None:
    directory = target.rpartition("/")[0]
    free = packing.free(directory)
    if free < part.size:
        raise Refusal(directory, f"{show_size(free)} free", f"{show_size(part.size)} for a plain copy of {part.name}", "Free some room.")
