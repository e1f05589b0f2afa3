# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.wake import Target, read_request

HOMELAB = {"name": "homelab", "mac": "D0-94-66-30-D6-63", "address": "192.168.4.62", "port": 22}
STORAGE = {"name": "storagenodet3500", "mac": "b8:ac:6f:7e:6c:9d", "address": "192.168.4.61", "port": 22}


def options(*hosts, **others):
    return {"hosts": list(hosts), "broadcast": "192.168.4.255", **others}


def test_a_request_is_read_with_its_defaults():
    request = read_request(options(HOMELAB, STORAGE))
    assert request.targets[0] == Target("homelab", "d0:94:66:30:d6:63", "192.168.4.62", 22)
    assert (request.port, request.interface, request.password) == (9, "", b"")
    assert (request.repeat_every, request.wait, request.timeout) == (5.0, True, 300.0)


def test_no_host_is_a_request_too():
    assert read_request(options()).targets == ()


@pytest.mark.parametrize(
    ("address", "read"),
    [("fd00:0:0::62", "fd00::62"), ("fe80::1%eth0", "fe80::1%eth0"), ("127.0.0.1", "127.0.0.1"), ("203.0.113.9", "203.0.113.9")],
)
def test_addresses_of_both_families(address, read):
    assert read_request(options({**HOMELAB, "address": address})).targets[0].address == read


def test_the_password_stays_out_of_every_text():
    request = read_request(options(HOMELAB, password="aa:bb:cc:dd:ee:0f"))
    assert request.password == bytes.fromhex("aabbccddee0f")
    assert "aabbcc" not in repr(request) and r"\xaa\xbb" not in repr(request)


@pytest.mark.parametrize(
    ("change", "subject"),
    [
        ({"name": ""}, "hosts[0].name"),
        ({"name": "  "}, "hosts[0].name"),
        ({"name": "home\nlab"}, "hosts[0].name"),
        ({"name": "home\x1b[31mlab"}, "hosts[0].name"),
        ({"name": None}, "hosts[0].name"),
        ({"mac": None}, "host homelab: mac"),
        ({"mac": "-"}, "host homelab: mac"),
        ({"address": ""}, "host homelab: address"),
        ({"address": None}, "host homelab: address"),
        ({"address": "homelab"}, "host homelab: address"),
        ({"address": "192.168.4"}, "host homelab: address"),
        ({"address": "192.168.4.256"}, "host homelab: address"),
        ({"address": "192.168.4.062"}, "host homelab: address"),
        ({"address": "192.168.4.62/24"}, "host homelab: address"),
        ({"address": "192.168.4.62:22"}, "host homelab: address"),
        ({"address": "192.168.4.62 "}, "host homelab: address"),
        ({"address": "１92.168.4.62"}, "host homelab: address"),  # noqa: RUF001
        ({"address": 3232236606}, "host homelab: address"),
        ({"address": "0.0.0.0"}, "host homelab: address"),
        ({"address": "255.255.255.255"}, "host homelab: address"),
        ({"address": "224.0.0.1"}, "host homelab: address"),
        ({"address": "::"}, "host homelab: address"),
        ({"address": "ff02::1"}, "host homelab: address"),
        ({"address": "fe80::1"}, "host homelab: address"),
        ({"address": "[fd00::62]"}, "host homelab: address"),
        ({"port": 0}, "host homelab: port"),
        ({"port": -1}, "host homelab: port"),
        ({"port": 65536}, "host homelab: port"),
        ({"port": "ssh"}, "host homelab: port"),
        ({"port": True}, "host homelab: port"),
    ],
)
def test_a_bad_host_is_named(change, subject):
    with pytest.raises(Refusal) as refused:
        read_request(options({**HOMELAB, **change}))
    assert refused.value.subject == subject


@pytest.mark.parametrize(
    ("change", "subject"),
    [
        ({"broadcast": ""}, "broadcast"),
        ({"broadcast": "192.168.4.0/24"}, "broadcast"),
        ({"broadcast": "ff02::1"}, "broadcast"),
        ({"broadcast": "lan"}, "broadcast"),
        ({"broadcast": "192.168.4.２55"}, "broadcast"),  # noqa: RUF001
        ({"port": 0}, "port"),
        ({"port": 70000}, "port"),
        ({"interface": "a-name-of-16-byt"}, "interface"),
        ({"interface": "eth 0"}, "interface"),
        ({"interface": "../eth0"}, "interface"),
        ({"interface": "eth0\n"}, "interface"),
        ({"password": "secret"}, "password"),
        ({"repeat_every": 0}, "repeat_every"),
        ({"repeat_every": -5}, "repeat_every"),
        ({"repeat_every": float("nan")}, "repeat_every"),
        ({"repeat_every": float("inf")}, "repeat_every"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
        ({"timeout": True}, "timeout"),
    ],
)
def test_a_bad_option_is_named(change, subject):
    with pytest.raises(Refusal) as refused:
        read_request(options(HOMELAB, **change))
    assert refused.value.subject == subject


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ({**STORAGE, "name": "homelab"}, "host homelab: name: found homelab, which host homelab uses too"),
        ({**STORAGE, "mac": "d094.6630.d663"}, "host storagenodet3500: mac: found d0:94:66:30:d6:63, which host homelab uses too"),
        ({**STORAGE, "address": "192.168.4.62"}, "host storagenodet3500: address: found 192.168.4.62, which host homelab uses too"),
        (
            {**STORAGE, "address": "192.168.4.62", "port": 23},
            "host storagenodet3500: address: found 192.168.4.62, which host homelab uses too",
        ),
    ],
)
def test_what_two_hosts_share_is_refused(second, said):
    with pytest.raises(Refusal) as refused:
        read_request(options(HOMELAB, second))
    assert said in str(refused.value)


def test_one_address_in_two_notations_is_one_address():
    with pytest.raises(Refusal, match="which host homelab uses too"):
        read_request(options({**HOMELAB, "address": "fd00::62"}, {**STORAGE, "address": "FD00:0:0:0::62"}))


def test_all_problems_come_in_one_message():
    with pytest.raises(Refusal) as refused:
        read_request(
            options(
                {**HOMELAB, "mac": "d0:94"},
                {**STORAGE, "address": "attic", "port": 0},
                {"name": "", "mac": "ff:ff:ff:ff:ff:ff", "address": "192.168.4.9", "port": 22},
                broadcast="nowhere",
                password="secret",
            )
        )
    message = str(refused.value)
    for said in [
        "7 problems",
        "host homelab: mac",
        "storagenodet3500: address",
        "storagenodet3500: port",
        "hosts[2].name",
        "hosts[2]: mac",
    ]:
        assert said in message
    assert "broadcast" in message and "password" in message and "secret" not in message
    assert "Nothing was sent." in message
