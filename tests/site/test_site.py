# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""site.yml from bare hosts to a cluster that works, through interruptions and damage, and back to bare hosts; in this order."""

from __future__ import annotations

import base64
import json
import random
import re
import tarfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.cluster import dashboards
from tests.cluster.busybox import NAME as BUSYBOX
from tests.integration.kubernetes_nodes import leftovers
from tests.integration.offered_packages import Package, install, offer, take_back, versions
from tests.lab.hosts import GATEWAY
from tests.lab.say import say
from tests.rounds import rounds
from tests.site import bare_host, loki, pods, prometheus
from tests.site.whole_site import Site

NODES = ["homelab", "masternode", "storagenodet3500"]
DNS = "10.233.0.3"
CYCLES = rounds(1, 25)
# the cycles up to this one bring the workloads, too
LAST_WITH_WORKLOADS = rounds(1, 5)
WITHOUT_WORKLOADS = ("-e", '{"monitoring_state": "absent", "jellyfin_state": "absent"}')
KILLS = rounds(1, 10)
HEALTHY_CHECKS = rounds(1, 20)
LINES_OF_A_WARNING = 3
NIGHTS = rounds(1, 25)
FIREWALL_IS_SHUT = {
    "masternode": (["ufw", "status", "verbose"], "Default: deny (incoming), allow (outgoing), deny (routed)"),
    "storagenodet3500": (["nft", "list", "table", "inet", "filter"], "hook forward priority filter; policy drop;"),
    "homelab": (["firewall-cmd", "--state"], "running"),
}


@pytest.fixture(scope="module")
def probes(site: Site) -> dict[str, str]:
    """They go before a host is put to sleep: a drain would delete them for good."""
    pods.start(site, NODES)
    return pods.addresses(site)


@pytest.fixture(scope="module", autouse=True)
def lines(site: Site) -> Iterator[None]:
    with loki.lines(site):
        yield


def test_check_mode_of_bare_hosts_predicts_changes_and_makes_none(site: Site) -> None:
    run = site.play("site.yml", "--check", "--diff")
    assert run.status == 0, run.failed
    assert {change.partition(":")[0] for change in run.changed} >= set(NODES)
    for name, host in site.hosts.items():
        assert bare_host.differences(site.bare[name], bare_host.look(host)) == [], name
    site.put_workers_to_sleep()


