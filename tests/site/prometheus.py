# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to the Prometheus of the site, at its NodePort, from outside the cluster."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.site.whole_site import Site

ASK = """
import json, sys, urllib.parse, urllib.request
def ask(path, **parameters):
    with urllib.request.urlopen(f"http://{sys.argv[1]}:30090/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=15) as answer:
        return json.load(answer)["data"]
wanted = json.load(sys.stdin)
print(json.dumps([ask("query", query=query)["result"] for query in wanted]))
"""


def query(site: Site, expressions: Sequence[str]) -> list[list[dict[str, Any]]]:
    """The vector of each expression, now."""
    answer = site.lab.run(["python3", "-c", ASK, site.hosts["masternode"].address], stdin=json.dumps(expressions), timeout=300)
    vectors: list[list[dict[str, Any]]] = json.loads(answer.stdout)
    return vectors


def labels(site: Site, expression: str) -> list[dict[str, str]]:
    """The labels of each series of one expression, now."""
    return [series["metric"] for series in query(site, [expression])[0]]
