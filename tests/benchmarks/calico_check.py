# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What calico_check costs in a large cluster, as a ratio to fetching the same lists with `kubectl get --raw`.

    .venv/bin/python tests/benchmarks/calico_check.py [NODES...]

For each number of nodes (100 and 1000 unless told otherwise; 5000 fits into 4 GB) a real API server holds a Node, a Pod of calico-node, a
BlockAffinity and a CalicoNodeStatus each; three nodes reflect routes to all others. Every figure is the median of three runs: one process
that reads and judges, against one kubectl for each list. Memory is the largest resident set of any process.
"""

from __future__ import annotations

import copy
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "collections")]

from tests.cluster.build import binary  # noqa: E402 (found by the line above)
from tests.cluster.calico_images import calico_manifest  # noqa: E402
from tests.cluster.calico_objects import PATHS, Placing  # noqa: E402
from tests.cluster.server import Cluster, running  # noqa: E402
from tests.unit.calico.clusters import block, daemon_set, node, pod, pool, status  # noqa: E402
from tests.unit.network_plan.plans import plan  # noqa: E402

REPETITIONS, AT_ONCE, REFLECTORS = 3, 8, 3
FIRST, FIRST_BLOCK = ip_address("10.0.0.1"), ip_address("10.128.0.0")
PLAN = plan(node_cidr="10.0.0.0/16", gateway="10.0.255.254", pod_cidr="10.128.0.0/12", upstream_dns=["10.0.255.254"])
# as calico_check does it, without Ansible
CHECK = """
import json, sys, time
from datetime import datetime, timezone
from ansible_collections.vmstation.cluster.plugins.module_utils._calico import checking, survey, verdict
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.api import KubernetesApi
given = json.load(sys.stdin)
began = time.monotonic()
api = KubernetesApi(given["kubeconfig"])
judged = verdict.judge(checking.request(given), survey.look(api), datetime.now(timezone.utc))
words = [one["verdict"] for one in judged.nodes]
seconds = time.monotonic() - began
print(json.dumps({"calls": api.calls, "ok": words.count("ok"), "findings": [str(one) for one in judged.findings], "seconds": seconds}))
"""


def name_of(number: int) -> str:
    return f"n{number:05}"


def address_of(number: int) -> str:
    return str(FIRST + number)


def objects_of(number: int, template: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    name, address, cidr = name_of(number), address_of(number), str(FIRST_BLOCK + 64 * number)
    one = node(name, address, cidr)
    one["metadata"]["labels"] = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    one["status"]["images"] = [{"names": [f"registry.example/image-{at}:v1.2.{at}"], "sizeBytes": 10**8 + at} for at in range(30)]
    its_pod = pod(name)
    its_pod["spec"] = {**copy.deepcopy(template), "nodeName": name}
    reflectors = [address_of(at) for at in range(REFLECTORS) if at != number]
    return [
        ("Node", one),
        ("Pod", its_pod),
        ("BlockAffinity", block(name, f"{cidr}/26")),
        ("CalicoNodeStatus", status(name, dict.fromkeys(reflectors, "Established"))),
    ]


def pod_template() -> dict[str, Any]:
    """The Pod of upstream's DaemonSet, without the account that is not there."""
    documents = yaml.safe_load_all(calico_manifest().read_text())
    spec = next(one for one in documents if one and one["kind"] == "DaemonSet")["spec"]["template"]["spec"]
    return {key: value for key, value in spec.items() if not key.startswith("serviceAccount")}


def place(placing: Placing, first: int, last: int) -> None:
    template = pod_template()

    def place_one(number: int) -> None:
        for kind, one in objects_of(number, template):
            placing.make(kind, [one])

    with ThreadPoolExecutor(AT_ONCE) as pool_of_threads:
        list(pool_of_threads.map(place_one, range(first, last)))


