# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lab may not touch of the machine, and what there is of a lab."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.lab import Lab, machine

# what the kernel counts, not what anybody sets
COUNTERS = re.compile(r"kernel/(random/|ns_last_pid|pty/nr|perf_event_max_sample_rate)|fs/(\w+-nr|\w+-state|quota/)|debug/")
# other labs may come and go meanwhile; what they and podman mount is in these places
PODMAN = ("/var/lib/containers/", "/run/containers/", "/run/netns", "/run/user/")


def _output_of(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True, env={**os.environ, "PATH": machine.path()}).stdout


def _sysctls() -> Iterator[tuple[str, str]]:
    for path in sorted(Path("/proc/sys").rglob("*")):
        name = str(path.relative_to("/proc/sys"))
        if path.is_file() and not name.startswith("net/") and not COUNTERS.match(name):
            try:
                yield name, path.read_text()
            except (OSError, UnicodeDecodeError):
                continue  # for writing only


def machine_state() -> dict[str, object]:
    """What of the machine's own no lab may touch."""

    def rules(program: str) -> list[str]:
        return [line for line in _output_of(program).splitlines() if not line.startswith("#")]

    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    hierarchies = [Path(target) for _source, target, kind, *_rest in mounts if kind.startswith("cgroup")]
    settings = ("release_agent", "notify_on_release", "cgroup.subtree_control", "cgroup.clone_children")
    return {
        "interfaces": re.sub(r"(valid_lft|preferred_lft) \S+", "", _output_of("ip", "address")),
        "routes": _output_of("ip", "route", "show", "table", "all"),
        "netfilter": [rules("iptables-save"), rules("ip6tables-save")],
        "sysctls": {**dict(_sysctls()), "net.ipv4.ip_forward": Path("/proc/sys/net/ipv4/ip_forward").read_text()},
        "mounts": [mount for mount in mounts if not mount[1].startswith(PODMAN)],
        # controller and hierarchy, without the number of groups
        "controllers": [line.split()[:2] for line in Path("/proc/cgroups").read_text().splitlines()],
        "hierarchies": {str(path / name): (path / name).read_text() for path in hierarchies for name in settings if (path / name).exists()},
    }


def traces(name: str, containers: list[str], namespace: int) -> list[str]:
    """What there is of a lab on this machine. containers: the full identifiers that it had. namespace: the inode of its network's."""
    listed = {
        "netns": _output_of("ip", "netns").split(),
        "container": _output_of("podman", "ps", "-a", "--format", "{{.Names}}").split(),
        "volume": _output_of("podman", "volume", "ls", "--format", "{{.Name}}").split(),
        "mount": _output_of("cat", "/proc/mounts").splitlines(),
        "cgroup": [str(path) for path in Path("/sys/fs/cgroup").rglob("libpod*")],
    }
    ours = (f"/run/netns/{name} ", f"{name}-", *containers)
    found = [f"{kind} {line}" for kind, lines in listed.items() for line in lines if line == name or any(one in line for one in ours)]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            network = (process / "ns" / "net").stat().st_ino
        except OSError:
            continue  # it has ended meanwhile
        if network == namespace or any(one in words for one in containers):
            found.append(f"process {process.name} {words}")
    if Lab(name).directory.exists():
        found.append(f"directory {Lab(name).directory}")
    return found