def test_a_run_that_is_killed_and_whose_hosts_lose_their_power_is_completed_by_the_next(site: Site, tmp_path: Path) -> None:
    whole = site.count_tasks(tmp_path)
    for number in range(1, KILLS + 1):
        killed = site.play_and_kill(whole * number // (KILLS + 1))
        assert killed, "the run came to its end before it was killed"
        cut = random.choice([name for name, host in site.hosts.items() if host.is_up()])
        say(f"killed at `{killed}`, and the power of {cut} cut")
        site.lose_power(cut)
    run = site.play()
    assert run.status == 0, run.failed
    assert site.ready_nodes() == NODES


def test_a_second_run_changes_nothing(site: Site) -> None:
    run = site.play()
    assert run.status == 0, run.failed
    assert run.changed == []


def test_check_mode_of_a_live_site_predicts_nothing(site: Site) -> None:
    run = site.play("site.yml", "--check", "--diff")
    assert run.status == 0, run.failed
    assert run.changed == []


def test_the_hosts_are_as_the_default_scenario_of_molecule_verifies_them(site: Site) -> None:
    """The file that `make molecule` runs, against hosts that were made in the same way."""
    argv = ["python", "-m", "pytest", "-v", "-p", "no:cacheprovider", "--color=no", "molecule/default/verify"]
    verified = site.lab.run(argv, check=False, timeout=300)
    assert verified.returncode == 0, verified.stdout
    say(verified.stdout.splitlines()[-1])


def test_a_diagnosis_has_each_hosts_rules_and_no_secret(site: Site, tmp_path: Path) -> None:
    bootstrap = site.hosts["masternode"].run(["kubeadm", "token", "create", "--ttl=10m"]).stdout.strip()
    key = yaml.safe_load(site.lab.kubeconfig.read_text())["users"][0]["user"]["client-key-data"]
    run = site.play("playbooks/diagnose.yml", "-e", f"diagnosis_directory={tmp_path}")
    assert run.status == 0, run.failed
    assert run.changed == ["masternode: Write the collected data"]
    (path,) = tmp_path.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(path) as archive:
        files = {
            entry.name.partition("/")[2]: content.read().decode()
            for entry in archive
            if (content := archive.extractfile(entry)) is not None
        }
    say(f"{path.name}: {path.stat().st_size} bytes, {len(files)} files of {sum(map(len, files.values()))} characters")
    for secret in (bootstrap, key, *base64.b64decode(key).decode().splitlines()[1:-1]):
        assert [name for name, text in files.items() if secret in text] == []
    for node in NODES:
        assert "lookup main" in files[f"hosts/{node}/network/rules.txt"]
        assert "10.244." in files[f"hosts/{node}/network/routes.txt"]
        assert "hook input" in files[f"hosts/{node}/firewall/nft.txt"]
        assert node in files["cluster/nodes.txt"]
    assert "active" in files["hosts/masternode/firewall/ufw.txt"]
    assert "vmstation-worker" in files["hosts/homelab/firewall/firewalld-zones.txt"]
    assert "RESIDUAL TIME" in files["hosts/masternode/kubernetes/certificates.txt"]
    assert "calico-node" in files["cluster/pods.txt"]
    assert "encapsulation" in files["controller/network_plan.json"]


@pytest.mark.parametrize("host", NODES)
def test_the_firewall_is_on_and_shut(site: Site, host: str) -> None:
    argv, wanted = FIREWALL_IS_SHUT[host]
    assert wanted in site.hosts[host].run(argv).stdout


@pytest.mark.parametrize("host", NODES)
def test_a_port_that_nobody_opened_is_shut(site: Site, host: str) -> None:
    listener = site.hosts[host].start_process(["nc", "-l", "-k", "-p", "5999"])
    try:
        site.lab.wait_for(lambda: ":5999" in site.hosts[host].run(["ss", "-ltn"]).stdout, f"a listener on {host}", 10)
        answer = site.lab.run(["python3", "-c", CONNECT, site.hosts[host].address, "5999"], check=False)
        assert answer.stdout.strip() in ("TimeoutError", "OSError 113", "ConnectionRefusedError"), answer
    finally:
        site.hosts[host].run(["sh", "-c", "kill $(pgrep -x nc)"], check=False)
        listener.kill()


CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2)
    print("connected")
except TimeoutError:
    print("TimeoutError")
except OSError as error:
    print("OSError", error.errno)
