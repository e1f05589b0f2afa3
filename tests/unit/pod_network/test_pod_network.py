# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a matrix of the pod network is judged to be, and how answers and options are read."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._pod_network import model
from ansible_collections.vmstation.cluster.plugins.module_utils._pod_network import probe as answers
from ansible_collections.vmstation.cluster.plugins.module_utils._pod_network.model import Check, NodeSeen, Outcome, Request, Row, request
from ansible_collections.vmstation.cluster.plugins.module_utils._pod_network.probe import judge
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

M, H, S = "masternode", "homelab", "storagenodet3500"
NAME = "kubernetes.default.svc.cluster.local"
DNS = "10.233.0.3"
PLAN = {
    "node_cidr": "192.168.4.0/24", "gateway": "192.168.4.1", "pod_cidr": "10.244.0.0/16", "service_cidr": "10.96.0.0/12",
    "dns_service_ip": DNS, "kubernetes_version": "1.36", "encapsulation": "VXLAN",
}  # fmt: skip
Fails = Callable[[str, str, str], bool]


def asked(nodes: tuple[str, ...] = (M, H, S), names: tuple[str, ...] = (NAME,)) -> Request:
    return Request(nodes, frozenset(), (DNS,), names, ("4789/udp",), "busybox", 60)


def outcome(fails: Fails = lambda *_row: False, nodes: tuple[str, ...] = (M, H, S), dns_says: str = "no answer") -> Outcome:
    """The matrix in which only that fails. fails: source, target and kind."""
    checks = answers.checks(asked(nodes), dict.fromkeys(nodes, "10.244.0.1"), dict.fromkeys(nodes, "10.96.0.9"))
    rows = [
        Row(
            one.source, one.target, one.kind, not fails(one.source, one.target, one.kind),
            f"10.0.0.1: {dns_says if one.kind == 'dns' else 'no answer'}",
        )
        for source in checks
        for one in checks[source]
    ]  # fmt: skip
    return Outcome({name: NodeSeen(name, "started", nameservers=(DNS,)) for name in nodes}, rows)


def cut_off(node: str) -> Fails:
    """As when a firewall drops what comes in: neither requests nor answers arrive."""
    return lambda source, target, kind: source == node if kind == "dns" else source != target and node in (source, target)


def way(source: str, target: str) -> Fails:
    return lambda one, other, kind: kind != "dns" and (one, other) == (source, target)


def both(first: Fails, second: Fails) -> Fails:
    return lambda *row: first(*row) or second(*row)


