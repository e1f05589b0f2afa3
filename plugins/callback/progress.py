# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: progress
type: aggregate
short_description: Report which task a run is waiting for, and how long its plays took
version_added: 0.2.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - While a task runs for long, reports every 30 seconds its name and the hosts on which it has not ended.
  - At the end of a playbook with more than one play, reports how long it took and its five slowest plays.
  - Writes to standard error, so that the output of a callback such as P(ansible.posix.json#callback) stays whole.
requirements:
  - It must be enabled, with C(callbacks_enabled = vmstation.cluster.progress) in the section C([defaults]) of C(ansible.cfg). The
    C(ansible.cfg) of this collection does so.
options:
  interval:
    description:
      - The number of seconds between two reports about a task that still runs. V(0) means no such report.
    type: float
    default: 30
    env:
      - name: VMSTATION_PROGRESS_INTERVAL
    ini:
      - section: callback_vmstation_progress
        key: interval
"""

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ansible.plugins.callback import CallbackBase
from ansible_collections.vmstation.cluster.plugins.module_utils._site.progress import Progress

if TYPE_CHECKING:
    from ansible.executor.stats import AggregateStats
    from ansible.executor.task_result import CallbackTaskResult
    from ansible.inventory.host import Host
    from ansible.playbook import Playbook
    from ansible.playbook.play import Play
    from ansible.playbook.task import Task


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "vmstation.cluster.progress"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, playbook: Playbook) -> None:
        self._playbook = Path(playbook._file_name).name
        self._plays = 0
        self._progress = Progress(time.monotonic)
        interval = self.get_option("interval")
        if interval > 0:
            threading.Thread(target=self._report, args=(interval,), daemon=True).start()

    def _report(self, interval: float) -> None:
        while True:
            time.sleep(interval)
            if line := self._progress.waiting(interval):
                self._display.display(line, stderr=True)

    def v2_playbook_on_play_start(self, play: Play) -> None:
        self._plays += 1
        self._progress.play_starts(play.get_name())

    def v2_playbook_on_task_start(self, task: Task, is_conditional: bool = False) -> None:
        self._progress.task_starts(task.get_name())

    v2_playbook_on_handler_task_start = v2_playbook_on_task_start

    def v2_runner_on_start(self, host: Host, task: Task) -> None:
        self._progress.host_starts(host.get_name())

    def v2_runner_on_ok(self, result: CallbackTaskResult, ignore_errors: bool = False) -> None:
        self._progress.host_ends(result.host.get_name())

    v2_runner_on_failed = v2_runner_on_skipped = v2_runner_on_unreachable = v2_runner_on_ok

    def v2_playbook_on_stats(self, stats: AggregateStats) -> None:
        if self._plays > 1:
            self._display.display(self._progress.summary(self._playbook), stderr=True)
