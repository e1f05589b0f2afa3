# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS messages byte by byte, real sockets on loopback, and the judgement of what a node is told."""

from __future__ import annotations

import random
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._dns import answers
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.answers import (
    ABSENT,
    Answer,
    Malformed,
    Question,
    Request,
    answer,
    ask,
    ask_in_pods,
    ask_until_well,
    judge,
    judge_pods,
    query,
    request,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.io import Exchange, HostResolvers, Reply
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.clock import START, Clock
from tests.unit.network_plan.plans import SPECIFICATION

API = "kubernetes.default.svc.cluster.local"
# captured once from CoreDNS 1.14: identity 0x1234, AA, RD; the owner of the record is a pointer to the question
WIRE = bytes.fromhex(
    "1234 8500 0001 0001 0000 0000"
    "0a6b756265726e65746573 0764656661756c74 03737663 07636c7573746572 056c6f63616c 00 0001 0001"
    "c00c 0001 0001 00000005 0004 0a600001"
)
TRUNCATED = 0x0200  # beside a response code: RFC 1035, section 4.1.1


def packed(name: str, rcode: int, *addresses: str, identity: int = 0x1234, aliases: bool = False) -> bytes:
    question = query(identity, name)[12:]
    records = b"".join(b"\xc0\x0c" + struct.pack("!2HIH", 1, 1, 5, 4) + socket.inet_aton(one) for one in addresses)
    alias = b"\xc0\x0c" + struct.pack("!2HIH", 5, 1, 5, 2) + b"\xc0\x0c" if aliases else b""
    return struct.pack("!6H", identity, 0x8400 | rcode, 1, len(addresses) + aliases, 0, 0) + question + alias + records


def test_a_question_on_the_wire() -> None:
    assert query(0x1234, API) == WIRE[:2] + bytes.fromhex("0100 0001 0000 0000 0000") + WIRE[12 : 12 + 42]


def test_an_answer_off_the_wire() -> None:
    assert answer(WIRE, API) == Answer("NOERROR", ("10.96.0.1",))


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (packed(API, 3), Answer("NXDOMAIN", ())),
        (packed(API, 2), Answer("SERVFAIL", ())),
        (packed(API, 11), Answer("response code 11", ())),
        (packed(API, 0, "10.96.0.1", "10.0.0.7", aliases=True), Answer("NOERROR", ("10.0.0.7", "10.96.0.1"))),
        (packed(API.upper(), 0, "10.96.0.1"), Answer("NOERROR", ("10.96.0.1",))),
        (packed(API, TRUNCATED, "10.0.0.7"), Answer("NOERROR", ("10.0.0.7",), is_truncated=True)),
    ],
)
def test_answers_are_read(payload: bytes, expected: Answer) -> None:
    assert answer(payload, f"{API}.") == expected


def test_an_answer_with_ipv6() -> None:
    record = b"\xc0\x0c" + struct.pack("!2HIH", 28, 1, 5, 16) + socket.inet_pton(socket.AF_INET6, "fd00:10:96::1")
    payload = struct.pack("!6H", 1, 0x8400, 1, 1, 0, 0) + query(1, API, answers.AAAA)[12:] + record
    assert answer(payload, API, answers.AAAA).addresses == ("fd00:10:96::1",)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        WIRE[:20],
        WIRE[:-1],
        query(0x1234, API),
        packed("another.name", 0),
        WIRE.replace(b"\xc0\x0c", b"\xc0\x36"),
        WIRE.replace(b"\xc0\x0c", b"\x80\x0c"),
        WIRE.replace(b"\x00\x04\x0a", b"\x00\x03\x0a"),
    ],
    ids=["nothing", "cut off", "one byte short", "a question", "another name", "pointer to itself", "unknown label", "short address"],
)
def test_what_is_no_answer_is_malformed(payload: bytes) -> None:
    with pytest.raises(Malformed):
        answer(payload, API)


def test_no_bytes_do_harm() -> None:
    chance = random.Random(1)
    for _round in range(5000):
        mangled = bytearray(WIRE)
        for _slip in range(chance.randrange(1, 6)):
            mangled[chance.randrange(len(mangled))] = chance.randrange(256)
        with suppress(Malformed):
            answer(bytes(mangled[: chance.randrange(len(mangled) + 1)]), API)


class Dns:
    """A server on loopback with a list of what it does with each datagram or connection."""

    def __init__(self, *does: str) -> None:
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.port = self.udp.getsockname()[1]
        self.tcp = socket.create_server(("127.0.0.1", self.port))
        self.does = list(does)
        for work in (self.datagrams, self.connections):
            threading.Thread(target=work, daemon=True).start()

    def datagrams(self) -> None:
        while True:
            payload, peer = self.udp.recvfrom(1000)
            what = self.does.pop(0) if self.does else "answer"
            if what == "stale":
                self.udp.sendto(b"\0\0" + packed(API, 3)[2:], peer)
            if what != "lose":
                self.udp.sendto(payload[:2] + WIRE[2:], peer)

    def connections(self) -> None:
        while True:
            connection, _peer = self.tcp.accept()
            with connection:
                payload = connection.recv(1000)
                whole = struct.pack("!H", len(WIRE)) + payload[2:4] + WIRE[2:]
                what = self.does.pop(0) if self.does else "answer"
                if what == "half":
                    connection.sendall(whole[:20])
                elif what == "lose":
                    connection.recv(1)
                else:
                    for byte in whole:
                        connection.sendall(bytes([byte]))


