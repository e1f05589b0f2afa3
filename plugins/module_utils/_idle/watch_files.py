# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The watch on the control plane: program, configuration, key pair and timer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._idle import places
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.configuration import as_text, known_hosts, with_known_keys
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.demand import TABLE
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.guard_files import refuse_missing
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.standing import Host, changed, diff
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

TOOLS = {
    "nft": "nftables",
    "kubectl": "kubectl",
    "ssh": "openssh-client (Debian) or openssh-clients",
    "ssh-keygen": "openssh-client (Debian) or openssh-clients",
    "ss": "iproute2",
    "ip": "iproute2",
    "who": "coreutils",
    "systemctl": "systemd",
}
SERVICE = """\
[Unit]
Description=Suspend workers that nobody uses, and wake those that somebody asks for
After=network-online.target
ConditionPathExists={configuration}

[Service]
Type=oneshot
ExecStart={python} -I {program}
# a drain, a host that goes down, one that comes up, and its node, each with a bound of its own
TimeoutStartSec={longest}
"""
TIMER = f"""\
[Unit]
Description=Start {places.SERVICE} every minute

[Timer]
OnCalendar=minutely
AccuracySec=1s

[Install]
WantedBy=timers.target
"""


def ensure(host: Host, options: Mapping[str, Any], entry: str, *, check_mode: bool) -> dict[str, Any]:
    """The module's result."""
    return _absent(host, check_mode) if options["state"] == "absent" else _present(host, options, entry, check_mode)


def _present(host: Host, options: Mapping[str, Any], entry: str, check_mode: bool) -> dict[str, Any]:
    if not check_mode:
        refuse_missing(host, TOOLS)
    workers = with_known_keys(options["workers"], host.read_text(places.KNOWN_HOSTS))
    units = f"{places.UNITS}/{places.SERVICE}", f"{places.UNITS}/{places.TIMER}"
    service = SERVICE.format(
        configuration=places.CONFIGURATION, python=host.python, program=places.PROGRAM, longest=6 * options["timeout"]
    )  # fmt: skip
    wanted: dict[str, Optional[str]] = {
        places.PROGRAM: host.program(entry),
        places.CONFIGURATION: as_text({**options, "workers": workers}),
        places.KNOWN_HOSTS: known_hosts(workers),
        **dict(zip(units, (service, TIMER))),
    }
    found = changed(host, wanted)
    has_key = None not in (host.read_text(places.KEY), host.read_text(f"{places.KEY}.pub"))
    runs = _timer_runs(host) and not found.keys() & set(units)
    result = {"changed": bool(found) or not has_key or not runs, "diff": diff(host, found)}
    if not check_mode:
        for path, text in found.items():
            host.write({path: text}, new_mode=0o600 if path == places.CONFIGURATION else 0o644)
        if not has_key:
            _make_key(host)
        if not runs:
            _start(host)
    return {**result, "public_key": (host.read_text(f"{places.KEY}.pub") or "").strip()}


def _absent(host: Host, check_mode: bool) -> dict[str, Any]:
    unit_files = [f"{places.UNITS}/{places.TIMER}", f"{places.UNITS}/{places.SERVICE}"]
    files = [*unit_files, places.PROGRAM, places.CONFIGURATION, places.KNOWN_HOSTS, places.KEY, f"{places.KEY}.pub", places.STATE]
    there = [path for path in files if host.read_text(path) is not None]
    shown = [path for path in there if path not in (places.KEY, places.STATE)]
    table = ["nft", "list", "table", "inet", TABLE]
    has_table = host.commands.has("nft") and host.commands.run(table, check=False).status == 0
    result = {"changed": bool(there) or has_table, "diff": diff(host, dict.fromkeys(shown)), "public_key": ""}
    if check_mode or not result["changed"]:
        return result
    if set(unit_files) & set(there):
        host.commands.run(["systemctl", "disable", "--now", places.TIMER], check=False)
        host.commands.run(["systemctl", "stop", places.SERVICE], check=False, timeout=120)
    for path in there:
        host.write({path: None})
    host.remove(places.STATE_DIRECTORY)
    host.remove_empty(places.DIRECTORIES)
    host.commands.run(["systemctl", "daemon-reload"])
    if has_table:
        host.commands.run(["nft", "delete", "table", "inet", TABLE], check=False)
    return result


def _timer_runs(host: Host) -> bool:
    states = [host.commands.run(["systemctl", verb, "--quiet", places.TIMER], check=False).status for verb in ("is-enabled", "is-active")]
    return states == [0, 0]


def _make_key(host: Host) -> None:
    # one of the two alone is what a killed run has left
    for path in (places.KEY, f"{places.KEY}.pub"):
        host.remove(path)
    host.commands.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "vmstation-idle-watch", "-f", places.KEY])


def _start(host: Host) -> None:
    for verb in (["daemon-reload"], ["enable", places.TIMER], ["restart", places.TIMER]):
        host.commands.run(["systemctl", *verb])
    if not _timer_runs(host):
        raise Refusal(places.TIMER, "not active after it was started", "enabled and active", f"See `systemctl status {places.TIMER}`.")
