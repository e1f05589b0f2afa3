# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the DNS address for names that must resolve and for one that must not, and judges what it says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._dns.message import AAAA, A, Answer, Malformed, answer, is_name, query
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.model import dns_plan
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._io.clock import Clock
from ansible_collections.vmstation.cluster.plugins.module_utils._io.dns import Exchange, Reply, Resolvers
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.ranges import api_server_address
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.reading import read_cluster
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

TRANSPORTS = ("udp", "tcp")
ABSENT = "vmstation-dns-check"
PAUSE = 1.0
# one Pod of several may be out of reach, and each question goes to any of them
ROUNDS_TO_TRUST = 3
_PODS = "`kubectl get pods -n kube-system -l k8s-app=kube-dns -o wide`"
_LOG = "`kubectl logs -n kube-system -l k8s-app=kube-dns`"


@dataclass(frozen=True)
class Question:
    """address: the one that must be among the answers; empty: any will do. is_absent: the name must not exist."""

    name: str
    kind: int = A
    address: str = ""
    is_absent: bool = False


@dataclass(frozen=True)
class Request:
    """wait: seconds for which is asked again what is not well."""

    servers: tuple[str, ...]
    questions: tuple[Question, ...]
    wait: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """What one server said to one question over one transport. answer: None if nothing usable came, for the reason in trouble."""

    server: str
    transport: str
    question: Question
    answer: Optional[Answer]
    trouble: str
    seconds: float


def request(params: Mapping[str, Any]) -> Request:
    """The module's options, read."""
    plan = dns_plan(params["plan"])
    for name, least in (("timeout", 0.1), ("attempts", 1), ("wait", 0)):
        if params[name] < least:
            raise Refusal(name, f"{params[name]:g}", f"{least:g} or more", "Correct it.")
    service = api_server_address(read_cluster(params["plan"])[0].plan)
    kind = AAAA if service and service.version == 6 else A
    questions = [Question(f"kubernetes.default.svc.{plan.domain}", kind, str(service or ""))]
    for name in params["names"]:
        if not is_name(name):
            raise Refusal(f"names: {name}", name, "a host name with its domain", "Correct it.")
        questions.append(Question(name.rstrip("."), kind if name.rstrip(".").endswith(f".{plan.domain}") else A))
    questions.append(Question(f"{ABSENT}.default.svc.{plan.domain}", kind, is_absent=True))
    return Request(plan.addresses, tuple(questions), params["wait"])


def ask_until_well(asked: Request, resolvers: Resolvers, clock: Clock) -> list[Outcome]:
    """The first answers if they are well, else those after which all was well for some rounds; after the wait, the last that were not."""
    end = clock.now() + asked.wait
    outcomes = bad = ask(asked, resolvers)
    rounds = 0 if judge(outcomes) else ROUNDS_TO_TRUST
    while rounds < ROUNDS_TO_TRUST and clock.now() < end:
        clock.sleep(PAUSE)
        outcomes = ask(asked, resolvers)
        rounds += 1
        if judge(outcomes):
            bad, rounds = outcomes, 0
    return outcomes if rounds == ROUNDS_TO_TRUST else bad


def ask(asked: Request, resolvers: Resolvers) -> list[Outcome]:
    """Every question, of every server, over both transports, all at once."""
    cases = [(server, transport, one) for server in asked.servers for transport in TRANSPORTS for one in asked.questions]
    exchanges = [Exchange(server, transport, query(resolvers.identity(), one.name, one.kind)) for server, transport, one in cases]
    return [_outcome(*case, reply) for case, reply in zip(cases, resolvers.exchange(exchanges))]


def judge(outcomes: Sequence[Outcome]) -> list[Finding]:
    """A server that says nothing over a transport is one finding, however many questions it was asked."""
    findings: list[Finding] = []
    for server in dict.fromkeys(one.server for one in outcomes):
        of_server = [one for one in outcomes if one.server == server]
        for transport in TRANSPORTS:
            asked = [one for one in of_server if one.transport == transport]
            if asked and all(one.answer is None for one in asked):
                other_answers = any(one.answer is not None for one in of_server)
                findings.append(_silence(asked[0], transport, other_answers))
            else:
                findings.extend(finding for one in asked for finding in _of_one(one))
    return findings


def as_data(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    return [
        {
            "server": one.server,
            "transport": one.transport,
            "name": one.question.name,
            "answer": one.answer.rcode if one.answer else one.trouble,
            "addresses": list(one.answer.addresses) if one.answer else [],
            "seconds": round(one.seconds, 3),
        }
        for one in outcomes
    ]


def _outcome(server: str, transport: str, question: Question, reply: Reply) -> Outcome:
    if reply.trouble:
        return Outcome(server, transport, question, None, reply.trouble, reply.seconds)
    try:
        said = answer(reply.payload, question.name, question.kind)
    except Malformed as malformed:
        return Outcome(server, transport, question, None, f"an answer that is none: {malformed}", reply.seconds)
    return Outcome(server, transport, question, said, "", reply.seconds)


def _silence(one: Outcome, transport: str, other_answers: bool) -> Finding:
    other = {"udp": "TCP", "tcp": "UDP"}[transport]
    if other_answers:
        fix = f"Over {other} it answers: look for a firewall or policy that passes {other} alone, and at the ports of Service kube-dns."
    else:
        fix = f"Look at the Pods of CoreDNS ({_PODS}), at kube-proxy on this host, and whether its firewall lets the pod network pass."
    return Finding(
        "the_dns_address_answers", "error", f"DNS at {one.server} over {transport.upper()}", one.trouble, "an answer on this host", fix
    )


def _of_one(one: Outcome) -> Iterator[Finding]:
    subject = f"DNS at {one.server} over {one.transport.upper()}, {one.question.name}"
    if one.answer is None:
        yield Finding(
            "the_dns_address_answers",
            "error",
            subject,
            one.trouble,
            "an answer, as to other names",
            f"Some Pods of CoreDNS may not be reached from this host: look at each ({_PODS}).",
        )
    elif one.question.is_absent:
        if one.answer.rcode != "NXDOMAIN":
            yield Finding(
                "names_that_do_not_exist_have_no_address",
                "error",
                subject,
                " ".join((one.answer.rcode, *one.answer.addresses)),
                "NXDOMAIN",
                "Another DNS server than the cluster's answers here, or its Corefile makes names up: look at the Corefile and the Service.",
            )
    elif one.answer.rcode != "NOERROR" or not (one.answer.addresses or one.answer.is_truncated):
        inside = one.question.address
        yield Finding(
            "names_resolve",
            "error",
            subject,
            one.answer.rcode if one.answer.rcode != "NOERROR" else "no address",
            f"{inside}, the address of the API server" if inside else "an address",
            f"Look at the log of CoreDNS ({_LOG}): it may not reach the API server, or not the upstream.",
        )
    elif one.question.address and one.question.address not in one.answer.addresses:
        yield Finding(
            "names_have_their_addresses",
            "error",
            subject,
            " ".join(one.answer.addresses),
            f"{ip_address(one.question.address)}, the first address of the plan's service_cidr",
            "This is the DNS of another cluster, or the plan's service_cidr is not that of the API server.",
        )
