# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which fields of objects are collected. Where people write secrets, the value is none of them, whatever it looks like."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.cluster import KINDS

Object = dict[str, Any]
# neither its form nor its name shows that it is a secret
SECRET = "letmein"
PICKS = {kind.kind: kind.pick for kind in KINDS}


def picked(document: Object) -> Object:
    return PICKS[document["kind"]](document)


def pod(**container: object) -> Object:
    return {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "web:1", **container}]}}


def annotated(kind: str) -> Object:
    return {"kind": kind, "metadata": {"name": "x", "annotations": {"a": SECRET, "b": json.dumps({"c": SECRET})}}}


def volume(**spec: object) -> Object:
    return {"kind": "PersistentVolume", "metadata": {"name": "p"}, "spec": spec}


HIDDEN: list[Object] = [
    pod(env=[{"name": "X", "value": SECRET}]),
    pod(args=["-p", SECRET]),
    pod(command=["sh", "-c", f"mysql -p{SECRET}"]),
    pod(lifecycle={"postStart": {"exec": {"command": ["sh", "-c", SECRET]}}}),
    pod(livenessProbe={"exec": {"command": ["curl", SECRET]}}),
    pod(readinessProbe={"httpGet": {"httpHeaders": [{"name": "X-Own", "value": SECRET}], "port": 80}}),
    pod(startupProbe={"httpGet": {"path": f"/health?own={SECRET}", "port": 80}}),
    *({**pod(), "spec": {place: [{"name": "i", "args": [SECRET]}]}} for place in ("initContainers", "ephemeralContainers")),
    {**pod(), "spec": {"volumes": [{"name": "v", "csi": {"driver": "d", "volumeAttributes": {"x": SECRET}}}]}},
    {**pod(), "spec": {"volumes": [{"name": "v", "flexVolume": {"driver": "d", "options": {"x": SECRET}}}]}},
    *(
        {"kind": kind, "metadata": {"name": "d"}, "spec": {"template": {**annotated("x"), **{"spec": pod(args=[SECRET])["spec"]}}}}
        for kind in ("DaemonSet", "Deployment", "ReplicaSet", "StatefulSet", "Job")
    ),
    *map(annotated, PICKS),
    {"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": SECRET}, "binaryData": {"b": SECRET}},
    volume(mountOptions=[f"x={SECRET}"], csi={"driver": "d", "volumeAttributes": {"x": SECRET}}),
    {"kind": "StorageClass", "metadata": {"name": "s"}, "parameters": {"x": SECRET}, "mountOptions": [SECRET]},
    *(
        {"kind": kind, "webhooks": [{"name": "w", "clientConfig": {"url": f"https://h/{SECRET}"}}]}
        for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
    ),
    {"kind": "CertificateSigningRequest", "metadata": {"name": "r"}, "spec": {"request": SECRET, "extra": {"x": [SECRET]}}},
    {"kind": "Node", "metadata": {"name": "n", "managedFields": [{"fieldsV1": {SECRET: {}}}]}},
]  # fmt: skip


@pytest.mark.parametrize("document", HIDDEN, ids=lambda document: document["kind"])
def test_a_value_that_may_be_secret_is_not_collected(document: Object) -> None:
    assert SECRET in json.dumps(document)
    assert SECRET not in json.dumps(picked(document))


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (pod(env=[{"name": "DB_PASSWORD", "value": "x"}, {"name": "B", "valueFrom": {}}]), pod(env=["DB_PASSWORD", "B"])),
        (
            pod(livenessProbe={"httpGet": {"path": "/healthz?x=1", "port": 80}, "periodSeconds": 5}, ports=[{"containerPort": 80}]),
            pod(livenessProbe={"httpGet": {"path": "/healthz", "port": 80}, "periodSeconds": 5}, ports=[{"containerPort": 80}]),
        ),
        ({**pod(), "status": {"phase": "Running"}}, {**pod(), "status": {"phase": "Running"}}),
        (
            {**pod(), "spec": {"volumes": [{"name": "v", "secret": {"secretName": "s", "items": []}}, {"hostPath": {"path": "/x"}}]}},
            {**pod(), "spec": {"volumes": [{"name": "v", "secret": {"secretName": "s"}}, {"hostPath": {"path": "/x"}}]}},
        ),
        (volume(nfs={"server": "192.168.4.61", "path": "/media"}), volume(nfs={"server": "192.168.4.61", "path": "/media"})),
        (
            {"kind": "ConfigMap", "metadata": {"name": "coredns"}, "data": {"Corefile": "x"}},
            {"kind": "ConfigMap", "metadata": {"name": "coredns"}, "data": ["Corefile"]},
        ),
        (
            {"kind": "BGPPeer", "metadata": {"name": "x"}, "spec": {"peerIP": "192.168.4.1", "asNumber": 64512}},
            {"kind": "BGPPeer", "metadata": {"name": "x"}, "spec": {"peerIP": "192.168.4.1", "asNumber": 64512}},
        ),
        (
            {"kind": "EndpointSlice", "addressType": "IPv4", "endpoints": [{"addresses": ["10.244.1.2"]}], "ports": [{"port": 53}]},
            {"kind": "EndpointSlice", "addressType": "IPv4", "endpoints": [{"addresses": ["10.244.1.2"]}], "ports": [{"port": 53}]},
        ),
        ({"kind": "Service", "metadata": {"name": "s"}, "spec": None}, {"kind": "Service", "metadata": {"name": "s"}, "spec": None}),
    ],
)  # fmt: skip
def test_what_a_helper_needs_is_collected(document: Object, expected: Object) -> None:
    before = json.dumps(document)
    assert picked(document) == expected
    assert json.dumps(document) == before
