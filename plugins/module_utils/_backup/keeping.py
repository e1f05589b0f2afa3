# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep backups on the controller: verified before they get their names, encrypted if there is a key, old ones removed; and copies of
scheduled backups on another host."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Optional

from .._findings import Finding, LookedAt, failures, state_of
from .._host.archives import Packing
from .._notation import show_size
from .._programs import Host, ensure_answering, key_line
from .._refusal import Refusal
from .._storage.archiving import UNFINISHED
from . import manifest as names
from .backup import judge_places, read_path, read_paths
from .io import Encryption, Key
from .manifest import Manifest, Part, judge, read_manifest

# Opens backups, which may be encrypted, and reads them to their end.


def read_key(params: Mapping[str, Any]) -> Key:
    """The key that an owner gives."""
    return Key(params["passphrase_file"] or "", tuple(params.get("recipients") or ()), params.get("public_keys") or "")


def find(params: Mapping[str, Any], packing: Packing) -> str:
    """The backup that is named, or the newest one of the directory. With a key, one that is not encrypted does not count."""
    directory, cluster, key = (params["directory"] or "").rstrip("/"), params["cluster_name"], read_key(params)
    if params["path"]:
        path = str(params["path"])
        if not packing.exists(path):
            raise Refusal("path", path, "a backup that is there", "Correct it.")
        if key and not path.endswith(names.ENCRYPTED) and not params["accept_unencrypted"]:
            raise Refusal(
                "path",
                f"{path}, which is not encrypted and may be another user's",
                "an encrypted backup, as a key is given",
                "If you know that it is yours, pass `accept_unencrypted: true` (of the playbooks: `-e restore_accept_unencrypted=true`).",
            )
        return path
    entries = packing.entries(directory)
    newest = names.newest(cluster, names.encrypted(entries) if key else entries)
    if newest is None:
        plain = names.newest(cluster, entries)
        if plain is None:
            raise Refusal(f"directory {directory}", f"no backup of {cluster}", "one", "Run backup.yml, or set the backup or its directory.")
        raise Refusal(
            f"directory {directory}",
            f"no backup of {cluster} that is encrypted, but others, such as {plain}",
            "an encrypted one, as a key is given",
            "Run backup.yml with that key. If you know that the other one is yours, name it and pass `accept_unencrypted: true` (of the "
            f"playbooks: `-e restore_archive={directory}/{plain} -e restore_accept_unencrypted=true`).",
        )
    return f"{directory}/{newest}"


def require_whole(path: str, cluster: str, packing: Packing) -> Manifest:
    """The manifest of a plain backup of that cluster in which nothing is missing or damaged."""
    contents = packing.look(path)
    manifest = read_manifest(contents, f"archive {path}")
    wrong = failures(judge(manifest, contents, cluster, f"archive {path}"), "error")
    if wrong:
        found = "; ".join(f"{one.subject}: {one.found}" for one in wrong)
        raise Refusal(f"archive {path}", found, "; ".join(sorted({one.expected for one in wrong})), wrong[0].fix)
    return manifest


@contextmanager
def opened(path: str, key: Key, packing: Packing, encryption: Encryption, *, is_encrypted: bool = False) -> Iterator[str]:
    """The path of the archive itself, or of a copy of it that is not encrypted, in a directory of its own which is removed afterwards."""
    if not (is_encrypted or path.endswith(names.ENCRYPTED)):
        yield path
        return
    with packing.private(packing.size(path)) as directory:
        copy = f"{directory}/plain{names.SUFFIX}"
        encryption.decrypt(path, copy, key)
        yield copy


@contextmanager
def destination(params: Mapping[str, Any], packing: Packing) -> Iterator[Callable[[int], str]]:
    """Where a plain copy of so many bytes goes: to the path that is given, or into a new directory, which is removed after an error."""
    given, name, made = params["destination"], f"copied-{params['cluster_name']}", []

    def choose(size: int) -> str:
        if given:
            return str(given)
        made.append(packing.private_directory(name, size))
        return f"{made[0]}/backup{names.SUFFIX}"

    # a killed run's, also where there is no backup any more
    if given:
        packing.remove(given + UNFINISHED)
    else:
        packing.sweep_private(name)
    try:
        yield choose
    except BaseException:
        for directory in made:
            packing.remove(directory)
        raise


@contextmanager
def plain_copy(path: str, target: str, key: Key, packing: Packing, encryption: Encryption) -> Iterator[str]:
    """The path of a copy that is not encrypted, for its owner alone. It gets its name when the verification ends without an error."""
    unfinished = target + UNFINISHED
    packing.remove(unfinished)
    try:
        if path.endswith(names.ENCRYPTED):
            encryption.decrypt(path, unfinished, key)
        else:
            packing.duplicate(path, unfinished)
        yield unfinished
        packing.rename(unfinished, target)
    finally:
        packing.remove(unfinished)