def reply(server: Dns, transport: str, attempts: int = 2) -> Reply:
    (one,) = HostResolvers(0.3, attempts, server.port).exchange([Exchange("127.0.0.1", transport, query(0x1234, API))])
    return one


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_an_answer_comes_over_both_transports(transport: str) -> None:
    assert reply(Dns(), transport).payload == WIRE


@pytest.mark.parametrize("does", ["lose", "stale"])
def test_a_lost_or_late_datagram_is_no_trouble(does: str) -> None:
    assert reply(Dns(does), "udp").payload == WIRE


@pytest.mark.parametrize(
    ("transport", "does", "trouble"),
    [
        ("udp", ["lose", "lose"], "no answer within 0.6 s"),
        ("tcp", ["lose"], "no answer within 0.3 s"),
        ("tcp", ["half"], "connection closed before the end of the answer"),
    ],
)
def test_silence_is_bounded_and_named(transport: str, does: list[str], trouble: str) -> None:
    assert reply(Dns(*does), transport).trouble == trouble


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_where_nobody_listens_the_refusal_is_named(transport: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (one,) = HostResolvers(2, 2, port).exchange([Exchange("127.0.0.1", transport, query(1, API))])
    assert one.trouble == "connection refused"
    assert one.seconds < 1


class Told:
    """Answers by name; a name may be given another answer over one transport. A text in the place of a code is trouble."""

    def __init__(self, **changes: object) -> None:
        self.changes = changes

    def identity(self) -> int:
        return 0x1234

    def exchange(self, exchanges: list[Exchange]) -> Iterator[Reply]:
        for one in exchanges:
            labels, position = [], 12
            while one.payload[position]:
                labels.append(one.payload[position + 1 : position + 1 + one.payload[position]].decode())
                position += 1 + one.payload[position]
            name = ".".join(labels)
            kind = "api" if name == API else "absent" if name.startswith(ABSENT) else "other"
            right = {"api": (0, "10.96.0.1"), "absent": (3,), "other": (0, "10.0.0.7")}[kind]
            told = self.changes.get(f"{kind}_{one.transport}", self.changes.get(one.transport, self.changes.get(kind, right)))
            yield Reply(trouble=told) if isinstance(told, str) else Reply(packed(name, *told))


OPTIONS = {
    "plan": SPECIFICATION, "names": ["grafana.monitoring.svc.cluster.local"], "names_outside": [], "timeout": 3, "attempts": 2, "wait": 0,
}  # fmt: skip
ASKED = request(OPTIONS)


def test_what_is_asked_follows_from_the_plan() -> None:
    assert ASKED.servers == ("10.233.0.3",)
    assert ASKED.questions[0] == Question(API, answers.A, "10.96.0.1")
    assert ASKED.questions[-1] == Question("vmstation-dns-check.default.svc.cluster.local", is_absent=True)


def found(asked: Request = ASKED, **changes: object) -> list[tuple[str, str]]:
    return [(one.rule, one.subject) for one in judge(ask(asked, Told(**changes)))]


def test_healthy_dns_has_no_findings() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"udp": "no answer within 6 s", "tcp": "no answer within 3 s"},
            [("the_dns_address_answers", "UDP"), ("the_dns_address_answers", "TCP")],
        ),
        ({"udp": "no answer within 6 s"}, [("the_dns_address_answers", "UDP")]),
        ({"other_udp": "no answer within 6 s"}, [("the_dns_address_answers", "UDP, grafana.monitoring.svc.cluster.local")]),
        ({"api_tcp": (2,)}, [("names_resolve", f"TCP, {API}")]),
        ({"api_udp": (0,)}, [("names_resolve", f"UDP, {API}")]),
        ({"api_udp": (0, "10.43.0.1")}, [("names_have_their_addresses", f"UDP, {API}")]),
        ({"other_udp": (TRUNCATED,)}, []),
        ({"absent_udp": (0, "203.0.113.9")}, [("names_that_do_not_exist_have_no_address", f"UDP, {ABSENT}.default.svc.cluster.local")]),
        ({"absent_tcp": (2,)}, [("names_that_do_not_exist_have_no_address", f"TCP, {ABSENT}.default.svc.cluster.local")]),
    ],
)
def test_what_a_node_is_told_is_judged(changes: dict[str, object], expected: list[tuple[str, str]]) -> None:
    assert found(**changes) == [(rule, f"DNS at 10.233.0.3 over {subject}") for rule, subject in expected]


