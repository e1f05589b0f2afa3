# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens backups, which may be encrypted, and reads them to their end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    key = Key(params["passphrase_file"] or "", tuple(params.get("recipients") or ()))
    if key.passphrase_file and key.recipients:
        raise Refusal("passphrase_file and recipients", "both", "one of them", "Choose how backups are encrypted.")
    return key


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
    """The path of the archive itself, or of a copy of it that is not encrypted, removed afterwards."""
    if not (is_encrypted or path.endswith(names.ENCRYPTED)):
        yield path
        return
    directory, _slash, name = path.rpartition("/")
    name = name[: -len(UNFINISHED)] if name.endswith(UNFINISHED) else name
    copy = f"{directory}/.{name.lstrip('.')}.plain{UNFINISHED}"
    packing.remove(copy)
    try:
        encryption.decrypt(path, copy, key)
        yield copy
    finally:
        packing.remove(copy)


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
