# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check a plan and its hosts, and derive values from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .._findings import Finding, LookedAt, state_of
from .cluster_rules import CALICO_RULES, DNS_RULES, SERVICE_RULES
from .model import ROLES, Cluster, Role
from .ports import open_ports, port_entry
from .ranges import api_server_address, broadcast, extra_service_ranges, has_service_cidr_objects, pools
from .reading import read_cluster
from .rules import HOST_RULES, NETWORK_RULES

RULES = (*NETWORK_RULES, *DNS_RULES, *HOST_RULES, *CALICO_RULES, *SERVICE_RULES)
_ORDER = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True)
class Verdict:
    """findings: errors first. derived: plain data for the module's result; what the plan does not set is null or empty."""

    findings: list[Finding]
    derived: dict[str, Any]

    @property
    def looked_at(self) -> list[LookedAt]:
        counts = [f"{len(ports)} open ports for a {role.replace('_', ' ')}" for role, ports in self.derived["ports"].items()]
        state = state_of(self.findings)
        facts = ", ".join(counts) or "no open ports"
        return [LookedAt("network plan", facts if state != "ok" else f"no contradiction; {facts}", state)]


def judge(plan: object, hosts: object = None) -> Verdict:
    """Report every problem of a plan and its hosts, whatever their form. ``hosts=None`` checks the plan alone."""
    cluster, findings = read_cluster(plan, hosts)
    for rule in RULES:
        findings.extend(rule.judge(cluster))
    return Verdict(sorted(findings, key=lambda finding: _ORDER[finding.severity]), derive(cluster))


def derive(cluster: Cluster) -> dict[str, Any]:
    """Derive values from the plan: addresses, ranges, ports with their reasons, MTU and capacity."""
    plan = cluster.plan
    api_server = api_server_address(plan)
    calico = pools(plan)
    return {
        "broadcast": broadcast(plan),
        "gateway": _texts(plan.gateway),
        "upstream_dns": _texts(plan.upstream_dns),
        "trusted": _texts(plan.pod_cidr),
        "service_cidrs": _texts(plan.service_cidr),
        "extra_service_cidrs": _texts(extra_service_ranges(plan)) if has_service_cidr_objects(plan) else [],
        "dns_service_ips": _texts(plan.dns_service_ip),
        "dns_domain": plan.dns_domain,
        "api_server_address": None if api_server is None else str(api_server),
        "mtu": min((pool.mtu for pool in calico), default=None),
        "capacity": [
            {
                "cidr": str(pool.cidr),
                "block_size": pool.block_size,
                "blocks": pool.blocks,
                "pods_per_block": pool.addresses_per_block,
                "nodes": None if cluster.hosts is None else len(cluster.hosts),
                "encapsulation": pool.encapsulation,
                "mtu": pool.mtu,
            }
            for pool in calico
            if pool.block_size >= pool.cidr.prefixlen
        ],
        "ports": {role: _ports(cluster, role) for role in ROLES},
    }


def _ports(cluster: Cluster, role: Role) -> list[dict[str, object]]:
    opened = open_ports(cluster.plan, role, cluster.hosts)
    return [{**port_entry(port), "name": port.fact.name, "reason": port.fact.reason, "document": port.fact.document} for port in opened]


def _texts(entries: object) -> list[str]:
    return [str(one) for one in entries] if isinstance(entries, tuple) else []