"""


@pytest.mark.parametrize("node", NODES)
def test_pods_of_all_nodes_reach_each_other(site: Site, probes: dict[str, str], node: str) -> None:
    for other, address in probes.items():
        answer = site.in_pod(pods.pod_name(node), ["wget", "-q", "-O", "-", f"http://{address}:{pods.PORT}/"])
        assert answer.stdout.strip() == other


@pytest.mark.parametrize("node", NODES)
def test_names_resolve_from_a_pod_on_every_node(site: Site, probes: dict[str, str], node: str) -> None:
    assert f"nameserver {DNS}" in site.in_pod(pods.pod_name(node), ["cat", "/etc/resolv.conf"]).stdout
    answer = site.in_pod(pods.pod_name(node), ["nslookup", "kubernetes.default.svc.cluster.local"])
    assert DNS in answer.stdout
    assert "10.96.0.1" in answer.stdout
    unknown = site.in_pod(pods.pod_name(node), ["nslookup", "nobody.default.svc.cluster.local"], check=False)
    assert unknown.returncode != 0


@pytest.mark.parametrize("node", NODES)
def test_services_answer_inside_and_on_every_nodes_port(site: Site, probes: dict[str, str], node: str) -> None:
    answer = site.in_pod(pods.pod_name(node), ["wget", "-q", "-O", "-", "http://probe.default.svc.cluster.local/"])
    assert answer.stdout.strip() in NODES
    url = f"http://{site.hosts[node].address}:{pods.NODE_PORT}/"
    outside = site.lab.run(["python3", "-c", f"import urllib.request; print(urllib.request.urlopen({url!r}, timeout=5).read().decode())"])
    assert outside.stdout.strip() in NODES


def test_pods_of_jellyfin_reach_names_and_the_outside_and_no_host_or_other_pod(site: Site, probes: dict[str, str]) -> None:
    outside = site.lab.start_process(["python3", "-m", "http.server", "8099", "--bind", GATEWAY])
    inside = {(site.hosts["masternode"].address, 6443), *((host.address, 22) for host in site.hosts.values())}
    inside |= {(address, pods.PORT) for address in probes.values()}
    try:
        with pods.one_in(site, "jellyfin", "storagenodet3500") as name:

            def reaches(place: tuple[str, int], namespace: str = "jellyfin") -> bool:
                asked = ["sh", "-c", f"echo | nc -w 3 {place[0]} {place[1]}"]
                return site.in_pod(name, asked, namespace=namespace, check=False).returncode == 0

            assert "10.96.0.1" in site.in_pod(name, ["nslookup", "kubernetes.default.svc.cluster.local"], namespace="jellyfin").stdout
            site.lab.wait_for(lambda: reaches((GATEWAY, 8099)), "the outside to answer", 10)
            assert [place for place in inside if not reaches(place, "default")] == []
            assert [place for place in inside if reaches(place)] == []
    finally:
        outside.kill()


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize(("port", "path"), [(30300, "api/health"), (30090, "-/healthy"), (31100, "ready"), (30096, "health")])
def test_workloads_answer_on_every_nodes_port(site: Site, port: int, path: str, node: str) -> None:
    url = f"http://{site.hosts[node].address}:{port}/{path}"
    outside = site.lab.run(["python3", "-c", f"import urllib.request; print(urllib.request.urlopen({url!r}, timeout=5).status)"])
    assert outside.stdout.strip() == "200"


POST = """
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], sys.argv[2].encode(), timeout=5).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


def test_jellyfins_administrator_has_the_generated_password_and_no_guest_becomes_one(site: Site) -> None:
    """Of a stand-in, which has Jellyfin's startup wizard."""
    master, file = site.hosts["masternode"], "/etc/vmstation/jellyfin-admin-password"
    assert master.run(["stat", "--format=%a %U", file]).stdout.strip() == "600 root"
    login = {"Username": "admin", "Pw": master.run(["cat", file]).stdout}
    requests = (("Users/AuthenticateByName", login, "200"), ("Startup/User", {"Name": "guest", "Password": "guest"}, "401"))
    for path, content, status in requests:
        url = f"http://{master.address}:30096/{path}"
        assert site.lab.run(["python3", "-c", POST, url, json.dumps(content)]).stdout.strip() == status


def test_every_target_of_prometheus_is_up(site: Site) -> None:
    jobs = {"alloy": 3, "cadvisor": 3, "felix": 3, "kube-proxy": 3, "kubelet": 3, "node-exporter": 3, "coredns": 2, "kube-state-metrics": 2}
    jobs |= dict.fromkeys(["apiserver", "etcd", "grafana", "kube-controller-manager", "kube-scheduler", "loki", "prometheus"], 1)
    site.lab.wait_for(lambda: len(prometheus.labels(site, "up == 1")) == sum(jobs.values()), "every target of Prometheus", 180)
    assert Counter(target["job"] for target in prometheus.labels(site, "up")) == jobs


# stand-ins have none; what timers of the owner's write; and what there is only while a Pod waits for something, or a host sleeps
NOT_HERE = re.compile(
    r"(loki|alloy|grafana|vmstation)_|kube_pod_container_status_waiting_reason|kube_pod_status_unschedulable"
    r"|(node|pod):(asleep|silent)"
)


