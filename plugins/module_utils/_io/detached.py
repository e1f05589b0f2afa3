# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work that goes on when the process that asked for it is killed or its SSH session ends."""

from __future__ import annotations

import json
import os
import signal
import traceback
from typing import Callable, NoReturn

from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal


def run_detached(work: Callable[[], None]) -> None:
    """Run ``work`` to its end in a child in a session of its own, and wait for it. Its Refusal is raised here.

    A signal to our process group does not reach the child, and it holds none of our output, so that nobody waits for it.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _child(work, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    if not answer:
        raise Refusal("the change", "its process ended without a result", "a result", "Read the host's kernel log, then run again.")
    outcome = json.loads(answer)
    if outcome["refusal"]:
        raise Refusal(*outcome["refusal"])


def _child(work: Callable[[], None], writer: int) -> NoReturn:
    refusal: list[str] = []
    try:
        os.setsid()
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        work()
    except Refusal as error:
        refusal = [error.subject, error.found, error.required, error.next_step]
    except BaseException:  # the child must answer and must not return into the parent's code
        refusal = ["the change", traceback.format_exc().strip(), "no defect", "Report this to the authors of vmstation.cluster."]
    try:
        os.write(writer, json.dumps({"refusal": refusal}).encode())
    finally:
        os._exit(0)
