# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network plan's DNS settings, and the Corefile for them."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Union

from .._network_plan.ranges import extra_service_ranges
from .._network_plan.reading import read_needed
from .._refusal import Refusal

# The parts of a network plan that DNS needs

Network = Union[IPv4Network, IPv6Network]

NAMESPACE, NAME, SERVICE = "kube-system", "coredns", "kube-dns"
PORT, METRICS_PORT, HEALTH_PORT, READY_PORT = 53, 9153, 8080, 8181

_FIELDS = ("dns_service_ip", "dns_domain", "upstream_dns", "pod_cidr", "service_cidr")


@dataclass(frozen=True)
class Fault:
    """One violation of a rule. where: a part of the subject, or empty. fix: the next step."""

    where: str
    found: str
    expected: str
    fix: str


@dataclass(frozen=True)
class DnsPlan:
    """addresses: of the DNS Service. upstreams: DNS servers for external names. networks: of pods and Services."""

    domain: str
    addresses: tuple[str, ...]
    upstreams: tuple[str, ...]
    networks: tuple[Network, ...]


def dns_plan(plan: object) -> DnsPlan:
    """Return the plan's DNS settings. Raises Refusal if one is missing or invalid."""
    read = read_needed(plan, _FIELDS).plan
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


# The Corefile for a plan

# Why these lines are needed:
#   health    lameduck: a terminating Pod still answers while the nodes remove it from their rules
#   ready     the endpoint of the readiness probe; without it no Pod is ever Ready
#   forward   the plan's upstreams: resolv.conf differs between nodes, and may name 127.0.0.53
#   reload    applies a changed ConfigMap without a restart
_TEMPLATE = """\
.:{port} {{
    errors
    health {{
        lameduck 5s
    }}
    ready
    kubernetes {domain} in-addr.arpa ip6.arpa {{
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    prometheus :{metrics}
    forward . {upstreams} {{
        max_concurrent 1000
    }}
    cache 30
    loop
    reload
    loadbalance
}}
"""


def corefile(plan: DnsPlan) -> str:
    return _TEMPLATE.format(port=PORT, domain=plan.domain, metrics=METRICS_PORT, upstreams=" ".join(plan.upstreams))
