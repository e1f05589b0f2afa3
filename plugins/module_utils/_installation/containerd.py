# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the images that containerd lacks in the output of ``ctr images check``, import and pin them.

For every image that its CRI part knows, containerd keeps a second name, ``sha256:`` and the digest of the image's configuration, with the
same target (``createImageReference`` in its CRI image store). It creates that name a moment after an import, but not if an image that CRI
knows is replaced by another one of the same name: such a name has to be removed first.

An image with the label PIN is pinned: kubelet never deletes an image that containerd reports as pinned, also when the disk is full
(``imagesInEvictionOrder`` in kubelet's image_gc_manager.go). An import or a pull replaces the labels of an image.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable, Protocol

from .._ctr import ctr
from .._findings import Finding, LookedAt, state_of
from .._host.commands import Commands
from .._refusal import Refusal

# containerd, internal/cri/labels/labels.go
PIN, PINNED = "io.cri-containerd.pinned", "pinned"
# First patch releases of minor versions that report a pin to kubelet even if it is set after the image exists: those whose
# pkg/cri/store/image/image.go compares pins. All newer minor versions do, older ones never.
_REPORT_PINS = {(1, 6): 25, (1, 7): 10}
_SERVER_VERSION = re.compile(r"^Server:\s+Version:\s+v?(\d+)\.(\d+)\.(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class WantedImage:
    """digest: of its configuration; empty: any. archive: the file name of the archive that contains it."""

    name: str
    digest: str
    archive: str


@dataclass(frozen=True)
class StoredImage:
    """A row of containerd's table. whole: all its content is complete and unpacked."""

    target: str
    whole: bool


@dataclass(frozen=True)
class Outcome:
    """imported: what was missing. pinned: what existed without a pin."""

    imported: Sequence[WantedImage]
    pinned: Sequence[WantedImage]


class Archives(Protocol):
    """The archives to import; tests pass a set of names."""

    def path(self, name: str) -> str:
        """Return the path of the archive of this name."""

    def exists(self, name: str) -> bool:
        """Return whether it exists."""


@dataclass(frozen=True)
class Containerd:
    """Access to the host's containerd. timeout: seconds for one command; import_timeout: for one archive.

    platform: of the images to import, like linux/amd64; empty: all that containerd could run. An archive may list an image of another
    platform without its content, as `docker save` and `ctr images export --platform` write it; on amd64 containerd would look for
    linux/386.
    """

    commands: Commands
    address: str
    namespace: str = "k8s.io"
    timeout: float = 60.0
    import_timeout: float = 600.0
    platform: str = ""

    def images(self) -> dict[str, StoredImage]:
        return read_table(self.commands.run(self._argv("images", "check"), timeout=self.timeout).stdout)

    def pinned(self) -> set[str]:
        """Return the names of the pinned images."""
        argv = self._argv("images", "list", "--quiet", f'labels."{PIN}"=={PINNED}')
        return set(self.commands.run(argv, timeout=self.timeout).stdout.split())

    def pin(self, name: str) -> None:
        self.commands.run(self._argv("images", "label", name, f"{PIN}={PINNED}"), timeout=self.timeout)

    def reports_pins(self) -> bool:
        """Return whether this containerd reports pins to kubelet."""
        return reports_pins(self.commands.run(self._argv("version"), timeout=self.timeout).stdout)

    def take(self, path: str) -> None:
        only = ("--platform", self.platform) if self.platform else ()
        self.commands.run(self._argv("images", "import", *only, path), timeout=self.import_timeout)

    def forget(self, name: str) -> None:
        """Remove the name. Running containers of the image are not affected."""
        self.commands.run(self._argv("images", "rm", name), timeout=self.timeout)

    def _argv(self, *words: str) -> list[str]:
        return ctr(self.address, *words, namespace=self.namespace)


def read_table(text: str) -> dict[str, StoredImage]:
    """Parse the output of ``ctr images check``: name, type, digest, status, sizes, unpacked."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) > 4 and words[2].startswith("sha256:"):
            found[words[0]] = StoredImage(words[2], words[3] == "complete" and words[-1] == "true")
    return found


def reports_pins(text: str) -> bool:
    """Parse the output of ``ctr version``. An unreadable version counts as one that does not report pins."""
    match = _SERVER_VERSION.search(text)
    if not match:
        return False
    major, minor, patch = map(int, match.groups())
    return patch >= _REPORT_PINS.get((major, minor), 0) and (major, minor) >= min(_REPORT_PINS)


def missing(wanted: Iterable[WantedImage], stored: Mapping[str, StoredImage]) -> list[WantedImage]:
    """Return the images that are missing, incomplete, or another image of the same name."""
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
    """Import missing images, verify them, and pin all. wait_for: polls until a condition is true, or returns False."""
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
    # an import replaces every image of its archive, existing ones too
    for image in wanted:
        if image.archive in taken and image.name in stored:
            containerd.forget(image.name)
    for archive in taken:
        containerd.take(archives.path(archive))
    if not wait_for(lambda: not missing(wanted, containerd.images())):
        left = missing(wanted, containerd.images())
        raise Refusal(
            f"images {', '.join(image.name for image in left)}",
            "not in containerd's store, or not under their digest, after the import",
            "every image complete, unpacked and known to CRI",
            f"See the output of `ctr --namespace {containerd.namespace} images import {archives.path(left[0].archive)}` and "
            "`journalctl --unit containerd`."
            if left
            else "Run again.",
        )


def changes(wanted: Sequence[WantedImage], outcome: Outcome) -> dict[str, Any]:
    """What the run changed, or would in check mode, as the module returns it."""
    names = [image.name for image in wanted]
    imported, pinned = ([image.name for image in images] for images in (outcome.imported, outcome.pinned))
    before = [f"{name}, not pinned" if name in pinned else name for name in names if name not in imported]
    return {
        "changed": bool(imported or pinned),
        "imported": imported,
        "pinned": pinned,
        "archives": archives_of(outcome.imported),
        "diff": {"before": "".join(f"{name}\n" for name in sorted(before)), "after": "".join(f"{name}\n" for name in sorted(names))},
    }


def findings(outcome: Outcome, host: str) -> list[Finding]:
    """What a run would change. host: its name in the inventory, or empty."""
    subject, site = _subject(host), f"Run `ansible-playbook site.yml{f' --limit {host}' if host else ''}`, which"
    found = []
    if outcome.imported:
        expected = "in containerd, from the installation source: they are not pulled from a registry"
        missing_ones = f"missing: {', '.join(image.name for image in outcome.imported)}"
        found.append(Finding("images_are_there", "error", subject, missing_ones, expected, f"{site} imports them."))
    if outcome.pinned:
        unpinned = f"not pinned: {', '.join(image.name for image in outcome.pinned)}"
        expected = "pinned, so that kubelet does not delete them"
        found.append(Finding("images_are_pinned", "warning", subject, unpinned, expected, f"{site} pins them."))
    return found


def looked_at(wanted: Sequence[WantedImage], host: str, found: Sequence[Finding]) -> list[LookedAt]:
    facts = f"{len(wanted)} images of the installation source" if found else "all images of the installation source, pinned"
    return [LookedAt(_subject(host), facts, state_of(found))]


def _subject(host: str) -> str:
    return f"images on {host}" if host else "images"


def _is_there(image: WantedImage, stored: Mapping[str, StoredImage]) -> bool:
    row = stored.get(image.name)
    if row is None or not row.whole:
        return False
    return not image.digest or stored.get(image.digest, StoredImage("", False)).target == row.target
