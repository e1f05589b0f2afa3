# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of the idle watch: who uses a worker, and whether it may sleep or must be woken."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable, Optional

from .._cluster.nodes import judge_all
from .._host.commands import Commands, Completed
from .._json import read_json
from .._programs import ssh_to
from .._refusal import Refusal
from .._sleep.judge import Sight, SleepRequest, judge, why_not
from .._sleep.judge import look as look_at_pods
from .._waiting import Clock
from .._wake.wake import FIRST_PROBE, Lan, Request, Target, failure_message, wake
from . import guard
from .guard import CORDONED_BY, KEY, KNOWN_HOSTS, KUBECONFIG, KUBECTL_CACHE, STATE, TABLE, US, Configuration, Question, Status, read_status

Object = Mapping[str, Any]

# before dstnat, -100, where kube-proxy translates or rejects, and after connection tracking, -200
PRIORITY = -110
# by which an EndpointSlice names its Service
OF_SERVICE = "kubernetes.io/service-name"
# of the taints that the cluster gives a node by itself, as it does one that is cordoned, or silent
OF_THE_CLUSTER = "node.kubernetes.io/"


@dataclass(frozen=True)
class Wanted:
    """A Service's NodePort, and the worker that would answer it."""

    service: str
    protocol: str
    port: int
    worker: str

    @property
    def counter(self) -> str:
        return f"{self.protocol}_{self.port}"

    def __str__(self) -> str:
        return f"Service {self.service}, port {self.port}/{self.protocol}"


def wanted(services: Iterable[Object], slices: Iterable[Object], seen: Sight, asleep: Sequence[str]) -> dict[str, Wanted]:
    """By counter: the NodePorts of Services without an answering Pod, and that a Pod on one of ``asleep`` would."""
    answered = {_service_of(one) for one in slices if any(_is_ready(endpoint) for endpoint in one.get("endpoints") or ())}
    found = {}
    for service in services:
        spec, key = service["spec"], (service["metadata"]["namespace"], service["metadata"]["name"])
        selector = spec.get("selector") or {}
        ports = [port for port in spec.get("ports") or () if port.get("nodePort") and port.get("protocol", "TCP") in ("TCP", "UDP")]
        if key in answered or not selector or not ports:
            continue
        worker = next(
            (name for name in asleep if any(_selects(selector, key[0], pod) and _takes(name, pod, seen) for pod in seen.pods)), ""
        )
        for port in ports if worker else ():
            one = Wanted("/".join(key), port.get("protocol", "TCP").lower(), port["nodePort"], worker)
            found[one.counter] = one
    return found


def counted(commands: Commands) -> dict[str, int]:
    """The packets of each counter since the last call; empty without our table."""
    answer = commands.run(["nft", "-j", "reset", "counters", "table", "inet", TABLE], check=False)
    if answer.status != 0:
        return {}
    listed = [one["counter"] for one in read_json(answer.stdout)["nftables"] if "counter" in one]
    return {one["name"]: int(one["packets"]) for one in listed}


def keep(commands: Commands, counters: Mapping[str, Wanted], existing: Iterable[str]) -> None:
    """Count for these only; without any, the table is removed. existing: the counters that are there."""
    if set(counters) == set(existing):
        return
    # the first line is for the second, which fails without a table
    rules = f"add table inet {TABLE}\ndelete table inet {TABLE}\n{table(counters) if counters else ''}"
    commands.run(["nft", "-f", "-"], stdin=rules)


def table(counters: Mapping[str, Wanted]) -> str:
    lines = [f"table inet {TABLE} {{"]
    lines += [f"  counter {name} {{ }}" for name in sorted(counters)]
    lines += ["  chain prerouting {", f"    type filter hook prerouting priority {PRIORITY}; policy accept;"]
    lines += [f"    {one.protocol} dport {one.port} ct state new counter name {name}" for name, one in sorted(counters.items())]
    return "\n".join([*lines, "  }", "}"]) + "\n"


def _service_of(one: Object) -> tuple[str, str]:
    return one["metadata"]["namespace"], (one["metadata"].get("labels") or {}).get(OF_SERVICE, "")


