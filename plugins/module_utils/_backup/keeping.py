# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps backups in a directory of the controller: verified before they get their names, encrypted if there is a key, the newest of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._backup import names
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.manifest import Manifest, judge, read_manifest
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding, failures
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


def read_key(params: Mapping[str, Any]) -> Key:
    """The key that an owner gives."""
    key = Key(params["passphrase_file"] or "", tuple(params.get("recipients") or ()))
    if key.passphrase_file and key.recipients:
        raise Refusal("passphrase_file and recipients", "both", "one of them", "Choose how backups are encrypted.")
    return key


def keep(params: Mapping[str, Any], packing: Packing, encryption: Encryption) -> Kept:
    """Give a fetched archive its name. Raises Refusal before that; the archive stays where it is then."""
    source, directory, cluster = params["source"], params["directory"].rstrip("/"), params["cluster_name"]
    key = read_key(params)
    if params["keep"] < 1:
        raise Refusal("keep", str(params["keep"]), "1 at least", "A backup that is not kept is none.")
    if not packing.exists(source) or source.rpartition("/")[0] != directory:
        raise Refusal(
            "source", source, f"a file in {directory}", "Fetch the archive to that directory, under a name that begins with a dot."
        )
    sha256 = packing.member(source, "").sha256
    if params["sha256"] not in ("", sha256):
        raise Refusal(f"archive {source}", f"SHA-256 {sha256}", f"{params['sha256']}, that on the host", "Fetch it again.")
    manifest = _require_whole(source, cluster, packing)
    name = names.file_name(cluster, names.seconds(manifest.created))
    if key:
        _encrypt(source, f"{directory}/.{name}{names.ENCRYPTED}{UNFINISHED}", key, packing, encryption)
        name += names.ENCRYPTED
        packing.rename(f"{directory}/.{name}{UNFINISHED}", f"{directory}/{name}")
        packing.remove(source)
    else:
        packing.sync()
        packing.rename(source, f"{directory}/{name}")
    entries = packing.entries(directory)
    # a killed run's; the new backup stands
    for left in names.unfinished(cluster, entries):
        packing.remove(f"{directory}/{left}")
    removed = tuple(f"{directory}/{one}" for one in names.no_longer_kept(cluster, entries, params["keep"]))
    for one in removed:
        packing.remove(one)
    return Kept(f"{directory}/{name}", manifest, removed)


def check(params: Mapping[str, Any], packing: Packing, encryption: Encryption) -> Checked:
    """Read a backup to its end and judge it."""
    path = find(params, packing)
    with _plain(path, read_key(params), packing, encryption) as plain:
        contents = packing.look(plain)
        manifest = read_manifest(contents, f"archive {path}")
        return Checked(path, manifest, tuple(judge(manifest, contents, params["cluster_name"], f"archive {path}")))


def copy(params: Mapping[str, Any], packing: Packing, encryption: Encryption) -> Manifest:
    """A plain copy of a backup, verified, for its owner alone: under another name until it is whole."""
    target = params["destination"]
    unfinished = target + UNFINISHED
    packing.remove(unfinished)
    try:
        path = find(params, packing)
        if path.endswith(names.ENCRYPTED):
            encryption.decrypt(path, unfinished, read_key(params))
        else:
            packing.duplicate(path, unfinished)
        manifest = _require_whole(unfinished, params["cluster_name"], packing)
        packing.rename(unfinished, target)
    finally:
        packing.remove(unfinished)
    return manifest


def find(params: Mapping[str, Any], packing: Packing) -> str:
    """The backup that is named, or the newest one of the directory."""
    directory, cluster = (params["directory"] or "").rstrip("/"), params["cluster_name"]
    if params["path"]:
        path = str(params["path"])
        if not packing.exists(path):
            raise Refusal("path", path, "a backup that is there", "Correct it.")
        return path
    newest = names.newest(cluster, packing.entries(directory))
    if newest is None:
        raise Refusal(f"directory {directory}", f"no backup of {cluster}", "one", "Run backup.yml, or name the backup or its directory.")
    return f"{directory}/{newest}"


def _encrypt(source: str, target: str, key: Key, packing: Packing, encryption: Encryption) -> None:
    packing.remove(target)
    encryption.encrypt(source, target, key)
    # what was encrypted for others, only they can open
    if key.passphrase_file:
        with _plain(target, key, packing, encryption, is_encrypted=True) as plain:
            if packing.member(plain, "").sha256 != packing.member(source, "").sha256:
                raise Refusal(f"archive {target}", "not what was encrypted", "the same archive", "See whether the disk is well.")


def _require_whole(path: str, cluster: str, packing: Packing) -> Manifest:
    contents = packing.look(path)
    manifest = read_manifest(contents, f"archive {path}")
    wrong = failures(judge(manifest, contents, cluster, f"archive {path}"), "error")
    if wrong:
        found = "; ".join(f"{one.subject}: {one.found}" for one in wrong)
        raise Refusal(f"archive {path}", found, "; ".join(sorted({one.expected for one in wrong})), wrong[0].fix)
    return manifest


@contextmanager
def _plain(path: str, key: Key, packing: Packing, encryption: Encryption, *, is_encrypted: bool = False) -> Iterator[str]:
    """The path of the archive itself, or of a copy of it that is not encrypted, removed afterwards."""
    if not (is_encrypted or path.endswith(names.ENCRYPTED)):
        yield path
        return
    directory, _slash, name = path.rpartition("/")
    name = name[: -len(UNFINISHED)] if name.endswith(UNFINISHED) else name
    plain = f"{directory}/.{name.lstrip('.')}.plain{UNFINISHED}"
    packing.remove(plain)
    try:
        encryption.decrypt(path, plain, key)
        yield plain
    finally:
        packing.remove(plain)
