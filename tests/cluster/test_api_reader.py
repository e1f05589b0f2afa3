# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the Kubernetes API: a real server, and what is said when there is none, or when it does not want to."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

pytest.importorskip("kubernetes")
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster import api as reader
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.api import KubernetesApi
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal, Unavailable

from tests.cluster.server import Cluster
from tests.lab.cache import CHECKOUT


def changed(cluster: Cluster, directory: Path, *, server: str = "", authority: str = "", user: dict[str, str] | None = None) -> str:
    """The administrator's kubeconfig with something else in it."""
    content = yaml.safe_load(cluster.kubeconfig.read_text())
    if server:
        content["clusters"][0]["cluster"]["server"] = server
    if authority:
        content["clusters"][0]["cluster"]["certificate-authority-data"] = authority
    if user is not None:
        content["users"][0]["user"] = user
    path = directory / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return str(path)


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def token(cluster: Cluster, namespace: str) -> str:
    """Of an account that may do nothing."""
    cluster.kubectl("create", "serviceaccount", "nobody", "--namespace", namespace)
    return cluster.kubectl("create", "token", "nobody", "--namespace", namespace).stdout.strip()


def test_objects_come_in_pages_and_once_each(cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"m{number}", "labels": {"odd": str(number % 2)}}}
        for number in range(7)
    ]
    cluster.kubectl(
        "apply", "--namespace", namespace, "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": maps})
    )
    monkeypatch.setattr(reader, "PAGE", 3)
    api = KubernetesApi(str(cluster.kubeconfig))
    mine = [one["metadata"]["name"] for one in api.items("v1", "ConfigMap", namespace) if one["metadata"]["name"].startswith("m")]
    assert mine == [f"m{number}" for number in range(7)]
    # the kinds of v1, and 8 ConfigMaps (kube-root-ca.crt is there, too) in pages of 3
    assert api.calls == 1 + 3
    assert [one["metadata"]["name"] for one in api.items("v1", "ConfigMap", namespace, "odd=1")] == ["m1", "m3", "m5"]
    assert [one["metadata"]["name"] for one in api.items("v1", "ConfigMap", namespace, "", "metadata.name=m2")] == ["m2"]


def test_one_object_or_none(cluster: Cluster, namespace: str) -> None:
    api = KubernetesApi(str(cluster.kubeconfig))
    assert api.get("v1", "Namespace", namespace)["metadata"]["name"] == namespace
    assert api.get("v1", "ConfigMap", "nothing", namespace) is None
    assert list(api.items("v1", "Pod", "no-such-namespace")) == []
    assert api.read("/version")["major"] == "1"


def test_kinds_that_are_not_served(cluster: Cluster) -> None:
    api = KubernetesApi(str(cluster.kubeconfig))
    assert api.serves("networking.k8s.io/v1", "ServiceCIDR")
    assert not api.serves("example.org/v3", "Anything")
    with pytest.raises(Refusal, match=r"kind Anything of example\.org/v3: found not served"):
        list(api.items("example.org/v3", "Anything"))


def test_a_missing_permission_is_named(cluster: Cluster, token: str, tmp_path: Path) -> None:
    api = KubernetesApi(changed(cluster, tmp_path, user={"token": token}))
    with pytest.raises(
        Refusal, match=r"(?s)HTTP status 403: .*cannot list resource \"pods\".*required: the permission to list pods in namespace default"
    ):
        list(api.items("v1", "Pod", "default"))
    with pytest.raises(Refusal, match="the permission to get nodes"):
        api.get("v1", "Node", "masternode")


def test_credentials_that_nobody_knows_are_named(cluster: Cluster, tmp_path: Path) -> None:
    api = KubernetesApi(changed(cluster, tmp_path, user={"token": "nonsense"}))
    with pytest.raises(Refusal, match="HTTP status 401: Unauthorized; required: credentials"):
        api.read("/api/v1/nodes")


def test_the_certificate_of_another_authority_is_named(cluster: Cluster, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make another authority with")
    (tmp_path / "other").mkdir()
    certificate = tmp_path / "other" / "ca.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=other",
         "-keyout", str(tmp_path / "other" / "ca.key"), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    content = yaml.safe_load(cluster.kubeconfig.read_text())
    del content["clusters"][0]["cluster"]["certificate-authority-data"]
    content["clusters"][0]["cluster"]["certificate-authority"] = str(certificate)
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(content))
    with pytest.raises(Refusal, match=r"TLS connection that failed: .*required: a server certificate of the CA"):
        KubernetesApi(str(tmp_path / "kubeconfig")).read("/version")