def test_every_panel_of_prometheus_has_data(site: Site) -> None:
    panels = dashboards.queries("prometheus")

    def without_data() -> list[str]:
        found = prometheus.query(site, [panel.expression for panel in panels])
        empty = [panel for panel, data in zip(panels, found) if not data and not NOT_HERE.match(panel.expression)]
        return [f"{panel.dashboard}: {panel.panel}: {panel.expression}" for panel in empty]

    # a rate wants a few scrapes
    site.lab.wait_for(lambda: not without_data(), "data of every panel", 300)
    assert without_data() == []


def test_every_metric_that_an_alert_asks_for_is_there(site: Site) -> None:
    asked = prometheus.metrics(site, [rule["query"] for rule in prometheus.rules(site)])
    (there,) = prometheus.ask(site, "label/__name__/values")
    assert sorted(name for name in asked - set(there) if not NOT_HERE.match(name)) == []


def test_no_alert_fires_on_a_site_that_is_well(site: Site) -> None:
    assert prometheus.labels(site, 'ALERTS{alertstate="firing"}') == []
    assert [(rule["name"], rule["lastError"]) for rule in prometheus.rules(site) if rule["health"] != "ok"] == []


@pytest.mark.parametrize("number", range(1, HEALTHY_CHECKS + 1))
def test_the_check_of_a_site_that_is_well_is_no_alarm(site: Site, number: int) -> None:
    run, report = site.check()
    assert (run.status, run.failed) == (0, [])
    # what the plan's owner declared is remarked upon, and what is of the machine under the containers: its clock and its disk
    told = [line for line in report["lines"] if line["mark"] != "ok" and line["group"] != "plan"]
    assert {line["rule"] for line in told} <= {"clock_is_synchronised", "disk_has_room"}, told
    (shown,) = run.result("Show the report").values()
    text = shown["msg"].splitlines()
    full_disks = sum(line["rule"] == "disk_has_room" for line in told)
    assert len(text) - full_disks * LINES_OF_A_WARNING <= 30, shown["msg"]
    assert sum(line.startswith("warning") for line in text) - full_disks <= 2, shown["msg"]
    assert report["api_calls"] > 0
    say(f"check.yml, round {number}: {report['verdict']}; {report['api_calls']} requests to the API server, {run.seconds:.0f} s")


def test_a_host_that_sleeps_is_no_alert(site: Site) -> None:
    site.hosts["homelab"].stop()
    asleep = {"job": "node-exporter", "node": "homelab", "sleeps": "true"}

    def is_down() -> bool:
        return any(asleep.items() <= target.items() for target in prometheus.labels(site, "up == 0"))

    site.lab.wait_for(is_down, "Prometheus to miss homelab", 120)
    # longer than the API server takes to call the node NotReady, after which no rule may as much as wait for it
    site.lab.wait_for(lambda: "homelab" not in site.ready_nodes(), "the node homelab NotReady", 120)
    # another device may have its address by now: nothing is asked any more that gets Prometheus' token
    asked = 'up{node="homelab", job=~"cadvisor|kubelet"}'
    site.lab.wait_for(lambda: not prometheus.labels(site, asked), "Prometheus to leave the kubelet of homelab alone", 60)
    site.lab.wait_for(lambda: not told_of(site, "homelab"), "alerts on homelab to be dropped", 120)
    assert prometheus.labels(site, 'ALERTS{alertstate="firing"}') == []


def told_of(site: Site, node: str) -> list[dict[str, str]]:
    """Alerts that fire or wait to fire, with something of the node in their labels."""
    return [alert for alert in prometheus.labels(site, "ALERTS") if node in alert.values() or f"{node}:9100" in alert.values()]


def test_a_worker_that_slept_is_woken_and_ready_again(site: Site) -> None:
    pods.remove(site)
    site.hosts["homelab"].stop()
    run = site.play("playbooks/wake.yml")
    assert run.status == 0, run.failed
    assert run.result("Wake sleeping hosts")["masternode"]["changed"]
    site.lab.wait_for(lambda: site.ready_nodes() == NODES, "every node Ready", 120)
    site.lab.wait_for(lambda: workloads(site, ready=True) == workloads(site), "every workload after homelab has slept", 180)


