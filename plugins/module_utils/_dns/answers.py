# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Query the cluster's DNS address and check the answers. Messages follow RFC 1035 and RFC 3596."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Optional

from .._findings import Finding, LookedAt, state_of
from .._network_plan.ranges import api_server_address
from .._network_plan.reading import read_cluster
from .._refusal import Refusal
from .._waiting import Clock
from .io import Exchange, Insiders, Reply, Resolvers
from .model import dns_plan

# DNS messages, as far as address queries need them: RFC 1035, sections 3 and 4, and RFC 3596

A, AAAA = 1, 28
IN = 1
_HEADER = struct.Struct("!6H")
_ANSWER, _TRUNCATED, _RECURSION_DESIRED = 0x8000, 0x0200, 0x0100
_RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
_POINTER = 0xC0
_LONGEST_LABEL, _LONGEST_NAME = 63, 253


class Malformed(Exception):
    """Bytes that are not an answer to the question."""


@dataclass(frozen=True)
class Answer:
    """addresses: sorted, of the question's type, also through aliases. is_truncated: not all fit into the message."""

    rcode: str
    addresses: tuple[str, ...]
    is_truncated: bool = False


def query(identity: int, name: str, kind: int = A) -> bytes:
    """Return a query for the addresses of a name, without search list."""
    return _HEADER.pack(identity, _RECURSION_DESIRED, 1, 0, 0, 0) + _encoded(name) + struct.pack("!2H", kind, IN)


def is_name(name: str) -> bool:
    labels = name.rstrip(".").split(".")
    return len(name) <= _LONGEST_NAME and name.isascii() and all(0 < len(label) <= _LONGEST_LABEL for label in labels)


def answer(message: bytes, name: str, kind: int = A) -> Answer:
    """Parse the answer to the question for this name. Raises Malformed."""
    try:
        _identity, flags, questions, answers, _authorities, _additional = _HEADER.unpack_from(message)
        if not flags & _ANSWER or questions > 1:
            raise Malformed("not an answer to one question")
        position = _HEADER.size
        if questions:
            asked, position = _name(message, position)
            position += 4
            if asked.lower() != name.rstrip(".").lower():
                raise Malformed(f"an answer for {asked}")
        addresses = []
        for _number in range(answers):
            _owner, position = _name(message, position)
            its_kind, its_class, _ttl, length = struct.unpack_from("!2HIH", message, position)
            position += 10
            data = message[position : position + length]
            if len(data) < length:
                raise Malformed("truncated")
            position += length
            if its_kind == kind and its_class == IN:
                addresses.append(str(IPv4Address(data) if kind == A else IPv6Address(data)))
    except (struct.error, IndexError, ValueError) as error:
        raise Malformed(str(error)) from error
    return Answer(_RCODES.get(flags & 0xF, f"response code {flags & 0xF}"), tuple(sorted(addresses)), bool(flags & _TRUNCATED))


def _encoded(name: str) -> bytes:
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _name(message: bytes, position: int) -> tuple[str, int]:
    """Return the name at a position, and the position after it. A pointer may only lead back, so there are no loops."""
    labels: list[str] = []
    behind, limit = 0, position
    while True:
        length = message[position]
        if length & _POINTER == _POINTER:
            behind = behind or position + 2
            position = struct.unpack_from("!H", message, position)[0] & 0x3FFF
            if position >= limit:
                raise Malformed("a pointer that does not lead back")
            limit = position
        elif length & _POINTER:
            raise Malformed("a label of an unknown kind")
        elif length:
            label = message[position + 1 : position + 1 + length]
            if len(label) < length or len(labels) > _LONGEST_NAME:
                raise Malformed("truncated")
            labels.append(label.decode("ascii", "backslashreplace"))
            position += 1 + length
        else:
            return ".".join(labels), behind or position + 1


# Query names that must resolve and one that must not exist, and check the answers

