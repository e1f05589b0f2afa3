# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The alert rules: promtool fires each and lets a near miss pass, from the figures in alerts/. tests/site asks a real Prometheus."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.build import build
from tests.lab.cache import CHECKOUT

FILES = CHECKOUT / "roles" / "monitoring" / "files"
RULES = sorted([*FILES.glob("rules/*.yml"), *FILES.glob("alerting/*.yml")])
TESTS = Path(__file__).parent / "alerts"
SECONDS = {"s": 1, "m": 60, "h": 3600}
# between an alert that still waits and the same one that fires: it would be seen if a rule waited longer, or less
CLOSE = 120


@dataclass(frozen=True)
class Look:
    """What promtool is to find of one alert at one time of a test."""

    alert: str
    seconds: int
    found: list[dict[str, dict[str, str]]]


@dataclass(frozen=True)
class Scene:
    """One test of promtool: figures, and looks at alerts."""

    name: str
    series: list[dict[str, str]]
    looks: list[Look]

    def of(self, alert: str) -> list[Look]:
        return [look for look in self.looks if look.alert == alert]

    def fires(self, alert: str) -> bool:
        return any(look.found for look in self.of(alert))

    def figures(self, expression: str) -> set[str]:
        """The names of the figures here of which the expression is made."""
        return {str(series["series"]).partition("{")[0] for series in self.series} & metrics(expression)

    def has_a_host_asleep(self) -> bool:
        sleeping = [entry["values"] for entry in self.series if entry["series"].startswith("up{") and 'sleeps="true"' in entry["series"]]
        return bool(sleeping) and all(re.fullmatch(r"0x\d+", values) for values in sleeping)


def rules(kind: str) -> dict[str, dict[str, Any]]:
    """All of one kind, `alert` or `record`, by name."""
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    return {rule[kind]: rule for group in groups for rule in group["rules"] if kind in rule}


def scenes() -> list[Scene]:
    return [
        Scene(
            test["name"],
            test["input_series"],
            [Look(look["alertname"], seconds(look["eval_time"]), look.get("exp_alerts", [])) for look in test["alert_rule_test"]],
        )
        for path in sorted(TESTS.glob("*.yml"))
        for test in yaml.load(path.read_text(), yaml.BaseLoader)["tests"]
    ]


def seconds(duration: str) -> int:
    return int(duration[:-1]) * SECONDS[duration[-1]]


def metrics(expression: str) -> set[str]:
    """All words of an expression, its metrics among them, with those of the rules that record some of them."""
    words = set(re.findall(r"[a-zA-Z_:][\w:]*", expression))
    for recorded in words & set(RECORDED):
        words |= metrics(str(RECORDED[recorded]["expr"]))
    return words


ALERTS = rules("alert")
# which hosts are off, and what stops with them
RECORDED = rules("record")
SCENES = scenes()
# it is sent to nobody
FACTS = {"HostAsleep"}


def near_misses(alert: str) -> list[Scene]:
    """Tests in which it never fires, though there is no figure less than where it does."""
    expression = str(ALERTS[alert]["expr"])
    needed = [scene.figures(expression) for scene in SCENES if scene.fires(alert)]
    silent = [scene for scene in SCENES if scene.of(alert) and not scene.fires(alert)]
    return [scene for scene in silent if any(scene.figures(expression) >= figures for figures in needed)]


@pytest.mark.parametrize("path", sorted(TESTS.glob("*.yml")), ids=lambda path: path.stem)
def test_promtool_finds_what_each_test_expects(path: Path) -> None:
    argv = [build(["promtool"])[0], "test", "rules", path]
    answer = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_each_file_of_rules_has_tests_of_its_own() -> None:
    assert [path.name for path in sorted(TESTS.glob("*.yml"))] == sorted(path.name for path in RULES)


def test_every_look_is_at_an_alert_that_there_is() -> None:
    assert {look.alert for scene in SCENES for look in scene.looks} <= set(ALERTS)


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_fires_and_says_what_it_means(alert: str) -> None:
    fired = [found for scene in SCENES for look in scene.of(alert) for found in look.found]
    assert fired, f"no test in {TESTS} fires {alert}"
    for found in fired:
        assert found["exp_labels"]["severity"] in ("critical", "warning", *(["none"] if alert in FACTS else []))
        assert all(found["exp_annotations"][name] for name in ("summary", "description"))


@pytest.mark.parametrize("alert", [name for name, rule in ALERTS.items() if "for" in rule])
def test_each_alert_waits_as_long_as_its_rule_says(alert: str) -> None:
    waits = [
        fires.seconds - silent.seconds
        for scene in SCENES
        for silent in scene.of(alert)
        for fires in scene.of(alert)
        if fires.found and not silent.found and 0 < fires.seconds - silent.seconds <= CLOSE
    ]
    assert waits, f"no test in {TESTS} finds {alert} silent {CLOSE} s or less before it fires"


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_is_silent_at_a_near_miss(alert: str) -> None:
    assert near_misses(alert), f"no test in {TESTS} has all figures of {alert} and finds it silent at all times"


@pytest.mark.parametrize(
    "alert", [name for name, rule in ALERTS.items() if metrics(str(rule["expr"])) & set(RECORDED) and name not in FACTS]
)
def test_what_stops_with_its_host_is_no_alert_while_it_is_asleep(alert: str) -> None:
    asleep = [scene for scene in near_misses(alert) if scene.has_a_host_asleep()]
    assert asleep, f"no test in {TESTS} finds {alert} silent on a host that is asleep"
