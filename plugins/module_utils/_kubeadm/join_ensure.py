# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker's membership as a whole: read, plan, apply, read back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.configuration import node_addresses
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.join import Cluster, Node, Step, plan_membership
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.join_discovery import read_token
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.join_steps import (
    Host,
    Wish,
    carry_out,
    confirm,
    look,
    refuse_unreachable,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

LOCK = "/run/vmstation-kubeadm.lock"

Detached = Callable[[Callable[[], None]], None]


@dataclass(frozen=True)
class Ways:
    """How a step is carried out: ``alone`` keeps a second run of ours off, ``detached`` lets it end even if its run is killed."""

    alone: Callable[[str, float], AbstractContextManager[None]]
    detached: Detached


def read_wish(options: Mapping[str, Any], predict: bool) -> Wish:
    """Options of kubeadm_worker, as Ansible has typed them. In check mode a control plane that is yet to come has said nothing."""
    endpoint, hashes = options["api_server_endpoint"], options["ca_cert_hashes"]
    if not predict and not (endpoint and hashes):
        raise Refusal(
            "api_server_endpoint and ca_cert_hashes",
            "empty",
            "the cluster's address and the pins of its authority",
            "Pass what vmstation.cluster.kubeadm_join_token returned of the control plane.",
        )
    if options["timeout"] < 1:
        raise Refusal("timeout", str(options["timeout"]), "at least a second", "Pass 180, for example.")
    name = options["name"].lower()
    addresses = node_addresses(options["plan"], options["addresses"], name)
    node = Node(name, addresses, options["cri_socket"], options["ignore_preflight_errors"], options["kubelet_extra_args"])
    token = read_token(options["token"]) if options["token"] else None
    return Wish(Cluster(options["cluster_name"], endpoint, hashes), node, token, float(options["timeout"]))


def ensure_membership(host: Host, wish: Wish, ways: Ways, predict: bool) -> Step:
    """Makes the host a member, or tells what would. What was done is told."""
    if predict:
        step = _judged(host, wish, predict)
    else:
        # a join whose run was killed may still be under way
        with ways.alone(LOCK, 2 * wish.timeout):
            step = _judged(host, wish, predict)
            if step.action != "none":
                ways.detached(lambda: carry_out(host, wish, step))
                confirm(host, wish)
    return step


def _judged(host: Host, wish: Wish, predict: bool) -> Step:
    step = plan_membership(look(host, wish), wish.cluster, wish.node.name)
    # in check mode a control plane, or this host's packages, may be yet to come
    if wish.cluster.endpoint and (not predict or all(map(host.commands.has, ("kubelet", "kubeadm")))):
        refuse_unreachable(host, wish)
    return step


def result(step: Step, wish: Wish) -> dict[str, Any]:
    """What the module returns."""
    name, changed = wish.node.name, step.action != "none"
    before, after = (f"{name} {said}\n" for said in (step.reason, f"is a member of {wish.cluster.name}"))
    return {
        "changed": changed,
        "node": name,
        "action": step.action,
        "reason": f"{name} {step.reason}",
        "needs_token": step.needs_token,
        "diff": {"before": before, "after": after} if changed else {"before": "", "after": ""},
    }
