# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The idle watch's configuration and files: installed on the control plane, and its guard on workers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from .._json import read_json
from .._programs import Host, Timed, ensure_answering, ensure_timed, key_line, known_hosts, refuse_missing, remove_timed, with_known_keys
from .._refusal import Refusal
from .._wake.wake import Request, Target, read_request

# Where the idle watch keeps what it is made of.

GUARD = "/usr/local/lib/vmstation/idle-guard.pyz"

PROGRAM = "/usr/local/lib/vmstation/idle-watch.pyz"
CONFIGURATION = "/etc/vmstation/idle-watch.json"
KNOWN_HOSTS = "/etc/vmstation/idle-watch.known_hosts"
KEY = "/etc/vmstation/idle-watch.key"
STATE_DIRECTORY = "/var/lib/vmstation/idle-watch"
STATE = f"{STATE_DIRECTORY}/state.json"

# kubectl keeps what the API serves below the home directory, which a service of systemd does not have
KUBECTL_CACHE = f"{STATE_DIRECTORY}/kubectl"
KUBECONFIG = "/etc/kubernetes/admin.conf"
# the cordon that is ours: playbooks/tasks/uncordon.yml takes any value of it away
CORDONED_BY = "vmstation.cluster/cordoned-by"
US = "idle-watch"
# the counters of nftables, for NodePorts that only a sleeping worker could answer
TABLE = "vmstation_idle_watch"
TIMED = Timed(
    name="vmstation-idle-watch",
    key=KEY,
    state=STATE_DIRECTORY,
    files=(PROGRAM, CONFIGURATION, KNOWN_HOSTS),
    private=frozenset({CONFIGURATION}),
)
SUBJECT = "programs of the idle watch"


# The configuration of the watch: the file that the module idle_watch writes.


@dataclass(frozen=True)
class Configuration:
    """workers: that the watch may put to sleep. minutes: for which a worker must have been unused. load: that it must not exceed.

    asking_namespaces: whose Pods connect to all others by themselves. may_stop: workloads, as namespace/name. timeout: seconds for each of
    a drain, a host that goes down, one that comes up, and a node that gets ready.
    """

    workers: tuple[Target, ...]
    broadcast: str
    minutes: float
    load: float
    asking_namespaces: frozenset[str]
    may_stop: frozenset[str]
    timeout: int

    @property
    def quiet(self) -> float:
        """Seconds."""
        return self.minutes * 60

    def request(self, *workers: Target) -> Request:
        return Request(workers, self.broadcast, timeout=float(self.timeout))


def as_text(options: Mapping[str, Any]) -> str:
    """The file for options of the module. Everything that is wrong with them is a Refusal."""
    request = read_request({"hosts": options["workers"], "broadcast": options["broadcast"]})
    wrong = [name for name in ("minutes", "load", "timeout") if options[name] <= 0]
    if wrong:
        found = ", ".join(f"{name} {options[name]:g}" for name in wrong)
        raise Refusal("the idle watch", found, "numbers above 0", "Correct them, or remove them.")
    data = {
        "workers": [target.__dict__ for target in request.targets],
        "broadcast": request.broadcast,
        **{name: options[name] for name in ("minutes", "load", "timeout")},
        **{name: sorted(options[name]) for name in ("asking_namespaces", "may_stop")},
    }
    return json.dumps(data, indent=1) + "\n"


def read_configuration(text: Optional[str]) -> Configuration:
    try:
        data = read_json(text or "")
        workers = tuple(Target(**one) for one in data["workers"])
        sets = {name: frozenset(data[name]) for name in ("asking_namespaces", "may_stop")}
        return Configuration(**{**data, **sets, "workers": workers})
    except (ValueError, KeyError, TypeError) as error:
        raise Refusal(CONFIGURATION, f"not what this collection writes ({error})", "the idle watch's own file", "Run site.yml.") from error


# The guard on a worker: a program, and the one line by which the watch's key starts it and nothing else.

GUARD_TOOLS = {"conntrack": "conntrack", "ss": "iproute2", "ip": "iproute2", "who": "coreutils", "systemctl": "systemd"}


def ensure_guard(host: Host, options: Mapping[str, Any], entry: str, *, check_mode: bool) -> dict[str, Any]:
    """The module's result."""
    line = ""
    if options["state"] == "present":
        if not check_mode:
            refuse_missing(host, SUBJECT, GUARD_TOOLS)
        command = [host.python, "-I", GUARD, options["unit"]]
        line = key_line(command, options["public_key"], options["from_addresses"], TIMED.name, check_mode=check_mode)
    return ensure_answering(host, GUARD, entry, options["authorized_keys"], line, check_mode=check_mode)


# The watch on the control plane: program, configuration, key pair and timer.

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
SERVICE_UNIT = """\
[Unit]
Description=Suspend unused workers, and wake those that clients connect to
After=network-online.target
ConditionPathExists={configuration}

[Service]
Type=oneshot
ExecStart={python} -I {program}
# a drain, a host that goes down, one that comes up, and its node, each with a bound of its own
TimeoutStartSec={longest}
"""
TIMER_UNIT = f"""\
[Unit]
Description=Start {TIMED.service} every minute

[Timer]
OnCalendar=minutely
AccuracySec=1s

[Install]
WantedBy=timers.target
"""


def ensure_watch(host: Host, options: Mapping[str, Any], entry: str, *, check_mode: bool) -> dict[str, Any]:
    """The module's result."""
    return _absent(host, check_mode) if options["state"] == "absent" else _present(host, options, entry, check_mode)


def _present(host: Host, options: Mapping[str, Any], entry: str, check_mode: bool) -> dict[str, Any]:
    if not check_mode:
        refuse_missing(host, SUBJECT, TOOLS)
    # a worker that cannot be asked cannot be put to sleep
    workers = [one for one in with_known_keys(options["workers"], host.read_text(KNOWN_HOSTS)) if one["host_keys"]]
    service = SERVICE_UNIT.format(
        configuration=CONFIGURATION, python=host.python, program=PROGRAM, longest=6 * options["timeout"]
    )  # fmt: skip
    wanted: dict[str, Optional[str]] = {
        PROGRAM: host.program(entry),
        CONFIGURATION: as_text({**options, "workers": workers}),
        KNOWN_HOSTS: known_hosts(workers),
        **dict(zip(TIMED.units, (service, TIMER_UNIT))),
    }
    return ensure_timed(host, TIMED, wanted, check_mode=check_mode)


def _absent(host: Host, check_mode: bool) -> dict[str, Any]:
    table = ["nft", "list", "table", "inet", TABLE]
    has_table = host.commands.has("nft") and host.commands.run(table, check=False).status == 0
    result = remove_timed(host, TIMED, has_table, check_mode=check_mode)
    if has_table and not check_mode:
        host.commands.run(["nft", "delete", "table", "inet", TABLE], check=False)
    return result
