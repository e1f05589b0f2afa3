# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role monitoring against a real API server and scheduler, with nodes that only say that their Pods run.

Directories and the password are made on this machine, below a directory of the test. No program judges its configuration here: hollow Pods
never end.
"""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.build import missing
from tests.cluster.hollow import HollowNodes, hollow_nodes
from tests.cluster.play import ON_THIS_MACHINE, Played, play_role
from tests.cluster.programs import API_SERVER
from tests.cluster.server import Cluster, running
from tests.unit.alerts.samples import HEARTBEAT, RECEIVERS, SECRET
from tests.unit.network_plan.plans import SPECIFICATION

pytest.importorskip("kubernetes")

MASTER, STORAGE, HOMELAB = "masternode", "storagenodet3500", "homelab"
NODE_PORTS = {"grafana": 30300, "prometheus": 30090, "loki": 31100}
OWNERS = {"prometheus": 65534, "loki": 10001, "grafana": 472}

# the tasks that send manifests, of which a run that changes nothing takes one
SENDERS = {
    "Create the namespace",
    "Compare all manifests with the cluster",
    "Set Grafana's password",
    "Store the secrets of the receivers of alerts",
    "Run monitoring",
    "Remove Alertmanager without receivers",
}

# as an owner writes it: Ansible is to leave the braces alone
OWN = """
monitoring_extra_rules:
  mine.yml:
    - name: mine
      rules:
        - {alert: Mine, expr: up == 0, annotations: {summary: !unsafe "{{ $labels.job }}"}}
monitoring_extra_dashboards:
  mine: {title: !unsafe "{{ mine }}"}
