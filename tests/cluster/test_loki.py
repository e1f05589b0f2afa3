# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""LogQL and labels without Loki: a grammar reads every expression of the dashboards, and their selectors find in a stand-in what has the
labels that the role's Alloy gives. The stand-in evaluates nothing but selectors, and checks no configuration: docs/test-cluster.md.
"""

from __future__ import annotations

import json
import os
import urllib.error
from collections.abc import Iterator

import pytest
import yaml

from tests.cluster import alloy, dashboards, logql
from tests.cluster.configuration import ROLE, configuration
from tests.cluster.loki_server import LokiStandIn
from tests.cluster.monitoring_images import STAND_INS
from tests.lab.cache import CHECKOUT

DAY = 24 * 3600  # seconds
CONTAINER = {"namespace": "jellyfin", "pod": "jellyfin-0", "container": "jellyfin", "node": "homelab"}
OTHER = {"namespace": "monitoring", "pod": "loki-1", "container": "loki", "node": "masternode"}
LINE = "Error: no such film"
PANELS = dashboards.queries("loki")
VARIABLES = [one for path in dashboards.files() for one in json.loads(path.read_text())["templating"]["list"]]
CHOICES = [one["query"] for one in VARIABLES if one["type"] == "query" and one["datasource"]["uid"] == "loki"]
# by the fault: an expression and where the grammar no longer follows
WRONG = {
    "a brace too few": ('{namespace=~".+"', 16),
    "a parenthesis too few": ('sum(rate({namespace="a"}[5m])', 29),
    "no quotes": ("{namespace=jellyfin}", 11),
    "no label": ('{="jellyfin"}', 1),
    "an operator that there is not": ('{namespace=="a"}', 10),
    "a filter that there is not": ('{namespace="a"} |< "b"', 17),
    "a rate without a range": ('rate({namespace="a"})', 20),
    "an unknown function": ('rated({namespace="a"}[5m])', 0),
    "a variable that was not filled in": ('rate({namespace="a"}[$__auto])', 21),
    "nothing": ("", 0),
}


@pytest.fixture(scope="module")
def grammar() -> None:
    if missing := logql.missing_programs():
        reason = f"found no {' and no '.join(missing)}; required to install and run the grammar of LogQL. Install Node.js 20 with npm."
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)


@pytest.fixture(scope="module")
def loki(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LokiStandIn]:
    """With a line of a minute ago."""
    made = LokiStandIn(tmp_path_factory.mktemp("loki"))
    made.start()
    try:
        made.push(alloy.labels(**CONTAINER), LINE, age=60)
        yield made
    finally:
        made.kill()


def test_the_directory_on_the_host_is_of_the_images_user() -> None:
    owner = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())["_monitoring_owners"]["loki"]
    assert STAND_INS["loki"].user == f"{owner}:{owner}"


def test_loki_stops_before_the_kubelet_deletes_images_or_evicts_pods() -> None:
    stops = yaml.safe_load(configuration("loki.yaml"))["ingester"]["wal"]["disk_full_threshold"]
    # the kubelet's defaults: imageGCHighThresholdPercent, and imagefs.available and nodefs.available of evictionHard
    deletes_images, evicts_pods = 0.85, 1 - max(0.15, 0.10)
    reserved_for_root = 0.05  # by mke2fs(8); whether Loki counts it as used is not documented
    assert 0 < stops < min(deletes_images, evicts_pods) - reserved_for_root


def test_whoever_reaches_loki_deletes_nothing_and_writes_a_bounded_amount() -> None:
    wanted = yaml.safe_load(configuration("loki.yaml"))
    limits = wanted["limits_config"]
    assert limits["deletion_mode"] == "disabled"
    # retention goes on, for which Loki 3 wants a store of requests though it takes none
    assert wanted["compactor"]["retention_enabled"]
    assert wanted["compactor"]["delete_request_store"] == "filesystem"
    a_day = limits["ingestion_rate_mb"] * DAY / 1000
    assert f"{a_day:g} GB a day at most" in (CHECKOUT / "docs" / "monitoring.md").read_text()
    # a batch of Alloy's, 1 MiB, fits in both bursts
    assert limits["ingestion_burst_size_mb"] > 1
    assert limits["per_stream_rate_limit_burst"] == "4MB"
    assert limits["max_global_streams_per_user"] <= 1000


def test_some_panels_and_choices_ask_loki() -> None:
    assert len(PANELS) > 3
    assert CHOICES


@pytest.mark.usefixtures("grammar")
def test_the_grammar_follows_every_expression_of_the_dashboards() -> None:
    asked = [panel.expression for panel in PANELS] + [dashboards.filled_in(one["stream"]) for one in CHOICES if one["stream"]]
    assert [one for one in logql.read(asked) if one.error is not None] == []


@pytest.mark.usefixtures("grammar")
def test_the_grammar_finds_what_is_wrong_and_where() -> None:
    found = logql.read([expression for expression, _place in WRONG.values()])
    assert {fault: one.error for fault, one in zip(WRONG, found)} == {fault: place for fault, (_expression, place) in WRONG.items()}


def test_a_line_has_the_labels_of_its_container_and_of_its_stream() -> None:
    assert alloy.labels(**CONTAINER) == {**CONTAINER, "stream": "stdout"}


@pytest.mark.usefixtures("grammar")
def test_the_selectors_of_every_panel_find_the_container(loki: LokiStandIn) -> None:
    read = logql.read([panel.expression for panel in PANELS])
    assert [one.expression for one in read if not one.selectors] == []
    for selector in {selector for one in read for selector in one.selectors}:
        (stream,) = loki.ask("query_range", query=selector, since="6h")["result"]
        assert stream["stream"] == alloy.labels(**CONTAINER), selector


def test_each_choice_of_a_dashboard_offers_what_the_container_has(loki: LokiStandIn) -> None:
    for choice in CHOICES:
        selector = {"query": dashboards.filled_in(choice["stream"])} if choice["stream"] else {}
        assert loki.ask(f"label/{choice['label']}/values", since="6h", **selector) == [CONTAINER[choice["label"]]]


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ('{pod="jellyfin-0"}', ["jellyfin-0"]),
        ('{pod="jellyfin"}', []),
        ('{pod=~"jellyfin.*|loki.*", node!="masternode"}', ["jellyfin-0"]),
        ('{ namespace = `monitoring` , pod !~ "prometheus.*", }', ["loki-1"]),
        ('{pod=~".+"}', ["jellyfin-0", "loki-1"]),
        ('{pod=~".+", nothing=""}', ["jellyfin-0", "loki-1"]),
        ('{pod=~"loki"}', []),
    ],
)
def test_the_stand_in_selects_by_labels(tmp_path_factory: pytest.TempPathFactory, selector: str, found: list[str]) -> None:
    made = LokiStandIn(tmp_path_factory.mktemp("selecting"))
    made.start()
    try:
        for container in (CONTAINER, OTHER):
            made.push(alloy.labels(**container), LINE)
        assert made.ask("label/pod/values", query=selector) == found
        streams = made.ask("query_range", query=selector)["result"]
        assert sorted(one["stream"]["pod"] for one in streams) == found
    finally:
        made.kill()


@pytest.mark.parametrize(
    "parameters",
    [
        {"query": '{pod="a"} |= "b"'},
        {"query": 'rate({pod="a"}[5m])'},
        {"query": '{pod=~"("}'},
        {"query": '{pod=""}'},
        {"query": "{}"},
        {"query": ""},
        {"query": '{pod="a"}', "start": "0"},
    ],
    ids=str,
)
def test_the_stand_in_refuses_what_it_cannot_evaluate(loki: LokiStandIn, parameters: dict[str, str]) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        loki.ask("query_range", **parameters)
    assert refused.value.code == 400


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"streams": [{"stream": {}, "values": [["1", "a"]]}]}', "application/json", 400),
        (b'{"streams": [{"stream": {"a": "b"}, "values": [["now", "a"]]}]}', "application/json", 400),
        (b"", "application/x-protobuf", 415),
    ],
)
def test_the_stand_in_refuses_what_it_cannot_read(loki: LokiStandIn, body: bytes, kind: str, status: int) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        loki.post(body, kind)
    assert refused.value.code == status


def test_the_first_lines_come_first_if_asked_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    made = LokiStandIn(tmp_path_factory.mktemp("order"))
    made.start()
    try:
        for age in (30, 90, 60):
            made.push({"pod": "a"}, str(age), age=age)
        asked = [made.ask("query_range", query='{pod="a"}', limit="2", direction=each) for each in ("forward", "backward")]
        assert [[line for _time, line in one["result"][0]["values"]] for one in asked] == [["90", "60"], ["30", "60"]]
    finally:
        made.kill()


def test_the_stand_in_says_what_it_is(loki: LokiStandIn) -> None:
    assert loki.metrics() == 'stand_in_info{program="loki"} 1\n'


def test_what_was_taken_is_there_after_a_loss_of_power(loki: LokiStandIn) -> None:
    loki.kill()
    with (loki.directory / "stand-in.jsonl").open("a") as file:
        file.write('{"labels": {"pod": "cut')
    loki.start()
    loki.push(alloy.labels(**CONTAINER), "later")
    (stream,) = loki.ask("query_range", query='{pod=~".+"}', direction="forward")["result"]
    assert [line for _time, line in stream["values"]] == [LINE, "later"]
    loki.kill()
    loki.start()
    (again,) = loki.ask("query_range", query='{pod=~".+"}', direction="forward")["result"]
    assert again == stream
