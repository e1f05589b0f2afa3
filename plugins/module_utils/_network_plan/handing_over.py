# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the filters hand to roles and playbooks. They refuse a plan that does not say what they need, instead of guessing."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.model import ROLES, Role
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.port_facts import SSH_PORT
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.ports import entry, open_ports
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.reading import read_cluster
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.scalars import LAST_PORT, Misread, choice, shown, whole_number
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

_CHECK = "Run vmstation.cluster.network_plan_check and follow its findings."
# what the derived ports depend on; other faults of a plan are for the check to tell
_FIELDS_OF_PORTS = ("node_cidr", "pod_cidr", "encapsulation", "node_port_range", "services")
# the hosts, a host's entry as a whole, its address or its role
_OF_A_SOURCE = re.compile(r"^hosts(?:\[\d+\])?$|^hosts?[ \[].*\.(?:address(?:\[\d\])?|role)$")
GROUPS: dict[str, Role] = {"control_plane": "control_plane", "workers": "worker"}


def ports_for(plan: object, role: object, hosts: object = None, ssh_port: object = SSH_PORT) -> list[dict[str, object]]:
    """The ports of a role as the module `firewall_ports` takes them."""
    try:
        known = choice(role, "roles_are_known", ROLES)
        ssh = whole_number(
            int(ssh_port) if isinstance(ssh_port, str) and _is_number(ssh_port) else ssh_port, "ports_are_numbers", 1, LAST_PORT
        )
    except Misread as misread:
        subject = "role" if misread.rule == "roles_are_known" else "ssh_port"
        raise Refusal(f"network_plan_ports: {subject}", misread.found, misread.expected, misread.fix or "Correct it.") from None
    cluster, findings = read_cluster(plan, [] if hosts is None else hosts)
    _refuse_if_unreadable(findings, _FIELDS_OF_PORTS, "network_plan_ports")
    return [entry(port) for port in open_ports(cluster.plan, "control_plane" if known == "control_plane" else "worker", cluster.hosts, ssh)]


def trusted_networks(plan: object) -> list[str]:
    """The networks of the pods, which firewalls of the hosts let pass."""
    cluster, findings = read_cluster(plan)
    _refuse_if_unreadable(findings, ("pod_cidr",), "network_plan_trusted")
    return [str(net) for net in cluster.plan.pod_cidr or ()]


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) <= len(str(LAST_PORT))


def _refuse_if_unreadable(findings: list[Finding], fields: tuple[str, ...], who: str) -> None:
    for finding in failures(findings, "error"):
        field = finding.subject.removeprefix("network_plan.")
        if _OF_A_SOURCE.search(field) or finding.rule == "the_plan_is_a_mapping" or field.startswith(fields):
            raise Refusal(f"{who}: {finding.subject}", finding.found, finding.expected, f"{finding.fix} {_CHECK}")


def hosts_of(hostvars: object, groups: object) -> list[dict[str, object]]:
    """The hosts of the inventory groups `control_plane` and `workers`, as the check takes them.

    address: the host's variable `address`, else `ansible_host`. A host in both groups is a control plane host.
    What the inventory does not say is left out, for the check to find.
    """
    if not isinstance(hostvars, Mapping):
        raise Refusal(
            "cluster_hosts", shown(hostvars), "the variable hostvars", "Write `hostvars | vmstation.cluster.cluster_hosts(groups)`."
        )
    if not isinstance(groups, Mapping):
        raise Refusal(
            "cluster_hosts: groups", shown(groups), "the variable groups", "Write `hostvars | vmstation.cluster.cluster_hosts(groups)`."
        )
    found: dict[str, dict[str, object]] = {}
    for group, role in GROUPS.items():
        names = groups.get(group, [])
        if not isinstance(names, (list, tuple)):
            raise Refusal(f"cluster_hosts: groups.{group}", shown(names), "a list of host names", "Pass the variable groups itself.")
        for name in names:
            found.setdefault(str(name), _host(hostvars, str(name), role))
    return list(found.values())


def _host(hostvars: Mapping[str, object], name: str, role: Role) -> dict[str, object]:
    variables = hostvars.get(name)
    if not isinstance(variables, Mapping):
        raise Refusal(f"cluster_hosts: host {name}", "no variables", "the host in hostvars", "Pass hostvars and groups of the same play.")
    host: dict[str, object] = {"name": name, "role": role, "sleeps": variables.get("sleeps", False)}
    address = variables.get("address", variables.get("ansible_host"))
    if address is not None:
        host["address"] = address
    if variables.get("mac") is not None:
        host["mac"] = variables["mac"]
    return host
