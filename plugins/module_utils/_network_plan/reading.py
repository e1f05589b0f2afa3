# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a network plan and the hosts completely: every invalid value is a finding, and valid values are returned."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Callable, Optional, TypeVar, Union, cast

from .._findings import Finding, Severity, failures
from .._refusal import Refusal
from .model import (
    ENCAPSULATIONS,
    ROLES,
    SERVICE_TYPES,
    SOURCE_WORDS,
    TRANSPORTS,
    TYPHA_WORDS,
    UNLISTED_NODE_PORTS,
    Address,
    Cluster,
    Declaration,
    Encapsulation,
    ExtraPort,
    Host,
    Network,
    Plan,
    PortRange,
    Role,
    Service,
    Sources,
)
from .ports import SSH_PORT, host_sources, open_ports, port_entry
from .ranges import extra_service_ranges, is_ipv6_link_local
from .scalars import (
    LAST_PORT,
    LONGEST_SHOWN,
    Misread,
    address,
    address_range,
    choice,
    comment,
    declared_port,
    dns_label,
    dns_name,
    kubernetes_version,
    mac,
    nearest,
    network,
    port_range,
    ports,
    shown,
    text,
    truth,
    truth_of_text,
    whole_number,
)

# Rules of notation, and a reader that turns each violation into a finding instead of an exception

T = TypeVar("T")
A = TypeVar("A", Address, Network)
MOST_ITEMS = 1000


@dataclass(frozen=True)
class SyntaxRule:
    """How a value must be written. fix: the next step if the value itself suggests no better one."""

    name: str
    truth: str
    fix: str
    severity: Severity = "error"


