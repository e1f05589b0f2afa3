# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vendor of a network card, and what is shown if the IEEE's list does not have one."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import netaddr
import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._mac_vendors import vendor_of, with_vendor


@pytest.mark.parametrize(
    ("mac", "vendor"),
    [
        ("b8:ac:6f:7e:6c:9d", "Dell Inc."),
        ("d0:94:66:30:d6:63", "Dell Inc."),
        ("b4:2e:99:00:00:01", "GIGA-BYTE TECHNOLOGY CO.,LTD."),
        ("00:16:3e:00:00:01", "Xensource, Inc."),
        # a virtual machine of QEMU, a bridge of Docker
        ("52:54:00:12:34:56", "locally administered"),
        ("02:42:ac:11:00:02", "locally administered"),
        # not assigned
        ("fc:ff:ff:00:00:01", ""),
        # blocks of several vendors, a vendor that is not published, a prefix with three entries
        ("70:b3:d5:00:00:01", ""),
        ("00:50:c2:00:00:01", ""),
        ("00:00:6c:11:22:33", ""),
        ("08:00:30:00:00:01", ""),
    ],
)
def test_a_vendor_is_shown_only_if_it_is_known(mac, vendor):
    assert vendor_of(mac) == vendor
    assert with_vendor(mac) == (f"{mac} ({vendor})" if vendor else mac)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("A" * 40, "A" * 40),
        ("A" * 41, "A" * 37 + "..."),
        ("Ab " * 30, "Ab " * 12 + "A..."),
        (" Two\t words\n", "Two words"),
        ("\x1b[31mRed\x07 Inc.\u202e", "[31mRed Inc."),
        ("", ""),
    ],
)
def test_a_vendor_is_a_short_printable_text(monkeypatch, name, shown):
    entry = SimpleNamespace(oui=SimpleNamespace(reg_count=1, registration=lambda: SimpleNamespace(org=name)))
    monkeypatch.setattr(netaddr, "EUI", lambda _mac: entry)
    assert vendor_of("b8:ac:6f:7e:6c:9d") == shown


@pytest.mark.parametrize("error", [FileNotFoundError("oui.txt"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), IndexError()])
def test_a_list_that_cannot_be_read_has_no_vendors(monkeypatch, error):
    def fail(_mac):
        raise error

    monkeypatch.setattr(netaddr, "EUI", fail)
    assert with_vendor("b8:ac:6f:7e:6c:9d") == "b8:ac:6f:7e:6c:9d"


def test_without_netaddr_the_address_is_shown_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "netaddr", None)
    assert with_vendor("b8:ac:6f:7e:6c:9d") == "b8:ac:6f:7e:6c:9d"
    assert with_vendor("52:54:00:12:34:56") == "52:54:00:12:34:56 (locally administered)"
