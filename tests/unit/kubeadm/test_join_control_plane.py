# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A further control plane: what it is given, what kubeadm is told, and what a killed join leaves to the next run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import Completed
from ansible_collections.vmstation.cluster.plugins.module_utils._host.mark import MARKER, Mark, read_mark
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.configuration import init_documents
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.control_plane import Request, ensure, read_request
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.init import (
    LOG,
    SHARED,
    Joining,
    Wanted,
    join,
    read_joining,
    refuse_second_cluster,
    shared_files,
    standing,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.state import CONFIGURATION, digest
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.kubeadm.node_files import KUBECONFIG, PEM, Files, control_plane
from tests.unit.kubeadm.test_configuration import MASTER, PLAN, documents
from tests.unit.kubeadm.test_init import Kubeadm, marked

VIP = "192.168.4.60"
SEVERAL = {**PLAN, "api_vip": VIP}
HOST = replace(MASTER, name="Second", addresses=["192.168.4.61"], cluster_name="home")
WANTED = Wanted(tuple(init_documents(SEVERAL, HOST)))
BEGUN = Mark("home", "control_plane", "second", installed=False, identity=WANTED.identity)
TOKEN = "abcdef.0123456789abcdef"
FILES = dict.fromkeys(SHARED, PEM)
OPTIONS: dict[str, Any] = {"endpoint": f"{VIP}:6443", "token": TOKEN, "ca_cert_hashes": ["sha256:00"], "files": FILES}
JOINING = read_joining(OPTIONS)


class Joined(Kubeadm):
    """kubeadm that notes what it is given."""

    def run(self, argv: Sequence[str], *, stdin: str = "", timeout: float = 60.0, check: bool = True) -> Completed:
        self.given = stdin
        if "reset" in argv:
            for path in [path for path in self.files if path.startswith(("/etc/kubernetes", "/var/lib"))]:
                del self.files[path]
        return super().run(argv, stdin=stdin, timeout=timeout, check=check)


def test_all_control_planes_have_the_same_cluster_configuration() -> None:
    one, other = documents(SEVERAL), documents(SEVERAL, HOST)
    assert {**one["ClusterConfiguration"], "clusterName": ""} == {**other["ClusterConfiguration"], "clusterName": ""}
    cluster = one["ClusterConfiguration"]
    assert cluster["controlPlaneEndpoint"] == f"{VIP}:6443"
    assert cluster["apiServer"]["certSANs"] == ["127.0.0.1", "localhost", VIP]
    assert [one for one in cluster["scheduler"]["extraArgs"] if one["name"] == "bind-address"] == [
        {"name": "bind-address", "value": "0.0.0.0"}
    ]
    assert cluster["etcd"]["local"]["extraArgs"] == [{"name": "listen-metrics-urls", "value": "http://0.0.0.0:2381"}]
    assert other["InitConfiguration"]["localAPIEndpoint"]["advertiseAddress"] == "192.168.4.61"
    # a name for the address
    named = documents(SEVERAL, replace(HOST, endpoint="api.home.arpa"))["ClusterConfiguration"]
    assert (named["controlPlaneEndpoint"], named["apiServer"]["certSANs"][2:]) == ("api.home.arpa:6443", [VIP, "api.home.arpa"])


def test_the_host_gets_the_shared_files_its_mark_and_a_token_through_a_pipe() -> None:
    files = Files()

    def does() -> None:
        assert read_mark(files[MARKER]) == BEGUN
        assert {path: files[path] for path in SHARED} == FILES
        assert files[CONFIGURATION] == WANTED.text

    kubeadm = Joined(files, stdout=f"joined with {TOKEN}\n", does=does)
    join(WANTED, JOINING, kubeadm.host(), 600)
    assert kubeadm.asked == [("kubeadm", "join", "--config", "/dev/stdin")]
    told = json.loads(kubeadm.given)
    assert told["discovery"]["bootstrapToken"] == {"token": TOKEN, "apiServerEndpoint": f"{VIP}:6443", "caCertHashes": ["sha256:00"]}
    assert told["controlPlane"] == {"localAPIEndpoint": {"advertiseAddress": "192.168.4.61", "bindPort": 6443}}
    assert told["nodeRegistration"]["name"] == "second"
    assert read_mark(files[MARKER]) == replace(BEGUN, installed=True, ca=digest(PEM))
    assert files[LOG] == "joined with [token]\n"
    assert not any(TOKEN in text for text in files.values())


def test_what_a_killed_join_has_left_goes_first() -> None:
    files = marked(Files({"/etc/kubernetes/manifests/etcd.yaml": "a\n", "/var/lib/etcd/member/snap/db": "a\n"}), BEGUN)
    kubeadm = Joined(files)
    join(WANTED, JOINING, kubeadm.host(), 600)
    assert [argv[1] for argv in kubeadm.asked] == ["reset", "join"]
    assert "/var/lib/etcd/member/snap/db" not in files


def test_a_join_that_fails_is_named_and_begins_again() -> None:
    files = Files()
    with pytest.raises(Refusal, match=r"kubeadm join: found error execution phase etcd-join: \[token\] is bad; required: to finish"):
        join(WANTED, JOINING, Joined(files, 1, f"error execution phase etcd-join: {TOKEN} is bad\n").host(), 600)
    assert read_mark(files[MARKER]) == BEGUN
    assert standing("home", f"{VIP}:6443", files) == "absent"


def test_the_shared_files_are_read_whole_or_not_at_all() -> None:
    files = control_plane()
    assert set(shared_files(files)) == set(SHARED)
    del files["/etc/kubernetes/pki/ca.key"]
    with pytest.raises(Refusal, match=r"this control plane: found /etc/kubernetes/pki/ca.key missing or incomplete"):
        shared_files(files)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"files": {**FILES, "/etc/passwd": "root"}}, "join.files: found others: /etc/passwd;"),
        ({"files": {path: PEM for path in SHARED if path != "/etc/kubernetes/pki/sa.key"}}, "none for /etc/kubernetes/pki/sa.key;"),
        ({"endpoint": ""}, "join.endpoint and join.ca_cert_hashes: found empty"),
        ({"ca_cert_hashes": []}, "join.endpoint and join.ca_cert_hashes: found empty"),
        ({"token": "secret"}, "token: found text that is not a token"),
    ],
)
def test_options_of_no_sense_are_errors_without_a_secret(change: dict[str, Any], said: str) -> None:
    with pytest.raises(Refusal, match=said) as refused:
        read_joining({**OPTIONS, **change})
    assert "BEGIN" not in str(refused.value) and "secret" not in str(refused.value)


