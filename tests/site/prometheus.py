# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to the Prometheus of the site, at its NodePort, from outside the cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.site.whole_site import Site

ASK = """
import json, sys, urllib.parse, urllib.request
def ask(path, **parameters):
    with urllib.request.urlopen(f"http://{sys.argv[1]}:30090/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=15) as answer:
        return json.load(answer)["data"]
wanted = json.load(sys.stdin)
print(json.dumps([ask(one["path"], **one["parameters"]) for one in wanted]))
"""


def ask(site: Site, path: str, parameters: Sequence[Mapping[str, str]] = ({},)) -> list[Any]:
    """What the API says at that path for each set of parameters."""
    wanted = [{"path": path, "parameters": one} for one in parameters]
    answer = site.lab.run(["python3", "-c", ASK, site.hosts["masternode"].address], stdin=json.dumps(wanted), timeout=300)
    told: list[Any] = json.loads(answer.stdout)
    return told


def query(site: Site, expressions: Sequence[str]) -> list[list[dict[str, Any]]]:
    """The vector of each expression, now."""
    return [told["result"] for told in ask(site, "query", [{"query": expression} for expression in expressions])]


def labels(site: Site, expression: str) -> list[dict[str, str]]:
    """The labels of each series of one expression, now."""
    return [series["metric"] for series in query(site, [expression])[0]]


def rules(site: Site) -> list[dict[str, Any]]:
    """Alerts and recorded expressions as Prometheus runs them."""
    (told,) = ask(site, "rules")
    return [rule for group in told["groups"] for rule in group["rules"]]


def metrics(site: Site, expressions: Sequence[str]) -> set[str]:
    """The names of the metrics that the expressions ask for, as Prometheus itself reads them."""
    trees = ask(site, "parse_query", [{"query": expression} for expression in expressions])
    return {name for tree in trees for name in _selected(tree)}


def _selected(node: object) -> Iterator[str]:
    if isinstance(node, list):
        for one in node:
            yield from _selected(one)
    elif isinstance(node, dict):
        if node.get("type") in ("vectorSelector", "matrixSelector") and node.get("name"):
            yield node["name"]
        for one in node.values():
            yield from _selected(one)
