# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reset as a whole: read, plan, apply, read back."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.join_ensure import LOCK, Ways
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.reset import Remains, refuse_others
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.reset_steps import Host, Wish, look, remove
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

LOCK_SECONDS = 600.0


def read_wish(options: Mapping[str, Any]) -> Wish:
    """Options of kubeadm_reset, as Ansible has typed them."""
    for index, network in enumerate(options["pod_networks"]):
        try:
            ipaddress.ip_network(network)
        except ValueError:
            raise Refusal(f"pod_networks[{index}]", repr(network), "a network", "Pass `pod_cidr` of the network plan.") from None
    if not options["cri_socket"].startswith("unix:///"):
        raise Refusal("cri_socket", repr(options["cri_socket"]), "unix:// and a path", "Pass unix:///run/containerd/containerd.sock.")
    return Wish(options["cluster_name"], options["name"], options["cri_socket"], options["pod_networks"], options["force"])


def ensure_removed(host: Host, wish: Wish, ways: Ways, predict: bool) -> tuple[Remains, Remains]:
    """What of the cluster was there, and what is left."""
    if predict:
        found = look(host, wish)
        refuse_others(found, wish.cluster, wish.host, wish.force)
        return found, Remains()
    with ways.alone(LOCK, LOCK_SECONDS):
        found = look(host, wish)
        refuse_others(found, wish.cluster, wish.host, wish.force)
        if found.lines():
            ways.detached(lambda: remove(host, wish, found))
        return found, look(host, wish)


def result(found: Remains, left: Remains) -> dict[str, Any]:
    """What the module returns."""
    gone = [line for line in found.lines() if line not in left.lines()]
    return {
        "changed": bool(gone),
        "removed": gone,
        "leftovers": left.lines(),
        "diff": {"before": "".join(f"{line}\n" for line in found.lines()), "after": "".join(f"{line}\n" for line in left.lines())},
    }


def refuse_leftovers(left: Remains, wish: Wish) -> None:
    if left.lines():
        raise Refusal(
            f"host {wish.host}",
            f"{len(left.lines())} left over: {'; '.join(left.lines())}",
            "nothing left of the cluster",
            "See what keeps it, then run again.",
        )
