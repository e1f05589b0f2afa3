# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens backups, which may be encrypted, and reads them to their end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._backup import names
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.manifest import Manifest, judge, read_manifest
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import failures
from ansible_collections.vmstation.cluster.plugins.module_utils._io.encryption import Encryption, Key
from ansible_collections.vmstation.cluster.plugins.module_utils._io.packing import Packing
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.archives import UNFINISHED


def read_key(params: Mapping[str, Any]) -> Key:
    """The key that an owner gives."""
    return Key(params["passphrase_file"] or "", tuple(params.get("recipients") or ()))


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
                f"{path}, which is not encrypted and may be anybody's",
                "an encrypted backup, as a key is given",
                "If you know that it is yours, pass `accept_unencrypted: true` (of the playbooks: `-e restore_accept_unencrypted=true`).",
            )
        return path
    entries = packing.entries(directory)
    newest = names.newest(cluster, names.encrypted(entries) if key else entries)
    if newest is None:
        plain = names.newest(cluster, entries)
        if plain is None:
            raise Refusal(
                f"directory {directory}", f"no backup of {cluster}", "one", "Run backup.yml, or name the backup or its directory."
            )
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
    """The path of a copy that is not encrypted, for its owner alone. It gets its name when whoever verified it leaves without an error."""
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
