# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nodes get Prometheus' token, and what it is good for: a real Prometheus with the role's configuration and account, and devices
with certificates of their own.

The controller manager sets the Pods of a node that is not ready to not ready. Here the Pods' status is set; tests/site shows both.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.guard import CORDONED_BY, US

from tests.cluster.build import build
from tests.cluster.configuration import configuration, manifests
from tests.cluster.server import Cluster
from tests.lab.cache import CHECKOUT
from tests.lab.say import LabError, mortal, quietly

pytest.importorskip("kubernetes")

LOOPBACK = "127.0.0.1"
TOKEN = "the-token-of-prometheus"
MASTER = "master"
# by node: its address, and the change after which it may not be asked any more
ADDRESSES = {name: f"127.0.61.{number}" for number, name in enumerate((MASTER, "steady", "silent", "slept", "idle", "upgraded"), 1)}
PORTS = {MASTER: (10250, 10257, 10259)}
LEFT_ALONE = {"silent", "slept", "idle"}
REASONS = {"slept": "sleep", "idle": US, "upgraded": "upgrade"}
PATIENCE = 60.0  # seconds


class Device:
    """It answers on a node's port with a certificate that it has made itself, and notes which tokens it is given."""

    def __init__(self, address: str, port: int, certificate: Path) -> None:
        self.tokens: list[str] = []
        device = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                device.tokens.append(self.headers.get("Authorization", ""))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer((address, port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        # a handshake belongs to the thread of its connection: one that never ends must not keep the others waiting
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Prometheus:
    """With the role's configuration and account, but for where the API server and the token are, and how often it asks."""

    def __init__(self, cluster: Cluster, directory: Path, token: str = TOKEN, authority: Path | None = None) -> None:
        (directory / "token").write_text(token)
        wanted = yaml.safe_load(configuration("prometheus.yml", verified=authority is not None))
        wanted["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s"}
        wanted["scrape_configs"] = [one for one in wanted["scrape_configs"] if one["job_name"] != "apiserver"]
        for job in wanted["scrape_configs"]:
            for discovery in job["kubernetes_sd_configs"]:
                discovery["kubeconfig_file"] = str(account(cluster, directory))
            if authority and "tls_config" in job:
                assert job["tls_config"] == {"ca_file": "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"}
                job["tls_config"] = {"ca_file": str(authority)}
            if "authorization" in job:
                job["authorization"] = {"credentials_file": str(directory / "token")}
        (directory / "prometheus.yml").write_text(yaml.safe_dump(wanted))
        with socket.create_server((LOOPBACK, 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://{LOOPBACK}:{port}/api/v1/targets?state=active"
        argv = [str(build(["prometheus"])[0]), f"--config.file={directory / 'prometheus.yml'}", f"--web.listen-address={LOOPBACK}:{port}"]
        with (directory / "log").open("wb") as log:
            self.process = subprocess.Popen(mortal([*argv, f"--storage.tsdb.path={directory / 'data'}"]), stdout=log, stderr=log)

    def asked(self, *jobs: str) -> set[str]:
        """The nodes that have targets of these jobs."""
        try:
            with urllib.request.urlopen(self.url, timeout=5) as answer:
                targets: list[dict[str, Any]] = json.load(answer)["data"]["activeTargets"]
        except OSError:
            return set()
        return {one["labels"]["node"] for one in targets if one["labels"]["job"] in jobs}

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def account(cluster: Cluster, directory: Path) -> Path:
    """A kubeconfig of the role's account."""
    cluster.kubectl("apply", "--filename=-", stdin='{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "monitoring"}}')
    cluster.kubectl("apply", "--filename=-", stdin=manifests("accounts.yaml"))
    config = json.loads(cluster.kubectl("config", "view", "--raw", "--output=json").stdout)
    config["users"][0]["user"] = {"token": cluster.kubectl("create", "token", "prometheus", "--namespace=monitoring").stdout.strip()}
    path = directory / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


class Scene:
    def __init__(self, cluster: Cluster, prometheus: Prometheus, devices: dict[str, list[Device]]) -> None:
        self.cluster = cluster
        self.prometheus = prometheus
        self.devices = devices

    def nodes_with_the_token(self) -> set[str]:
        """Those of which every device has got it."""
        return {node for node, devices in self.devices.items() if all(f"Bearer {TOKEN}" in one.tokens for one in devices)}

    def patch(self, *argv: str, **what: object) -> None:
        self.cluster.kubectl("patch", *argv, "--type=merge", f"--patch={json.dumps(what)}")

    def set_ready(self, node: str, ready: bool) -> None:
        condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-01-01T00:00:00Z"}
        address = ADDRESSES[node]
        status = {"phase": "Running", "hostIP": address, "podIP": address, "podIPs": [{"ip": address}], "conditions": [condition]}
        self.patch("pod", f"kube-proxy-{node}", "--namespace=kube-system", "--subresource=status", status=status)


def make_node(cluster: Cluster, name: str) -> None:
    labels = {"kubernetes.io/hostname": name, **({"node-role.kubernetes.io/control-plane": ""} if name == MASTER else {})}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"kube-proxy-{name}", "namespace": "kube-system", "labels": {"k8s-app": "kube-proxy"}},
        "spec": {
            "nodeName": name,
            "hostNetwork": True,
            "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "kube-proxy", "image": "kube-proxy"}],
        },
    }
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
    cluster.kubectl("create", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [node, pod]}))
    reached_at = {
        "addresses": [{"type": "InternalIP", "address": ADDRESSES[name]}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
    }
    cluster.kubectl("patch", "node", name, "--subresource=status", "--type=merge", f"--patch={json.dumps({'status': reached_at})}")


@pytest.fixture(scope="module")
def scene(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    directory = tmp_path_factory.mktemp("prometheus")
    certificate = directory / "device.pem"
    quietly(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=device", "-days", "1",
         "-keyout", str(certificate), "-out", str(directory / "only.pem")]
    )  # fmt: skip
    certificate.write_text(certificate.read_text() + (directory / "only.pem").read_text())
    with ExitStack() as stack:
        devices = {name: [Device(address, port, certificate) for port in PORTS.get(name, (10250,))] for name, address in ADDRESSES.items()}
        for device in (one for some in devices.values() for one in some):
            stack.callback(device.close)
        for name in ADDRESSES:
            make_node(cluster, name)
            stack.callback(cluster.kubectl, "delete", "node", name)
            stack.callback(cluster.kubectl, "delete", "pod", f"kube-proxy-{name}", "--namespace=kube-system", "--force")
        prometheus = Prometheus(cluster, directory)
        stack.callback(prometheus.close)
        made = Scene(cluster, prometheus, devices)
        for name in ADDRESSES:
            made.set_ready(name, True)
        yield made


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"waited {PATIENCE:.0f} s in vain for {what}")
        time.sleep(0.2)