def test_secrets_are_in_no_representation() -> None:
    assert PEM not in repr(JOINING) and TOKEN not in repr(JOINING)


def test_a_cluster_with_another_address_is_an_error_before_anything_is_changed() -> None:
    files = marked(control_plane(), replace(BEGUN, installed=True, ca=digest(PEM)))
    files["/etc/kubernetes/admin.conf"] = KUBECONFIG.replace(
        "clusters:\n", "clusters:\n- cluster:\n    server: https://192.168.4.63:6443\n"
    )
    assert standing("home", "", files) == standing("home", "192.168.4.63:6443", files) == "complete"
    with pytest.raises(Refusal, match=r"created with the address 192.168.4.63:6443, .* required: 192.168.4.60:6443, .*`From one to three`"):
        standing("home", f"{VIP}:6443", files)


def test_no_second_cluster_is_created_beside_one_that_answers() -> None:
    host = replace(Kubeadm(Files(), stdout="v1.36.4\n").host(), answers=lambda address: address == "192.168.4.62")
    refuse_second_cluster(("192.168.4.63",), host)
    with pytest.raises(Refusal, match=r"an API server at 192.168.4.62; required: to join the cluster"):
        ensure(Request(WANTED, peers=("192.168.4.63", "192.168.4.62"), check=True), host)


def test_a_join_is_predicted_without_a_token_and_not_done_without_one() -> None:
    options = {
        "configuration": list(WANTED.documents),
        "unverified_configuration": None,
        "service_cidrs": [],
        "timeout": 600,
        "certificate_days": 30,
        "peers": [],
        "join": {"endpoint": "", "token": "", "ca_cert_hashes": [], "files": {}},
    }
    request = read_request(options, check=True)
    assert (request.joins, request.joining) == (True, None)
    assert isinstance(read_request({**options, "join": OPTIONS}, check=False).joining, Joining)
    assert not read_request({**options, "join": None}, check=False).joins
    kubeadm = Joined(Files(), stdout="v1.36.4\n")
    outcome = ensure(request, kubeadm.host())
    assert (outcome.situation, outcome.changed) == ("absent", True)
    with pytest.raises(Refusal, match=r"join\.token: found none"):
        ensure(replace(request, check=False), kubeadm.host())
