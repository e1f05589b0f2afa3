# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which certificate requests of kubelets are approved, the approver's files on a control plane, and what it writes to the journal.

The requests are those of a real encoder."""

from __future__ import annotations

import base64
import ipaddress
import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._kubelet import requests
from ansible_collections.vmstation.cluster.plugins.module_utils._kubelet.requests import (
    SIGNER,
    Round,
    ensure,
    is_pending,
    lines_of,
    objection,
    subject_of,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._programs import Host
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.unit.idle.test_idle_files import Disk

KEY = ec.generate_private_key(ec.SECP256R1())
NODES = {
    "homelab": frozenset({"192.168.4.62", "fd00:4::62"}),
    "masternode": frozenset({"192.168.4.63"}),
}
USER = "system:node:homelab"
SUBJECT = ((NameOID.ORGANIZATION_NAME, "system:nodes"), (NameOID.COMMON_NAME, USER))


def names(*dns: str, addresses: Sequence[str] = ()) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([*map(x509.DNSName, dns), *(x509.IPAddress(ipaddress.ip_address(one)) for one in addresses)])


GOOD = names("homelab", addresses=["192.168.4.62", "fd00:4::62"])


def pem(*extensions: x509.ExtensionType, subject: Sequence[tuple[x509.ObjectIdentifier, str]] = SUBJECT, critical: bool = False) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([x509.NameAttribute(*one) for one in subject]))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def request(content: bytes | None = None, **spec: Any) -> dict[str, Any]:
    default = {
        "request": base64.b64encode(pem(GOOD) if content is None else content).decode(),
        "signerName": SIGNER,
        "username": USER,
        "groups": ["system:nodes", "system:authenticated"],
        "usages": ["digital signature", "server auth"],
    }
    return {"metadata": {"name": "csr-1"}, "spec": {**default, **spec}}


@pytest.mark.parametrize(
    "asked",
    [
        request(),
        request(pem(GOOD, critical=True)),
        request(pem(names(addresses=["192.168.4.62"]))),
        request(pem(names("homelab"))),
        request(usages=["key encipherment", "digital signature", "server auth"]),
        request(pem(GOOD, subject=SUBJECT[::-1])),
    ],
)
def test_a_kubelet_gets_a_certificate_for_its_own_name_and_addresses(asked: dict[str, Any]) -> None:
    assert objection(asked, NODES) == ""


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (request(signerName="kubernetes.io/kube-apiserver-client-kubelet"), "signer kubernetes.io/kube-apiserver-client-kubelet"),
        (request(username="kubernetes-admin"), "requested by kubernetes-admin, which is no kubelet"),
        (request(groups=["system:authenticated"]), "which is no kubelet"),
        (request(username="system:node:guest"), "node guest is not in the inventory"),
        (request(username="system:node:"), "node  is not in the inventory"),
        (request(username="system:node:masternode"), "subject system:nodes, system:node:homelab, not system:node:masternode"),
        (request(usages=["digital signature", "client auth"]), "usages client auth, digital signature"),
        (request(usages=["digital signature", "server auth", "client auth"]), "usages client auth"),
        (request(usages=["server auth"]), "usages server auth"),
        (request(usages=None), "usages none"),
        (request(pem(names("homelab", "kubernetes"))), "kubernetes, but in the inventory the node has the name homelab"),
        (request(pem(names("*.homelab"))), "*.homelab, but"),
        (request(pem(names("homelab", addresses=["192.168.4.63"]))), "192.168.4.63, but in the inventory"),
        (request(pem(names("homelab", addresses=["127.0.0.1"]))), "127.0.0.1, but"),
        (request(pem()), "neither a name nor an address"),
        (request(pem(names())), "neither a name nor an address"),
        (
            request(pem(x509.SubjectAlternativeName([x509.DNSName("homelab"), x509.UniformResourceIdentifier("spiffe://x")]))),
            "another kind",
        ),
        (request(pem(x509.SubjectAlternativeName([x509.DNSName("homelab"), x509.RFC822Name("a@b.c")]))), "another kind (1)"),
        (request(pem(GOOD, x509.BasicConstraints(ca=True, path_length=None))), "an extension 551d13"),
        (request(pem(GOOD, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]))), "an extension 551d25"),
        (
            request(pem(GOOD, subject=[*SUBJECT, (NameOID.ORGANIZATION_NAME, "system:masters")])),
            "subject system:nodes, system:node:homelab",
        ),
        (request(pem(GOOD, subject=[(NameOID.COMMON_NAME, USER)])), "subject system:node:homelab, not"),
        (request(pem(GOOD, subject=[])), "subject empty"),
        (request(b"no PEM"), "not a certificate request (no PEM block"),
        (request(pem(GOOD) + pem(GOOD)), "not a certificate request"),
        (request(request="$$$"), "not a certificate request"),
        (request(request=base64.b64encode("\u00e4".encode()).decode()), "not a certificate request"),
    ],
)
def test_everything_else_is_left_with_a_reason(asked: dict[str, Any], said: str) -> None:
    assert said in objection(asked, NODES)


def test_no_damaged_request_is_approved_or_ends_the_program() -> None:
    whole = base64.b64decode(b"".join(pem(GOOD).splitlines()[1:-1]))
    chance = random.Random(4)
    for _round in range(3000):
        damaged = bytearray(whole[: chance.randrange(1, len(whole) + 1)])
        damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        text = b"-----BEGIN CERTIFICATE REQUEST-----\n" + base64.b64encode(damaged) + b"\n-----END CERTIFICATE REQUEST-----\n"
        asked = request(text)
        if objection(asked, NODES) == "":
            read = subject_of(asked["spec"]["request"])
            assert set(read.dns) <= {"homelab"} and set(read.addresses) <= NODES["homelab"]


@pytest.mark.parametrize(
    ("conditions", "pending"), [(None, True), ([], True), (["Approved"], False), (["Denied"], False), (["Failed"], False)]
)
def test_what_was_decided_is_not_decided_again(conditions: list[str] | None, pending: bool) -> None:
    listed = None if conditions is None else [{"type": kind, "status": "True"} for kind in conditions]
    assert is_pending({"status": {"conditions": listed}}) is pending


INVENTORY = [{"name": "HomeLab", "address": ["192.168.4.62", "FD00:4::62"], "mac": "d0:94:66:30:d6:63", "role": "worker", "sleeps": True}]
PRESENT: dict[str, Any] = {"state": "present", "address": "192.168.4.63", "nodes": INVENTORY}
ABSENT = {**PRESENT, "state": "absent"}


def host_of(disk: Disk) -> Host:
    here = disk.files
    return Host(disk, disk.read, disk.write, disk.remove, lambda entry: f"zip of {entry}", "/usr/bin/python3", is_there=here.__contains__)


def test_the_program_is_there_with_its_list_and_its_timer_and_goes_again() -> None:
    disk = Disk()
    predicted = ensure(host_of(disk), PRESENT, "entry", check_mode=True)
    assert predicted["changed"] and disk.files == {}
    assert ensure(host_of(disk), PRESENT, "entry", check_mode=False) == predicted
    assert json.loads(disk.files[requests.CONFIGURATION]) == {
        "address": "192.168.4.63",
        "nodes": {"homelab": ["192.168.4.62", "fd00:4::62"]},
    }
    assert (disk.modes[requests.CONFIGURATION], disk.runs) == (0o600, True)
    assert not ensure(host_of(disk), PRESENT, "entry", check_mode=False)["changed"]
    more = {**PRESENT, "nodes": [*INVENTORY, {"name": "new", "address": "192.168.4.64"}]}
    assert ensure(host_of(disk), more, "entry", check_mode=False)["changed"]
    assert "new" in json.loads(disk.files[requests.CONFIGURATION])["nodes"]
    assert ensure(host_of(disk), ABSENT, "entry", check_mode=False)["changed"]
    assert (disk.files, disk.runs) == ({}, False)
    assert not ensure(host_of(disk), ABSENT, "entry", check_mode=False)["changed"]


def test_a_timer_that_was_stopped_is_started_again() -> None:
    disk = Disk()
    ensure(host_of(disk), PRESENT, "entry", check_mode=False)
    disk.runs = False
    assert ensure(host_of(disk), PRESENT, "entry", check_mode=False)["changed"] and disk.runs


@pytest.mark.parametrize("address", ["homelab.lan", None, ["192.168.4.62", "x"], "192.168.4.0/24"])
def test_an_address_that_is_none_is_refused_before_anything_is_written(address: object) -> None:
    disk = Disk()
    with pytest.raises(Refusal, match=r"nodes\[0\].address: found"):
        ensure(host_of(disk), {**PRESENT, "nodes": [{"name": "a", "address": address}]}, "entry", check_mode=False)
    assert disk.files == {}


def test_a_reason_is_written_once_and_forges_no_line() -> None:
    done = Round(approved=["csr-1"], rejected={"csr-2": "system:node:x: subject a\nb", "csr-3": "known"})
    assert lines_of(done, ["csr-3"]) == ["approved csr-1", "not approved: csr-2 of system:node:x: subject a\\nb"]
