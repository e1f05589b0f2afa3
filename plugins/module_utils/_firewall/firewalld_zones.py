# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""firewalld's D-Bus interface, rich rules and files, as far as this collection uses them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from typing import Any, Optional
from xml.etree import ElementTree
from xml.parsers import expat
from zlib import crc32

from .._host.commands import Commands
from .._json import read_json
from .._refusal import Refusal
from .backend import Step
from .model import EVERYONE, Opening, PortSet

# D-Bus access with `busctl`, which is part of systemd and does not start Python

NAME = "org.fedoraproject.FirewallD1"
OBJECT = "/org/fedoraproject/FirewallD1"
CONFIG = f"{OBJECT}/config"
PATIENCE = 55  # seconds; a reload of a large configuration is slow
# without it, a call would start a stopped firewalld
NO_START = "--auto-start=no"

Json = Any  # the caller knows the type of the answer


class Bus:
    """firewalld's D-Bus interface. Interfaces are named without firewalld's own prefix: ``zone``, ``config.zone``."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._answers: dict[tuple[str, ...], Json] = {}
        self._version: Optional[str] = None

    def forget(self) -> None:
        """Clear the cached answers: firewalld's state may have changed."""
        self._answers.clear()

    def is_running(self) -> bool:
        return self._commands.has("busctl") and self._properties() is not None

    def major_version(self) -> int:
        """Return firewalld's major version; 0 if it is unknown."""
        version = self._version if self._version is not None else self._properties()
        first = str(version or "").partition(".")[0]
        return int(first) if first.isdigit() else 0

    def _properties(self) -> Optional[str]:
        """Return the version of the running firewalld, whose state can be read; None if there is none."""
        argv = ["busctl", NO_START, "--json=short", "get-property", NAME, OBJECT, NAME, "state", "version"]
        answer = self._commands.run(argv, check=False)
        self._version = str(read_json(answer.stdout.splitlines()[-1])["data"]) if answer.status == 0 else None
        return self._version

    def ask(self, interface: str, method: str, *words: str, path: str = OBJECT) -> Json:
        """Call a method that only reads, and cache the answer until `forget`. words: the signature and the arguments.

        Raises Refusal with firewalld's own error.
        """
        argv = call(interface, method, *words, path=path).argv
        if argv not in self._answers:
            self._answers[argv] = plain(read_json(self._commands.run(argv).stdout)["data"][0])
        return self._answers[argv]

    def ask_if_known(self, interface: str, method: str, name: str) -> Optional[dict[str, Any]]:
        """Return the settings of an object by its name; None if firewalld does not know it."""
        completed = self._commands.run(call(interface, method, "s", name).argv, check=False)
        if completed.status == 0:
            settings: dict[str, Any] = plain(read_json(completed.stdout)["data"][0])
            return settings
        if "INVALID_" in completed.stderr:
            return None
        raise Refusal(f"firewalld's {method} {name}", completed.stderr.strip(), "an answer", "See `journalctl -u firewalld`.")


def call(interface: str, method: str, *words: str, path: str = OBJECT) -> Step:
    full = f"{NAME}.{interface}" if interface else NAME
    return Step(("busctl", NO_START, "--json=short", f"--timeout={PATIENCE}", "call", NAME, path, full, method, *words))


def settings_call(interface: str, method: str, name: str, lists: Mapping[str, Sequence[str]]) -> Step:
    """Build a call of a method that takes a name and settings, all lists of strings; other settings are kept."""
    words = [word for key, texts in lists.items() for word in (key, "as", str(len(texts)), *texts)]
    return call(interface, method, "sa{sv}", name, str(len(lists)), *words)


def plain(value: Json) -> Json:
    """Remove busctl's type wrapper of each variant from its JSON."""
    if isinstance(value, dict):
        if set(value) == {"type", "data"}:
            return plain(value["data"])
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value


# Rich rules as far as we write them: text for D-Bus, XML elements for files, and parsing of both

MARKS = range(10001, 30001)
RULE = re.compile(
    r'rule(?: priority="(?P<priority>-?[0-9]{1,5})")?(?: family="(?P<family>ipv4|ipv6)")?'
    r'(?: source address="(?P<source>[^"]+)")?(?: destination address="(?P<destination>[^"]+)")?'
    r'(?: port port="(?P<ports>[0-9]{1,5}(?:-[0-9]{1,5})?)" protocol="(?P<transport>\w+)"| protocol value="(?P<protocol>[0-9]+)")? accept'
)


