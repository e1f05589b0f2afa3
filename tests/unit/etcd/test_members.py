# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd's members: as etcdctl prints them, which may go, and what is reported."""

from __future__ import annotations

import json

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._etcd.etcd import (
    control_planes,
    ensure_removed,
    judge,
    majority,
    read_members,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ADDRESSES = {"masternode": "192.168.4.63", "second": "192.168.4.61", "third": "192.168.4.62"}
HOSTS = {name: [address] for name, address in ADDRESSES.items()}


class Etcd:
    """Members by name, those in sick without an answer; a name with + is a learner, one with ? has not started."""

    def __init__(self, *names: str, sick: str = "") -> None:
        self.names, self.sick, self.removed = list(names), sick.split(), list[str]()

    def members(self) -> str:
        listed = [
            {
                "ID": 2**63 + at,
                **({} if "?" in name else {"name": name.strip("+"), "clientURLs": [f"https://{ADDRESSES[name.strip('+')]}:2379"]}),
                "peerURLs": [f"https://{ADDRESSES[name.strip('+?')]}:2380"],
                **({"isLearner": True} if "+" in name else {}),
            }
            for at, name in enumerate(self.names)
        ]
        return json.dumps({"header": {"member_id": 1}, "members": listed})

    def health(self) -> str:
        started = [name.strip("+") for name in self.names if "?" not in name]
        return json.dumps([{"endpoint": f"https://{ADDRESSES[name]}:2379", "health": name not in self.sick} for name in started])

    def remove(self, member: str) -> None:
        self.removed.append(self.names[int(member, 16) - 2**63])


class Nodes:
    """The Nodes of all hosts but those that are missing."""

    def __init__(self, *missing: str) -> None:
        self.missing, self.deleted = missing, list[str]()

    def get(self, path: str) -> dict[str, str] | None:
        return None if path.rpartition("/")[2] in (*self.missing, *self.deleted) else {}

    def delete(self, path: str) -> bool:
        assert path.startswith("/api/v1/nodes/")
        self.deleted.append(path.rpartition("/")[2])
        return True


def seen(*names: str, sick: str = "") -> list[str]:
    etcd = Etcd(*names, sick=sick)
    return [f"{one.rule}: {one.found}" for one in judge(read_members(etcd.members(), etcd.health()), HOSTS).findings]


@pytest.mark.parametrize(
    ("names", "sick", "found"),
    [
        (("masternode", "second", "third"), "", []),
        (("masternode", "second"), "", ["each_control_plane_has_an_etcd_member: no member third"]),
        (
            ("masternode", "second", "third"),
            "third",
            ["etcd_members_are_healthy: 2 of 3 members healthy, not third; the next one that fails may stop the cluster"],
        ),
        (
            ("masternode", "second", "third"),
            "second third",
            ["etcd_members_are_healthy: 1 of 3 members healthy, not second, third: without a majority nothing is stored"],
        ),
    ],
)
def test_what_is_wrong_is_reported(names: tuple[str, ...], sick: str, found: list[str]) -> None:
    assert seen(*names, sick=sick) == found


def test_a_member_that_never_started_is_named_by_its_address() -> None:
    assert "etcd_has_no_other_members: a member at 192.168.4.62 of no control plane host" in seen("masternode", "second", "third?+")


@pytest.mark.parametrize(
    ("names", "sick", "hosts", "removed"),
    [
        (("masternode", "second", "third"), "third", ["third"], ["third"]),
        (("masternode", "second", "third"), "", ["third"], ["third"]),
        # a host that was killed while it joined
        (("masternode", "second", "third?+"), "", ["third"], ["third?+"]),
        # the first one is new
        (("masternode", "second", "third"), "masternode", ["masternode"], ["masternode"]),
        (("masternode", "second"), "", ["third"], []),
    ],
)
def test_a_member_goes_by_its_name_or_its_address(names: tuple[str, ...], sick: str, hosts: list[str], removed: list[str]) -> None:
    predicted, etcd = Etcd(*names, sick=sick), Etcd(*names, sick=sick)
    wanted = {name: HOSTS[name] for name in hosts}
    result = ensure_removed(etcd, Nodes("third"), wanted, check_mode=False)
    nodes = [name for name in hosts if name != "third"]
    assert (etcd.removed, result["nodes_deleted"], result["changed"]) == (removed, nodes, bool(removed or nodes))
    assert ensure_removed(predicted, Nodes("third"), wanted, check_mode=True) == result and not predicted.removed


def test_a_node_goes_after_its_member() -> None:
    etcd, nodes = Etcd("masternode", "second"), Nodes()
    assert ensure_removed(etcd, nodes, {"third": HOSTS["third"]}, check_mode=False)["nodes_deleted"] == nodes.deleted == ["third"]


@pytest.mark.parametrize(
    ("names", "sick", "hosts"),
    [
        (("masternode", "second", "third"), "second third", ["third"]),
        (("masternode", "second"), "second", ["masternode"]),
        (("masternode",), "", ["masternode"]),
    ],
)
def test_the_majority_is_never_lost(names: tuple[str, ...], sick: str, hosts: list[str]) -> None:
    etcd = Etcd(*names, sick=sick)
    with pytest.raises(Refusal, match="required: more than half of the remaining members healthy"):
        ensure_removed(etcd, nodes := Nodes(), {name: HOSTS[name] for name in hosts}, check_mode=False)
    assert etcd.removed == nodes.deleted == []


def test_a_learner_has_no_vote() -> None:
    etcd = Etcd("masternode", "second+", sick="second")
    assert majority(read_members(etcd.members(), etcd.health()))


def test_output_before_the_json_is_passed_over_and_other_output_is_an_error() -> None:
    etcd = Etcd("masternode")
    assert [one.name for one in read_members("warning\n" + etcd.members(), etcd.health())] == ["masternode"]
    for text in ("", "{}", '{"members": [{}]}', '{"members": 7}'):
        with pytest.raises(Refusal, match="etcdctl: found an answer that cannot be read"):
            read_members(text, etcd.health())


def test_only_control_plane_hosts_count() -> None:
    nodes = [{"name": "MasterNode", "address": "192.168.4.63", "role": "control_plane"}, {"name": "homelab", "role": "worker"}]
    assert control_planes(nodes) == {"masternode": ["192.168.4.63"]}