PATHS, SERVICES, NAMES = "pods_reach_pods_on_other_nodes", "services_answer_from_pods", "names_resolve_from_pods"
CASES = {
    "all is well": (outcome(), []),
    "a node that is cut off": (
        outcome(cut_off(H)),
        [(PATHS, f"node {H}", "none reaches it", f"firewall of {H}, which must allow 4789/udp")],
    ),
    "two nodes of four that are cut off": (
        outcome(both(cut_off(H), cut_off("fourth")), (M, H, S, "fourth")),
        [(PATHS, f"node {H}", "reaches no pod", "4789/udp"), (PATHS, "node fourth", "reaches no pod", "4789/udp")],
    ),
    "no node reaches another": (
        outcome(lambda source, target, kind: kind != "dns" and source != target),
        [(PATHS, f"pod network between {M}, {H} and {S}", "and 2 more", "hosts' firewalls, which must allow 4789/udp")],
    ),
    "two nodes that do not reach each other": (
        outcome(lambda source, target, kind: kind != "dns" and source != target, (M, H)),
        [(PATHS, f"pod network between {M} and {H}", f"{M} -> {H}", "4789/udp")],
    ),
    "from one node only": (
        outcome(both(way(H, M), way(H, S))),
        [(PATHS, f"node {H}", f"its pod reaches no pod on {M} and {S}", f"firewall of {H}")],
    ),
    "to one node only": (
        outcome(both(way(M, H), way(S, H))),
        [(PATHS, f"node {H}", f"is reached by none on {M} and {S}", f"firewall of {H}")],
    ),
    "one direction of a pair": (outcome(way(M, H)), [(PATHS, f"pods from {M} to {H}", "no answer", "Compare both hosts")]),
    "one direction of a pair of two": (outcome(way(M, H), (M, H)), [(PATHS, f"pods from {M} to {H}", "no answer", "Compare both hosts")]),
    "a pair": (outcome(both(way(M, H), way(H, M))), [(PATHS, f"pods on {H} and {M}", "no answer", "Compare both hosts")]),
    "kube-proxy of a node": (
        outcome(lambda source, _target, kind: source == H and kind == "service"),
        [(SERVICES, f"node {H}", "no Service answers", f"kube-proxy on {H}")],
    ),
    "a Service that one node does not know yet": (
        outcome(lambda source, target, kind: (source, target, kind) == (H, M, "service")),
        [(SERVICES, f"node {H}", f"Service of the pod on {M}", f"kube-proxy on {H}")],
    ),
    "DNS from one node": (
        outcome(lambda source, _target, kind: kind == "dns" and source == H),
        [(NAMES, f"node {H}", f"while the pod on {M} and {S} gets one", f"kube-proxy on {H}")],
    ),
    "DNS from none": (outcome(lambda _source, _target, kind: kind == "dns"), [(NAMES, f"DNS {DNS}", "no answer", "CoreDNS")]),
    "a name that does not exist": (
        outcome(lambda _source, _target, kind: kind == "dns", dns_says="no such name (NXDOMAIN)"),
        [(NAMES, f"name {NAME}", "NXDOMAIN", "Correct the name")],
    ),
    "one node": (outcome(nodes=(M,)), []),
    "one node without Services": (
        outcome(lambda _source, _target, kind: kind == "service", (M,)),
        [(SERVICES, f"node {M}", "no Service answers", f"kube-proxy on {M}")],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_cause_is_one_finding(case: str) -> None:
    seen, wanted = CASES[case]
    found = judge(asked(tuple(seen.nodes)), seen)
    assert [(finding.rule, finding.subject) for finding in found] == [(rule, subject) for rule, subject, _found, _fix in wanted]
    for finding, (_rule, _subject, words, fix) in zip(found, wanted, strict=True):
        assert finding.severity == "error"
        assert {*finding.hosts} == {*re.findall(r"\w+", finding.subject)} & {M, H, S, "fourth"}
        assert words in finding.found
        assert fix in finding.fix


@pytest.mark.parametrize("number", range(len(outcome().rows)))
def test_no_line_that_fails_is_overlooked(number: int) -> None:
    """Every single failure alone, and every single unknown."""
    for ok in (False, None):
        seen = outcome()
        row = seen.rows[number]
        seen.rows[number] = Row(row.source, row.target, row.kind, ok, "10.0.0.1: no answer")
        assert judge(asked(), seen)


def test_a_failure_beside_a_node_that_is_cut_off_is_told_of() -> None:
    seen = outcome(both(cut_off(H), way(M, S)), (M, H, S, "fourth"))
    subjects = [finding.subject for finding in judge(asked((M, H, S, "fourth")), seen)]
    assert subjects == [f"node {H}", f"pods from {M} to {S}"]


def test_a_name_that_does_not_exist_hides_no_silence() -> None:
    seen = outcome(lambda _source, _target, kind: kind == "dns", dns_says="no such name (NXDOMAIN)")
    seen.rows = [replace(one, detail="no answer") if (one.source, one.kind) == (H, "dns") else one for one in seen.rows]
    assert [finding.subject for finding in judge(asked(), seen)] == [f"name {NAME}", f"node {H}"]


def test_a_kubelet_with_another_dns_address() -> None:
    seen = outcome()
    seen.nodes[H].nameservers = ("10.96.0.10",)
    (finding,) = judge(asked(), seen)
    assert (finding.rule, finding.subject) == ("pods_ask_the_planned_dns_address", f"node {H}")


def test_nobody_to_ask_is_no_good_network() -> None:
    seen = Outcome({M: NodeSeen(M, "asleep"), H: NodeSeen(H, "asleep")})
    assert [finding.rule for finding in judge(asked(), seen)] == ["pod_network_can_be_probed"]


@pytest.mark.parametrize(
    ("found", "severity"), [("HTTP status 403: no", "unknown"), ("HTTP status 422: image", "error"), ("connection refused", "error")]
)
def test_what_ended_the_check_early(found: str, severity: str) -> None:
    seen = outcome()
    seen.refusal = Refusal("Kubernetes API", found, "it", "Do it.")
    assert [(one.rule, one.severity) for one in judge(asked(), seen)] == [("pod_network_can_be_probed", severity)]


# answers

TWO = [Check(M, H, "pod", url="http://10.244.0.1:8080/"), Check(M, NAME, "dns", server=DNS)]
MESSAGES = {
    "0 ok 2 1\n1 ok 10 3\nnameserver 10.233.0.3\n": [(True, "answers", 0.02), (True, "answers at try 3", 0.1)],
    "0 sil 300 3\n1 nxd 1 9\n": [(False, "no answer, 3 tries", 3.0), (False, "no such name (NXDOMAIN), 9 tries", 0.01)],
    "1 ok 1 1\n0 cut 300 1\n": [(False, "full-size packets do not arrive", 3.0), (True, "answers", 0.01)],
    "0 unr 1 1\n1 wrg 1 1": [(False, "no route", 0.01), (False, "no address for this name", 0.01)],
    "0 ok": [(None, "reported nothing", 0.0), (None, "reported nothing", 0.0)],
    "": [(None, "reported nothing", 0.0), (None, "reported nothing", 0.0)],
    "0 fine 1 1\n1 ok x 1\n9 ok 1 1": [(None, "reported nothing", 0.0), (None, "reported nothing", 0.0)],
}


@pytest.mark.parametrize("message", MESSAGES)
def test_answers(message: str) -> None:
    rows = answers.rows(TWO, message)
    assert [(row.ok, row.seconds) for row in rows] == [(ok, seconds) for ok, _words, seconds in MESSAGES[message]]
    for row, (_ok, words, _seconds) in zip(rows, MESSAGES[message], strict=True):
        assert words in row.detail


def test_every_word_of_the_program_has_a_meaning() -> None:
    words = set(re.findall(r"\bword=(\w+)", model.ASK))
    assert words == set(model.MEANINGS) | set(model.DNS_MEANINGS)


@pytest.mark.parametrize("program", [model.LISTEN, model.ASK], ids=["listen", "ask"])
def test_the_programs_are_shell_that_kubernetes_leaves_as_it_is(program: str) -> None:
    assert "$$" not in program, "Kubernetes makes one of two"
    assert subprocess.run([shutil.which("sh") or "sh", "-n", "-c", program], check=False).returncode == 0


def test_most_answers_fit_into_what_the_kubelet_passes_on() -> None:
    nodes = tuple(f"node-{number}" for number in range(100))
    most = asked(nodes, tuple(f"name-{number}" for number in range(21)))
    checks = answers.checks(most, dict.fromkeys(nodes, "10.244.0.1"), dict.fromkeys(nodes, "10.96.0.9"))["node-0"]
    message = f"nameserver {DNS}\n" + "".join(f"{number} sil 300 3\n" for number in range(len(checks)))
    assert len(message) < 4096


# options


def params(**more: object) -> dict:
    return {"plan": PLAN, "nodes": [{"name": M}, {"name": H}], "asleep": [H], "names": [], "image": "busybox", "timeout": 60, **more}


def test_the_options() -> None:
    read = request(params(names=["example.org."]))
    assert (read.nodes, read.asleep, read.dns) == ((M, H), frozenset({H}), (DNS,))
    assert read.names == (NAME, "example.org")
    assert read.ports == ("4789/udp",)


@pytest.mark.parametrize(
    ("encapsulation", "ports"), [("IPIP", ("179/tcp", "protocol 4")), ("VXLANCrossSubnet", ("4789/udp",)), ("None", ("179/tcp",))]
)
def test_the_ports_are_the_plans(encapsulation: str, ports: tuple[str, ...]) -> None:
    assert request(params(plan={**PLAN, "encapsulation": encapsulation})).ports == ports


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"timeout": 5}, "30 to 600 seconds"),
        ({"timeout": 601}, "30 to 600 seconds"),
        ({"names": ["two words"]}, "a DNS name"),
        ({"names": ["-type=any"]}, "a DNS name"),
        ({"names": ["a"] * 21}, "at most 20"),
        ({"nodes": [{"name": f"n{number}"} for number in range(101)]}, "at most 100"),
        ({"plan": {**PLAN, "dns_service_ip": "nowhere"}}, "network_plan_check"),
        ({"plan": {}}, "network_plan_check"),
    ],
)
def test_options_that_are_refused(more: dict, words: str) -> None:
    with pytest.raises(Refusal, match=words):
        request(params(**more))


# leftovers


def made(name: str, when: str, *, lasts: str | None = "180", going: bool = False) -> dict:
    metadata = {"name": name, "creationTimestamp": f"2026-11-23T{when}Z", "annotations": {model.LASTS: lasts} if lasts else None}
    return {"metadata": {**metadata, **({"deletionTimestamp": "x"} if going else {})}}


OURS = made("vmstation-probe-a", "22:00:00")


@pytest.mark.parametrize(
    ("other", "is_left"),
    [
        (made("vmstation-probe-b", "21:56:59"), True),
        (made("vmstation-probe-b", "21:57:01"), False),
        (made("vmstation-probe-b", "21:00:00", going=True), False),
        (made("vmstation-probe-b", "21:00:00", lasts=None), False),
        (made("vmstation-probe-b", "21:00:00", lasts="soon"), False),
        (made("monitoring", "21:00:00"), False),
        (OURS, False),
    ],
)
def test_what_a_killed_run_left(other: dict, is_left: bool) -> None:
    assert model.has_outlived(other, OURS) is is_left
