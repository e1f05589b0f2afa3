# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""keepalived's files and service on a control plane host: kept, removed, and checked."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._api_address.keepalived import (
    CONFIGURATION,
    HEALTH,
    UNIT,
    ensure,
    interfaces,
    judge,
    read_wish,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import Completed
from ansible_collections.vmstation.cluster.plugins.module_utils._programs import Host
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.clock import Clock
from tests.unit.fakes import Script

VIP = "192.168.4.60"
NODES: list[dict[str, Any]] = [
    {"name": "masternode", "address": "192.168.4.63", "role": "control_plane"},
    {"name": "Second", "address": ["fd00:4::61", "192.168.4.61"], "role": "control_plane", "sleeps": False},
    {"name": "third", "address": "192.168.4.62", "role": "control_plane"},
    {"name": "homelab", "address": "192.168.4.64", "role": "worker"},
]
PRESENT: dict[str, Any] = {"state": "present", "address": VIP, "name": "Second", "nodes": NODES, "hold": False}
ABSENT = {**PRESENT, "state": "absent"}


class ControlPlane(Script):
    """A host with one interface, and a keepalived that takes the address when it is started. has_failed: it does not."""

    def __init__(self, *addresses: str) -> None:
        super().__init__({})
        self.files: dict[str, str] = {}
        self.addresses = ["127.0.0.1", *(addresses or ("192.168.4.61", "fd00:4::61"))]
        self.runs = self.has_failed = False

    @property
    def host(self) -> Host:
        here = self.files
        return Host(self, here.get, self.write, lambda path: None, str, "/usr/bin/python3", is_there=here.__contains__)

    def write(self, contents: Any, *, new_mode: int = 0o644) -> None:
        assert new_mode == 0o644
        for path, text in contents.items():
            if text is None:
                self.files.pop(path, None)
            else:
                self.files[path] = text

    def run(self, argv: Sequence[str], **more: Any) -> Completed:
        done = super().run(argv, **more)
        if argv == ["ip", "-json", "address"]:
            links = [{"ifname": "eth0", "addr_info": [{"local": one} for one in self.addresses]}, {"ifname": "tunl0"}]
            return Completed(tuple(argv), 0, json.dumps(links), "")
        if argv[:2] == ["systemctl", "restart"]:
            self.runs = True
            self.addresses += [] if self.has_failed or VIP in self.addresses else [VIP]
        elif argv[:2] == ["systemctl", "disable"]:
            self.runs = False
        elif argv[:3] == ["ip", "address", "delete"]:
            self.addresses.remove(argv[3].partition("/")[0])
        elif argv[1] in ("is-enabled", "is-active"):
            return Completed(tuple(argv), 0 if self.runs else 3, "", "")
        elif argv[0] == "journalctl":
            return Completed(tuple(argv), 0, "Entering BACKUP STATE\n", "")
        return done


def test_the_service_is_kept_and_goes_without_a_trace() -> None:
    machine, clock = ControlPlane(), Clock()
    predicted = ensure(machine.host, clock, PRESENT, check_mode=True)
    assert predicted["changed"] and machine.files == {}
    done = ensure(machine.host, clock, PRESENT, check_mode=False)
    assert {**done, "holds": False} == predicted and done["holds"] is False
    assert set(machine.files) == {CONFIGURATION, HEALTH, UNIT} and machine.runs
    assert not ensure(machine.host, clock, PRESENT, check_mode=False)["changed"]
    machine.runs = False
    assert ensure(machine.host, clock, PRESENT, check_mode=False)["changed"] and machine.runs
    assert ensure(machine.host, clock, ABSENT, check_mode=False)["changed"]
    assert (machine.files, machine.runs, VIP in machine.addresses) == ({}, False, False)
    assert not ensure(machine.host, clock, ABSENT, check_mode=False)["changed"]