# What belongs to a backup and lies beside it: archives of applications, whose checksums are in the backup's manifest.


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
    """sha256: that on the host; empty if it is not known."""
    found = packing.member(source, "").sha256
    if sha256 not in ("", found):
        raise Refusal(f"archive {source}", f"SHA-256 {found}", f"{sha256}, that on the host", "Fetch it again.")


def fetched_parts(given: Sequence[Mapping[str, Any]], manifest: Manifest, directory: str, key: Key, packing: Packing) -> dict[str, str]:
    """The fetched archives by their parts: those that the manifest knows, each as it was on its host."""
    archives = {str(one["name"]): str(one["source"]) for one in given}
    wanted = {part.name: part for part in _there(manifest)}
    if set(archives) != set(wanted):
        found, required = (", ".join(sorted(names_of)) or "none" for names_of in (archives, wanted))
        raise Refusal("parts", found, f"{required}, as in the backup's manifest", "Fetch what belongs to the backup, and nothing else.")
    for name, source in archives.items():
        refuse_elsewhere(f"parts: {name}", source, directory, key, packing)
        refuse_changed(source, wanted[name].sha256, packing)
    return archives


def judge_parts(path: str, manifest: Manifest, key: Key, packing: Packing, encryption: Encryption) -> Iterator[Finding]:
    """Of each part, whether it lies beside the backup and is whole. The control plane can be restored without."""
    for part in _there(manifest):
        archive = names.part_name(path, part.name)
        wrong = _wrong(archive, part, key, packing, encryption)
        if wrong:
            step = "Use another copy of it; the rest of the backup can be restored without it."
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
        raise Refusal(f"archive {archive}", "not there", f"{part.name}, which belongs to {path}", "Copy it beside the backup.")
    target = choose(part.size)
    _refuse_little_room(target, part, packing)
    with plain_copy(archive, target, key, packing, encryption) as copied:
        if packing.member(copied, "").sha256 != part.sha256:
            raise Refusal(f"archive {archive}", "another checksum", "the checksum in the backup's manifest", "Take the backup before it.")
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
        raise Refusal(directory, f"{show_size(free)} free", f"{show_size(part.size)} for a plain copy of {part.name}", "Free some space.")


# Keeps backups in a directory of the controller: verified before they get their names, encrypted if there is a key, the newest of them.


@dataclass(frozen=True)
class Kept:
    """path: of the backup. removed: older ones, no longer kept."""

    path: str
    manifest: Manifest
    removed: tuple[str, ...]


@dataclass(frozen=True)
class Checked:
    """A backup, and everything that is wrong with it."""

    path: str
    manifest: Manifest
    findings: tuple[Finding, ...]

    @property
    def looked_at(self) -> list[LookedAt]:
        return [LookedAt(f"archive {self.path}", f"a backup with {len(self.manifest.members)} members", state_of(self.findings))]


def keep(params: Mapping[str, Any], packing: Packing, encryption: Encryption) -> Kept:
    """Give a fetched archive its name. Raises Refusal before that; the archive stays where it is then."""
    source, directory, cluster = params["source"], params["directory"].rstrip("/"), params["cluster_name"]
    key = read_key(params)
    if key.passphrase_file and key.recipients:
        raise Refusal("passphrase_file and recipients", "both", "one of them", "Choose how backups are encrypted.")
    if params["keep"] < 1:
        raise Refusal("keep", str(params["keep"]), "1 at least", "At least one backup must be kept.")
    refuse_elsewhere("source", source, directory, key, packing)
    refuse_changed(source, params["sha256"], packing)
    manifest = require_whole(source, cluster, packing)
    fetched = fetched_parts(params["parts"], manifest, directory, key, packing)
    name = names.file_name(cluster, names.seconds(manifest.created))
    # the backup has its name last: with it, there is all that belongs to it
    for part, archive in fetched.items():
        _name(archive, f"{directory}/{names.part_name(name, part)}", key, packing, encryption)
    path = _name(source, f"{directory}/{name}", key, packing, encryption)
    entries = packing.entries(directory)
    # a killed run's; the new backup is complete
    for left in names.unfinished(cluster, entries):
        packing.remove(f"{directory}/{left}")
    removed = tuple(f"{directory}/{one}" for one in names.no_longer_kept(cluster, entries, params["keep"]))
    for one in removed:
        packing.remove(one)
    for left in names.parts_without_backup(cluster, packing.entries(directory)):
        packing.remove(f"{directory}/{left}")
    return Kept(path, manifest, removed)