TRANSPORTS = ("udp", "tcp")
ABSENT = "vmstation-dns-check"
PAUSE = 1.0
# one of several Pods may be unreachable, and each query may reach any of them
ROUNDS_TO_TRUST = 3
# the collection's own Pods, which need names
OWN_NAMESPACES = ("kube-system", "monitoring", "jellyfin")
SHOWN_PODS = 4
_PODS = "`kubectl get pods -n kube-system -l k8s-app=kube-dns -o wide`"
_LOG = "`kubectl logs -n kube-system -l k8s-app=kube-dns`"


@dataclass(frozen=True)
class Question:
    """address: must be among the answers; empty: any address. is_absent: the name must not exist.

    is_outside: a server outside the cluster has to answer, if only that the name does not exist.
    """

    name: str
    kind: int = A
    address: str = ""
    is_absent: bool = False
    is_outside: bool = False


@dataclass(frozen=True)
class Request:
    """wait: seconds during which failing questions are repeated."""

    servers: tuple[str, ...]
    questions: tuple[Question, ...]
    wait: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """The result of one question to one server over one transport. answer: None if there is no usable one; trouble: why."""

    server: str
    transport: str
    question: Question
    answer: Optional[Answer]
    trouble: str
    seconds: float


def request(params: Mapping[str, Any]) -> Request:
    """Validate the module's options."""
    plan = dns_plan(params["plan"])
    for name, least in (("timeout", 0.1), ("attempts", 1), ("wait", 0)):
        if params[name] < least:
            raise Refusal(name, f"{params[name]:g}", f"{least:g} or more", "Correct it.")
    service = api_server_address(read_cluster(params["plan"])[0].plan)
    kind = AAAA if service and service.version == 6 else A
    questions = [Question(f"kubernetes.default.svc.{plan.domain}", kind, str(service or ""))]
    for option in ("names", "names_outside"):
        for name in params[option]:
            if not is_name(name):
                raise Refusal(f"{option}: {name}", name, "a host name with its domain", "Correct it.")
            its_kind = kind if name.rstrip(".").endswith(f".{plan.domain}") else A
            questions.append(Question(name.rstrip("."), its_kind, is_outside=option == "names_outside"))
    questions.append(Question(f"{ABSENT}.default.svc.{plan.domain}", kind, is_absent=True))
    return Request(plan.addresses, tuple(questions), params["wait"])


def ask_until_well(asked: Request, resolvers: Resolvers, clock: Clock) -> list[Outcome]:
    """Return the first outcomes if all is well, else repeat until all is well for several rounds.

    After the wait, return the last outcomes with a problem.
    """
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
    """Ask every question of every server over both transports, all in parallel."""
    cases = [
        (server, transport, one)
        for server in asked.servers
        for transport in TRANSPORTS
        for one in asked.questions
        # the transport to CoreDNS does not matter for what its upstream answers
        if not one.is_outside or (server, transport) == (asked.servers[0], "udp")
    ]
    exchanges = [Exchange(server, transport, query(resolvers.identity(), one.name, one.kind)) for server, transport, one in cases]
    return [_outcome(*case, reply) for case, reply in zip(cases, resolvers.exchange(exchanges))]


def judge(outcomes: Sequence[Outcome]) -> list[Finding]:
    """Return the findings. A server without any answer over a transport is one finding, whatever the number of questions."""
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


def ask_in_pods(asked: Request, resolvers: Resolvers, insiders: Insiders) -> dict[str, Outcome]:
    """Ask the first question from inside each Pod of this host."""
    server, one = asked.servers[0], asked.questions[0]
    replies = insiders.exchange(Exchange(server, "udp", query(resolvers.identity(), one.name, one.kind)))
    return {pod: _outcome(server, "udp", one, reply) for pod, reply in sorted(replies.items())}


