# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mark that this collection leaves on a host before kubeadm changes anything there: what lies there is ours to repair and to remove.

It outlives `kubeadm reset`: without kubeadm's own files it means nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Optional

from .._json import read_json

Role = Literal["control_plane", "worker"]

MARKER = "/etc/kubernetes/vmstation-cluster.json"


@dataclass(frozen=True)
class Mark:
    """cluster: its name. installed: whether kubeadm came to its end. identity: what a resumed attempt may not change.

    ca: digest of the cluster's CA, as soon as it is known.
    """

    cluster: str
    role: Role
    name: str
    installed: bool = False
    identity: Mapping[str, str] = field(default_factory=dict)
    ca: str = ""

    def as_text(self) -> str:
        noted = {
            "cluster": self.cluster,
            "role": self.role,
            "name": self.name,
            "installed": self.installed,
            "identity": dict(self.identity),
            "ca": self.ca,
        }
        return json.dumps(noted, indent=2) + "\n"


def read_mark(text: Optional[str]) -> Optional[Mark]:
    """A mark; None if there is none, or one that a power loss left unreadable."""
    try:
        read = read_json(text or "")
        identity = dict(read.get("identity", {}))
        return Mark(
            str(read["cluster"]), read["role"], str(read.get("name", "")), bool(read.get("installed")), identity, str(read.get("ca", ""))
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
