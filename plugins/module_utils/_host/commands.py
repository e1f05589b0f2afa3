# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only place that runs a host's commands: bounded in time, in the C locale, never through a shell."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from .._refusal import Refusal

SBIN_DIRECTORIES = "/usr/local/sbin:/usr/sbin:/sbin"


@dataclass(frozen=True)
class Completed:
    """What a command left: its exit status and its output, decoded as UTF-8."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str


class Commands(Protocol):
    """What the core is given to run a host's commands; tests pass a scripted fake."""

    def has(self, program: str) -> bool:
        """Whether the host has this program."""

    def run(self, argv: Sequence[str], *, stdin: str = "", timeout: float = 60.0, check: bool = True) -> Completed:
        """Run a program. With ``check``, a status other than 0 is a Refusal that carries its stderr. timeout: seconds."""


def host_environment() -> dict[str, str]:
    """What a host's programs are started with: found where an administrator finds them, in the C locale."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), SBIN_DIRECTORIES])
    return {**os.environ, "PATH": path, "LC_ALL": "C.UTF-8", "LANGUAGE": "C"}


class HostCommands:
    """The host's own programs."""

    def __init__(self) -> None:
        self._environment = host_environment()
        self._path = self._environment["PATH"]

    def has(self, program: str) -> bool:
        return shutil.which(program, path=self._path) is not None

    def run(self, argv: Sequence[str], *, stdin: str = "", source: str = "", timeout: float = 60.0, check: bool = True) -> Completed:
        """source: a file that is the standard input, however large it is, in the place of ``stdin``."""
        line = " ".join(argv)
        program = shutil.which(argv[0], path=self._path)
        if program is None:
            raise Refusal(f"command {argv[0]}", "not on this host", "to be installed", f"Install what provides {argv[0]}.")
        try:
            # run_command is a method of AnsibleModule, which no code below plugins/modules knows
            with open(source, "rb") if source else contextlib.nullcontext() as file:
                process = subprocess.run(  # pylint: disable=ansible-bad-function
                    [program, *argv[1:]],
                    **({"stdin": file} if file else {"input": stdin}),
                    capture_output=True,
                    encoding="utf-8",
                    errors="surrogateescape",
                    timeout=timeout,
                    env=self._environment,
                    # what Python opens is not inherited anyway, but for a lock that is to be held until the program ends
                    close_fds=False,
                    check=False,
                )
        except subprocess.TimeoutExpired as error:
            raise Refusal(
                f"command `{line}`",
                f"still running after {timeout:g} s",
                f"to finish within {timeout:g} s",
                f"Run `{line}` on the host manually and see what it waits for.",
            ) from error
        completed = Completed(tuple(argv), process.returncode, process.stdout, process.stderr)
        if check and completed.status != 0:
            output = (completed.stderr or completed.stdout).strip() or "no output"
            raise Refusal(
                f"command `{line}`", f"exit status {completed.status}: {output}", "exit status 0", "Correct the error in its output."
            )
        return completed
