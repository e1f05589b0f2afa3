# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the host's package manager what it would do. Nothing is installed, and no package list is renewed."""

from __future__ import annotations

import re
from dataclasses import replace

from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.model import Expectations, Packages, Simulation
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.packages import apt_simulation, dnf_simulation, wanted_packages

CONTAINERD = "/usr/bin/containerd"
TIMEOUT = 60.0
NOT_INSTALLED = re.compile(r"^package (\S+) is not installed$", re.MULTILINE)


def look_at_packages(expected: Expectations, is_rhel: bool, has_containerd: bool, commands: Commands) -> Packages:
    """is_rhel: whether dnf is the host's own package manager. has_containerd: whether there is a file CONTAINERD."""
    manager = next((name for name in (("dnf",) if is_rhel else ("apt-get", "dnf")) if commands.has(name)), "")
    packages = wanted_packages(expected, manager, package_of(CONTAINERD, commands) if manager and has_containerd else "")
    if not manager or not packages.wanted:
        return packages
    return replace(packages, simulation=simulate_install(packages, commands, upgrade=bool(expected.containerd_version)))


def package_of(path: str, commands: Commands) -> str:
    """The name of the package that a file is part of; empty: of none."""
    if commands.has("dpkg-query"):
        said = commands.run(["dpkg-query", "--search", path], timeout=TIMEOUT, check=False)
    elif commands.has("rpm"):
        said = commands.run(["rpm", "--query", "--file", "--queryformat", "%{NAME}: ", path], timeout=TIMEOUT, check=False)
    else:
        return ""
    return said.stdout.partition(":")[0].strip() if said.status == 0 else ""


def simulate_install(packages: Packages, commands: Commands, *, upgrade: bool) -> Simulation:
    """What installing these packages would do to others. upgrade: those that are installed may be changed, too."""
    if packages.manager == "apt-get":
        # packages on the command line that are installed stay as they are, as with state: present
        kept = () if upgrade else ("--no-upgrade",)
        argv = ["apt-get", "--simulate", "--no-install-recommends", *kept, "install", *packages.wanted]
        read = apt_simulation
    else:
        said = commands.run(["rpm", "--query", *packages.wanted], timeout=TIMEOUT, check=False)
        wanted = NOT_INSTALLED.findall(said.stdout)
        if not wanted:
            return Simulation()
        argv = ["dnf", "--assumeno", "--cacheonly", "--setopt=install_weak_deps=False", "install", *wanted]
        read = dnf_simulation
    completed = commands.run(argv, timeout=TIMEOUT, check=False)
    return replace(read(completed.status, completed.stdout, completed.stderr), command=" ".join(argv))