"""


class Site:
    """A cluster of its own, the playbook, and this machine in the place of the control plane host."""

    def __init__(self, cluster: Cluster, nodes: HollowNodes, directory: Path) -> None:
        self.cluster = cluster
        self.nodes = nodes
        self.directory = directory
        self.data = directory / "data"
        self.password_file = directory / "etc" / "grafana-admin-password"

    def play(self, *arguments: str, **variables: object) -> Played:
        given = {
            "network_plan": SPECIFICATION,
            "cluster_kubeconfig": str(self.cluster.kubeconfig),
            "monitoring_storage_directory": str(self.data),
            "monitoring_alloy_directory": str(self.directory / "alloy"),
            "monitoring_grafana_password_file": str(self.password_file),
            "monitoring_storage_sizes": {"prometheus": "1Mi", "loki": "1Mi", "grafana": "1Mi"},
            "monitoring_validate": [],
            "monitoring_rollout_timeout": 60,
            **ON_THIS_MACHINE,
            **variables,
        }
        return play_role("monitoring", self.directory, given, *arguments)

    def kubectl(self, *argv: str, stdin: str = "") -> str:
        return self.cluster.kubectl("--namespace=monitoring", *argv, stdin=stdin).stdout

    def get(self, what: str) -> dict[str, Any]:
        return json.loads(self.kubectl("get", what, "--output=json"))

    def names(self, kind: str) -> set[str]:
        return {one["metadata"]["name"] for one in self.get(kind)["items"]}

    def has_namespace(self) -> bool:
        return self.cluster.kubectl("get", "namespace", "monitoring", check=False).returncode == 0

    @property
    def password(self) -> str:
        return base64.b64decode(self.get("secret/grafana-admin")["data"]["password"]).decode()


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if unbuilt := missing(API_SERVER):
        pytest.skip(f"not built: {' '.join(unbuilt)}")
    if os.geteuid() != 0:
        pytest.skip("directories get owners, which takes root")
    with running() as cluster, hollow_nodes(cluster) as nodes:
        nodes.add(MASTER, control_plane=True)
        nodes.add(STORAGE)
        nodes.add(HOMELAB)
        yield Site(cluster, nodes, tmp_path_factory.mktemp("monitoring"))


@pytest.fixture(scope="module")
def site(bare: Site) -> Site:
    """Monitoring as the role makes it the first time. The tests of a bare cluster come first in this file."""
    run = bare.play()
    assert run.status == 0, run.text
    return bare


def test_before_there_is_a_cluster_check_mode_says_so(bare: Site) -> None:
    run = bare.play("--check", "--diff", cluster_kubeconfig="/nowhere/kubeconfig")
    assert (run.status, run.changed) == (0, 0), run.text
    assert run.says("/nowhere/kubeconfig does not exist yet")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"monitoring_host": HOMELAB},
            "monitoring_host: found homelab, which may be put to sleep; required: one of these that never sleeps (masternode).",
        ),
        (
            {"monitoring_loki_disk_full_threshold": 0},
            "monitoring_loki_disk_full_threshold: found 0; required: above 0 (0 means no limit) and at most 0.8.",
        ),
        (
            {"monitoring_alert_receivers": [{"name": "phone", "ntfy": {"url": "ntfy.sh/mine"}}]},
            "monitoring_alert_receivers[0].ntfy.url: found another value; required: a URL with http or https.",
        ),
        (
            {"monitoring_alert_receivers": RECEIVERS, "monitoring_images": {"prometheus": "a/prometheus:v1.0"}},
            "monitoring_images: found no image of alertmanager; required: one, because alerts have a receiver.",
        ),
        (
            {"monitoring_extra_rules": {"mine.yml": [], "backups.yml": []}},
            "monitoring_extra_rules: found backups.yml; required: other names than those of the role (backups.yml, ",
        ),
        (
            {"monitoring_extra_dashboards": {"node": {}}},
            "monitoring_extra_dashboards: found node; required: other names than those of the role (cluster, ",
        ),
        ({"monitoring_host": "nas"}, "monitoring_host: found nas, which is no host of the groups control_plane and workers"),
        ({"monitoring_node_name": "alpha"}, "node alpha: found no node of this name; there are: homelab, masternode"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_made(bare: Site, variables: dict[str, object], said: str) -> None:
    run = bare.play(**variables)
    assert run.status == 2
    assert run.says(said), run.text
    assert not bare.has_namespace()
    assert not bare.data.exists()
    assert not bare.password_file.exists()


@pytest.mark.parametrize(
    "receiver",
    [
        # an error of the argument specs, and one of the role
        {"name": "phone", "ntfy": {"token": SECRET}},
        {"name": "phone", "ntfy": {"url": f"ftp://{SECRET}"}},
        {"name": "phone", "ntfy": SECRET},
    ],
)
def test_an_error_in_a_receiver_prints_no_secret(bare: Site, receiver: dict[str, Any]) -> None:
    run = bare.play("-vvv", "--diff", monitoring_alert_receivers=[receiver])
    assert run.status == 2
    assert SECRET not in run.text.partition("PLAY [")[2], run.text


def test_check_mode_predicts_and_makes_nothing(bare: Site) -> None:
    run = bare.play("--check", "--diff")
    assert run.status == 0, run.text
    assert run.says("Namespace monitoring would be created, with Prometheus")
    assert not bare.has_namespace()
    assert not bare.data.exists()
    assert not bare.password_file.exists()


def test_what_is_taken_tainted_or_too_small_is_named_in_one_run_before_anything_is_made(bare: Site) -> None:
    bare.cluster.kubectl("--namespace=default", "create", "service", "nodeport", "thief", "--tcp=80", "--node-port=30300")
    bare.cluster.kubectl("taint", "node", MASTER, "gpu=yes:NoSchedule")
    run = bare.play(monitoring_storage_minimum_free="1000TiB")
    bare.cluster.kubectl("taint", "node", MASTER, "gpu:NoSchedule-")
    bare.cluster.kubectl("--namespace=default", "delete", "service", "thief")
    assert run.status == 2, run.text
    assert run.says("NodePort 30300 is taken by Service default/thief"), run.text
    assert run.says(f"directory {bare.data}: found"), run.text
    assert run.says("1000 TiB at least"), run.text
    assert run.says(f"node {MASTER}: found the taint gpu:NoSchedule, so the Pods would stay Pending"), run.text
    assert not bare.has_namespace()
    assert not bare.data.exists()
    assert not bare.password_file.exists()


def test_where_there_is_nothing_to_remove_the_api_server_is_asked_once(bare: Site) -> None:
    run = bare.play(monitoring_state="absent")
    assert (run.status, run.changed) == (0, 0), run.text
    assert run.tasks_run[-2:] == ["Check the receivers of alerts", "Check what exists"], run.text


def test_everything_runs(site: Site) -> None:
    deployments, daemon_sets = site.names("deployments"), site.names("daemonsets")
    assert deployments == {"prometheus", "grafana", "loki", "kube-state-metrics"}
    assert daemon_sets == {"node-exporter", "alloy"}
    pods = site.get("pods")["items"]
    assert {pod["spec"]["nodeName"] for pod in pods if pod["metadata"]["labels"]["app.kubernetes.io/name"] in deployments} == {MASTER}
    for name in daemon_sets:
        on = {pod["spec"]["nodeName"] for pod in pods if pod["metadata"]["labels"]["app.kubernetes.io/name"] == name}
        assert on == {MASTER, STORAGE, HOMELAB}, name


WITH_RECEIVERS: dict[str, object] = {"monitoring_alert_receivers": RECEIVERS, "monitoring_alert_heartbeat": HEARTBEAT}
KINDS = "deployments,services,configmaps,secrets,serviceaccounts,networkpolicies,pods,persistentvolumeclaims,jobs"


def of_alertmanager(site: Site) -> set[str]:
    """What there is of it, but for the ReplicaSet and Pods of the Deployment."""
    found = site.kubectl("get", KINDS, "--output=name").split()
    return {one for one in found if "alertmanager" in one and not one.startswith("pod/")}


def test_without_receivers_there_is_no_alertmanager(site: Site) -> None:
    assert of_alertmanager(site) == set()
    assert "alerting:" not in site.get("configmap/prometheus")["data"]["prometheus.yml"]


def test_node_ports_are_those_of_the_plan(site: Site) -> None:
    services = site.get("services")["items"]
    found = {one["metadata"]["name"]: one["spec"]["ports"][0].get("nodePort") for one in services if one["spec"]["type"] == "NodePort"}
    assert found == NODE_PORTS


def test_claims_are_bound_to_directories_of_the_right_owner(site: Site) -> None:
    assert {one["metadata"]["name"]: one["status"]["phase"] for one in site.get("pvc")["items"]} == dict.fromkeys(OWNERS, "Bound")
    for name, owner in OWNERS.items():
        status = (site.data / name).stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (owner, owner, 0o750)
        pod = site.get(f"deployment/{name}")["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsUser"] == owner


def test_the_password_is_in_a_file_for_root_alone(site: Site) -> None:
    password = site.password_file.read_text()
    assert site.password_file.stat().st_mode & 0o777 == 0o600
    assert len(password) == 32
    assert site.password == password


def test_no_account_may_write(site: Site) -> None:
    roles = json.loads(site.cluster.kubectl("get", "clusterroles", "--output=json").stdout)["items"]
    ours = [one for one in roles if one["metadata"]["name"].startswith("monitoring:")]
    assert {one["metadata"]["name"] for one in ours} == {"monitoring:prometheus", "monitoring:alloy", "monitoring:kube-state-metrics"}
    assert {verb for one in ours for rule in one["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
    assert "secrets" not in {resource for one in ours for rule in one["rules"] for resource in rule.get("resources", ())}


def test_ingress_is_denied_but_for_the_clients(site: Site) -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in site.get("networkpolicies")["items"]}
    assert policies["deny-ingress"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    for name in NODE_PORTS:
        assert "from" not in policies[name]["ingress"][0]
    for name in ("alloy", "kube-state-metrics"):
        assert policies[name]["ingress"][0]["from"] == [
            {"podSelector": {"matchExpressions": [{"key": "app.kubernetes.io/name", "operator": "In", "values": ["prometheus"]}]}}
        ]


def test_a_second_run_changes_nothing_and_check_mode_knows_and_neither_prints_the_password(site: Site) -> None:
    # slurp shows Base64
    secrets = site.password, base64.b64encode(site.password.encode()).decode()
    for arguments in (["--diff", "-vvv"], ["--check", "--diff"]):
        run = site.play(*arguments)
        assert not any(secret in run.text for secret in secrets)
        assert (run.status, run.changed) == (0, 0), run.text
        assert [one for one in run.tasks_run if one in SENDERS] == ["Compare all manifests with the cluster"], run.text


def test_a_secret_of_another_password_is_put_right_and_neither_is_printed(site: Site) -> None:
    password, other = site.password, "b3RoZXI="
    site.kubectl("patch", "secret", "grafana-admin", "--patch", json.dumps({"data": {"password": other}}))
    predicted = site.play("--check", "--diff", "-vvv")
    assert site.password == "other"
    run = site.play("--diff", "-vvv")
    assert run.tasks_changed == predicted.tasks_changed == ["Set Grafana's password"], run.text
    assert site.password == password
    for secret in (password, base64.b64encode(password.encode()).decode(), other):
        assert secret not in run.text + predicted.text


def test_another_configuration_makes_another_pod(site: Site) -> None:
    def generations() -> dict[str, int]:
        workloads = [*site.get("deployments")["items"], *site.get("daemonsets")["items"]]
        return {one["metadata"]["name"]: one["metadata"]["generation"] for one in workloads}

    before = generations()
    extra = [{"job_name": "router", "static_configs": [{"targets": ["192.168.4.1:9100"]}]}]
    predicted = site.play("--check", monitoring_prometheus_extra_scrape_configs=extra)
    run = site.play(monitoring_prometheus_extra_scrape_configs=extra)
    assert run.status == 0, run.text
    assert run.tasks_changed == predicted.tasks_changed == ["Run monitoring"], run.text
    assert "router" in site.get("configmap/prometheus")["data"]["prometheus.yml"]
    assert generations() == {**before, "prometheus": before["prometheus"] + 1}


def test_rules_and_dashboards_of_ones_own_are_taken(site: Site) -> None:
    (site.directory / "own.yml").write_text(OWN)
    run = site.play("-e", f"@{site.directory}/own.yml")
    assert run.status == 0, run.text
    assert "{{ $labels.job }}" in site.get("configmap/prometheus-rules")["data"]["mine.yml"]
    assert json.loads(site.get("configmap/grafana-dashboard-mine")["data"]["mine.json"]) == {"title": "{{ mine }}"}
    sources = next(one for one in site.get("deployment/grafana")["spec"]["template"]["spec"]["volumes"] if one["name"] == "dashboards")
    assert {"configMap": {"name": "grafana-dashboard-mine"}} in sources["projected"]["sources"]


def test_without_receivers_a_test_alert_has_a_next_step(site: Site) -> None:
    given = {"cluster_kubeconfig": str(site.cluster.kubeconfig), **ON_THIS_MACHINE}
    run = play_role("monitoring", site.directory, given, tasks_from="test_alert")
    assert run.status == 2
    assert run.says("Service monitoring/alertmanager: found none; required: a receiver of alerts, for which Alertmanager runs."), run.text


def test_with_receivers_alertmanager_runs_and_secrets_are_in_a_secret_alone(site: Site) -> None:
    predicted = site.play("--check", "--diff", "-vvv", **WITH_RECEIVERS)
    assert of_alertmanager(site) == set()
    run = site.play("--diff", "-vvv", **WITH_RECEIVERS)
    assert run.status == predicted.status == 0, run.text
    assert run.tasks_changed == predicted.tasks_changed == ["Store the secrets of the receivers of alerts", "Run monitoring"], run.text
    assert of_alertmanager(site) == {
        "deployment.apps/alertmanager",
        "service/alertmanager",
        "configmap/alertmanager",
        "secret/alertmanager",
        "serviceaccount/alertmanager",
        "networkpolicy.networking.k8s.io/alertmanager",
    }
    assert site.get("deployment/alertmanager")["status"]["readyReplicas"] == 1
    # in no object but the Secret, and in no output, also not in Base64
    found = json.loads(site.cluster.kubectl("get", f"{KINDS},replicasets,events", "--all-namespaces", "--output=json").stdout)["items"]
    encoded = list(site.get("secret/alertmanager")["data"].values())
    assert len(encoded) == 6 and all(SECRET in base64.b64decode(value).decode() for value in encoded)
    for where in (
        run.text,
        predicted.text,
        *(json.dumps(one) for one in found if (one["kind"], one["metadata"]["name"]) != ("Secret", "alertmanager")),
    ):
        assert not [one for one in (SECRET, *encoded) if one in where], where
    volumes = site.get("deployment/alertmanager")["spec"]["template"]["spec"]["volumes"]
    assert [one["secret"]["defaultMode"] for one in volumes if "secret" in one] == [0o440]


def test_a_second_run_with_receivers_changes_nothing_and_guests_reach_no_alertmanager(site: Site) -> None:
    for arguments in ([], ["--check", "--diff"]):
        run = site.play(*arguments, **WITH_RECEIVERS)
        assert (run.status, run.changed) == (0, 0), run.text
    service = site.get("service/alertmanager")["spec"]
    assert (service["type"], [one.get("nodePort") for one in service["ports"]]) == ("ClusterIP", [None])
    [ingress] = site.get("networkpolicy/alertmanager")["spec"]["ingress"]
    assert ingress["from"] == [
        {"podSelector": {"matchExpressions": [{"key": "app.kubernetes.io/name", "operator": "In", "values": ["prometheus"]}]}}
    ]
    assert {"alertmanager.yml", "watchdog.yml", "nodes.yml"} <= site.get("configmap/prometheus-rules")["data"].keys()


@pytest.mark.thorough
def test_the_plan_may_open_alertmanager(site: Site) -> None:
    service = {"name": "alertmanager", "namespace": "monitoring", "port": 9093, "node_port": 30093}
    plan = {**SPECIFICATION, "services": [*SPECIFICATION["services"], service]}
    run = site.play(network_plan=plan, **WITH_RECEIVERS)
    assert run.status == 0, run.text
    assert site.get("service/alertmanager")["spec"]["ports"][0]["nodePort"] == 30093
    assert "from" not in site.get("networkpolicy/alertmanager")["spec"]["ingress"][0]


@pytest.mark.thorough
def test_another_secret_makes_no_other_pod(site: Site) -> None:
    site.play(**WITH_RECEIVERS)
    before = site.get("deployment/alertmanager")["metadata"]["generation"]
    run = site.play(monitoring_alert_receivers=RECEIVERS, monitoring_alert_heartbeat={**HEARTBEAT, "url": "http://192.168.4.9/other"})
    assert run.tasks_changed == ["Store the secrets of the receivers of alerts"], run.text
    assert base64.b64decode(site.get("secret/alertmanager")["data"]["heartbeat-url"]) == b"http://192.168.4.9/other"
    assert site.get("deployment/alertmanager")["metadata"]["generation"] == before


def test_without_its_receivers_alertmanager_leaves_no_trace(site: Site) -> None:
    predicted = site.play("--check")
    assert "deployment.apps/alertmanager" in of_alertmanager(site)
    run = site.play()
    assert run.status == 0, run.text
    assert run.tasks_changed == predicted.tasks_changed == ["Run monitoring", "Remove Alertmanager without receivers"], run.text
    assert of_alertmanager(site) == set()
    assert "alerting:" not in site.get("configmap/prometheus")["data"]["prometheus.yml"]
    assert not {"alertmanager.yml", "watchdog.yml"} & site.get("configmap/prometheus-rules")["data"].keys()


def test_what_was_changed_or_deleted_by_hand_is_put_right_and_a_claim_finds_its_data_again(site: Site) -> None:
    site.kubectl("scale", "deployment", "prometheus", "--replicas=0")
    site.kubectl("delete", "service/loki", "networkpolicy/deny-ingress", "deployment/loki", "pvc/loki")
    run = site.play()
    # what goes with the receivers of earlier tests went when they did
    assert (run.status, run.tasks_changed) == (0, ["Reuse volumes whose claim was deleted", "Run monitoring"]), run.text
    assert run.says("Deployment monitoring/prometheus: spec.replicas: 0 -> 1")
    assert "deny-ingress" in site.names("networkpolicies")
    assert site.get("service/loki")["spec"]["ports"][0]["nodePort"] == NODE_PORTS["loki"]
    assert site.get("pvc/loki")["status"]["phase"] == "Bound"


def test_a_host_that_is_off_is_not_waited_for_and_nothing_else_is_left_to_change(site: Site) -> None:
    site.nodes.switch_off(HOMELAB)
    run = site.play(monitoring_asleep_hosts=[HOMELAB])
    site.nodes.switch_on(HOMELAB)
    assert (run.status, run.changed) == (0, 0), run.text


@contextmanager
def judges(site: Site, exits: dict[str, tuple[int, str]]) -> Iterator[list[str]]:
    """Ends the Pods of the Job as a kubelet would: the exit code and the last words of each program. Yields the configuration they saw."""
    from kubernetes import client  # noqa: PLC0415 - all but this works without the package
    from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - as above

    core, ended, seen = client.CoreV1Api(site.cluster.client()), threading.Event(), list[str]()

    def end_pods() -> None:
        while not ended.wait(0.2):
            # a Pod that went meanwhile
            with suppress(ApiException):
                for pod in core.list_namespaced_pod("monitoring", label_selector="app.kubernetes.io/name=configuration-check").items:
                    if pod.status.phase == "Running":
                        seen.append(core.read_namespaced_config_map("prometheus-candidate", "monitoring").data["prometheus.yml"])
                        core.patch_namespaced_pod_status(pod.metadata.name, "monitoring", {"status": status()})

    def status() -> dict[str, Any]:
        containers = [
            {
                "name": name,
                "image": name,
                "imageID": "",
                "ready": False,
                "restartCount": 0,
                "state": {"terminated": {"exitCode": code, "message": words}},
            }
            for name, (code, words) in exits.items()
        ]
        return {"phase": "Failed" if any(code for code, _words in exits.values()) else "Succeeded", "containerStatuses": containers}

    thread = threading.Thread(target=end_pods, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join(30)


EXTRA = [{"job_name": "judged", "static_configs": [{"targets": ["192.168.4.1:9100"]}]}]


def test_what_a_program_refuses_does_not_replace_what_runs(site: Site) -> None:
    before = site.get("configmap/prometheus")["data"], site.get("deployment/prometheus")["metadata"]["generation"]
    with judges(site, {"prometheus": (1, "FAILED: parsing YAML file"), "loki": (0, "")}) as seen:
        run = site.play(monitoring_validate=["prometheus", "loki"], monitoring_prometheus_extra_scrape_configs=EXTRA)
    assert run.status == 2, run.text
    assert run.says("Job monitoring/configuration-check"), run.text
    assert run.says("container prometheus ended with exit code 1: FAILED: parsing YAML file"), run.text
    assert "judged" in seen[0]
    assert (site.get("configmap/prometheus")["data"], site.get("deployment/prometheus")["metadata"]["generation"]) == before
    assert not {name for name in site.names("configmaps") if "candidate" in name}
    assert site.names("jobs") == set()


@pytest.mark.thorough
def test_a_judge_that_does_not_end_ends_the_run_in_time(site: Site) -> None:
    run = site.play(monitoring_validate=["prometheus"], monitoring_validation_timeout=5, monitoring_prometheus_extra_scrape_configs=EXTRA)
    assert run.status == 2, run.text
    assert run.says("found it has not ended; container prometheus runs still; required"), run.text
    assert "judged" not in site.get("configmap/prometheus")["data"]["prometheus.yml"]
    assert site.names("jobs") == set()


def test_what_the_programs_accept_is_used_and_judged_once(site: Site) -> None:
    wanted: dict[str, object] = {"monitoring_validate": ["prometheus", "loki"], "monitoring_prometheus_extra_scrape_configs": EXTRA}
    with judges(site, {"prometheus": (0, ""), "loki": (0, "")}) as seen:
        run = site.play(**wanted)
        assert run.status == 0, run.text
        assert len(seen) == 1
        again = site.play(**wanted)
    assert "judged" in site.get("configmap/prometheus")["data"]["prometheus.yml"]
    assert (again.status, again.changed, len(seen)) == (0, 0, 1), again.text


@pytest.mark.thorough
def test_access_to_a_namespace_ends_when_it_is_no_longer_listed(site: Site) -> None:
    site.cluster.kubectl("create", "namespace", "apps")

    def readers() -> str:
        return site.cluster.kubectl("get", "roles,rolebindings", "--namespace=apps", "--output=name").stdout

    assert site.play(monitoring_prometheus_namespaces=["apps"]).status == 0
    assert len(readers().split()) == 2
    run = site.play()
    assert (run.status, readers()) == (0, ""), run.text
    assert "Remove Prometheus' access to namespaces that are no longer listed" in run.tasks_changed, run.text
    assert site.play().changed == 0


def test_removed_and_made_anew_it_has_its_password_and_data(site: Site) -> None:
    password = site.password
    (site.data / "prometheus" / "wal").write_text("kept")
    site.nodes.switch_off(HOMELAB)
    predicted = site.play("--check", monitoring_state="absent", monitoring_asleep_hosts=[HOMELAB])
    assert predicted.status == 0, predicted.text
    assert site.has_namespace()
    # receivers may still be in the inventory, and the plan may have Services alone
    plan = {"services": SPECIFICATION["services"]}
    run = site.play("-vvv", monitoring_state="absent", monitoring_asleep_hosts=[HOMELAB], network_plan=plan, **WITH_RECEIVERS)
    assert run.status == 0, run.text
    shown = run.text.partition("PLAY [")[2]
    assert SECRET not in shown
    assert base64.b64encode(SECRET.encode()).decode() not in shown
    assert not site.has_namespace()
    assert "monitoring-" not in site.cluster.kubectl("get", "pv", "--output=name").stdout
    assert "monitoring:" not in site.cluster.kubectl("get", "clusterroles,clusterrolebindings", "--output=name").stdout
    again = site.play(monitoring_state="absent")
    assert (again.status, again.changed) == (0, 0), again.text
    site.nodes.switch_on(HOMELAB)
    run = site.play()
    assert run.status == 0, run.text
    assert site.password == password == site.password_file.read_text()
    assert (site.data / "prometheus" / "wal").read_text() == "kept"
    assert {one["status"]["phase"] for one in site.get("pvc")["items"]} == {"Bound"}


def test_data_go_only_when_asked(site: Site) -> None:
    run = site.play(monitoring_state="absent", monitoring_remove_data=True)
    assert run.status == 0, run.text
    assert not site.data.exists()
    assert site.password_file.exists()


def test_without_its_directories_and_with_its_password_it_is_made_again(site: Site) -> None:
    run = site.play()
    assert run.status == 0, run.text
    assert sorted(path.name for path in site.data.iterdir()) == ["grafana", "loki", "prometheus"]
    assert site.password == site.password_file.read_text()
