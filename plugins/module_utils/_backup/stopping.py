# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stops a control plane so that nothing reads or writes its files: the kubelet, its static Pods' manifests, their containers."""

from __future__ import annotations

from ansible_collections.vmstation.cluster.plugins.module_utils._ctr import ctr
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.host import NodeHost
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.state import COMPONENTS, MANIFESTS
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

# the API server would take a minute to let its clients go
PATIENCE = {"SIGTERM": 5.0, "SIGKILL": 30.0}
POLL = 0.5


def stop_control_plane(host: NodeHost, socket: str) -> None:
    """Ordinary Pods run on. The manifests are kubeadm's, which makes them again."""
    host.commands.run(["systemctl", "stop", "kubelet"], timeout=120.0)
    host.write({f"{MANIFESTS}/{name}.yaml": None for name in COMPONENTS})
    for signal, patience in PATIENCE.items():
        running = _running(host, socket)
        for name in running:
            host.commands.run(ctr(socket, "tasks", "kill", "--signal", signal, name), check=False)
        until = host.now() + patience
        while running and host.now() < until:
            host.sleep(POLL)
            running = _running(host, socket)
        if not running:
            return
    raise Refusal(
        f"containers {', '.join(name[:13] for name in running)}",
        "still running after SIGKILL",
        "no container of etcd and the control plane",
        "See `ctr --namespace k8s.io tasks list`, and the kernel's messages, then run again.",
    )


def _running(host: NodeHost, socket: str) -> list[str]:
    filters = [f'labels."io.kubernetes.container.name"=={name}' for name in COMPONENTS]
    # of several filters, one is enough
    listed = host.commands.run(ctr(socket, "containers", "list", "--quiet", *filters), timeout=60.0).stdout.split()
    lines = host.commands.run(ctr(socket, "tasks", "list"), timeout=60.0).stdout.splitlines()
    running = {words[0] for line in lines if len(words := line.split()) > 2 and words[2] == "RUNNING"}
    return sorted(running & set(listed))
