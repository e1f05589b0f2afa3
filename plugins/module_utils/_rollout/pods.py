# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a Pod from being ready, in the words of its status."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._rollout.model import Object, Stuck, name_of

LONGEST_MESSAGE = 300

_IMAGE = "Make the image available: a registry that the node reaches, or an archive imported into its containerd; then delete the Pod."
_LOGS = "Read why it ended: `kubectl logs --previous {pod}`."
_DESCRIBE = "See `kubectl describe pod {pod}`."
# the kubelet's word for what a container waits for -> the next step
_NEXT_STEPS = {
    "ImagePullBackOff": _IMAGE,
    "ErrImagePull": _IMAGE,
    "ErrImageNeverPull": _IMAGE,
    "InvalidImageName": "Correct the name of the image.",
    "CrashLoopBackOff": _LOGS,
    "RunContainerError": _DESCRIBE,
    "CreateContainerConfigError": "Create the ConfigMap or Secret that it names, or correct the reference.",
    "CreateContainerError": _DESCRIBE,
    "ContainerCreating": "Look at its events, and at the kubelet and the CNI plugin on its node: `journalctl -u kubelet`.",
    "PodInitializing": _DESCRIBE,
}


def is_ready(pod: Object) -> bool:
    """The Pod's own condition says so, and it is not on its way out."""
    return not pod["metadata"].get("deletionTimestamp") and _condition(pod, "Ready").get("status") == "True"


def container_statuses(pod: Object) -> list[Object]:
    """Those of the containers that run before the others, and of these."""
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def stuck(pod: Object) -> Optional[Stuck]:
    """What stands in the way of this Pod; None if nothing does, or if it has ended well."""
    status = pod.get("status") or {}
    if is_ready(pod) or status.get("phase") == "Succeeded":
        return None
    state, next_step = next(_obstacles(pod))
    node = str(pod["spec"].get("nodeName") or "")
    called = f"--namespace {pod['metadata']['namespace']} {name_of(pod)}"
    return Stuck(name_of(pod), node, state, next_step.format(pod=called, node=node))


def _obstacles(pod: Object) -> Iterator[tuple[str, str]]:
    """State and next step, the most telling first."""
    status = pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp"):
        yield (
            f"Terminating since {pod['metadata']['deletionTimestamp']}",
            "It ends when its node {node} answers again; if that never comes back, `kubectl delete node {node}`.",
        )
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        yield (
            f"Pending: {scheduled.get('reason', 'not scheduled')}: {_short(scheduled.get('message'))}",
            "Bring up, uncordon or free a node that may run it.",
        )
    if status.get("phase") == "Failed":
        yield f"Failed: {status.get('reason') or 'its containers ended'}: {_short(status.get('message'))}", _LOGS
    statuses = container_statuses(pod)
    yield from _of_containers(statuses)
    if statuses and all(_has_begun(one) for one in statuses):
        yield (
            "Running, while its condition Ready is False: its node has stopped answering",
            "Look whether node {node} is on and its kubelet runs.",
        )
    if not statuses:
        yield f"{status.get('phase', 'Pending')}: the kubelet has not taken it up", "Look whether node {node} is on and its kubelet runs."
    yield f"{status.get('phase', 'Pending')}: {_short(_condition(pod, 'Ready').get('message'))}", _DESCRIBE


def _of_containers(statuses: Iterable[Object]) -> Iterator[tuple[str, str]]:
    quiet: list[tuple[str, str]] = []
    for one in statuses:
        waiting, ended = one.get("state", {}).get("waiting"), one.get("state", {}).get("terminated")
        running = one.get("state", {}).get("running")
        called = f"container {one['name']}"
        if waiting:
            reason = str(waiting.get("reason") or "waiting")
            text = f"{called}: {reason}{_detail(waiting.get('message'))}{_last_end(one)}"
            found = (text, _NEXT_STEPS.get(reason, _DESCRIBE))
            if reason in {"ContainerCreating", "PodInitializing"}:
                quiet.append(found)
            else:
                yield found
        elif ended and ended.get("exitCode"):
            yield f"{called}: ended with {_end(ended)}{_restarts(one)}", _LOGS
        elif running is not None and not one.get("ready") and one.get("started") is False:
            yield f"{called}: running, its startup probe has not passed{_last_end(one)}", _DESCRIBE
        elif running is not None and not one.get("ready"):
            yield f"{called}: running, its readiness probe does not pass{_last_end(one)}", _DESCRIBE
    # most containers wait for the one that has the trouble
    yield from quiet


def _has_begun(status: Object) -> bool:
    return bool(status.get("ready")) or bool((status.get("state", {}).get("terminated") or {}).get("exitCode") == 0)


def _last_end(status: Object) -> str:
    last = (status.get("lastState") or {}).get("terminated")
    return f"; last ended with {_end(last)}{_restarts(status)}" if last else ""


def _end(terminated: Object) -> str:
    reason = terminated.get("reason")
    said = f" ({reason})" if reason and reason not in {"Error", "Completed"} else ""
    return f"exit code {terminated.get('exitCode')}{said}{_detail(terminated.get('message'))}"


def _restarts(status: Object) -> str:
    count = status.get("restartCount") or 0
    return f", {count} restart{'s' if count != 1 else ''}" if count else ""


def _detail(message: object) -> str:
    return f": {_short(message)}" if message else ""


def _short(message: object) -> str:
    """One line, its end kept: that is where a message says what went wrong."""
    text = " ".join(str(message or "no message").split())
    return text if len(text) <= LONGEST_MESSAGE else f"...{text[-LONGEST_MESSAGE:]}"


def _condition(pod: Object, kind: str) -> Object:
    conditions: Iterable[Object] = (pod.get("status") or {}).get("conditions") or ()
    return next((one for one in conditions if one.get("type") == kind), {})
