# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which images containerd lacks, told from the one table that ``ctr images check`` prints, and their import.

Facts: for every image that its CRI part knows, containerd keeps a second name, ``sha256:`` and the digest of the image's configuration,
with the same target (``createImageReference`` in its CRI image store). It makes that name a moment after an import, but not when an image
that CRI knows is replaced by another one under its name: such a name has to go first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Callable, Protocol

from ansible_collections.vmstation.cluster.plugins.module_utils._ctr import ctr
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal


@dataclass(frozen=True)
class WantedImage:
    """digest: of its configuration; empty: any will do. archive: the file name of the archive that holds it."""

    name: str
    digest: str
    archive: str


@dataclass(frozen=True)
class StoredImage:
    """A row of containerd's table. whole: all its content is there and unpacked."""

    target: str
    whole: bool


class Archives(Protocol):
    """The files that are imported; tests pass a set of names."""

    def path(self, name: str) -> str:
        """Where the archive of this name is."""

    def exists(self, name: str) -> bool:
        """Whether it is there."""


@dataclass(frozen=True)
class Containerd:
    """How to talk to the host's containerd. timeout: seconds for one command; import_timeout: for one archive."""

    commands: Commands
    address: str
    namespace: str = "k8s.io"
    timeout: float = 60.0
    import_timeout: float = 600.0

    def images(self) -> dict[str, StoredImage]:
        return read_table(self.commands.run(self._argv("images", "check"), timeout=self.timeout).stdout)

    def take(self, path: str) -> None:
        self.commands.run(self._argv("images", "import", path), timeout=self.import_timeout)

    def forget(self, name: str) -> None:
        """Remove the name. What runs of the image goes on."""
        self.commands.run(self._argv("images", "rm", name), timeout=self.timeout)

    def _argv(self, *words: str) -> list[str]:
        return ctr(self.address, *words, namespace=self.namespace)


def read_table(text: str) -> dict[str, StoredImage]:
    """The output of ``ctr images check``: name, type, digest, status, sizes, unpacked."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) > 4 and words[2].startswith("sha256:"):
            found[words[0]] = StoredImage(words[2], words[3] == "complete" and words[-1] == "true")
    return found


def missing(wanted: Iterable[WantedImage], stored: Mapping[str, StoredImage]) -> list[WantedImage]:
    """Those that are not there, not whole, or another image under that name."""
    return [image for image in wanted if not _is_there(image, stored)]


def archives_of(images: Iterable[WantedImage]) -> list[str]:
    return sorted({image.archive for image in images})


def ensure(
    wanted: Sequence[WantedImage],
    containerd: Containerd,
    archives: Archives,
    wait_for: Callable[[Callable[[], bool]], bool],
    *,
    check_mode: bool,
) -> list[WantedImage]:
    """Import what is missing, and read it back; returns what was missing. wait_for: polls until a condition holds, or gives up."""
    stored = containerd.images()
    lacking = missing(wanted, stored)
    if check_mode or not lacking:
        return lacking
    absent = [archive for archive in archives_of(lacking) if not archives.exists(archive)]
    if absent:
        required = f"the archives of {', '.join(image.name for image in lacking if image.archive in absent)}"
        step = "Copy them there first; check mode returns their names as `archives`."
        raise Refusal(", ".join(map(archives.path, absent)), "no such file on this host", required, step)
    taken = archives_of(lacking)
    # an import replaces every image of its archive, those that were there, too
    for image in wanted:
        if image.archive in taken and image.name in stored:
            containerd.forget(image.name)
    for archive in taken:
        containerd.take(archives.path(archive))
    if not wait_for(lambda: not missing(wanted, containerd.images())):
        left = missing(wanted, containerd.images())
        raise Refusal(
            f"images {', '.join(image.name for image in left)}",
            "not in containerd's store, or not under their digest, after their import",
            "every image whole, unpacked and known to CRI",
            f"See what `ctr --namespace {containerd.namespace} images import {archives.path(left[0].archive)}` and "
            "`journalctl --unit containerd` say."
            if left
            else "Run again.",
        )
    return lacking


def _is_there(image: WantedImage, stored: Mapping[str, StoredImage]) -> bool:
    row = stored.get(image.name)
    if row is None or not row.whole:
        return False
    return not image.digest or stored.get(image.digest, StoredImage("", False)).target == row.target
