# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Complete Jellyfin's startup wizard, which makes its user the administrator.

The requests are those of ``StartupController`` and ``SystemController`` in Jellyfin 10.11 (https://api.jellyfin.org).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, Optional, Protocol

from .._refusal import Refusal, Unavailable
from .._waiting import Clock, look_until

PAUSE = 1.0
OK, NO_CONTENT, UNAUTHORIZED, FORBIDDEN = 200, 204, 401, 403

Answer = dict[str, Any]


class Jellyfin(Protocol):
    """Access to a Jellyfin; tests pass a fake."""

    namespace: str

    @property
    def subject(self) -> str:
        """What it is called in messages."""

    def fetch(self, path: str) -> tuple[int, Answer]:
        """An HTTP status, and the JSON object of the answer; one with ``message`` for any other answer."""

    def submit(self, path: str, content: Mapping[str, str]) -> tuple[int, Answer]:
        """The same for a request that changes something. It is sent once."""


@dataclass(frozen=True)
class Account:
    """The administrator that Jellyfin gets."""

    name: str
    password: str


def read_account(name: str, password: Optional[str]) -> Optional[Account]:
    """The account to create; none without a password. A blank one is an error: the wizard would stay open to every client."""
    if password is None:
        return None
    if not password.strip():
        step = "Set it, or leave the option out to check only whether the wizard is complete."
        raise Refusal("password", "an empty text", "the administrator's password", step)
    return Account(name, password)


def is_complete(jellyfin: Jellyfin, clock: Clock, seconds: float) -> bool:
    """Whether the wizard was completed. seconds: how long to wait for an answer."""
    seen = look_until(lambda: _look(jellyfin), lambda one: one.complete is not None, clock, seconds, PAUSE)
    if seen.complete is None:
        raise Unavailable(
            jellyfin.subject,
            f"no answer of Jellyfin within {seconds:g} s ({seen.reason})",
            "an answer to /System/Info/Public",
            f"See its log: `kubectl logs --namespace {jellyfin.namespace} deployment/jellyfin`.",
        )
    return seen.complete


@dataclass(frozen=True)
class _Seen:
    complete: Optional[bool]
    reason: str = ""


def _look(jellyfin: Jellyfin) -> _Seen:
    try:
        status, answer = jellyfin.fetch("/System/Info/Public")
        if status == OK and answer.get("StartupWizardCompleted"):
            return _Seen(True)
        # While Jellyfin starts, another server of it answers, and always reports that the wizard is not completed
        # (Jellyfin.Server/ServerSetupApp/SetupServer.cs). That one has no such path.
        if status == OK:
            status, answer = jellyfin.fetch("/Startup/Configuration")
    except Unavailable as error:
        return _Seen(None, error.found)
    return _Seen(False) if status == OK else _Seen(None, _text(status, answer))


def complete(jellyfin: Jellyfin, account: Account) -> None:
    """Set the administrator's name and password, then complete the wizard. A wizard that was begun by another client is taken over."""
    # Jellyfin creates its first user when it is asked for
    status, answer = jellyfin.fetch("/Startup/User")
    if status != OK:
        _reject(jellyfin, "/Startup/User", status, answer)
    for path, content in (("/Startup/User", {"Name": account.name, "Password": account.password}), ("/Startup/Complete", {})):
        status, answer = jellyfin.submit(path, content)
        if status != NO_CONTENT:
            _reject(jellyfin, path, status, answer)


def _reject(jellyfin: Jellyfin, path: str, status: int, answer: Answer) -> NoReturn:
    if status in {UNAUTHORIZED, FORBIDDEN}:
        raise Refusal(
            jellyfin.subject,
            f"{_text(status, answer)} for {path}: another client has set the administrator's password",
            "a startup wizard that no other client has used",
            "If that was you, complete the wizard in a browser. If not, remove Jellyfin with its configuration (jellyfin_state: absent, "
            "jellyfin_remove_data: true), and install it again.",
        )
    raise Unavailable(jellyfin.subject, f"{_text(status, answer)} for {path}", "HTTP status 200 or 204", "Run this again.")


def _text(status: int, answer: Answer) -> str:
    message = " ".join(str(answer.get("message") or "").split())
    return f"HTTP status {status}" + (f": {message[:200]}" if message else "")
