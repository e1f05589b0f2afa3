# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that gpg made: their fingerprints and ends, and which of them come onto a host."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._host.web import LARGEST, fetch
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.signing_key import (
    Fetch,
    Key,
    MalformedKey,
    Plan,
    armored,
    plan,
    read_keys,
    wanted_key,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

# gpg --show-keys: 74FC98FD4C6ECAA31DBB4CDDAD101B065BEAD628, expires 2024-06-01
ENDS_EARLY = b"""\
-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEZZIAgBYJKwYBBAHaRw8BAQdAG42rqfdgO1Tl3aNYOYJKsGQx3ndqKmB2Cn2q
XwxcPaK0EnZtc3RhdGlvbiB0ZXN0IG9uZYiWBBMWCAA+FiEEdPyY/UxuyqMdu0zd
rRAbBlvq1igFAmWSAIACGwMFCQDJDMAFCwkIBwIGFQoJCAsCBBYCAwECHgECF4AA
CgkQrRAbBlvq1ijVYgD/XbPau6O3KcYgXs4zVUhKKSn7eZ2Av4MTwJ2LGp00leUB
AMd5xStNesb7rkPPFkb64fgVcLKLkcbSGY0Tmu1an1ED
=NwP/
-----END PGP PUBLIC KEY BLOCK-----
"""
# the same key, prolonged until 2034-01-01
PROLONGED = b"""\
-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEZZIAgBYJKwYBBAHaRw8BAQdAG42rqfdgO1Tl3aNYOYJKsGQx3ndqKmB2Cn2q
XwxcPaK0EnZtc3RhdGlvbiB0ZXN0IG9uZYiWBBMWCAA+AhsDBQsJCAcCBhUKCQgL
AgQWAgMBAh4BAheAFiEEdPyY/UxuyqMdu0zdrRAbBlvq1igFAmXhGoAFCRLQoEAA
CgkQrRAbBlvq1ijkeAD/VNhNF7rx65mcKarBILTLEevb3Iz0uQSpM8Zenzp/ZdIA
/iMY6vxk87jWAU7E78Y67iXCETuh7i8Yn/pBU7p2DcoM
=wrVo
-----END PGP PUBLIC KEY BLOCK-----
"""
FINGERPRINT = "74FC98FD4C6ECAA31DBB4CDDAD101B065BEAD628"
EARLY_END, LATE_END = 1717243200, 2019729600
BETWEEN, AFTERWARDS = 1_800_000_000.0, 2_100_000_000.0
URL = "https://example.org/Release.key"
WANTED = wanted_key("/etc/apt/keyrings/kubernetes.asc", URL, FINGERPRINT)


def packets(content: bytes) -> bytes:
    return read_keys(content)[1]


def of_another_version(number: int) -> bytes:
    return armored(packets(PROLONGED).replace(b"\x98\x33\x04", bytes([0x98, 0x33, number]), 1)).encode()


@pytest.mark.parametrize(("content", "end"), [(ENDS_EARLY, EARLY_END), (PROLONGED, LATE_END)])
def test_fingerprint_and_end_are_those_that_gpg_tells(content: bytes, end: int) -> None:
    assert read_keys(content)[0] == [Key(FINGERPRINT, end)]
    assert read_keys(packets(content))[0] == [Key(FINGERPRINT, end)], "without armor"


def test_the_newest_signature_upon_the_key_counts_whatever_the_order() -> None:
    early, late = packets(ENDS_EARLY), packets(PROLONGED)
    signature = late.index(b"\x88\x96\x04\x13")
    both = late + early[early.index(b"\x88\x96\x04\x13") :]
    assert signature
    assert read_keys(both)[0] == [Key(FINGERPRINT, LATE_END)]
    assert read_keys(early + late[signature:])[0] == [Key(FINGERPRINT, LATE_END)]


def test_a_file_with_bytes_that_are_not_ascii_is_replaced_and_such_an_answer_is_named() -> None:
    damaged = PROLONGED[:100] + b"\xc3\xa4" + PROLONGED[102:]
    assert plan(WANTED, damaged, lambda _url: PROLONGED, BETWEEN).content == PROLONGED
    with pytest.raises(Refusal, match="a key block that is not base64"):
        plan(WANTED, None, lambda _url: damaged, BETWEEN)


def test_what_is_written_is_what_was_read() -> None:
    assert armored(packets(PROLONGED)).encode() == PROLONGED


@pytest.mark.parametrize(
    "change", [lambda text: b"\xef\xbb\xbf" + text, lambda text: text.replace(b"\n", b"\r\n"), lambda text: b"x\n" + text]
)
def test_a_key_is_found_in_a_text_of_others(change) -> None:  # type: ignore[no-untyped-def]
    assert read_keys(change(PROLONGED))[0] == [Key(FINGERPRINT, LATE_END)]


def test_headers_of_the_armor_do_not_count() -> None:
    headed = PROLONGED.replace(b"BLOCK-----\n\n", b"BLOCK-----\nVersion: GnuPG v2.0.15 (GNU/Linux)\n\n", 1)
    assert read_keys(headed)[0] == [Key(FINGERPRINT, LATE_END)]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>404</html>",
        PROLONGED.replace(b"-----END PGP", b"-----FIN PGP"),
        PROLONGED.replace(b"mDME", b"m*ME"),
        packets(PROLONGED)[:40],
        packets(PROLONGED)[:200],
        of_another_version(3),
        of_another_version(5),
        bytes([0xC5]) + packets(PROLONGED)[1:],
        b"\x98",
        b"\xc6\xe0",
    ],
)
def test_what_is_no_key_is_refused(content: bytes) -> None:
    with pytest.raises(MalformedKey):
        read_keys(content)