SYNTAX_RULES = (
    SyntaxRule("the_plan_is_a_mapping", "The plan is a mapping of keys to values.", "Write the plan as `key: value` lines."),
    SyntaxRule("keys_are_known", "Every key is one that this collection knows.", "Remove the key, or correct its spelling."),
    SyntaxRule("required_keys_are_present", "Every key without a default is set.", "Add the key."),
    SyntaxRule(
        "lists_are_lists", "A key with several values is a YAML list of at most 1000 entries.", "Write a list, one `- item` per line."
    ),
    SyntaxRule("entries_are_mappings", "Each service, extra port and host is a mapping.", "Write the entry as `key: value` pairs."),
    SyntaxRule("networks_are_written_as_cidr", "A network is an address and a prefix length.", "Write the network like 10.244.0.0/16."),
    SyntaxRule("networks_have_no_host_bits", "A network has no host bits set.", "Write the network's first address."),
    SyntaxRule("addresses_are_well_formed", "An address is IPv4 or IPv6, without prefix or zone.", "Write the address like 192.168.4.1."),
    SyntaxRule(
        "address_ranges_are_well_formed",
        "A range of addresses is first-last, both of one family.",
        "Write the range like 192.168.4.100-192.168.4.199.",
    ),
    SyntaxRule(
        "two_entries_are_one_of_each_family",
        "Of two networks or addresses, one is IPv4 and one IPv6.",
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
        "The encapsulation is spelled as in Calico.",
        "Write IPIP, IPIPCrossSubnet, VXLAN, VXLANCrossSubnet or None.",
    ),
    SyntaxRule("typha_is_auto_present_or_absent", "Typha is auto, present or absent.", "Write auto, present or absent."),
    SyntaxRule("service_types_are_known", "A service's type is one of Kubernetes' own.", "Write NodePort, ClusterIP or LoadBalancer."),
    SyntaxRule("transports_are_known", "The protocol of a service or an extra port is tcp, udp or sctp.", "Write tcp, udp or sctp."),
    SyntaxRule(
        "sources_are_networks_or_a_word",
        "The sources of an extra port are a list of networks, or one of the words anyone, hosts and node_network.",
        "Write a list of networks like [192.168.4.0/24], or one of the words.",
    ),
    SyntaxRule(
        "reasons_are_one_line",
        "The reason of an extra port is one short line: it is the comment of the firewall rule.",
        "Write a short text without quotes.",
    ),
    SyntaxRule("unlisted_node_ports_are_open_or_closed", "NodePorts that are not listed are open or closed.", "Write open or closed."),
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
    """Collects findings about invalid values. Every method returns None for such a value."""

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
            self.note("lists_are_lists", subject, shown(value), f"at most {MOST_ITEMS} entries", "Split the list, or remove duplicates.")
            return None
        return list(value)

    def mapping(self, subject: str, value: object, rule: str, keys: tuple[str, ...]) -> Optional[dict[str, Any]]:
        """Return the known keys of a mapping; report unknown ones, with the known key that was probably meant."""
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
        """Read one value, or a list of two of different families; the first is the primary one."""
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


# Read a network plan and the hosts, whatever their form: report all problems at once, and return what is valid

# the keys of a plan in the order of the documentation; an empty default means that the key is required
PLAN_KEYS: dict[str, str] = {
    "node_cidr": "",
    "gateway": "",
    "upstream_dns": "the gateway",
    "dhcp_range": "none",
    "api_vip": "none",
    "pod_cidr": "",
    "service_cidr": "",
    "dns_service_ip": "",
    "dns_domain": "cluster.local",
    "node_port_range": "30000-32767",
    "local_port_range": "32768-60999",
    "kubernetes_version": "",
    "encapsulation": "",
    "block_size": "26 for IPv4, 122 for IPv6",
    "typha": "auto",
    "services": "none",
    "extra_ports": "none",
    "admin_sources": "none",
    "host_sources": "none",
    "unlisted_node_ports": "open",
    "declared_ports": "none",
}
_EXAMPLES = {
    "node_cidr": "192.168.4.0/24",
    "gateway": "192.168.4.1",
    "pod_cidr": "10.244.0.0/16",
    "service_cidr": "10.96.0.0/12",
    "dns_service_ip": "10.96.0.10",
    "kubernetes_version": '"1.36"',
    "encapsulation": "IPIP",
    "name": "grafana",
    "namespace": "monitoring",
    "port": "3000",
    "node_port": "30300",
    "address": "192.168.4.61",
    "role": "worker",
    "reason": "phones synchronise their photos",
}
_EXTRA_KEYS = ("name", "port", "protocol", "roles", "sources", "reason")
_LONGEST_COMMENT = 100  # bytes, as firewall_ports takes it: "name: reason"
_SERVICE_KEYS = ("name", "namespace", "port", "node_port", "protocol", "type", "health", "sources")
_HOST_KEYS = ("name", "address", "mac", "role", "sleeps")
DECLARED_KEYS: dict[str, Role] = {"control_plane": "control_plane", "workers": "worker"}
DEFAULT_NODE_PORTS = PortRange(30000, 32767)
DEFAULT_LOCAL_PORTS = PortRange(32768, 60999)


def read_cluster(plan: object, hosts: object = None) -> tuple[Cluster, list[Finding]]:
    """Return the plan and the hosts, and every problem of their notation. ``hosts=None``: the hosts are unknown."""
    reader = Reader()
    read = _plan(reader, plan)
    return Cluster(read, None if hosts is None else _hosts(reader, hosts)), reader.findings


def _plan(reader: Reader, value: object) -> Plan:
    subject = "network_plan"
    fields = reader.mapping(subject, value, "the_plan_is_a_mapping", tuple(PLAN_KEYS))
    if fields is None:
        return Plan()
    reader.required(subject, fields, (key for key, default in PLAN_KEYS.items() if not default), _EXAMPLES)
    given = {key: entry for key, entry in fields.items() if entry is not None}

    def at(key: str) -> str:
        return f"{subject}.{key}"

    gateway = reader.addresses(at("gateway"), given["gateway"]) if "gateway" in given else None
    version = (
        reader.value(at("kubernetes_version"), kubernetes_version, given["kubernetes_version"]) if "kubernetes_version" in given else None
    )
    return Plan(
        node_cidr=reader.networks(at("node_cidr"), given["node_cidr"]) if "node_cidr" in given else None,
        gateway=gateway,
        upstream_dns=_upstream_dns(reader, at("upstream_dns"), given["upstream_dns"]) if "upstream_dns" in given else _askable(gateway),
        dhcp_range=reader.value(at("dhcp_range"), address_range, given["dhcp_range"]) if "dhcp_range" in given else None,
        api_vip=reader.value(at("api_vip"), address, given["api_vip"]) if "api_vip" in given else None,
        pod_cidr=reader.networks(at("pod_cidr"), given["pod_cidr"]) if "pod_cidr" in given else None,
        service_cidr=reader.networks(at("service_cidr"), given["service_cidr"]) if "service_cidr" in given else None,
        dns_service_ip=reader.addresses(at("dns_service_ip"), given["dns_service_ip"]) if "dns_service_ip" in given else None,
        dns_domain=reader.value(at("dns_domain"), dns_name, given.get("dns_domain", PLAN_KEYS["dns_domain"])),
        node_port_range=reader.value(at("node_port_range"), port_range, given.get("node_port_range", str(DEFAULT_NODE_PORTS))),
        local_port_range=reader.value(at("local_port_range"), port_range, given.get("local_port_range", str(DEFAULT_LOCAL_PORTS))),
        kubernetes_version=version,
        encapsulation=_encapsulation(reader, at("encapsulation"), given["encapsulation"]) if "encapsulation" in given else None,
        block_sizes=_block_sizes(reader, at("block_size"), given.get("block_size", [])),
        typha=_word(reader, given, "typha", "typha_is_auto_present_or_absent", TYPHA_WORDS),
        services=_services(reader, at("services"), given.get("services", [])),
        extra_ports=_extra_ports(reader, at("extra_ports"), given.get("extra_ports", [])),
        admin_sources=_networks(reader, at("admin_sources"), given.get("admin_sources", [])),
        host_sources=_networks(reader, at("host_sources"), given.get("host_sources", [])),
        unlisted_node_ports=_word(reader, given, "unlisted_node_ports", "unlisted_node_ports_are_open_or_closed", UNLISTED_NODE_PORTS),
        declared_ports=_declared_ports(reader, at("declared_ports"), given["declared_ports"]) if "declared_ports" in given else None,
    )


def _word(reader: Reader, given: Mapping[str, Any], key: str, rule: str, words: tuple[str, ...]) -> Optional[str]:
    return reader.value(f"network_plan.{key}", lambda word: choice(word, rule, words), given.get(key, PLAN_KEYS[key]))


def _networks(reader: Reader, subject: str, value: object) -> Optional[tuple[Network, ...]]:
    """Read a list of networks. None if one of them is invalid: who may reach a port is never guessed."""
    entries = reader.items(subject, value)
    read = [reader.value(f"{subject}[{at}]", network, entry) for at, entry in enumerate(entries or ())]
    valid = tuple(entry for entry in read if entry is not None)
    return None if entries is None or len(valid) < len(entries) else valid


def _upstream_dns(reader: Reader, subject: str, value: object) -> Optional[tuple[Address, ...]]:
    entries = reader.items(subject, value)
    if entries is None:
        return None
    read = [reader.value(f"{subject}[{at}]", address, entry) for at, entry in enumerate(entries)]
    return tuple(entry for entry in read if entry is not None)


def _askable(gateway: Optional[tuple[Address, ...]]) -> Optional[tuple[Address, ...]]:
    """Return the gateways that a pod can use as DNS servers: not link-local ones."""
    return None if gateway is None else tuple(single for single in gateway if not is_ipv6_link_local(single))


def _encapsulation(reader: Reader, subject: str, value: object) -> Optional[Encapsulation]:
    word = reader.value(subject, lambda given: choice(given, "encapsulation_is_calicos_word", ENCAPSULATIONS), value)
    return cast(Optional[Encapsulation], word)


def _block_sizes(reader: Reader, subject: str, value: object) -> Optional[tuple[int, ...]]:
    """Read one prefix length, or two for dual stack; () for Calico's defaults."""
    entries = list(value) if isinstance(value, (list, tuple)) else [value]
    if len(entries) > 2:
        reader.note("two_entries_are_one_of_each_family", subject, shown(value), "one block size, or a list of two")
        return None
    read = [reader.value(subject, lambda given: whole_number(given, "block_sizes_are_numbers", 0, 128), entry) for entry in entries]
    sizes = tuple(size for size in read if size is not None)
    return sizes if len(sizes) == len(entries) else None


def _port(value: object) -> int:
    return whole_number(value, "ports_are_numbers", 1, LAST_PORT)


def _health(value: object) -> str:
    path = text(value, "health_is_a_path", "a path like /api/health")
    if not path.startswith("/") or not path.isascii() or not path.isprintable() or " " in path or len(path) > 1000:
        fix = f"Write /{path}." if path.isascii() and path.isalnum() and len(path) < 80 else ""
        raise Misread("health_is_a_path", shown(value), "a path like /api/health", fix)
    return path


def _services(reader: Reader, subject: str, value: object) -> Optional[tuple[Service, ...]]:
    entries = reader.items(subject, value)
    if entries is None:
        return None
    read = [_service(reader, f"{subject}[{at}]", entry) for at, entry in enumerate(entries)]
    return tuple(service for service in read if service is not None)


def _service(reader: Reader, subject: str, value: object) -> Optional[Service]:
    fields = reader.mapping(subject, value, "entries_are_mappings", _SERVICE_KEYS)
    if fields is None:
        return None
    given = {key: entry for key, entry in fields.items() if entry is not None}
    name = reader.value(f"{subject}.name", dns_label, given["name"]) if "name" in given else None
    label = f"{subject} ({name})" if name else subject
    kind = reader.value(f"{label}.type", lambda word: choice(word, "service_types_are_known", SERVICE_TYPES), given.get("type", "NodePort"))
    required = ("name", "namespace", "port", "node_port") if kind == "NodePort" else ("name", "namespace", "port")
    reader.required(label, fields, required, _EXAMPLES)
    return Service(
        label=label,
        name=name,
        namespace=reader.value(f"{label}.namespace", dns_label, given["namespace"]) if "namespace" in given else None,
        port=reader.value(f"{label}.port", _port, given["port"]) if "port" in given else None,
        node_port=reader.value(f"{label}.node_port", _port, given["node_port"]) if "node_port" in given else None,
        protocol=_transport(reader, f"{label}.protocol", given),
        type=kind,
        health=reader.value(f"{label}.health", _health, given["health"]) if "health" in given else None,
        sources=_networks(reader, f"{label}.sources", given["sources"]) if "sources" in given else None,
    )


def _extra_ports(reader: Reader, subject: str, value: object) -> Optional[tuple[ExtraPort, ...]]:
    entries = reader.items(subject, value)
    if entries is None:
        return None
    read = [_extra_port(reader, f"{subject}[{at}]", entry) for at, entry in enumerate(entries)]
    return tuple(port for port in read if port is not None)


def _extra_port(reader: Reader, subject: str, value: object) -> Optional[ExtraPort]:
    fields = reader.mapping(subject, value, "entries_are_mappings", _EXTRA_KEYS)
    if fields is None:
        return None
    given = {key: entry for key, entry in fields.items() if entry is not None}
    name = reader.value(f"{subject}.name", dns_label, given["name"]) if "name" in given else None
    label = f"{subject} ({name})" if name else subject
    reader.required(label, fields, ("name", "port", "reason"), _EXAMPLES)
    longest = _LONGEST_COMMENT - len(f"{name}: ")
    return ExtraPort(
        label=label,
        name=name,
        ports=reader.value(f"{label}.port", ports, given["port"]) if "port" in given else None,
        protocol=_transport(reader, f"{label}.protocol", given),
        roles=_roles(reader, f"{label}.roles", given.get("roles", ROLES)),
        sources=_sources(reader, f"{label}.sources", given.get("sources", "node_network")),
        reason=reader.value(f"{label}.reason", lambda text: comment(text, longest), given["reason"]) if "reason" in given else None,
    )


def _transport(reader: Reader, subject: str, given: Mapping[str, Any]) -> Optional[str]:
    return reader.value(subject, lambda word: choice(word, "transports_are_known", TRANSPORTS), given.get("protocol", "tcp"))


def _roles(reader: Reader, subject: str, value: object) -> Optional[tuple[Role, ...]]:
    entries = reader.items(subject, value)
    if entries == []:
        reader.note("roles_are_known", subject, "a list of 0", "one or both of " + ", ".join(ROLES), "Name a role, or omit roles for both.")
    read = [reader.value(f"{subject}[{at}]", _role, entry) for at, entry in enumerate(entries or ())]
    return tuple(role for role in ROLES if role in read) if None not in read else None


def _role(value: object) -> Role:
    return cast(Role, choice(value, "roles_are_known", ROLES))


def _sources(reader: Reader, subject: str, value: object) -> Union[Sources, tuple[Network, ...], None]:
    """Read one of the words, or networks. An empty list would mean anyone to a firewall, so it is an error."""
    if isinstance(value, (list, tuple)) and value:
        read = [reader.value(f"{subject}[{at}]", network, entry) for at, entry in enumerate(reader.items(subject, value) or ())]
        return tuple(net for net in read if net is not None) if None not in read else None
    if isinstance(value, str) and value in SOURCE_WORDS:
        return value
    meant = nearest(value, SOURCE_WORDS)
    expected = "a list of networks, or one of " + ", ".join(SOURCE_WORDS)
    reader.note("sources_are_networks_or_a_word", subject, shown(value), expected, f"Write {meant}." if meant else "")
    return None


def _declared_ports(reader: Reader, subject: str, value: object) -> Optional[dict[Role, Declaration]]:
    fields = reader.mapping(subject, value, "entries_are_mappings", tuple(DECLARED_KEYS))
    if fields is None:
        return None
    declared: dict[Role, Declaration] = {}
    for key, entry in fields.items():
        entries = reader.items(f"{subject}.{key}", entry)
        if entries is None:
            continue
        read = [reader.value(f"{subject}.{key}[{at}]", declared_port, spec) for at, spec in enumerate(entries)]
        ports = tuple(port for port in read if port is not None)
        declared[DECLARED_KEYS[key]] = Declaration(ports, all_read=len(ports) == len(read))
    return declared


def _hosts(reader: Reader, value: object) -> Optional[tuple[Host, ...]]:
    entries = reader.items("hosts", value)
    if entries is None:
        return None
    return tuple(_host(reader, f"hosts[{at}]", entry) for at, entry in enumerate(entries))


def _host(reader: Reader, subject: str, value: object) -> Host:
    fields = reader.mapping(subject, value, "entries_are_mappings", _HOST_KEYS)
    if fields is None:
        return Host(subject, None, None, None, None, None)
    given = {key: entry for key, entry in fields.items() if entry is not None}
    name = reader.value(f"{subject}.name", dns_name, given["name"]) if "name" in given else None
    label = f"host {name}" if name else subject
    reader.required(label, fields, ("name", "address", "role"), _EXAMPLES)
    return Host(
        label=label,
        name=name,
        addresses=reader.addresses(f"{label}.address", given["address"]) if "address" in given else None,
        mac=reader.value(f"{label}.mac", mac, given["mac"]) if "mac" in given else None,
        role=reader.value(f"{label}.role", _role, given["role"]) if "role" in given else None,
        sleeps=reader.value(f"{label}.sleeps", truth, given.get("sleeps", False)),
        has_mac="mac" in given,
    )


# What needs a part of the plan gets a valid one, or an error

_CHECK = "Run vmstation.cluster.network_plan_check and follow its findings."
# subjects of findings about the hosts, one host, its address or its role
_OF_A_SOURCE = re.compile(r"^hosts(?:\[\d+\])?$|^hosts?[ \[].*\.(?:address(?:\[\d\])?|role)$")


def read_needed(plan: object, fields: tuple[str, ...], who: str = "", hosts: object = None) -> Cluster:
    """Return the plan and the hosts if the plan's ``fields`` and the hosts' addresses and roles are valid, else raise Refusal.

    network_plan_check reports all other problems. who: the filter or module that needs them.
    """
    cluster, findings = read_cluster(plan, hosts)
    for finding in failures(findings, "error"):
        field = finding.subject.removeprefix("network_plan.")
        if finding.rule == "the_plan_is_a_mapping" or field.startswith(fields) or _OF_A_SOURCE.search(field):
            subject = f"{who}: {finding.subject}" if who else finding.subject
            raise Refusal(subject, finding.found, finding.expected, f"{finding.fix} {_CHECK}")
    return cluster


# Values for roles and playbooks, by filters. They reject an incomplete plan instead of guessing.

# what the derived ports depend on; the check reports other problems of a plan
_NODE_PORT_FIELDS = ("node_port_range", "services", "admin_sources", "host_sources", "unlisted_node_ports")
_NETWORK_FIELDS = ("node_cidr", "pod_cidr", "service_cidr", "dns_service_ip", "host_sources")
_FIELDS_OF_PORTS = ("node_cidr", "pod_cidr", "api_vip", "encapsulation", "typha", *_NODE_PORT_FIELDS, "extra_ports")
GROUPS: dict[str, Role] = {"control_plane": "control_plane", "workers": "worker"}


def ports_for(plan: object, role: object, hosts: object = None, ssh_port: object = SSH_PORT) -> list[dict[str, object]]:
    """Return the ports of a role as entries for the module `firewall_ports`."""
    try:
        known = _role(role)
        ssh = whole_number(
            int(ssh_port) if isinstance(ssh_port, str) and _is_number(ssh_port) else ssh_port, "ports_are_numbers", 1, LAST_PORT
        )
    except Misread as misread:
        subject = "role" if misread.rule == "roles_are_known" else "ssh_port"
        raise Refusal(f"network_plan_ports: {subject}", misread.found, misread.expected, misread.fix or "Correct it.") from None
    cluster = read_needed(plan, _FIELDS_OF_PORTS, "network_plan_ports", [] if hosts is None else hosts)
    return [port_entry(port) for port in open_ports(cluster.plan, known, cluster.hosts, ssh)]


def trusted_networks(plan: object) -> list[str]:
    """Return the pod networks, which the hosts' firewalls accept."""
    return [str(net) for net in read_needed(plan, ("pod_cidr",), "network_plan_trusted").plan.pod_cidr or ()]


def protected_networks(plan: object, hosts: object = None) -> list[dict[str, object]]:
    """Return the networks of Pods and Services, which only the cluster's hosts may send packets to; without hosts, the node network."""
    networks, sources = _networks_and_sources(plan, hosts, "network_plan_protected")
    return [{"network": net, "sources": sources} for net in networks]


def _networks_and_sources(plan: object, hosts: object, who: str) -> tuple[list[str], list[str]]:
    """Return the networks of Pods and Services, and the networks of the hosts."""
    cluster = read_needed(plan, _NETWORK_FIELDS, who, [] if hosts is None else hosts)
    known = cluster.plan
    networks = (*(known.pod_cidr or ()), *(known.service_cidr or ()), *extra_service_ranges(known))
    return [str(net) for net in networks], list(host_sources(known, cluster.hosts))


def outside_networks(plan: object, hosts: object = None) -> list[dict[str, object]]:
    """Return all but the cluster's own addresses, each IP version as an `ipBlock`; nothing for a plan without any network."""
    if isinstance(plan, Mapping) and not {"node_cidr", "pod_cidr", "service_cidr"} & plan.keys():
        return []
    networks, sources = _networks_and_sources(plan, hosts, "network_plan_outside")
    inside = list(dict.fromkeys([*sources, *networks]))
    worlds = {":" in world: world for world in ("0.0.0.0/0", "::/0")}
    families = [is_ipv6 for is_ipv6 in worlds if any((":" in net) is is_ipv6 for net in inside)]
    return [{"cidr": worlds[is_ipv6], "except": [net for net in inside if (":" in net) is is_ipv6]} for is_ipv6 in families]


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) <= len(str(LAST_PORT))


