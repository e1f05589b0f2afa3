# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is there: on the control plane, as it says itself, and on a worker, as its guard says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._idle import readings
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.guard import Question
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.places import KEY, KNOWN_HOSTS
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.request import Target

# seconds: to connect, and for an answer
CONNECT, ANSWER = 5, 30.0


def of_the_control_plane(commands: Commands) -> list[str]:
    """Every playbook of ours has a connection to it, as has whoever administers the cluster there."""
    peers = readings.ssh_peers(commands.run(["ss", "-Htnp", "state", "established"]).stdout)
    sessions = readings.local_sessions(commands.run(["who"]).stdout)
    return [
        *(f"the control plane has an SSH connection from {host}" for host in sorted({host for host, _port in peers})),
        *(f"the control plane has a login session: {one}" for one in sessions),
    ]


def ask(commands: Commands, worker: Target, word: str, question: Question) -> Mapping[str, Any]:
    """What the guard answers to ``status`` or ``sleep``. What it refuses, and a host that does not answer, is a Refusal."""
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": str(CONNECT),
        "GlobalKnownHostsFile": "/dev/null",
        "HostKeyAlias": worker.name,
        "IdentitiesOnly": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": KNOWN_HOSTS,
    }
    argv = ["ssh", "-T", "-F", "none", "-i", KEY, "-p", str(worker.port), *(f"-o{name}={value}" for name, value in options.items())]
    done = commands.run([*argv, f"root@{worker.address}", word], stdin=question.as_text(), timeout=ANSWER, check=False)
    if done.status != 0:
        found = " ".join((done.stderr or done.stdout).split()) or f"exit status {done.status}"
        raise Refusal(f"guard of {worker.name}", found, "an answer", "Run site.yml, which puts the guard right.")
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        raise Refusal(f"guard of {worker.name}", repr(done.stdout[:200]), "JSON", "Run site.yml, which puts the guard right.") from None
    if not isinstance(answer, dict):
        raise Refusal(f"guard of {worker.name}", repr(done.stdout[:200]), "an object", "Run site.yml, which puts the guard right.")
    return answer
