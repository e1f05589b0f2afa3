# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which copies of a signing key in rpm's database and dnf's cache are outdated, and which belong to a repository."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Optional

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import Completed
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.signing_key import QUERY, SEPARATOR, KeyCopies, armored
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.installation.test_installation_signing_key import ENDS_EARLY, PROLONGED, other_key

KEY, RING = "/etc/pki/rpm-gpg/k", "/var/cache/dnf/kubernetes-8e0b42217f36bb5d/pubring"
NONE = (1, "package gpg-pubkey is not installed\n")


class Host:
    """rpm's answer, and files with the times when they were written."""

    def __init__(self, rpm: tuple[int, str], files: dict[str, float]) -> None:
        self.rpm, self.times = rpm, files
        self.done: list[str] = []
        self.copies = KeyCopies("kubernetes", self, self, self, self.times.get)

    def run(self, argv: Sequence[str], *, stdin: str = "", timeout: float = 60.0, check: bool = True) -> Completed:
        assert (stdin, timeout) == ("", 60.0)
        if tuple(argv) == QUERY:
            assert not check
            return Completed(QUERY, self.rpm[0], self.rpm[1], "no database")
        self.done.append(" ".join(argv))
        return Completed(tuple(argv), 0, "", "")

    def has(self, program: str) -> bool:
        raise AssertionError(program)

    def read(self, path: str) -> Optional[str]:
        raise AssertionError(path)

    def target(self, path: str) -> Optional[str]:
        raise AssertionError(path)

    def entries(self, path: str) -> tuple[str, ...]:
        below = [PurePosixPath(name).relative_to(path).parts[0] for name in self.times if path in map(str, PurePosixPath(name).parents)]
        return tuple(sorted(set(below)))

    def exists(self, path: str) -> bool:
        return bool(self.entries(path)) or path in self.times

    def remove(self, path: str) -> None:
        self.done.append(f"remove {path}")

    def remove_empty(self, path: str) -> None:
        raise AssertionError(path)


def rpm(*keys: tuple[str, bytes]) -> tuple[int, str]:
    return 0, "".join(f"{name}\n{key.decode()}{SEPARATOR}" for name, key in keys)


OTHER = armored(other_key()).encode()


@pytest.mark.parametrize(
    ("answer", "outdated"),
    [
        (NONE, []),
        (rpm(("gpg-pubkey-1", PROLONGED)), []),
        (rpm(("gpg-pubkey-1", ENDS_EARLY)), ["gpg-pubkey-1"]),
        (rpm(("gpg-pubkey-1", OTHER), ("gpg-pubkey-2", ENDS_EARLY), ("gpg-pubkey-3", b"unreadable")), ["gpg-pubkey-2"]),
        (rpm(("gpg-pubkey-1", ENDS_EARLY), ("gpg-pubkey-2", PROLONGED)), ["gpg-pubkey-1"]),
    ],
)
def test_a_copy_of_rpm_is_outdated_that_expires_before_the_key(answer: tuple[int, str], outdated: list[str]) -> None:
    host = Host(answer, {KEY: 100.0})
    assert host.copies.outdated(KEY, PROLONGED, PROLONGED) == outdated


def test_a_copy_of_rpm_that_is_valid_for_longer_stays() -> None:
    assert Host(rpm(("gpg-pubkey-1", PROLONGED)), {KEY: 100.0}).copies.outdated(KEY, ENDS_EARLY, ENDS_EARLY) == []


@pytest.mark.parametrize(
    ("present", "files", "outdated"),
    [
        (PROLONGED, {KEY: 100.0}, []),
        (PROLONGED, {KEY: 100.0, f"{RING}/pubring.kbx": 101.0, f"{RING}/trustdb.gpg": 102.0}, []),
        (PROLONGED, {KEY: 100.0, f"{RING}/pubring.kbx": 99.0, f"{RING}/trustdb.gpg": 102.0}, [RING]),
        (PROLONGED, {KEY: 100.0, f"{RING.replace('kubernetes', 'kubernetes-addons')}/pubring.kbx": 99.0}, []),
        (PROLONGED, {KEY: 100.0, f"{RING.replace('kubernetes', 'docker')}/pubring.kbx": 99.0}, []),
        # the file is about to be written
        (ENDS_EARLY, {KEY: 100.0, f"{RING}/pubring.kbx": 101.0}, [RING]),
        (None, {f"{RING}/pubring.kbx": 101.0}, [RING]),
    ],
)
def test_a_copy_of_dnf_is_outdated_that_is_older_than_the_file(
    present: Optional[bytes], files: dict[str, float], outdated: list[str]
) -> None:
    assert Host(NONE, files).copies.outdated(KEY, present, PROLONGED) == outdated


def test_all_that_dnf_and_rpm_keep_of_a_repository_is_known_by_its_name_and_by_the_key() -> None:
    cached = ("kubernetes-8e0b42217f36bb5d/repodata/repomd.xml", "kubernetes.solv", "kubernetes-filenames.solvx")
    others = ("kubernetes-addons-8e0b42217f36bb5d/x", "kubernetes-addons.repo", "docker.solv", "packages.db", "expired_repos.json")
    files = {f"/var/cache/dnf/{name}": 1.0 for name in (*cached, *others)}
    host = Host(rpm(("gpg-pubkey-1", OTHER), ("gpg-pubkey-2", ENDS_EARLY)), files)
    expected = [f"/var/cache/dnf/{name}" for name in ("kubernetes-8e0b42217f36bb5d", "kubernetes-filenames.solvx", "kubernetes.solv")]
    assert host.copies.every(PROLONGED) == ["gpg-pubkey-2", *expected]
    assert host.copies.every(None) == expected


def test_a_copy_is_removed_with_the_program_that_keeps_it() -> None:
    host = Host(NONE, {})
    host.copies.remove(["gpg-pubkey-1", RING])
    assert host.done == ["rpm --erase --allmatches gpg-pubkey-1", f"remove {RING}"]


def test_a_database_that_cannot_be_read_is_not_an_empty_one() -> None:
    with pytest.raises(Refusal, match="rpm's database: found no database"):
        Host((1, ""), {KEY: 1.0}).copies.outdated(KEY, PROLONGED, PROLONGED)
