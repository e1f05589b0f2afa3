# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking the DNS address from a host: the real CoreDNS behind it, and packets that really do not arrive."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.cluster.build import binary, missing
from tests.lab import Lab
from tests.lab.hosts import Host
from tests.lab.say import LabError
from tests.unit.network_plan.plans import SPECIFICATION

ADDRESS = "10.233.0.3"
API = "kubernetes.default.svc.cluster.local"
GRAFANA = "grafana.monitoring.svc.cluster.local"
COREFILE = ".:53 {\n    file /etc/zone cluster.local\n}\n"
ZONE = f"""
$ORIGIN cluster.local.
@ 60 IN SOA ns.dns hostmaster 1 7200 1800 86400 5
{API}. 5 IN A 10.96.0.1
{GRAFANA}. 5 IN A 10.96.7.7
"""
UNIT = """
[Service]
ExecStart=/usr/local/bin/coredns -conf /etc/Corefile
"""


@pytest.fixture(scope="module")
def node(lab: Lab) -> Iterator[Host]:
    """A host that has the DNS address itself: what matters here is what comes back from it, and not how the packets went."""
    try:
        unbuilt = " ".join(missing(["coredns"]))
    except LabError as error:
        unbuilt = str(error)
    if unbuilt:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"not built: {unbuilt}")
    host = lab.start("asker", address="192.168.4.118", mac="02:00:00:00:00:76", firewall="none", kubernetes=True)
    host.bring(binary("coredns"), "/usr/local/bin/coredns", 0o755)
    host.write("/etc/systemd/system/coredns.service", UNIT)
    host.run(["ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"])
    host.run(["systemctl", "daemon-reload"])
    yield host
    lab.remove(host)


@pytest.fixture
def served(node: Host) -> Iterator[Host]:
    serve(node)
    yield node
    node.run(["sh", "-c", "nft delete table inet shut 2>/dev/null; systemctl stop coredns"], check=False)


def serve(node: Host, corefile: str = COREFILE, zone: str = ZONE) -> None:
    node.write("/etc/Corefile", corefile)
    node.write("/etc/zone", zone)
    node.run(["systemctl", "restart", "coredns"])


def check(lab: Lab, node: Host, **options: object) -> dict[str, object]:
    asked = {"plan": SPECIFICATION, "names": [GRAFANA], "timeout": 0.7, **options}
    return lab.module(node, "cluster_dns_check", asked)


def found(result: dict[str, object]) -> list[tuple[str, str, str]]:
    return [(one["rule"], one["subject"].removeprefix(f"DNS at {ADDRESS} over "), one["found"]) for one in result["findings"]]


def shut(node: Host, rule: str) -> None:
    node.run(["nft", "-f", "-"], stdin=f"table inet shut {{ chain input {{ type filter hook input priority -5; {rule}; }}\n}}\n")


def test_dns_that_works_has_no_findings(lab: Lab, served: Host) -> None:
    result = check(lab, served)
    assert not result.get("failed"), result
    assert result["findings"] == []
    assert {(one["transport"], one["name"], one["answer"], *one["addresses"]) for one in result["answers"]} == {
        (transport, name, *answer)
        for transport in ("udp", "tcp")
        for name, *answer in (
            (API, "NOERROR", "10.96.0.1"),
            (GRAFANA, "NOERROR", "10.96.7.7"),
            ("vmstation-dns-check.default.svc.cluster.local", "NXDOMAIN"),
        )
    }


def test_a_firewall_that_drops_one_transport_is_told_apart(lab: Lab, served: Host) -> None:
    shut(served, "udp dport 53 drop")
    result = check(lab, served)
    assert result["failed"]
    assert found(result) == [("the_dns_address_answers", "UDP", "no answer within 1.4 s")]
    assert "It answers over TCP" in result["msg"]


def test_a_firewall_that_rejects_is_told_apart(lab: Lab, served: Host) -> None:
    shut(served, "tcp dport 53 reject with tcp reset")
    assert found(check(lab, served)) == [("the_dns_address_answers", "TCP", "connection refused")]


