# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A running firewalld, asked and told over D-Bus by `busctl`, which is a part of systemd and starts no Python."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.backend import Step
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

NAME = "org.fedoraproject.FirewallD1"
OBJECT = "/org/fedoraproject/FirewallD1"
CONFIG = f"{OBJECT}/config"
PATIENCE = 55  # seconds; a reload of a large configuration takes its time
# without it, asking for a firewalld that is not running would start it
NO_START = "--auto-start=no"

Json = Any  # what a call answers is known only to who makes it


class Bus:
    """firewalld's D-Bus interface. Interfaces are named by what follows firewalld's own name: ``zone``, ``config.zone``."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._answers: dict[tuple[str, ...], Json] = {}
        self._version: Optional[str] = None

    def forget(self) -> None:
        """Ask anew from now on: what firewalld says may have changed."""
        self._answers.clear()

    def is_running(self) -> bool:
        return self._commands.has("busctl") and self._properties() is not None

    def major_version(self) -> int:
        """firewalld's version up to the first dot; 0 if it does not tell."""
        told = self._version if self._version is not None else self._properties()
        first = str(told or "").partition(".")[0]
        return int(first) if first.isdigit() else 0

    def _properties(self) -> Optional[str]:
        """The version of a firewalld that runs, and has a state; None if none does."""
        argv = ["busctl", NO_START, "--json=short", "get-property", NAME, OBJECT, NAME, "state", "version"]
        told = self._commands.run(argv, check=False)
        self._version = str(json.loads(told.stdout.splitlines()[-1])["data"]) if told.status == 0 else None
        return self._version

    def ask(self, interface: str, method: str, *words: str, path: str = OBJECT) -> Json:
        """Call a method that only tells, once until `forget`. words: the signature and the arguments.

        Raises Refusal with firewalld's own error.
        """
        argv = call(interface, method, *words, path=path).argv
        if argv not in self._answers:
            self._answers[argv] = plain(json.loads(self._commands.run(argv).stdout)["data"][0])
        return self._answers[argv]

    def ask_if_known(self, interface: str, method: str, name: str) -> Optional[dict[str, Any]]:
        """The settings of a thing by its name; None if firewalld has no such thing."""
        completed = self._commands.run(call(interface, method, "s", name).argv, check=False)
        if completed.status == 0:
            settings: dict[str, Any] = plain(json.loads(completed.stdout)["data"][0])
            return settings
        if "INVALID_" in completed.stderr:
            return None
        raise Refusal(f"firewalld's {method} {name}", completed.stderr.strip(), "an answer", "See `journalctl -u firewalld`.")


def call(interface: str, method: str, *words: str, path: str = OBJECT) -> Step:
    full = f"{NAME}.{interface}" if interface else NAME
    return Step(("busctl", NO_START, "--json=short", f"--timeout={PATIENCE}", "call", NAME, path, full, method, *words))


def settings_call(interface: str, method: str, name: str, lists: Mapping[str, Sequence[str]]) -> Step:
    """A method that takes a name and settings, all of them lists of texts; what is not named stays as it is."""
    words = [word for key, texts in lists.items() for word in (key, "as", str(len(texts)), *texts)]
    return call(interface, method, "sa{sv}", name, str(len(lists)), *words)


def plain(value: Json) -> Json:
    """busctl's JSON without the types that it gives to each variant."""
    if isinstance(value, dict):
        if set(value) == {"type", "data"}:
            return plain(value["data"])
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value