def test_an_address_that_is_not_in_the_certificate_is_named(cluster: Cluster, tmp_path: Path) -> None:
    content = yaml.safe_load(cluster.kubeconfig.read_text())
    content["clusters"][0]["cluster"]["tls-server-name"] = "other.example"
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(content))
    with pytest.raises(Refusal, match=r"TLS connection that failed: .*other\.example"):
        KubernetesApi(str(tmp_path / "kubeconfig")).read("/version")


@pytest.mark.parametrize(
    ("server", "found"),
    [
        ("https://127.0.0.1:1", "connection refused"),
        ("https://no-such-host.invalid:6443", "a name that cannot be resolved"),
    ],
)
def test_a_server_that_is_not_there_is_named(cluster: Cluster, tmp_path: Path, server: str, found: str) -> None:
    with pytest.raises(Unavailable, match=f"Kubernetes API {server}, /version: found {found}"):
        KubernetesApi(changed(cluster, tmp_path, server=server)).read("/version")


def test_a_server_that_wants_tls_is_named(cluster: Cluster, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="HTTP request to an HTTPS server"):
        KubernetesApi(changed(cluster, tmp_path, server=cluster.url.replace("https", "http"))).read("/version")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (None, "no file of this name"),
        ("", "ConfigException"),
        ("a: [b", "ParserError"),
        ("just text", "TypeError"),
        ("apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers: []\ncurrent-context: x\n", "ConfigException"),
    ],
    ids=["no file", "empty", "no YAML", "no mapping", "no context"],
)
def test_a_kubeconfig_that_is_none_is_named(tmp_path: Path, content: str | None, found: str) -> None:
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Refusal, match=f"kubeconfig {path}: found {found}"):
        KubernetesApi(str(path))


def test_a_context_that_is_not_there_is_named(cluster: Cluster) -> None:
    with pytest.raises(Refusal, match=r"context other: found ConfigException.*other"):
        KubernetesApi(str(cluster.kubeconfig), "other")


class Faulty:
    """An API server of which each answer is written by the test."""

    def __init__(self, answer: Callable[[http.server.BaseHTTPRequestHandler, int], None]) -> None:
        self.asked: list[str] = []
        faulty = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                faulty.asked.append(self.path)
                answer(self, len(faulty.asked))

            def log_message(self, *_arguments: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def kubeconfig(self, directory: Path) -> str:
        cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.server.server_port}"}}
        context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
        path = directory / "kubeconfig"
        users = [{"name": "u", "user": {"token": "t"}}]
        path.write_text(yaml.safe_dump({"clusters": [cluster], "contexts": [context], "users": users, "current-context": "x"}))
        return str(path)


def send(handler: http.server.BaseHTTPRequestHandler, status: int, body: object, length: int | None = None) -> None:
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(data) if length is None else length))
    handler.end_headers()
    handler.wfile.write(data)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again(tmp_path: Path, status: int) -> None:
    faulty = Faulty(lambda handler, number: send(handler, 200 if number == 3 else status, {"major": "1"}))
    assert KubernetesApi(faulty.kubeconfig(tmp_path)).read("/version") == {"major": "1"}
    assert len(faulty.asked) == 3


@pytest.mark.parametrize(("status", "requests"), [(429, 3), (503, 3), (500, 1)])
def test_a_server_that_stays_busy_or_broken_is_named(tmp_path: Path, status: int, requests: int) -> None:
    faulty = Faulty(lambda handler, _number: send(handler, status, {"message": "etcd is gone"}))
    with pytest.raises(Unavailable, match=f"HTTP status {status}.*etcd is gone"):
        KubernetesApi(faulty.kubeconfig(tmp_path)).read("/version")
    assert len(faulty.asked) == requests


def test_a_server_that_says_nothing_is_named_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "READ_SECONDS", 0.2)
    release = threading.Event()
    faulty = Faulty(lambda _handler, _number: release.wait(30) and None)
    try:
        with pytest.raises(Unavailable, match=r"no complete answer within 0\.2 s"):
            KubernetesApi(faulty.kubeconfig(tmp_path)).read("/version")
    finally:
        release.set()


