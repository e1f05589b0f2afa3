# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How containerd's own client is called, and what it takes to be rid of a container."""

from __future__ import annotations


def ctr(address: str, *words: str, namespace: str = "k8s.io") -> list[str]:
    """The arguments that reach the containerd which answers at ``address``. namespace: kubelet's by default."""
    return ["ctr", "--address", address, "--connect-timeout", "10s", "--namespace", namespace, *words]


def calls_to_remove(address: str, name: str) -> list[list[str]]:
    """The calls after which a container is gone, whatever state it was in; each may find nothing to do."""
    steps = (("tasks", "kill", "--all", "--signal", "SIGKILL"), ("tasks", "delete", "--force"), ("containers", "delete"))
    return [ctr(address, *step, name) for step in steps]
