# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What applying has changed, in lines."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.filter.object_changes import object_changes


def result(before: dict[str, Any], after: dict[str, Any], changed: bool = True) -> dict[str, Any]:
    resource = {"kind": "DaemonSet", "metadata": {"namespace": "kube-system", "name": "calico-node"}}
    return {"changed": changed, "result": resource, "diff": {"before": before, "after": after}, "method": "apply"}


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ({"spec": {"a": 1}}, {"spec": {"a": 2}}, ["spec.a: 1 -> 2"]),
        (
            {"spec": {"env": [{"name": "IP", "value": "none"}, {"name": "B", "value": "b"}]}},
            {"spec": {"env": [{"name": "B", "value": "b"}, {"name": "IP", "value": "autodetect"}]}},
            ['spec.env.IP.value: "none" -> "autodetect"'],
        ),
        ({"spec": {"command": ["x", "y"]}}, {"spec": {"command": ["x"]}}, ['spec.command.1: "y" -> nothing']),
        ({"spec": {"a": 1}}, {"spec": {"b": {"c": 1}}}, ["spec.a: 1 -> nothing", 'spec.b: nothing -> {"c": 1}']),
        ({"data": {"t": "x" * 200}}, {"data": {"t": ""}}, [f'data.t: "{"x" * 119}... -> ""']),
        ({"data": {"t": "a\nb\nc\n"}}, {"data": {"t": "a\nB\nc\nd\n"}}, ["data.t: - b", "data.t: + B", "data.t: + d"]),
        # a change that no line shows is still one
        ({"data": {"t": "a\nb\n"}}, {"data": {"t": "a\nb"}}, ['data.t: "a\\nb\\n" -> "a\\nb"']),
        ({"metadata": {"labels": {"a": "b"}}}, {"metadata": {"labels": {"a": "c"}}}, ['metadata.labels.a: "b" -> "c"']),
        # what controllers write meanwhile
        ({"metadata": {"annotations": {"deployment.kubernetes.io/revision": "1"}}}, {"metadata": {"annotations": {}}}, []),
        ({"status": {"numberReady": 1}}, {"status": {"numberReady": 2}}, []),
        ({"metadata": {"resourceVersion": "1", "managedFields": []}}, {"metadata": {"resourceVersion": "2", "managedFields": [1]}}, []),
    ],
)
def test_each_field_that_changed_has_a_line(before: dict[str, Any], after: dict[str, Any], lines: list[str]) -> None:
    wanted = [f"DaemonSet kube-system/calico-node: {line}" for line in lines]
    one = result(before, after)
    assert object_changes(one) == wanted
    assert object_changes({"changed": True, "result": {"results": [one, result({}, {}, changed=False)]}}) == wanted


def test_new_objects_are_named_by_kind() -> None:
    every = [result({}, {"kind": "DaemonSet"}), result({"spec": {"a": 1}}, {"spec": {"a": 2}}), result({}, {"kind": "DaemonSet"})]
    assert object_changes({"changed": True, "result": {"results": every}}) == [
        "DaemonSet, made: kube-system/calico-node, kube-system/calico-node",
        "DaemonSet kube-system/calico-node: spec.a: 1 -> 2",
    ]


def test_many_fields_of_one_object_are_counted() -> None:
    lines = object_changes(result({"spec": {str(at): 0 for at in range(20)}}, {"spec": {str(at): 1 for at in range(20)}}))
    assert (len(lines), lines[-1]) == (9, "DaemonSet kube-system/calico-node: 12 more")


def test_an_image_comes_before_the_variables_of_its_container() -> None:
    variables = [{"name": f"V{at}", "value": "x"} for at in range(9)]
    before = {"spec": {"containers": [{"name": "node", "env": variables, "image": "a"}]}}
    after = {"spec": {"containers": [{"name": "node", "env": variables[:1], "image": "b"}]}}
    assert object_changes(result(before, after))[0] == 'DaemonSet kube-system/calico-node: spec.containers.node.image: "a" -> "b"'


def test_without_a_diff_the_object_is_named() -> None:
    one = {key: value for key, value in result({}, {}).items() if key != "diff"}
    assert object_changes(one) == ["DaemonSet kube-system/calico-node: changed"]


def test_a_failure_speaks_for_itself() -> None:
    assert object_changes({"failed": True, "msg": "no route to host"}) == []


def test_a_skipped_task_has_changed_nothing() -> None:
    assert object_changes({"skipped": True, "changed": False, "false_condition": "x"}) == []


@pytest.mark.parametrize("what", ["text", {}, {"msg": "failed"}])
def test_what_is_no_result_is_refused(what: object) -> None:
    with pytest.raises(AnsibleFilterError, match="object_changes: found"):
        object_changes(what)