@pytest.mark.parametrize("night", range(1, NIGHTS + 1))
def test_a_worker_is_put_to_sleep_and_woken_with_what_belongs_there(site: Site, night: int) -> None:
    host, only = site.hosts["storagenodet3500"], ("-e", '{"sleep_hosts": ["storagenodet3500"]}')
    wanted = workloads(site)
    if night == 1:
        # it goes down long after its SSH has ended
        host.run(["systemd-run", "--property=KillSignal=SIGCONT", "--property=TimeoutStopSec=20", "sleep", "infinity"])
    run = site.play("playbooks/sleep.yml", *only)
    assert run.status == 0, run.failed
    site.lab.wait_for(lambda: not host.is_up(), "storagenodet3500 to be off", 10)
    site.lab.wait_for(lambda: "storagenodet3500" not in site.ready_nodes(), "the node NotReady", 120)
    again = site.play("playbooks/sleep.yml", *only)
    assert (again.status, again.changed) == (0, []), again.failed
    run = site.play("playbooks/wake.yml")
    assert run.status == 0, run.failed
    assert [node["metadata"]["name"] for node in site.objects("nodes") if node["spec"].get("unschedulable")] == []
    site.lab.wait_for(lambda: is_available(site, "jellyfin"), "Jellyfin, which comes back by itself", 180)
    site.lab.wait_for(lambda: workloads(site, ready=True) == wanted, f"every workload after night {night}", 180)


def test_no_alert_has_fired_while_hosts_slept_and_woke(site: Site) -> None:
    assert prometheus.labels(site, 'max_over_time(ALERTS{alertstate="firing"}[6h])') == []


def is_available(site: Site, name: str) -> bool:
    return site.objects("deployments", "-n", name)[0]["status"].get("availableReplicas") == 1


def workloads(site: Site, ready: bool = False) -> dict[str, int]:
    """How many Pods everything that has Pods is to have, or how many of them are ready."""
    found = {}
    for one in site.objects("deployments,statefulsets,daemonsets", "--all-namespaces"):
        status, is_daemon_set = one["status"], one["kind"] == "DaemonSet"
        wanted = status["desiredNumberScheduled"] if is_daemon_set else one["spec"]["replicas"]
        count = status.get("numberReady" if is_daemon_set else "readyReplicas", 0) if ready else wanted
        found[f"{one['kind']} {one['metadata']['namespace']}/{one['metadata']['name']}"] = count
    return found


def test_a_pod_without_a_controller_keeps_its_host_awake(site: Site) -> None:
    pods.start(site, ["homelab"])
    try:
        run = site.play("playbooks/sleep.yml", "-e", '{"sleep_hosts": ["homelab"]}')
        assert run.status == 2
        assert any("a drain deletes it for good" in failure for failure in run.failed)
        assert site.hosts["homelab"].is_up()
    finally:
        pods.remove(site)


def test_a_worker_is_updated_and_rebooted_and_a_second_run_changes_nothing(site: Site) -> None:
    host, limited = site.hosts["storagenodet3500"], ("--limit", "storagenodet3500", "-e", "confirm=vmstation")
    wanted, older, newer = workloads(site), Package("linux-image-lab", "8"), Package("linux-image-lab", "9")
    install(host, older)
    offer(host, newer)
    run = site.play("playbooks/patch.yml", *limited)
    assert run.status == 0, run.failed
    assert {"storagenodet3500: Update the packages", "storagenodet3500: Reboot the host"} <= set(run.changed)
    assert versions(host, newer) == {"linux-image-lab": "9"}
    assert [node["metadata"]["name"] for node in site.objects("nodes") if node["spec"].get("unschedulable")] == []
    again = site.play("playbooks/patch.yml", *limited)
    assert (again.status, again.changed) == (0, []), again.failed
    take_back(host, newer)
    site.lab.wait_for(lambda: workloads(site, ready=True) == wanted, "every workload after the reboot", 180)


