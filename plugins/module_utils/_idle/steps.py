# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker put to sleep, and woken. Each wait is bounded; whatever fails, the node takes Pods again, or the next look lets it."""

from __future__ import annotations

from ansible_collections.vmstation.cluster.plugins.module_utils._idle import visitors
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.configuration import Configuration
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.guard import Question, read_status
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.kubectl import Kubectl
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.world import World
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.request import Target
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.wake import FIRST_PROBE, failure_message, wake

PAUSE = 2.0  # seconds from one probe of a host that goes down to the next


def put_to_sleep(world: World, configuration: Configuration, worker: Target, question: Question) -> bool:
    """Whether it sleeps. question: what the guard is told of the cluster."""
    kubectl, name = Kubectl(world.commands), worker.name
    world.say(f"{name} is put to sleep: nobody has used it for {configuration.minutes:g} minutes")
    try:
        kubectl.cordon(name)
        kubectl.drain(name, configuration.timeout)
        _refuse(name, visitors.of_the_control_plane(world.commands))
        answer = visitors.ask(world.commands, worker, "sleep", question)
        if not answer.get("told"):
            _refuse(name, read_status(answer).somebody or ["its guard did not say that it was told to sleep"])
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


def _refuse(name: str, somebody: list[str]) -> None:
    if somebody:
        raise Refusal(
            f"host {name}", "; ".join(somebody), "nobody who uses it", "It is tried again when nobody has used it for long enough."
        )


def _wait_until_down(world: World, configuration: Configuration, worker: Target) -> None:
    request = configuration.request(worker)
    lan, until = world.lan(request), world.clock.now() + configuration.timeout
    while lan.probe([worker], FIRST_PROBE)[worker.name].answer != "silent":
        if world.clock.now() >= until:
            found = f"it answers still, {configuration.timeout} s after it was told to sleep"
            raise Refusal(f"host {worker.name}", found, "to be down", f"See `journalctl -b` on {worker.name}.")
        world.clock.sleep(PAUSE)
