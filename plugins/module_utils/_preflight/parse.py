# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the kernel's and the host's own texts. Every function takes a file's or a command's whole text."""

from __future__ import annotations

import ipaddress
import json
import re
import shlex
from collections.abc import Iterable
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.model import CniConfiguration, Distribution

LISTENING = "0A"
ROUTE_IS_UP = 0x1
ROUTE_REJECTS = 0x200
ANY_IPV6 = "0" * 32
VERSION = re.compile(r"\bv?(\d+\.\d+(\.\d+)?\S*)", re.ASCII)


def listening_sockets(text: str) -> list[tuple[int, str]]:
    """(port, inode) of every listening socket in /proc/net/tcp or tcp6, each socket once."""
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == LISTENING:
            found.append((int(fields[1].rpartition(":")[2], 16), fields[9]))
    return found


def swaps(text: str) -> tuple[str, ...]:
    """The devices and files in /proc/swaps."""
    return tuple(line.split()[0] for line in text.splitlines()[1:] if line.strip())


def memory_mib(text: str) -> Optional[int]:
    """The total of /proc/meminfo in MiB."""
    for line in text.splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    return None


def enabled_controllers(text: str) -> frozenset[str]:
    """The enabled controllers of version 1 in /proc/cgroups."""
    rows = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return frozenset(row[0] for row in rows if len(row) == 4 and row[3] == "1")


def mounted_controllers(text: str) -> frozenset[str]:
    """The controllers of version 1 that /proc/self/mountinfo shows as mounted."""
    found: set[str] = set()
    for line in text.splitlines():
        _mount, separator, filesystem = line.partition(" - ")
        fields = filesystem.split()
        if separator and fields and fields[0] == "cgroup":
            found.update(option for option in fields[-1].split(",") if option not in ("rw", "ro") and "=" not in option)
    return frozenset(found)


def has_default_route_ipv4(text: str) -> bool:
    """Whether /proc/net/route has a default route that is up and passes."""
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 7 and fields[1] == fields[7] == "00000000" and _passes(int(fields[3], 16)):
            return True
    return False


def has_default_route_ipv6(text: str) -> bool:
    """Whether /proc/net/ipv6_route has a default route that is up and passes; the kernel's own reject route is on ``lo``."""
    for line in text.splitlines():
        fields = line.split()
        if len(fields) > 9 and fields[0] == ANY_IPV6 and fields[1] == "00" and fields[9] != "lo" and _passes(int(fields[8], 16)):
            return True
    return False


def _passes(flags: int) -> bool:
    return bool(flags & ROUTE_IS_UP) and not flags & ROUTE_REJECTS


def addresses(text: str) -> Optional[tuple[str, ...]]:
    """All addresses in the output of ``ip -json address show``, canonical; None if it is none."""
    try:
        interfaces = json.loads(text)
        return tuple(
            str(ipaddress.ip_address(info["local"]))
            for interface in interfaces
            for info in interface.get("addr_info", ())
            if "local" in info
        )
    except (ValueError, KeyError, AttributeError, TypeError):
        return None


def cni_configuration(file: str, text: str) -> CniConfiguration:
    """A file of /etc/cni/net.d: a single plugin (``.conf``) or a list of them (``.conflist``)."""
    try:
        content: Any = json.loads(text)
        plugins: Iterable[Any] = content.get("plugins", [content])
        return CniConfiguration(file, tuple(str(plugin["type"]) for plugin in plugins))
    except (ValueError, KeyError, AttributeError, TypeError):
        return CniConfiguration(file)


def builtin_modules(text: str) -> frozenset[str]:
    """The names in a kernel's modules.builtin, which holds paths."""
    paths = (line.strip() for line in text.splitlines())
    return frozenset(path.rpartition("/")[2].partition(".ko")[0].replace("-", "_") for path in paths if path)


def loaded_modules(text: str) -> frozenset[str]:
    """The names in /proc/modules."""
    return frozenset(line.split()[0] for line in text.splitlines() if line.strip())


def distribution(text: str) -> Optional[Distribution]:
    """What os-release says, which is written as a shell reads it; None if it names no distribution."""
    fields = {}
    for line in text.splitlines():
        key, _equals, value = line.partition("=")
        try:
            fields[key.strip()] = " ".join(shlex.split(value))
        except ValueError:
            continue
    if not fields.get("ID"):
        return None
    version = fields.get("VERSION_ID", "")
    return Distribution(
        fields["ID"], version, fields.get("PRETTY_NAME") or f"{fields['ID']} {version}", frozenset(fields.get("ID_LIKE", "").split())
    )


def containerd_directories(text: str) -> dict[str, str]:
    """``root`` and ``state`` of containerd's configuration, which is TOML: before its first table."""
    settings = re.split(r"^\s*\[", text, maxsplit=1, flags=re.MULTILINE)[0]
    return {name: value for name, _quote, value in re.findall(r"""^\s*(root|state)\s*=\s*(["'])(.*?)\2""", settings, re.MULTILINE)}


def version(text: str) -> Optional[str]:
    """The first version number in what a program says of itself."""
    found = VERSION.search(text)
    return found[1] if found else None


def candidate(text: str) -> Optional[str]:
    """The version that ``apt-cache policy`` would have installed."""
    found = re.search(r"^\s*Candidate:\s*(?:\d+:)?(\d\S*)", text, re.MULTILINE)
    return found[1] if found else None
