# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of docs/network-plan.md, made from the code. `PYTHONPATH=collections python -m tests.unit.network_plan.tables` writes them."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.cluster_rules import CALICO_RULES, DNS_RULES, SERVICE_RULES
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.ports import PORT_FACTS, STALE_FACTS
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.reading import PLAN_KEYS, SYNTAX_RULES
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.rules import HOST_RULES, NETWORK_RULES

PAGE = Path(__file__).resolve().parents[3] / "docs" / "network-plan.md"
ROLES = {("control_plane", "worker"): "both", ("control_plane",): "control plane", ("worker",): "workers"}
SOURCES = {
    "anyone": "anyone",
    "hosts_and_pods": "the hosts' addresses and pod_cidr",
    "control_plane": "the control plane hosts' addresses",
    "hosts": "the hosts' addresses",
    "ipv4_hosts": "the hosts' IPv4 addresses",
    "node_ports": "node_cidr, or as in services",
}
# what a key means; test_plan_documentation holds the keys equal to the code's
MEANINGS = {
    "node_cidr": "the network of the hosts",
    "gateway": "the router of that network",
    "upstream_dns": "a list of the DNS servers that the cluster's DNS queries for names outside the cluster",
    "dhcp_range": "the addresses that the router's DHCP server gives away, like `192.168.4.100-192.168.4.199`: none of them is ours",
    "api_vip": "a free address of the node network for the API, on one of [several control plane hosts](several-control-planes.md)",
    "pod_cidr": "the addresses of pods",
    "service_cidr": "the addresses of Services",
    "dns_service_ip": "the address of the cluster's DNS",
    "dns_domain": "the domain of the cluster's own names",
    "node_port_range": "the ports of Services of type NodePort, on every node",
    "local_port_range": "the ports that the hosts' kernel uses for outgoing connections, as in `net.ipv4.ip_local_port_range`",
    "kubernetes_version": 'in quotes, like `"1.36"`',
    "encapsulation": "how Calico carries packets between nodes: IPIP, IPIPCrossSubnet, VXLAN, VXLANCrossSubnet or None",
    "block_size": "the prefix length of the blocks that Calico gives to nodes; for dual stack a list of two if both are given",
    "typha": "whether Calico uses [Typha](#more-than-50-hosts): `auto` (with more than 50 hosts), `present` or `absent`",
    "services": "a list of the Services that answer on NodePorts",
    "extra_ports": "a list of the ports of your own programs on the hosts, opened in addition to those of the cluster",
    "admin_sources": "a list of the networks that reach the NodePorts of Alertmanager, Loki and Prometheus, which require no password",
    "host_sources": "a list of the networks from which the cluster's hosts send packets, besides their addresses in the inventory",
    "unlisted_node_ports": "`open`: `node_cidr` reaches NodePorts that are not in `services`. `closed`: only the cluster's hosts do",
    "declared_ports": "the ports that you believe must be open, as lists in the keys `control_plane` and `workers`: checked, never opened",
}


def table(heads, rows):
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    return "\n".join([*lines, *(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows)])


def rules(some):
    return table(["Rule", "What it asserts", "Severity", "Fix"], ([f"`{rule.name}`", rule.truth, rule.severity, rule.fix] for rule in some))


def ports():
    for fact in PORT_FACTS:
        numbers = {"fact": str(fact.ports), "ssh": "22", "node_port_range": "node_port_range"}[fact.ports_from]
        what = f"protocol {fact.protocol}" if fact.protocol.isdigit() else f"{numbers}/{fact.protocol}"
        what += ", or where the host's SSH server listens" if fact.ports_from == "ssh" else ""
        yield [what, fact.name, ROLES[fact.roles], SOURCES[fact.sources], fact.wording, f"[{fact.reason}]({fact.document})"]


def tables():
    """Each table by the name of its marker in the page."""
    keys = ([f"`{key}`", default or "required", MEANINGS[key]] for key, default in PLAN_KEYS.items())
    stale = ([str(fact.port), fact.what, fact.instead] for fact in STALE_FACTS)
    return {
        "keys": table(["Key", "Default", "Meaning"], keys),
        "ports": table(["Port", "Name", "Role", "Sources", "When", "Reason, and its document"], ports()),
        "stale": table(["Declared", "What it is", "What is needed instead"], stale),
        "spelling": rules(SYNTAX_RULES),
        "networks": rules(NETWORK_RULES),
        "dns": rules(DNS_RULES),
        "hosts": rules(HOST_RULES),
        "calico": rules(CALICO_RULES),
        "services": rules(SERVICE_RULES),
    }


def renewed(page):
    for name, text in tables().items():
        head, found, rest = page.partition(f"<!-- table: {name} -->\n")
        _old, end, tail = rest.partition("<!-- end -->")
        assert found, f"no place for the table {name}"
        page = head + found + text + "\n" + end + tail
    return page


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text()))
