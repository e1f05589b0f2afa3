# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard on a worker: a program, and the one line by which the watch's key starts it and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._idle.places import DIRECTORIES, GUARD
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.standing import Host, changed, diff
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

TOOLS = {"conntrack": "conntrack", "ss": "iproute2", "ip": "iproute2", "who": "coreutils", "systemctl": "systemd"}
NO_KEY = "ssh-ed25519 (made with the change)"


def ensure(host: Host, options: Mapping[str, Any], entry: str, *, check_mode: bool) -> dict[str, Any]:
    """The module's result."""
    if options["state"] == "absent":
        program, line = None, ""
    else:
        if not check_mode:
            refuse_missing(host, TOOLS)
        program, line = host.program(entry), _line(host, options, check_mode)
    keys = options["authorized_keys"]
    wanted = {GUARD: program, keys: with_line(host.read_text(keys), line)}
    found = changed(host, wanted)
    result = {"changed": bool(found), "diff": diff(host, found)}
    if not check_mode:
        # the program comes first, and goes last
        for path in sorted(found, key=lambda path: path == (keys if line else GUARD)):
            host.write({path: found[path]}, new_mode=0o600 if path == keys else 0o644)
        if found and not line:
            host.remove_empty(DIRECTORIES)
    return result


def refuse_missing(host: Host, tools: Mapping[str, str]) -> None:
    missing = [tool for tool in tools if not host.commands.has(tool)]
    if missing:
        packages = ", ".join(dict.fromkeys(tools[tool] for tool in missing))
        found = f"not on this host: {', '.join(missing)}"
        raise Refusal("programs of the idle watch", found, "to be installed", f"Install them ({packages}), then run again.")


def with_line(keys: Optional[str], line: str) -> Optional[str]:
    """The file with this line in place of those that start our guard; without one if it is empty. No other line changes."""
    if keys is None:
        return line or None
    lines = keys.splitlines(keepends=True)
    ours = [index for index, one in enumerate(lines) if GUARD in one and not one.startswith("#")]
    if line and ours:
        lines[ours[0]] = line
        del ours[0]
    elif line:
        if lines and not lines[-1].endswith("\n"):
            lines[-1] += "\n"
        lines.append(line)
    return "".join(one for index, one in enumerate(lines) if index not in ours)


def _line(host: Host, options: Mapping[str, Any], check_mode: bool) -> str:
    key = " ".join(options["public_key"].split()[:2])
    if not key and check_mode:
        key = NO_KEY
    if not key.startswith("ssh-ed25519 "):
        raise Refusal("public_key", repr(options["public_key"]), "the key that idle_watch returns", "Pass its `public_key`.")
    return f'restrict,command="{host.python} -I {GUARD} {options["unit"]}" {key} vmstation-idle-watch\n'
