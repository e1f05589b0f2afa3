# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The group monitoring of cluster_health_check: a real Prometheus is asked through a real API server."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("kubernetes")
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._health import judge
from ansible_collections.vmstation.cluster.plugins.module_utils._health.io import HealthApi
from ansible_collections.vmstation.cluster.plugins.module_utils._health.judge import check
from ansible_collections.vmstation.cluster.plugins.module_utils._health.model import Wanted

from tests.cluster.alertmanager_server import Alertmanager, WebReceiver, alerting, wait_for
from tests.cluster.build import build
from tests.cluster.here import own_address, service_to_here
from tests.cluster.server import Cluster
from tests.lab.say import LabError, mortal

WANTED = Wanted(groups=("monitoring",), nodes=("homelab",))
PATIENCE = 30.0  # seconds
NOTHING_LISTENS = 1
RULES = {
    "groups": [
        {
            "name": "mine",
            "rules": [
                {"alert": "Boom", "expr": "vector(1)", "annotations": {"summary": "it burns", "description": "Put it out."}},
                # several series on both sides
                {"record": "bad", "expr": "up * on () up"},
            ],
        }
    ]
}


class Prometheus:
    """It scrapes itself, and evaluates rules, each second."""

    def __init__(self, directory: Path, targets: dict[str, str], rules: dict[str, Any], alertmanager: str = "") -> None:
        jobs = [
            {"job_name": name, "static_configs": [{"targets": [target], "labels": {"node": "homelab"}}]} for name, target in targets.items()
        ]
        configuration = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(directory / "rules.yml")],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}] if alertmanager else []},
            "scrape_configs": jobs,
        }
        (directory / "rules.yml").write_text(yaml.safe_dump(rules))
        (directory / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        self.address = own_address()
        argv = [
            str(build(["prometheus"])[0]),
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address={self.address}:9090",
        ]
        self._process = subprocess.Popen(mortal(argv), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def wait(self, query: str) -> None:
        """Back when the query has a result."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                url = f"http://{self.address}:9090/api/v1/query?query={urllib.request.quote(query)}"
                with urllib.request.urlopen(url, timeout=5) as answer:
                    if json.load(answer)["data"]["result"]:
                        return
            except OSError:
                pass
            time.sleep(0.2)
        raise LabError(f"Prometheus has no result of {query} after {PATIENCE:.0f} s")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def service(cluster: Cluster) -> Iterator[Cluster]:
    """With a Service of Prometheus that leads to this machine."""
    with service_to_here(cluster, "monitoring", "prometheus", 9090):
        yield cluster


def told(cluster: Cluster) -> tuple[list[Finding], str]:
    outcome = check(WANTED, HealthApi(str(cluster.kubeconfig)))
    return list(outcome.findings["monitoring"]), outcome.looked_at["monitoring"]


def test_a_cluster_without_monitoring_has_no_finding(cluster: Cluster) -> None:
    assert told(cluster) == ([], "not installed")


def test_what_prometheus_reports_is_found(service: Cluster, tmp_path: Path) -> None:
    prometheus = Prometheus(tmp_path, {"itself": f"{own_address()}:9090", "dead": f"127.0.0.1:{NOTHING_LISTENS}"}, RULES)
    try:
        prometheus.wait('count_over_time(up{job="dead"}[2m]) > 2')
        prometheus.wait('ALERTS{alertstate="firing"}')
        findings, _text = told(service)
    finally:
        prometheus.close()
    assert [(one.severity, one.subject) for one in findings] == [
        ("warning", "Prometheus job dead"),
        ("warning", "alert Boom"),
        ("warning", "Prometheus rule bad"),
    ]
    assert findings[0].found == "homelab did not answer for 2 minutes"
    assert (findings[1].found, findings[1].fix) == ("it burns", "Put it out.")
    assert "cannot be evaluated: " in findings[2].found


def test_a_prometheus_that_is_well_has_no_finding(service: Cluster, tmp_path: Path) -> None:
    prometheus = Prometheus(tmp_path, {"itself": f"{own_address()}:9090"}, {})
    try:
        prometheus.wait("up")
        assert told(service) == ([], "Prometheus stores samples and evaluates 0 rules; Loki and Grafana are ready")
    finally:
        prometheus.close()


def test_a_prometheus_without_samples_is_found_although_it_answers(service: Cluster, tmp_path: Path) -> None:
    prometheus = Prometheus(tmp_path, {}, {})
    try:
        prometheus.wait("vector(1)")
        [finding] = told(service)[0]
    finally:
        prometheus.close()
    assert (finding.severity, finding.subject, finding.found) == ("error", "Prometheus", "no sample of the last 5 minutes")


def test_a_prometheus_that_does_not_run_is_unknown_here(service: Cluster) -> None:
    """That it does not run is an error of the group workloads."""
    [finding] = told(service)[0]
    assert (finding.rule, finding.subject) == ("monitoring_is_known", "Service monitoring/prometheus")


def test_a_receiver_that_gets_no_alerts_is_found(service: Cluster, tmp_path: Path) -> None:
    here = own_address()
    with ExitStack() as stack:
        ill = WebReceiver()
        stack.callback(ill.close)
        ill.status = 404
        receivers = [{"name": "phone", "webhook": {"url": f"{ill.url}/"}}]
        stack.callback(Alertmanager(tmp_path / "alertmanager", alerting(receivers), here).close)
        targets = {"itself": f"{here}:9090", "alertmanager": f"{here}:9093"}
        stack.callback(
            Prometheus(
                tmp_path, targets, {"groups": [{**RULES["groups"][0], "rules": RULES["groups"][0]["rules"][:1]}]}, f"{here}:9093"
            ).close
        )
        found: list[Finding] = []

        def is_found() -> bool:
            found[:] = [one for one in told(service)[0] if one.rule == "last_alert_was_delivered"]
            return bool(found)

        # it is asked for each half minute of the last day
        wait_for("the finding", is_found, 120)
        assert told(service)[1] == "installed"
    assert (found[0].severity, found[0].subject) == ("warning", "receiver phone (webhook)")
    assert found[0].found.startswith("the last notification failed: the receiver rejected it (HTTP status 4xx)")
    assert "kubectl --namespace monitoring logs deployment/alertmanager" in found[0].fix


def counted(metric: str, values: str, reason: str = "") -> dict[str, str]:
    labels = f'job="alertmanager", pod="alertmanager-1", integration="webhook", receiver_name="phone"{reason}'
    return {"series": f"{metric}{{{labels}}}", "values": values}


@pytest.mark.parametrize(
    ("requests", "failed", "arrived", "given_up"),
    [
        # nothing but zeros
        ("0x60", "0x60", None, None),
        # one arrives after 10 minutes, and is seen for less than 2 minutes
        ("0x20 1x40", "0x60", 690, None),
        # one fails after 10 minutes
        ("0x20 1x40", "0x20 1x40", None, 690),
        # one arrives after 5 minutes, and one fails after 10
        ("0x10 1x9 2x40", "0x20 1x40", 390, 690),
        # and the other way round
        ("0x10 1x9 2x40", "0x10 1x50", 690, 390),
        # Alertmanager restarts after 20 minutes
        ("0x10 5x29 0x20", "0x60", 390, None),
    ],
)
def test_the_last_notifications_are_found_in_the_counters(
    tmp_path: Path, requests: str, failed: str, arrived: int | None, given_up: int | None
) -> None:
    labels = '{integration="webhook", receiver_name="phone"'
    expected = {judge.ARRIVED: (f"{labels}}}", arrived), judge.GIVEN_UP: (f'{labels}, reason="clientError"}}', given_up)}
    wanted = [
        {
            "expr": judge.QUESTIONS[key][3]["query"],
            "eval_time": "30m",
            "exp_samples": [] if at is None else [{"labels": of, "value": at}],
        }
        for key, (of, at) in expected.items()
    ]
    series = [
        counted("alertmanager_notification_requests_total", requests),
        counted("alertmanager_notification_requests_failed_total", failed),
        counted("alertmanager_notifications_failed_total", failed, ', reason="clientError"'),
        counted("alertmanager_notifications_failed_total", "0x60", ', reason="other"'),
    ]
    test = {"rule_files": [], "tests": [{"interval": "30s", "input_series": series, "promql_expr_test": wanted}]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test))
    answer = subprocess.run(
        [build(["promtool"])[0], "test", "rules", tmp_path / "test.yml"], capture_output=True, text=True, check=False, timeout=60
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