@dataclass(frozen=True)
class RichRule:
    """One accepting rule. source, destination: a network; empty: any. opening: the ports without their sources; None: all traffic."""

    source: str = ""
    destination: str = ""
    opening: Optional[Opening] = None
    priority: int = 0

    def __str__(self) -> str:
        words = ["rule"]
        if self.priority:
            words.append(f'priority="{self.priority}"')
        if family := _family(self.source or self.destination):
            words.append(f'family="{family}"')
        if self.source and self.source not in EVERYONE.values():
            words.append(f'source address="{self.source}"')
        if self.destination:
            words.append(f'destination address="{self.destination}"')
        if self.opening and self.opening.has_ports:
            words.append(f'port port="{self.opening.ports}" protocol="{self.opening.protocol}"')
        elif self.opening:
            words.append(f'protocol value="{self.opening.protocol}"')
        return " ".join([*words, "accept"])

    def opens(self) -> Optional[Opening]:
        """Return what the rule opens, with its source; None if it accepts all traffic."""
        if self.opening is None:
            return None
        return Opening(self.opening.protocol, self.opening.first, self.opening.last, (self.source,) if self.source else ())


def parse(text: str) -> Optional[RichRule]:
    """Parse a rule as firewalld shows it; None if it is not of a form that we write."""
    match = RULE.fullmatch(text)
    if match is None:
        return None
    opening = None
    if match["ports"]:
        first, _dash, last = match["ports"].partition("-")
        opening = Opening(match["transport"], int(first), int(last or first))
    elif match["protocol"]:
        opening = Opening(match["protocol"])
    source = match["source"] or ""
    if not source and not match["destination"] and match["family"]:
        source = EVERYONE[4 if match["family"] == "ipv4" else 6]
    return RichRule(source, match["destination"] or "", opening, int(match["priority"] or 0))


def opening_rules(openings: Iterable[Opening], priority: int = 0) -> list[RichRule]:
    return [
        RichRule(source, "", Opening(opening.protocol, opening.first, opening.last), priority)
        for opening in openings
        for source in opening.sources or ("",)
    ]


def input_rules(wanted: PortSet) -> list[RichRule]:
    """Return the rules of our policy for packets to the host: what a service cannot express."""
    restricted = [opening for opening in wanted.openings if opening.sources]
    return [*opening_rules(restricted), *(RichRule(source=network) for network in wanted.trusted)]


def forward_rules(wanted: PortSet) -> list[RichRule]:
    """Return the rules of our policy for forwarded packets."""
    return [rule for network in wanted.trusted for rule in (RichRule(source=network), RichRule(destination=network))]


def runtime_mark(owner: str) -> int:
    """Return the priority that marks an owner's rules in a running zone, as rich rules have no name."""
    return MARKS[crc32(owner.encode()) % len(MARKS)]


def marked(owner: str, settings: Mapping[str, Any]) -> list[str]:
    """Return the owner's rules among a running zone's settings."""
    start = f'rule priority="{runtime_mark(owner)}" '
    return [rule for rule in settings.get("rules_str", []) if rule.startswith(start)]


def is_runtime_rule(text: str) -> bool:
    """Return whether a rule of a running zone belongs to one of our sets."""
    rule = parse(text)
    return rule is not None and rule.opening is not None and rule.priority in MARKS


def rich_element(rule: RichRule) -> str:
    """Return the rule as firewalld writes it into a policy's file."""
    family = _family(rule.source or rule.destination)
    lines = [f'  <rule family="{family}">' if family else "  <rule>"]
    if rule.source and rule.source not in EVERYONE.values():
        lines.append(f'    <source address="{rule.source}"/>')
    if rule.destination:
        lines.append(f'    <destination address="{rule.destination}"/>')
    if rule.opening and rule.opening.has_ports:
        lines.append(f'    <port port="{rule.opening.ports}" protocol="{rule.opening.protocol}"/>')
    elif rule.opening:
        lines.append(f'    <protocol value="{rule.opening.protocol}"/>')
    return "".join(f"{line}\n" for line in [*lines, "    <accept/>", "  </rule>"])


def rich_from_element(rule: ElementTree.Element) -> str:
    """Convert a rule element to the text that firewalld would show, as far as `parse` knows such rules."""
    words = ["rule"]
    words += [f'{name}="{rule.attrib[name]}"' for name in ("priority", "family") if name in rule.attrib]
    parts = {part.tag: part for part in rule}
    for tag in ("source", "destination"):
        if tag in parts:
            words.append(f'{tag} address="{parts[tag].get("address", "")}"')
    if "port" in parts:
        words.append(f'port port="{parts["port"].get("port", "")}" protocol="{parts["port"].get("protocol", "")}"')
    if "protocol" in parts:
        words.append(f'protocol value="{parts["protocol"].get("value", "")}"')
    others = [part.tag for part in rule if part.tag not in ("source", "destination", "port", "protocol")]
    return " ".join([*words, *others])


def _family(network: str) -> str:
    if not network:
        return ""
    return "ipv6" if ":" in network else "ipv4"


