# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of spelling, and the reader that turns every value that breaks one into a finding instead of an exception."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Callable, Optional, TypeVar

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding, Severity
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.model import Address, Network
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.scalars import Misread, address, nearest, network, shown

T = TypeVar("T")
A = TypeVar("A", Address, Network)
MOST_ITEMS = 1000


@dataclass(frozen=True)
class SyntaxRule:
    """How a value must be written. fix: the next step when the value itself suggests no better one."""

    name: str
    truth: str
    fix: str
    severity: Severity = "error"


SYNTAX_RULES = (
    SyntaxRule("the_plan_is_a_mapping", "The plan is a mapping of keys to values.", "Write the plan as `key: value` lines."),
    SyntaxRule("keys_are_known", "Every key is one that this collection knows.", "Remove the key, or correct its spelling."),
    SyntaxRule("required_keys_are_present", "Every key that has no default is there.", "Add the key."),
    SyntaxRule("lists_are_lists", "What may hold several things is a YAML list, of at most 1000.", "Write a list, one `- item` a line."),
    SyntaxRule("entries_are_mappings", "Each service and each host is a mapping.", "Write the entry as `key: value` pairs."),
    SyntaxRule("networks_are_written_as_cidr", "A network is an address and a prefix length.", "Write the network like 10.244.0.0/16."),
    SyntaxRule("networks_have_no_host_bits", "No bit is set behind a network's prefix.", "Write the network's first address."),
    SyntaxRule("addresses_are_well_formed", "An address is IPv4 or IPv6, without prefix or zone.", "Write the address like 192.168.4.1."),
    SyntaxRule(
        "two_entries_are_one_of_each_family",
        "Where two networks or addresses stand, one is IPv4 and one IPv6.",
        "Write one value, or a list of one IPv4 and one IPv6 value.",
    ),
    SyntaxRule("port_ranges_are_well_formed", "A port range is first-last, within 1 to 65535.", "Write the range like 30000-32767."),
    SyntaxRule("ports_are_numbers", "A port is a whole number from 1 to 65535.", "Write the port as a number without quotes."),
    SyntaxRule("block_sizes_are_numbers", "A block size is a prefix length.", "Write the block size as a number, like 26."),
    SyntaxRule("names_are_dns_names", "Names are DNS names in lower case.", "Write the name with a-z, 0-9 and - only."),
    SyntaxRule(
        "kubernetes_version_is_a_quoted_string",
        'The version is quoted text like "1.36" (unquoted, YAML turns 1.30 into 1.3).',
        'Write the version in quotes, like "1.36".',
    ),
    SyntaxRule(
        "encapsulation_is_calicos_word",
        "The encapsulation is spelled as Calico spells it.",
        "Write IPIP, IPIPCrossSubnet, VXLAN, VXLANCrossSubnet or None.",
    ),
    SyntaxRule("service_types_are_known", "A service's type is one of Kubernetes' own.", "Write NodePort, ClusterIP or LoadBalancer."),
    SyntaxRule("transports_are_known", "A service's protocol is tcp, udp or sctp.", "Write tcp, udp or sctp."),
    SyntaxRule("health_is_a_path", "A health path starts with a slash and has no blanks.", "Write the path like /api/health."),
    SyntaxRule(
        "declared_ports_are_well_formed",
        "A declared port is ports/transport, or `protocol` and a number.",
        "Write it like 6443/tcp, 30000-32767/tcp or protocol 4.",
    ),
    SyntaxRule("macs_are_well_formed", "A MAC address is six hexadecimal pairs.", "Write the MAC like b8:ac:6f:7e:6c:9d."),
    SyntaxRule(
        "macs_name_one_network_card",
        "A MAC address is neither zero nor broadcast nor multicast.",
        "Read the MAC from the host itself: `ip link show`.",
    ),
    SyntaxRule("roles_are_known", "A host's role is control_plane or worker.", "Write control_plane or worker."),
    SyntaxRule("yes_or_no_is_true_or_false", "A yes or no is a YAML boolean.", "Write true or false, without quotes."),
)
_BY_NAME = {rule.name: rule for rule in SYNTAX_RULES}


class Reader:
    """Collects what does not read well. Every method returns None for it, and goes on."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def note(self, rule: str, subject: str, found: str, expected: str, fix: str = "") -> None:
        known = _BY_NAME[rule]
        self.findings.append(Finding(rule, known.severity, subject, found, expected, fix or known.fix))

    def value(self, subject: str, parse: Callable[[Any], T], value: object) -> Optional[T]:
        try:
            return parse(value)
        except Misread as misread:
            self.note(misread.rule, subject, misread.found, misread.expected, misread.fix)
            return None

    def items(self, subject: str, value: object) -> Optional[list[Any]]:
        if not isinstance(value, (list, tuple)):
            self.note("lists_are_lists", subject, shown(value), "a list")
            return None
        if len(value) > MOST_ITEMS:
            self.note(
                "lists_are_lists", subject, shown(value), f"at most {MOST_ITEMS} entries", "Split the list, or remove what is repeated."
            )
            return None
        return list(value)

    def mapping(self, subject: str, value: object, rule: str, keys: tuple[str, ...]) -> Optional[dict[str, Any]]:
        """The known keys of a mapping; the others are noted, with the known one that was probably meant."""
        if not isinstance(value, Mapping):
            self.note(rule, subject, shown(value), "a mapping with the keys " + ", ".join(keys))
            return None
        for key in value:
            if key not in keys:
                meant = nearest(key, tuple(known for known in keys if known not in value))
                fix = f"Write {meant}." if meant else ""
                self.note("keys_are_known", subject, f"the key {shown(key)}", "one of " + ", ".join(keys), fix)
        return {key: value[key] for key in keys if key in value}

    def required(self, subject: str, fields: Mapping[str, Any], keys: Iterable[str], examples: Mapping[str, str]) -> None:
        for key in keys:
            if fields.get(key) is None:
                self.note("required_keys_are_present", f"{subject}.{key}", "nothing", "a value", f"Add it, like `{key}: {examples[key]}`.")

    def networks(self, subject: str, value: object) -> Optional[tuple[Network, ...]]:
        return self._one_or_two(subject, network, value)

    def addresses(self, subject: str, value: object) -> Optional[tuple[Address, ...]]:
        return self._one_or_two(subject, address, value)

    def _one_or_two(self, subject: str, parse: Callable[[Any], A], value: object) -> Optional[tuple[A, ...]]:
        """One value, or a list of two of different families; the first is the primary one."""
        if not isinstance(value, (list, tuple)):
            one = self.value(subject, parse, value)
            return None if one is None else (one,)
        rule, expected = "two_entries_are_one_of_each_family", "one value, or a list of one IPv4 and one IPv6 value"
        if len(value) != 2:
            self.note(rule, subject, shown(value), expected)
            return None
        both = [self.value(f"{subject}[{at}]", parse, entry) for at, entry in enumerate(value)]
        read = tuple(entry for entry in both if entry is not None)
        if len(read) < 2:
            return None
        if read[0].version == read[1].version:
            self.note(rule, subject, f"{read[0]} and {read[1]}, both IPv{read[0].version}", expected)
            return None
        return read
