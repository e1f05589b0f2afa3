# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nic_wake_on_lan on a real host over ssh.

Its interface is a veth, which really cannot wake a host. For the rest a stand-in takes ethtool's place on that host: it keeps the letters
in a file, as a driver keeps them in the card, and forgets them when the test removes the file.
"""

from __future__ import annotations

import pytest

MAC = "02:00:c0:a8:04:71"
LINK_FILE = "/etc/systemd/network/50-wake-eth0.link"
LETTERS = "/run/ethtool-stand-in"
STAND_IN = f"""#!/bin/sh
case "$1" in
-P) echo "Permanent address: {MAC}" ;;
-s) echo "$4" > {LETTERS} ;;
*) printf 'Settings for %s:\\n\\tSupports Wake-on: pumbg\\n\\tWake-on: %s\\n' "$1" "$(cat {LETTERS} 2>/dev/null || echo d)" ;;
esac
"""


@pytest.fixture(scope="module")
def host(lab):
    started = lab.start("nicwake", address="192.168.4.113", mac=MAC)
    yield started
    lab.remove(started)


@pytest.fixture
def card(host):
    """The host with a card that can be set."""
    host.write("/usr/local/sbin/ethtool", STAND_IN)
    host.run(["chmod", "755", "/usr/local/sbin/ethtool"])
    yield host
    host.run(["rm", "-f", "/usr/local/sbin/ethtool", LETTERS, LINK_FILE])


def files_of(host):
    return host.run(["find", "/etc/systemd/network", "-type", "f"]).stdout.split()


def test_an_interface_that_cannot_wake_its_host_is_a_warning(lab, host):
    result = lab.module(host, "nic_wake_on_lan", {"mac": MAC})
    assert (result["changed"], result["supported"], result["interface"]) == (False, False, "eth0")
    assert [finding["rule"] for finding in result["findings"]] == ["interface_can_wake_its_host"]
    assert any("no wake-up modes at all" in str(warning) for warning in result["warnings"])
    assert files_of(host) == []


def test_who_insists_gets_a_failure(lab, host):
    result = lab.module(host, "nic_wake_on_lan", {"mac": MAC, "fail_on": "warning"})
    assert result["failed"] is True
    assert "no wake-up modes at all" in result["msg"]


def test_check_apply_check_apply_and_back(lab, card):
    wanted = {"mac": MAC.upper().replace(":", "-")}
    predicted = lab.module(card, "nic_wake_on_lan", wanted, check=True, diff=True)
    assert predicted["changed"] is True
    assert files_of(card) == []
    assert any(difference["after_header"] == LINK_FILE for difference in predicted["diff"])

    made = lab.module(card, "nic_wake_on_lan", wanted)
    assert {key: made[key] for key in ("changed", "supported", "runtime", "persistent", "kept_by")} == {
        "changed": True,
        "supported": True,
        "runtime": True,
        "persistent": True,
        "kept_by": "systemd.link",
    }
    assert card.read(LETTERS) == "g\n"
    lines = card.read(LINK_FILE).splitlines()
    assert f"PermanentMACAddress={MAC}" in lines and "WakeOnLan=magic" in lines
    assert any(line.startswith("NamePolicy=keep ") for line in lines), "or the interface would lose its name"

    assert lab.module(card, "nic_wake_on_lan", wanted, check=True)["changed"] is False
    assert lab.module(card, "nic_wake_on_lan", wanted)["changed"] is False

    taken_back = lab.module(card, "nic_wake_on_lan", {**wanted, "state": "absent"})
    assert (taken_back["changed"], taken_back["runtime"], taken_back["persistent"]) == (True, False, False)
    assert (card.read(LETTERS), files_of(card)) == ("d\n", [])
    assert lab.module(card, "nic_wake_on_lan", {**wanted, "state": "absent"})["changed"] is False


def test_what_the_driver_forgot_is_set_again(lab, card):
    lab.module(card, "nic_wake_on_lan", {"interface": "eth0"})
    card.run(["rm", LETTERS])
    result = lab.module(card, "nic_wake_on_lan", {"interface": "eth0"})
    assert (result["changed"], result["runtime"]) == (True, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mac": "02:00:c0:a8:04"}, "mac: found '02:00:c0:a8:04'"),
        ({"mac": "ff:ff:ff:ff:ff:ff"}, "the broadcast address"),
        ({"mac": "02:00:5e:00:53:01"}, f"mac 02:00:5e:00:53:01: found on no interface; this host has: eth0 ({MAC})"),
        ({"interface": "eth9"}, f"interface eth9: found none of that name; this host has: eth0 ({MAC})"),
        ({}, "one of the following is required: mac, interface"),
        ({"mac": MAC, "interface": "eth0"}, "mutually exclusive"),
    ],
)
def test_bad_input_is_told_without_a_traceback(lab, host, options, said):
    result = lab.module(host, "nic_wake_on_lan", options)
    assert result["failed"] is True
    assert said in result["msg"]
    assert "Traceback" not in str(result)
