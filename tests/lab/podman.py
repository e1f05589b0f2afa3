# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Podman with the settings that systemd hosts need on this machine, kept in the cache: /etc/containers stays as it is."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

from tests.lab import machine
from tests.lab.cache import cache, digest, write
from tests.lab.say import LabError


class Podman:
    """Runs podman; with a network namespace, inside it, so that bridge, addresses and netfilter rules are made there."""

    def __init__(self, directory: Path | None = None, namespace: str | None = None) -> None:
        """directory: where its settings and networks are kept (default: one for images only). namespace: of ``ip netns``."""
        self.directory = directory or cache() / "podman"
        self.namespace = namespace
        self._configuration = self.directory / "containers.conf"
        self.env = {**os.environ, "CONTAINERS_CONF": str(self._configuration), "PATH": machine.path()}

    def configure(self) -> None:
        """Write the settings, unless they stand already."""
        (self.directory / "networks").mkdir(parents=True, exist_ok=True)
        text = _configuration(self.directory)
        if not self._configuration.exists() or self._configuration.read_text() != text:
            write(self._configuration, text)

    def argv(self, *argv: str) -> list[str]:
        """The command that runs podman with these arguments."""
        if not self._configuration.exists():
            self.configure()
        inside = ["nsenter", f"--net=/run/netns/{self.namespace}"] if self.namespace else []
        return [*inside, "podman", *argv]

    def run(self, *argv: str, timeout: float = 300) -> str:
        """Run to the end and return its standard output, stripped."""
        process = subprocess.run(
            self.argv(*argv), env=self.env, capture_output=True, text=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL
        )
        if process.returncode:
            raise LabError(f"`podman {' '.join(argv)}` ended with status {process.returncode}: {process.stderr.strip()}")
        return process.stdout.strip()

    def succeeds(self, *argv: str) -> bool:
        return (
            subprocess.run(
                self.argv(*argv), env=self.env, capture_output=True, check=False, timeout=300, stdin=subprocess.DEVNULL
            ).returncode
            == 0
        )


def runtime() -> str:
    """What podman runs containers with: crun refuses a hybrid cgroup tree, runc does not."""
    unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    return "crun" if unified and shutil.which("crun", path=machine.path()) else "runc"


def _configuration(directory: Path) -> str:
    # Without CAP_SYS_RESOURCE podman's default limits cannot be set.
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = 1048576 if files == resource.RLIM_INFINITY else min(files, 1048576)
    # events of the lab's own: podman would share one file, cut it at 1 MB, and may lose who reads it then
    return f"""\
[containers]
default_ulimits = ["nofile={files}:{files}", "nproc=32768:32768"]
pids_limit = 0
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
events_logfile_path = "{directory}/events.log"
events_logfile_max_size = "1g"
runtime = "{runtime()}"
hooks_dir = ["{_shield()}"]
[network]
network_backend = "netavark"
network_config_dir = "{directory}/networks"
"""


def _shield() -> Path:
    """The directory of a hook that leaves hosts only their own part of /proc/sys: kernel, vm and fs are the machine's."""
    script = Path(__file__).with_name("shield.py").read_text()
    interpreter = str(Path(sys.executable).resolve())
    # a copy, because sleeping hosts may outlive this checkout
    directory = cache() / f"hooks-{digest(script, interpreter)}"
    if not (directory / "shield.json").exists():
        directory.mkdir(exist_ok=True)
        write(directory / "shield.py", script)
        hook = {
            "version": "1.0.0",
            "hook": {"path": interpreter, "args": ["python3", "-I", str(directory / "shield.py")]},
            "when": {"annotations": {"^vmstation.lab$": ".*"}},
            "stages": ["precreate"],
        }
        write(directory / "shield.json", json.dumps(hook))
    return directory
