# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a control plane: which are whole, which are half written, and which phase of kubeadm makes each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._io.host_state import HostFiles
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.state import (
    AUTHORITIES,
    COMPONENTS,
    KUBELET_FILES,
    KUBERNETES,
    LEAVES,
    MANIFESTS,
    PKI,
)

SERVICE_ACCOUNT = (f"{PKI}/sa.pub", f"{PKI}/sa.key")


@dataclass(frozen=True)
class Piece:
    """Files that one phase of kubeadm makes together."""

    paths: tuple[str, ...]
    phase: tuple[str, ...]


def _pair(name: str) -> tuple[str, str]:
    return f"{PKI}/{name}.crt", f"{PKI}/{name}.key"


_CONTROLLERS = {
    "kube-apiserver": "apiserver",
    "kube-controller-manager": "controller-manager",
    "kube-scheduler": "scheduler",
}
# super-admin.conf is missing on purpose: kubeadm's documentation tells owners to keep it elsewhere
REPAIRABLE = (
    *(Piece(_pair(name), ("certs", name.replace("/", "-"))) for name in LEAVES),
    *(Piece((f"{KUBERNETES}/{name}.conf",), ("kubeconfig", name)) for name in ("admin", "kubelet", "controller-manager", "scheduler")),
    Piece((f"{MANIFESTS}/etcd.yaml",), ("etcd", "local")),
    *(Piece((f"{MANIFESTS}/{name}.yaml",), ("control-plane", _CONTROLLERS[name])) for name in COMPONENTS if name != "etcd"),
    Piece(KUBELET_FILES, ("kubelet-start",)),
)
# without these a cluster cannot be put right, only restored
IRREPLACEABLE = (*(f"{PKI}/{name}.crt" for name in AUTHORITIES), *SERVICE_ACCOUNT)


def damaged(files: HostFiles) -> list[Piece]:
    """Pieces of which a file is missing or not whole."""
    return [piece for piece in REPAIRABLE if not all(is_whole(path, files.read(path)) for path in piece.paths)]


def lost(files: HostFiles) -> list[str]:
    """Files that nothing can make again."""
    return [path for path in IRREPLACEABLE if not is_whole(path, files.read(path))]


def half_written(files: HostFiles) -> set[str]:
    """Files that kubeadm was killed over, and their other halves: it refuses them, or takes a key without its public half.

    It writes the key first. A certificate without a key may be an owner's, who keeps the key elsewhere.
    """
    leaves = {path for name in LEAVES for path in _pair(name)}
    kubeconfigs = {f"{KUBERNETES}/{name}.conf" for name in ("admin", "super-admin", "kubelet", "controller-manager", "scheduler")}
    found = {path for name in AUTHORITIES for path in _broken(files, *_pair(name))}
    if found:
        # a new authority has signed nothing of what is there
        found |= leaves | kubeconfigs
    for name in LEAVES:
        found |= _broken(files, *_pair(name))
    found |= _broken(files, *SERVICE_ACCOUNT)
    found |= {path for path in kubeconfigs if not is_whole(path, files.read(path))}
    return {path for path in found if files.exists(path)}


def _broken(files: HostFiles, public: str, key: str) -> set[str]:
    """Which of a pair must go."""
    if files.exists(key) and not (is_whole(key, files.read(key)) and is_whole(public, files.read(public))):
        return {public, key}
    return {public} if files.exists(public) and not is_whole(public, files.read(public)) else set()


def is_whole(path: str, text: Optional[str]) -> bool:
    """Whether a file is there to its end. kubeadm and kubelet write in one go, and a kill or a power loss cuts that short."""
    if not text:
        return False
    if path.endswith((".crt", ".key", ".pub")):
        return "-----BEGIN " in text and text.rstrip().endswith("-----") and "-----END " in text
    if path.endswith(".conf"):
        # keys are sorted, so that the user's credentials are last
        return text.endswith("\n") and "\nusers:" in text and ("client-key" in text.rpartition("\nusers:")[2])
    return text.endswith("\n")