def test_the_hosts_agree_in_unicast_and_only_with_the_other_control_planes() -> None:
    machine = ControlPlane()
    ensure(machine.host, Clock(), PRESENT, check_mode=False)
    text = machine.files[CONFIGURATION]
    assert re.search(r"unicast_src_ip 192\.168\.4\.61\n +unicast_peer \{\n +192\.168\.4\.63\n +192\.168\.4\.62\n +\}", text)
    assert f"{VIP}/32 dev eth0" in text and "interface eth0" in text
    assert "192.168.4.64" not in text and "auth" not in text
    # all hosts have the same number and the same priority
    other = ControlPlane("192.168.4.63")
    ensure(other.host, Clock(), {**PRESENT, "name": "masternode"}, check_mode=False)
    for key in ("virtual_router_id", "priority", "weight"):
        assert re.findall(rf"{key} .*", text) == re.findall(rf"{key} .*", other.files[CONFIGURATION])


def test_the_health_check_is_a_program() -> None:
    machine = ControlPlane()
    ensure(machine.host, Clock(), PRESENT, check_mode=False)
    compile(machine.files[HEALTH], HEALTH, "exec")
    assert rb"GET /livez HTTP/1.0\r\n" in machine.files[HEALTH].encode()
    assert f"{HEALTH} 192.168.4.61" in machine.files[CONFIGURATION]


def test_the_first_host_waits_until_it_has_the_address() -> None:
    machine = ControlPlane()
    assert ensure(machine.host, Clock(), {**PRESENT, "hold": True}, check_mode=False)["holds"]
    other = ControlPlane()
    other.has_failed = True
    with pytest.raises(Refusal, match=r"192.168.4.60 of the API: found not on second 20 s after .* Entering BACKUP STATE; required: "):
        ensure(other.host, Clock(), {**PRESENT, "hold": True}, check_mode=False)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "homelab"}, r"name: found homelab; required: a control plane host among nodes \(masternode, Second, third\)"),
        ({"address": "api.lan"}, "address: found 'api.lan'; required: an IPv4 or IPv6 address"),
        ({"address": "fd00:4::60"}, r"nodes: address of masternode: found 192.168.4.63; required: an IPv6 address"),
        ({"name": "third"}, "host third: found no interface with the address 192.168.4.62"),
    ],
)
def test_what_does_not_fit_is_an_error_before_anything_is_written(changes: dict[str, Any], said: str) -> None:
    machine = ControlPlane()
    with pytest.raises(Refusal, match=said):
        ensure(machine.host, Clock(), {**PRESENT, **changes}, check_mode=False)
    assert machine.files == {}


def test_ipv6_addresses_get_a_whole_prefix() -> None:
    machine, nodes = ControlPlane(), [NODES[1]]
    ensure(machine.host, Clock(), {**PRESENT, "address": "fd00:4::60", "nodes": nodes}, check_mode=False)
    assert "fd00:4::60/128 dev eth0" in machine.files[CONFIGURATION]
    assert read_wish({**PRESENT, "nodes": nodes}).peers == ()


def test_a_host_without_keepalived_is_named() -> None:
    machine = ControlPlane()
    machine.missing = {"keepalived"}
    with pytest.raises(Refusal, match="not on this host: keepalived"):
        ensure(machine.host, Clock(), PRESENT, check_mode=False)


def test_the_check_names_who_has_the_address_and_what_is_wrong() -> None:
    machine = ControlPlane()
    assert [finding.found for finding in judge(machine.host, PRESENT).findings] == [
        f"changed or missing: {CONFIGURATION}, {HEALTH}, {UNIT}"
    ]
    ensure(machine.host, Clock(), PRESENT, check_mode=False)
    verdict = judge(machine.host, PRESENT)
    assert ([*verdict.findings], verdict.looked_at[0].facts) == ([], "on this host")
    machine.addresses.remove(VIP)
    assert judge(machine.host, PRESENT).looked_at[0].facts.startswith("not on this host")
    machine.runs = False
    assert "not enabled or not active" in judge(machine.host, PRESENT).findings[0].found


def test_what_ip_prints_is_not_trusted() -> None:
    assert interfaces("") == {}
    for text in ("no", "{", '[{"addr_info": [{"local": "a"}]}]', '["a"]'):
        with pytest.raises(Refusal, match="ip -json address"):
            interfaces(text)