def test_a_node_that_is_not_ready_or_put_to_sleep_gets_no_token(scene: Scene) -> None:
    wait_for("every ready node to get the token", lambda: scene.nodes_with_the_token() == ADDRESSES.keys())
    scene.set_ready("silent", False)
    for node, reason in REASONS.items():
        scene.patch("node", node, metadata={"annotations": {CORDONED_BY: reason}}, spec={"unschedulable": True})
    others = ADDRESSES.keys() - LEFT_ALONE
    with_token = ("cadvisor", "kubelet", "kube-controller-manager", "kube-scheduler")
    wait_for(f"{', '.join(sorted(LEFT_ALONE))} to be left alone", lambda: scene.prometheus.asked(*with_token) == others)
    # by what needs no token, it is still seen that they are down
    assert scene.prometheus.asked("node-exporter") == ADDRESSES.keys()
    # what was on its way has come
    time.sleep(1.5)
    for device in (one for some in scene.devices.values() for one in some):
        device.tokens.clear()
    time.sleep(3)
    assert scene.nodes_with_the_token() == others
    assert {name for name, devices in scene.devices.items() if any(one.tokens for one in devices)} == others


def test_a_node_that_is_ready_again_is_asked_again(scene: Scene) -> None:
    scene.set_ready("silent", True)
    wait_for("it to be asked", lambda: "silent" in scene.nodes_with_the_token())


