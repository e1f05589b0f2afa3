# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of Jobs that did not come to a good end."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._rollout.pods import troubles

LATE = "Job was active longer than specified deadline"
PENDING = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}


def job(*conditions: tuple[str, str, str]) -> dict[str, Any]:
    return {"status": {"conditions": [{"type": kind, "status": status, "message": message} for kind, status, message in conditions]}}


def pod(*states: dict[str, Any], **status: Any) -> dict[str, Any]:
    containers = [{"name": f"c{number}", "state": state} for number, state in enumerate(states)]
    told = {"containerStatuses": containers, **status} if containers else status
    return {"metadata": {"name": "check-x", "namespace": "monitoring"}, "spec": {}, "status": {"phase": "Pending", **told}}


@pytest.mark.parametrize(
    ("jobs", "pods", "wanted"),
    [
        ([job(("Complete", "True", ""))], [pod({"terminated": {"exitCode": 0}})], []),
        ([job(("Complete", "True", ""))], [pod({"terminated": {"exitCode": 1, "message": "a first try"}})], []),
        ([job(("Complete", "False", ""))], [], ["it has not ended"]),
        ([job(("Failed", "True", LATE))], [], [LATE]),
        ([job(("Failed", "True", ""))], [], ["it failed without a reason"]),
        ([], [], ["it has not ended"]),
        (
            [job(("Failed", "True", "backoff limit"))],
            [pod({"terminated": {"exitCode": 1, "message": "line 3"}}, {"terminated": {"exitCode": 0}}, {"terminated": {"exitCode": 2}})],
            ["backoff limit", "container c0 ended with exit code 1: line 3", "container c2 ended with exit code 2: no message"],
        ),
        (
            [{}],
            [pod({"waiting": {"reason": "ErrImagePull", "message": "not found"}}, {"waiting": {}}, {"running": {}}, {})],
            [
                "it has not ended",
                "container c0 waits: ErrImagePull: not found",
                "container c1 waits: no reason given",
                "container c2 runs still",
            ],
        ),
        ([{}], [pod(conditions=[PENDING])], ["it has not ended", "Pod check-x: Pending: Unschedulable: 0/3 nodes are available"]),
    ],
)
def test_what_is_told(jobs: list[dict[str, Any]], pods: list[dict[str, Any]], wanted: list[str]) -> None:
    assert troubles(jobs, pods) == wanted
