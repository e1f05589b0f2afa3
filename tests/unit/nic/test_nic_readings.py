# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host's programs print, and what is read from it."""

from __future__ import annotations

import json

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._nic.card import (
    Device,
    LinkFile,
    WakeOn,
    applied_file,
    device,
    ethernet_links,
    link_named,
    link_settings,
    link_with_mac,
    permanent_mac,
    wake_on,
    wakes_on_magic,
    wanted_file,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

CARD = """Settings for eno1:
\tSupported ports: [ TP ]
\tSupported link modes:   10baseT/Half 10baseT/Full
\t                        1000baseT/Full
\tSupports auto-negotiation: Yes
\tSpeed: 1000Mb/s
\tAuto-negotiation: on
\tMDI-X: on (auto)
\tSupports Wake-on: {supported}
\tWake-on: {enabled}
        Current message level: 0x00000007 (7)
                               drv probe link
\tLink detected: yes
"""
SECURED = CARD.replace("\tLink detected", "\tSecureOn password: 00:11:22:33:44:55\n\tLink detected")
VETH = """Settings for eth0:
\tSupported ports: [  ]
\tSpeed: 10000Mb/s
\tPort: Twisted Pair
\tMDI-X: Unknown
\tLink detected: yes
"""


@pytest.mark.parametrize(
    ("output", "reading", "can", "has"),
    [
        (CARD.format(supported="pumbg", enabled="d"), WakeOn("pumbg", "d"), True, False),
        (CARD.format(supported="pumbg", enabled="g"), WakeOn("pumbg", "g"), True, True),
        (CARD.format(supported="pumbag", enabled="pg"), WakeOn("pumbag", "pg"), True, True),
        (CARD.format(supported="g", enabled="d"), WakeOn("g", "d"), True, False),
        (CARD.format(supported="pg", enabled="p"), WakeOn("pg", "p"), True, False),
        (CARD.format(supported="d", enabled="d"), WakeOn("d", "d"), False, False),
        (CARD.format(supported="pumb", enabled="ub"), WakeOn("pumb", "ub"), False, False),
        (SECURED.format(supported="pumbgs", enabled="gs"), WakeOn("pumbgs", "gs"), True, True),
        (VETH, WakeOn(), False, False),
        ("Settings for tun0:\nNo data available\n", WakeOn(), False, False),
        ("", WakeOn(), False, False),
    ],
)
def test_ethtool(output, reading, can, has):
    assert wake_on(output) == reading
    assert (reading.can_magic, reading.has_magic) == (can, has)


@pytest.mark.parametrize(("enabled", "left"), [("g", "d"), ("pg", "p"), ("umbg", "umb"), ("d", "d")])
def test_switching_magic_off_leaves_the_other_modes(enabled, left):
    assert WakeOn("pumbg", enabled).without_magic() == left


@pytest.mark.parametrize(
    ("output", "mac"),
    [
        ("Permanent address: d0:94:66:30:d6:63\n", "d0:94:66:30:d6:63"),
        ("Permanent address: D0:94:66:30:D6:63\n", "d0:94:66:30:d6:63"),
        ("Permanent address: not set\n", ""),
        ("Permanent address: 00:00:00:00:00:00\n", ""),
        ("", ""),
    ],
)
def test_permanent_address(output, mac):
    assert permanent_mac(output) == mac


ONE, TWO = "13ce5098-e45b-45ee-bd98-3c2c0adecab3", "6236d77b-0599-36f9-820b-5693fd898349"


@pytest.mark.parametrize(
    ("output", "reading"),
    [
        ("GENERAL.STATE:100 (connected)\nGENERAL.CON-UUID:" + ONE + "\n", Device(True, ONE)),
        ("GENERAL.STATE:70 (connecting (getting IP configuration))\nGENERAL.CON-UUID:" + TWO + "\n", Device(True, TWO)),
        ("GENERAL.STATE:100 (connected (externally))\nGENERAL.CON-UUID:" + TWO + "\n", Device(False)),
        ("GENERAL.STATE:30 (disconnected)\nGENERAL.CON-UUID:\n", Device(True)),
        ("GENERAL.STATE:20 (unavailable)\nGENERAL.CON-UUID:\n", Device(True)),
        ("GENERAL.STATE:10 (unmanaged)\nGENERAL.CON-UUID:\n", Device(False)),
        ("GENERAL.STATE:0 (unknown)\nGENERAL.CON-UUID:\n", Device(False)),
        ("", Device(False)),
    ],
)
def test_nmcli_device(output, reading):
    assert device(output) == reading


@pytest.mark.parametrize(
    ("value", "magic"),
    [
        ("default\n", False),
        ("1 (default)\n", False),
        ("ignore\n", False),
        ("\n", False),
        ("", False),
        ("phy\n", False),
        ("magic\n", True),
        ("64 (magic)\n", True),
        ("phy, magic\n", True),
    ],
)
def test_nmcli_property(value, magic):
    assert wakes_on_magic(value) is magic


def link(name, mac, kind="", permanent="", link_type="ether"):
    entry = {"ifname": name, "link_type": link_type, "address": mac}
    if kind:
        entry["linkinfo"] = {"info_kind": kind}
    if permanent:
        entry["permaddr"] = permanent
    return entry


def slave(name, mac, permanent):
    """A member of a bond as an ip without permaddr shows it."""
    return {**link(name, mac), "linkinfo": {"info_slave_kind": "bond", "info_slave_data": {"perm_hwaddr": permanent}}}


HOMELAB, OTHER = "d0:94:66:30:d6:63", "d0:94:66:30:d6:64"
LO = link("lo", "00:00:00:00:00:00", link_type="loopback")


@pytest.mark.parametrize(
    ("links", "name"),
    [
        ([LO, link("eno1", HOMELAB)], "eno1"),
        ([LO, link("eno1", HOMELAB.upper())], "eno1"),
        ([LO, link("eth0", HOMELAB, "veth")], "eth0"),
        ([link("br0", HOMELAB, "bridge"), link("eno1", HOMELAB)], "eno1"),
        ([link("eno1", HOMELAB), link("eno1.4", HOMELAB, "vlan"), link("macvtap0", HOMELAB, "macvtap")], "eno1"),
        # the second slave of a bond has the bond's address and keeps its own as the permanent one
        ([link("bond0", OTHER, "bond"), link("eno1", OTHER), link("eno2", OTHER, permanent=HOMELAB)], "eno2"),
        # and the first one keeps the address that all of them have
        ([link("bond0", HOMELAB, "bond"), link("eno1", HOMELAB), link("eno2", HOMELAB, permanent=OTHER)], "eno1"),
        ([link("bond0", HOMELAB, "bond"), slave("eno1", HOMELAB, HOMELAB), slave("eno2", HOMELAB, OTHER)], "eno1"),
        ([link("bond0", OTHER, "bond"), slave("eno1", OTHER, OTHER), slave("eno2", OTHER, HOMELAB)], "eno2"),
    ],
)
def test_the_card_with_a_mac(links, name):
    assert link_with_mac(HOMELAB, ethernet_links(json.dumps(links))).name == name


@pytest.mark.parametrize(
    ("links", "said"),
    [
        ([], "on no interface; this host has: none"),
        ([LO], "on no interface; this host has: none"),
        ([link("eno1", OTHER)], f"on no interface; this host has: eno1 ({OTHER})"),
        ([link("eno1", HOMELAB), link("eno2", HOMELAB)], "on eno1, eno2"),
        ([link("br0", HOMELAB, "bridge")], "on br0"),
    ],
)
def test_a_mac_that_is_no_single_cards(links, said):
    with pytest.raises(Refusal) as refused:
        link_with_mac(HOMELAB, ethernet_links(json.dumps(links)))
    assert said in str(refused.value)


def test_an_interface_by_name():
    links = ethernet_links(json.dumps([LO, link("eno1", HOMELAB)]))
    assert link_named("eno1", links).macs == (HOMELAB,)
    with pytest.raises(Refusal, match="interface lo: found none of that name; this host has: eno1"):
        link_named("lo", links)


SHIPPED = "/usr/lib/systemd/network/99-default.link"
SHIPPED_TEXT = """# SPDX-License-Identifier: MIT-0
[Match]
OriginalName=*

[Link]
# a comment
NamePolicy=keep kernel database onboard slot path
AlternativeNamesPolicy=database onboard slot path
MACAddressPolicy=persistent
"""
OWN = "/etc/systemd/network/50-wake-eno1.link"
OWN_TEXT = f"""# Written by vmstation.cluster.nic_wake_on_lan. A magic packet wakes this host through eno1.
# The other settings are those of {SHIPPED}
[Match]
PermanentMACAddress={HOMELAB}

[Link]
NamePolicy=keep kernel database onboard slot path
AlternativeNamesPolicy=database onboard slot path
MACAddressPolicy=persistent
WakeOnLan=magic
"""


def wanted(applied, files=None, permanent=HOMELAB):
    return wanted_file("eno1", permanent, OTHER, applied, {SHIPPED: SHIPPED_TEXT, **(files or {})}.get)


def test_a_file_of_ours_keeps_what_names_the_interface():
    assert wanted(SHIPPED) == LinkFile(OWN, OWN_TEXT)


def test_once_ours_is_the_one_that_is_applied_it_still_follows_the_shipped_one():
    assert wanted(OWN, {OWN: OWN_TEXT}) == LinkFile(OWN, OWN_TEXT)
    renewed = SHIPPED_TEXT.replace("path\n", "path mac\n")
    assert "NamePolicy=keep kernel database onboard slot path mac\n" in wanted(OWN, {OWN: OWN_TEXT, SHIPPED: renewed}).text


def test_a_card_without_a_permanent_address_is_matched_by_its_current_one():
    assert f"[Match]\nMACAddress={OTHER}\n" in wanted(SHIPPED, permanent="").text


def test_a_host_where_udev_has_applied_nothing_gets_systemds_defaults():
    assert "NamePolicy=keep kernel database onboard slot path\n" in wanted("").text


@pytest.mark.parametrize(
    ("applied", "path"),
    [
        ("/etc/systemd/network/10-lan.link", "/etc/systemd/network/10-lan.link.d/50-wake-eno1.conf"),
        ("/etc/systemd/network/70-persistent-net.link", "/etc/systemd/network/70-persistent-net.link.d/50-wake-eno1.conf"),
        ("/run/systemd/network/10-netplan-eno1.link", "/etc/systemd/network/10-netplan-eno1.link.d/50-wake-eno1.conf"),
        ("/usr/lib/systemd/network/10-cloud.link", "/etc/systemd/network/10-cloud.link.d/50-wake-eno1.conf"),
    ],
)
def test_a_file_of_the_administrator_gets_a_drop_in(applied, path):
    file = wanted(applied, {applied: "[Match]\nMACAddress=d0:94:66:30:d6:63\n[Link]\nName=lan0\n"})
    assert file.path == path
    assert file.text.endswith("\n[Link]\nWakeOnLan=magic\n") and "Name=" not in file.text and "[Match]" not in file.text


@pytest.mark.parametrize("line", ["WakeOnLan=magic", "WakeOnLan=phy magic"])
def test_a_file_of_the_administrator_that_says_so_is_enough(line):
    assert wanted("/etc/systemd/network/10-lan.link", {"/etc/systemd/network/10-lan.link": f"[Link]\nName=lan0\n{line}\n"}) is None


def test_settings_are_those_of_the_link_section():
    text = "[Match]\nOriginalName=*\n[Link]\n; no\nName=lan0\nWakeOnLan=off\n[SR-IOV]\nVirtualFunction=0\n[Link]\nMTUBytes=9000\n"
    assert link_settings(text) == ("Name=lan0", "MTUBytes=9000")


@pytest.mark.parametrize(
    ("properties", "file"),
    [
        ("INTERFACE=eno1\nIFINDEX=2\nID_NET_DRIVER=e1000e\nID_NET_LINK_FILE=/usr/lib/systemd/network/99-default.link\n", SHIPPED),
        ("INTERFACE=nic0\nIFINDEX=4\nSUBSYSTEM=net\n", ""),
        ("", ""),
    ],
)
def test_the_file_that_udev_applied(properties, file):
    assert applied_file(properties) == file
