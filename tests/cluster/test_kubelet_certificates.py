# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The approver of kubelets' certificates against a real API server. tests/integration has real kubelets."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import Completed
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.state import ADMIN_CONF, Api
from ansible_collections.vmstation.cluster.plugins.module_utils._kubelet.host import PORT, served
from ansible_collections.vmstation.cluster.plugins.module_utils._kubelet.requests import REQUESTS, SIGNER, approve
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from tests.cluster.server import Cluster
from tests.unit.kubeadm.authority import AUTHORITY
from tests.unit.kubelet.test_requests import KEY, NODES, names, pem


class Here:
    """The cluster's own kubectl, in place of a control plane's."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def run(self, argv: Sequence[str], *, stdin: str = "", **_more: Any) -> Completed:
        assert argv[:2] == ["kubectl", f"--kubeconfig={ADMIN_CONF}"]
        done = self._cluster.kubectl(
            *[word for word in argv[2:] if not word.startswith(("--server=", "--cache-dir="))], stdin=stdin, check=False
        )
        return Completed(tuple(argv), done.returncode, done.stdout, done.stderr)


@pytest.fixture
def api(cluster: Cluster) -> Iterator[Api]:
    yield Api(Here(cluster), "192.168.4.63", lambda seconds: None)  # type: ignore[arg-type]
    cluster.kubectl("delete", "csr", "--all")


def ask(cluster: Cluster, content: bytes, *, user: str = "system:node:homelab", signer: str = SIGNER) -> str:
    """What a kubelet creates, with its own rights."""
    name = f"csr-{uuid.uuid4().hex[:8]}"
    spec = {"request": base64.b64encode(content).decode(), "signerName": signer, "usages": ["digital signature", "server auth"]}
    request = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": name}, "spec": spec}
    cluster.kubectl(
        "create", f"--as={user}", "--as-group=system:nodes", "--as-group=system:authenticated", "--filename=-", stdin=json.dumps(request)
    )
    return name


def conditions(cluster: Cluster, name: str) -> list[tuple[str, str]]:
    status = json.loads(cluster.kubectl("get", "csr", name, "--output=json").stdout).get("status", {})
    return [(one["type"], one["reason"]) for one in status.get("conditions", [])]


def test_a_kubelets_own_request_is_approved_and_no_other(cluster: Cluster, api: Api) -> None:
    good = ask(cluster, pem(names("homelab", addresses=["192.168.4.62"])))
    greedy = ask(cluster, pem(names("homelab", "kubernetes", addresses=["192.168.4.62"])))
    unknown = [("O", "system:nodes"), ("CN", "system:node:guest")]
    guest = ask(cluster, pem(names("guest"), subject=subject_of(unknown)), user="system:node:guest")
    other = ask(cluster, pem(names("homelab")), signer="example.com/own")
    done = approve(api, NODES)
    assert done.approved == [good]
    assert {name: why.partition(":")[2] for name, why in done.rejected.items()}.keys() == {greedy, guest}
    assert "kubernetes, but in the inventory" in done.rejected[greedy]
    assert "node guest is not in the inventory" in done.rejected[guest]
    assert conditions(cluster, good) == [("Approved", "InventoryMatch")]
    assert [conditions(cluster, name) for name in (greedy, guest, other)] == [[], [], []]
    again = approve(api, NODES)
    assert (again.approved, again.rejected.keys()) == ([], {greedy, guest})
    # the inventory is corrected: the next round approves what was left
    assert approve(api, {**NODES, "guest": frozenset()}).approved == [guest]


def test_a_request_that_was_replaced_since_it_was_read_is_not_approved(cluster: Cluster, api: Api) -> None:
    name = ask(cluster, pem(names("homelab")))
    read = api.get(f"{REQUESTS}/{name}")
    assert read is not None
    cluster.kubectl("annotate", "csr", name, "changed=meanwhile")
    assert api.replace(f"{REQUESTS}/{name}/approval", {**read, "status": {}}) is False
    cluster.kubectl("delete", "csr", name)
    assert api.replace(f"{REQUESTS}/{name}/approval", read) is False


def test_the_clusters_signer_issues_what_was_approved_and_clients_can_verify_it(cluster: Cluster, api: Api, tmp_path: Path) -> None:
    address, authority = "127.0.61.31", str(cluster.certificates / "ca.crt")
    name = ask(cluster, pem(names("homelab", addresses=[address])))
    assert approve(api, {"homelab": frozenset({address})}).approved == [name]
    issued = ""
    for _attempt in range(600):
        issued = json.loads(cluster.kubectl("get", "csr", name, "--output=json").stdout).get("status", {}).get("certificate", "")
        if issued:
            break
        time.sleep(0.2)
    key = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "kubelet.pem").write_bytes(key + base64.b64decode(issued))
    assert served(address, authority) == "nothing listens on its port"
    with (
        kubelet_at(address, tmp_path / "kubelet.pem"),
        kubelet_at("127.0.61.32", tmp_path / "kubelet.pem"),
        kubelet_at("127.0.61.33", None),
    ):
        assert served(address, authority) == ""
        assert "has not issued for 127.0.61.32" in served("127.0.61.32", authority)
        assert served("127.0.61.33", authority).startswith("no certificate yet")
        other = tmp_path / "other.pem"
        other.write_text(AUTHORITY)
        assert "has not issued for" in served(address, str(other))


@contextmanager
def kubelet_at(address: str, certificate: Path | None) -> Iterator[None]:
    """It answers handshakes on the kubelet's port, without a certificate as a kubelet whose request is pending."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if certificate:
        context.load_cert_chain(certificate)
    with socket.create_server((address, PORT)) as server:

        def answer() -> None:
            with suppress(OSError):
                while True:
                    connection, _client = server.accept()
                    with suppress(OSError):
                        context.wrap_socket(connection, server_side=True).close()

        threading.Thread(target=answer, daemon=True).start()
        yield
        server.shutdown(socket.SHUT_RDWR)


def subject_of(parts: Sequence[tuple[str, str]]) -> list[tuple[Any, str]]:
    return [({"O": NameOID.ORGANIZATION_NAME, "CN": NameOID.COMMON_NAME}[kind], value) for kind, value in parts]
