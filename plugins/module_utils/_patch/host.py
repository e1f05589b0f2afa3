# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a host's package manager for updates, whether the host must be rebooted, and what it is. No package is changed."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Callable, Optional

from .._host.commands import Commands, Completed
from .._host.files import HostFiles, modified
from .._preflight.parse import distribution
from .._preflight.software import family
from .._refusal import Refusal
from .._waiting import Clock, look_until
from .packages import Manager, Reboot, Request, System, Updates, parse_apt, parse_dnf, started_at

# the process that has locked a file
LockHolder = Callable[[str], Optional[int]]


def look(request: Request, commands: Commands, files: HostFiles, clock: Clock, holder: LockHolder) -> Updates:
    """Simulate the update with the host's own package manager, after other processes that install packages have ended."""
    if manager_of(commands, files) == "dnf":
        # it waits itself
        return look_with_dnf(request, commands)
    return look_with_apt(request, commands, files, clock, holder)


def manager_of(commands: Commands, files: HostFiles) -> Manager:
    found = distribution(files.read("/etc/os-release") or files.read("/usr/lib/os-release") or "")
    is_rhel = found is not None and family(found) == "rhel"
    if not is_rhel and commands.has("apt-get"):
        return "apt"
    if commands.has("dnf"):
        return "dnf"
    raise Refusal("package manager", "neither apt-get nor dnf", "one of them", "Update this host with its own package manager.")


APT_IS_LOCKED = "Could not get lock"
PREFERENCES = "/etc/apt/preferences"
# a negative priority keeps apt from installing any version
PIN = "Package: {names}\nPin: version *\nPin-Priority: -1\n"
PAUSE = 3.0
# apt-get and unattended-upgrades lock the first, dpkg locks both
DPKG_LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock")


def look_with_apt(request: Request, commands: Commands, files: HostFiles, clock: Clock, holder: LockHolder) -> Updates:
    if request.refresh:
        _refresh_apt(request, commands, clock)
    _wait_for_dpkg(request.timeout, files, clock, holder)
    preferences = _preferences(request.hold, files)
    with tempfile.NamedTemporaryFile("w", prefix="vmstation-", encoding="utf-8") as file:
        file.write(preferences)
        file.flush()
        argv = ["apt-get", "--simulate", "--with-new-pkgs", f"--option=Dir::Etc::Preferences={file.name}", "upgrade"]
        return replace(parse_apt(commands.run(argv, timeout=request.timeout).stdout), preferences=preferences)


def _wait_for_dpkg(seconds: float, files: HostFiles, clock: Clock, holder: LockHolder) -> None:
    """A host that was woken often begins with apt-daily-upgrade.service. A simulation would see what it has not done yet as updates."""

    def holders() -> list[int]:
        return [process for process in map(holder, DPKG_LOCKS) if process is not None]

    found = look_until(holders, lambda seen: not seen, clock, seconds, PAUSE)
    if found:
        name = (files.read(f"/proc/{found[0]}/comm") or "another program").strip()
        step = f"Wait until it has ended (`ps {found[0]}` on the host), and run again, or set a longer timeout."
        raise Refusal(
            "dpkg", f"locked by {name} (process {found[0]}), after {seconds:g} s", "no other process that installs packages", step
        )


def _preferences(hold: Sequence[str], files: HostFiles) -> str:
    """What apt reads instead of the host's own file, which comes along. Of several pins for a package, apt takes the first."""
    pins = [PIN.format(names=" ".join(hold))] if hold else []
    # bytes that are not UTF-8 are in comments only, and Ansible accepts none in a result
    own = (files.read(PREFERENCES) or "").encode("utf-8", "replace").decode()
    return "\n".join([*pins, own])


def _refresh_apt(request: Request, commands: Commands, clock: Clock) -> None:
    # by default apt-get only warns if a repository does not answer
    argv = ["apt-get", "--quiet", "--option=APT::Update::Error-Mode=any", "update"]

    def update() -> Completed:
        return commands.run(argv, timeout=request.timeout, check=False)

    done = look_until(update, lambda seen: APT_IS_LOCKED not in seen.stderr, clock, request.timeout, PAUSE)
    if done.status != 0:
        errors = " ".join(line for line in done.stderr.splitlines() if line.startswith("E: ")) or done.stderr.strip()
        locked = f", after {request.timeout:g} s" if APT_IS_LOCKED in errors else ""
        raise _stale(f"{errors}{locked}", "apt-get update")