@dataclass(frozen=True)
class Damage:
    """What is done to the site, and how check.yml names it: in which group, and with which words in the subject."""

    do: Callable[[Site], object]
    group: str
    subject: str


def silence(site: Site, host: str, *argv: str) -> None:
    """Run what ends its kubelet; back when the API server has missed it."""
    site.hosts[host].run(argv, timeout=120)
    site.lab.wait_for(lambda: host not in site.ready_nodes(), f"the API server to miss {host}", 120)


COREFILE = '{"data": {"Corefile": ".:53 {\\n    errors\\n}\\n"}}'
DAMAGES = {
    "a deleted DaemonSet": Damage(
        lambda site: site.kubectl("delete", "daemonset", "-n", "kube-system", "calico-node"), "calico", "DaemonSet calico-node"
    ),
    "an edited Corefile": Damage(
        lambda site: site.kubectl("patch", "configmap", "-n", "kube-system", "coredns", "--type=merge", "-p", COREFILE), "dns", "coredns"
    ),
    "a closed port": Damage(
        lambda site: site.hosts["homelab"].run(["firewall-cmd", "--zone=public", "--remove-service=vmstation-worker"]),
        "firewall",
        "homelab",
    ),
    "a deleted node": Damage(lambda site: site.kubectl("delete", "node", "homelab"), "nodes", "homelab"),
    "a worker that was reset": Damage(
        lambda site: silence(site, "storagenodet3500", "kubeadm", "reset", "-f"), "nodes", "storagenodet3500"
    ),
}
# one run repairs all in the gate, whose time is short
REPAIRED_TOGETHER = rounds([list(DAMAGES)], [[damage] for damage in DAMAGES])


def named_by_the_check(site: Site, damage: Damage) -> None:
    run, report = site.check("-e", f"check_only={damage.group}")
    assert run.status == 2
    told = [line for line in report["lines"] if line["mark"] == "error" and damage.subject in line["subject"] and line["fix"]]
    assert told, report["lines"]


@pytest.mark.parametrize("damages", REPAIRED_TOGETHER, ids=", ".join)
def test_the_check_names_each_damage_and_the_next_run_wakes_who_sleeps_and_repairs_all(site: Site, damages: list[str]) -> None:
    for damage in damages:
        DAMAGES[damage].do(site)
        named_by_the_check(site, DAMAGES[damage])
    # and one that is damaged sleeps
    site.hosts["storagenodet3500"].stop()
    run = site.play()
    assert run.status == 0, run.failed
    assert run.result("Wake sleeping hosts")["masternode"]["changed"]
    say(f"after {', '.join(damages)}: {'; '.join(run.changed)}")
    assert len(run.changed) >= len(damages)
    assert site.ready_nodes() == NODES
    if len(REPAIRED_TOGETHER) > 1:
        again = site.play()
        assert (again.status, again.changed) == (0, []), again.failed


@pytest.mark.endurance  # one host alone, and its role: tests/integration/test_worker_role.py
def test_a_worker_that_is_cut_off_fails_alone_and_converges_later(site: Site) -> None:
    stopped = Damage(lambda site: silence(site, "homelab", "systemctl", "disable", "--now", "kubelet"), "nodes", "homelab")
    stopped.do(site)
    named_by_the_check(site, stopped)
    cut = site.hosts["homelab"]
    cut.run(["iptables", "-I", "OUTPUT", "-p", "tcp", "-d", "192.168.4.63", "--dport", "6443", "-j", "DROP"])
    try:
        run = site.play("site.yml", "-e", '{"worker_ready_timeout": 60, "worker_join_timeout": 60}')
        assert run.status != 0
        assert {entry.partition(":")[0] for entry in run.failed} == {"homelab"}
    finally:
        cut.run(["iptables", "-D", "OUTPUT", "-p", "tcp", "-d", "192.168.4.63", "--dport", "6443", "-j", "DROP"])
    run = site.play()
    assert run.status == 0, run.failed
    assert site.ready_nodes() == NODES


