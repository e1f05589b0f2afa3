# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the report from the results of the checks: its lines, and the hosts, links, networks and services that they are about."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, Optional

from .._mac_vendors import with_vendor
from .._refusal import Refusal
from .._site.hosts import EXAMPLE, registered
from .._wake.wake import six_octets
from .model import MARKS, TITLES, Entry, Fact, Host, Line, Link, Mark, Network, Port, Report, ServiceMark, worst

_LONGEST = 1000
_AGAIN = "Correct the problem, and run check.yml again."
PLAN_EXAMPLE = f"{EXAMPLE}/group_vars/all/network_plan.yml"


def lines(entries: Iterable[Entry], nodes: Sequence[Mapping[str, Any]], asleep: Iterable[str]) -> list[Line]:
    """Return all lines, in the order of the groups. nodes: all hosts; asleep: those that are asleep and not checked."""
    every, known, sleeping = list(entries), {node["name"].lower(): node["name"] for node in nodes}, set(asleep)
    cut_off = {entry.host for entry in every if entry.is_unreachable}
    found = [_asleep(node) for node in nodes if node["name"] in sleeping and any(entry.group == "hosts" for entry in every)]
    for entry in every:
        # report only once that a host is asleep or unreachable
        if entry.host in sleeping or (entry.host in cut_off and not entry.has_run and not entry.is_unreachable):
            continue
        if not (entry.is_unreachable and any(line.subject == f"host {entry.host}" and line.mark == "error" for line in found)):
            found += _of_entry(entry)
    found = list(_once(found))
    order = list(TITLES)
    named = (replace(line, hosts=tuple(known.get(host.lower(), host) for host in line.hosts)) for line in found)
    return sorted(named, key=lambda line: order.index(line.group))


def _asleep(node: Mapping[str, Any]) -> Line:
    """Return the line of a host that is asleep, with the network card that must wake it."""
    octets = six_octets(str(node.get("mac") or ""))
    card = f"; its MAC address: {with_vendor(octets.hex(':'))}" if octets else ""
    found = f"asleep: its port is silent, and it may be put to sleep{card}"
    return Line("hosts", f"host {node['name']}", "asleep", found, hosts=(node["name"],))


def without_plan(unchecked: Collection[str]) -> Iterator[Line]:
    """Yield one line for all groups that were not checked because there is no network plan."""
    if unchecked:
        fix = f"Write network_plan in group_vars/all beside your inventory, with the values of your cluster. {PLAN_EXAMPLE} is an example."
        found = f"no value; not checked without it: {', '.join(title for group, title in TITLES.items() if group in unchecked)}"
        yield Line("plan", "network_plan", "error", found, "the networks and ports of the cluster", fix, "the_plan_is_given")


def _once(found: Iterable[Line]) -> Iterator[Line]:
    """Leave out a problem that another check reports with the same next step, and the better of two marks."""
    worst_of: dict[tuple[str, str], Line] = {}
    every = list(found)
    for line in every:
        kept = worst_of.setdefault(_problem(line), line)
        if MARKS.index(line.mark) > MARKS.index(kept.mark):
            worst_of[_problem(line)] = line
    for line in every:
        kept = worst_of[_problem(line)]
        if line is kept or line.group == kept.group or line.mark == "ok" or not line.fix:
            yield line


def _problem(line: Line) -> tuple[str, str]:
    return line.subject.lower(), line.fix


def _of_entry(entry: Entry) -> Iterator[Line]:
    if not entry.has_run:
        yield _without_result(entry)
        return
    items, findings = entry.result.get("looked_at") or (), entry.result.get("findings") or ()
    by_subject = {_subject(entry, item).lower(): item for item in items}
    reported = [_of_finding(entry, finding, by_subject) for finding in findings]
    yield from reported
    for item in items:
        subject, mark, hosts = _subject(entry, item), mark_of(item), _hosts(entry, item)
        if not any(line.subject.lower() == subject.lower() for line in reported) and not _is_explained(mark, hosts, reported):
            yield Line(entry.group, subject, mark, str(item["facts"]), hosts=hosts)
    if not items and not findings:
        yield from _of_plain_task(entry)


