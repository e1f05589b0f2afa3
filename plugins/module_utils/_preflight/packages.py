# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which packages are installed, and what the package manager would remove for them.

Facts: Docker's containerd.io contains runc. Its Debian package conflicts with, replaces and provides Debian's packages containerd and runc,
and docker-ce depends on it; Debian's containerd and docker.io depend on runc. apt-get removes what conflicts with a package that is asked
for, and what depends on that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.model import Expectations, HostState, Packages, Simulation

CONTAINERD = {"apt-get": "containerd", "dnf": "containerd.io"}
"""What is installed on a host without containerd."""
VERSION_SEPARATOR = {"apt-get": "=", "dnf": "-"}

APT_REMOVES = re.compile(r"^(?:Remv|Purg) (\S+)", re.MULTILINE)
# a section's rows have one space before the name; a row that is too long goes on in the next line, behind more spaces
DNF_SECTION = re.compile(r"^(?P<title>[A-Z][\w ]*):$|^ (?P<row>\S+)|^ +replacing +(?P<replaced>\S+)", re.MULTILINE)
MISSING = re.compile(
    r"Unable to locate package|has no installation candidate|Version '.*' for '.*' was not found|Couldn't find any package"
    r"|Unable to find a match|no cache for|Failed to download metadata|There are no enabled repositories"
)


def apt_simulation(status: int, stdout: str, stderr: str) -> Simulation:
    """The output of ``apt-get --simulate install``."""
    removed = tuple(dict.fromkeys(APT_REMOVES.findall(stdout)))
    errors = [line for line in stderr.splitlines() if line.startswith("E: ")]
    return Simulation(removed) if status == 0 else _failed(" ".join(errors) or stderr)


def dnf_simulation(status: int, stdout: str, stderr: str) -> Simulation:
    """The output of ``dnf --assumeno install``, whose status is 1 where there is something to do."""
    removed, title = [], ""
    for match in DNF_SECTION.finditer(stdout):
        title = match["title"] or title
        if match["replaced"] or (match["row"] and title.startswith("Removing")):
            removed.append(match["replaced"] or match["row"])
    is_told = status == 0 or "Operation aborted" in stdout + stderr
    return Simulation(tuple(dict.fromkeys(removed))) if is_told else _failed(stderr)


def _failed(text: str) -> Simulation:
    words = " ".join(text.split()) or "it reports no reason"
    return Simulation(missing=words) if MISSING.search(text) else Simulation(problem=words)


def wanted_packages(expected: Expectations, manager: str, installed: str) -> Packages:
    """What is to be installed. manager: apt-get, dnf or empty. installed: containerd's package that is there; empty: none."""
    containerd = expected.containerd_package or installed or CONTAINERD.get(manager, "")
    version = VERSION_SEPARATOR.get(manager, "=") + expected.containerd_version if expected.containerd_version else ""
    first = (containerd + version,) if containerd else ()
    return Packages(manager, installed, containerd, (*first, *expected.packages))


def no_package_would_be_removed(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    packages = state.software.packages
    removed = packages.simulation.removed
    if not removed:
        return
    keep = []
    if packages.installed_containerd in removed:
        keep.append(f"set node_containerd_package to {packages.installed_containerd} (installed)")
    if "runc" in packages.wanted:
        keep.append("take runc out of node_packages")
    yield Finding(
        "no_package_would_be_removed",
        "error",
        "packages to install",
        f"{', '.join(packages.wanted)}, which would remove {', '.join(removed)}",
        "packages that remove no other",
        f"To keep {', '.join(removed)}, {' and '.join(keep) or 'change node_containerd_package or node_packages'}. "
        f"If you do not need them, remove them yourself with `{packages.manager} remove {' '.join(removed)}`.",
    )


def packages_can_be_installed(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    rule, subject, packages = "packages_can_be_installed", "packages to install", state.software.packages
    simulation = packages.simulation
    if simulation.problem:
        required = f"{packages.manager} can install {', '.join(packages.wanted)}"
        fix = f"Run `{simulation.command}` on the host and solve what it reports."
        yield Finding(rule, "error", subject, simulation.problem, required, fix)
    elif simulation.missing:
        required = f"package lists that have {', '.join(packages.wanted)}"
        update = "apt-get update" if packages.manager == "apt-get" else "dnf makecache"
        fix = f"Run `{update}` on the host; if a package is still missing, add a repository that has it."
        yield Finding(rule, "warning", subject, f"unknown: {simulation.missing}", required, fix)