# Rich rules that accept up to a rate: the other packets reach our service and policies unless denied before

LIMITED = re.compile(
    r'rule.*? (?P<what>service name="(?P<service>[^"]+)"|port port="(?P<ports>[0-9-]+)" protocol="(?P<protocol>\w+)").* accept limit .*'
)
DENIAL = re.compile(r" (?:drop|reject)\b")
PRIORITY = re.compile(r'priority="(-?\d+)"')


def warnings(bus: Bus, openings: Sequence[Opening]) -> Iterator[str]:
    def ports_of_service(service: str) -> list[Opening]:
        known = bus.ask_if_known("", "getServiceSettings2", service) or {}
        return [port_opening(ports, protocol) for ports, protocol in known.get("ports", [])]

    for zone in sorted({bus.ask("", "getDefaultZone"), *bus.ask("zone", "getActiveZones")}):
        rules = bus.ask("zone", "getZoneSettings2", "s", zone).get("rules_str", [])
        for rule in exceeded(rules, openings, ports_of_service):
            yield (
                f"zone {zone}: `{rule}` limits the rate of a port that this set opens, and this set accepts the rest. To keep the limit, "
                "give that rule priority=-2, and add one with priority=-1 that drops the same port or service."
            )


def exceeded(rules: Sequence[str], openings: Sequence[Opening], ports_of_service: Callable[[str], Iterable[Opening]]) -> list[str]:
    """Return rate-limited accept rules for our ports without a denial of the rest at a negative priority."""
    denials = [rule for rule in rules if DENIAL.search(rule)]
    found = []
    for rule in rules:
        match = LIMITED.fullmatch(rule)
        if match is None or any(match["what"] in denial and _priority(rule) < _priority(denial) < 0 for denial in denials):
            continue
        limited = [port_opening(match["ports"], match["protocol"])] if match["ports"] else ports_of_service(match["service"])
        if any(one.protocol == ours.protocol and one.first <= ours.last and ours.first <= one.last for one in limited for ours in openings):
            found.append(rule)
    return found


def _priority(rule: str) -> int:
    match = PRIORITY.search(rule)
    return int(match[1]) if match else 0


# Files: our service and policies are written whole; in a zone's file only our own element changes

ETC = "/etc/firewalld"
SHIPPED = "/usr/lib/firewalld"
HEAD = '<?xml version="1.0" encoding="utf-8"?>\n'
LONGEST_POLICY_NAME = 18
SIDES = {"in": "HOST", "fw": "ANY"}  # the egress zone of each of our policies
# after the zones' own rules and the denying policies, so that denials in a zone hold
POLICY_PRIORITY = 2


def service_name(owner: str) -> str:
    return f"vmstation-{owner}"


def service_path(owner: str) -> str:
    return f"{ETC}/services/{service_name(owner)}.xml"


def policy_name(owner: str, side: str) -> str:
    """Return a name of at most 18 characters, firewalld's limit."""
    room = LONGEST_POLICY_NAME - len(f"vm-_{side}")
    short = owner if len(owner) <= room else f"{owner[: room - 9]}_{sha256(owner.encode()).hexdigest()[:8]}"
    return f"vm-{short}_{side}"


def policy_path(owner: str, side: str) -> str:
    return f"{ETC}/policies/{policy_name(owner, side)}.xml"


def zone_path(zone: str) -> str:
    return f"{ETC}/zones/{zone}.xml"


def service_file(owner: str, openings: Sequence[Opening]) -> str:
    """Return the service with the ports that are open to any source; the comments are for readers of the file."""
    lines = [f"  <short>vmstation {owner}</short>", f"  <description>{escape(_description(openings), quote=False)}</description>"]
    for opening in openings:
        if opening.has_ports:
            lines.append(f'  <port port="{opening.ports}" protocol="{opening.protocol}"/>')
        else:
            lines.append(f'  <protocol value="{opening.protocol}"/>')
    return HEAD + "".join(f"{line}\n" for line in ["<service>", *lines, "</service>"])


def parse_service(path: str, text: str) -> tuple[list[Opening], bool]:
    """Return what the service opens, and whether it contains nothing else."""
    openings = []
    plain = True
    for part in _root(path, text, "service"):
        if part.tag == "port":
            try:
                openings.append(port_opening(part.get("port", ""), part.get("protocol", "")))
            except ValueError as error:
                raise _malformed(path, f"a port {part.get('port', '')[:80]}") from error
        elif part.tag == "protocol" and (value := part.get("value", "")).isdigit():
            openings.append(Opening(value))
        else:
            plain = plain and part.tag in ("short", "description")
    return openings, plain


def port_opening(ports: str, protocol: str) -> Opening:
    first, _dash, last = ports.partition("-")
    return Opening(protocol, int(first or 0), int(last or first or 0))


