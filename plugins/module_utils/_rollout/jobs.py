# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a Job did not come to a good end, in the words of its own status and of its Pods'."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ansible_collections.vmstation.cluster.plugins.module_utils._rollout.model import Object
from ansible_collections.vmstation.cluster.plugins.module_utils._rollout.pods import container_statuses, stuck


def troubles(jobs: Iterable[Object], pods: Iterable[Object]) -> list[str]:
    """A line for each container that failed, waits or runs still, after what is said of the Job itself; none of a Job that is complete."""
    conditions = [one for job in jobs for one in (job.get("status") or {}).get("conditions") or () if one.get("status") == "True"]
    if any(one["type"] == "Complete" for one in conditions):
        return []
    ends = [str(one.get("message") or "it failed, and says no more") for one in conditions if one["type"] == "Failed"]
    return [*(ends or ["it has not ended"]), *(line for pod in pods for line in _of_pod(pod))]


def _of_pod(pod: Object) -> Iterator[str]:
    statuses = container_statuses(pod)
    for one in statuses:
        state = one.get("state") or {}
        ended, waiting = state.get("terminated") or {}, state.get("waiting")
        if ended.get("exitCode"):
            yield f"container {one['name']} ended with exit code {ended['exitCode']}: {ended.get('message') or 'no message'}"
        elif waiting is not None:
            reason = ": ".join(filter(None, (waiting.get("reason"), waiting.get("message"))))
            yield f"container {one['name']} waits: {reason or 'no reason given'}"
        elif state.get("running") is not None:
            yield f"container {one['name']} runs still"
    obstacle = None if statuses else stuck(pod)
    if obstacle:
        yield f"Pod {obstacle.name}: {obstacle.state}"