def check(params: Mapping[str, Any], packing: Packing, encryption: Encryption) -> Checked:
    """Read a backup to its end and check it."""
    path, key = find(params, packing), read_key(params)
    with opened(path, key, packing, encryption) as plain:
        contents = packing.look(plain)
    subject = f"archive {path}"
    manifest = read_manifest(contents, subject)
    of_backup = judge(manifest, contents, params["cluster_name"], subject)
    paths = params["paths"]
    astray = judge_places(manifest, read_paths("paths", paths), subject) if paths is not None else ()
    of_parts = judge_parts(path, manifest, key, packing, encryption)
    return Checked(path, manifest, (*of_backup, *astray, *of_parts, *_passed_over(path, params, packing)))


def copy(params: Mapping[str, Any], packing: Packing, encryption: Encryption) -> Copied:
    """A plain copy of a backup or a part, verified, for its owner alone: under another name until it is whole."""
    with destination(params, packing) as choose:
        if params["part"]:
            return copy_part(params, choose, packing, encryption)
        path = find(params, packing)
        target = choose(packing.size(path))
        with plain_copy(path, target, read_key(params), packing, encryption) as copied:
            manifest = require_whole(copied, params["cluster_name"], packing)
        return Copied(path, manifest, destination=target)


def _passed_over(path: str, params: Mapping[str, Any], packing: Packing) -> Iterator[Finding]:
    """A backup that was not chosen although it is newer: its owner has to know of it, because another user may have written it."""
    directory, _slash, chosen = path.rpartition("/")
    newer = [] if params["path"] else names.backups(params["cluster_name"], packing.entries(directory))
    for name in newer[newer.index(chosen) + 1 :] if newer else ():
        step = "Find out where it comes from. Remove it, or, if you know that it is yours, set it and pass `accept_unencrypted: true`."
        found, expected = "not encrypted, and skipped", "an encrypted one, as a key is given"
        yield Finding("newer_backups_are_encrypted", "warning", f"archive {directory}/{name}", found, expected, step)


def _name(source: str, target: str, key: Key, packing: Packing, encryption: Encryption) -> str:
    """Give an archive its name, encrypted if there is a key; the path that it has then."""
    if not key:
        # the fetch may have made a file that others can read
        packing.restrict(source)
        packing.sync()
        packing.rename(source, target)
        return target
    directory, _slash, name = f"{target}{names.ENCRYPTED}".rpartition("/")
    unfinished = f"{directory}/.{name}{UNFINISHED}"
    _encrypt(source, unfinished, key, packing, encryption)
    packing.rename(unfinished, f"{directory}/{name}")
    packing.remove(source)
    return f"{directory}/{name}"


def _encrypt(source: str, target: str, key: Key, packing: Packing, encryption: Encryption) -> None:
    packing.remove(target)
    encryption.encrypt(source, target, key)
    # what was encrypted for others, only they can open
    if key.passphrase_file:
        with opened(target, key, packing, encryption, is_encrypted=True) as plain:
            if packing.member(plain, "").sha256 != packing.member(source, "").sha256:
                raise Refusal(f"archive {target}", "different from the encrypted data", "the same archive", "Check the disk.")


# Copies of scheduled backups on another host: what its program takes from the control plane, and how it is installed
# The control plane's key starts this program and nothing else. It adds a backup; it reads, replaces and removes none.

PROGRAM = "/usr/local/lib/vmstation/backup-receiver.pyz"
COMMENT = "vmstation-backup"
# A person who controls the control plane can add worthless copies until all good ones are rotated out. This host takes one in half an hour
# by its own clock, whatever times the names have, so that it takes hours: 3 for 7 copies, a day for 48.
SPACING = 1800.0
AHEAD = 3600.0
# what stays free on the file system of the copies
MARGIN = 1 << 30
_QUESTION = re.compile(r"add (\S{1,255}) ([0-9a-f]{64}) (\d{1,15})")
# what sshd hands to a shell
_WORD = re.compile(r"/[A-Za-z0-9_./-]+")


@dataclass(frozen=True)
class Order:
    """Whose backups are kept, where, and how many."""

    cluster: str
    directory: str
    keep: int


@dataclass(frozen=True)
class Announced:
    """The backup that is sent."""

    name: str
    sha256: str
    size: int


