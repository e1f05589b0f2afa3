# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of Calico: from which version of its API, in how many lists, and what each object says."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._calico import survey
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.documents import API_VERSION
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.facts import Block, bgp_peer_of, block_of, moment, plain, status_of
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Unavailable

from tests.unit.calico.clusters import World, WorldReader, block, status

V3 = "projectcalico.org/v3"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("192.168.4.62/24", "192.168.4.62"),
        ("192.168.4.62:179", "192.168.4.62"),
        ("[fd00:4::1]:179", "fd00:4::1"),
        ("fd00:4:0::1/64", "fd00:4::1"),
        ("router", "router"),
        ("", ""),
    ],
)
def test_addresses_take_one_form(written: str, read: str) -> None:
    assert plain(written) == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-11-23T06:41:00Z", datetime(2026, 11, 23, 6, 41, tzinfo=timezone.utc)),
        ("2026-11-23T07:41:00+01:00", datetime(2026, 11, 23, 6, 41, tzinfo=timezone.utc)),
        ("2026-11-23T06:41:00", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_times_that_are_none_are_unknown(written: object, read: datetime | None) -> None:
    assert moment(written) == read


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({}, True),
        ({"deleted": "true"}, False),
        ({"deleted": True}, False),
        ({"deleted": False}, True),
        ({"type": "host"}, True),
        ({"type": "virtual"}, False),
    ],
)
def test_blocks_of_nodes_count_that_are_not_given_up(changes: dict[str, Any], counts: bool) -> None:
    assert (block_of(block("homelab", "10.244.9.0/26", **changes)) == Block("10.244.9.0/26", "homelab", "confirmed")) == counts


@pytest.mark.parametrize(
    ("spec", "derivable"),
    [
        ({"peerIP": "192.168.4.1"}, True),
        ({"peerIP": "192.168.4.1", "node": "homelab"}, True),
        ({"peerIP": "192.168.4.1", "nodeSelector": "all()"}, True),
        ({"peerIP": "192.168.4.1", "nodeSelector": "rack == 'a'"}, False),
        ({"peerSelector": "rr == 'true'"}, False),
    ],
)
def test_selectors_hide_whom_a_peer_joins(spec: dict[str, Any], derivable: bool) -> None:
    assert bgp_peer_of({"metadata": {"name": "p"}, "spec": spec}).is_derivable is derivable


def test_a_status_keeps_the_sessions_of_both_families() -> None:
    one = status("homelab", {"192.168.4.61": "Established", "192.168.4.63": "Active"})
    one["status"]["bgp"]["peersV6"] = [{"peerIP": "fd00:4::1", "state": "Established"}]
    read = status_of(one)
    assert read.established == {"192.168.4.61", "fd00:4::1"}
    assert {peer: session.state for peer, session in read.others.items()} == {"192.168.4.63": "Active"}


@pytest.mark.parametrize("count", [3, 300])
def test_the_number_of_lists_does_not_grow_with_the_nodes(count: int) -> None:
    reader = WorldReader(World({f"n{number}": f"10.0.{number >> 8}.{number & 255}" for number in range(count)}))
    survey.look(reader)
    assert len(reader.listed) == len(set(reader.listed)) == 9


@pytest.mark.parametrize("version", [V3, API_VERSION])
def test_calico_is_read_in_the_version_that_is_served(version: str) -> None:
    reader = WorldReader(World(), version=version)
    facts = survey.look(reader)
    assert (facts.api_version, facts.status_version) == (version, version)
    assert f"{version} IPPool" in reader.listed


def test_without_calico_nothing_of_it_is_asked() -> None:
    reader = WorldReader(World(), version="")
    assert survey.look(reader).api_version == ""
    assert sorted(reader.listed) == ["apps/v1 DaemonSet", "v1 Node", "v1 Pod"]


class _HalfDown(WorldReader):
    """An API server whose aggregated one does not answer. down: the versions of which nothing is said."""

    down: tuple[str, ...] = (V3,)

    def serves(self, api_version: str, kind: str) -> bool:
        if api_version in self.down:
            raise Unavailable(f"kinds of {api_version}", "HTTP status 503", "HTTP status 200", "Wait a moment.")
        return super().serves(api_version, kind)


def test_an_aggregated_server_that_is_down_is_told_of_and_gone_round() -> None:
    facts = survey.look(_HalfDown(World()))
    assert facts.api_version == API_VERSION
    assert facts.pools
    assert ["projectcalico.org/v3" in str(refusal) for refusal in facts.unknown] == [True]


def test_a_server_that_answers_nothing_ends_the_look() -> None:
    reader = _HalfDown(World())
    reader.down = (V3, API_VERSION)
    with pytest.raises(Unavailable, match="HTTP status 503"):
        survey.look(reader)


def test_of_two_statuses_of_a_node_that_with_bgp_counts() -> None:
    world = World()
    world.put("CalicoNodeStatus", {**status("homelab", {}), "metadata": {"name": "other"}})
    world.objects["CalicoNodeStatus"]["other"]["spec"]["classes"] = ["Agent"]
    facts = survey.look(WorldReader(world))
    assert facts.statuses is not None
    assert facts.statuses["homelab"].name == "homelab"
    assert facts.status_names == {"masternode", "storagenodet3500", "homelab", "other"}


def test_the_facts_say_what_they_do_not_know() -> None:
    told = survey.as_data(survey.look(WorldReader(World(), forbidden="CalicoNodeStatus")))
    assert [node["bgp"] for node in told["nodes"]] == [None, None, None]
    assert "the permission to list CalicoNodeStatus" in told["unknown"][0]
