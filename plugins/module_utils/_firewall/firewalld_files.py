# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""firewalld's files: our service and policies written whole, and a zone's file with nothing of it changed but our own element."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from html import escape
from typing import Optional
from xml.etree import ElementTree
from xml.parsers import expat

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall import firewalld_rich
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.firewalld_rich import RichRule
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import Opening
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ETC = "/etc/firewalld"
SHIPPED = "/usr/lib/firewalld"
HEAD = '<?xml version="1.0" encoding="utf-8"?>\n'
LONGEST_POLICY_NAME = 18
SIDES = {"in": "HOST", "fw": "ANY"}  # the egress zone of each of our policies
# after the zones' own rules, and after the zones that shut, so that a denial that somebody wrote into a zone holds
POLICY_PRIORITY = 2


def service_name(owner: str) -> str:
    return f"vmstation-{owner}"


def service_path(owner: str) -> str:
    return f"{ETC}/services/{service_name(owner)}.xml"


def policy_name(owner: str, side: str) -> str:
    """At most 18 characters, as firewalld wants it."""
    room = LONGEST_POLICY_NAME - len(f"vm-_{side}")
    short = owner if len(owner) <= room else f"{owner[: room - 9]}_{sha256(owner.encode()).hexdigest()[:8]}"
    return f"vm-{short}_{side}"


def policy_path(owner: str, side: str) -> str:
    return f"{ETC}/policies/{policy_name(owner, side)}.xml"


def zone_path(zone: str) -> str:
    return f"{ETC}/zones/{zone}.xml"


def service_file(owner: str, openings: Sequence[Opening]) -> str:
    """The service with the openings that are open to anyone; their comments are there for people."""
    lines = [f"  <short>vmstation {owner}</short>", f"  <description>{escape(_description(openings), quote=False)}</description>"]
    for opening in openings:
        if opening.has_ports:
            lines.append(f'  <port port="{opening.ports}" protocol="{opening.protocol}"/>')
        else:
            lines.append(f'  <protocol value="{opening.protocol}"/>')
    return HEAD + "".join(f"{line}\n" for line in ["<service>", *lines, "</service>"])


def parse_service(path: str, text: str) -> tuple[list[Opening], bool]:
    """What the service opens, and whether it is nothing else."""
    openings = []
    plain = True
    for part in _root(path, text, "service"):
        if part.tag == "port":
            openings.append(port_opening(part.get("port", ""), part.get("protocol", "")))
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
            *(firewalld_rich.element(rule) for rule in rules),
            "</policy>\n",
        ]
    )


def parse_policy(path: str, text: str) -> tuple[list[str], list[str], list[str], str, str]:
    """The policy's rich rules as texts, ingress and egress zones, target and priority."""
    root = _root(path, text, "policy")
    return (
        [firewalld_rich.from_element(rule) for rule in root.iter("rule")],
        [zone.get("name", "") for zone in root.iter("ingress-zone")],
        [zone.get("name", "") for zone in root.iter("egress-zone")],
        root.get("target", "CONTINUE"),
        root.get("priority", "-1"),
    )


def has_service(path: str, text: str, service: str) -> bool:
    return any(part.get("name") == service for part in _root(path, text, "zone").findall("service"))


def sources_of(path: str, text: str) -> list[str]:
    """What a zone's file has as sources: networks, MACs and ipsets."""
    parts = _root(path, text, "zone").findall("source")
    return [part.get("address", "") or f"ipset:{part.get('ipset', '')}" for part in parts]


def with_service(path: str, text: str, service: str) -> str:
    """The zone's file with the service as its last element; every other byte in its place."""
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
    """The zone's file without the service, its line included if it stands alone there."""
    spans = _spans(path, text, lambda depth, name, attributes: depth == 1 and name == "service" and attributes.get("name") == service)
    for start, end in reversed(spans):
        line_start = text.rfind("\n", 0, start) + 1
        line_end = text.find("\n", end)
        alone = line_end >= 0 and not text[line_start:start].strip() and not text[end:line_end].strip()
        text = text[:line_start] + text[line_end + 1 :] if alone else text[:start] + text[end:]
    return text


def _spans(path: str, text: str, chosen: Callable[[int, str, dict[str, str]], bool]) -> list[tuple[int, int]]:
    """From where to where the chosen elements stand, in characters."""
    data = text.encode("utf-8", "surrogateescape")
    parser = expat.ParserCreate("utf-8")
    open_elements: list[Optional[int]] = []
    found: list[tuple[int, int]] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        open_elements.append(parser.CurrentByteIndex if chosen(len(open_elements), name, attributes) else None)

    def end(_name: str) -> None:
        began = open_elements.pop()
        if began is not None:
            # neither the elements that are asked for nor end tags have a `>` in an attribute
            start_tag_end = data.index(b">", began)
            is_empty = data[start_tag_end - 1 : start_tag_end] == b"/"
            found.append((began, 1 + (start_tag_end if is_empty else data.index(b">", parser.CurrentByteIndex))))

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise _malformed(path, str(error)) from error
    return [tuple(len(data[:index].decode("utf-8", "surrogateescape")) for index in span) for span in found]  # type: ignore[misc]


def _root(path: str, text: str, tag: str) -> ElementTree.Element:
    try:
        root = ElementTree.fromstring(text.encode("utf-8", "surrogateescape"))
    except ElementTree.ParseError as error:
        raise _malformed(path, str(error)) from error
    if root.tag != tag:
        raise _malformed(path, f"a <{root.tag}> where <{tag}> must be")
    return root


def _malformed(path: str, found: str) -> Refusal:
    return Refusal(path, found, "a file that firewalld can load", "Correct it (`firewall-cmd --check-config` tells more), then run again.")


def _description(openings: Iterable[Opening]) -> str:
    comments = "".join(f" {opening}: {opening.comment}." for opening in openings if opening.comment)
    return f"vmstation.cluster.firewall_ports: written whole, changes are lost.{comments}"
