# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the filters ask of Ansible's own hostvars. Each look at a host merges all of its variables; each value that is read is templated.

What a task that runs once has registered holds an entry for each host and belongs to each host, so that reading it of each is quadratic.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible._internal._templating._engine import TemplateEngine
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.archive import entries_of
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.reading import hosts_of
from ansible_collections.vmstation.cluster.plugins.module_utils._report.build import check_results
from ansible_collections.vmstation.cluster.plugins.module_utils._site.hosts import (
    asleep_hosts,
    idle_workers,
    inventory_errors,
    node_identities,
    sleeping_hosts,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._site.verdict import site_verdict

COUNT = 12
NAMES = [f"n{at:02}" for at in range(COUNT)]
GROUPS = {"all": NAMES, "ungrouped": [], "control_plane": NAMES[:1], "workers": NAMES[1:]}
HOSTS = [{"name": name, "address": "10.20.0.1", "mac": "02:00:00:00:00:01", "role": "worker", "sleeps": True} for name in NAMES]
CHECKS = [
    {"check": "network_plan_check", "groups": ["plan"], "result": "site_network"},
    {"check": "node_preflight_check", "groups": ["hosts"], "result": "check_preflight", "each_host": True},
    {"check": "firewall_ports", "groups": ["firewall"], "result": "_node_firewall", "each_host": True},
]
ONCE_FOR_ALL = {
    "site_network": {"findings": []},
    "site_wake": {"hosts": [{"name": name, "is_up": name != NAMES[1]} for name in NAMES]},
    "site_nodes": {"nodes": {name: {"ready": True} for name in NAMES}, "findings": []},
    "diagnosis_cluster": {"entries": []},
}
OF_EACH = {
    "check_preflight": {"findings": []},
    "_node_preflight": {"findings": []},
    "_node_firewall": {"backend": "none"},
    "diagnosis_host": {"entries": []},
}
# the filter, looks at each host, and values that Ansible templates of each
FILTERS: dict[str, tuple[Callable[[Any], object], int, int]] = {
    "asleep_hosts": (asleep_hosts, 1, 0),
    "check_results": (lambda hostvars: check_results(hostvars, NAMES, ["plan", "hosts", "firewall"], CHECKS), 1, 0),
    "cluster_hosts": (lambda hostvars: hosts_of(hostvars, GROUPS), 1, 4),
    "diagnosis_entries": (lambda hostvars: entries_of(hostvars, NAMES, (), {}), 1, 0),
    # its port is the inventory's
    "idle_workers": (lambda hostvars: idle_workers(HOSTS, hostvars), 2, 1),
    "inventory_errors": (lambda hostvars: inventory_errors(hostvars, GROUPS, NAMES, variables=["network_plan", "mac", "sleeps"]), 1, 0),
    "node_identities": (lambda hostvars: node_identities(hostvars, NAMES), 1, 0),
    # its port is the inventory's
    "sleeping_hosts": (lambda hostvars: sleeping_hosts(HOSTS, NAMES, hostvars), 1, 1),
    "site_verdict": (lambda hostvars: site_verdict(hostvars, HOSTS), 1, 0),
}


@pytest.fixture
def hostvars(tmp_path: Path) -> HostVars:
    """Of hosts that a run of the playbooks has been at."""
    host = {"ansible_host": "10.20.0.1", "mac": "02:00:00:00:00:01", "sleeps": True, "ansible_port": "{{ 22 }}", "network_plan": {}}
    groups = {group: {"hosts": dict.fromkeys(GROUPS[group], host)} for group in ("control_plane", "workers")}
    (tmp_path / "hosts.yml").write_text(json.dumps({"all": {"children": groups}}))
    loader = DataLoader()
    inventory = InventoryManager(loader=loader, sources=[str(tmp_path / "hosts.yml")])
    manager = VariableManager(loader=loader, inventory=inventory)
    for name in NAMES:
        manager.set_host_facts(name, {"nodename": name, "machine_id": name, "product_uuid": "NA"})
        manager.set_nonpersistent_facts(name, {**ONCE_FOR_ALL, **OF_EACH})
    return HostVars(inventory, manager, loader)


@pytest.mark.parametrize(("run", "looks", "values"), FILTERS.values(), ids=FILTERS)
def test_a_filter_looks_at_each_host_once_and_copies_no_results(
    hostvars: HostVars, monkeypatch: pytest.MonkeyPatch, run: Callable[[Any], object], looks: int, values: int
) -> None:
    asked: Counter[str] = Counter()

    def counted(cls: type, name: str) -> None:
        original = getattr(cls, name)

        def wrapper(*arguments: Any, **named: Any) -> Any:
            asked[name] += 1
            return original(*arguments, **named)

        monkeypatch.setattr(cls, name, wrapper)

    counted(VariableManager, "get_vars")
    counted(TemplateEngine, "template")
    assert run(hostvars) is not None
    assert asked["get_vars"] <= looks * COUNT
    assert asked["template"] <= values * COUNT


def test_filters_see_through_hostvars(hostvars: HostVars) -> None:
    assert asleep_hosts(hostvars) == [NAMES[1]]
    assert node_identities(hostvars, [*NAMES[:1], "nobody"]) == [
        {"name": NAMES[0], "hostname": NAMES[0], "machine_id": NAMES[0], "product_uuid": "NA"}
    ]
    assert idle_workers(HOSTS[:1], hostvars)[0]["port"] == 22
    assert sleeping_hosts(HOSTS[:1], NAMES, hostvars)[0]["port"] == 22
    assert site_verdict(hostvars, HOSTS[:2])[0].endswith("node ready")


def test_the_verdict_of_a_large_cluster_does_not_repeat_the_addresses_of_all_hosts_for_each(hostvars: HostVars) -> None:
    sources = [f"10.20.0.{at}/32" for at in range(1, 101)]
    firewall = {"backend": "nftables", "ports": [{"port": 10250, "protocol": "tcp", "sources": sources}]}
    hostvars._variable_manager.set_nonpersistent_facts(NAMES[0], {"_node_firewall": firewall})
    told = site_verdict(hostvars, HOSTS[:1])
    assert told[1] == f"  10250/tcp from {', '.join(sources[:8])} and 92 more"


def test_the_report_is_given_no_addresses_of_all_hosts_for_each(hostvars: HostVars) -> None:
    checked = {"findings": [], "looked_at": [{"subject": "firewall", "facts": "1 open port", "state": "ok", "hosts": []}], "changed": False}
    firewall = {"backend": "ufw", "ports": [{"port": 10250, "protocol": "tcp", "sources": ["10.20.0.1/32"] * 100}], **checked}
    hostvars._variable_manager.set_nonpersistent_facts(NAMES[0], {"_node_firewall": firewall})
    (entry,) = check_results(hostvars, NAMES[:1], ["firewall"], CHECKS)
    assert entry["result"] == checked
