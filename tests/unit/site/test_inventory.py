# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an inventory lacks, as a table."""

from __future__ import annotations

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._site.hosts import inventory_errors

CONTROL, FIRST, SECOND, STORE, HERE = "control", "first", "second", "store", "localhost"
ALL = [CONTROL, FIRST, SECOND, STORE, HERE]
GROUPS = {"all": ALL[:4], "ungrouped": [], "control_plane": [CONTROL], "workers": [FIRST, SECOND], "nas": [STORE]}
ALONE = {"all": [CONTROL], "ungrouped": [], "control_plane": [CONTROL]}
PLAN = {"network_plan": {}}


@pytest.mark.parametrize(
    ("groups", "playing", "acts_on", "found"),
    [
        pytest.param(GROUPS, ALL, ["control_plane", "workers"], None, id="all is there"),
        pytest.param(GROUPS, [FIRST], ["control_plane", "workers"], None, id="a limit that leaves a worker"),
        pytest.param(GROUPS, [FIRST, HERE], ["control_plane", "workers", "localhost"], None, id="a limit with the controller"),
        pytest.param(GROUPS, [HERE], ["control_plane", "workers", "localhost"], None, id="the controller will do"),
        pytest.param(ALONE, [CONTROL, HERE], ["control_plane", "workers"], None, id="one host alone"),
        pytest.param({**GROUPS, "workers": []}, ALL, ["control_plane", "workers"], None, id="no workers, said by an empty group"),
        pytest.param(
            {"all": [], "ungrouped": []}, [HERE], ["control_plane"],
            "no host in the group control_plane (no group has hosts)", id="no inventory",
        ),
        pytest.param(
            {**GROUPS, "control_plane": []}, ALL, ["control_plane", "workers"],
            "no host in the group control_plane (groups with hosts: nas, workers)", id="an empty control plane",
        ),
        pytest.param(
            ALONE, [CONTROL, HERE], ["workers"],
            "no host in the group workers (groups with hosts: control_plane)", id="workers wanted",
        ),
        pytest.param(
            {"all": ALL[:4], "control_plane": [CONTROL], "agents": [FIRST, SECOND, STORE]}, ALL, ["control_plane", "workers"],
            "no group workers, and outside the group control_plane first, second, store", id="workers by another name",
        ),
        pytest.param(GROUPS, [STORE], ["control_plane", "workers"], "store", id="a limit outside the cluster"),
        pytest.param(GROUPS, [HERE], ["control_plane", "workers"], "localhost", id="a limit to the controller that has nothing to do"),
        pytest.param(GROUPS, [FIRST], ["control_plane"], "first", id="a limit without the control plane"),
    ],
)  # fmt: skip
def test_hosts(groups: dict[str, list[str]], playing: list[str], acts_on: list[str], found: str | None) -> None:
    errors = inventory_errors(dict.fromkeys(ALL, PLAN), groups, playing, acts_on, variables=["network_plan"])
    assert [error.partition(": found ")[2].partition("; required: ")[0] for error in errors] == ([found] if found else [])


def test_a_playbook_for_one_control_plane_rejects_several_by_name() -> None:
    three = {**GROUPS, "control_plane": [CONTROL, FIRST, SECOND], "workers": [STORE]}
    seen = dict.fromkeys(ALL, PLAN)
    assert inventory_errors(seen, three, ALL) == inventory_errors(seen, GROUPS, ALL, alone="upgrade.yml") == []
    (error,) = inventory_errors(seen, three, ALL, alone="upgrade.yml")
    assert error.startswith("group control_plane: found control, first, second; required: one host, because upgrade.yml does not support")
    assert "`Without upgrade.yml`" in error


@pytest.mark.parametrize(
    ("unset", "playing", "known", "found"),
    [
        ({}, ALL, [], []),
        ({FIRST: ["cluster_name"]}, ALL, [], ["cluster_name: found no value for first;"]),
        ({FIRST: ["cluster_name"]}, [CONTROL], [], []),
        ({FIRST: ["cluster_name"]}, ALL, ["cluster_name"], []),
        ({STORE: ["cluster_name"]}, ALL, [], []),
        (
            {CONTROL: ["cluster_name", "network_plan"], FIRST: ["cluster_name", "network_plan"]},
            ALL,
            [],
            ["cluster_name, network_plan: found no value for control, first;"],
        ),
        (
            {CONTROL: ["cluster_name"], FIRST: ["network_plan"]},
            ALL,
            [],
            ["cluster_name: found no value for control;", "network_plan: found no value for first;"],
        ),
        ({HERE: ["cluster_name"]}, ALL, [], ["cluster_name: found no value for localhost;"]),
    ],
)
def test_variables(unset: dict[str, list[str]], playing: list[str], known: list[str], found: list[str]) -> None:
    values = {"network_plan": {}, "cluster_name": "mine"}
    hostvars = {host: {name: value for name, value in values.items() if name not in unset.get(host, [])} for host in ALL}
    errors = inventory_errors(hostvars, GROUPS, playing, ["control_plane", "workers", "localhost"], variables=list(values), known=known)
    assert [error.partition(" required: ")[0] for error in errors] == found


