# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All rules of the preflight, and their judgement of one host."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Callable

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight import disks, identity, leftovers, packages, readiness, software
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.model import Expectations, HostState

Rule = Callable[[HostState, Expectations], Iterator[Finding]]

RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        leftovers.kubelet_files_belong_to_a_running_kubelet,
        leftovers.certificates_belong_to_a_running_kubelet,
        leftovers.static_pods_belong_to_a_running_kubelet,
        leftovers.etcd_data_belongs_to_a_running_etcd,
        leftovers.interfaces_belong_to_no_other_cni,
        leftovers.cni_configuration_is_calicos,
        leftovers.ports_are_free,
        readiness.swap_is_off,
        readiness.cgroup_controllers_are_there,
        readiness.cgroup_version_is_2,
        readiness.clock_is_synchronised,
        readiness.clock_agrees_with_the_controller,
        readiness.kernel_modules_can_be_loaded,
        readiness.encapsulation_modules_can_be_loaded,
        readiness.cpus_suffice,
        readiness.memory_suffices,
        disks.disk_has_room,
        identity.hostname_is_a_node_name,
        identity.hostname_is_the_inventory_name,
        identity.hostname_is_unique,
        identity.machine_id_is_unique,
        identity.product_uuid_is_unique,
        identity.address_is_on_the_host,
        identity.default_route_is_there,
        software.distribution_is_supported,
        software.architecture_is_supported,
        software.containerd_suits_the_kubelet,
        software.containerd_keeps_its_directories,
        software.installed_release_is_of_the_wanted_version,
        software.kubelet_suits_the_api_server,
        software.programs_are_no_packages,
        packages.packages_can_be_installed,
        packages.no_package_would_be_removed,
    )
}


@dataclass(frozen=True)
class Judgement:
    """findings: what stands against the host. accepted: what the user knows and accepts."""

    findings: list[Finding]
    accepted: list[Finding]


def judge(state: HostState, expected: Expectations, accept: Collection[str] = ()) -> Judgement:
    """Every rule's findings, in the order of RULES. accept: names of rules whose findings do not count."""
    every = [finding for rule in RULES.values() for finding in rule(state, expected)]
    return Judgement([finding for finding in every if finding.rule not in accept], [finding for finding in every if finding.rule in accept])