def judge_pods(in_pods: Mapping[str, Outcome], on_host: Sequence[Outcome]) -> list[Finding]:
    """Return a finding if Pods get no answer, although this host does. A policy may intend it for some of your own Pods."""
    silent = {pod: one.trouble for pod, one in in_pods.items() if one.answer is None}
    if not silent or all(one.answer is None for one in on_host if one.transport == "udp"):
        return []
    is_wrong = len(silent) == len(in_pods) or any(pod.split("/")[0] in OWN_NAMESPACES for pod in silent)
    some, count = ", ".join(list(silent)[:SHOWN_PODS]), len(silent)
    more = f" and {count - SHOWN_PODS} more" if count > SHOWN_PODS else ""
    return [
        Finding(
            "pods_get_answers",
            "error" if is_wrong else "warning",
            "DNS inside Pods",
            f"{next(iter(silent.values()))} in {some}{more}, of {len(in_pods)} Pods on this host; the host itself gets answers",
            "an answer in each Pod",
            "Check for a policy that denies port 53, from these Pods or to CoreDNS: `kubectl get networkpolicies --all-namespaces` and "
            "`kubectl get globalnetworkpolicies`.",
        )
    ]


def pods_as_data(in_pods: Mapping[str, Outcome]) -> list[dict[str, str]]:
    return [{"pod": pod, "answer": one.answer.rcode if one.answer else one.trouble} for pod, one in in_pods.items()]


def looked_at(outcomes: Sequence[Outcome], in_pods: Collection[str], findings: Sequence[Finding]) -> list[LookedAt]:
    """in_pods: the Pods that asked, too."""
    of_pods = f"; {len(in_pods)} Pods get answers" if in_pods else ""
    facts = f"{len(outcomes)} questions" if findings else f"{len(outcomes)} answers, all correct{of_pods}"
    return [LookedAt("DNS", facts, state_of(findings))]


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
        return Outcome(server, transport, question, None, f"a malformed response: {malformed}", reply.seconds)
    return Outcome(server, transport, question, said, "", reply.seconds)


def _silence(one: Outcome, transport: str, other_answers: bool) -> Finding:
    other = {"udp": "TCP", "tcp": "UDP"}[transport]
    if other_answers:
        fix = (
            f"It answers over {other}: a Pod of CoreDNS may be unreachable from this host ({_PODS}), a firewall or policy may allow only "
            f"{other}, or Service kube-dns may lack the port."
        )
    else:
        fix = (
            f"Check the Pods of CoreDNS ({_PODS}), the policies for them (`kubectl get networkpolicies -n kube-system` and `kubectl get "
            "globalnetworkpolicies`), kube-proxy on this host, and that its firewall allows the pod network."
        )
    return Finding(
        "the_dns_address_answers", "error", f"DNS at {one.server} over {transport.upper()}", one.trouble, "an answer on this host", fix
    )


def _of_one(one: Outcome) -> Iterator[Finding]:
    subject = f"DNS at {one.server} over {one.transport.upper()}, {one.question.name}"
    if one.question.is_outside:
        if one.answer is None or one.answer.rcode not in {"NOERROR", "NXDOMAIN"}:
            yield Finding(
                "names_outside_resolve",
                "error",
                subject,
                one.answer.rcode if one.answer else one.trouble,
                "an answer of the upstream servers, network_plan.upstream_dns",
                f"Check that these servers answer (`nslookup {one.question.name} SERVER`), and the log of CoreDNS ({_LOG}). For a "
                "network without Internet access, set `check_names_outside: []`.",
            )
    elif one.answer is None:
        yield Finding(
            "the_dns_address_answers",
            "error",
            subject,
            one.trouble,
            "an answer, as to other names",
            f"Some Pods of CoreDNS may be unreachable from this host: check each ({_PODS}).",
        )
    elif one.question.is_absent:
        if one.answer.rcode != "NXDOMAIN":
            yield Finding(
                "names_that_do_not_exist_have_no_address",
                "error",
                subject,
                " ".join((one.answer.rcode, *one.answer.addresses)),
                "NXDOMAIN",
                "Another DNS server than the cluster's answers here, or its Corefile invents names: check the Corefile and the Service.",
            )
    elif one.answer.rcode != "NOERROR" or not (one.answer.addresses or one.answer.is_truncated):
        inside = one.question.address
        yield Finding(
            "names_resolve",
            "error",
            subject,
            one.answer.rcode if one.answer.rcode != "NOERROR" else "no address",
            f"{inside}, the address of the API server" if inside else "an address",
            f"Check the log of CoreDNS ({_LOG}): it may not reach the API server or the upstream.",
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