def _of_finding(entry: Entry, finding: Mapping[str, Any], by_subject: Mapping[str, Mapping[str, Any]]) -> Line:
    subject, mark = _subject(entry, finding), _mark(str(finding["severity"]))
    item = by_subject.get(subject.lower())
    if mark == "ok" and item and item["state"] == "asleep":
        mark = "asleep"
    found, expected, fix = (str(finding[key]) for key in ("found", "expected", "fix"))
    return Line(entry.group, subject, mark, found, expected, fix, str(finding["rule"]), _hosts(entry, finding))


def _is_explained(mark: Mark, hosts: Sequence[str], reported: Iterable[Line]) -> bool:
    """Return whether a problem of an object has a line of its own: a finding that is as bad, about one of its hosts if it has some."""
    related = [line.mark for line in reported if not hosts or set(hosts) & set(line.hosts)]
    return mark not in {"ok", "asleep"} and bool(related) and MARKS.index(worst(related)) >= MARKS.index(mark)


def _of_plain_task(entry: Entry) -> Iterator[Line]:
    """A task that is no check shows only that Ansible can work on its host. A check that looked at nothing knows nothing."""
    if "findings" in entry.result:
        yield Line(entry.group, _named(entry), "unknown", "nothing was checked", "a result", _AGAIN, hosts=_hosts(entry, {}))
    elif entry.host:
        yield Line(entry.group, f"host {entry.host}", "ok", "awake, and Ansible can work on it", hosts=(entry.host,))


def _subject(entry: Entry, about: Mapping[str, Any]) -> str:
    subject = str(about["subject"])
    return subject if not entry.host or entry.host in subject else f"host {entry.host}: {subject}"


def _hosts(entry: Entry, about: Mapping[str, Any]) -> tuple[str, ...]:
    return (entry.host,) if entry.host else tuple(about.get("hosts") or ())


def _mark(severity: str) -> Mark:
    return "ok" if severity == "info" else next((mark for mark in MARKS if mark == severity), "error")


def mark_of(item: Mapping[str, Any]) -> Mark:
    return next((mark for mark in MARKS if mark == item["state"]), "unknown")


def _named(entry: Entry) -> str:
    return f"{entry.check} on {entry.host}" if entry.host else entry.check


def _without_result(entry: Entry) -> Line:
    """Return an error line for a check without a result, as nothing is known."""
    result, subject, hosts = entry.result, _named(entry), _hosts(entry, {})
    if entry.is_unreachable:
        fix = f"Check that {entry.host} is on and that `ssh` reaches it. If it may sleep, set `sleeps: true` in the inventory."
        return Line(entry.group, f"host {entry.host}", "error", _message(result), "a host that Ansible can reach", fix, hosts=hosts)
    if not result:
        fix = "See in the output above which task failed, and correct the problem."
        return Line(entry.group, subject, "error", "the check did not run", "a result", fix, hosts=hosts)
    failure = result.get("failure")
    if failure:
        found = f"no result: {failure['subject']}: {failure['found']}"
        return Line(entry.group, subject, "error", found, str(failure["expected"]), str(failure["fix"]), hosts=hosts)
    return Line(entry.group, subject, "error", f"no result: {_message(result)}", "a result", _AGAIN, hosts=hosts)


def _message(result: Mapping[str, Any]) -> str:
    said = " ".join(str(result.get("msg") or "no reason given").split())
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}..."


# The results of the plays before, as check_report takes them

_KEYS = {"check", "groups", "result"}
_RETURNED = ("findings", "looked_at", "failure", "api_calls", "changed", "failed", "unreachable", "msg")
"""Of what a task returned, what the report needs."""


