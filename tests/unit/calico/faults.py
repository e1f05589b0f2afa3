# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong with Calico, one fault at a time, and what must be said of it."""

from __future__ import annotations

from collections.abc import Callable

from tests.unit.calico.clusters import ADDRESSES, World, block, pool, stamp, status

MASTER, STORAGE, HOMELAB = ADDRESSES

Fault = tuple[Callable[[World], object], str, str, str, tuple[str, ...], tuple[str, ...]]

# change, rule, severity, subject, words of the finding, nodes whose verdict it spoils
FAULTS: dict[str, Fault] = {
    "node silent": (
        lambda w: w.switch_off(HOMELAB),
        "nodes_are_ready", "error", "node homelab", ("silent since", "playbooks/wake.yml"), (HOMELAB,),
    ),
    "no Pod": (
        lambda w: w.drop("Pod", "calico-node-homelab"),
        "calico_runs_on_every_node", "error", "node homelab", ("kubectl describe daemonset --namespace kube-system",), (HOMELAB,),
    ),
    "Pod not ready": (
        lambda w: w.unready(HOMELAB),
        "calico_runs_on_every_node", "error", "node homelab",
        ("readiness probe does not pass", "kubectl describe pod --namespace kube-system calico-node-homelab"), (HOMELAB,),
    ),
    "Pod in a crash loop": (
        lambda w: w.unready(HOMELAB, state={"waiting": {"reason": "CrashLoopBackOff"}}),
        "calico_runs_on_every_node", "error", "node homelab", ("CrashLoopBackOff", "kubectl logs --previous"), (HOMELAB,),
    ),
    "Pod restarts": (
        lambda w: w.restarted(HOMELAB, 2, 1, "Error", 1),
        "calico_node_keeps_running", "error", "node homelab", ("4 restarts", "after 60 s", "kubectl logs --previous"), (HOMELAB,),
    ),
    "Pod out of memory": (
        lambda w: w.restarted(HOMELAB, 2, 600, "OOMKilled", 137),
        "calico_node_keeps_running", "error", "node homelab", ("OOMKilled",), (HOMELAB,),
    ),
    "network unavailable": (
        lambda w: w.condition(HOMELAB, "NetworkUnavailable", "True", "Calico is shutting down"),
        "networks_are_available", "error", "node homelab", ("Calico is shutting down",), (HOMELAB,),
    ),
    "wrong interface": (
        lambda w: (
            w.annotate(HOMELAB, "IPv4Address", "172.17.0.1/16"),
            [w.report(name, HOMELAB, None) for name in (MASTER, STORAGE)],
            [w.report(HOMELAB, name, "Active") for name in (MASTER, STORAGE)],
        ),
        "calico_uses_the_planned_address", "error", "node homelab",
        ("address 172.17.0.1", "expected 192.168.4.62", "IP_AUTODETECTION_METHOD"), (HOMELAB,),
    ),
    "no tunnel": (
        lambda w: w.annotate(HOMELAB, "IPv4IPIPTunnelAddr", None),
        "tunnels_have_addresses_of_their_own", "error", "node homelab", ("no address of the IPIP tunnel",), (HOMELAB,),
    ),
    "tunnel of elsewhere": (
        lambda w: w.annotate(HOMELAB, "IPv4IPIPTunnelAddr", "192.168.77.1"),
        "tunnels_have_addresses_of_their_own", "error", "node homelab", ("192.168.77.1", "pod_cidr"), (HOMELAB,),
    ),
    "tunnel of another": (
        lambda w: w.annotate(MASTER, "IPv4IPIPTunnelAddr", "10.244.0.128"),
        "tunnels_have_addresses_of_their_own", "error", "node masternode", ("as on node homelab",), (MASTER,),
    ),
    "block pending": (
        lambda w: w.put("BlockAffinity", block(HOMELAB, "10.244.0.128/26", state="pending")),
        "blocks_are_confirmed", "error", "node homelab", ("block 10.244.0.128/26: pending",), (HOMELAB,),
    ),
    "blocks of a Node that has gone": (
        lambda w: w.put("BlockAffinity", block("ghost", "10.244.9.0/26")),
        "blocks_belong_to_nodes", "warning", "node ghost", ("10.244.9.0/26", "calicoctl ipam release"), (),
    ),
    "pool of another network": (
        lambda w: w.put("IPPool", pool(cidr="10.10.0.0/16", ipipMode="Always")),
        "pools_have_the_planned_network", "error", "IPPool default-ipv4-ippool", ("10.10.0.0/16", "10.244.0.0/16"), (),
    ),
    "no pool": (
        lambda w: w.drop("IPPool", "default-ipv4-ippool"),
        "pools_exist", "error", "network_plan.pod_cidr", ("no IPPool of 10.244.0.0/16", "site.yml"), (),
    ),
    "pool of another encapsulation": (
        lambda w: (
            w.put("IPPool", pool(ipipMode="Never", vxlanMode="Always")),
            [w.objects["Node"][name]["metadata"]["annotations"].update({"projectcalico.org/IPv4VXLANTunnelAddr": f"10.244.3.{at}"})
             for at, name in enumerate(ADDRESSES)],
        ),
        "pools_have_the_planned_encapsulation", "error", "IPPool default-ipv4-ippool", ("ipipMode Never, vxlanMode Always",), (),
    ),
    "pool of another scope": (
        lambda w: w.put("IPPool", pool(ipipMode="CrossSubnet")),
        "pools_have_the_planned_scope", "error", "IPPool default-ipv4-ippool", ("IPIP CrossSubnet", "site.yml"), (),
    ),
    "pool of another block size": (
        lambda w: w.put("IPPool", pool(blockSize=24)),
        "pools_have_the_planned_block_size", "error", "IPPool default-ipv4-ippool", ("blockSize 24",), (),
    ),
    "pool disabled": (
        lambda w: w.put("IPPool", pool(disabled=True)),
        "pools_serve_pods_of_every_node", "error", "IPPool default-ipv4-ippool", ("disabled true",), (),
    ),
    "foreign pool": (
        lambda w: w.put("IPPool", pool("foreign", cidr="10.99.0.0/16")),
        "pools_are_planned", "warning", "IPPool foreign", ("10.99.0.0/16",), (),
    ),
    "foreign pool across ours": (
        lambda w: w.put("IPPool", pool("foreign", cidr="10.244.128.0/17")),
        "pools_do_not_meet", "error", "IPPool foreign", ("10.244.128.0/17, overlapping IPPool default-ipv4-ippool",), (),
    ),
    "one session down": (
        lambda w: w.session(MASTER, HOMELAB, "Active"),
        "bgp_sessions_are_established", "error", "nodes homelab and masternode",
        ("homelab reports masternode: Active", "masternode reports homelab: Active", "masternode connects to homelab",
         "`nc -vz 192.168.4.62 179` on masternode", "open 179/tcp"), (MASTER, HOMELAB),
    ),
    "one session down, one end reports": (
        lambda w: (w.session(MASTER, HOMELAB, "Connect"), w.drop("CalicoNodeStatus", HOMELAB)),
        "bgp_sessions_are_established", "error", "nodes homelab and masternode", ("masternode reports homelab: Connect",),
        (MASTER, HOMELAB),
    ),
    "a node without any session": (
        lambda w: [w.session(name, HOMELAB, "Active") for name in (MASTER, STORAGE)],
        "bgp_sessions_are_established", "error", "node homelab",
        ("Check homelab first", "179/tcp to and from masternode and storagenodet3500"), (MASTER, STORAGE, HOMELAB),
    ),
    "nobody has a session": (
        lambda w: [w.session(*pair, "Active") for pair in ((MASTER, STORAGE), (MASTER, HOMELAB), (STORAGE, HOMELAB))],
        "bgp_sessions_are_established", "error", "BGP mesh", ("the firewalls", "179/tcp"), (MASTER, STORAGE, HOMELAB),
    ),
    "a session that is not agreed on": (
        lambda w: w.session(MASTER, HOMELAB, "OpenSent"),
        "bgp_sessions_are_established", "error", "nodes homelab and masternode", ("AS numbers", "passwords of homelab and masternode"),
        (MASTER, HOMELAB),
    ),
    "a peer that BIRD does not know": (
        lambda w: (w.report(MASTER, HOMELAB, None), w.report(HOMELAB, MASTER, "Connect")),
        "bgp_sessions_are_established", "error", "nodes homelab and masternode", ("masternode reports homelab: not configured",),
        (MASTER, HOMELAB),
    ),
    "ends that contradict each other": (
        lambda w: w.report(MASTER, HOMELAB, "Active"),
        "bgp_ends_agree", "warning", "nodes homelab and masternode", ("the other end reports Established",), (),
    ),
    "BIRD not ready": (
        lambda w: w.objects["CalicoNodeStatus"][HOMELAB]["status"]["agent"]["birdV4"].update(state="NotReady"),
        "bird_is_ready", "error", "node homelab", ("BIRD for IPv4: NotReady",), (HOMELAB,),
    ),
    "no status": (
        lambda w: w.drop("CalicoNodeStatus", HOMELAB),
        "bgp_sessions_are_known", "unknown", "node homelab", ("no CalicoNodeStatus", "create_status: true"), (),
    ),
    "no status anywhere": (
        lambda w: w.objects["CalicoNodeStatus"].clear(),
        "bgp_sessions_are_known", "unknown", "nodes masternode, storagenodet3500 and homelab", ("no CalicoNodeStatus",), (),
    ),
    "a status never written": (
        lambda w: w.objects["CalicoNodeStatus"][HOMELAB].pop("status"),
        "bgp_sessions_are_known", "unknown", "node homelab", ("has not written yet",), (),
    ),
    "a status older than the Pod": (
        lambda w: w.objects["CalicoNodeStatus"][HOMELAB]["status"].update(lastUpdated=stamp(700)),
        "bgp_sessions_are_known", "unknown", "node homelab", ("before its calico-node started",), (),
    ),
    "a status that is not kept up": (
        lambda w: w.objects["CalicoNodeStatus"][HOMELAB]["spec"].update(updatePeriodSeconds=0),
        "bgp_sessions_are_known", "unknown", "node homelab", ("updatePeriodSeconds is 0",), (),
    ),
    "a status of something else": (
        lambda w: w.objects["CalicoNodeStatus"][HOMELAB]["spec"].update(classes=["Agent"]),
        "bgp_sessions_are_known", "unknown", "node homelab", ("without the class BGP",), (),
    ),
    "no mesh and no peers": (
        lambda w: (
            w.objects["BGPConfiguration"]["default"]["spec"].update(nodeToNodeMeshEnabled=False),
            [w.objects["CalicoNodeStatus"][name]["status"]["bgp"].update(peersV4=[]) for name in ADDRESSES],
        ),
        "bgp_has_peers", "error", "BGPConfiguration default", ("nodeToNodeMeshEnabled",), (),
    ),
    "peers by selector": (
        lambda w: (
            w.objects["BGPConfiguration"]["default"]["spec"].update(nodeToNodeMeshEnabled=False),
            w.put("BGPPeer", {"metadata": {"name": "racks"}, "spec": {"nodeSelector": "all()", "peerSelector": "rr == 'true'"}}),
        ),
        "bgp_peers_are_derivable", "warning", "BGPPeer racks", ("selectors",), (),
    ),
    "a Node of nobody's plan": (
        lambda w: (
            w.put("Node", World({"stray": "192.168.4.99"}).objects["Node"]["stray"]),
            w.annotate("stray", "IPv4IPIPTunnelAddr", "10.244.7.1"),
            w.put("Pod", World({"stray": ""}).objects["Pod"]["calico-node-stray"]),
            w.put("CalicoNodeStatus", status("stray", dict.fromkeys(ADDRESSES.values(), "Established"))),
            [w.put("CalicoNodeStatus", status(name, dict.fromkeys([*w.others(ip), "192.168.4.99"], "Established")))
             for name, ip in ADDRESSES.items()],
        ),
        "nodes_are_planned", "warning", "node stray", ("kubectl delete node stray",), (),
    ),
    "no DaemonSet": (
        lambda w: (w.drop("DaemonSet", "calico-node"), w.objects["Pod"].clear()),
        "calico_is_installed", "error", "DaemonSet calico-node", ("site.yml",), (),
    ),
    "a probe that does not ask BIRD": (
        lambda w: w.objects["DaemonSet"]["calico-node"]["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["exec"][
            "command"].remove("-bird-ready"),
        "readiness_asks_bird", "warning", "DaemonSet kube-system/calico-node", ("-felix-ready",), (),
    ),
}  # fmt: skip
