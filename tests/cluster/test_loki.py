# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's Loki, with lines as the role's Alloy sends them: what panels and alerts ask for is there, and what was taken is kept."""

from __future__ import annotations

import json
import os
import re
import urllib.error
from collections.abc import Iterator

import pytest

from tests.cluster import alloy, dashboards
from tests.cluster.configuration import ROLE, configuration
from tests.cluster.loki_server import USER, Loki
from tests.cluster.monitoring_images import REAL, wanted

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may chroot, and be another user")

DAY = 24 * 3600.0  # seconds
CONTAINER = {"namespace": "jellyfin", "pod": "jellyfin-0", "container": "jellyfin", "node": "homelab"}
LINE = "Error: no such film"
PANELS = dashboards.queries("loki")
# by what is wrong: the words of the configuration, what stands in their place, and how Loki names it
FAULTS = {
    "an unknown key": ("auth_enabled: false", "auth_enable: false", "field auth_enable not found"),
    "a time that is none": ("retention_period: 336h", "retention_period: two weeks", 'not a valid duration string: "two weeks"'),
    "retention without a list of what is to go": ("delete_request_store: filesystem", "", "delete-request-store should be configured"),
    "an index of half days": ("period: 24h", "period: 12h", "24h"),
}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Loki:
    return Loki(tmp_path_factory.mktemp("loki"))


@pytest.fixture(scope="module")
def loki(unpacked: Loki) -> Iterator[Loki]:
    """With a line of a minute ago."""
    unpacked.start()
    try:
        unpacked.push(alloy.labels(**CONTAINER), LINE, age=60)
        yield unpacked
    finally:
        unpacked.kill()


def test_the_directory_on_the_host_is_of_the_images_user() -> None:
    assert REAL["loki"].user == f"{USER}:{USER}"


def test_the_roles_configuration_is_accepted(unpacked: Loki) -> None:
    told = unpacked.judge(configuration("loki.yaml"))
    assert told.returncode == 0, told.stderr


@pytest.mark.parametrize("fault", FAULTS)
def test_a_configuration_with_a_fault_is_refused_and_the_fault_is_named(unpacked: Loki, fault: str) -> None:
    right, wrong, named = FAULTS[fault]
    assert right in configuration("loki.yaml")
    told = unpacked.judge(configuration("loki.yaml").replace(right, wrong))
    assert told.returncode != 0
    assert named in told.stderr


def test_it_is_the_release_that_the_role_asks_for(loki: Loki) -> None:
    assert f'version="v{wanted("loki").rpartition(":")[2]}"' in loki.metrics()


def test_a_line_has_the_labels_of_its_container_and_of_its_stream() -> None:
    assert alloy.labels(**CONTAINER) == {**CONTAINER, "stream": "stdout"}


def test_some_panels_ask_loki() -> None:
    assert len(PANELS) > 3


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: f"{panel.dashboard}: {panel.panel}")
def test_a_panel_has_data_of_the_container(loki: Loki, panel: dashboards.Query) -> None:
    (series,) = loki.ask("query_range", query=panel.expression, **dashboards.LOKI_RANGE)["result"]
    told = series.get("metric") or series["stream"]
    assert told.items() & CONTAINER.items(), told


def test_each_choice_of_a_dashboard_offers_what_the_container_has(loki: Loki) -> None:
    variables = [one for path in dashboards.files() for one in json.loads(path.read_text())["templating"]["list"]]
    choices = [one["query"] for one in variables if one["type"] == "query" and one["datasource"]["uid"] == "loki"]
    assert choices
    for choice in choices:
        selector = {"query": dashboards.filled_in(choice["stream"])} if choice["stream"] else {}
        assert loki.ask(f"label/{choice['label']}/values", since="6h", **selector) == [CONTAINER[choice["label"]]]


def test_what_was_written_while_its_host_had_no_network_is_taken_for_a_week(loki: Loki) -> None:
    loki.push({**alloy.labels(**CONTAINER), "pod": "late"}, LINE, age=6 * DAY)
    with pytest.raises(urllib.error.HTTPError) as refused:
        loki.push({**alloy.labels(**CONTAINER), "pod": "too-late"}, LINE, age=8 * DAY)
    assert "timestamp too old" in refused.value.read().decode()


def test_every_metric_and_label_that_an_alert_asks_for_is_there(loki: Loki) -> None:
    with pytest.raises(urllib.error.HTTPError):
        loki.push(alloy.labels(**CONTAINER), LINE, age=8 * DAY)
    rules = (ROLE / "files" / "rules" / "monitoring.yml").read_text()
    # loki_write_ is Alloy's
    asked = set(re.findall(r"\bloki_(?!write_)\w+", rules))
    assert asked
    there = dict(re.findall(r"^(\w+)\{?(.*)", loki.metrics(), re.MULTILINE))
    assert asked - there.keys() == set()
    assert {"route", "status_code"} <= set(re.findall(r'(\w+)="', there["loki_request_duration_seconds_count"]))
    assert "reason" in re.findall(r'(\w+)="', there["loki_discarded_samples_total"])


def test_what_was_taken_is_there_after_a_loss_of_power(loki: Loki) -> None:
    loki.kill()
    loki.start()
    (stream,) = loki.ask("query_range", query='{pod="jellyfin-0"}', **dashboards.LOKI_RANGE)["result"]
    assert [line for _time, line in stream["values"]] == [LINE]