def check_results(hostvars: object, hosts: Iterable[str], groups: Iterable[str], checks: object) -> list[dict[str, Any]]:
    """Return the results of the groups' checks for check_report. A check without a result has an empty one.

    checks: of each its name, its groups, the variable of its result, whether each host has one (each_host), and whether there may be none
    (optional).
    """
    if not isinstance(hostvars, Mapping):
        raise Refusal("check_results", repr(hostvars), "the variable hostvars", "Write `hostvars | vmstation.cluster.check_results(...)`.")
    if not isinstance(checks, (list, tuple)) or not all(isinstance(one, Mapping) and {*one} >= _KEYS for one in checks):
        raise Refusal("check_results", repr(checks), "a list of checks", f"Give each check the keys {', '.join(sorted(_KEYS))}.")
    names, wanted = list(hosts), set(groups)
    seen = {name: registered(hostvars, name) for name in names}
    entries: list[dict[str, Any]] = []
    for one in checks:
        variable, own = one["result"], [group for group in one["groups"] if group in wanted]
        if one.get("each_host"):
            results = {name: seen[name].get(variable, {}) for name in names}
        else:
            results = {"": next((seen[name][variable] for name in names if variable in seen[name]), {})}
        for host, result in results.items():
            is_left_out = result.get("skipped") or (one.get("optional") and not result)
            parts = {} if is_left_out else _by_group({key: result[key] for key in _RETURNED if key in result}, own)
            entries += [{"group": group, "check": one["check"], "host": host, "result": part} for group, part in parts.items()]
    return entries


