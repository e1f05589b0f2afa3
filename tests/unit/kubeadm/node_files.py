# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's files in a dictionary, and what a control plane that stands has among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.state import AUDIT_POLICY, ENCRYPTION, IRREPLACEABLE, REPAIRABLE

PEM = "-----BEGIN X-----\nMIIB\n-----END X-----\n"
KUBECONFIG = "apiVersion: v1\nclusters:\n- name: c\nusers:\n- name: u\n  user:\n    client-key-data: QQ==\n"


class Files(dict[str, str]):
    """Text by path."""

    def read(self, path: str) -> Optional[str]:
        return self.get(path)

    def exists(self, path: str) -> bool:
        return path in self

    def entries(self, path: str) -> tuple[str, ...]:
        return tuple(sorted({name[len(path) + 1 :].split("/")[0] for name in self if name.startswith(f"{path}/")}))

    def target(self, path: str) -> Optional[str]:
        return None

    def write(self, contents: Mapping[str, Optional[str]], *, new_mode: int = 0o644) -> None:
        for path, text in contents.items():
            if text is None:
                self.pop(path, None)
            else:
                self[path] = text


def whole(path: str) -> str:
    """A text that stands for a file that is there to its end."""
    if path.endswith((".crt", ".key", ".pub")):
        return PEM
    return KUBECONFIG if path.endswith(".conf") else "apiVersion: v1\n"


def control_plane() -> Files:
    """All that kubeadm init makes, and what a hardened API server reads."""
    paths = [path for piece in REPAIRABLE for path in piece.paths] + list(IRREPLACEABLE)
    keys = [path.replace(".crt", ".key") for path in IRREPLACEABLE if path.endswith(".crt")]
    ours = [AUDIT_POLICY, ENCRYPTION]
    return Files({path: whole(path) for path in [*paths, *keys, *ours, "/var/lib/etcd/member/snap/db"]})