def policy_file(owner: str, side: str, rules: Iterable[RichRule]) -> str:
    purpose = "networks that are trusted, and ports for some" if side == "in" else "networks that are trusted"
    return "".join(
        [
            HEAD,
            f'<policy priority="{POLICY_PRIORITY}" target="CONTINUE">\n',
            f"  <short>vmstation {owner}</short>\n",
            f"  <description>vmstation.cluster.firewall_ports, name {owner}: {purpose}. Written whole, changes are lost.</description>\n",
            '  <ingress-zone name="ANY"/>\n',
            f'  <egress-zone name="{SIDES[side]}"/>\n',
            *(rich_element(rule) for rule in rules),
            "</policy>\n",
        ]
    )


def parse_policy(path: str, text: str) -> tuple[list[str], list[str], list[str], str, str]:
    """Return the policy's rich rules as text, ingress and egress zones, target and priority."""
    root = _root(path, text, "policy")
    return (
        [rich_from_element(rule) for rule in root.iter("rule")],
        [zone.get("name", "") for zone in root.iter("ingress-zone")],
        [zone.get("name", "") for zone in root.iter("egress-zone")],
        root.get("target", "CONTINUE"),
        root.get("priority", "-1"),
    )


def has_service(path: str, text: str, service: str) -> bool:
    return any(part.get("name") == service for part in _root(path, text, "zone").findall("service"))


def sources_of(path: str, text: str) -> list[str]:
    """Return the sources in a zone's file: networks, MAC addresses and ipsets."""
    parts = _root(path, text, "zone").findall("source")
    return [part.get("address", "") or f"ipset:{part.get('ipset', '')}" for part in parts]


def with_service(path: str, text: str, service: str) -> str:
    """Insert the service as the last element of the zone's file; all other bytes stay."""
    if has_service(path, text, service):
        return text
    start, end = _spans(path, text, lambda depth, name, attributes: depth == 0)[0]
    line = f'  <service name="{service}"/>\n'
    close = text.rfind("</", start, end)
    if close < 0:  # <zone/>
        slash = text.rindex("/", start, end)
        return f"{text[:slash].rstrip()}>\n{line}</zone>{text[end:]}"
    at_line_start = text[close - 1 : close] == "\n"
    return f"{text[:close]}{'' if at_line_start else chr(10)}{line}{text[close:]}"


def without_service(path: str, text: str, service: str) -> str:
    """Remove the service from the zone's file, and its line if nothing else is on it."""
    spans = _spans(path, text, lambda depth, name, attributes: depth == 1 and name == "service" and attributes.get("name") == service)
    for start, end in reversed(spans):
        line_start = text.rfind("\n", 0, start) + 1
        line_end = text.find("\n", end)
        alone = line_end >= 0 and not text[line_start:start].strip() and not text[end:line_end].strip()
        text = text[:line_start] + text[line_end + 1 :] if alone else text[:start] + text[end:]
    return text


def _spans(path: str, text: str, chosen: Callable[[int, str, dict[str, str]], bool]) -> list[tuple[int, int]]:
    """Return start and end of the chosen elements, in characters."""
    data = text.encode("utf-8", "surrogateescape")
    parser = expat.ParserCreate("utf-8")
    open_elements: list[Optional[int]] = []
    found: list[tuple[int, int]] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        open_elements.append(parser.CurrentByteIndex if chosen(len(open_elements), name, attributes) else None)

    def end(_name: str) -> None:
        began = open_elements.pop()
        if began is not None:
            # neither the chosen elements nor end tags have a `>` in an attribute
            start_tag_end = data.index(b">", began)
            is_empty = data[start_tag_end - 1 : start_tag_end] == b"/"
            found.append((began, 1 + (start_tag_end if is_empty else data.index(b">", parser.CurrentByteIndex))))

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise _malformed(path, str(error)) from error
    return [tuple(len(data[:index].decode("utf-8", "surrogateescape")) for index in span) for span in found]  # type: ignore[misc]


def _root(path: str, text: str, tag: str) -> ElementTree.Element:
    try:
        root = ElementTree.fromstring(text.encode("utf-8", "surrogateescape"))
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        # the last two: an encoding that Python does not know
        raise _malformed(path, str(error)) from error
    if root.tag != tag:
        raise _malformed(path, f"a <{root.tag}> where <{tag}> must be")
    return root


def _malformed(path: str, found: str) -> Refusal:
    return Refusal(path, found, "a file that firewalld can load", "Correct it (`firewall-cmd --check-config` shows more), then run again.")


def _description(openings: Iterable[Opening]) -> str:
    comments = "".join(f" {opening}: {opening.comment}." for opening in openings if opening.comment)
    return f"vmstation.cluster.firewall_ports: written whole, changes are lost.{comments}"
