# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of the watch, at most a minute unless somebody is put to sleep or woken."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._idle import demand, judge, visitors
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.configuration import Configuration
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.demand import Wanted
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.guard import read_status
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.kubectl import Kubectl
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.places import STATE
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.steps import let_take_pods, put_to_sleep, wake_up
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.world import World
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._sleep.look import look as look_at_pods
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.request import Target
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.wake import FIRST_PROBE

MINUTE = 50.0  # seconds that a run asks for demand; the timer starts the next one at the minute
EVERY = 5.0
GAP = 180.0  # seconds without a look after which nobody can say that a worker was idle meanwhile

Object = Mapping[str, Any]


@dataclass
class Memory:
    """From one look to the next. looked: when that was. quiet: since when nobody has used a worker. said: why it stays awake.

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
    """A look, and then, while somebody sleeps whom we have put to sleep, an ear for those who ask for what runs there."""
    until = world.clock.now() + MINUTE
    counters = _look(world, configuration)
    while counters and world.clock.now() + EVERY < until:
        world.clock.sleep(EVERY)
        if _serve(world, configuration, counters, demand.counted(world.commands)):
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
    ours = [worker for worker in configuration.workers if judge.is_ours(nodes.get(worker.name))]
    for worker in ours:
        # somebody else has woken it, or a run of ours was killed
        if worker in up and judge.is_ready(worker.name, nodes):
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
    standing = demand.counted(world.commands)
    counters: dict[str, Wanted] = {}
    if asleep:
        services, slices = kubectl.items("v1", "Service"), kubectl.items("discovery.k8s.io/v1", "EndpointSlice")
        counters = demand.wanted(services, slices, look_at_pods(kubectl), [worker.name for worker in asleep])
    woken = _serve(world, configuration, counters, standing)
    counters = {name: one for name, one in counters.items() if one.worker not in woken}
    demand.keep(world.commands, counters, standing)
    return counters


def _serve(world: World, configuration: Configuration, counters: Mapping[str, Wanted], packets: Mapping[str, int]) -> set[str]:
    """The names of those who were woken, or should have been."""
    asked = {one.worker: one for name, one in counters.items() if packets.get(name)}
    for worker in configuration.workers:
        if worker.name in asked:
            wake_up(world, configuration, worker, f"somebody asks for {asked[worker.name]}")
    return set(asked)


def _judge(world: World, configuration: Configuration, memory: Memory, nodes: Mapping[str, Object], awake: list[Target]) -> None:
    """Put the first to sleep that nobody has used for long enough, and say of the others what keeps them awake."""
    kubectl = Kubectl(world.commands)
    pods = list(kubectl.items("v1", "Pod", field_selector="status.phase!=Succeeded,status.phase!=Failed"))
    question = judge.question(nodes, pods, configuration)
    administrators = visitors.of_the_control_plane(world.commands)
    put = False
    for worker in awake:
        reasons = [*administrators, *judge.of_the_node(worker.name, nodes, pods)]
        if not reasons:
            try:
                answer = visitors.ask(world.commands, worker, "status", question)
                reasons += judge.of_the_host(read_status(answer), configuration)
            except (Refusal, KeyError, TypeError, ValueError) as error:
                reasons.append(f"nobody can say who uses it: {error}")
        since = memory.quiet.setdefault(worker.name, world.now())
        if reasons:
            del memory.quiet[worker.name]
        elif put or world.now() - since < configuration.quiet:
            reasons = ["it is idle, and not yet for long enough"]
        else:
            reasons = judge.of_the_pods(worker.name, look_at_pods(kubectl), configuration)
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
        return Memory(**json.loads(world.read_text(STATE) or "{}"))
    except (ValueError, TypeError):
        # a file that nobody can read is none
        return Memory()