def test_a_worker_leaves_without_a_trace_and_joins_again(site: Site) -> None:
    host, named = site.hosts["homelab"], ("-e", "worker=homelab", "-e", "confirm=homelab")
    refused = site.play("playbooks/remove_worker.yml", "-e", "worker=masternode", "-e", "confirm=masternode")
    assert refused.status == 2
    assert all("required: a host of the group workers" in failure for failure in refused.failed), refused.failed
    assert sum(leftovers(host)) > 0
    assert of_calico(site, "homelab")
    run = site.play("playbooks/remove_worker.yml", *named)
    assert run.status == 0, run.failed
    assert sorted(node["metadata"]["name"] for node in site.objects("nodes")) == ["masternode", "storagenodet3500"]
    assert sum(leftovers(host)) == 0, leftovers(host)
    assert "vmstation" not in host.run(["firewall-cmd", "--zone=public", "--list-services"]).stdout
    assert FIREWALL_IS_SHUT["homelab"][1] in host.run(FIREWALL_IS_SHUT["homelab"][0]).stdout
    assert of_calico(site, "homelab") == []
    again = site.play("playbooks/remove_worker.yml", *named)
    assert (again.status, again.changed) == (0, []), again.failed
    run = site.play()
    assert run.status == 0, run.failed
    assert site.ready_nodes() == NODES


@pytest.mark.endurance
def test_a_worker_that_died_leaves_its_pods_to_others_and_may_come_back(site: Site) -> None:
    site.kubectl("cordon", "storagenodet3500")
    site.kubectl("create", "deployment", "movable", f"--image={BUSYBOX}", "--", "httpd", "-f", "-h", "/tmp")
    try:
        site.kubectl("wait", "--for=condition=Available", "deployment", "movable", "--timeout=60s", timeout=70)
        site.kubectl("uncordon", "storagenodet3500")
        assert any(name.startswith("movable-") for name in pods_of(site, "homelab"))
        site.hosts["homelab"].lose_power()
        site.lab.wait_for(lambda: "homelab" not in site.ready_nodes(), "the node homelab NotReady", 120)
        named = ("-e", "worker=homelab", "-e", "confirm=homelab", "-e", "worker_is_gone=true")
        run = site.play("playbooks/remove_worker.yml", *named)
        assert run.status == 0, run.failed
        assert of_calico(site, "homelab") == []
        site.kubectl("wait", "--for=condition=Available", "deployment", "movable", "--timeout=60s", timeout=70)
        assert any(name.startswith("movable-") for name in pods_of(site, "storagenodet3500"))
        again = site.play("playbooks/remove_worker.yml", *named)
        assert (again.status, again.changed) == (0, []), again.failed
    finally:
        site.kubectl("uncordon", "storagenodet3500")
        site.kubectl("delete", "deployment", "movable")
    run = site.play()
    assert run.status == 0, run.failed
    assert site.ready_nodes() == NODES


def pods_of(site: Site, node: str) -> list[str]:
    return [pod["metadata"]["name"] for pod in site.objects("pods", "--all-namespaces", f"--field-selector=spec.nodeName={node}")]


def of_calico(site: Site, node: str) -> list[str]:
    """What Calico keeps for a node, told by any mention of it; and handles of addresses in blocks that are no more."""
    kinds = ["blockaffinities", "ipamblocks", "ipamhandles", "caliconodestatuses"]
    held = {kind: site.objects(f"{kind}.crd.projectcalico.org") for kind in kinds}
    blocks = {block["spec"]["cidr"] for block in held["ipamblocks"]}
    orphans = [handle for handle in held["ipamhandles"] if not blocks.issuperset(handle["spec"].get("block") or {})]
    found = [one for objects in held.values() for one in objects if node in json.dumps({**one, "metadata": one["metadata"]["name"]})]
    return [one["metadata"]["name"] for one in [*found, *orphans]]