def _is_ready(endpoint: Object) -> bool:
    # absent means ready: discovery.k8s.io/v1, EndpointConditions
    return (endpoint.get("conditions") or {}).get("ready") is not False


def _selects(selector: Mapping[str, str], namespace: str, pod: Object) -> bool:
    labels = pod["metadata"].get("labels") or {}
    return pod["metadata"]["namespace"] == namespace and all(labels.get(key) == value for key, value in selector.items())


def _takes(name: str, pod: Object, seen: Sight) -> bool:
    """Whether the Pod is on this node, or is pending and could run on it as soon as it is awake."""
    bound = pod["spec"].get("nodeName")
    if bound or name not in seen.nodes:
        return bool(bound == name)
    node = seen.nodes[name]
    taints = [one for one in (node["spec"].get("taints") or ()) if not one["key"].startswith(OF_THE_CLUSTER)]
    return not why_not(pod, {**node, "spec": {**node["spec"], "taints": taints}}, seen)


# What the watch needs of the control plane, so that a test can give its own.


@dataclass(frozen=True)
class World:
    """lan: the network that reaches a request's broadcast address. now: seconds since the epoch. say: writes a line to the journal.

    write: replaces files whole.
    """

    commands: Commands
    lan: Callable[[Request], Lan]
    clock: Clock
    now: Callable[[], float]
    say: Callable[[str], None]
    read_text: Callable[[str], Optional[str]]
    write: Callable[[Mapping[str, Optional[str]]], None]


# The cluster, read and written with the control plane's own kubectl.

JsonObject = dict[str, Any]

SECONDS = 30.0  # for one answer
LONGER = 15.0  # kubectl ends by itself when its own time is over


