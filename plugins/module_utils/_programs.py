# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of ours that a host runs by itself: their files, their timers, and the keys by which one host starts one on another."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable, Optional

from ._host.commands import Commands
from ._host.files import Write
from ._refusal import Refusal

Contents = Mapping[str, Optional[str]]

UNITS = "/etc/systemd/system"
# made for files of ours
DIRECTORIES = ("/usr/local/lib/vmstation", "/etc/vmstation", "/var/lib/vmstation")
# systemd's own of timers with Persistent=
STAMPS = "/var/lib/systemd/timers"
NO_KEY = "ssh-ed25519 (made with the change)"
# seconds
CONNECT = 5


@dataclass(frozen=True)
class Host:
    """A host's I/O.

    program: our own code as one file, with this entry. remove: a file, or a directory with all in it. remove_empty: directories that hold
    nothing. is_there: whether there is something of this name.
    """

    commands: Commands
    read_text: Callable[[str], Optional[str]]
    write: Write
    remove: Callable[[str], None]
    program: Callable[[str], str]
    python: str
    remove_empty: Callable[[Iterable[str]], None] = lambda directories: None
    is_there: Callable[[str], bool] = lambda path: False


def changed(host: Host, wanted: Contents) -> dict[str, Optional[str]]:
    """Those that are not as they must be. None: no such file."""
    return {path: text for path, text in wanted.items() if host.read_text(path) != text}


def diff(host: Host, contents: Contents) -> list[dict[str, Any]]:
    return [
        {"before_header": path, "after_header": path, "before": _shown(path, host.read_text(path)), "after": _shown(path, text)}
        for path, text in contents.items()
    ]


def refuse_missing(host: Host, subject: str, tools: Mapping[str, str]) -> None:
    """tools: programs, each with the package that has it."""
    missing = [tool for tool in tools if not host.commands.has(tool)]
    if missing:
        packages = ", ".join(dict.fromkeys(tools[tool] for tool in missing))
        found = f"not on this host: {', '.join(missing)}"
        raise Refusal(subject, found, "to be installed", f"Install them ({packages}), then run again.")


def _shown(path: str, text: Optional[str]) -> str:
    if text is None:
        return ""
    if not path.endswith(".pyz"):
        return text
    return f"SHA-256 {hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()}\n"


# The line of authorized_keys by which a key starts one program of ours, and nothing else.


def key_line(command: Sequence[str], public_key: str, sources: Iterable[str], comment: str, *, check_mode: bool) -> str:
    """command: without blanks or quotes in its words. sources: addresses that the key is accepted from; all without any."""
    key = " ".join(public_key.split()[:2])
    if not key and check_mode:
        key = NO_KEY
    if not key.startswith("ssh-ed25519 "):
        raise Refusal("public_key", repr(public_key), f"the key that {comment} returns", "Pass its `public_key`.")
    listed = ",".join(map(_source, sources))
    source = f'from="{listed}",' if listed else ""
    return f'restrict,{source}command="{" ".join(command)}" {key} {comment}\n'


def with_line(keys: Optional[str], program: str, line: str) -> Optional[str]:
    """The file with this line in place of those that start our program; without one if it is empty. No other line changes."""
    if keys is None:
        return line or None
    lines = keys.splitlines(keepends=True)
    ours = [index for index, one in enumerate(lines) if program in one and not one.startswith("#")]
    if line and ours:
        lines[ours[0]] = line
        del ours[0]
    elif line:
        if lines and not lines[-1].endswith("\n"):
            lines[-1] += "\n"
        lines.append(line)
    return "".join(one for index, one in enumerate(lines) if index not in ours)


def ensure_answering(host: Host, program: str, entry: str, keys: str, line: str, *, check_mode: bool) -> dict[str, Any]:
    """Keep a program and its line in the file ``keys``, or remove both if the line is empty. The module's result."""
    wanted = {program: host.program(entry) if line else None, keys: with_line(host.read_text(keys), program, line)}
    found = changed(host, wanted)
    result = {"changed": bool(found), "diff": diff(host, found)}
    if not check_mode:
        # the program comes first, and goes last
        for path in sorted(found, key=lambda path: path == (keys if line else program)):
            host.write({path: found[path]}, new_mode=0o600 if path == keys else 0o644)
        if found and not line:
            host.remove_empty(DIRECTORIES)
    return result


