# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The message of a failed task, as far as it may be printed and stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

HIDDEN = "the message is hidden, because the task has no_log; to read it, set no_log to false in this task and run again"


def failure_message(result: Optional[Mapping[str, Any]], task: Optional[Mapping[str, Any]], otherwise: str = "") -> str:
    """Return a failure's message and the packages that dnf names, or HIDDEN.

    Ansible hides the output of a task with no_log in its callbacks, but not in ansible_failed_result. A no_log that is a template is not
    evaluated in ansible_failed_task, so it hides the message.
    """
    if (task or {}).get("no_log") not in (None, False):
        return HIDDEN
    failed = result or {}
    words = [failed.get("msg", otherwise), *(failed.get("failures") or [])]
    return " ".join(dict.fromkeys(str(word) for word in words if word))
