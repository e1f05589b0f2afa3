# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a network plan the DNS needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Union

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import failures
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.ranges import extra_service_ranges
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.reading import read_cluster
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

Network = Union[IPv4Network, IPv6Network]

NAMESPACE, NAME, SERVICE = "kube-system", "coredns", "kube-dns"
PORT, METRICS_PORT, HEALTH_PORT, READY_PORT = 53, 9153, 8080, 8181

_FIELDS = ("dns_service_ip", "dns_domain", "upstream_dns", "pod_cidr", "service_cidr")


@dataclass(frozen=True)
class Fault:
    """One thing for which a rule does not hold. where: a part of the subject, or nothing. fix: the next step."""

    where: str
    found: str
    expected: str
    fix: str


@dataclass(frozen=True)
class DnsPlan:
    """addresses: those of the DNS Service. upstreams: whom to ask for names outside. networks: of pods and Services."""

    domain: str
    addresses: tuple[str, ...]
    upstreams: tuple[str, ...]
    networks: tuple[Network, ...]


def dns_plan(plan: object) -> DnsPlan:
    """The plan, read; a plan that does not say what DNS needs is refused."""
    if not isinstance(plan, Mapping):
        raise Refusal("network_plan", type(plan).__name__, "a mapping", "Pass the variable network_plan.")
    cluster, findings = read_cluster(plan)
    for finding in failures(findings, "error"):
        if finding.subject.removeprefix("network_plan.").startswith(_FIELDS):
            raise Refusal(finding.subject, finding.found, finding.expected, finding.fix)
    read = cluster.plan
    absent = [name for name in _FIELDS if not getattr(read, name)]
    if absent:
        raise Refusal(
            f"network_plan.{absent[0]}", "nothing", "a value", "Run vmstation.cluster.network_plan_check and follow its findings."
        )
    every = (*(read.pod_cidr or ()), *(read.service_cidr or ()), *extra_service_ranges(read))
    return DnsPlan(
        domain=str(read.dns_domain).rstrip(".").lower(),
        addresses=tuple(str(one) for one in read.dns_service_ip or ()),
        upstreams=tuple(str(one) for one in read.upstream_dns or ()),
        networks=tuple(ip_network(str(one)) for one in every),
    )
