# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How two values are compared, and how they are written."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._drift.model import Object
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Severity
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.tools import CONFIGURATION
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

NOTHING, UNKNOWN = "nothing", "unknown"
KUBE_SYSTEM = "kube-system"
_VERSION = re.compile(r"v?(\d+)\.(\d+)")


@dataclass(frozen=True)
class Comparison:
    """One value of the plan beside the same of the cluster. equal: None when it is not known; why: then what keeps it from being known."""

    point: Point
    planned: str
    live: str
    equal: Optional[bool]
    why: Optional[Refusal] = None


@dataclass(frozen=True)
class Point:
    """What is compared. subject: the thing that has the value. source: where in it. The others are those of the finding when it differs."""

    rule: str
    subject: str
    source: str
    fix: str = ""
    severity: Severity = "error"

    def compare(self, planned: object, live: object) -> Comparison:
        """live: a Refusal when it could not be read."""
        if isinstance(live, Refusal):
            return self.unknown(planned, live)
        return self.judged(planned, live, written(planned) == written(live))

    def judged(self, planned: object, live: object, equal: bool) -> Comparison:
        return Comparison(self, written(planned), written(live), equal)

    def unknown(self, planned: object, why: Optional[Refusal], live: str = UNKNOWN) -> Comparison:
        return Comparison(self, written(planned), live, None, why)


def written(value: object) -> str:
    """A value in the one spelling in which it is compared: networks, addresses and names may be written in several."""
    entries = [str(one) for one in value] if isinstance(value, (list, tuple)) else str("" if value is None else value).split(",")
    return ", ".join(_normal(one.strip()) for one in entries if one.strip()) or NOTHING


def at(document: Object, path: str) -> object:
    """The value at a path of a document; None if there is none."""
    value: object = document
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def minor_version(version: object) -> tuple[int, int]:
    """Of ``v1.36.4`` (1, 36); (0, 0) of what is no version."""
    match = _VERSION.match(str(version))
    return (int(match.group(1)), int(match.group(2))) if match else (0, 0)


def phase_of_kubeadm(*words: str) -> str:
    return f"`kubeadm init phase {' '.join(words)} --config {CONFIGURATION}`"


@lru_cache(maxsize=1024)
def _normal(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False) if "/" in text else ipaddress.ip_address(text))
    except ValueError:
        return text.rstrip(".")