def test_nobody_there_is_two_findings(lab: Lab, node: Host) -> None:
    result = check(lab, node)
    assert found(result) == [("the_dns_address_answers", transport, "connection refused") for transport in ("UDP", "TCP")]


def test_what_is_wrong_is_asked_again_for_as_long_as_told(lab: Lab, served: Host) -> None:
    served.run(["systemctl", "stop", "coredns"])
    served.run(["systemd-run", "--on-active=5s", "systemctl", "start", "coredns"])
    result = check(lab, served, wait=60)
    assert not result.get("failed"), result
    assert result["findings"] == []


def test_the_dns_of_another_cluster_is_told(lab: Lab, served: Host) -> None:
    serve(served, zone=ZONE.replace("10.96.0.1", "10.43.0.1"))
    assert {one[:2] for one in found(check(lab, served))} == {
        ("names_have_their_addresses", f"{transport}, {API}") for transport in ("UDP", "TCP")
    }


def test_a_name_that_is_missing_fails_unless_told_otherwise(lab: Lab, served: Host) -> None:
    serve(served, zone=ZONE.replace(GRAFANA, "loki.monitoring.svc.cluster.local"))
    result = check(lab, served, fail_on="never")
    assert not result.get("failed")
    assert found(result) == [("names_resolve", f"{transport}, {GRAFANA}", "NXDOMAIN") for transport in ("UDP", "TCP")]


def test_names_that_are_made_up_are_found(lab: Lab, served: Host) -> None:
    serve(served, '.:53 {\n    template IN A {\n        answer "{{ .Name }} 60 IN A 10.96.0.1"\n    }\n}\n')
    assert {one[0] for one in found(check(lab, served))} == {"names_that_do_not_exist_have_no_address"}


UID = "0f1e2d3c-1111-2222-3333-444455556666"
POD_NAME = "monitoring/grafana-dcc9ccd6b-th6c5"
SLICE, LOGS = f"kubepods-burstable-pod{UID.replace('-', '_')}.slice", f"/var/log/pods/{POD_NAME.replace('/', '_')}_{UID}"
# as containerd and kubelet make one: a network namespace, a process in a cgroup with the Pod's UID, and a directory for its logs
POD = f"""
mkdir -p {LOGS}
systemd-run --unit=in-pod --slice={SLICE} unshare --net sleep infinity
pid=$(systemctl show --property=MainPID --value in-pod)
until [ "$(cat /proc/$pid/comm)" = sleep ]; do sleep 0.1; done
ip link add pod0 type veth peer name eth0 netns $pid
ip address add 10.99.0.1/24 dev pod0
ip link set pod0 up
nsenter --target $pid --net sh -ec 'ip address add 10.99.0.2/24 dev eth0; ip link set eth0 up; ip route add default via 10.99.0.1'
"""


@pytest.fixture
def pod(served: Host) -> Iterator[Host]:
    served.run(["sh", "-ec", POD])
    yield served
    served.run(["sh", "-c", f"systemctl stop in-pod; rm -r {LOGS}"])


def test_a_pod_that_a_policy_cuts_off_is_found_while_its_host_gets_answers(lab: Lab, pod: Host) -> None:
    result = check(lab, pod, pods=True)
    assert (result.get("failed"), result["pods"]) == (None, [{"pod": POD_NAME, "answer": "NOERROR"}]), result
    shut(pod, 'iifname "pod0" udp dport 53 drop')
    result = check(lab, pod, pods=True)
    assert result["pods"] == [{"pod": POD_NAME, "answer": "no answer within 1.4 s"}]
    [finding] = result["findings"]
    assert (finding["rule"], finding["severity"], finding["subject"]) == ("pods_get_answers", "error", "DNS inside Pods")
    assert POD_NAME in finding["found"]


def test_an_upstream_that_is_dead_is_found(lab: Lab, served: Host) -> None:
    serve(served, ".:53 {\n    file /etc/zone cluster.local\n    forward . 127.0.0.1:5399\n}\n")
    assert found(check(lab, served, names_outside=["kubernetes.io"], timeout=3)) == [
        ("names_outside_resolve", "UDP, kubernetes.io", "SERVFAIL")
    ]
