# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for the tests: the specification's, and one that leaves nothing to say."""

from __future__ import annotations

import copy

from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.check import judge

SERVICES = [
    {"name": "grafana", "namespace": "monitoring", "port": 3000, "node_port": 30300, "health": "/api/health"},
    {"name": "prometheus", "namespace": "monitoring", "port": 9090, "node_port": 30090, "health": "/-/healthy"},
    {"name": "loki", "namespace": "monitoring", "port": 3100, "node_port": 31100, "health": "/ready"},
    {"name": "jellyfin", "namespace": "jellyfin", "port": 8096, "node_port": 30096, "health": "/health"},
]
SPECIFICATION = {
    "node_cidr": "192.168.4.0/24",
    "gateway": "192.168.4.1",
    "upstream_dns": ["192.168.4.1"],
    "pod_cidr": "10.244.0.0/16",
    "service_cidr": "10.96.0.0/12",
    "dns_service_ip": "10.233.0.3",
    "dns_domain": "cluster.local",
    "node_port_range": "30000-32767",
    "kubernetes_version": "1.36",
    "encapsulation": "IPIP",
    "block_size": 26,
    "services": SERVICES,
    "declared_ports": {
        "control_plane": ["6443/tcp", "2379-2380/tcp", "10250/tcp", "10251/tcp", "10252/tcp", "30000-32767/tcp"],
        "workers": ["10250/tcp", "30000-32767/tcp", "8472/udp", "9100/tcp"],
    },
}
HOSTS = [
    {"name": "masternode", "address": "192.168.4.63", "role": "control_plane", "sleeps": False},
    {"name": "storagenodet3500", "address": "192.168.4.61", "mac": "b8:ac:6f:7e:6c:9d", "role": "worker", "sleeps": True},
    {"name": "homelab", "address": "192.168.4.62", "mac": "d0:94:66:30:d6:63", "role": "worker", "sleeps": True},
]
# nothing to say about these: every finding of a test comes from what the test changed
FLAWLESS = {key: value for key, value in SPECIFICATION.items() if key != "declared_ports"} | {"dns_service_ip": "10.96.0.10"}
DUAL = FLAWLESS | {
    "node_cidr": ["192.168.4.0/24", "fd00:4::/64"],
    "gateway": ["192.168.4.1", "fe80::1"],
    "pod_cidr": ["10.244.0.0/16", "fd00:10:244::/56"],
    "service_cidr": ["10.96.0.0/12", "fd00:10:96::/112"],
    "encapsulation": "VXLAN",
}
IPV6 = FLAWLESS | {
    "node_cidr": "fd00:4::/64",
    "gateway": "fd00:4::1",
    "upstream_dns": ["fd00:4::1"],
    "pod_cidr": "fd00:10:244::/56",
    "service_cidr": "fd00:10:96::/112",
    "dns_service_ip": "fd00:10:96::a",
    "encapsulation": "VXLAN",
    "block_size": 122,
}
IPV6_HOSTS = [{**host, "address": f"fd00:4::{host['address'][-2:]}"} for host in HOSTS]
ABSENT = object()


def plan(base=FLAWLESS, **changes):
    """A plan with some keys changed; ABSENT removes one."""
    changed = {**copy.deepcopy(base), **changes}
    return {key: value for key, value in changed.items() if value is not ABSENT}


def hosts(**changes):
    """The three hosts with some keys of one changed, named by `of` (homelab by default); ABSENT removes one."""
    name = changes.pop("of", "homelab")
    changed = [{**host, **(changes if host["name"] == name else {})} for host in HOSTS]
    return [{key: value for key, value in host.items() if value is not ABSENT} for host in changed]


def service(**changes):
    """A list of one service."""
    return [{key: value for key, value in {**SERVICES[0], **changes}.items() if value is not ABSENT}]


def extra(*more, **changes):
    """A list of one extra port, and more."""
    port = {"name": "syncthing", "port": 22000, "reason": "phones send their photos", **changes}
    return [{key: value for key, value in port.items() if value is not ABSENT}, *more]


def rules_broken(one_plan, some_hosts, severities=("error", "warning")):
    return {finding.rule for finding in judge(one_plan, some_hosts).findings if finding.severity in severities}