def test_an_answer_that_breaks_off_is_named(tmp_path: Path) -> None:
    faulty = Faulty(lambda handler, _number: send(handler, 200, {"major": "1"}, length=5000))
    with pytest.raises(Unavailable, match="no complete answer"):
        KubernetesApi(faulty.kubeconfig(tmp_path)).read("/version")


def test_something_else_than_an_api_server_is_named(tmp_path: Path) -> None:
    faulty = Faulty(lambda handler, _number: send(handler, 404, "<html>Welcome</html>"))
    with pytest.raises(Refusal, match=r"HTTP status 404: <html>Welcome</html>.*points to a Kubernetes API server"):
        KubernetesApi(faulty.kubeconfig(tmp_path)).read("/version")


def test_a_list_that_took_too_long_goes_on_from_its_place(tmp_path: Path) -> None:
    kinds = {"resources": [{"name": "pods", "kind": "Pod", "namespaced": True}]}
    pages = [
        (200, kinds),
        (200, {"items": [{"n": 1}], "metadata": {"continue": "first"}}),
        (410, {"message": "expired", "metadata": {"continue": "second"}}),
        (200, {"items": [{"n": 2}], "metadata": {}}),
    ]
    faulty = Faulty(lambda handler, number: send(handler, *pages[number - 1]))
    assert list(KubernetesApi(faulty.kubeconfig(tmp_path)).items("v1", "Pod")) == [{"n": 1}, {"n": 2}]
    assert faulty.asked[-1].endswith("continue=second")


def test_a_plain_kubeconfig_is_read_without_the_client(cluster: Cluster) -> None:
    """Its import takes four times as long as the question."""
    script = (
        "import sys; sys.modules['kubernetes'] = None;"
        "from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.api import KubernetesApi;"
        "print(KubernetesApi(sys.argv[1]).read('/version')['major'])"
    )
    argv = [sys.executable, "-c", script, str(cluster.kubeconfig)]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT / "collections")}
    assert subprocess.run(argv, capture_output=True, text=True, check=True, env=environment).stdout == "1\n"


EXEC = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", "command": "cat"}


def test_a_plugin_for_credentials_is_run_by_the_client(cluster: Cluster, token: str, tmp_path: Path) -> None:
    credential = {"apiVersion": EXEC["apiVersion"], "kind": "ExecCredential", "status": {"token": token}}
    (tmp_path / "credential").write_text(json.dumps(credential))
    kubeconfig = changed(cluster, tmp_path, user={"exec": {**EXEC, "args": [str(tmp_path / "credential")]}})
    with pytest.raises(Refusal, match=r"HTTP status 403: .*nobody"):
        list(KubernetesApi(kubeconfig).items("v1", "Pod", "default"))


def test_what_only_the_client_reads_is_named_where_there_is_none(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    with pytest.raises(Refusal, match=r"kubeconfig .*: found what only the Python client for Kubernetes reads.*pip install kubernetes"):
        KubernetesApi(changed(cluster, tmp_path, user={"exec": {**EXEC, "args": []}}))


def test_no_key_is_left_in_a_temporary_file(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    KubernetesApi(str(cluster.kubeconfig)).read("/version")
    assert list(tmp_path.iterdir()) == []


def test_a_webhook_without_a_server_is_named_as_the_cause_of_a_failed_request(cluster: Cluster) -> None:
    """Waiting does not help, and neither do the logs of the API server."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["namespaces"]}
    webhook = {"name": "gone.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None", "rules": [rule]}
    webhook["clientConfig"] = {"service": {"namespace": "default", "name": "gone"}}
    made = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "gone"}}
    cluster.kubectl("create", "--filename=-", stdin=json.dumps({**made, "webhooks": [webhook]}))
    try:
        with pytest.raises(Unavailable) as refused:
            reader.CreatingApi(str(cluster.kubeconfig)).create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new"}})
    finally:
        cluster.kubectl("delete", "validatingwebhookconfiguration", "gone")
    assert 'failed calling webhook "gone.example.com"' in refused.value.found
    assert "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations" in refused.value.next_step
