# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read, plan, apply, read back on a host whose programs keep state and print as the real ones do."""

from __future__ import annotations

import json

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._nic.card import (
    Change,
    after,
    apply_change,
    diff,
    findings,
    plan_change,
    read_standing,
    refuse_what_did_not_hold,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.fakes import AnsweringHost

MAC = "d0:94:66:30:d6:63"
UUID = "13ce5098-e45b-45ee-bd98-3c2c0adecab3"
SHIPPED = "/usr/lib/systemd/network/99-default.link"
OWN = "/etc/systemd/network/50-wake-eno1.link"
ADMIN = "/etc/systemd/network/10-lan.link"
DROP_IN = "/etc/systemd/network/10-lan.link.d/50-wake-eno1.conf"


class Host(AnsweringHost):
    """A host with the card eno1. manager: nmcli's state line, None without nmcli. forgets: a driver that takes no setting."""

    def __init__(
        self, *, supported="pumbg", enabled="d", manager=None, profile="default", applied=SHIPPED, files=None, forgets=False, root=True
    ):
        self.supported, self.enabled, self.manager, self.profile = supported, enabled, manager, profile
        self.applied, self.forgets, self.root = applied, forgets, root
        self.files = {SHIPPED: "[Match]\nOriginalName=*\n[Link]\nNamePolicy=keep kernel\n", **(files or {})}
        self.changes = []

    def has(self, program):
        return program != "nmcli" or self.manager is not None

    def answer(self, argv, _stdin):  # noqa: PLR0911 (a table)
        if argv[:2] == ["ip", "-json"]:
            return 0, json.dumps([{"ifname": "eno1", "link_type": "ether", "address": MAC}]), ""
        if argv == ["ethtool", "-P", "eno1"]:
            return 0, f"Permanent address: {MAC}\n", ""
        if argv == ["ethtool", "eno1"]:
            if not self.root:
                return 0, "Settings for eno1:\n\tLink detected: yes\n", "netlink error: Operation not permitted\n"
            lines = f"\tSupports Wake-on: {self.supported}\n\tWake-on: {self.enabled}\n" if self.supported else ""
            return 0, f"Settings for eno1:\n\tSpeed: 1000Mb/s\n{lines}\tLink detected: yes\n", ""
        if argv[:4] == ["ethtool", "-s", "eno1", "wol"]:
            self.changes.append(argv)
            self.enabled = self.enabled if self.forgets else argv[4]
            return 0, "", ""
        if argv[0] == "udevadm":
            return 0, f"INTERFACE=eno1\n{'ID_NET_LINK_FILE=' + self.applied if self.applied else ''}\n", ""
        if argv[:2] == ["nmcli", "-t"]:
            if self.manager in (8, 10):
                return self.manager, "", "Error: NetworkManager is not running." if self.manager == 8 else "Error: Device 'eno1' not found."
            return 0, f"GENERAL.STATE:{self.manager}\nGENERAL.CON-UUID:{'' if self.manager.startswith(('10 ', '30')) else UUID}\n", ""
        if argv == ["nmcli", "-g", "802-3-ethernet.wake-on-lan", "connection", "show", UUID]:
            return 0, f"{self.profile}\n", ""
        if argv[:5] == ["nmcli", "connection", "modify", UUID, "802-3-ethernet.wake-on-lan"]:
            self.changes.append(argv)
            self.profile = argv[5]
            return 0, "", ""
        raise AssertionError(f"the real host was not asked this before: {argv}")

    def replace_all(self, contents):
        for path, text in contents.items():
            self.changes.append([path])
            self.files.pop(path, None)
            if text is not None:
                self.files[path] = text

    def read(self):
        return read_standing(self, self.files.get, "eno1", "")

    def make(self, state):
        standing = self.read()
        change = plan_change(standing, state)
        if change:
            apply_change(self, self.replace_all, standing.interface, standing.profile, change)
            refuse_what_did_not_hold(self.read(), state)
        reported = after(standing, change)
        now = after(self.read(), Change())
        assert reported == now, "what is reported is what stands"
        return bool(change), reported


CONNECTED = "100 (connected)"
HOSTS = {
    "without NetworkManager": ({}, "systemd.link"),
    "NetworkManager does not run": ({"manager": 8}, "systemd.link"),
    "NetworkManager does not know it": ({"manager": 10}, "systemd.link"),
    "NetworkManager leaves it alone": ({"manager": "10 (unmanaged)"}, "systemd.link"),
    "NetworkManager only watches it": ({"manager": "100 (connected (externally))"}, "systemd.link"),
    "NetworkManager manages it": ({"manager": CONNECTED}, "NetworkManager"),
    "NetworkManager, awake already": ({"manager": CONNECTED, "enabled": "g"}, "NetworkManager"),
    "NetworkManager, told to ignore it": ({"manager": CONNECTED, "profile": "ignore"}, "NetworkManager"),
    "udev has applied nothing": ({"applied": ""}, "systemd.link"),
    "a file of the administrator": ({"applied": ADMIN, "files": {ADMIN: "[Link]\nName=lan0\n"}}, "systemd.link"),
    "awake until the next boot": ({"enabled": "g"}, "systemd.link"),
    "awake for other reasons": ({"enabled": "ub"}, "systemd.link"),
    "a stale file of ours": ({"files": {OWN: "[Match]\nMACAddress=00:00:5e:00:53:01\n"}}, "systemd.link"),
}


@pytest.mark.parametrize(("settings", "keeper"), HOSTS.values(), ids=HOSTS)
def test_present_twice_then_absent_twice(settings, keeper):
    host = Host(**settings)
    changed, reported = host.make("present")
    assert changed
    assert reported == {"interface": "eno1", "mac": MAC, "supported": True, "runtime": True, "persistent": True, "kept_by": keeper}
    assert host.make("present")[0] is False
    changed, reported = host.make("absent")
    assert (changed, reported["runtime"], reported["persistent"]) == (True, False, False)
    assert host.make("absent")[0] is False
    assert OWN not in host.files and DROP_IN not in host.files
    assert host.files.get(ADMIN) == (settings.get("files") or {}).get(ADMIN)


def test_what_udev_applies_after_the_next_boot_changes_nothing():
    host = Host()
    host.make("present")
    host.applied = OWN
    assert host.make("present")[0] is False


def test_the_administrators_own_setting_is_enough():
    host = Host(enabled="g", applied=ADMIN, files={ADMIN: "[Link]\nName=lan0\nWakeOnLan=magic\n"})
    changed, reported = host.make("present")
    assert (changed, reported["persistent"], host.changes) == (False, True, [])


def test_a_card_that_moves_to_network_manager_leaves_no_file_behind():
    host = Host()
    host.make("present")
    host.manager = CONNECTED
    assert host.make("present")[1]["kept_by"] == "NetworkManager"
    assert OWN not in host.files and host.profile == "magic"


def test_other_modes_stay_when_magic_is_switched_off():
    host = Host(enabled="pg")
    host.make("absent")
    assert host.enabled == "p"


@pytest.mark.parametrize(("supported", "said"), [("", "no wake-up modes at all"), ("d", "`d`, without g"), ("pumb", "`pumb`, without g")])
@pytest.mark.parametrize("manager", [None, CONNECTED, "30 (disconnected)"])
def test_a_card_that_cannot_is_a_warning_and_left_alone(supported, said, manager):
    host = Host(supported=supported, manager=manager)
    changed, reported = host.make("present")
    assert (changed, reported["supported"], reported["runtime"], host.changes) == (False, False, False, [])
    (finding,) = findings(host.read(), "present")
    assert finding.severity == "warning" and said in finding.found and "eno1" in finding.subject
    assert findings(host.read(), "absent") == []


def test_a_card_that_can_is_no_finding():
    assert findings(Host().read(), "present") == []


def test_a_driver_that_forgets_at_once_is_told():
    with pytest.raises(Refusal, match="interface eno1: found still"):
        Host(forgets=True).make("present")


def test_network_manager_without_a_connection_has_nowhere_to_write():
    with pytest.raises(Refusal, match="managed by NetworkManager without an active connection"):
        Host(manager="30 (disconnected)").make("present")


def test_without_roots_rights_nothing_is_concluded():
    with pytest.raises(Refusal, match="become"):
        Host(root=False).read()


def test_check_mode_plans_and_touches_nothing():
    host = Host()
    standing = host.read()
    change = plan_change(standing, "present")
    assert after(standing, change)["persistent"] is True
    assert host.changes == []
    summary, file = diff(standing, change)
    assert (summary["before"], summary["after"]) == ("runtime: False\npersistent: False\n", "runtime: True\npersistent: True\n")
    assert (file["after_header"], file["before"]) == (OWN, "") and file["after"].endswith("WakeOnLan=magic\n")


def test_the_persistent_part_comes_first():
    host = Host(manager=CONNECTED)
    host.make("present")
    assert [change[0] for change in host.changes] == ["nmcli", "ethtool"]


@pytest.mark.parametrize("mac", ["D0-94-66-30-D6-63", "d094.6630.d663"])
def test_the_card_is_found_by_its_mac_in_any_notation(mac):
    host = Host()
    assert read_standing(host, host.files.get, "", mac).interface == "eno1"


@pytest.mark.parametrize("mac", ["", "ff:ff:ff:ff:ff:ff", "d0:94:66:30:d6", "00:00:5e:00:53:01"])
def test_a_mac_that_is_not_here_is_refused(mac):
    host = Host()
    with pytest.raises(Refusal, match=r"mac|interface"):
        read_standing(host, host.files.get, "", mac)