def spent_by(argv: list[str], given: str = "") -> tuple[float, int, str]:
    """Seconds, the largest resident set in bytes, and what a process has written."""
    reading, writing = os.pipe()
    began = time.monotonic()
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=writing, cwd=CHECKOUT)
    os.close(writing)
    assert process.stdin is not None
    process.stdin.write(given.encode())
    process.stdin.close()
    size, kept = 0, b""
    while piece := os.read(reading, 1 << 20):
        size += len(piece)
        kept = (kept + piece)[-100_000:]
    os.close(reading)
    _pid, ended, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(ended)
    if process.returncode:
        raise SystemExit(f"{argv[0]} ended with status {process.returncode}")
    return time.monotonic() - began, usage.ru_maxrss * 1024, kept.decode(errors="replace")


def check(cluster: Cluster, count: int) -> tuple[float, int, float, int]:
    nodes = [{"name": name_of(number), "address": address_of(number)} for number in range(count)]
    given = json.dumps({"kubeconfig": str(cluster.kubeconfig), "plan": PLAN, "nodes": nodes, "asleep": []})
    seconds, memory, written = spent_by([sys.executable, "-c", CHECK], given)
    said = json.loads(written)
    if said["ok"] != count or said["findings"]:
        raise SystemExit(f"{said['ok']} of {count} nodes are ok: {said['findings'][:3]}")
    return seconds, memory, said["seconds"], said["calls"]


def fetch(cluster: Cluster) -> tuple[float, int]:
    kubectl = [str(binary("kubectl")), f"--kubeconfig={cluster.kubeconfig}", "get", "--raw"]
    lists = [path.replace("/namespaces/kube-system", "") for path in PATHS.values()]
    lists = [f"{path}?labelSelector=k8s-app%3Dcalico-node" if path.endswith("/pods") else path for path in lists]
    spent = [spent_by([*kubectl, path]) for path in lists]
    return sum(seconds for seconds, _memory, _written in spent), max(memory for _seconds, memory, _written in spent)


def main() -> None:
    sizes = sorted(map(int, sys.argv[1:])) or [100, 1000]
    rows = []
    os.environ["PYTHONPATH"] = str(CHECKOUT / "collections")
    with running() as cluster:
        placing = Placing(cluster)
        placing.define()
        # they would take 5000 silent nodes for dead, and evict their Pods
        for program in ("kube-controller-manager", "kube-scheduler"):
            ended = cluster._processes.pop(program)
            ended.kill()
            ended.wait()
        placing.make("DaemonSet", [daemon_set()])
        placing.make("IPPool", [pool(cidr=str(PLAN["pod_cidr"]))])
        placing.make("BGPConfiguration", [{"metadata": {"name": "default"}, "spec": {"nodeToNodeMeshEnabled": False}}])
        placing.make("BGPPeer", [{"metadata": {"name": f"reflector-{at}"}, "spec": {"peerIP": address_of(at)}} for at in range(REFLECTORS)])
        there = 0
        for count in sizes:
            began = time.monotonic()
            place(placing, there, count)
            there = count
            print(f"{count} nodes placed after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
            ours = [check(cluster, count) for _repetition in range(REPETITIONS)]
            theirs = [fetch(cluster) for _repetition in range(REPETITIONS)]
            rows.append((count, _medians(ours), _medians(theirs)))
    report(rows)


def _medians(runs: list[Any]) -> list[float]:
    return [statistics.median(column) for column in zip(*runs)]


def report(rows: list[tuple[int, list[float], list[float]]]) -> None:
    print(f"{'nodes':>6}{'requests':>10}{'check, s':>10}{'its core':>10}{'kubectl':>9}{'ratio':>7}{'MiB':>8}{'kubectl':>9}{'ratio':>7}")
    for count, (seconds, memory, core, calls), (their_seconds, their_memory) in rows:
        mib, their_mib = memory / 2**20, their_memory / 2**20
        print(
            f"{count:6}{calls:10.0f}{seconds:10.2f}{core:10.2f}{their_seconds:9.2f}{seconds / their_seconds:7.2f}"
            f"{mib:8.0f}{their_mib:9.0f}{mib / their_mib:7.2f}"
        )


if __name__ == "__main__":
    main()
