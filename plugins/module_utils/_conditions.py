# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The conditions in the status of a Kubernetes object. An object has at most one of each type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional


def condition(thing: Optional[Mapping[str, Any]], kind: str) -> dict[str, Any]:
    """Return the condition of this type; an empty one without one, or without an object."""
    for one in ((thing or {}).get("status") or {}).get("conditions") or ():
        if one.get("type") == kind:
            return dict(one)
    return {}


def is_true(thing: Optional[Mapping[str, Any]], kind: str) -> bool:
    """Return whether the object has the condition, with the status True."""
    return condition(thing, kind).get("status") == "True"