@pytest.mark.endurance  # one host alone: tests/integration/test_backup_restore.py
def test_a_wiped_control_plane_comes_back_and_no_worker_joins_anew(site: Site, tmp_path: Path) -> None:
    kept = ("-e", f"backup_directory={tmp_path}")
    site.kubectl("create", "configmap", "kept", "--from-literal=a=b")
    backup = site.play("playbooks/backup.yml", *kept)
    assert backup.status == 0, backup.failed
    assert len(list(tmp_path.glob("vmstation-*.jellyfin.tar.gz"))) == 1
    objects, credentials = identities(site), worker_credentials(site)
    host = site.hosts["masternode"]
    host.run(["kubeadm", "reset", "--force"], timeout=300)
    host.run(["rm", "-rf", "/etc/kubernetes", "/var/lib/etcd"])
    # but what the firewall loads at boot
    host.run(["find", "/etc/vmstation", "-mindepth", "1", "!", "-name", "guard-*", "-delete"])
    restore = site.play("playbooks/restore.yml", *kept, "-e", "confirm=vmstation")
    assert restore.status == 0, restore.failed
    assert identities(site) == objects
    assert (site.ready_nodes(), worker_credentials(site)) == (NODES, credentials)
    again = site.play()
    assert (again.status, again.changed) == (0, []), again.failed


def identities(site: Site) -> dict[str, str]:
    """What was made once and must not be made anew."""
    kinds = "namespaces,nodes,configmaps,secrets,services,serviceaccounts,deployments,daemonsets,persistentvolumes"
    found = site.objects(kinds, "--all-namespaces")
    return {f"{one['kind']} {one['metadata'].get('namespace')}/{one['metadata']['name']}": one["metadata"]["uid"] for one in found}


def worker_credentials(site: Site) -> str:
    """What a worker got by joining, and would get anew."""
    joined = ["/etc/kubernetes/kubelet.conf", "/etc/kubernetes/pki/ca.crt", "/var/lib/kubelet/pki/kubelet-client-current.pem"]
    return "".join(site.hosts[name].run(["sha256sum", *joined]).stdout for name in ("homelab", "storagenodet3500"))


@pytest.mark.parametrize("cycle", range(1, CYCLES + 1))
def test_reset_and_site_again(site: Site, cycle: int) -> None:
    confirmed = ("playbooks/reset.yml", "-e", "confirm=vmstation")
    if cycle == 1:
        # of a dozen tasks before anything is removed and a dozen on each host
        killed, cut = site.play_and_kill(random.randint(12, 30), *confirmed), random.choice(NODES)
        say(f"reset killed at `{killed}`, and the power of {cut} cut")
        site.lose_power(cut)
    before = time.time_ns()
    reset = site.play(*confirmed)
    assert reset.status == 0, reset.failed
    for name, host in site.hosts.items():
        assert bare_host.differences(site.bare[name], bare_host.look(host)) == [], name
    assert "/var/lib/vmstation/monitoring/prometheus" in bare_host.stored(bare_host.look(site.hosts["masternode"]))
    assert "/var/lib/vmstation/jellyfin/config" in bare_host.stored(bare_host.look(site.hosts["storagenodet3500"]))
    run = site.play("site.yml", *(() if cycle <= LAST_WITH_WORKLOADS else WITHOUT_WORKLOADS))
    assert run.status == 0, run.failed
    assert site.ready_nodes() == NODES
    if cycle <= LAST_WITH_WORKLOADS:
        assert loki.oldest_line(site) < before
    pods.start(site, NODES)
    try:
        for node in NODES:
            answer = site.in_pod(pods.pod_name(node), ["nslookup", "kubernetes.default.svc.cluster.local"])
            assert "10.96.0.1" in answer.stdout
    finally:
        pods.remove(site)


def test_a_reset_takes_what_applications_store_only_where_that_is_asked_for(site: Site) -> None:
    # this one is not killed, and comes after a reset; the one before it has kept what applications store
    reset = site.play("playbooks/reset.yml", "-e", "confirm=vmstation", "-e", "reset_data=true")
    assert reset.status == 0, reset.failed
    for name, host in site.hosts.items():
        assert bare_host.differences(site.bare[name], bare_host.look(host)) == [], name
    assert [path for host in site.hosts.values() for path in bare_host.stored(bare_host.look(host))] == []
