# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker with the network plan's own set, seen by a host of the cluster, its owner, a guest of the home network, and a Pod."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.reading import ports_for, protected_networks, trusted_networks

from tests.integration import firewall_direct
from tests.integration.firewall_wire import listening, passes_protocol_4, pods_on, reached
from tests.unit.network_plan.plans import SPECIFICATION

OWNER, GUEST = "192.168.4.180", "192.168.4.181"
CLUSTER_IP = "10.96.0.7"
LOKI, GRAFANA, UNLISTED = 31100, 30300, 30999
KUBELET, LOCKED = 10250, 8500
# what kube-proxy does: each NodePort of the plan, and a ClusterIP, lead to the Pod
SERVICES = """
table ip kube_test {{
  chain prerouting {{
    type nat hook prerouting priority dstnat;
    fib daddr type local tcp dport {{ 30300, 31100, 30999 }} dnat to {pod}:3000
    ip daddr 10.96.0.7 tcp dport 3000 dnat to {pod}:3000
  }}
  chain postrouting {{ type nat hook postrouting priority srcnat; ip daddr {pod} masquerade; }}
}}
"""


def worker_set(host: Any, node: Any, **plan: object) -> dict[str, object]:
    """The options of firewall_ports for this host, in a cluster of it and the node."""
    whole = {**SPECIFICATION, "admin_sources": [f"{OWNER}/32"], **plan}
    hosts = [
        {"name": "worker", "address": host.address, "role": "worker"},
        {"name": "node", "address": node.address, "role": "control_plane"},
    ]
    return {
        "name": "worker",
        "ports": ports_for(whole, "worker", hosts),
        "trusted": trusted_networks(whole),
        "trusted_ports": "listed",
        "protected": protected_networks(whole, hosts),
    }


@contextlib.contextmanager
def cluster_on(lab: Any, host: Any, neighbour: Any, pod: Any) -> Iterator[str]:
    """A Pod with its Services on the host, and a neighbour that has the owner's and the guest's address as well, and routes to the Pod."""
    for address in (OWNER, GUEST):
        neighbour.run(["ip", "address", "replace", f"{address}/24", "dev", "eth0"])
    for network in ("10.244.9.0/24", "10.96.0.0/12"):
        neighbour.run(["ip", "route", "replace", network, "via", host.address])
    with pods_on(lab, host, pod) as (address,):
        host.run(["nft", "-f", "-"], stdin=SERVICES.format(pod=address))
        try:
            with listening(pod, ("tcp", 3000)), listening(host, ("tcp", KUBELET), ("tcp", LOCKED)):
                yield address
        finally:
            host.run(["nft", "delete", "table", "ip", "kube_test"])
            for network in ("10.244.9.0/24", "10.96.0.0/12"):
                neighbour.run(["ip", "route", "delete", network])
            for owned in (OWNER, GUEST):
                neighbour.run(["ip", "address", "delete", f"{owned}/24", "dev", "eth0"])


def guests_reach_what_the_plan_opens_and_no_more(lab: Any, host: Any, node: Any, pod: Any) -> None:
    wanted = worker_set(host, node)
    open_to_all = {**wanted, "ports": [{"port": 22}, {"port": "30000-32767"}], "trusted_ports": "all", "protected": []}
    with cluster_on(lab, host, node, pod) as address:
        node_ports = [("tcp", host.address, port) for port in (LOKI, GRAFANA, UNLISTED)]
        inside = [("tcp", address, 3000), ("tcp", CLUSTER_IP, 3000)]
        of_the_host = [("tcp", host.address, port, address) for port in (LOCKED, KUBELET, GRAFANA)]

        def reached_from(source: str) -> list[bool]:
            return reached(node, *((*question, source) for question in (*node_ports, *inside)))

        # a guest's route is enough without the plan's sources
        firewall_direct.run(host, open_to_all)
        assert reached_from(GUEST) == [True, True, True, True, True]
        assert reached(pod, *of_the_host) == [True, True, True]
        assert firewall_direct.run(host, wanted)["changed"] is True
        assert firewall_direct.run(host, wanted)["changed"] is False
        assert reached_from(GUEST) == [False, True, True, False, False]
        assert reached_from(OWNER) == [True, True, True, False, False]
        assert reached_from(node.address) == [True, True, True, True, True]
        assert reached(pod, *of_the_host) == [False, True, True]
        assert not pod.run(["ping", "-c1", "-W2", "-I", address, host.address], check=False).returncode
        firewall_direct.run(host, worker_set(host, node, unlisted_node_ports="closed"))
        assert reached_from(GUEST) == [False, True, False, False, False]
        assert reached_from(node.address) == [True, True, True, True, True]


def only_hosts_carry_packets_of_pods(host: Any, node: Any) -> None:
    """BGP, IP-in-IP and VXLAN: a guest could announce routes, or send packets in the name of a Pod."""
    node.run(["ip", "address", "replace", f"{GUEST}/24", "dev", "eth0"])
    try:
        with listening(host, ("tcp", 179), ("udp", 4789)):
            for encapsulation, port in (("IPIP", ("tcp", host.address, 179)), ("VXLAN", ("udp", host.address, 4789))):
                firewall_direct.run(host, worker_set(host, node, encapsulation=encapsulation))
                assert reached(node, (*port, node.address), (*port, GUEST)) == [True, False], encapsulation
                ipip = encapsulation == "IPIP"
                passed = [passes_protocol_4(node, host, source) for source in (node.address, GUEST)]
                assert passed == [ipip, False], encapsulation
    finally:
        node.run(["ip", "address", "delete", f"{GUEST}/24", "dev", "eth0"])
        firewall_direct.run(host, {"name": "worker", "state": "absent"})