def _by_group(result: Mapping[str, Any], groups: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Split a result by group. A missing result, and the number of requests, are reported once."""
    if len(groups) < 2 or "findings" not in result:
        return dict.fromkeys(groups[:1], result)
    return {
        group: {
            **{key: [one for one in result.get(key) or () if one["group"] == group] for key in ("findings", "looked_at")},
            "api_calls": 0 if index else result.get("api_calls", 0),
        }
        for index, group in enumerate(groups)
    }


LINKED_HOSTS = 24
"""With more hosts, the report lists no links: there are too many, and the hosts' own lines show the same."""

_CARRIES = {
    "IPIP": "BGP session, IP-in-IP tunnel",
    "IPIPCrossSubnet": "BGP session, IP-in-IP tunnel between subnets",
    "VXLAN": "VXLAN tunnel",
    "VXLANCrossSubnet": "VXLAN tunnel between subnets",
    "None": "BGP session",
}
_ON_A_CARD = {"nodes": "Node", "calico": "Calico", "dns": "DNS", "firewall": "Firewall", "services": "NodePorts"}
_BETWEEN_HOSTS = {"calico", "pod_network"}
_COUNTED = {"services"}
"""Groups with many objects on each host, of which the card shows how many are ok."""


def report(params: Mapping[str, Any]) -> Report:
    """Build the report from the options of check_report."""
    entries = [Entry(one["group"], one["check"], one["host"] or "", one["result"]) for one in params["results"]]
    plan, nodes, asleep = params["plan"], params["nodes"], set(params["asleep"])
    shown = (*without_plan(params["unchecked"]), *lines(entries, nodes, asleep))
    derived = params["derived"] or {}
    hosts = tuple(_host(node, shown, entries, asleep) for node in nodes)
    groups = {*(entry.group for entry in entries), *(line.group for line in shown)}
    return Report(
        cluster=params["cluster"],
        generated_at=params["generated_at"],
        groups=tuple(group for group in TITLES if group in groups),
        lines=shown,
        network=_network(plan, derived),
        hosts=hosts,
        links=tuple(_links(hosts, shown, entries, str(plan.get("encapsulation") or "IPIP"))) if plan else (),
        services=tuple(_services(plan, shown)),
        ports=tuple(_ports(derived.get("ports") or {})),
        api_calls=sum(int(entry.result.get("api_calls") or 0) for entry in entries),
    )


def _host(node: Mapping[str, Any], shown: Sequence[Line], entries: Sequence[Entry], asleep: set[str]) -> Host:
    name = str(node["name"])
    own = [line for line in shown if name in line.hosts]
    facts = tuple(fact for fact in (_fact(group, name, own, entries) for group in _ON_A_CARD) if fact)
    mark = worst(line.mark for line in own)
    return Host(name, _listed(node.get("address")), str(node.get("role") or ""), _power(name, entries, asleep), mark, facts)


def _fact(group: str, name: str, own: Sequence[Line], entries: Iterable[Entry]) -> Optional[Fact]:
    text, of_group = _ON_A_CARD[group], [line for line in own if line.group == group]
    if group in _COUNTED:
        every = {str(item["subject"]) for item in _looked_at(entries, {group}, name)}
        ill = {line.subject for line in of_group if line.mark != "ok"}
        mark = worst(line.mark for line in of_group) if ill else "ok"
        return Fact(group, mark, f"{text} {len(every - ill)} of {len(every | ill)}") if every | ill else None
    return Fact(group, worst(line.mark for line in of_group), text) if of_group else None


def _looked_at(entries: Iterable[Entry], groups: Collection[str], name: str) -> Iterator[Mapping[str, Any]]:
    """Yield what the checks of these groups looked at on a host."""
    for entry in entries:
        for item in (entry.result.get("looked_at") or ()) if entry.group in groups else ():
            if name.lower() in (host.lower() for host in item["hosts"]):
                yield item


def _power(name: str, entries: Iterable[Entry], asleep: set[str]) -> str:
    if name in asleep:
        return "asleep"
    results = [entry for entry in entries if entry.host == name and entry.result]
    if not results:
        return "unknown"
    return "awake" if any(entry.has_run for entry in results) and not any(entry.is_unreachable for entry in results) else "unreachable"


def _links(hosts: Sequence[Host], shown: Sequence[Line], entries: Sequence[Entry], encapsulation: str) -> Iterable[Link]:
    """Yield a link for each pair of hosts. A finding that names both is the link's; others count for all links of their host."""
    if len(hosts) > LINKED_HOSTS:
        return
    calico = [line for line in shown if line.group in _BETWEEN_HOSTS]
    states = {host.name: worst(mark_of(item) for item in _looked_at(entries, _BETWEEN_HOSTS, host.name)) for host in hosts}
    kind = _CARRIES.get(encapsulation, encapsulation)
    for one, other in combinations(hosts, 2):
        named = [line for line in calico if line.mark != "ok" and {one.name, other.name} <= {*line.hosts}]
        if one.power == "asleep" or other.power == "asleep":
            sleeper = one.name if one.power == "asleep" else other.name
            yield Link(one.name, other.name, kind, "asleep", f"{sleeper} is asleep")
        elif named:
            line = max(named, key=lambda line: MARKS.index(line.mark))
            yield Link(one.name, other.name, kind, line.mark, line.finding)
        else:
            ends = {host.name: _verdict(calico, host.name, states[host.name]) for host in (one, other)}
            mark = worst(ends.values())
            blamed = ", ".join(name for name, verdict in ends.items() if verdict == mark)
            yield Link(one.name, other.name, kind, mark, "matches the plan" if mark == "ok" else _why(mark, blamed))


def _verdict(lines: Sequence[Line], name: str, state: Mark) -> Mark:
    """Return the verdict for a host's end of its links. state: of the host as a whole, which an error of another link spoils."""
    own = [line.mark for line in lines if line.hosts == (name,)]
    return worst(own) if own else "ok" if state in {"warning", "error"} else state


def _why(mark: Mark, blamed: str) -> str:
    return f"unknown: no result for {blamed}" if mark == "unknown" else f"see the findings about {blamed}"


def _services(plan: Mapping[str, Any], shown: Sequence[Line]) -> Iterable[ServiceMark]:
    for one in plan.get("services") or ():
        subject = f"Service {one.get('namespace')}/{one.get('name')}"
        marks = [line.mark for line in shown if line.subject == subject]
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
    """Return a value of the plan that may be a list, as a tuple."""
    if isinstance(value, (list, tuple)):
        return tuple(str(one) for one in value)
    return (str(value),) if value else ()