def test_with_certificates_of_the_cluster_only_what_proves_its_address_gets_the_token(
    scene: Scene, cluster: Cluster, tmp_path: Path
) -> None:
    assert "insecure_skip_verify" not in configuration("prometheus.yml", verified=True)
    authority = made_certificate(tmp_path, "authority")
    with ExitStack() as stack:
        devices = {}
        for name, address, proven in (("proven", "127.0.61.21", "127.0.61.21"), ("liar", "127.0.61.22", "127.0.61.21")):
            devices[name] = Device(address, 10250, made_certificate(tmp_path, name, authority, proven))
            stack.callback(devices[name].close)
            ADDRESSES[name] = address
            stack.callback(ADDRESSES.pop, name)
            make_node(cluster, name)
            stack.callback(cluster.kubectl, "delete", "node", name)
            stack.callback(cluster.kubectl, "delete", "pod", f"kube-proxy-{name}", "--namespace=kube-system", "--force")
            scene.set_ready(name, True)
        stack.callback(Prometheus(cluster, tmp_path, "another", authority).close)
        wait_for("the proven node to get the token", lambda: "Bearer another" in devices["proven"].tokens)
        time.sleep(3)
        every = [*(one for some in scene.devices.values() for one in some), devices["liar"]]
        assert [device for device in every if "Bearer another" in device.tokens] == []


def made_certificate(directory: Path, name: str, authority: Path | None = None, address: str = "") -> Path:
    """A key and its certificate in one file: of an authority, for an address; or an authority."""
    path, alone = directory / f"{name}.pem", directory / f"{name}.crt"
    signed = ["-CA", str(authority), "-CAkey", str(authority), "-addext", f"subjectAltName=IP:{address}"] if authority else []
    quietly(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-days", "1",
         "-keyout", str(path), "-out", str(alone), *signed]
    )  # fmt: skip
    path.write_text(path.read_text() + alone.read_text())
    return path


@pytest.mark.parametrize(
    ("verb", "what", "namespace", "may"),
    [
        ("list", "pods", "kube-system", True),
        ("watch", "nodes", "", True),
        ("get", "nodes/metrics", "", True),
        ("list", "pods", "default", False),
        ("list", "secrets", "monitoring", False),
        ("get", "secrets", "kube-system", False),
        ("list", "configmaps", "monitoring", False),
        ("list", "services", "default", False),
        ("get", "nodes/proxy", "", False),
        ("create", "pods/exec", "monitoring", False),
        ("patch", "nodes", "", False),
    ],
)
def test_the_token_is_good_for_metrics_and_what_is_discovered(scene: Scene, verb: str, what: str, namespace: str, may: bool) -> None:
    resource, _slash, subresource = what.partition("/")
    where = f"--namespace={namespace}" if namespace else "--all-namespaces"
    asked = ["auth", "can-i", verb, resource, f"--subresource={subresource}", where, "--as=system:serviceaccount:monitoring:prometheus"]
    assert scene.cluster.kubectl(*asked, check=False).stdout.strip() == ("yes" if may else "no")


def test_those_who_put_nodes_to_sleep_note_it_as_prometheus_reads_it() -> None:
    relabeling = yaml.safe_load(configuration("prometheus.yml"))["scrape_configs"]
    kubelet = next(one for one in relabeling if one["job_name"] == "kubelet")
    (dropped,) = (one for one in kubelet["relabel_configs"] if one.get("action") == "drop")
    playbook = yaml.safe_load((CHECKOUT / "playbooks" / "sleep.yml").read_text())
    reasons = [
        task["vars"]["drain_reason"] for play in playbook for task in play.get("tasks", []) if "drain_reason" in task.get("vars", {})
    ]
    assert dropped["regex"].split("|") == [*reasons, US]
    assert dropped["source_labels"] == [f"__meta_kubernetes_node_annotation_{re.sub('[./-]', '_', CORDONED_BY)}"]
    assert f"{CORDONED_BY}: " in (CHECKOUT / "playbooks" / "tasks" / "drain.yml").read_text()