def other_key() -> bytes:
    """Another key: one bit of the first one's creation time."""
    content = bytearray(packets(PROLONGED))
    content[6] ^= 1
    return bytes(content)


def never(_url: str) -> bytes:
    raise AssertionError("the network was asked")


@pytest.mark.parametrize(
    ("present", "published", "writes"),
    [
        (None, PROLONGED, True),
        (None, packets(PROLONGED), True),
        (PROLONGED, None, False),
        (packets(PROLONGED), None, False),
        (b"", PROLONGED, True),
        (b"garbage", PROLONGED, True),
        (ENDS_EARLY, PROLONGED, True),
        (armored(other_key()).encode(), PROLONGED, True),
        (armored(packets(PROLONGED) + other_key()).encode(), PROLONGED, True),
    ],
)
def test_the_right_key_is_written_where_it_is_not(present: Optional[bytes], published: Optional[bytes], writes: bool) -> None:
    planned = plan(WANTED, present, never if published is None else lambda _url: published, BETWEEN)
    assert planned == Plan(PROLONGED if writes else present, FINGERPRINT)


DAY = 86400


@pytest.mark.parametrize(("days_before_its_end", "fetched"), [(31, False), (29, True), (-1, True)])
def test_a_key_is_renewed_a_month_before_it_expires(days_before_its_end: int, fetched: bool) -> None:
    asked = []
    planned = plan(WANTED, ENDS_EARLY, lambda url: asked.append(url) or PROLONGED, EARLY_END - days_before_its_end * DAY)
    assert planned == Plan(PROLONGED if fetched else ENDS_EARLY, FINGERPRINT)
    assert asked == [URL] * fetched


def out_of_reach(url: str) -> bytes:
    raise Refusal(url, "not available", "an answer", "Connect the host.")


@pytest.mark.parametrize(
    ("fetch", "now", "says"),
    [
        (
            out_of_reach,
            EARLY_END - DAY,
            f"found a key that expires on 2024-06-01; required: a key that is valid for longer. {URL}: found not",
        ),
        (
            out_of_reach,
            BETWEEN,
            f"found a key that expired on 2024-06-01; required: a key that is valid for longer. {URL}: found not available",
        ),
        (lambda _url: ENDS_EARLY, EARLY_END - DAY, "found a key that expires on 2024-06-01; required: a key that is valid for longer. Run"),
        (lambda _url: ENDS_EARLY, BETWEEN, f"{URL}: found the right key, which has expired"),
        (lambda _url: other_key(), BETWEEN, f"{URL}: found the key "),
    ],
)
def test_the_right_key_stays_with_a_warning_where_no_better_one_can_be_had(fetch: Fetch, now: float, says: str) -> None:
    planned = plan(WANTED, ENDS_EARLY, fetch, now)
    assert planned.content == ENDS_EARLY
    assert says in planned.warning


@pytest.mark.parametrize("present", [None, b"garbage"])
def test_without_the_right_key_a_publisher_out_of_reach_is_an_error(present: Optional[bytes]) -> None:
    with pytest.raises(Refusal, match="not available"):
        plan(WANTED, present, out_of_reach, BETWEEN)


@pytest.mark.parametrize(
    ("published", "now", "says"),
    [
        (other_key(), BETWEEN, "found the key "),
        (packets(PROLONGED) + other_key(), BETWEEN, "found the keys "),
        (other_key() + packets(PROLONGED), BETWEEN, "found the keys "),
        (PROLONGED + armored(other_key()).encode(), BETWEEN, "found the keys "),
        (b"<html>", BETWEEN, "no OpenPGP public key"),
        (ENDS_EARLY, BETWEEN, "has expired"),
        (PROLONGED, AFTERWARDS, "has expired"),
    ],
)
def test_every_other_key_is_refused(published: bytes, now: float, says: str) -> None:
    with pytest.raises(Refusal, match=says):
        plan(WANTED, None, lambda _url: published, now)


def test_what_follows_a_key_is_not_written() -> None:
    assert plan(WANTED, None, lambda _url: PROLONGED + b"\nand more\n", BETWEEN).content == PROLONGED


@pytest.mark.parametrize("fingerprint", ["", "5BEAD628", "AD101B065BEAD628", FINGERPRINT[1:], "G" * 40])
def test_a_short_fingerprint_is_refused(fingerprint: str) -> None:
    with pytest.raises(Refusal, match="fingerprint"):
        wanted_key("/k", URL, fingerprint)


def test_a_fingerprint_may_have_spaces() -> None:
    assert wanted_key("/k", URL, "74fc 98fd 4c6e caa3 1dbb  4cdd ad10 1b06 5bea d628").fingerprint == FINGERPRINT


def test_a_file_can_be_fetched_and_one_too_large_cannot(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(PROLONGED)
    assert fetch(f"file://{tmp_path}/key", 5) == PROLONGED
    (tmp_path / "key").write_bytes(bytes(LARGEST + 1))
    with pytest.raises(Refusal, match=f"more than {LARGEST} bytes"):
        fetch(f"file://{tmp_path}/key", 5)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/Release.key", "file:///no/such/key", "pkgs.k8s.io/Release.key"])
def test_what_cannot_be_fetched_is_named_with_the_reason(url: str) -> None:
    with pytest.raises(Refusal, match="not available") as refusal:
        fetch(url, 5)
    assert refusal.value.subject == url
