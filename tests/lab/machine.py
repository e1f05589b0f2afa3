# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machine needs before there can be a lab: a few Debian packages, installed only if missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.lab.cache import locked
from tests.lab.say import LabError, quietly, say, step

# program or file -> the Debian package that brings it: for hosts, and for anything at all
NEEDED = {
    "podman": "podman",
    "runc": "runc",
    "/usr/lib/podman/netavark": "netavark",
    "iptables": "iptables",
    "mmdebstrap": "mmdebstrap",
    "ssh-keygen": "openssh-client",
    "ip": "iproute2",
}
HOSTLESS = {"git": "git", "zstd": "zstd", "shellcheck": "shellcheck"}
# for the tests that look at a page
BROWSER = {"chromium": "chromium"}
# for the programs and images of a cluster, beside Go, which Debian has in older releases only
CLUSTER = {"gcc": "gcc", "/usr/include/stdlib.h": "libc6-dev", "mmdebstrap": "mmdebstrap"}
# for what is published instead
PUBLISHED = {"curl": "curl", "/etc/ssl/certs/ca-certificates.crt": "ca-certificates", "skopeo": "skopeo"}
# for hosts with a kernel of their own
EMULATION = {"qemu-system-x86_64": "qemu-system-x86", "mkfs.ext4": "e2fsprogs"}
SBIN = ":/usr/local/sbin:/usr/sbin:/sbin"


def path() -> str:
    return os.environ.get("PATH", os.defpath) + SBIN


def has(program: str) -> bool:
    return Path(program).exists() if program.startswith("/") else shutil.which(program, path=path()) is not None


def missing_packages(
    *, hosts: bool = True, cluster: bool = False, published: bool = False, emulation: bool = False, browser: bool = False
) -> list[str]:
    """The Debian packages that must come before there can be a virtual environment and whatever else is asked for."""
    asked = ((NEEDED, hosts), (CLUSTER, cluster), (PUBLISHED, published), (EMULATION, emulation), (BROWSER, browser))
    needed = {**HOSTLESS, **{program: package for packages, is_asked in asked if is_asked for program, package in packages.items()}}
    missing = [package for program, package in needed.items() if not has(program)]
    ensurepip = subprocess.run([sys.executable, "-c", "import ensurepip"], capture_output=True, check=False)
    if ensurepip.returncode:
        missing.append("python3-venv")
    return missing


def why_no_lab() -> str | None:
    """The reason why this machine cannot have a lab, or None."""
    if os.geteuid() != 0:
        return "the lab needs root (network namespaces and systemd containers)"
    packages = [package for package in missing_packages() if package != "python3-venv"]
    if packages:
        return f"not installed: {' '.join(packages)} (`make lab` or `make test` installs them)"
    return None


def install_missing(*, hosts: bool, cluster: bool = False, published: bool = False, emulation: bool = False, browser: bool = False) -> None:
    """Install what is missing, with apt; elsewhere name it."""
    asked = {"hosts": hosts, "cluster": cluster, "published": published, "emulation": emulation, "browser": browser}
    if not missing_packages(**asked):
        return
    # several phases may ask at a time, and apt serves one
    with locked("packages"):
        packages = missing_packages(**asked)
        if packages:
            _install(packages)


def _install(packages: list[str]) -> None:
    if os.geteuid() != 0:
        raise LabError(f"not root, and missing: {' '.join(packages)}. Install them, or run as root.")
    if shutil.which("apt-get") is None:
        raise LabError(f"missing, and this machine has no apt: what Debian calls {' '.join(packages)}. Install them.")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    say(f"Debian packages missing: {' '.join(packages)}")
    with step("apt-get update"):
        quietly(["apt-get", "update", "-q"], env=environment)
    with step("apt-get install"):
        quietly(["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages], env=environment)
