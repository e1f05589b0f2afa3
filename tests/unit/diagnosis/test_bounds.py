# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of each text is kept."""

from __future__ import annotations

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.model import Entry, cut, fit, level, share
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal


@pytest.mark.parametrize(
    ("sizes", "room", "most"),
    [
        ([], 100, 0),
        ([10, 20], 100, 20),
        ([10, 90], 100, 90),
        ([10, 91], 100, 90),
        ([10, 200, 300], 100, 45),
        ([300, 10, 200], 100, 45),
        ([100, 100, 100], 90, 30),
        ([0, 0, 500], 100, 100),
    ],
)
def test_who_needs_less_leaves_the_rest_to_the_others(sizes: list[int], room: int, most: int) -> None:
    assert level(sizes, room) == most


@pytest.mark.parametrize(
    ("text", "room", "keep", "kept"),
    [
        ("one\ntwo\nthree\n", 14, "tail", "one\ntwo\nthree\n"),
        ("one\ntwo\nthree\n", 12, "tail", "two\nthree\n"),
        ("one\ntwo\nthree\n", 12, "head", "one\ntwo\n"),
        ("one line without an end", 10, "tail", ""),
        ("one line without an end", 10, "head", ""),
        ("a\nä\n", 4, "tail", "ä\n"),
        ("a\nä\nö\n", 5, "head", "a\nä\n"),
        ("ääää\nb\n", 4, "tail", "b\n"),
        ("", 0, "tail", ""),
    ],
)
def test_whole_lines_are_kept(text: str, room: int, keep: str, kept: str) -> None:
    assert cut(text, room, keep) == kept


def test_entries_fit_and_the_cut_is_named() -> None:
    short = Entry("os-release.txt", "complete", text="a\n" * 10)
    log = Entry("kubelet.log", "complete", text="".join(f"line {number:04}\n" for number in range(1000)), keep="tail")
    failed = Entry("nft.txt", "failed", text="b\n" * 5000, note="exit status 1")
    fitted = {entry.name: entry for entry in fit([short, log, failed], 4096)}
    assert sum(entry.size for entry in fitted.values()) <= 4096
    assert fitted["os-release.txt"] is short
    assert (fitted["kubelet.log"].status, fitted["kubelet.log"].note) == ("cut", "the last 1.9 KiB of 9.7 KiB")
    assert fitted["kubelet.log"].text.endswith("line 0999\n")
    assert (fitted["nft.txt"].status, fitted["nft.txt"].note) == ("failed", "exit status 1; the first 1.9 KiB of 9.7 KiB")


@pytest.mark.parametrize(("given", "sharers", "room"), [("20MiB", 1, 20971520), ("20MiB", 3, 6990506), (4096, 4, 1024), ("4096", 1, 4096)])
def test_hosts_share(given: object, sharers: int, room: int) -> None:
    assert share(given, sharers) == room


@pytest.mark.parametrize(
    ("given", "sharers", "subject"), [("20 apples", 1, "maximum_size"), ("20MiB", 0, "shared_by"), (4096, 5, "maximum_size")]
)
def test_a_share_that_cannot_be_is_refused(given: object, sharers: int, subject: str) -> None:
    with pytest.raises(Refusal) as caught:
        share(given, sharers)
    assert caught.value.subject == subject
