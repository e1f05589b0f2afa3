# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What kubelets tell to Pods, by the ConfigMap and by each of them, and what kube-proxy takes for the pod network."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.vmstation.cluster.plugins.module_utils._drift.comparing import KUBE_SYSTEM, Comparison, Point, at, phase_of_kubeadm
from ansible_collections.vmstation.cluster.plugins.module_utils._drift.model import Sight
from ansible_collections.vmstation.cluster.plugins.module_utils._drift.wanted import Wanted
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.configuration import KUBE_PROXY_MODES
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

_KUBELET_CONFIG, _KUBE_PROXY = f"ConfigMap {KUBE_SYSTEM}/kubelet-config", f"ConfigMap {KUBE_SYSTEM}/kube-proxy"
_FIELDS = ("clusterDNS", "clusterDomain")


def of_kubelet_config(wanted: Wanted, seen: Sight) -> Iterator[Comparison]:
    """What nodes are made with."""
    live = seen.kubelet_configuration
    fix = f"Run on the control plane: {phase_of_kubeadm('upload-config', 'kubelet')}. Then let each kubelet take it up."
    for name in _FIELDS:
        point = Point("kubelet_config_is_the_plans", _KUBELET_CONFIG, name, fix)
        yield point.compare(wanted.kubelet[name], live if isinstance(live, Refusal) else at(live, name))


def of_each_kubelet(wanted: Wanted, seen: Sight) -> Iterator[Comparison]:
    """What nodes run with."""
    if not wanted.ask_kubelets or isinstance(seen.nodes, Refusal):
        return
    for node in seen.nodes:
        name = str(node["metadata"]["name"])
        live = seen.kubelets.get(name)
        fix = (
            f"When {_KUBELET_CONFIG} is as planned, run on {name}: `kubeadm upgrade node phase kubelet-config` and "
            "`systemctl restart kubelet`. Pods that run keep the old one until they are made anew."
        )
        for field in _FIELDS:
            point = Point("kubelets_run_as_planned", f"node {name}", f"kubelet's {field}", fix)
            if live is None:
                yield point.unknown(wanted.kubelet[field], None, "asleep, not asked")
            else:
                yield point.compare(wanted.kubelet[field], live if isinstance(live, Refusal) else live.get(field))


def of_kube_proxy(wanted: Wanted, seen: Sight) -> Iterator[Comparison]:
    live = seen.kube_proxy_configuration
    fix = (
        f"Run on the control plane: {phase_of_kubeadm('addon', 'kube-proxy')}. Then "
        f"`kubectl --namespace {KUBE_SYSTEM} rollout restart daemonset kube-proxy`."
    )
    pods, mode = (Point("kube_proxy_is_as_planned", _KUBE_PROXY, name, fix) for name in ("clusterCIDR", "mode"))
    yield pods.compare(wanted.kube_proxy["clusterCIDR"], live if isinstance(live, Refusal) else at(live, "clusterCIDR"))
    planned = " or ".join(KUBE_PROXY_MODES)
    if isinstance(live, Refusal):
        yield mode.unknown(planned, live)
        return
    # an empty one is kube-proxy's own default, the first
    found = (at(live, "mode") or KUBE_PROXY_MODES[0]) if live else None
    yield mode.judged(planned, found, found in KUBE_PROXY_MODES)
