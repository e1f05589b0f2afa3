# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which hosts are updated, what each drain takes down, and what must be solved first. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .._cluster.nodes import findings as findings_about_nodes
from .._cluster.nodes import judge_all
from .._findings import Finding, LookedAt, state_of
from .._refusal import Refusal
from .._sleep import judge as sleep
from .._sleep.judge import Sight, SleepRequest
from .._upgrade.judge import node_of
from .packages import System, a_reboot_ends


@dataclass(frozen=True)
class Packages:
    """What package_updates_info has returned for a host."""

    updates: tuple[str, ...] = ()
    kept_back: tuple[str, ...] = ()
    reboot: str = "not_required"
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Host:
    """A host of the inventory. reboots: whether the playbook reboots hosts. is_controller: whether a reboot ends the playbook."""

    name: str
    is_control_plane: bool
    packages: Packages = Packages()
    reboots: bool = True
    is_controller: bool = False
    is_asleep: bool = False

    @property
    def node(self) -> str:
        return self.name.lower()

    @property
    def may_reboot(self) -> bool:
        return self.reboots and not self.is_controller

    @property
    def has_work(self) -> bool:
        return not self.is_asleep and bool(self.packages.updates or (self.packages.reboot == "required" and self.may_reboot))


@dataclass(frozen=True)
class Request:
    """hosts: those to update, in their order. may_stop: workloads that may stop meanwhile, as ``namespace/name``."""

    hosts: tuple[Host, ...]
    may_stop: frozenset[str] = frozenset()


def read_request(options: Mapping[str, Any], controller: System) -> Request:
    """Options of patch_plan_check, as Ansible has typed them. Workers come first, hosts that are not asked for are left out."""
    found, asleep = options["packages"], set(options["asleep"])
    unknown = sorted(name for name, result in found.items() if "updates" not in (result or {}))
    if unknown:
        raise Refusal("packages", f"no updates of {', '.join(unknown)}", "results of package_updates_info", "Pass what it returned.")
    hosts = tuple(
        Host(
            host["name"],
            host.get("role") == "control_plane",
            _packages(found.get(host["name"]) or {}),
            options["reboot"] == "if_needed",
            a_reboot_ends(controller, _system(found.get(host["name"]) or {})),
            host["name"] in asleep,
        )
        for host in sorted(options["nodes"], key=lambda host: bool(host.get("role") == "control_plane"))
        if host["name"] in asleep or host["name"] in found
    )
    # checks the form of may_stop
    request = sleep.read_request({"nodes": ["any"], "may_stop": options["may_stop"], "for_good": False})
    return Request(hosts, request.may_stop)


def _system(result: Mapping[str, Any]) -> System:
    found = result.get("system") or {}
    return System(found.get("boot_id") or "", found.get("pid_namespace") or "")


def _packages(result: Mapping[str, Any]) -> Packages:
    return Packages(
        tuple(update["name"] for update in result.get("updates", ())),
        tuple(result.get("kept_back", ())),
        result.get("reboot", "unknown"),
        tuple(result.get("reboot_reasons", ())),
    )


# The plan.


def plan(request: Request, seen: Sight) -> list[str]:
    """A line for each host, in the order of the update."""
    return [f"{host.name}: {'; '.join(_facts(host, request, seen))}" for host in request.hosts]


def as_data(request: Request, seen: Sight) -> dict[str, dict[str, Any]]:
    """Each host, with what drain.yml needs of its node."""
    nodes = sleep.as_data(SleepRequest(tuple(host.node for host in request.hosts)), seen)
    return {
        host.name: {
            "patch": host.has_work,
            "drain": host.has_work and is_drained(host, seen),
            "may_reboot": host.may_reboot,
            **{key: nodes[host.node][key] for key in ("ready", "schedulable", "pods")},
        }
        for host in request.hosts
    }


def is_drained(host: Host, seen: Sight) -> bool:
    """A control plane is drained only if ordinary Pods run on it and on another node. Otherwise they start again with their host."""
    if not host.is_control_plane:
        return True
    nodes = [node_of(one) for one in seen.nodes.values()]
    others = [one for one in nodes if one.name != host.node and one.ready and one.schedulable and one.takes_pods]
    return bool(others) and any(one.name == host.node and one.takes_pods for one in nodes)


def _facts(host: Host, request: Request, seen: Sight) -> Iterator[str]:
    if host.is_asleep:
        yield "asleep, left for the next run"
        return
    packages = host.packages
    count = len(packages.updates)
    yield f"{count} update{'s' if count > 1 else ''} ({', '.join(packages.updates)})" if count else "no updates"
    if packages.kept_back:
        yield f"kept back: {', '.join(packages.kept_back)}"
    if packages.reboot == "required":
        yield f"reboot required ({', '.join(packages.reasons)})"
    if host.is_controller and (count or packages.reboot == "required"):
        yield "not rebooted, because it runs Ansible"
    if not host.has_work:
        return
    moving, stopping = sleep.moving_and_stopping(_alone(host, request), seen)
    when = ""
    if not is_drained(host, seen):
        moving, stopping, when = [], sorted(moving + stopping), " during a reboot"
        yield "not drained"
    if moving:
        yield f"Pods that move: {', '.join(moving)}"
    if stopping:
        yield f"Pods that stop{when}: {', '.join(stopping)}"


def _alone(host: Host, request: Request) -> SleepRequest:
    """One host at a time: the others take its Pods."""
    return SleepRequest((host.node,), request.may_stop)


# What must be solved first.


def judge(request: Request, seen: Sight) -> list[Finding]:
    return [replace(found, hosts=(host.name,)) for host in request.hosts for found in _of_host(host, request, seen)]


def _of_host(host: Host, request: Request, seen: Sight) -> Iterator[Finding]:
    if host.is_asleep:
        return
    if host.has_work:
        yield from findings_about_nodes(judge_all(seen.nodes.values(), [host.node], ()), 0)
    if host.has_work and is_drained(host, seen):
        yield from (found for found in sleep.judge(_alone(host, request), seen) if found.rule not in _OF_SLEEP)
    if host.packages.reboot == "unknown":
        yield Finding(
            "the_need_for_a_reboot_is_known", "unknown", f"host {host.name}", "no time at which it was started",
            "a start time in /proc/stat and /proc/1/stat", "Reboot it yourself if its kernel was updated since its start.",
        )  # fmt: skip
    elif host.packages.reboot == "required" and not host.may_reboot:
        yield Finding(
            "hosts_run_what_is_installed", "warning", f"host {host.name}",
            f"a reboot is required ({', '.join(host.packages.reasons)}), and patch.yml does not reboot it because {_why_not(host)}",
            "a reboot", "Reboot it yourself after the run.",
        )  # fmt: skip


def _why_not(host: Host) -> str:
    return "it runs Ansible" if host.is_controller else "patch_reboot is never"


# a control plane comes back at once, and a host without a Node is a finding about nodes already
_OF_SLEEP = frozenset({"nodes_are_workers", "nodes_are_members"})


def looked_at(request: Request, found: Sequence[Finding]) -> list[LookedAt]:
    """Each host."""
    return [
        LookedAt(
            f"host {host.name}",
            "asleep" if host.is_asleep else f"{len(host.packages.updates)} updates, reboot {host.packages.reboot.replace('_', ' ')}",
            "asleep" if host.is_asleep else state_of(one for one in found if host.name in one.hosts),
            (host.name,),
        )
        for host in request.hosts
    ]