def hosts_of(hostvars: object, groups: object) -> list[dict[str, object]]:
    """Return the hosts of the inventory groups `control_plane` and `workers`, as the check takes them.

    address: the host's variable `address`, else `ansible_host`. A host in both groups is a control plane host.
    Values that the inventory does not set are left out; the check reports them.
    """
    step = "Write `hostvars | vmstation.cluster.cluster_hosts(groups)`."
    if not isinstance(hostvars, Mapping):
        raise Refusal("cluster_hosts", shown(hostvars), "the variable hostvars", step)
    if not isinstance(groups, Mapping):
        raise Refusal("cluster_hosts: groups", shown(groups), "the variable groups", step)
    found: dict[str, dict[str, object]] = {}
    for group, role in GROUPS.items():
        names = groups.get(group, [])
        if not isinstance(names, (list, tuple)):
            raise Refusal(f"cluster_hosts: groups.{group}", shown(names), "a list of host names", "Pass the variable groups itself.")
        for name in names:
            found.setdefault(str(name), _host_entry(hostvars, str(name), role))
    return list(found.values())


def _host_entry(hostvars: Mapping[str, object], name: str, role: Role) -> dict[str, object]:
    variables = hostvars.get(name)
    if not isinstance(variables, Mapping):
        who = f"cluster_hosts: host {name[:LONGEST_SHOWN]}"
        raise Refusal(who, "no variables", "the host in hostvars", "Pass hostvars and groups of the same play.")
    host: dict[str, object] = {"name": name, "role": role, "sleeps": truth_of_text(variables.get("sleeps", False))}
    address = variables.get("address", variables.get("ansible_host"))
    if address is not None:
        host["address"] = address
    if variables.get("mac") is not None:
        host["mac"] = variables["mac"]
    return host
