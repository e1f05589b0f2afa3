# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parses what package managers report of updates, when a host was started, and whether a reboot ends the controller. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Optional

from .._refusal import Refusal

Manager = Literal["apt", "dnf"]
Reboot = Literal["required", "not_required", "unknown"]


@dataclass(frozen=True)
class Request:
    """hold: packages that stay as they are. refresh: whether the package lists are fetched first. timeout: seconds for each command."""

    hold: tuple[str, ...] = ()
    refresh: bool = True
    timeout: float = 300.0


# apt separates names by spaces, and dnf by commas
ONE_NAME = re.compile(r"[^\s,]+")


def read_request(options: Mapping[str, Any]) -> Request:
    """Options of package_updates_info, as Ansible has typed them."""
    if options["hold"] is None:
        raise _no_names("null")
    hold = tuple(filter(None, (name.strip() for name in options["hold"])))
    wrong = [name for name in hold if not ONE_NAME.fullmatch(name)]
    if wrong:
        raise _no_names(", ".join(map(repr, wrong)))
    return Request(hold, options["refresh"], options["timeout"])


def _no_names(found: str) -> Refusal:
    step = "Write it as in [containerd, kubelet]. [] holds no package. For patch.yml, the variable is patch_hold."
    return Refusal("hold", found, "a list of package names", step)


@dataclass(frozen=True)
class Updates:
    """versions: of each package that would be installed. kept_back: what has an update that would not be installed.

    warnings: repositories that were left out. preferences: of apt, with which it makes the same update.
    """

    manager: Manager
    versions: Mapping[str, str]
    kept_back: Sequence[str] = ()
    warnings: Sequence[str] = ()
    preferences: str = ""

    def as_data(self) -> dict[str, Any]:
        updates = [{"name": name, "version": version} for name, version in self.versions.items()]
        found = {"manager": self.manager, "updates": updates, "kept_back": list(self.kept_back)}
        return {**found, "preferences": self.preferences} if self.manager == "apt" else found


APT_INSTALLS = re.compile(r"^(?:Inst|Conf) (\S+) (?:\[\S+\] )?\((\S+)", re.MULTILINE)
APT_KEEPS = re.compile(
    r"^The following (?:packages have been kept back|upgrades have been deferred due to phasing):\n((?: +.*\n)+)", re.MULTILINE
)


def parse_apt(text: str) -> Updates:
    """Parse the output of ``apt-get --simulate upgrade``. A package that is only to be configured is one that was interrupted."""
    kept = " ".join(APT_KEEPS.findall(text)).split()
    return Updates("apt", dict(APT_INSTALLS.findall(text)), tuple(dict.fromkeys(kept)))


DNF_TITLE = re.compile(r"^[A-Z][\w ,]*:$")
# a row begins with one space, and continues in the next line if it is long
DNF_ROW = re.compile(r"^ \S")
DNF_INSTALLS = ("Installing", "Upgrading", "Reinstalling", "Downgrading")


def parse_dnf(text: str) -> Updates:
    """Parse the output of ``dnf --assumeno upgrade``."""
    title, rows = "", []
    for line in text.partition("\nTransaction Summary")[0].splitlines():
        if DNF_TITLE.match(line):
            title = line
        elif title and DNF_ROW.match(line):
            rows.append((title, line.split()))
        elif rows and line.startswith("  ") and not line.lstrip().startswith("replacing "):
            rows[-1][1].extend(line.split())
    versions = {words[0]: words[2] for title, words in rows if title.startswith(DNF_INSTALLS) and len(words) > 2}
    return Updates("dnf", versions, tuple(dict.fromkeys(words[0] for title, words in rows if title.startswith("Skipping"))))


def started_at(stat: str, first_process: str, ticks: int) -> Optional[float]:
    """When the first process of the host was started, in Unix time; in a container, that is later than the kernel's start. None: unknown.

    stat, first_process: /proc/stat and /proc/1/stat (proc(5)). ticks: clock ticks a second.
    """
    booted = re.search(r"^btime (\d+)$", stat, re.MULTILINE)
    # the name, in parentheses, may have spaces. starttime is field 22
    fields = first_process.rpartition(")")[2].split()
    return int(booted[1]) + int(fields[19]) / ticks if booted and len(fields) > 19 else None


@dataclass(frozen=True)
class System:
    """What a program runs in. Empty: unknown.

    boot_id: of the kernel's start (random(4)). pid_namespace: as the kernel names it (pid_namespaces(7)); a container has its own.
    """

    boot_id: str = ""
    pid_namespace: str = ""

    def as_data(self) -> dict[str, str]:
        return {"boot_id": self.boot_id, "pid_namespace": self.pid_namespace}


# of what runs in no container: PROC_PID_INIT_INO in include/linux/proc_ns.h of the kernel
FIRST_PID_NAMESPACE = "pid:[4026531836]"


def a_reboot_ends(controller: System, host: System) -> bool:
    """Whether the controller is a program on the host, or in a container on it, which a reboot of the host ends.

    A reboot of a container ends what is in it; others with the same kernel continue.
    """
    if not host.boot_id or host.boot_id != controller.boot_id:
        return False
    return host.pid_namespace in ("", FIRST_PID_NAMESPACE, controller.pid_namespace)
