# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pure core and the I/O edge raise, and the one thing that a module catches."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """Something cannot go on.

    subject: the thing at fault (``ports[2].protocol``, ``host homelab``). found: what it is. required: what it must be.
    next_step: an imperative sentence that a user can follow.
    """

    def __init__(self, subject: str, found: str, required: str, next_step: str) -> None:
        super().__init__(subject, found, required, next_step)
        self.subject = subject
        self.found = found
        self.required = required
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.subject}: found {self.found}; required: {self.required}. {self.next_step}"

    def as_result(self) -> dict[str, Any]:
        """The result of a module that fails with it: the text, and the same as data, named as in a finding."""
        failure = {"subject": self.subject, "found": self.found, "expected": self.required, "fix": self.next_step}
        return {"msg": str(self), "failure": failure}


class Unavailable(Refusal):
    """What was asked did not answer in time, or had no time to answer. It may pass by itself."""