def _source(address: str) -> str:
    """An address as sshd compares it. Raises Refusal for anything else, which would end the option, or the line."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        raise Refusal(
            "from_addresses", repr(address), "IPv4 or IPv6 addresses", "Pass the addresses of the host that connects with the key."
        ) from None


# The other side of it: the host keys that are accepted, and how to connect.


def with_known_keys(hosts: Sequence[Mapping[str, Any]], known: Optional[str]) -> list[Mapping[str, Any]]:
    """The hosts with host keys of their own, or else with those of the file; without any, a host cannot be asked yet."""
    keys: dict[str, list[str]] = {}
    for line in (known or "").splitlines():
        name, _space, key = line.partition(" ")
        keys.setdefault(name, []).append(key)
    named = [{**one, "name": one["name"].lower()} for one in hosts]
    return [{**one, "host_keys": one["host_keys"] or keys.get(one["name"], [])} for one in named]


def known_hosts(hosts: Iterable[Mapping[str, Any]]) -> str:
    """A line for each key of each host, by its name, which ``ssh_to`` gives as an alias."""
    return "".join(f"{one['name']} {key}\n" for one in hosts for key in one["host_keys"])


def ssh_to(name: str, address: str, port: int, word: str, *, key: str, known: str) -> list[str]:
    """The arguments that start our program on a host, as root. word: what it is asked."""
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": str(CONNECT),
        "GlobalKnownHostsFile": "/dev/null",
        "HostKeyAlias": name,
        "IdentitiesOnly": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": known,
    }
    argv = ["ssh", "-T", "-F", "none", "-i", key, "-p", str(port), *(f"-o{option}={value}" for option, value in options.items())]
    return [*argv, f"root@{address}", word]


# A program that a timer starts, with its key pair and what it remembers.


@dataclass(frozen=True)
class Timed:
    """name: of its units, and the comment of its key. key: path of its private key; empty: none. state: what it remembers.

    files: its other files, which the module writes; private: those of them for root alone. longest: seconds that it may take to stop.
    """

    name: str
    key: str
    state: str
    files: tuple[str, ...]
    private: frozenset[str]
    longest: float = 120

    @property
    def service(self) -> str:
        return f"{self.name}.service"

    @property
    def timer(self) -> str:
        return f"{self.name}.timer"

    @property
    def units(self) -> tuple[str, str]:
        return f"{UNITS}/{self.service}", f"{UNITS}/{self.timer}"


def ensure_timed(host: Host, timed: Timed, wanted: Contents, *, check_mode: bool) -> dict[str, Any]:
    """Keep its files, its key pair, and its timer that runs. The module's result."""
    found = changed(host, wanted)
    key_is_there = not timed.key or None not in (host.read_text(timed.key), host.read_text(f"{timed.key}.pub"))
    runs = unit_runs(host, timed.timer) and not needs_reload(host, timed.timer, timed.service) and not found.keys() & set(timed.units)
    result = {"changed": bool(found) or not key_is_there or not runs, "diff": diff(host, found)}
    if not check_mode:
        for path, text in found.items():
            host.write({path: text}, new_mode=0o600 if path in timed.private else 0o644)
        if not key_is_there:
            _make_key(host, timed)
        if not runs:
            _start(host, timed.timer)
    return {**result, "public_key": (host.read_text(f"{timed.key}.pub") or "").strip() if timed.key else ""}


def remove_timed(host: Host, timed: Timed, also: bool = False, *, check_mode: bool) -> dict[str, Any]:
    """Remove all of it. also: whether there is something else of it, which the caller removes."""
    files = [*reversed(timed.units), *timed.files, *([timed.key, f"{timed.key}.pub"] if timed.key else [])]
    there = [path for path in files if host.read_text(path) is not None]
    shown = [path for path in there if path != timed.key]
    result = {"changed": bool(there) or also or host.is_there(timed.state), "diff": diff(host, dict.fromkeys(shown)), "public_key": ""}
    if check_mode or not result["changed"]:
        return result
    if set(timed.units) & set(there):
        host.commands.run(["systemctl", "disable", "--now", timed.timer], check=False)
        host.commands.run(["systemctl", "stop", timed.service], check=False, timeout=timed.longest)
    for path in there:
        host.write({path: None})
    host.remove(timed.state)
    host.remove(f"{STAMPS}/stamp-{timed.timer}")
    host.remove_empty(DIRECTORIES)
    host.commands.run(["systemctl", "daemon-reload"])
    # a failed run would be listed for ever
    host.commands.run(["systemctl", "reset-failed", timed.service, timed.timer], check=False)
    return result


def unit_runs(host: Host, unit: str) -> bool:
    """Whether it is enabled and active."""
    return [host.commands.run(["systemctl", verb, "--quiet", unit], check=False).status for verb in ("is-enabled", "is-active")] == [0, 0]


def needs_reload(host: Host, *units: str) -> bool:
    """Whether systemd has not read the units as they are: a run was killed between the two."""
    asked = ["systemctl", "show", "--property=NeedDaemonReload", "--value", *units]
    return "yes" in host.commands.run(asked, check=False).stdout.split()


def restart(host: Host, unit: str) -> None:
    """Enable it, and start it with the files as they are."""
    for verb in (["daemon-reload"], ["enable", unit], ["restart", unit]):
        host.commands.run(["systemctl", *verb])


def _make_key(host: Host, timed: Timed) -> None:
    # one of the two alone is what a killed run has left
    for one in (timed.key, f"{timed.key}.pub"):
        host.remove(one)
    host.commands.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", timed.name, "-f", timed.key])


def _start(host: Host, timer: str) -> None:
    restart(host, timer)
    if not unit_runs(host, timer):
        raise Refusal(timer, "not active after it was started", "enabled and active", f"See `systemctl status {timer}`.")