@pytest.mark.parametrize(
    ("skip", "found"),
    [
        ([], []),
        (["monitoring", "jellyfin"], []),
        (["monitorng", "jellyfin"], ["site_skip: found 'monitorng'; required: only monitoring and jellyfin."]),
        (["dns", 7], ["site_skip: found 'dns', 7; required: only monitoring and jellyfin."]),
        ("jellyfin", ["site_skip: found 'jellyfin'; required: a list of monitoring and jellyfin."]),
        ({"jellyfin": True}, ["site_skip: found {'jellyfin': True}; required: a list of monitoring and jellyfin."]),
        (None, ["site_skip: found None; required: a list of monitoring and jellyfin."]),
    ],
)
def test_stages_to_skip(skip: object, found: list[str]) -> None:
    errors = inventory_errors(dict.fromkeys(ALL, PLAN), GROUPS, ALL, skip=skip)
    assert [error[: len(start)] for error, start in zip(errors, found, strict=True)] == found


@pytest.mark.parametrize(
    ("names", "found", "listed"),
    [
        ([], None, None),
        ([FIRST, SECOND], None, None),
        # `-e sleep_hosts=first`
        (FIRST, "'first'", '["first"]'),
        ("first, second,", "'first, second,'", '["first", "second"]'),
        ("", "''", '["HOST"]'),
        (None, "None", '["HOST"]'),
        ([FIRST, 7], "['first', 7]", '["HOST"]'),
        ({FIRST: True}, "{'first': True}", '["HOST"]'),
    ],
)
def test_names_of_hosts_are_a_list(names: object, found: str | None, listed: str | None) -> None:
    errors = inventory_errors(dict.fromkeys(ALL, PLAN), GROUPS, ALL, names={"sleep_hosts": names})
    shown = (listed or "").replace('"', "")
    assert errors == (
        [
            f"sleep_hosts: found {found}; required: a list of host names. Write a list, such as sleep_hosts: {shown}. "
            f"On the command line: -e '{{\"sleep_hosts\": {listed}}}'."
        ]
        if found
        else []
    )


def test_labels_and_taints_of_nodes_are_validated_before_any_host_is_reached() -> None:
    wrong = {"node_labels": {"vmstation.cluster/sleeps": "true"}, "node_taints": [{"key": "gpu", "effect": "NoSchedul"}]}
    hostvars = {CONTROL: {**PLAN, "node_labels": {"disk": "ssd"}}, FIRST: {**PLAN, **wrong}, SECOND: {**PLAN, **wrong}}
    label, taint = inventory_errors(hostvars, GROUPS, ALL, variables=["network_plan"])
    assert label.startswith(
        "node_labels, key vmstation.cluster/sleeps, of first, second: found vmstation.cluster/sleeps, of the collection"
    )
    assert taint.startswith("node_taints[0].effect, of first, second: found 'NoSchedul'; required: one of NoSchedule, PreferNoSchedule, ")
    assert inventory_errors(hostvars, GROUPS, [CONTROL], variables=["network_plan"]) == []


def test_a_host_without_an_address_is_named() -> None:
    hostvars = {CONTROL: {"ansible_host": "192.168.4.63"}, FIRST: {"address": ["192.168.4.61"]}, SECOND: {}, HERE: {}}
    (error,) = inventory_errors(hostvars, GROUPS, ALL, ["control_plane", "workers", "localhost"], variables=["address"])
    assert error.startswith("address: found no value for second; required: the IP address of every host. Set ansible_host ")


TAINT = {"key": "gpu", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("tainted", "taint", "values", "skip", "subjects"),
    [
        (CONTROL, TAINT, {}, [], ["monitoring_host control"]),
        (FIRST, TAINT, {}, [], ["jellyfin_host first"]),
        (SECOND, TAINT, {}, [], []),
        (SECOND, TAINT, {"jellyfin_host": SECOND}, [], ["jellyfin_host second"]),
        (FIRST, TAINT, {"jellyfin_host": SECOND}, [], []),
        (FIRST, TAINT, {}, ["jellyfin"], []),
        (FIRST, TAINT, {"jellyfin_state": "absent"}, [], []),
        (FIRST, {**TAINT, "effect": "PreferNoSchedule"}, {}, [], []),
        (FIRST, "gpu", {}, [], ["node_taints[0], of first"]),
    ],
)
def test_a_taint_that_keeps_pods_away_is_found(
    tainted: str, taint: object, values: dict[str, str], skip: list[str], subjects: list[str]
) -> None:
    hostvars = {host: {**PLAN, **values, "node_taints": [taint] if host == tainted else []} for host in ALL}
    errors = inventory_errors(hostvars, GROUPS, ALL, variables=["network_plan"], skip=skip)
    assert [error.partition(": found ")[0] for error in errors] == subjects


def test_many_hosts_are_counted() -> None:
    names = [f"worker{number}" for number in range(300)]
    groups = {"all": [CONTROL, *names], "control_plane": [CONTROL], "workers": names}
    (error,) = inventory_errors({name: {} for name in groups["all"]}, groups, [CONTROL, *names], variables=["network_plan"])
    assert "for control, worker0, worker1, worker2, worker3 and 296 more;" in error


def test_what_is_no_inventory_is_refused() -> None:
    with pytest.raises(Refusal, match="inventory_errors: found str and dict"):
        inventory_errors("hostvars", {}, [])
