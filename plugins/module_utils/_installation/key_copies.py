# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The copies that dnf and rpm make of a repository's signing key.

Facts (dnf 4.14 to 4.23, rpm 4.18 to 4.20): dnf imports the key's file into ``pubring`` in the cache of a repository with
``repo_gpgcheck``, and into rpm's database when it first installs a package of it. Neither reads the file again, and rpm does not replace
a key that it has by its prolonged self. Without its copy, dnf imports the file once more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Callable, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._installation.openpgp import Key, MalformedKey, read_keys
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands
from ansible_collections.vmstation.cluster.plugins.module_utils._io.host_state import HostFiles
from ansible_collections.vmstation.cluster.plugins.module_utils._io.trees import Trees
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

CACHE = "/var/cache/dnf"
# between two keys in the output of rpm; no key has it
SEPARATOR = "\x1e"
QUERY = ("rpm", "--query", "gpg-pubkey", "--queryformat", "%{NAME}-%{VERSION}-%{RELEASE}\n%{DESCRIPTION}" + SEPARATOR)


@dataclass(frozen=True)
class KeyCopies:
    """What the host keeps of a repository of dnf. A copy is named by its package of rpm, or by its path.

    repository: its id in dnf's configuration. modified: when a file was written; None: there is none.
    """

    repository: str
    commands: Commands
    files: HostFiles
    trees: Trees
    modified: Callable[[str], Optional[float]]

    def outdated(self, path: str, present: Optional[bytes], content: Optional[bytes]) -> list[str]:
        """The copies that keep the key from being used that the file is to have. present: what the file has now."""
        key = read_keys(content or b"")[0][0]
        written = self.modified(path) if present == content else None
        imported = [name for name, copy in self._of_rpm() if copy.fingerprint == key.fingerprint and copy.ends_before(key)]
        return imported + [ring for ring in self._rings() if written is None or self._is_older(ring, written)]

    def every(self, present: Optional[bytes]) -> list[str]:
        """All that dnf keeps of the repository, and the keys of the file in rpm's database."""
        try:
            fingerprints = {key.fingerprint for key in read_keys(present or b"")[0]}
        except MalformedKey:
            fingerprints = set()
        cache = re.compile(rf"{re.escape(self.repository)}(-[0-9a-f]{{16}}|(-\w+)?\.solvx?)")
        imported = [name for name, copy in self._of_rpm() if copy.fingerprint in fingerprints]
        return imported + [f"{CACHE}/{name}" for name in self.files.entries(CACHE) if cache.fullmatch(name)]

    def remove(self, copies: list[str]) -> None:
        for copy in copies:
            if copy.startswith("/"):
                self.trees.remove(copy)
            else:
                self.commands.run(["rpm", "--erase", "--allmatches", copy])

    def _rings(self) -> list[str]:
        own = re.compile(rf"{re.escape(self.repository)}-[0-9a-f]{{16}}")
        rings = [f"{CACHE}/{name}/pubring" for name in self.files.entries(CACHE) if own.fullmatch(name)]
        return [ring for ring in rings if self.files.exists(ring)]

    def _is_older(self, ring: str, written: float) -> bool:
        return any((self.modified(f"{ring}/{name}") or written) < written for name in self.files.entries(ring))

    def _of_rpm(self) -> list[tuple[str, Key]]:
        """The keys in rpm's database with the names of their packages."""
        completed = self.commands.run(QUERY, check=False)
        if completed.status and "is not installed" not in completed.stdout:
            raise Refusal(
                "rpm's database",
                completed.stderr.strip() or f"exit status {completed.status}",
                "a list of its keys",
                "Run `rpm --query gpg-pubkey` on the host, and correct what it names.",
            )
        found = []
        for entry in completed.stdout.split(SEPARATOR)[:-1]:
            name, _newline, description = entry.partition("\n")
            try:
                found += [(name, key) for key in read_keys(description.encode())[0]]
            except MalformedKey:  # nothing that this key could be
                continue
        return found
