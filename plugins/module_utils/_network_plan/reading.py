# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a network plan and the hosts of whatever shape, to the end: all problems at once, and what can be known in spite of them."""

from __future__ import annotations

from typing import Optional, cast

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.model import (
    ENCAPSULATIONS,
    ROLES,
    SERVICE_TYPES,
    TRANSPORTS,
    Address,
    Cluster,
    Declaration,
    Encapsulation,
    Host,
    Plan,
    PortRange,
    Role,
    Service,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.ranges import is_ipv6_link_local
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.scalars import (
    LAST_PORT,
    Misread,
    address,
    choice,
    declared_port,
    dns_label,
    dns_name,
    kubernetes_version,
    mac,
    port_range,
    shown,
    text,
    truth,
    whole_number,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.syntax import Reader

# the keys of a plan in the order of the documentation; an empty default means that the key is required
PLAN_KEYS: dict[str, str] = {
    "node_cidr": "",
    "gateway": "",
    "upstream_dns": "the gateway",
    "pod_cidr": "",
    "service_cidr": "",
    "dns_service_ip": "",
    "dns_domain": "cluster.local",
    "node_port_range": "30000-32767",
    "local_port_range": "32768-60999",
    "kubernetes_version": "",
    "encapsulation": "",
    "block_size": "26 for IPv4, 122 for IPv6",
    "services": "none",
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
}
_SERVICE_KEYS = ("name", "namespace", "port", "node_port", "protocol", "type", "health")
_HOST_KEYS = ("name", "address", "mac", "role", "sleeps")
DECLARED_KEYS: dict[str, Role] = {"control_plane": "control_plane", "workers": "worker"}
DEFAULT_NODE_PORTS = PortRange(30000, 32767)
DEFAULT_LOCAL_PORTS = PortRange(32768, 60999)


def read_cluster(plan: object, hosts: object = None) -> tuple[Cluster, list[Finding]]:
    """What the plan and the hosts say, and every problem of their spelling. ``hosts=None``: nothing is known of the hosts."""
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
    node_ports = reader.value(at("node_port_range"), port_range, given.get("node_port_range", str(DEFAULT_NODE_PORTS)))
    local_ports = reader.value(at("local_port_range"), port_range, given.get("local_port_range", str(DEFAULT_LOCAL_PORTS)))
    version = (
        reader.value(at("kubernetes_version"), kubernetes_version, given["kubernetes_version"]) if "kubernetes_version" in given else None
    )
    return Plan(
        node_cidr=reader.networks(at("node_cidr"), given["node_cidr"]) if "node_cidr" in given else None,
        gateway=gateway,
        upstream_dns=_upstream_dns(reader, at("upstream_dns"), given["upstream_dns"]) if "upstream_dns" in given else _askable(gateway),
        pod_cidr=reader.networks(at("pod_cidr"), given["pod_cidr"]) if "pod_cidr" in given else None,
        service_cidr=reader.networks(at("service_cidr"), given["service_cidr"]) if "service_cidr" in given else None,
        dns_service_ip=reader.addresses(at("dns_service_ip"), given["dns_service_ip"]) if "dns_service_ip" in given else None,
        dns_domain=reader.value(at("dns_domain"), dns_name, given.get("dns_domain", PLAN_KEYS["dns_domain"])),
        node_port_range=node_ports,
        local_port_range=local_ports,
        kubernetes_version=version,
        encapsulation=_encapsulation(reader, at("encapsulation"), given["encapsulation"]) if "encapsulation" in given else None,
        block_sizes=_block_sizes(reader, at("block_size"), given.get("block_size", [])),
        services=_services(reader, at("services"), given.get("services", [])),
        declared_ports=_declared_ports(reader, at("declared_ports"), given["declared_ports"]) if "declared_ports" in given else None,
    )


def _upstream_dns(reader: Reader, subject: str, value: object) -> Optional[tuple[Address, ...]]:
    entries = reader.items(subject, value)
    if entries is None:
        return None
    read = [reader.value(f"{subject}[{at}]", address, entry) for at, entry in enumerate(entries)]
    return tuple(entry for entry in read if entry is not None)


def _askable(gateway: Optional[tuple[Address, ...]]) -> Optional[tuple[Address, ...]]:
    """The gateways that a pod can ask for names: a link-local address means nothing to it."""
    return None if gateway is None else tuple(single for single in gateway if not is_ipv6_link_local(single))


def _encapsulation(reader: Reader, subject: str, value: object) -> Optional[Encapsulation]:
    word = reader.value(subject, lambda given: choice(given, "encapsulation_is_calicos_word", ENCAPSULATIONS), value)
    return cast(Optional[Encapsulation], word)


def _block_sizes(reader: Reader, subject: str, value: object) -> Optional[tuple[int, ...]]:
    """One prefix length, or two for dual stack; () for Calico's defaults."""
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
        protocol=reader.value(
            f"{label}.protocol", lambda word: choice(word, "transports_are_known", TRANSPORTS), given.get("protocol", "tcp")
        ),
        type=kind,
        health=reader.value(f"{label}.health", _health, given["health"]) if "health" in given else None,
    )


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
    role = reader.value(f"{label}.role", lambda word: choice(word, "roles_are_known", ROLES), given["role"]) if "role" in given else None
    return Host(
        label=label,
        name=name,
        addresses=reader.addresses(f"{label}.address", given["address"]) if "address" in given else None,
        mac=reader.value(f"{label}.mac", mac, given["mac"]) if "mac" in given else None,
        role=cast(Optional[Role], role),
        sleeps=reader.value(f"{label}.sleeps", truth, given.get("sleeps", False)),
        has_mac="mac" in given,
    )
