# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboards of the role monitoring, and what their panels ask Prometheus."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.cache import CHECKOUT

DIRECTORY = CHECKOUT / "roles" / "monitoring" / "files" / "dashboards"
# what Grafana fills in, as it does for six hours of a scrape each 30 seconds with all nodes chosen
FILLED_IN = {"$__rate_interval": "2m", "$node": ".+"}


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


def prometheus_queries(path: Path) -> list[Query]:
    """In PromQL as it is sent, without Grafana's variables."""
    queries = []
    for panel in panels(path):
        for target in panel.get("targets", ()):
            if target["datasource"]["uid"] == "prometheus":
                expression = target["expr"]
                for variable, value in FILLED_IN.items():
                    expression = expression.replace(variable, value)
                queries.append(Query(path.stem, panel["title"], expression))
    return queries
