# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A control plane of ours that lost something: what is missing, and the phase of kubeadm that makes it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.configuration import CONTROL_PLANE_TAINT
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.host import NodeHost
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.init import Wanted, changed_identity
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.pieces import Piece, damaged, lost
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.state import ETCD_DATA, KUBELET_CONF, NodeFiles
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.tools import CONFIGURATION, Api, Kubeadm, Kubelet, is_queued
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

LABEL = str(CONTROL_PLANE_TAINT["key"])
RUNS = {"ActiveState": "active", "UnitFileState": "enabled"}
NODE_WAIT = 60.0
KUBELET_START = 20.0
POLL = 1.0
_SYSTEM = "/api/v1/namespaces/kube-system"
# what kubeadm puts into the cluster: its paths in the API, and the phase that makes it
OBJECTS = (
    ((f"{_SYSTEM}/configmaps/kubeadm-config",), ("upload-config", "kubeadm")),
    ((f"{_SYSTEM}/configmaps/kubelet-config",), ("upload-config", "kubelet")),
    (("/api/v1/namespaces/kube-public/configmaps/cluster-info",), ("bootstrap-token",)),
    ((f"{_SYSTEM}/configmaps/kube-proxy", "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy"), ("addon", "kube-proxy")),
)


class Repair:
    """Puts right what is missing and keeps account of it. In check mode it only keeps account."""

    def __init__(self, wanted: Wanted, host: NodeHost, standing: NodeFiles, *, check: bool) -> None:
        self._wanted, self._host, self._check = wanted, host, check
        self._moved = changed_identity(standing, wanted)
        self._kubeadm, self._kubelet = Kubeadm(host.commands), Kubelet(host.commands)
        self.done: list[str] = []

    def host_side(self) -> None:
        """Files and the kubelet's service."""
        self._refuse_losses()
        if not self._moved and self._host.files.read(CONFIGURATION) != self._wanted.text:
            self.done.append(f"{CONFIGURATION}: written anew; of what the cluster runs with, only what is said beside it was changed")
            if not self._check:
                self._host.write({CONFIGURATION: self._wanted.text}, new_mode=0o600)
        for piece in damaged(self._host.files):
            self._make(piece)
        state = self._settled_kubelet()
        wrong = [f"{key} {state.get(key)}" for key, value in RUNS.items() if state.get(key) != value]
        if wrong:
            self.done.append(f"kubelet: {', '.join(wrong)}; enabled and started")
            if not self._check:
                self._kubelet.enable_and_start()

    def cluster_side(self, api: Api) -> None:
        """Objects that kubeadm makes. It is asked of an API server that is ready."""
        for paths, phase in OBJECTS:
            missing = [path for path in paths if api.get(path) is None]
            if missing:
                self._note(f"{', '.join(path.rpartition('/')[2] for path in missing)}: was gone from the cluster", phase)
                self._run(phase)
        node = api.get(f"/api/v1/nodes/{self._wanted.name}")
        if node is None:
            self.done.append(f"Node {self._wanted.name}: was gone; registered by a restart of the kubelet")
            if self._check:
                return
            node = self._registered_again(api)
        self._labels_and_taints(api, node)

    def _settled_kubelet(self) -> dict[str, str]:
        """The kubelet's unit, given the time that it takes to start, as on a host that boots."""
        state = self._kubelet.state()
        if _is_starting(state):
            until = self._host.now() + KUBELET_START
            while _is_starting(state) and self._host.now() < until:
                self._host.sleep(POLL)
                state = self._kubelet.state()
        return state

    def _refuse_losses(self) -> None:
        gone = lost(self._host.files)
        if "member" not in self._host.files.entries(ETCD_DATA):
            gone.append(f"{ETCD_DATA}/member")
        if gone:
            raise Refusal(
                "this control plane",
                f"{', '.join(gone)} missing or cut short",
                "its authorities, keys and etcd's data, which nothing can make again",
                "Restore them from a backup with restore.yml, or give the cluster up with `kubeadm reset` on this host and run again.",
            )

    def _make(self, piece: Piece) -> None:
        files = self._host.files
        broken = [path for path in piece.paths if files.exists(path)]
        what = "was cut short" if broken and len(piece.paths) == 1 else "was gone"
        self._note(
            f"{', '.join(path for path in piece.paths if len(piece.paths) == 1 or not files.read(path)) or piece.paths[0]}: {what}",
            piece.phase,
        )
        if self._check:
            return
        if piece.phase[0] in ("certs", "kubeconfig"):
            # kubeadm takes what it finds, or refuses it
            self._host.write(dict.fromkeys(broken))
        self._run(piece.phase)
        if piece.paths == (KUBELET_CONF,):
            self._run(("kubelet-finalize", "enable-client-cert-rotation"))

    def _labels_and_taints(self, api: Api, node: Mapping[str, Any]) -> None:
        is_marked = LABEL in node["metadata"].get("labels", {})
        is_tainted = any(taint.get("key") == LABEL for taint in node["spec"].get("taints") or [])
        wants_taint = bool(self._wanted.init["nodeRegistration"].get("taints", [CONTROL_PLANE_TAINT]))
        if not is_marked or (wants_taint and not is_tainted):
            self._note(f"Node {self._wanted.name}: was not marked as control plane", ("mark-control-plane",))
            self._run(("mark-control-plane",))
        if is_tainted and not wants_taint:
            self.done.append(f"Node {self._wanted.name}: its taint {LABEL} is taken off, so that it takes ordinary Pods")
            if not self._check:
                api.taint(self._wanted.name, f"{LABEL}-")

    def _registered_again(self, api: Api) -> dict[str, Any]:
        self._kubelet.restart()
        until = self._host.now() + NODE_WAIT
        node: Optional[dict[str, Any]] = None
        while node is None:
            if self._host.now() >= until:
                raise Refusal(
                    f"Node {self._wanted.name}",
                    f"not registered {NODE_WAIT:g} s after the kubelet's restart",
                    "to be registered",
                    "See `journalctl -u kubelet` on the host.",
                )
            self._host.sleep(POLL)
            node = api.get(f"/api/v1/nodes/{self._wanted.name}")
        return node

    def _note(self, what: str, phase: tuple[str, ...]) -> None:
        if self._moved:
            raise Refusal(
                what,
                f"a plan that the cluster was not made from: {'; '.join(self._moved)}",
                "the plan that it was made from, to make it again",
                "Put the plan back and run again.",
            )
        self.done.append(f"{what}; made by `kubeadm init phase {' '.join(phase)}`")

    def _run(self, phase: tuple[str, ...]) -> None:
        if not self._check:
            self._kubeadm.phase(*phase)


def _is_starting(state: Mapping[str, str]) -> bool:
    return state.get("ActiveState") == "activating" or is_queued(state)
