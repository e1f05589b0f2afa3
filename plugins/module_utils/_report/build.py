# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report, from what the checks returned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._report.groups import TITLES
from ansible_collections.vmstation.cluster.plugins.module_utils._report.lines import lines
from ansible_collections.vmstation.cluster.plugins.module_utils._report.model import (
    MARKS,
    Entry,
    Fact,
    Host,
    Line,
    Link,
    Mark,
    Network,
    Port,
    Report,
    ServiceMark,
    worst,
)

LINKED_HOSTS = 24
"""A report of more hosts lists no links: their number grows with the square, and the hosts' own lines say the same."""

_CARRIES = {
    "IPIP": "BGP session, IP-in-IP tunnel",
    "IPIPCrossSubnet": "BGP session, IP-in-IP tunnel between subnets",
    "VXLAN": "VXLAN tunnel",
    "VXLANCrossSubnet": "VXLAN tunnel between subnets",
    "None": "BGP session",
}
_ON_A_CARD = {"nodes": "Node", "calico": "Calico", "dns": "DNS", "firewall": "Firewall"}


def report(params: Mapping[str, Any]) -> Report:
    """Of the options of check_report."""
    entries = [Entry(one["group"], one["check"], one["host"] or "", one["result"]) for one in params["results"]]
    plan, nodes, asleep = params["plan"], params["nodes"], set(params["asleep"])
    told = tuple(lines(entries, [node["name"] for node in nodes], asleep))
    derived = _result(entries, "network_plan_check").get("derived") or {}
    services = _result(entries, "service_check").get("services") or ()
    hosts = tuple(_host(node, told, entries, asleep, services) for node in nodes)
    groups = {entry.group for entry in entries}
    return Report(
        cluster=params["cluster"],
        generated_at=params["generated_at"],
        groups=tuple(group for group in TITLES if group in groups),
        lines=told,
        network=_network(plan, derived),
        hosts=hosts,
        links=tuple(_links(hosts, told, str(plan.get("encapsulation") or "IPIP"))),
        services=tuple(_services(plan, told)),
        ports=tuple(_ports(params["ports"] or derived.get("ports") or {})),
        api_calls=sum(int(entry.result.get("api_calls") or 0) for entry in entries),
    )


def _result(entries: Iterable[Entry], check: str) -> Mapping[str, Any]:
    return next((entry.result for entry in entries if entry.check == check), {})


def _host(
    node: Mapping[str, Any], told: Sequence[Line], entries: Sequence[Entry], asleep: set[str], services: Iterable[Mapping[str, Any]]
) -> Host:
    name = str(node["name"])
    own = [line for line in told if line.is_about(name)]
    facts = [
        Fact(group, worst(line.mark for line in own if line.group == group), title)
        for group, title in _ON_A_CARD.items()
        if any(line.group == group for line in own)
    ]
    answers = [answer for one in services for answer in one.get("answers") or () if answer["node"] == name]
    if answers:
        well = sum(not answer["problem"] and answer["status"] < 400 for answer in answers)
        facts.append(Fact("services", "ok" if well == len(answers) else "error", f"NodePorts {well} of {len(answers)}"))
    marks = [line.mark for line in own] + [fact.mark for fact in facts]
    return Host(name, _listed(node.get("address")), str(node.get("role") or ""), _power(name, entries, asleep), worst(marks), tuple(facts))


def _power(name: str, entries: Iterable[Entry], asleep: set[str]) -> str:
    if name in asleep:
        return "asleep"
    reached = next((entry.result for entry in entries if entry.check == "ping" and entry.host == name), {})
    if not reached:
        return "unknown"
    return "unreachable" if reached.get("unreachable") or reached.get("failed") else "awake"


def _links(hosts: Sequence[Host], told: Sequence[Line], encapsulation: str) -> Iterable[Link]:
    """Each pair of hosts. A finding that names both is theirs; others count for all links of their host."""
    if len(hosts) > LINKED_HOSTS:
        return
    calico = [line for line in told if line.group in {"calico", "pod_network"}]
    kind = _CARRIES.get(encapsulation, encapsulation)
    for one, other in combinations(hosts, 2):
        named = [line for line in calico if _about_both(line, one.name, other.name)]
        if one.power == "asleep" or other.power == "asleep":
            sleeper = one.name if one.power == "asleep" else other.name
            yield Link(one.name, other.name, kind, "asleep", f"{sleeper} is asleep")
        elif named:
            line = max(named, key=lambda line: MARKS.index(line.mark))
            yield Link(one.name, other.name, kind, line.mark, line.finding)
        else:
            ends = {host.name: _verdict(calico, host.name, hosts) for host in (one, other)}
            mark = worst(ends.values())
            blamed = ", ".join(name for name, verdict in ends.items() if verdict == mark)
            yield Link(one.name, other.name, kind, mark, "as planned" if mark == "ok" else _why(mark, blamed))


def _verdict(calico: Sequence[Line], name: str, hosts: Sequence[Host]) -> Mark:
    """Of a host's end of its links, without findings that are about another pair of hosts."""
    others = [host.name for host in hosts if host.name != name]
    return worst(line.mark for line in calico if line.is_about(name) and not any(_about_both(line, name, other) for other in others))


def _why(mark: Mark, blamed: str) -> str:
    return f"not known: nothing was said of {blamed}" if mark == "unknown" else f"see what is said of {blamed}"


def _about_both(line: Line, one: str, other: str) -> bool:
    words = f"{line.subject} {line.finding}".replace(",", " ").replace(":", " ").replace("(", " ").replace(")", " ").split()
    return line.mark != "ok" and one in words and other in words


def _services(plan: Mapping[str, Any], told: Sequence[Line]) -> Iterable[ServiceMark]:
    for one in plan.get("services") or ():
        subject = f"Service {one.get('namespace')}/{one.get('name')}"
        marks = [line.mark for line in told if line.subject == subject]
        yield ServiceMark(str(one.get("namespace")), str(one.get("name")), int(one.get("node_port") or 0), worst(marks))


def _ports(ports: Mapping[str, Iterable[Mapping[str, Any]]]) -> Iterable[Port]:
    for role, openings in ports.items():
        for one in openings:
            opening = f"{one['port']}/{one['protocol']}" if one.get("port") else f"protocol {one['protocol']}"
            words = (str(one.get(key) or "") for key in ("name", "reason", "document"))
            yield Port(role, opening, tuple(one.get("sources") or ()), *words)


def _network(plan: Mapping[str, Any], derived: Mapping[str, Any]) -> Network:
    return Network(
        _listed(plan.get("node_cidr")),
        _listed(plan.get("gateway")),
        _listed(plan.get("pod_cidr")),
        _listed(plan.get("service_cidr")) + tuple(derived.get("extra_service_cidrs") or ()),
        _listed(plan.get("dns_service_ip")),
        str(plan.get("encapsulation") or ""),
    )


def _listed(value: object) -> tuple[str, ...]:
    """One of the plan's values that may also be a list."""
    if isinstance(value, (list, tuple)):
        return tuple(str(one) for one in value)
    return (str(value),) if value else ()
