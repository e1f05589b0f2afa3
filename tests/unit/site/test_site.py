# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the playbooks hand on, and the verdict at the end of a site run."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.nodes import finding_of_stranger
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._site.hosts import (
    asleep_hosts,
    idle_workers,
    node_identities,
    sleeping_hosts,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._site.verdict import finding_lines, site_verdict

HOMELAB = {"name": "homelab", "address": "192.168.4.62", "mac": "d0:94:66:30:d6:63", "role": "worker", "sleeps": True}
MASTER = {"name": "masternode", "address": ["192.168.4.63", "fd00::63"], "role": "control_plane", "sleeps": False}
SWAP = {"rule": "swap_is_off", "severity": "error", "subject": "swap on /x", "found": "in use", "expected": "none", "fix": "Do it."}
VERSION = "Client:\n  Version:  1.7.0\n\nServer:\n  Version:  1.6.20~ds1\n  Revision: 1\n"


@pytest.mark.parametrize(
    ("hosts", "names", "wanted"),
    [
        ([MASTER, HOMELAB], ["masternode", "homelab"], [{"name": "homelab", "mac": "d0:94:66:30:d6:63", "address": "192.168.4.62"}]),
        ([MASTER, HOMELAB], ["masternode"], []),
        ([{**HOMELAB, "address": ["192.168.4.9", "fd00::9"]}], ["homelab"], [{**HOMELAB, "address": "192.168.4.9"}]),
        ([], [], []),
    ],
)
def test_only_hosts_of_the_play_that_sleep_are_woken(hosts: list[dict], names: list[str], wanted: list[dict]) -> None:
    assert sleeping_hosts(hosts, names) == [{key: host[key] for key in ("name", "mac", "address")} for host in wanted]


@pytest.mark.parametrize(
    ("variables", "port"),
    [
        ({}, 22),
        ({"ansible_port": 2222}, 2222),
        ({"ansible_port": "2222"}, 2222),
        ({"ansible_port": None}, 22),
        # the owner's word about the SSH server, where Ansible connects through another port
        ({"ansible_port": 10022, "node_ssh_port": "2222"}, 2222),
    ],
)
def test_a_host_is_probed_on_the_port_of_its_ssh_server(variables: dict[str, object], port: int) -> None:
    (target,) = sleeping_hosts([MASTER, HOMELAB], ["homelab"], {"homelab": variables})
    assert target["port"] == port
    (worker,) = idle_workers([HOMELAB], {"homelab": variables})
    assert worker["port"] == port


@pytest.mark.parametrize("port", ["ssh", "", 0, 65536, True, 22.5, [22]])
def test_a_port_that_is_none_is_an_error_that_names_the_host(port: object) -> None:
    with pytest.raises(Refusal) as refusal:
        sleeping_hosts([MASTER, HOMELAB], ["homelab"], {"homelab": {"ansible_port": port}})
    assert str(refusal.value) == (
        f"host homelab: ansible_port: found {port!r}; required: a port number from 1 to 65535. Correct ansible_port of this host."
    )


def test_hostvars_that_are_none_are_refused() -> None:
    with pytest.raises(Refusal, match="sleeping_hosts: hostvars: found list; required: the variable hostvars"):
        sleeping_hosts([HOMELAB], ["homelab"], ["homelab"])


@pytest.mark.parametrize("wrong", [None, "homelab", {"name": "homelab"}, ["homelab"]])
def test_what_is_no_list_of_hosts_is_refused(wrong: object) -> None:
    with pytest.raises(Refusal):
        sleeping_hosts(wrong, [])
    with pytest.raises(Refusal):
        site_verdict({}, wrong if wrong != ["homelab"] else None)
    with pytest.raises(Refusal):
        asleep_hosts(["homelab"])


@pytest.mark.parametrize(
    ("hostvars", "wanted"),
    [
        ({}, []),
        ({"masternode": {}, "homelab": {"site_wake": {"skipped": True}}}, []),
        ({"homelab": {"site_wake": {"hosts": [{"name": "homelab", "is_up": True}]}}}, []),
        (
            {name: {"site_wake": {"hosts": [{"name": "storage", "is_up": False}, {"name": "homelab", "is_up": False}]}} for name in "ab"},
            ["homelab", "storage"],
        ),
    ],
)
def test_only_hosts_that_did_not_get_up_are_asleep(hostvars: dict, wanted: list[str]) -> None:
    assert asleep_hosts(hostvars) == wanted


def test_identities_come_from_gathered_facts() -> None:
    facts = {"nodename": "homelab.lan", "hostname": "homelab", "machine_id": "33c8", "product_uuid": "NA", "os_family": "Debian"}
    hostvars = {"homelab": {"ansible_facts": facts}, "masternode": {"ansible_facts": {}}, "storage": {}}
    assert node_identities(hostvars, ["homelab", "masternode", "storage", "nobody"]) == [
        {"name": "homelab", "hostname": "homelab.lan", "machine_id": "33c8", "product_uuid": "NA"}
    ]


FIREWALL = {
    "backend": "nftables",
    "ports": [{"port": "22", "protocol": "tcp", "sources": []}, {"port": "", "protocol": "4", "sources": ["192.168.4.0/24"]}],
    "trusted": ["10.244.0.0/16"],
}
ASLEEP = {
    "site_wake": {"hosts": [{"name": "homelab", "is_up": False}]},
    "site_network": {"derived": {"ports": {"worker": FIREWALL["ports"]}}},
}
HEAD = "homelab (worker, 192.168.4.62): "
UNPROTECTED = HEAD + "NO firewall is active, every device reaches 22/tcp, 9100/tcp; "
STANDING = {
    "_node_preflight": {"findings": []},
    "_node_firewall": {"backend": "none", "exposed": ["22/tcp", "9100/tcp"]},
    "_node_runtime": {"stdout": VERSION},
}
READY = {"nodes": {"homelab": {"ready": True, "reason": ""}}}
VERDICTS = {
    "prepared": (
        {"_node_preflight": {"findings": []}, "_node_firewall": FIREWALL, "_node_runtime": {"stdout": VERSION}},
        [
            HEAD + "nftables, 2 open ports; containerd 1.6.20~ds1",
            "  22/tcp from anywhere",
            "  protocol 4 from 192.168.4.0/24",
            "  everything from and to 10.244.0.0/16",
        ],
    ),
    "Pods do not reach all ports": (
        {
            "_node_preflight": {"findings": []},
            "_node_firewall": {**FIREWALL, "trusted_ports": "listed"},
            "_node_runtime": {"stdout": VERSION},
        },
        [
            HEAD + "nftables, 2 open ports; containerd 1.6.20~ds1",
            "  22/tcp from anywhere",
            "  protocol 4 from 192.168.4.0/24",
            "  everything forwarded from and to 10.244.0.0/16",
        ],
    ),
    "no firewall, no runtime yet": (
        {
            "_node_preflight": {"findings": []},
            "_node_firewall": {"backend": "none", "exposed": ["22/tcp", "9100/tcp"]},
            "_node_runtime": {"skipped": True},
        },
        [UNPROTECTED + "containerd not running"],
    ),
    "asleep": (
        ASLEEP,
        [
            HEAD + "asleep, skipped. When awake, run site.yml for it: hosts added since do not reach its Pods. It opens",
            "  22/tcp from anywhere",
            "  protocol 4 from 192.168.4.0/24",
        ],
    ),
    "stopped by the preflight": (
        {"_node_preflight": {"failed": True, "findings": [SWAP]}, "site_failure": {"task": "Judge", "msg": "x"}},
        [HEAD + "NOT prepared, ended at: Judge", "  error: swap on /x: in use"],
    ),
    "failed after the firewall": (
        {"_node_preflight": {"findings": []}, "_node_firewall": FIREWALL, "site_failure": {"task": "Verify the open ports", "msg": "x"}},
        [HEAD + "NOT prepared, ended at: Verify the open ports"],
    ),
    "failed before the preflight": ({"site_failure": {"task": "Gather", "msg": "x"}}, [HEAD + "NOT prepared, ended at: Gather"]),
    "accepted and audited": (
        {
            "_node_preflight": {"findings": [], "accepted": [SWAP]},
            "_node_firewall": {"backend": "none", "exposed": ["22/tcp", "9100/tcp"]},
            "_node_nic": {"findings": [{**SWAP, "severity": "warning", "subject": "interface eth0"}]},
        },
        [
            UNPROTECTED + "containerd not running",
            "  warning: interface eth0: in use",
            "  accepted: swap on /x: in use",
        ],
    ),
    "a node that is ready and resolves names": (
        {**STANDING, "site_nodes": READY, "site_dns": {"answers": [{}], "findings": []}},
        [UNPROTECTED + "containerd 1.6.20~ds1; node ready; DNS answers"],
    ),
    "a node that is not ready": (
        {**STANDING, "site_nodes": {"nodes": {"homelab": {"ready": False, "reason": "no CNI"}}}, "site_dns": {"skipped": True}},
        [UNPROTECTED + "containerd 1.6.20~ds1; node NOT ready: no CNI"],
    ),
    "a node without DNS": (
        {**STANDING, "site_nodes": READY, "site_dns": {"answers": [{}], "findings": [{**SWAP, "subject": "DNS 10.233.0.3"}]}},
        [
            UNPROTECTED + "containerd 1.6.20~ds1; node ready; DNS does NOT answer as it should",
            "  error: DNS 10.233.0.3: in use",
        ],
    ),
    "failed when it was to join": (
        {**STANDING, "site_failure": {"task": "Join", "msg": "x"}, "site_nodes": {"skipped": True}},
        [UNPROTECTED + "containerd 1.6.20~ds1; NOT in order, ended at: Join"],
    ),
    "never reached": ({}, [HEAD + "not reached"]),
}


@pytest.mark.parametrize(("seen", "lines"), VERDICTS.values(), ids=VERDICTS)
def test_the_verdict_on_a_host(seen: dict[str, object], lines: list[str]) -> None:
    assert site_verdict({"homelab": seen}, [HOMELAB]) == lines


@pytest.mark.parametrize(
    ("seen", "line"),
    [
        ({}, "not prepared in this run"),
        ({"site_nodes": READY, "site_dns": {"answers": [{}]}}, "not prepared in this run; node ready; DNS answers"),
    ],
)
def test_a_run_of_one_stage_does_not_report_a_host_as_unreachable(seen: dict[str, object], line: str) -> None:
    assert site_verdict({"homelab": seen}, [HOMELAB], reached=["homelab"]) == [HEAD + line]
    assert site_verdict({"homelab": seen}, [HOMELAB], reached=["masternode"]) == [HEAD + "not reached"]


def test_a_check_run_tells_what_would_stand() -> None:
    seen = {"_node_preflight": {"findings": []}, "_node_firewall": FIREWALL}
    assert site_verdict({"masternode": seen}, [MASTER], True)[0] == (
        "masternode (control_plane, 192.168.4.63, fd00::63): nftables, 2 open ports, predicted; containerd not running"
    )


def test_skipped_stages_are_reported() -> None:
    lines = site_verdict({"homelab": STANDING}, [HOMELAB], skipped=["monitoring", "jellyfin"])
    assert lines[1:] == [
        "monitoring: skipped, as site_skip names it; what exists of it in the cluster was not changed",
        "jellyfin: skipped, as site_skip names it; what exists of it in the cluster was not changed",
    ]


def test_a_node_that_the_inventory_does_not_name_is_told_once() -> None:
    nodes = {"nodes": READY["nodes"], "findings": [asdict(finding_of_stranger("oldbox")), {**SWAP, "rule": "nodes_are_ready"}]}
    seen = {**STANDING, "site_nodes": nodes}
    lines = site_verdict({"homelab": seen, "masternode": seen}, [HOMELAB, MASTER])
    assert [line for line in lines if "oldbox" in line] == [str(finding_of_stranger("oldbox"))]
    assert lines[-1].startswith("warning: node oldbox: found a node of the cluster, and not in the inventory")


def test_findings_are_lines() -> None:
    assert finding_lines([SWAP]) == ["error: swap on /x: found in use; expected none. Do it."]
    with pytest.raises(Refusal):
        finding_lines("swap")
