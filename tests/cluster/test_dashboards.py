# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboards: what Grafana insists on, and every PromQL expression read by promtool. test_loki.py has those in LogQL read by a grammar,
and tests/site asks a real Prometheus for the data.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.cluster.build import build
from tests.cluster.dashboards import files, panels, queries
from tests.lab.cache import CHECKOUT

RULES = CHECKOUT / "roles" / "monitoring" / "files" / "rules"
DATASOURCES = CHECKOUT / "roles" / "monitoring" / "templates" / "configuration" / "datasources.yaml.j2"
GRID = 24  # columns


def each(path: Path) -> str:
    return path.stem


def test_each_has_a_name_and_an_identifier_of_its_own() -> None:
    dashboards = [json.loads(path.read_text()) for path in files()]
    assert [dashboard["title"] for dashboard in dashboards] == ["Cluster", "Logs", "Network", "Node"]
    assert len({dashboard["uid"] for dashboard in dashboards}) == len(dashboards)
    # Grafana gives them these itself
    assert not [dashboard for dashboard in dashboards if "id" in dashboard]


@pytest.mark.parametrize("path", files(), ids=each)
def test_panels_have_numbers_and_places_of_their_own(path: Path) -> None:
    numbers = [panel["id"] for panel in panels(path)]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in panels(path):
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= GRID, panel["title"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("path", files(), ids=each)
def test_every_query_asks_a_source_that_is_provisioned(path: Path) -> None:
    provisioned = dict(re.findall(r"uid: (\S+)\n    type: (\S+)", DATASOURCES.read_text()))
    assert provisioned == {"prometheus": "prometheus", "loki": "loki"}
    text = json.loads(path.read_text())
    sources = [panel["datasource"] for panel in text["panels"] if panel["type"] != "row"]
    sources += [target["datasource"] for panel in text["panels"] for target in panel.get("targets", ())]
    sources += [variable["datasource"] for variable in text["templating"]["list"] if variable["type"] == "query"]
    assert sources
    assert [source for source in sources if provisioned.get(source["uid"]) != source["type"]] == []


@pytest.mark.parametrize("path", files(), ids=each)
def test_every_variable_that_is_used_is_there(path: Path) -> None:
    text = json.loads(path.read_text())
    used = {name for panel in text["panels"] for target in panel.get("targets", ()) for name in re.findall(r"\$(\w+)", target["expr"])}
    assert {name for name in used if not name.startswith("__")} == {variable["name"] for variable in text["templating"]["list"]}


def test_promtool_reads_every_expression(tmp_path: Path) -> None:
    asked = queries("prometheus")
    assert len(asked) > 50
    rules = [{"record": f"panel:{number}", "expr": query.expression} for number, query in enumerate(asked)]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    answer = subprocess.run(
        [build(["promtool"])[0], "check", "rules", tmp_path / "panels.yml"], capture_output=True, text=True, check=False, timeout=60
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert f"{len(asked)} rules found" in answer.stdout


def test_the_dashboards_that_alerts_speak_of_are_there() -> None:
    spoken_of = {name for path in RULES.glob("*.yml") for name in re.findall(r"dashboard (\w+)", path.read_text())}
    assert spoken_of
    assert spoken_of <= {json.loads(path.read_text())["title"] for path in files()}
