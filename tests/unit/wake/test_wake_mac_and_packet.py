# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.wake import magic_packet, secure_on_password, station_mac

HOMELAB = "d0:94:66:30:d6:63"


@pytest.mark.parametrize(
    "written",
    [
        "d0:94:66:30:d6:63",
        "D0:94:66:30:D6:63",
        "d0-94-66-30-d6-63",
        "D0-94-66-30-d6-63",
        "d094.6630.d663",
        "D094.6630.D663",
        "d0946630d663",
    ],
)
def test_every_notation_is_the_same_address(written):
    assert station_mac(written, "host homelab: mac") == HOMELAB


MALFORMED = [
    "",
    " ",
    "\n",
    "d0",
    "d0:94:66:30:d6",
    "d0:94:66:30:d6:63:00",
    "d0:94:66:30:d6:63:00:01",  # EUI-64
    "d0:94:66:30:d6:",
    ":94:66:30:d6:63",
    "d0::66:30:d6:63",
    "d0:94:66:30:d6:6",
    "d0:94:66:30:d6:663",
    "d:94:66:30:d6:63",
    "0d0:94:66:30:d6:63",
    "d0946630d66",
    "d0946630d6630",
    "d0946630d66300ff",
    "d094.6630",
    "d094.6630.d663.0000",
    "d0.94.66.30.d6.63",
    "d0946.630d.663",
    "d094:6630:d663",
    "d094-6630-d663",
    "d09466:30d663",
    "d09466-30d663",
    "d0:94-66:30-d6:63",
    "d0:94:66:30:d6-63",
    "d0-94:66:30:d6:63",
    "d0 94 66 30 d6 63",
    "d0_94_66_30_d6_63",
    "d0/94/66/30/d6/63",
    "d0,94,66,30,d6,63",
    "d0;94;66;30;d6;63",
    "d0：94：66：30：d6：63",  # noqa: RUF001 (a fullwidth colon)
    "d0\u201394\u201366\u201330\u2013d6\u201363",  # en dashes
    "g0:94:66:30:d6:63",
    "d0:94:66:30:d6:6g",
    "zz:zz:zz:zz:zz:zz",
    "0xd0946630d663",
    "d0:94:66:30:d6:0x",
    "+d:94:66:30:d6:63",
    "-1:94:66:30:d6:63",
    "1_:94:66:30:d6:63",
    "l0:94:66:30:d6:63",
    "dO:94:66:30:d6:63",
    "\u0660\u0661:94:66:30:d6:63",  # Arabic-Indic digits
    "０１:94:66:30:d6:63",  # noqa: RUF001 (fullwidth digits)
    "d0:94:66:30:d6:６３",  # noqa: RUF001
    "１２３４５６７８９０１２",  # noqa: RUF001
    "d0:94:66:30:d6:6³",
    "d0:94:66:30:d6:\u0967\u0968",  # Devanagari digits
    "ｄ0:94:66:30:d6:63",  # noqa: RUF001 (a fullwidth letter)
    " d0:94:66:30:d6:63",
    "d0:94:66:30:d6:63 ",
    "d0:94:66:30:d6:63\n",
    "\td0:94:66:30:d6:63",
    "d0:94:66:30:d6:63\x00",
    "\ufeffd0:94:66:30:d6:63",
    "'d0:94:66:30:d6:63'",
    '"d0:94:66:30:d6:63"',
    "d0:94:66:30:d6:63,b8:ac:6f:7e:6c:9d",
    "d0:94:66:30:d6:63 b8:ac:6f:7e:6c:9d",
    "homelab",
    "-",
    "--",
    "none",
    "192.168.4.62",
    "fe80::d294:66ff:fe30:d663",
    "{{ mac }}",
    "$(reboot)",
    "../../etc/passwd",
    "d0:94:66:30:d6:63" * 500,
    "41129895296",  # YAML's reading of 52:54:00:12:34:56
]
NO_STATION = [
    "ff:ff:ff:ff:ff:ff",
    "FF-FF-FF-FF-FF-FF",
    "ffff.ffff.ffff",
    "ffffffffffff",
    "01:00:5e:00:00:01",
    "33:33:00:00:00:01",
    "01:80:c2:00:00:00",
    "03:00:00:00:00:01",
    "0b0000000001",
    "00:00:00:00:00:00",
    "00-00-00-00-00-00",
    "0000.0000.0000",
    "000000000000",
]
NO_TEXT = [None, 0, 41129895296, 3.5, True, b"d0:94:66:30:d6:63", ["d0:94:66:30:d6:63"], {"mac": "d0:94:66:30:d6:63"}]


def test_the_table_is_as_long_as_promised():
    assert len({*MALFORMED, *NO_STATION}) + len(NO_TEXT) >= 90


@pytest.mark.parametrize("written", [*MALFORMED, *NO_STATION, *NO_TEXT])
def test_a_bad_mac_is_refused_in_the_name_of_its_host(written):
    with pytest.raises(Refusal) as refused:
        station_mac(written, "host homelab: mac")
    assert refused.value.subject == "host homelab: mac"
    assert str(refused.value).isascii(), "a look-alike character is shown by its number"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("", "an empty string"),
        ("ff:ff:ff:ff:ff:ff", "broadcast"),
        ("01:00:5e:00:00:01", "multicast"),
        ("00:00:00:00:00:00", "all zeros"),
        ("41129895296", "quotes"),
        ("\u0660\u0661:94:66:30:d6:63", "other than ASCII"),
        (41129895296, "not a string"),
    ],
)
def test_the_refusal_says_what_is_wrong(written, said):
    with pytest.raises(Refusal, match=said):
        station_mac(written, "host homelab: mac")


def test_the_packet_to_the_byte():
    assert magic_packet(HOMELAB) == bytes.fromhex("ffffffffffff" + "d0946630d663" * 16)
    assert len(magic_packet(HOMELAB)) == 102


@pytest.mark.parametrize(
    ("written", "octets"),
    [
        ("", b""),
        ("aa:bb:cc:dd:ee:ff", b"\xaa\xbb\xcc\xdd\xee\xff"),
        ("AA-BB-CC-DD-EE-0F", b"\xaa\xbb\xcc\xdd\xee\x0f"),
        ("aabb.ccdd.eeff", b"\xaa\xbb\xcc\xdd\xee\xff"),
        ("000000000000", b"\0" * 6),
        ("ff:ff:ff:ff:ff:ff", b"\xff" * 6),
        ("192.168.4.1", b"\xc0\xa8\x04\x01"),
        ("0.0.0.0", b"\0" * 4),
    ],
)
def test_the_password_follows_the_packet_directly(written, octets):
    assert magic_packet(HOMELAB, secure_on_password(written)) == bytes.fromhex("ffffffffffff" + "d0946630d663" * 16) + octets


@pytest.mark.parametrize(
    "written",
    [
        "secret",
        "192.168.4",
        "192.168.4.256",
        "192.168.4.1.1",
        "192.168.04.1",
        "\u0661.2.3.4",
        "aa:bb:cc:dd",
        "aa:bb:cc:dd:ee",
        "aa:bb:cc:dd:ee:ff:00",
        " 192.168.4.1",
        "0x7f000001",
        "3232236545",
        "aabbccdd",
        "aa:bb-cc:dd-ee:ff",
        "::1",
        "192.168.4.1/32",
        "a" * 4096,
    ],
)
def test_a_bad_password_is_refused_and_not_repeated(written):
    with pytest.raises(Refusal) as refused:
        secure_on_password(written)
    assert refused.value.subject == "password"
    assert written not in refused.value.found
