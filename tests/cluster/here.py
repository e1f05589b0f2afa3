# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Service of a test cluster that leads to a program on this machine."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.cluster.server import Cluster


def own_address() -> str:
    """The API server forwards to no loopback address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.connect(("203.0.113.1", 9))
        return str(asked.getsockname()[0])


@contextmanager
def service_to_here(cluster: Cluster, namespace: str, name: str, port: int) -> Iterator[None]:
    """A Service with a port named http. The API server forwards only to addresses of Pods, so one has this machine's."""
    ports = [{"name": "http", "port": port, "protocol": "TCP"}]
    metadata = {"name": name, "namespace": namespace}
    pod = {"kind": "Pod", "namespace": namespace, "name": name}
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {**metadata, "name": "default"}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [{"name": name, "image": "none"}]}},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports}},
        {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": metadata,
            "subsets": [{"addresses": [{"ip": own_address(), "targetRef": pod}], "ports": ports}],
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [own_address()], "conditions": {"ready": True}, "targetRef": pod}],
            "ports": ports,
        },
    ]
    for one in objects:
        cluster.kubectl("apply", "--filename=-", stdin=json.dumps(one))
    status = {"status": {"podIP": own_address(), "podIPs": [{"ip": own_address()}]}}
    at = ("pod", name, f"--namespace={namespace}")
    cluster.kubectl("patch", *at, "--subresource=status", "--type=merge", f"--patch={json.dumps(status)}")
    try:
        yield
    finally:
        cluster.kubectl("delete", "service,pod", name, f"--namespace={namespace}", "--grace-period=0", "--force")
