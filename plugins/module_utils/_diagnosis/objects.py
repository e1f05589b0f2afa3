# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes secrets out of an object of Kubernetes, and what nobody reads."""

from __future__ import annotations

from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.redaction import redact
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.secret_names import REDACTED, is_no_secret, is_secret_name

# a copy of all that kubectl was given
_UNREAD = "kubectl.kubernetes.io/last-applied-configuration"
# texts within a text, which would be quoted in it
_WRITTEN_OTHERWISE = "\n\"'\\"


def redact_object(document: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """A copy of the object without its secrets, and how many were taken out."""
    metadata = {key: value for key, value in (document.get("metadata") or {}).items() if key != "managedFields"}
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != _UNREAD}
    if "annotations" in metadata:
        metadata["annotations"] = annotations
    count = _Count()
    everything = {**document, "metadata": metadata} if metadata else dict(document)
    if document.get("kind") == "Secret":
        for key in {"data", "stringData"} & everything.keys():
            everything[key] = {name: count.one() for name in everything[key] or {}}
    return {key: count.within(value, key) for key, value in everything.items()}, count.total


class _Count:
    def __init__(self) -> None:
        self.total = 0

    def one(self) -> str:
        self.total += 1
        return REDACTED

    def within(self, value: object, name: str = "") -> object:
        if isinstance(value, dict):
            return self._mapping(value)
        if isinstance(value, list):
            return [self.within(item, name) for item in value] if is_secret_name(name) else self._items(value)
        if isinstance(value, bool) or value is None:
            return value
        if name and is_secret_name(name) and not is_no_secret(str(value)):
            return self.one()
        if isinstance(value, str) and any(sign in value for sign in _WRITTEN_OTHERWISE):
            text, count = redact(value)
            self.total += count
            return text
        return value

    def _mapping(self, value: dict[str, Any]) -> dict[str, Any]:
        # {name: X, value: Y} is how a container has its environment
        its_name = value.get("name") if set(value) == {"name", "value"} and isinstance(value["value"], str) else None
        return {key: self.within(held, its_name if key == "value" and isinstance(its_name, str) else key) for key, held in value.items()}

    def _items(self, value: list[Any]) -> list[Any]:
        # the value of an option may be the next item
        before = ["", *value]
        return [
            self.within(item, option if isinstance(option, str) and option.startswith("-") and "=" not in option else "")
            if isinstance(item, str) and not item.startswith("-")
            else self.within(item)
            for option, item in zip(before, value)
        ]
