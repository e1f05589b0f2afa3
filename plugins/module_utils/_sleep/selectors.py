# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Label selectors and node selectors as the API server and the scheduler match them.

Facts: apimachinery's LabelSelector and core/v1's NodeSelector (https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/,
https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/): terms are alternatives, the expressions of one hold together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Optional

Labels = Mapping[str, str]


def label_selector_matches(selector: Optional[Mapping[str, Any]], labels: Labels) -> bool:
    """Whether a LabelSelector takes these labels. None takes none, an empty one all."""
    if selector is None:
        return False
    same = all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())
    return same and _all_hold(selector.get("matchExpressions") or (), labels)


def node_selector_matches(selector: Optional[Mapping[str, Any]], name: str, labels: Labels) -> bool:
    """Whether a NodeSelector takes the node. None asks for nothing."""
    if selector is None:
        return True
    return any(_term_matches(term, name, labels) for term in selector.get("nodeSelectorTerms") or ())


def _term_matches(term: Mapping[str, Any], name: str, labels: Labels) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    # an empty term takes no node
    return bool(expressions or fields) and _all_hold(expressions, labels) and _all_hold(fields, {"metadata.name": name})


def _all_hold(expressions: Iterable[Mapping[str, Any]], labels: Labels) -> bool:
    return all(_holds(expression, labels.get(str(expression["key"]))) for expression in expressions)


def _holds(expression: Mapping[str, Any], value: Optional[str]) -> bool:
    operator, values = str(expression["operator"]), [str(one) for one in expression.get("values") or ()]
    if operator == "In":
        return value in values
    if operator == "NotIn":
        return value not in values
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    try:
        found, limit = int(value or ""), int(values[0])
    except (ValueError, IndexError):
        return False
    return found > limit if operator == "Gt" else found < limit
