# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file that brings our rules back after a reload or a boot, and the line in the host's own file that reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import NOTHING, PortSet, as_data, from_data
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.nftables_ruleset import ChainKey, Target

ReadText = Callable[[str], Optional[str]]
Matching = Callable[[str], list[str]]

# RHEL's service reads the first, Debian's the second
MAIN_FILES = ("/etc/sysconfig/nftables.conf", "/etc/nftables.conf")
WANTS = ("/etc/systemd/system/sysinit.target.wants/nftables.service", "/etc/systemd/system/multi-user.target.wants/nftables.service")
DIRECTORY = "/etc/nftables.d"
# used where the host's own file already reads all of DIRECTORY, maybe before the chains that we need are there
OTHER_DIRECTORY = "/etc/nftables.vmstation"
INCLUDED = re.compile(r'^\s*include\s+"([^"]+)"', re.MULTILINE)
# where nft looks for a file without a path
DEFAULT_DIRECTORY = "/etc"
OUR_FILE = re.compile(r"/vmstation-[a-z0-9-]+\.nft$")
OUR_LINE = re.compile(r'include "[^"]*/vmstation-[a-z0-9-]+\.nf\[t\]"')
HEADER = "# Made by vmstation.cluster.firewall_ports: run that again instead of editing this.\n# "


@dataclass(frozen=True)
class Saved:
    """What our file holds.

    targets: the chains that it jumps from; last: those in which its jump comes behind all that the host's own file has.
    elsewhere: those that the host's own file does not make.
    """

    ports: PortSet = NOTHING
    targets: tuple[Target, ...] = ()
    elsewhere: tuple[ChainKey, ...] = ()
    last: tuple[ChainKey, ...] = ()


def main_file(read_text: ReadText) -> tuple[str, str]:
    """Path and text of the file that the host's nftables service reads; two empty texts if there is none."""
    for path in MAIN_FILES:
        text = read_text(path)
        if text is not None:
            return path, text
    return "", ""


def main_with_includes(read_text: ReadText, match: Matching) -> str:
    """The main file and all that it includes, by path or by pattern, to see which tables are the administrator's."""
    main = main_file(read_text)
    texts: dict[str, str] = {}
    to_read = list(main[:1])
    while to_read:
        path = to_read.pop(0)
        if path in texts or OUR_FILE.search(path):
            continue
        texts[path] = read_text(path) or ""
        for pattern in INCLUDED.findall(without_any_include(texts[path])):
            to_read.extend(match(pattern if pattern.startswith("/") else f"{DEFAULT_DIRECTORY}/{pattern}"))
    return "\n".join(texts.values())


def is_enabled(read_text: ReadText) -> bool:
    return any(read_text(path) is not None for path in WANTS)


def saved_path(owner: str, main_text: str) -> str:
    path = f"{DIRECTORY}/vmstation-{owner}.nft"
    theirs = [pattern for pattern in INCLUDED.findall(main_text) if "/vmstation-" not in pattern]
    return f"{OTHER_DIRECTORY}/vmstation-{owner}.nft" if any(fnmatch(path, pattern) for pattern in theirs) else path


def includes(main_text: str, path: str) -> bool:
    return _line(path) in main_text.splitlines()


def with_include(main_text: str, path: str) -> str:
    """The main file with our line at its end, where all chains are there. ``without_include`` gives the same bytes back."""
    if includes(main_text, path):
        return main_text
    return f"{main_text}{_line(path)}\n" if main_text.endswith("\n") or not main_text else f"{main_text}\n{_line(path)}"


def without_include(main_text: str, path: str) -> str:
    line = _line(path)
    if main_text.endswith(f"\n{line}"):
        return main_text[: -len(line) - 1]
    return "".join(kept for kept in main_text.splitlines(keepends=True) if kept.rstrip("\n") != line)


def without_any_include(main_text: str) -> str:
    """What the administrator wrote, without the sets of every owner."""
    return "".join(line for line in main_text.splitlines(keepends=True) if not OUR_LINE.fullmatch(line.rstrip("\n")))


def header(saved: Saved) -> str:
    last = {"last": saved.last} if saved.last else {}
    data = {
        "set": as_data(saved.ports),
        "targets": saved.targets,
        "elsewhere": saved.elsewhere,
        **last,
    }
    return f"{HEADER}{json.dumps(data, sort_keys=True)}\n"


def read_header(text: str) -> Optional[Saved]:
    """What the header says; None if it is not ours. The caller compares the rest with what it would write for that."""
    if not text.startswith(HEADER):
        return None
    try:
        data = json.loads(text[len(HEADER) :].split("\n", 1)[0])
        targets = tuple((_key(key), str(hook)) for key, hook in data["targets"])
        elsewhere, last = (tuple(_key(key) for key in data.get(name, ())) for name in ("elsewhere", "last"))
        return Saved(from_data(data["set"]), targets, elsewhere, last)
    except (ValueError, KeyError, TypeError):
        return None


def _key(words: tuple[str, str, str]) -> ChainKey:
    family, table, chain = words
    return str(family), str(table), str(chain)


def _line(path: str) -> str:
    # [t] makes it a pattern, and no file for a pattern is no error: a boot never fails for want of our file
    return f'include "{path[:-1]}[{path[-1]}]"'
