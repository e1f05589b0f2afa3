# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules about Calico: its pools, their blocks and their encapsulation."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.model import Cluster
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.port_facts import uses_bgp
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.ranges import BLOCK_SIZES, Pool, pools
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.rule import Rule, Violation

# https://kubernetes.io/docs/setup/best-practices/cluster-large/ and the kubelet's default of maxPods
PODS_PER_NODE = 110
# https://docs.tigera.io/calico/latest/getting-started/kubernetes/self-managed-onprem/onpremises: calico.yaml is for 50 nodes or fewer
NODES_WITHOUT_TYPHA = 50
# https://docs.tigera.io/calico/latest/networking/configuring/bgp: a full mesh is for about 100 nodes or fewer
NODES_OF_A_FULL_MESH = 100


def block_sizes_are_calicos(cluster: Cluster) -> Iterator[Violation]:
    """A block size is 20 to 32 for an IPv4 pool and 116 to 128 for an IPv6 pool, one for each."""
    pods, sizes = cluster.plan.pod_cidr, cluster.plan.block_sizes
    if not pods or not sizes:
        return
    allowed = [BLOCK_SIZES[net.version] for net in pods]
    expected = " or ".join(f"{first} to {last} (IPv{net.version})" for net, (first, last) in zip(pods, allowed))
    strangers = [size for size in sizes if not any(first <= size <= last for first, last in allowed)]
    for size in strangers:
        yield Violation("network_plan.block_size", f"{size}", expected)
    for first, last in allowed if not strangers else ():
        of_family = [size for size in sizes if first <= size <= last]
        if len(of_family) > 1:
            yield Violation("network_plan.block_size", " and ".join(map(str, of_family)), "one block size for each pod network")


def _valid_pools(cluster: Cluster) -> list[Pool]:
    """Pools whose block size fits, so that their capacity can be judged."""
    if list(block_sizes_are_calicos(cluster)):
        return []
    return [pool for pool in pools(cluster.plan) if pool.block_size >= pool.cidr.prefixlen]


def blocks_fit_in_their_pool(cluster: Cluster) -> Iterator[Violation]:
    """A pod network holds at least one whole Calico block."""
    if list(block_sizes_are_calicos(cluster)):
        return
    for pool in pools(cluster.plan):
        if pool.block_size < pool.cidr.prefixlen:
            found = f"blocks of /{pool.block_size} in {pool.cidr}"
            yield Violation("network_plan.block_size", found, f"a block size of {pool.cidr.prefixlen} or more")


def pools_have_a_block_for_every_node(cluster: Cluster) -> Iterator[Violation]:
    """A pod network has at least as many Calico blocks as there are hosts: a node without a block has no pod addresses of its own."""
    nodes = len(cluster.hosts or ())
    for pool in _valid_pools(cluster):
        if pool.blocks < nodes:
            count = f"{pool.blocks} block{'s' if pool.blocks > 1 else ''}"
            found = f"{pool.cidr}, which holds {count} of /{pool.block_size}, for {nodes} hosts"
            yield Violation("network_plan.pod_cidr", found, f"at least {nodes} blocks")


def pools_hold_all_pods_of_full_nodes(cluster: Cluster) -> Iterator[Violation]:
    """A pod network has 110 addresses for every host, which is what a kubelet runs at most."""
    nodes = len(cluster.hosts or ())
    for pool in _valid_pools(cluster):
        have = pool.blocks * pool.addresses_per_block
        if pool.blocks >= nodes and have < nodes * PODS_PER_NODE:
            found = f"{pool.cidr}, which holds {have} addresses, for {nodes} hosts"
            yield Violation("network_plan.pod_cidr", found, f"{nodes * PODS_PER_NODE} addresses or more")


def ipip_has_an_ipv4_pool(cluster: Cluster) -> Iterator[Violation]:
    """IP-in-IP, which carries IPv4 only, is planned for an IPv4 pod network."""
    plan = cluster.plan
    word = plan.encapsulation or ""
    if plan.pod_cidr and word.startswith("IPIP") and all(net.version == 6 for net in plan.pod_cidr):
        yield Violation("network_plan.encapsulation", f"{word} for {plan.pod_cidr[0]}", "VXLAN, VXLANCrossSubnet or None for IPv6 pods")


def every_pool_is_encapsulated(cluster: Cluster) -> Iterator[Violation]:
    """With an encapsulation planned, every pod network has it (an IPv6 pool beside IP-in-IP goes without: it works on one LAN)."""
    plan = cluster.plan
    if len(plan.pod_cidr or ()) < 2 or not (plan.encapsulation or "").startswith("IPIP"):
        return
    for pool in pools(plan):
        if pool.encapsulation == "None":
            yield Violation(
                "network_plan.encapsulation",
                f"{plan.encapsulation}, which leaves {pool.cidr} without",
                "an encapsulation for both families",
            )


def calico_needs_no_typha(cluster: Cluster) -> Iterator[Violation]:
    """There are at most 50 hosts: on more, Calico without Typha has every node watch the API server for itself."""
    nodes = len(cluster.hosts or ())
    if nodes > NODES_WITHOUT_TYPHA:
        yield Violation(
            "hosts", f"{nodes} hosts", f"{NODES_WITHOUT_TYPHA} or fewer for Calico without Typha, which this collection installs"
        )


def the_bgp_mesh_is_small(cluster: Cluster) -> Iterator[Violation]:
    """There are at most 100 hosts if Calico uses BGP: in its full mesh every node has a session with every other node."""
    nodes = len(cluster.hosts or ())
    if uses_bgp(cluster.plan) and nodes > NODES_OF_A_FULL_MESH:
        found = f"{nodes} hosts with encapsulation {cluster.plan.encapsulation}: {nodes - 1} BGP sessions on each"
        yield Violation("network_plan.encapsulation", found, f"{NODES_OF_A_FULL_MESH} hosts or fewer in a full BGP mesh")


CALICO_RULES = (
    Rule(block_sizes_are_calicos, "error", "Write block_size: 26 for IPv4, 122 for IPv6, or leave it out."),
    Rule(blocks_fit_in_their_pool, "error", "Enlarge pod_cidr, or raise block_size."),
    Rule(pools_have_a_block_for_every_node, "error", "Enlarge pod_cidr, like 10.244.0.0/16, or raise block_size."),
    Rule(pools_hold_all_pods_of_full_nodes, "warning", "Enlarge pod_cidr, like 10.244.0.0/16."),
    Rule(ipip_has_an_ipv4_pool, "error", "Set encapsulation: VXLAN."),
    Rule(every_pool_is_encapsulated, "info", "Set encapsulation: VXLAN if nodes are on several networks."),
    Rule(calico_needs_no_typha, "warning", "Use 50 hosts or fewer, or expect more load on the API server with each host."),
    Rule(the_bgp_mesh_is_small, "warning", "Set encapsulation: VXLAN, which needs no BGP."),
)
