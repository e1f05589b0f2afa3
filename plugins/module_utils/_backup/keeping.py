# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps backups in a directory of the controller: verified before they get their names, encrypted if there is a key, the newest of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._backup import names, parts
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.manifest import Manifest, judge, read_manifest
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.opening import (
    destination,
    find,
    opened,
    plain_copy,
    read_key,
    require_whole,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.places import judge_places, read_paths
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._io.encryption import Encryption, Key
from ansible_collections.vmstation.cluster.plugins.module_utils._io.packing import Packing
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.archives import UNFINISHED


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


def keep(params: Mapping[str, Any], packing: Packing, encryption: Encryption) -> Kept:
    """Give a fetched archive its name. Raises Refusal before that; the archive stays where it is then."""
    source, directory, cluster = params["source"], params["directory"].rstrip("/"), params["cluster_name"]
    key = read_key(params)
    if key.passphrase_file and key.recipients:
        raise Refusal("passphrase_file and recipients", "both", "one of them", "Choose how backups are encrypted.")
    if params["keep"] < 1:
        raise Refusal("keep", str(params["keep"]), "1 at least", "A backup that is not kept is none.")
    parts.refuse_elsewhere("source", source, directory, key, packing)
    parts.refuse_changed(source, params["sha256"], packing)
    manifest = require_whole(source, cluster, packing)
    fetched = parts.fetched(params["parts"], manifest, directory, key, packing)
    name = names.file_name(cluster, names.seconds(manifest.created))
    # the backup has its name last: with it, there is all that belongs to it
    for part, archive in fetched.items():
        _name(archive, f"{directory}/{names.part_name(name, part)}", key, packing, encryption)
    path = _name(source, f"{directory}/{name}", key, packing, encryption)
    entries = packing.entries(directory)
    # a killed run's; the new backup stands
    for left in names.unfinished(cluster, entries):
        packing.remove(f"{directory}/{left}")
    removed = tuple(f"{directory}/{one}" for one in names.no_longer_kept(cluster, entries, params["keep"]))
    for one in removed:
        packing.remove(one)
    for left in names.parts_without_backup(cluster, packing.entries(directory)):
        packing.remove(f"{directory}/{left}")
    return Kept(path, manifest, removed)


def check(params: Mapping[str, Any], packing: Packing, encryption: Encryption) -> Checked:
    """Read a backup to its end and judge it."""
    path, key = find(params, packing), read_key(params)
    with opened(path, key, packing, encryption) as plain:
        contents = packing.look(plain)
    subject = f"archive {path}"
    manifest = read_manifest(contents, subject)
    of_backup = judge(manifest, contents, params["cluster_name"], subject)
    paths = params["paths"]
    astray = judge_places(manifest, read_paths("paths", paths), subject) if paths is not None else ()
    of_parts = parts.judge(path, manifest, key, packing, encryption)
    return Checked(path, manifest, (*of_backup, *astray, *of_parts, *_passed_over(path, params, packing)))


def copy(params: Mapping[str, Any], packing: Packing, encryption: Encryption) -> parts.Copied:
    """A plain copy of a backup or a part, verified, for its owner alone: under another name until it is whole."""
    with destination(params, packing) as choose:
        if params["part"]:
            return parts.copy_part(params, choose, packing, encryption)
        path = find(params, packing)
        target = choose(packing.size(path))
        with plain_copy(path, target, read_key(params), packing, encryption) as copied:
            manifest = require_whole(copied, params["cluster_name"], packing)
        return parts.Copied(path, manifest, destination=target)


def _passed_over(path: str, params: Mapping[str, Any], packing: Packing) -> Iterator[Finding]:
    """A backup that was not chosen although it is newer: its owner has to know of it, for somebody else may have written it."""
    directory, _slash, chosen = path.rpartition("/")
    newer = [] if params["path"] else names.backups(params["cluster_name"], packing.entries(directory))
    for name in newer[newer.index(chosen) + 1 :] if newer else ():
        step = "See who has written it. Remove it, or, if you know that it is yours, name it and pass `accept_unencrypted: true`."
        found, expected = "not encrypted, and passed over", "an encrypted one, as a key is given"
        yield Finding("newer_backups_are_encrypted", "warning", f"archive {directory}/{name}", found, expected, step)


def _name(source: str, target: str, key: Key, packing: Packing, encryption: Encryption) -> str:
    """Give an archive its name, encrypted if there is a key; the path that it has then."""
    if not key:
        # whoever fetched it may have made a file that others can read
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
                raise Refusal(f"archive {target}", "not what was encrypted", "the same archive", "See whether the disk is well.")
