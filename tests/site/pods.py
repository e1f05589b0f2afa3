# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pod on each node that answers HTTP with its node's name, behind a Service with a NodePort."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.cluster.busybox import NAME as BUSYBOX
from tests.site.whole_site import Site

NODE_PORT = 31234
PORT = 8080


def pod_name(node: str) -> str:
    return f"probe-{node}"


def _pod(node: str) -> dict[str, Any]:
    serve = f"echo {node} > /tmp/index.html; exec httpd -f -p {PORT} -h /tmp"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod_name(node), "labels": {"app": "probe"}},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "tolerations": [{"operator": "Exists"}],
            "containers": [
                {
                    "name": "probe",
                    "image": BUSYBOX,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", serve],
                    "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
                }
            ],
        },
    }


SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "probe"},
    "spec": {
        "type": "NodePort",
        "selector": {"app": "probe"},
        "ports": [{"port": 80, "targetPort": PORT, "nodePort": NODE_PORT}],
    },
}


def start(site: Site, nodes: Sequence[str]) -> None:
    """Place the pods and the Service; back when all of them are Ready."""
    documents = {"apiVersion": "v1", "kind": "List", "items": [SERVICE, *map(_pod, nodes)]}
    site.kubectl("apply", "-f", "-", stdin=json.dumps(documents))
    site.kubectl("wait", "--for=condition=Ready", "pod", "-l", "app=probe", "--timeout=90s", timeout=100)


@contextmanager
def one_in(site: Site, namespace: str, node: str) -> Iterator[str]:
    """The name of a pod in a namespace of others, with the policies of that."""
    pod, name = _pod(node), pod_name(node)
    pod["metadata"]["namespace"] = namespace
    site.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    try:
        site.kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod", name, "--timeout=90s", timeout=100)
        yield name
    finally:
        site.kubectl("delete", "pod", "-n", namespace, name, "--ignore-not-found", "--grace-period=0", "--force")


def remove(site: Site) -> None:
    site.kubectl("delete", "service", "probe", "--ignore-not-found")
    site.kubectl("delete", "pod", "-l", "app=probe", "--ignore-not-found", "--grace-period=0", "--force")


def addresses(site: Site) -> dict[str, str]:
    """The pods' own addresses by node."""
    return {pod["spec"]["nodeName"]: pod["status"]["podIP"] for pod in site.objects("pods", "-l", "app=probe")}
