# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which images containerd lacks, told from the one table that ``ctr images check`` prints, their import, and their pins.

Facts: for every image that its CRI part knows, containerd keeps a second name, ``sha256:`` and the digest of the image's configuration,
with the same target (``createImageReference`` in its CRI image store). It makes that name a moment after an import, but not when an image
that CRI knows is replaced by another one under its name: such a name has to go first.

An image with the label PIN is pinned: kubelet deletes no image that containerd reports as pinned, whether the disk fills
(``imagesInEvictionOrder`` in kubelet's image_gc_manager.go) or not. An import or a pull replaces the labels of an image.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Callable, Protocol

from ansible_collections.vmstation.cluster.plugins.module_utils._ctr import ctr
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

# containerd, internal/cri/labels/labels.go
PIN, PINNED = "io.cri-containerd.pinned", "pinned"
# The first patch release of a minor version that reports a pin to kubelet although it is set after the image has come: those whose
# pkg/cri/store/image/image.go compares pins. Newer minor versions all do, older ones never.
_REPORT_PINS = {(1, 6): 25, (1, 7): 10}
_SERVER_VERSION = re.compile(r"^Server:\s+Version:\s+v?(\d+)\.(\d+)\.(\d+)", re.MULTILINE)


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


@dataclass(frozen=True)
class Outcome:
    """imported: what was missing. pinned: what was there already, without a pin."""

    imported: Sequence[WantedImage]
    pinned: Sequence[WantedImage]


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

    def pinned(self) -> set[str]:
        """The names of the images that are pinned."""
        argv = self._argv("images", "list", "--quiet", f'labels."{PIN}"=={PINNED}')
        return set(self.commands.run(argv, timeout=self.timeout).stdout.split())

    def pin(self, name: str) -> None:
        self.commands.run(self._argv("images", "label", name, f"{PIN}={PINNED}"), timeout=self.timeout)

    def reports_pins(self) -> bool:
        """Whether kubelet hears of pins from this containerd."""
        return reports_pins(self.commands.run(self._argv("version"), timeout=self.timeout).stdout)

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


def reports_pins(text: str) -> bool:
    """The output of ``ctr version``. A version that cannot be read is one that does not."""
    match = _SERVER_VERSION.search(text)
    if not match:
        return False
    major, minor, patch = map(int, match.groups())
    return patch >= _REPORT_PINS.get((major, minor), 0) and (major, minor) >= min(_REPORT_PINS)


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
) -> Outcome:
    """Import what is missing, read it back, and pin all. wait_for: polls until a condition holds, or gives up."""
    stored, pinned = containerd.images(), containerd.pinned()
    lacking = missing(wanted, stored)
    outcome = Outcome(lacking, [image for image in wanted if image not in lacking and image.name not in pinned])
    if not check_mode:
        if lacking:
            _import_missing(wanted, stored, containerd, archives, wait_for)
            pinned = containerd.pinned()
        for image in wanted:
            if image.name not in pinned:
                containerd.pin(image.name)
    return outcome


def _import_missing(
    wanted: Sequence[WantedImage],
    stored: Mapping[str, StoredImage],
    containerd: Containerd,
    archives: Archives,
    wait_for: Callable[[Callable[[], bool]], bool],
) -> None:
    lacking = missing(wanted, stored)
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


def _is_there(image: WantedImage, stored: Mapping[str, StoredImage]) -> bool:
    row = stored.get(image.name)
    if row is None or not row.whole:
        return False
    return not image.digest or stored.get(image.digest, StoredImage("", False)).target == row.target
