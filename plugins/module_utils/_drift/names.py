# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The DNS Service, Services that pass for it, and the domain of the Corefile."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._dns import coredns_rules
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.coredns_state import CoreDnsState
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.corefile_meaning import the_cluster_domain_is_served
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.model import NAME, SERVICE, Fault
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.syntax import Unreadable, parse
from ansible_collections.vmstation.cluster.plugins.module_utils._drift.comparing import KUBE_SYSTEM, NOTHING, Comparison, Point
from ansible_collections.vmstation.cluster.plugins.module_utils._drift.model import Sight
from ansible_collections.vmstation.cluster.plugins.module_utils._drift.wanted import Wanted
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

_ADDRESSES, _ALONE = coredns_rules.the_dns_service_has_the_planned_addresses, coredns_rules.no_second_service_is_dns
_SERVICE, _CONFIG_MAP = f"Service {KUBE_SYSTEM}/{SERVICE}", f"ConfigMap {KUBE_SYSTEM}/{NAME}"


def of_dns_services(wanted: Wanted, seen: Sight) -> Iterator[Comparison]:
    planned = sorted(wanted.dns.addresses)
    if isinstance(seen.dns_services, Refusal):
        yield Point(_ADDRESSES.__name__, _SERVICE, "clusterIP").unknown(planned, seen.dns_services)
        return
    state, asked = CoreDnsState(services=tuple(seen.dns_services)), coredns_rules.Wanted(wanted.dns)
    fault = next(chain(_ADDRESSES(state, asked), coredns_rules.the_dns_service_is_there(state, asked)), None)
    live = sorted(state.dns_service.addresses) if state.dns_service else NOTHING
    yield Point(_ADDRESSES.__name__, _SERVICE, "clusterIP", fault.fix if fault else "").compare(planned, live)
    for second in _ALONE(state, asked):
        yield Point(_ALONE.__name__, second.where, "k8s-app", second.fix).compare(second.expected, second.found)


def of_corefile(wanted: Wanted, seen: Sight) -> Iterator[Comparison]:
    rule, planned = the_cluster_domain_is_served.__name__, f"kubernetes for {wanted.dns.domain}"
    if isinstance(seen.corefile, Refusal):
        yield Point(rule, _CONFIG_MAP, "Corefile").unknown(planned, seen.corefile)
        return
    fault = _fault(seen.corefile, wanted)
    fix = f"{fault.fix} Or run the role dns, which makes it as planned." if fault else ""
    yield Point(rule, _CONFIG_MAP, "Corefile", fix).compare(planned, fault.found if fault else planned)


def _fault(text: Optional[str], wanted: Wanted) -> Optional[Fault]:
    if text is None:
        return Fault("", "no Corefile", "", "Write one.")
    try:
        return next(the_cluster_domain_is_served(parse(text), wanted.dns), None)
    except Unreadable as unreadable:
        return Fault("", f"{unreadable.found} in line {unreadable.line}", unreadable.expected, f"Write {unreadable.expected} there.")
