# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in a lab, for a person: one line for each host, read from the hosts themselves and from the cluster that they are."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.lab.hosts import Host
from tests.lab.lab import Lab
from tests.lab.say import LabError, say

# one line for each thing that the role `node` brings and that is not there
UNPREPARED = """
systemctl is-active -q containerd || echo 'containerd not running'
[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ] || echo 'ip_forward off'
"""
SETS = ("control-plane", "worker")  # the sets of ports that the role opens, by a host's role
HEADER = ("host", "address", "power", "kubernetes", "firewall", "prepared", "ports")


def show(lab: Lab) -> None:
    """Print the table of a lab's hosts, and the pods that are not well."""
    hosts = [lab.host(spec.name) for spec in lab.specs()]
    if not hosts:
        say(f"lab {lab.name}: no hosts")
        return
    up = [host for host in hosts if host.is_up()]
    opened = _opened(lab, up)
    nodes, pods, trouble = _read_cluster(lab)
    states = {host.name: node_state(nodes, host.name, host in up) for host in hosts}
    rows = [
        HEADER,
        *(_row(host, states[host.name], opened[host.name]) if host in up else _asleep(host, states[host.name]) for host in hosts),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    print()
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(flush=True)
    for line in [*trouble, *ailing(pods, asleep=[name for name, state in states.items() if state == "asleep"])]:
        say(line)


def not_ready(lab: Lab) -> list[str]:
    """What a run of site.yml may be waiting for: a line for each pod that is not ready."""
    try:
        asleep = [spec.name for spec in lab.specs() if not lab.host(spec.name).is_up()]
        _nodes, pods, trouble = _read_cluster(lab)
    except (LabError, OSError, ValueError, subprocess.SubprocessError) as error:
        return [f"the cluster does not answer: {error}"]
    return [*trouble, *ailing(pods, asleep)]


def node_state(nodes: Sequence[Mapping[str, Any]], name: str, is_up: bool) -> str:
    """What the cluster says of a host: Ready, NotReady, asleep, or - when it is no node."""
    for node in nodes:
        if node["metadata"]["name"] == name:
            conditions = {condition["type"]: condition["status"] for condition in node["status"].get("conditions", [])}
            # a node that has just been switched off is Ready for another 40 seconds
            return ("Ready" if conditions.get("Ready") == "True" else "NotReady") if is_up else "asleep"
    return "-"


def ailing(pods: Sequence[Mapping[str, Any]], asleep: Sequence[str]) -> Iterator[str]:
    """A line for each pod that does not do its work, but for those of hosts that sleep."""
    for pod in pods:
        spec, status = pod["spec"], pod["status"]
        if status.get("phase") == "Succeeded" or spec.get("nodeName") in asleep:
            continue
        conditions = {condition["type"]: condition for condition in status.get("conditions", [])}
        if conditions.get("Ready", {}).get("status") == "True":
            continue
        containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
        waiting = [container["state"]["waiting"]["reason"] for container in containers if "waiting" in container.get("state", {})]
        unscheduled = conditions.get("PodScheduled", {})
        why = unscheduled.get("message", "") if unscheduled.get("status") == "False" else ", ".join(dict.fromkeys(waiting))
        place = spec.get("nodeName", "no node")
        yield f"pod {pod['metadata']['namespace']}/{pod['metadata']['name']} on {place}: {status.get('phase')}, {why or 'not ready'}"


def _read_cluster(lab: Lab) -> tuple[list[Any], list[Any], list[str]]:
    """Nodes, pods, and why there are none."""
    if not lab.kubeconfig.exists():
        return [], [], []
    process = lab.run([*lab.kubectl(), "--request-timeout=10s", "get", "nodes,pods", "--all-namespaces", "--output=json"], check=False)
    if process.returncode:
        return [], [], [f"the cluster does not answer: {process.stderr.strip().rpartition(chr(10))[2]}"]
    items = json.loads(process.stdout)["items"]
    return [item for item in items if item["kind"] == "Node"], [item for item in items if item["kind"] == "Pod"], []


def _asleep(host: Host, state: str) -> tuple[str, ...]:
    return (host.name, host.address, "asleep", state, host.spec.firewall, "-", "-")


def _row(host: Host, state: str, opened: list[dict[str, object]]) -> tuple[str, ...]:
    missing = host.run(["sh", "-c", UNPREPARED]).stdout.splitlines()
    failures = [str(result["msg"]) for result in opened if "removed" not in result]
    # what is open; to whom, site.yml's verdict says
    ports = [str(port).partition(" from ")[0] for result in opened if "removed" in result for port in result["removed"]]
    if not ports:
        missing.append("no ports opened")
    backends = {str(result["backend"]) for result in opened if "backend" in result}
    return (host.name, host.address, "up", state, ", ".join(backends), ", ".join(missing) or "yes", ", ".join(failures or ports) or "-")


def _opened(lab: Lab, hosts: list[Host]) -> dict[str, list[dict[str, object]]]:
    """What stands of each set on each host: what its removal would close."""
    pattern = ",".join(host.name for host in hosts)
    answers = [lab.module_on(pattern, "firewall_ports", {"name": name, "state": "absent"}, check=True) for name in SETS if hosts]
    return {host.name: [answer[host.name] for answer in answers] for host in hosts}
