# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""host_diagnosis_info on a real host over ssh: what is there is read, and secrets that were planted in it do not come back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import Lab
from tests.lab.hosts import Host

BOOTSTRAP, PASSWORD, KEY = "qwerty.0123456789abcdef", "correct-horse-battery", "MC4CAQAwBQYDK2VwBCIEIJ"
TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJub2JvZHkifQ.bm8tc2lnbmF0dXJl"
SECRETS = (BOOTSTRAP, PASSWORD, KEY, TOKEN)
PLANTED = {
    "/etc/kubernetes/manifests/web.yaml": f"""\
spec:
  containers:
  - command: [web, --listen=:80, --admin-password={PASSWORD}]
    image: web:1
    env:
    - name: DB_PASSWORD
      value: {PASSWORD}
    - name: LEVEL
      value: debug
""",
    "/var/lib/kubelet/config.yaml": f"kind: KubeletConfiguration\nclusterDNS: [10.233.0.3]\nstaticPodURLHeader: {{x-token: [{TOKEN}]}}\n",
    "/var/lib/kubelet/kubeadm-flags.env": f'KUBELET_KUBEADM_ARGS="--node-ip=192.168.4.116 --token={TOKEN}"\n',
    "/etc/cni/net.d/10-calico.conflist": f'{{"name": "k8s-pod-network", "plugins": [{{"etcd_key": "{KEY}", "password": "{PASSWORD}"}}]}}\n',
    "/etc/cni/net.d/calico-kubeconfig": f"users: [{{name: calico, user: {{token: {TOKEN}}}}}]\n",
    "/etc/containerd/config.toml": f'[auth]\n  username = "root"\n  password = "{PASSWORD}"\n',
    "/var/log/pods/kube-system_web_1/web/0.log": f"""\
2026-11-25T23:00:00Z stderr F GET /api Authorization: Bearer {TOKEN}
2026-11-25T23:00:01Z stderr F kubeadm join 192.168.4.63:6443 --token {BOOTSTRAP}
2026-11-25T23:00:02Z stderr F -----BEGIN EC PRIVATE KEY-----
{KEY}
-----END EC PRIVATE KEY-----
2026-11-25T23:00:03Z stderr F the end of the log
""",
}


@pytest.fixture(scope="module")
def host(lab: Lab) -> Iterator[Host]:
    made = lab.start("told", address="192.168.4.116", mac="02:00:c0:a8:04:74", firewall="nftables")
    for path, text in PLANTED.items():
        made.write(path, text)
    made.run(["ip", "route", "add", "203.0.113.0/24", "via", "192.168.4.1"])
    made.run(["ip", "rule", "add", "from", "203.0.113.7", "lookup", "main"])
    yield made
    lab.remove(made)


@pytest.fixture(scope="module")
def result(lab: Lab, host: Host) -> dict[str, Any]:
    return lab.module(host, "host_diagnosis_info", {"timeout": 50})


def entry(result: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in result["entries"] if one["name"] == name)


def test_no_secret_comes_back(host: Host, result: dict[str, Any]) -> None:
    written = json.dumps(result)
    for secret in SECRETS:
        assert any(secret in text for text in PLANTED.values())
        assert secret not in written
    assert not any("kubeconfig" in one["name"] for one in result["entries"])


def test_rules_and_routes_and_sockets_come_back(result: dict[str, Any]) -> None:
    assert "203.0.113.0/24 via 192.168.4.1" in entry(result, "network/routes.txt")["text"]
    assert "203.0.113.7" in entry(result, "network/rules.txt")["text"]
    assert "the owner's own rule" in entry(result, "firewall/nft.txt")["text"]
    assert ":22" in entry(result, "network/sockets.txt")["text"]
    assert "02:00:c0:a8:04:74" in entry(result, "network/addresses.txt")["text"]


def test_what_surrounds_a_secret_stays_readable(result: dict[str, Any]) -> None:
    manifest = entry(result, "kubernetes/manifests/web.yaml")
    assert "name: DB_PASSWORD\n" in manifest["text"]
    assert "image: web:1\n" in manifest["text"]
    assert "value:" not in manifest["text"]
    log = entry(result, "logs/kube-system_web_1/web/0.log")["text"]
    assert "kubeadm join 192.168.4.63:6443 --token <redacted>" in log
    assert log.endswith("the end of the log\n")
    assert "clusterDNS: [10.233.0.3]" in entry(result, "kubernetes/kubelet-config.yaml")["text"]


def test_what_a_half_installed_host_lacks_is_named_and_is_no_failure(result: dict[str, Any]) -> None:
    assert not result.get("failed")
    assert (entry(result, "kubernetes/versions-kubelet.txt")["status"], entry(result, "containers/crictl-pods.txt")["status"]) == (
        "absent", "absent"
    )  # fmt: skip
    assert entry(result, "firewall/nft.txt")["status"] == "complete"
    assert {one["status"] for one in result["entries"]} <= {"complete", "cut", "absent", "failed"}


def test_it_is_bounded(lab: Lab, host: Host) -> None:
    result = lab.module(host, "host_diagnosis_info", {"maximum_size": "60KiB", "shared_by": 2, "timeout": 50})
    assert sum(len(one["text"].encode()) for one in result["entries"]) <= 30 * 1024
    assert any(one["status"] == "cut" for one in result["entries"])


def test_nothing_is_left_on_the_host(lab: Lab, host: Host) -> None:
    look = [
        "find",
        "/etc",
        "/root",
        "/var",
        "/tmp",
        "/usr/local",
        "-xdev",
        "-newer",
        "/run/before",
        "-type",
        "f",
        "-not",
        "-path",
        "/var/log/*",
    ]
    host.run(["touch", "/run/before"])
    before = host.run(["nft", "list", "ruleset"]).stdout
    result = lab.module(host, "host_diagnosis_info", {"timeout": 50})
    assert result["changed"] is False
    assert host.run(look).stdout == ""
    assert host.run(["nft", "list", "ruleset"]).stdout == before
