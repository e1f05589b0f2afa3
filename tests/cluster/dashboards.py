# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboards of the role monitoring, and what their panels ask Prometheus and Loki."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.lab.cache import CHECKOUT

DIRECTORY = CHECKOUT / "roles" / "monitoring" / "files" / "dashboards"
# what Grafana fills in, as it does for six hours of a scrape each 30 seconds with all nodes, namespaces and Pods chosen
FILLED_IN = {"$__rate_interval": "2m", "$__auto": "30s", "$node": ".+", "$namespace": ".+", "$pod": ".+", "$search": ""}


@dataclass(frozen=True)
class Query:
    dashboard: str
    panel: str
    expression: str


def files() -> list[Path]:
    return sorted(DIRECTORY.glob("*.json"))


def panels(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())["panels"]
    return found


def queries(source: Literal["prometheus", "loki"]) -> list[Query]:
    """What all panels ask that source, as it is sent, without Grafana's variables."""
    asked = [(path.stem, panel["title"], target) for path in files() for panel in panels(path) for target in panel.get("targets", ())]
    return [Query(name, title, filled_in(target["expr"])) for name, title, target in asked if target["datasource"]["uid"] == source]


def filled_in(expression: str) -> str:
    for variable, value in FILLED_IN.items():
        expression = expression.replace(variable, value)
    return expression