@pytest.mark.parametrize(
    ("said", "trouble"), [((0, "203.0.113.9"), ""), ((3,), ""), ((2,), "SERVFAIL"), ((5,), "REFUSED"), ("no answer within 6 s",) * 2]
)
def test_an_upstream_has_to_answer_for_names_outside(said: object, trouble: str) -> None:
    asked = request({**OPTIONS, "names": [], "names_outside": ["kubernetes.io"]})
    told = ask(asked, Told(other_udp=said))
    # once, over UDP
    assert [one.transport for one in told if one.question.is_outside] == ["udp"]
    expected = [("names_outside_resolve", "DNS at 10.233.0.3 over UDP, kubernetes.io", trouble)] if trouble else []
    assert [(one.rule, one.subject, one.found) for one in judge(told)] == expected


class Insiders:
    """Pods, each with what it gets for an answer."""

    def __init__(self, **pods: str) -> None:
        self.pods = {name.replace("__", "/"): trouble for name, trouble in pods.items()}

    def exchange(self, exchange: Exchange) -> dict[str, Reply]:
        assert (exchange.server, exchange.transport) == ("10.233.0.3", "udp")
        well = packed(API, 0, "10.96.0.1", identity=int.from_bytes(exchange.payload[:2], "big"))
        return {pod: Reply(trouble=trouble) if trouble else Reply(well) for pod, trouble in self.pods.items()}


SILENT = "no answer within 6 s"


@pytest.mark.parametrize(
    ("pods", "severity", "found"),
    [
        ({}, "", ""),
        ({"default__a": "", "kube-system__dns": ""}, "", ""),
        ({"default__a": SILENT}, "error", f"{SILENT} in default/a, of 1 Pods on this host; the host itself gets answers"),
        ({"default__a": SILENT, "other__b": ""}, "warning", f"{SILENT} in default/a, of 2 Pods on this host"),
        ({"monitoring__a": SILENT, "other__b": ""}, "error", f"{SILENT} in monitoring/a, of 2 Pods on this host"),
        ({f"x__{letter}": SILENT for letter in "abcdef"}, "error", f"{SILENT} in x/a, x/b, x/c, x/d and 2 more, of 6 Pods"),
    ],
)
def test_pods_that_get_no_answer_are_found(pods: dict[str, str], severity: str, found: str) -> None:
    in_pods = ask_in_pods(ASKED, Told(), Insiders(**pods))
    findings = judge_pods(in_pods, ask(ASKED, Told()))
    assert [one.severity for one in findings] == ([severity] if severity else [])
    assert all(one.found.startswith(found) and "globalnetworkpolicies" in one.fix for one in findings)
    # where the host itself gets none, that is told, and not what follows from it
    assert judge_pods(in_pods, ask(ASKED, Told(udp=SILENT))) == []


def test_one_silent_transport_points_at_what_passes_the_other_alone() -> None:
    (one,) = judge(ask(ASKED, Told(udp="no answer within 6 s")))
    assert one.fix.startswith("It answers over TCP")


class Rounds:
    """Tells a round of questions what its turn says: all is well, or nothing comes over TCP. The last turn is for good."""

    def __init__(self, *are_well: bool) -> None:
        self.are_well = list(are_well)
        self.asked = 0

    def identity(self) -> int:
        return 0x1234

    def exchange(self, exchanges: list[Exchange]) -> list[Reply]:
        is_well = self.are_well[min(self.asked, len(self.are_well) - 1)]
        self.asked += 1
        return list((Told() if is_well else Told(tcp=f"trouble {self.asked}")).exchange(exchanges))


@pytest.mark.parametrize(
    ("wait", "are_well", "rounds", "found_at_last"),
    [
        (60, [True, False], 1, []),
        (60, [False, True], 4, []),
        (60, [False, True, True, False, True], 7, []),
        (0, [False, True], 1, ["trouble 1"]),
        (5, [False], 6, ["trouble 6"]),
        # two rounds that are well are too few where every other Pod is out of reach
        (5, [False, False, False, False, True], 6, ["trouble 4"]),
    ],
)
def test_what_is_wrong_is_asked_again_until_it_is_well_for_good(
    wait: float, are_well: list[bool], rounds: int, found_at_last: list[str]
) -> None:
    resolvers, clock = Rounds(*are_well), Clock()
    outcomes = ask_until_well(request({**OPTIONS, "wait": wait}), resolvers, clock)
    assert [one.found for one in judge(outcomes)] == found_at_last
    assert resolvers.asked == rounds
    assert clock.time - START <= wait


@pytest.mark.parametrize("change", [{"names": ["a..b"]}, {"timeout": 0}, {"attempts": 0}, {"wait": -1}])
def test_options_that_cannot_be_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(Refusal, match=next(iter(change))):
        request({**OPTIONS, **change})