def _stale(found: str, command: str) -> Refusal:
    step = f"Run `{command}` on the host and correct what it reports, or use the lists as they are with `refresh: false`."
    return Refusal("package lists", found or "no reason given", "lists from all repositories", step)


def look_with_dnf(request: Request, commands: Commands) -> Updates:
    options = [*(["--refresh"] if request.refresh else []), *([f"--exclude={','.join(request.hold)}"] if request.hold else [])]
    done = commands.run(["dnf", "--assumeno", "--nobest", *options, "upgrade"], timeout=request.timeout, check=False)
    # with something to do, it ends with status 1
    if done.status != 0 and "Operation aborted" not in done.stdout + done.stderr:
        # warnings come before it
        raise _stale(" ".join(done.stderr[max(done.stderr.find("Error: "), 0) :].split()), "dnf --refresh --assumeno upgrade")
    found = parse_dnf(done.stdout)
    left_out = [line for line in done.stderr.splitlines() if line.startswith("Ignoring repositories")]
    return replace(found, warnings=left_out)


# Whether the host must be rebooted.
#
# Packages whose update takes effect with a reboot: https://access.redhat.com/solutions/27943 and NEED_REBOOT of dnf-plugins-core's
# needs_restarting.py, and their names in Debian. /run/reboot-required is there only if a package such as unattended-upgrades writes it.

RPM_NAMES = (
    "kernel", "kernel-core", "kernel-rt", "kernel-64k-core", "linux-firmware", "microcode_ctl", "glibc", "systemd", "dbus", "dbus-broker",
    "dbus-daemon", "openssl-libs", "gnutls",
)  # fmt: skip
DEB_NAMES = ("linux-image-*", "raspberrypi-kernel", "firmware-*", "*-microcode", "libc6", "systemd", "dbus", "libssl3*", "libgnutls30*")
REBOOT_REQUIRED = "/run/reboot-required"
DPKG_INFO = "/var/lib/dpkg/info"
NO_MATCH = 1  # dpkg-query's status if there is no package of one of the names


def reboot_of(manager: Manager, commands: Commands, files: HostFiles) -> tuple[Reboot, list[str]]:
    """Whether the host must be rebooted, and the packages that require it."""
    marked = files.read(f"{REBOOT_REQUIRED}.pkgs")
    if files.exists(REBOOT_REQUIRED) or marked:
        return "required", list(dict.fromkeys((marked or "").split())) or [REBOOT_REQUIRED]
    started = started_at(files.read("/proc/stat") or "", files.read("/proc/1/stat") or "", os.sysconf("SC_CLK_TCK"))
    if started is None:
        return "unknown", []
    installed = _installed_by_rpm(commands) if manager == "dnf" else _installed_by_dpkg(commands)
    newer = sorted({name for name, when in installed if when > started})
    return ("required" if newer else "not_required"), newer


def _installed_by_rpm(commands: Commands) -> Iterable[tuple[str, float]]:
    argv = ["rpm", "--query", "--queryformat", "%{INSTALLTIME} %{NAME}\\n", *RPM_NAMES]
    # its status is the number of names that are not installed
    lines = commands.run(argv, check=False).stdout.splitlines()
    return [(line.split()[1], float(line.split()[0])) for line in lines if re.match(r"\d+ \S+$", line)]


def _installed_by_dpkg(commands: Commands) -> Iterable[tuple[str, float]]:
    argv = ["dpkg-query", "--show", "--showformat", "${db:Status-Status} ${binary:Package}\\n", *DEB_NAMES]
    done = commands.run(argv, check=False)
    if done.status > NO_MATCH:
        raise Refusal("command `dpkg-query --show`", done.stderr.strip(), "exit status 0", "Correct the error in its output.")
    names = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("installed ")]
    # dpkg writes it when it installs the package
    return [(name, modified(f"{DPKG_INFO}/{name}.list") or 0.0) for name in names]


# Which host runs Ansible.


def system_of(files: HostFiles) -> System:
    boot_id = files.read("/proc/sys/kernel/random/boot_id") or ""
    return System(boot_id.strip(), files.target("/proc/self/ns/pid") or "")
