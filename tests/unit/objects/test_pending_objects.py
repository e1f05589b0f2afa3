# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which objects are still to be applied, from what is there and what applying would leave."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.api import Preview
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.objects import differs, objects_of, pending
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

OURS, CONTROLLER = "vmstation", "kube-controller-manager"
LIVE: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {
        "name": "coredns",
        "resourceVersion": "7",
        "generation": 1,
        "annotations": {"deployment.kubernetes.io/revision": "1"},
        "managedFields": [
            {"manager": OURS, "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": CONTROLLER, "operation": "Update", "fieldsV1": {"f:status": {}}},
        ],
    },
    "spec": {"replicas": 2, "paused": False},
    "status": {"readyReplicas": 1},
}


def applied(path: str, value: object) -> Preview:
    """What applying would leave: LIVE with one other value."""
    left = deepcopy(LIVE)
    *parents, last = path.split("/")
    at: Any = left
    for key in parents:
        at = at[int(key)] if isinstance(at, list) else at[key]
    at[int(last) if isinstance(at, list) else last] = value
    return Preview(LIVE, left)


@pytest.mark.parametrize(
    ("preview", "expected"),
    [
        (Preview(LIVE, LIVE), False),
        (applied("status/readyReplicas", 2), False),
        (applied("metadata/resourceVersion", "8"), False),
        (applied("metadata/annotations", {"deployment.kubernetes.io/revision": "2"}), False),
        (applied("metadata/managedFields/1/fieldsV1", {}), False),
        (applied("spec/replicas", 1), True),
        (applied("metadata/labels", {"a": "b"}), True),
        (applied("metadata/managedFields/0/fieldsV1", {"f:spec": {}}), True),
        (Preview(LIVE, None), True),
        (Preview(), True),
    ],
    ids=[
        "the same", "status", "resource version", "revision", "fields of a controller",
        "a field", "a label", "which fields are ours", "rejected", "absent",
    ],
)  # fmt: skip
def test_what_controllers_write_is_no_difference(preview: Preview, expected: bool) -> None:
    assert differs(preview, OURS) is expected


class Cluster:
    def preview(self, documents: list[dict[str, Any]], manager: str) -> list[Preview]:
        return [Preview(LIVE, LIVE) if one["metadata"]["name"] == "same" else Preview() for one in documents]


def named(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


def test_the_order_stays() -> None:
    documents = [named("b"), named("same"), named("a")]
    assert pending(documents, Cluster(), OURS) == [documents[0], documents[2]]


@pytest.mark.parametrize("document", ["a text", {}, {"kind": "ConfigMap"}, {**named("a"), "metadata": None}])
def test_what_is_no_object_is_named(document: Any) -> None:
    with pytest.raises(Refusal, match=r"objects\[1\]: found no Kubernetes object"):
        pending([named("a"), document], Cluster(), OURS)


def test_texts_in_yaml_are_read_in_their_order() -> None:
    one, two, three = ({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in "abc")
    texts = [f"---\n{json.dumps(one)}\n---\n# nothing\n---\n{json.dumps(two)}\n", json.dumps(three), ""]
    assert objects_of(texts) == [one, two, three]


def test_a_text_that_is_no_yaml_is_named_by_its_position() -> None:
    with pytest.raises(Refusal, match=r"manifests\[1\]: found .*line 1.*; required: a text in YAML"):
        objects_of(["{}", "a: [b"])