class Kubectl:
    """As much of a ClusterReader as a look at Pods and nodes takes, and what lets a node rest."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def items(
        self, api_version: str, kind: str, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> Iterator[JsonObject]:
        group, _slash, version = api_version.rpartition("/")
        where = [f"--namespace={namespace}"] if namespace else ["--all-namespaces"]
        selectors = [f"--selector={label_selector}"] if label_selector else []
        selectors += [f"--field-selector={field_selector}"] if field_selector else []
        answer = self._run("get", f"{kind}.{version}.{group}", *where, *selectors, "--output=json").stdout
        yield from read_json(answer)["items"]

    def cordon(self, node: str) -> None:
        """Let the node take no Pods, and note that it was us."""
        self._patch(node, US, True)

    def uncordon(self, node: str) -> None:
        self._patch(node, None, None)

    def drain(self, node: str, timeout: int) -> None:
        """As playbooks/tasks/drain.yml does. timeout: seconds."""
        options = ["--ignore-daemonsets", "--delete-emptydir-data", "--force", f"--timeout={timeout}s"]
        self._run("drain", node, *options, seconds=timeout)

    def wait_ready(self, node: str, timeout: int) -> None:
        self._run("wait", "--for=condition=Ready", f"node/{node}", f"--timeout={timeout}s", seconds=timeout)

    def _patch(self, node: str, by: object, unschedulable: object) -> None:
        patch = {"metadata": {"annotations": {CORDONED_BY: by}}, "spec": {"unschedulable": unschedulable}}
        self._run("patch", "node", node, "--type=merge", f"--patch={json.dumps(patch)}")

    def _run(self, verb: str, *arguments: str, seconds: float = SECONDS) -> Completed:
        return self._commands.run(
            ["kubectl", f"--kubeconfig={KUBECONFIG}", f"--cache-dir={KUBECTL_CACHE}", verb, *arguments], timeout=seconds + LONGER
        )


# Who is there: on the control plane, as its own tools report, and on a worker, as its guard reports.

# seconds
ANSWER = 30.0


def of_the_control_plane(commands: Commands) -> list[str]:
    """Every playbook of ours has a connection to it, as has an administrator of the cluster."""
    peers = guard.ssh_peers(commands.run(["ss", "-Htnp", "state", "established"]).stdout)
    sessions = guard.local_sessions(commands.run(["who"]).stdout)
    return [
        *(f"the control plane has an SSH connection from {host}" for host in sorted({host for host, _port in peers})),
        *(f"the control plane has a login session: {one}" for one in sessions),
    ]


def ask_visitors(commands: Commands, worker: Target, word: str, question: Question) -> Mapping[str, Any]:
    """What the guard answers to ``status`` or ``sleep``. What it rejects, and a host that does not answer, is a Refusal."""
    argv = ssh_to(worker.name, worker.address, worker.port, word, key=KEY, known=KNOWN_HOSTS)
    done = commands.run(argv, stdin=question.as_text(), timeout=ANSWER, check=False)
    if done.status != 0:
        found = " ".join((done.stderr or done.stdout).split()) or f"exit status {done.status}"
        raise Refusal(f"guard of {worker.name}", found, "an answer", "Run site.yml, which installs the guard again.")
    try:
        answer = read_json(done.stdout)
    except ValueError:
        raise Refusal(f"guard of {worker.name}", repr(done.stdout[:200]), "JSON", "Run site.yml, which installs the guard again.") from None
    if not isinstance(answer, dict):
        raise Refusal(f"guard of {worker.name}", repr(done.stdout[:200]), "an object", "Run site.yml, which installs the guard again.")
    return answer


# What keeps a worker awake. A reason contains no changing figure, so that what stays the same is reported once.


def is_ours(node: Optional[Object]) -> bool:
    """Whether we have cordoned the node."""
    return ((node or {}).get("metadata", {}).get("annotations") or {}).get(CORDONED_BY) == US


def is_ready(name: str, nodes: Mapping[str, Object]) -> bool:
    return judge_all(nodes.values(), [name], ())[0].ready


def of_the_node(name: str, nodes: Mapping[str, Object], pods: Sequence[Object]) -> Iterator[str]:
    """What of the cluster speaks against it at any time."""
    verdict = judge_all(nodes.values(), [name], ())[0]
    if not verdict.ready:
        yield f"its node: {verdict.reason}"
    elif not verdict.schedulable:
        yield "its node is cordoned, and not by us"
    for pod in pods:
        spec, metadata = pod["spec"], pod["metadata"]
        kind = next((owner["kind"] for owner in metadata.get("ownerReferences") or () if owner.get("controller")), "")
        called = f"Pod {metadata['namespace']}/{metadata['name']}"
        if spec.get("nodeName") != name:
            continue
        if kind == "Job":
            yield f"{called} is of a Job"
        elif spec.get("hostNetwork") and kind not in ("DaemonSet", "Node"):
            yield f"{called} has the host's network, so that its clients look like others"


def of_the_host(status: Status, configuration: Configuration) -> Iterator[str]:
    """What the host itself reports."""
    if status.uptime < configuration.quiet:
        yield f"up for less than {configuration.minutes:g} minutes"
    if status.load > configuration.load:
        yield f"load above {configuration.load:g}"
    yield from status.users


def of_the_pods(name: str, seen: Sight, configuration: Configuration) -> list[str]:
    """What would have nowhere to go."""
    return [f"{one.subject}: {one.found}" for one in judge(SleepRequest((name,), configuration.may_stop), seen)]


def sleep_question(nodes: Mapping[str, Object], pods: Iterable[Object], configuration: Configuration) -> Question:
    """What a guard needs to know of the cluster. A Pod with the host's network has the host's address, and is none of those that ask."""
    asking = [pod for pod in pods if pod["metadata"]["namespace"] in configuration.asking_namespaces and not pod["spec"].get("hostNetwork")]
    return Question(
        configuration.quiet,
        frozenset(one["ip"] for pod in asking for one in (pod.get("status") or {}).get("podIPs") or ()),
        frozenset(
            one["address"]
            for node in nodes.values()
            for one in (node.get("status") or {}).get("addresses") or ()
            if one["type"] == "InternalIP"
        ),
    )


# A worker put to sleep, and woken. Each wait is bounded; whatever fails, the node takes Pods again, or the next look lets it.

PAUSE = 2.0  # seconds from one probe of a host that goes down to the next


def put_to_sleep(world: World, configuration: Configuration, worker: Target, question: Question) -> bool:
    """Whether it sleeps. question: what the guard needs to know of the cluster."""
    kubectl, name = Kubectl(world.commands), worker.name
    world.say(f"{name} is put to sleep: no client has used it for {configuration.minutes:g} minutes")
    try:
        kubectl.cordon(name)
        kubectl.drain(name, configuration.timeout)
        _refuse(name, of_the_control_plane(world.commands))
        answer = ask_visitors(world.commands, worker, "sleep", question)
        if not answer.get("told"):
            _refuse(name, read_status(answer).users or ["its guard did not confirm the command to sleep"])
        _wait_until_down(world, configuration, worker)
    except Refusal as refusal:
        world.say(f"{name} stays awake, as that failed: {refusal}")
        let_take_pods(world, name)
        return False
    world.say(f"{name} sleeps")
    return True


def let_take_pods(world: World, name: str) -> None:
    try:
        Kubectl(world.commands).uncordon(name)
        world.say(f"{name} takes Pods again")
    except Refusal as refusal:
        world.say(f"{name} is still cordoned, which the next look tries to end: {refusal}")


def wake_up(world: World, configuration: Configuration, worker: Target, why: str) -> None:
    """Magic packets until it is up, then until its node is ready."""
    world.say(f"{worker.name} is woken: {why}")
    request = configuration.request(worker)
    try:
        outcome = wake(request, world.lan(request), world.clock, predict_only=False)
        if outcome.missing:
            world.say(f"{worker.name} did not wake: {' '.join(failure_message(outcome).split())}")
            return
        Kubectl(world.commands).wait_ready(worker.name, configuration.timeout)
    except Refusal as refusal:
        world.say(f"{worker.name} did not wake: {refusal}")
        return
    let_take_pods(world, worker.name)


def _refuse(name: str, users: list[str]) -> None:
    if users:
        raise Refusal(f"host {name}", "; ".join(users), "no use of the worker", "It will be retried when the worker is idle again.")


def _wait_until_down(world: World, configuration: Configuration, worker: Target) -> None:
    request = configuration.request(worker)
    lan, until = world.lan(request), world.clock.now() + configuration.timeout
    while lan.probe([worker], FIRST_PROBE)[worker.name].answer != "silent":
        if world.clock.now() >= until:
            found = f"it answers still, {configuration.timeout} s after it was asked to sleep"
            raise Refusal(f"host {worker.name}", found, "to be down", f"See `journalctl -b` on {worker.name}.")
        world.clock.sleep(PAUSE)


# One run of the watch, at most a minute unless a worker is put to sleep or woken.

MINUTE = 50.0  # seconds that a run asks for demand; the timer starts the next one at the minute
EVERY = 5.0
GAP = 180.0  # seconds without a look after which it is not known whether a worker was idle meanwhile


@dataclass
class Memory:
    """Kept from one run to the next. looked: the time of the last one. quiet: since when a worker is unused. said: why it stays awake.

    Times are seconds since the epoch.
    """

    looked: float = 0.0
    quiet: dict[str, float] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)

    def forget_gaps(self, now: float) -> None:
        if not 0 <= now - self.looked <= GAP:
            self.quiet.clear()

    def keep(self, names: Iterable[str]) -> None:
        """Of these workers, and no other."""
        kept = set(names)
        self.quiet = {name: since for name, since in self.quiet.items() if name in kept}
        self.said = {name: why for name, why in self.said.items() if name in kept}


def run(world: World, configuration: Configuration) -> None:
    """One check; then, while a worker that we suspended is asleep, listen for clients of its Services."""
    until = world.clock.now() + MINUTE
    counters = _look(world, configuration)
    while counters and world.clock.now() + EVERY < until:
        world.clock.sleep(EVERY)
        if _serve(world, configuration, counters, counted(world.commands)):
            counters = _look(world, configuration)


def _look(world: World, configuration: Configuration) -> dict[str, Wanted]:
    """What is counted until the next look."""
    memory = _remember(world)
    memory.forget_gaps(world.now())
    kubectl = Kubectl(world.commands)
    nodes = {str(one["metadata"]["name"]): one for one in kubectl.items("v1", "Node")}
    request = configuration.request(*configuration.workers)
    heard = world.lan(request).probe(request.targets, FIRST_PROBE)
    up = [worker for worker in configuration.workers if heard[worker.name].answer != "silent"]
    ours = [worker for worker in configuration.workers if is_ours(nodes.get(worker.name))]
    for worker in ours:
        # another program has woken it, or a run of ours was killed
        if worker in up and is_ready(worker.name, nodes):
            let_take_pods(world, worker.name)
    asleep = [worker for worker in ours if worker not in up]
    awake = [worker for worker in up if worker not in ours]
    memory.keep(worker.name for worker in awake)
    counters = _listen(world, configuration, kubectl, asleep)
    _judge(world, configuration, memory, nodes, awake)
    memory.looked = world.now()
    world.write({STATE: json.dumps(memory.__dict__, indent=1) + "\n"})
    return counters


def _listen(world: World, configuration: Configuration, kubectl: Kubectl, asleep: list[Target]) -> dict[str, Wanted]:
    """Wake who was asked for since the last look, and count for those who sleep on."""
    standing = counted(world.commands)
    counters: dict[str, Wanted] = {}
    if asleep:
        services, slices = kubectl.items("v1", "Service"), kubectl.items("discovery.k8s.io/v1", "EndpointSlice")
        counters = wanted(services, slices, look_at_pods(kubectl), [worker.name for worker in asleep])
    woken = _serve(world, configuration, counters, standing)
    counters = {name: one for name, one in counters.items() if one.worker not in woken}
    keep(world.commands, counters, standing)
    return counters


def _serve(world: World, configuration: Configuration, counters: Mapping[str, Wanted], packets: Mapping[str, int]) -> set[str]:
    """The names of those who were woken, or should have been."""
    asked = {one.worker: one for name, one in counters.items() if packets.get(name)}
    for worker in configuration.workers:
        if worker.name in asked:
            wake_up(world, configuration, worker, f"a client connects to {asked[worker.name]}")
    return set(asked)


def _judge(world: World, configuration: Configuration, memory: Memory, nodes: Mapping[str, Object], awake: list[Target]) -> None:
    """Suspend the first that was unused for long enough, and report what keeps the others awake."""
    kubectl = Kubectl(world.commands)
    pods = list(kubectl.items("v1", "Pod", field_selector="status.phase!=Succeeded,status.phase!=Failed"))
    question = sleep_question(nodes, pods, configuration)
    administrators = of_the_control_plane(world.commands)
    put = False
    for worker in awake:
        reasons = [*administrators, *of_the_node(worker.name, nodes, pods)]
        if not reasons:
            try:
                answer = ask_visitors(world.commands, worker, "status", question)
                reasons += of_the_host(read_status(answer), configuration)
            except (Refusal, KeyError, TypeError, ValueError) as error:
                reasons.append(f"it is not known who uses it: {error}")
        since = memory.quiet.setdefault(worker.name, world.now())
        if reasons:
            del memory.quiet[worker.name]
        elif put or world.now() - since < configuration.quiet:
            reasons = ["it is idle, and not yet for long enough"]
        else:
            reasons = of_the_pods(worker.name, look_at_pods(kubectl), configuration)
        if reasons:
            _say(world, memory, worker.name, "; ".join(reasons))
            continue
        # one at a time, so that each finds the Pods of the one before where they have gone
        put = True
        memory.said.pop(worker.name, None)
        del memory.quiet[worker.name]
        put_to_sleep(world, configuration, worker, question)


def _say(world: World, memory: Memory, name: str, why: str) -> None:
    if memory.said.get(name) != why:
        world.say(f"{name} stays awake: {why}")
        memory.said[name] = why


def _remember(world: World) -> Memory:
    try:
        return Memory(**read_json(world.read_text(STATE) or "{}"))
    except (ValueError, TypeError):
        # an unreadable file counts as missing
        return Memory()
