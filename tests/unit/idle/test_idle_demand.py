# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which NodePorts wake whom, and the table that counts who asks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.watch import Wanted, counted, keep, wanted
from ansible_collections.vmstation.cluster.plugins.module_utils._sleep.judge import Sight

from tests.unit.fakes import Script, failure
from tests.unit.idle.clusters import MASTER, node, pod

CORDONED = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
SILENT = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}
ASLEEP = node("homelab", ready=False, by="idle-watch", taints=[CORDONED, SILENT])
HERE = {"nodeSelector": {"kubernetes.io/hostname": "homelab"}}
JELLYFIN = Wanted("media/web", "tcp", 30096, "homelab")


def service(**spec: Any) -> dict[str, Any]:
    port = {"port": 8096, "nodePort": 30096, "protocol": "TCP"}
    return {"metadata": {"namespace": "media", "name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [port], **spec}}


def endpoints(**conditions: bool) -> dict[str, Any]:
    metadata = {"namespace": "media", "labels": {"kubernetes.io/service-name": "web"}}
    return {"metadata": metadata, "endpoints": [{"addresses": ["10.244.0.9"], "conditions": conditions}]}


CASES = {
    "a Pod that waits for the sleeper": (service(), [], pod(at=None, **HERE), True),
    "a Pod that any node could take, and none does": (service(), [], pod(at=None), True),
    "a Pod that is still on the sleeper": (service(), [endpoints(ready=False)], pod(), True),
    "a Pod that waits for another": (service(), [], pod(at=None, nodeSelector={"kubernetes.io/hostname": "storage"}), False),
    "a Pod elsewhere that is not ready": (service(), [endpoints(ready=False)], pod(at="masternode"), False),
    "somebody answers elsewhere": (service(), [endpoints(ready=True)], pod(at=None, **HERE), False),
    "an absent condition means ready": (service(), [endpoints()], pod(at=None, **HERE), False),
    "no Pod": (service(), [], pod(at=None, metadata={"labels": {"app": "other"}}), False),
    "a Pod of another namespace": (service(), [], pod(at=None, namespace="other", **HERE), False),
    "a Service without a selector": (service(selector=None), [], pod(at=None, **HERE), False),
    "a Service without a NodePort": (service(ports=[{"port": 80}]), [], pod(at=None, **HERE), False),
}


@pytest.mark.parametrize("case", CASES)
def test_whom_a_node_port_wakes(case: str) -> None:
    one, slices, waiting, wakes = CASES[case]
    seen = Sight({"homelab": ASLEEP, "masternode": MASTER}, [waiting], {}, {}, {}, ())
    assert wanted([one], slices, seen, ["homelab"]) == ({"tcp_30096": JELLYFIN} if wakes else {})


def test_udp_counts_and_sctp_does_not() -> None:
    ports = [{"port": 1, "nodePort": 30001, "protocol": "UDP"}, {"port": 2, "nodePort": 30002, "protocol": "SCTP"}]
    seen = Sight({"homelab": ASLEEP}, [pod(at=None)], {}, {}, {}, ())
    assert wanted([service(ports=ports)], [], seen, ["homelab"]) == {"udp_30001": Wanted("media/web", "udp", 30001, "homelab")}


# nft 1.0.6
COUNTERS = [
    {"metainfo": {"version": "1.0.6"}},
    {"counter": {"family": "inet", "name": "tcp_30096", "table": "vmstation_idle_watch", "handle": 2, "packets": 1, "bytes": 60}},
    {"counter": {"family": "inet", "name": "udp_30001", "table": "vmstation_idle_watch", "handle": 3, "packets": 0, "bytes": 0}},
]


def test_counters_are_read_and_begin_anew() -> None:
    script = Script({"nft -j reset counters table inet vmstation_idle_watch": json.dumps({"nftables": COUNTERS})})
    assert counted(script) == {"tcp_30096": 1, "udp_30001": 0}
    assert counted(Script({"nft": failure("No such file or directory")})) == {}


RULES = """\
add table inet vmstation_idle_watch
delete table inet vmstation_idle_watch
table inet vmstation_idle_watch {
  counter tcp_30096 { }
  chain prerouting {
    type filter hook prerouting priority -110; policy accept;
    tcp dport 30096 ct state new counter name tcp_30096
  }
}
"""


@pytest.mark.parametrize(
    ("counters", "standing", "rules"),
    [
        ({}, [], []),
        ({"tcp_30096": JELLYFIN}, ["tcp_30096"], []),
        ({"tcp_30096": JELLYFIN}, [], [RULES]),
        ({"tcp_30096": JELLYFIN}, ["tcp_30096", "udp_30001"], [RULES]),
        ({}, ["tcp_30096"], ["add table inet vmstation_idle_watch\ndelete table inet vmstation_idle_watch\n"]),
    ],
)
def test_the_table_is_made_anew_only_if_it_differs_and_goes_with_the_last(counters: dict, standing: list, rules: list) -> None:
    script = Script({})
    keep(script, counters, standing)
    assert script.stdin == rules
