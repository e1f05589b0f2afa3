# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which images are missing, told from containerd's table, and that an import is believed only when it is read back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import Completed
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.containerd import (
    Containerd,
    Outcome,
    StoredImage,
    WantedImage,
    archives_of,
    ensure,
    findings,
    looked_at,
    missing,
    read_table,
    reports_pins,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

MANIFEST, OTHER, CONFIG = (f"sha256:{digit * 64}" for digit in "abc")
NAME = "registry.k8s.io/pause:3.10.2"
TYPE = "application/vnd.oci.image.manifest.v1+json"
HEAD = "REF TYPE DIGEST STATUS SIZE UNPACKED "
PAUSE = WantedImage(NAME, CONFIG, "pause.tar")


def row(name: str, digest: str = MANIFEST, status: str = "complete (2/2)", unpacked: str = "true") -> str:
    return f"{name} {TYPE} {digest} {status} 698.5 KiB/698.5 KiB {unpacked} "


def test_missing_and_unpinned_images_are_findings() -> None:
    other = WantedImage("x:1", "", "x.tar")
    missing_one, unpinned = told = findings(Outcome([PAUSE], [other]), "homelab")
    assert (missing_one.severity, missing_one.subject, missing_one.found) == ("error", "images on homelab", f"missing: {NAME}")
    assert (unpinned.severity, unpinned.found) == ("warning", "not pinned: x:1")
    assert {"`ansible-playbook site.yml --limit homelab`" in finding.fix for finding in told} == {True}
    assert [(item.subject, item.state) for item in looked_at([PAUSE, other], "homelab", told)] == [("images on homelab", "error")]
    assert findings(Outcome([], []), "") == []
    assert [(item.facts, item.state) for item in looked_at([PAUSE], "", [])] == [("all images of the installation source, pinned", "ok")]


def test_a_table_is_read() -> None:
    text = "\n".join([HEAD, row(NAME), row("x:1", OTHER, "incomplete (1/2)", "false"), row("y:1", unpacked="false"), "", "ctr: a warning"])
    assert read_table(text) == {NAME: StoredImage(MANIFEST, True), "x:1": StoredImage(OTHER, False), "y:1": StoredImage(MANIFEST, False)}


@pytest.mark.parametrize(
    ("rows", "wanted", "is_missing"),
    [
        ([row(NAME), row(CONFIG)], PAUSE, False),
        ([], PAUSE, True),
        ([row("registry.k8s.io/pause:3.9"), row(CONFIG)], PAUSE, True),
        ([row(NAME, OTHER), row(CONFIG)], PAUSE, True),
        ([row(NAME)], PAUSE, True),
        ([row(NAME, status="incomplete (1/2)"), row(CONFIG)], PAUSE, True),
        ([row(NAME, unpacked="false"), row(CONFIG)], PAUSE, True),
        ([row(NAME)], WantedImage(NAME, "", "pause.tar"), False),
        ([row(NAME, OTHER)], WantedImage(NAME, "", "pause.tar"), False),
    ],
)
def test_an_image_is_there_whole_under_its_name_and_digest(rows: list[str], wanted: WantedImage, is_missing: bool) -> None:
    assert bool(missing([wanted], read_table("\n".join([HEAD, *rows])))) is is_missing


class Ctr:
    """A containerd that takes archives: what it has, and what it gets of each. An import unpins."""

    def __init__(self, rows: list[str], archives: dict[str, list[str]], pinned: tuple[str, ...] = ()) -> None:
        self.rows, self.archives, self.imported, self.pinned = rows, archives, [], set(pinned)

    def has(self, program: str) -> bool:
        return program == "ctr"

    def run(self, argv: Sequence[str], *, stdin: str = "", timeout: float = 60.0, check: bool = True) -> Completed:
        words = list(argv)[argv.index("images") + 1 :]
        if words[0] == "import":
            self.imported.append(" ".join(words[1:]))
            self.rows = self.rows + self.archives[words[-1]]
            self.pinned -= {line.split()[0] for line in self.archives[words[-1]]}
        elif words[0] == "label":
            self.pinned.add(words[1])
        elif words[0] == "list":
            return Completed(tuple(argv), 0, "".join(f"{name}\n" for name in self.pinned), "")
        return Completed(tuple(argv), 0, "\n".join([HEAD, *self.rows]), "")


class Archives:
    def __init__(self, *names: str) -> None:
        self.names = names

    def path(self, name: str) -> str:
        return f"/a/{name}"

    def exists(self, name: str) -> bool:
        return name in self.names


PROXY = WantedImage("registry.k8s.io/kube-proxy:v1.36.4", OTHER, "proxy.tar")
PAIR = [WantedImage("x:1", "", "pair.tar"), WantedImage("x:2", "", "pair.tar")]


def three_times(condition: Callable[[], bool]) -> bool:
    return any(condition() for _attempt in range(3))


def test_only_what_is_missing_is_imported_and_each_archive_once() -> None:
    ctr = Ctr([row(NAME), row(CONFIG)], {"/a/pair.tar": [row("x:1"), row("x:2")]})
    outcome = ensure([PAUSE, *PAIR], Containerd(ctr, "/run/c.sock"), Archives("pair.tar"), three_times, check_mode=False)
    assert outcome.imported == PAIR
    assert ctr.imported == ["/a/pair.tar"]


def test_nothing_is_imported_where_nothing_is_missing() -> None:
    ctr = Ctr([row(NAME), row(CONFIG)], {})
    outcome = ensure([PAUSE], Containerd(ctr, "/run/c.sock"), Archives(), three_times, check_mode=False)
    assert (outcome.imported, ctr.imported) == ([], [])


def test_every_image_is_pinned_and_one_that_lost_its_pin_is_pinned_again() -> None:
    ctr = Ctr([row(NAME), row(CONFIG), row("x:1"), row("other:1")], {"/a/pair.tar": [row("x:1"), row("x:2")]}, pinned=("x:1", "other:1"))
    containerd = Containerd(ctr, "/run/c.sock")
    looked = ensure([PAUSE, *PAIR], containerd, Archives(), three_times, check_mode=True)
    assert (looked.imported, looked.pinned, ctr.pinned) == ([PAIR[1]], [PAUSE], {"x:1", "other:1"})
    done = ensure([PAUSE, *PAIR], containerd, Archives("pair.tar"), three_times, check_mode=False)
    assert (done, ctr.pinned) == (looked, {NAME, "x:1", "x:2", "other:1"})
    again = ensure([PAUSE, *PAIR], containerd, Archives(), three_times, check_mode=False)
    assert (again.imported, again.pinned) == ([], [])


@pytest.mark.parametrize(
    ("server", "reported"),
    [
        ("1.6.20~ds1", False),
        ("1.6.24", False),
        ("1.6.25", True),
        ("v1.7.9", False),
        ("1.7.10", True),
        ("1.7.24~ds1", True),
        ("v2.0.0", True),
        ("v2.2.1-rc.1", True),
        ("1.5.99", False),
        ("<unknown>", False),
    ],
)
def test_a_containerd_reports_pins_from_these_versions_on(server: str, reported: bool) -> None:
    client = "Client:\n  Version:  v2.1.0\n  Revision: 1\n  Go version: go1.24\n\n"
    assert reports_pins(f"{client}Server:\n  Version:  {server}\n  Revision: \n  UUID: 1\n") is reported
    assert not reports_pins(client)


def test_check_mode_tells_what_is_missing_and_needs_no_archives() -> None:
    ctr = Ctr([], {})
    outcome = ensure([PAUSE, *PAIR], Containerd(ctr, "/run/c.sock"), Archives(), three_times, check_mode=True)
    assert archives_of(outcome.imported) == ["pair.tar", "pause.tar"]
    assert ctr.imported == []


def test_absent_archives_are_named_before_any_import() -> None:
    ctr = Ctr([], {"/a/pause.tar": [row(NAME), row(CONFIG)]})
    with pytest.raises(Refusal, match=r"/a/proxy\.tar: found no such file.*kube-proxy"):
        ensure([PAUSE, PROXY], Containerd(ctr, "/run/c.sock"), Archives("pause.tar"), three_times, check_mode=False)
    assert ctr.imported == []


@pytest.mark.parametrize("rows", [[], [row(NAME)], [row(NAME, OTHER), row(CONFIG)], [row(NAME, unpacked="false"), row(CONFIG)]])
def test_an_import_that_did_not_bring_the_image_is_no_success(rows: list[str]) -> None:
    ctr = Ctr([], {"/a/pause.tar": rows})
    with pytest.raises(Refusal, match=rf"images {NAME}: found not in containerd's store"):
        ensure([PAUSE], Containerd(ctr, "/run/c.sock"), Archives("pause.tar"), three_times, check_mode=False)


def test_cri_may_know_an_image_a_moment_later() -> None:
    class Slow(Ctr):
        asked = 0

        def run(self, argv: Sequence[str], *, stdin: str = "", timeout: float = 60.0, check: bool = True) -> Completed:
            self.asked += 1
            if self.asked == 4:
                self.rows = [*self.rows, row(CONFIG)]
            return super().run(argv, stdin=stdin, timeout=timeout, check=check)

    slow = Slow([], {"/a/pause.tar": [row(NAME)]})
    assert ensure([PAUSE], Containerd(slow, "/run/c.sock"), Archives("pause.tar"), three_times, check_mode=False).imported == [PAUSE]


class AsContainerd(Ctr):
    """Makes no second name for an image that replaces one which CRI knows. In an archive each has two rows: of its name, of the second."""

    def run(self, argv: Sequence[str], *, stdin: str = "", timeout: float = 60.0, check: bool = True) -> Completed:
        there = {line.split()[0]: line for line in self.rows}
        if argv[-2] == "rm":
            del there[argv[-1]]
        elif argv[-2] == "import":
            rows = self.archives[argv[-1]]
            for named, second in zip(rows[::2], rows[1::2]):
                if named.split()[0] not in there:
                    there[second.split()[0]] = second
                there[named.split()[0]] = named
        self.rows = list(there.values())
        return Completed(tuple(argv), 0, "\n".join([HEAD, *self.rows]), "")


def test_only_the_image_of_the_hosts_platform_is_imported() -> None:
    ctr = Ctr([], {"/a/pair.tar": [row("x:1"), row("x:2")]})
    containerd = Containerd(ctr, "/run/c.sock", platform="linux/amd64")
    ensure(PAIR, containerd, Archives("pair.tar"), three_times, check_mode=False)
    assert ctr.imported == ["--platform linux/amd64 /a/pair.tar"]


def test_an_image_that_replaces_another_under_its_name_comes_without_that_one() -> None:
    ctr = AsContainerd([row(NAME, OTHER), row("sha256:old", OTHER)], {"/a/pause.tar": [row(NAME), row(CONFIG)]})
    assert ensure([PAUSE], Containerd(ctr, "/run/c.sock"), Archives("pause.tar"), three_times, check_mode=False).imported == [PAUSE]


def test_an_archive_that_is_imported_for_one_image_replaces_its_others() -> None:
    proxy = WantedImage("registry.k8s.io/kube-proxy:v1.36.4", "sha256:proxy", PAUSE.archive)
    archive = [row(NAME), row(CONFIG), row(proxy.name), row(proxy.digest)]
    ctr = AsContainerd([row(proxy.name, OTHER), row(proxy.digest, OTHER)], {f"/a/{PAUSE.archive}": archive})
    assert ensure([PAUSE, proxy], Containerd(ctr, "/run/c.sock"), Archives(PAUSE.archive), three_times, check_mode=False).imported == [
        PAUSE
    ]
