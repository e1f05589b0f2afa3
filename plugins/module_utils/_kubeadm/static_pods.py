# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of a control plane's static Pods, through containerd's own client: the API server may be down."""

from __future__ import annotations

from collections.abc import Sequence

from .._ctr import ctr
from .._refusal import Refusal
from .._waiting import look_until
from .host import NodeHost

# the API server would take a minute to let its clients go
PATIENCE = {"SIGTERM": 5.0, "SIGKILL": 30.0}
POLL = 0.5
KUBELET_STARTS = 120.0


def stop(components: Sequence[str], host: NodeHost, socket: str) -> None:
    """Stop the running containers of components. The kubelet starts them again, unless it is stopped or their manifests are gone."""
    before = running = _running(components, host, socket)
    for signal, patience in PATIENCE.items():
        for name in running:
            host.commands.run(ctr(socket, "tasks", "kill", "--signal", signal, name), check=False)
        running = look_until(
            lambda: [name for name in _running(components, host, socket) if name in before], lambda left: not left, host, patience, POLL
        )
        if not running:
            return
    raise Refusal(
        f"containers {', '.join(name[:13] for name in running)}",
        "still running after SIGKILL",
        f"no container of {', '.join(components)}",
        "See `ctr --namespace k8s.io tasks list`, and the kernel's messages, then run again.",
    )


def restart(component: str, host: NodeHost, socket: str) -> None:
    """Stop a component, and wait until the kubelet has started it again."""
    stop([component], host, socket)
    if not look_until(lambda: _running([component], host, socket), bool, host, KUBELET_STARTS, POLL):
        raise Refusal(
            f"static Pod {component}",
            f"not started again {KUBELET_STARTS:g} s after it was stopped",
            "a running container",
            "See `journalctl -u kubelet` on the host, then run again.",
        )


def _running(components: Sequence[str], host: NodeHost, socket: str) -> list[str]:
    # of several filters, one is enough
    filters = [f'labels."io.kubernetes.container.name"=={name}' for name in components]
    listed = host.commands.run(ctr(socket, "containers", "list", "--quiet", *filters), timeout=60.0).stdout.split()
    lines = host.commands.run(ctr(socket, "tasks", "list"), timeout=60.0).stdout.splitlines()
    running = {words[0] for line in lines if len(words := line.split()) > 2 and words[2] == "RUNNING"}
    return sorted(running & set(listed))