def ensure_receiver(host: Host, options: Mapping[str, Any], entry: str, *, check_mode: bool) -> dict[str, Any]:
    """The module's result."""
    line = ""
    if options["state"] == "present":
        order = read_order([options["cluster_name"], options["directory"], options["keep"]])
        command = [host.python, "-I", PROGRAM, order.cluster, order.directory, str(order.keep)]
        line = key_line(command, options["public_key"], options["from_addresses"], COMMENT, check_mode=check_mode)
    return ensure_answering(host, PROGRAM, entry, options["authorized_keys"], line, check_mode=check_mode)


def read_order(given: Sequence[Any]) -> Order:
    """Options of the module, or arguments of the program."""
    cluster, directory, keep = (*map(str, given), "", "", "")[:3]
    names.refuse_unfit_cluster(cluster)
    directory = read_path("directory", directory)
    if not _WORD.fullmatch(directory):
        raise Refusal("directory", repr(directory), "a path of letters, digits, _, ., - and /", "Choose another directory.")
    if not keep.isdigit() or int(keep) < 1:
        raise Refusal("keep", keep, "1 at least", "At least one backup must be kept.")
    return Order(cluster, directory, int(keep))


def receive(asked: str, order: Order, packing: Packing, save: Callable[[str, int], None]) -> dict[str, Any]:
    """Add one backup. asked: the words as SSH brings them. save: writes so many bytes of the standard input to a new file, to disk."""
    match = _QUESTION.fullmatch(asked)
    if not match:
        raise Refusal("what was asked", repr(asked[:200]), "add NAME SHA256 SIZE", "Nothing else is answered with this key.")
    announced = Announced(match[1], match[2], int(match[3]))
    packing.make_directory(order.directory, 0o700)
    with packing.held(f"{order.directory}/.{order.cluster}.lock") as is_held:
        if not is_held:
            found = "another copy that is being received"
            raise Refusal(f"directory {order.directory}", found, "one at a time", "Wait until it is complete.")
        return _add(announced, order, packing, save)


def _add(announced: Announced, order: Order, packing: Packing, save: Callable[[str, int], None]) -> dict[str, Any]:
    name, size = announced.name, announced.size
    there = packing.entries(order.directory)
    _refuse_unfit(name, order, there, packing.now())
    _refuse_too_soon(name, order, there, packing)
    for left in names.unfinished(order.cluster, there):
        packing.remove(f"{order.directory}/{left}")
    free = packing.free(order.directory)
    if free < size + MARGIN:
        required = f"{show_size(size + MARGIN)} for the backup and {show_size(MARGIN)} that stay free"
        raise Refusal(f"directory {order.directory}", f"{show_size(free)} free", required, "Free some space.")
    unfinished = f"{order.directory}/.{name}{UNFINISHED}"
    try:
        save(unfinished, size)
        found = packing.member(unfinished, "")
        if (found.size, found.sha256) != (size, announced.sha256):
            raise Refusal(f"backup {name}", f"{found.size} bytes with another checksum", f"{size} bytes as announced", "Send it again.")
        packing.rename(unfinished, f"{order.directory}/{name}")
    finally:
        packing.remove(unfinished)
    removed = names.no_longer_kept(order.cluster, packing.entries(order.directory), order.keep)
    for one in removed:
        packing.remove(f"{order.directory}/{one}")
    return {"added": name, "removed": removed}


def _refuse_unfit(name: str, order: Order, there: Sequence[str], now: float) -> None:
    time = names.named_at(order.cluster, name)
    if time is None or not name.endswith(names.ENCRYPTED):
        raise Refusal("the name", repr(name), f"that of an encrypted backup of {order.cluster}", "Nothing else is taken.")
    if time > now + AHEAD:
        raise Refusal(f"backup {name}", "a time in the future", "one that has come on this host", "Set the clocks of both hosts.")
    newest = names.newest(order.cluster, there)
    least = (names.named_at(order.cluster, newest) or 0.0) + SPACING if newest else 0.0
    if time < least:
        required = f"one that is {SPACING / 60:g} minutes younger than {newest}"
        raise Refusal(f"backup {name}", "its time", required, "Wait for the next one.")


def _refuse_too_soon(name: str, order: Order, there: Sequence[str], packing: Packing) -> None:
    """The times of the files are this host's: the sender chooses names only. One of the future is of a clock that was wrong."""
    for one in names.backups(order.cluster, there):
        age = packing.now() - packing.modified(f"{order.directory}/{one}")
        if abs(age) < SPACING:
            found, required = f"{max(age, 0.0) / 60:.0f} minutes after {one} was received", f"{SPACING / 60:g} minutes between two copies"
            raise Refusal(f"backup {name}", found, required, "Nothing to do: the next backup is copied.")
