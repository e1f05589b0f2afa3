# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""keepalived's configuration, service and health check on a control plane host: kept, removed, and checked.

The service is a unit of its own, with its own configuration: keepalived.service of the distribution, and a configuration of the owner in
/etc/keepalived, are neither used nor changed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from .._findings import Finding, LookedAt, Verdict, state_of
from .._json import read_json
from .._network_plan.model import Address
from .._programs import DIRECTORIES, UNITS, Host, changed, diff, needs_reload, refuse_missing, restart, unit_runs
from .._refusal import Refusal
from .._waiting import Clock, look_until

NAME = "vmstation-api-address"
SERVICE = f"{NAME}.service"
UNIT = f"{UNITS}/{SERVICE}"
CONFIGURATION = "/etc/vmstation/api-address.conf"
HEALTH = "/usr/local/lib/vmstation/api-health.py"
# it names addresses only; keepalived's password of VRRP 2 would cross the network in clear text, so VRRP 3 without one is used
FILES = (CONFIGURATION, HEALTH, UNIT)
TOOLS = {"keepalived": "keepalived", "ip": "iproute2", "systemctl": "systemd"}
# seconds until a host that was started alone has the address: three advertisements and a part of one
WAIT, POLL = 20.0, 0.5
API_PORT = 6443

# A host with a healthy API server has 100, another one 50. Equal priorities: an address that works stays where it is.
_CONFIGURATION = """\
# Written by the role control_plane of vmstation.cluster, which replaces changes.
global_defs {{
    router_id {name}
    vrrp_version 3
    enable_script_security
    script_user {user}
}}

vrrp_script api_server {{
    script "{python} -I -S {health} {own}"
    interval 2
    timeout 4
    fall 2
    rise 2
    weight -50
    init_fail
}}

vrrp_instance api {{
    state BACKUP
    interface {interface}
    virtual_router_id {number}
    priority 100
    advert_int 1
    # repeated for devices that have missed the first one
    garp_master_refresh 60
    unicast_src_ip {own}
    unicast_peer {{
{peers}
    }}
    virtual_ipaddress {{
        {address}/{prefix} dev {interface}
    }}
    track_script {{
        api_server
    }}
}}
"""
# the API server's certificate is not verified: the question goes to an address of this host
_HEALTH = f"""\
# Written by the role control_plane of vmstation.cluster, which replaces changes. keepalived runs it: is the API server here healthy?
import socket
import ssl
import sys

context = ssl._create_unverified_context()
with socket.create_connection((sys.argv[1], {API_PORT}), timeout=3) as plain, context.wrap_socket(plain) as connection:
    connection.sendall(b"GET /livez HTTP/1.0\\r\\nConnection: close\\r\\n\\r\\n")
    status = connection.recv(64).split(b" ")[1:2]
sys.exit(0 if status == [b"200"] else 1)
"""
_UNIT = """\
[Unit]
Description=Keep the address of the Kubernetes API on a control plane host that is healthy
Wants=network-online.target
After=network-online.target

[Service]
RuntimeDirectory={name}
ExecStart=/usr/sbin/keepalived --dont-fork --log-console --no-syslog --vrrp --use-file {configuration} \\
  --pid /run/{name}/main.pid --vrrp_pid /run/{name}/vrrp.pid
KillMode=mixed
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True)
class Wish:
    """name: of this host. address: that of the API. own: this host's, of the same family. peers: those of the other control planes."""

    name: str
    address: str
    own: str
    peers: tuple[str, ...]


def read_wish(options: Mapping[str, Any]) -> Wish:
    """Validate the module's options. nodes: the cluster's hosts; those with the role control_plane count. Raises Refusal."""
    address = _address(options["address"], "address")
    by_name = {
        str(node["name"]): _of_family(node, address) for node in options["nodes"] if node.get("role", "control_plane") == "control_plane"
    }
    name = options["name"]
    if name not in by_name:
        raise Refusal("name", name, f"a control plane host among nodes ({', '.join(by_name)})", "Correct the name, or add it to nodes.")
    return Wish(name.lower(), str(address), by_name[name], tuple(own for other, own in by_name.items() if other != name))


def _of_family(node: Mapping[str, Any], address: Address) -> str:
    given = node.get("address")
    subject = f"nodes: address of {node['name']}"
    for one in given if isinstance(given, (list, tuple)) else [given]:
        single = _address(one, subject)
        if single.version == address.version:
            return str(single)
    raise Refusal(subject, str(given), f"an IPv{address.version} address, as {address} is one", "Add it in the inventory.")


def _address(value: object, subject: str) -> Address:
    try:
        return ipaddress.ip_address(str(value))
    except ValueError:
        raise Refusal(subject, repr(value), "an IPv4 or IPv6 address", "Correct it in the inventory.") from None


def contents(wish: Wish, interface: str, python: str) -> dict[str, Optional[str]]:
    """Return the files by their paths."""
    single = ipaddress.ip_address(wish.address)
    configuration = _CONFIGURATION.format(
        user="nobody",
        name=wish.name,
        python=python,
        health=HEALTH,
        own=wish.own,
        interface=interface,
        # all hosts of the cluster must have the same; unicast reaches no other router
        number=int(single) % 255 + 1,
        peers="\n".join(f"        {peer}" for peer in wish.peers) or "        # none",
        address=wish.address,
        prefix=single.max_prefixlen,
    )
    return {CONFIGURATION: configuration, HEALTH: _HEALTH, UNIT: _UNIT.format(name=NAME, configuration=CONFIGURATION)}


def interfaces(text: str) -> dict[str, str]:
    """Return the interface of each address in `ip -json address`."""
    try:
        return {
            info["local"]: link["ifname"] for link in read_json(text or "[]") for info in link.get("addr_info") or () if info.get("local")
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Refusal("ip -json address", "no list of interfaces", "their addresses as JSON", "Run it on the host.") from None


def ensure(host: Host, clock: Clock, options: Mapping[str, Any], *, check_mode: bool) -> dict[str, Any]:
    """The module's result."""
    return _absent(host, check_mode) if options["state"] == "absent" else _present(host, clock, options, check_mode)


def _present(host: Host, clock: Clock, options: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    wish = read_wish(options)
    if not check_mode:
        refuse_missing(host, "programs for the address of the API", TOOLS)
    here = _here(host)
    if wish.own not in here:
        step = "Correct `address` or `ansible_host` of this host in the inventory."
        raise Refusal(f"host {wish.name}", f"no interface with the address {wish.own}", "the address of the inventory", step)
    found = changed(host, contents(wish, here[wish.own], host.python))
    runs = _runs(host) and not found
    shown = diff(host, found)
    if not check_mode:
        for path, text in found.items():
            host.write({path: text})
        if not runs:
            restart(host, SERVICE)
        if options["hold"]:
            here = look_until(lambda: _here(host), lambda seen: wish.address in seen, clock, WAIT, POLL)
            if wish.address not in here:
                raise _not_held(host, wish)
    return {"changed": not runs, "holds": wish.address in here, "diff": shown}


def _absent(host: Host, check_mode: bool) -> dict[str, Any]:
    there = [path for path in FILES if host.read_text(path) is not None]
    result = {"changed": bool(there), "holds": False, "diff": diff(host, dict.fromkeys(there))}
    if check_mode or not there:
        return result
    if UNIT in there:
        host.commands.run(["systemctl", "disable", "--now", SERVICE], check=False)
    _release(host)
    # the unit last: a run that is killed before finds it again
    for path in (one for one in FILES if one in there):
        host.write({path: None})
    host.remove_empty(DIRECTORIES)
    host.commands.run(["systemctl", "daemon-reload"])
    host.commands.run(["systemctl", "reset-failed", SERVICE], check=False)
    return result


def _release(host: Host) -> None:
    """Remove the address if keepalived could not, as after it was killed."""
    for line in (host.read_text(CONFIGURATION) or "").splitlines():
        words = line.split()
        if len(words) == 3 and words[1] == "dev" and words[0].partition("/")[0] in _here(host):
            host.commands.run(["ip", "address", "delete", *words], check=False)


def _here(host: Host) -> dict[str, str]:
    return interfaces(host.commands.run(["ip", "-json", "address"]).stdout) if host.commands.has("ip") else {}


def _runs(host: Host) -> bool:
    return unit_runs(host, SERVICE) and not needs_reload(host, SERVICE)


def _not_held(host: Host, wish: Wish) -> Refusal:
    log = _log(host)
    return Refusal(
        f"address {wish.address} of the API",
        f"not on {wish.name} {WAIT:g} s after the start of {SERVICE}; its log: {log or 'empty'}",
        f"the address on {wish.name}, where the cluster begins",
        f"See whether another host has it (`ping {wish.address}`), correct what the log names, then run again.",
    )


def _log(host: Host) -> str:
    asked = ["journalctl", f"--unit={SERVICE}", "--no-pager", "--lines=5", "--output=cat"]
    return " | ".join(host.commands.run(asked, check=False).stdout.split("\n")).strip(" |")


# What check.yml reports of it


def judge(host: Host, options: Mapping[str, Any]) -> Verdict:
    """Check the service on this host, and report whether it has the address."""
    wish = read_wish(options)
    here = _here(host)
    subject, findings = f"address {wish.address} of the API", []
    wrong = changed(host, contents(wish, here.get(wish.own, ""), host.python))
    fix = "Run `ansible-playbook site.yml --tags control_plane`."
    if wrong:
        found = f"changed or missing: {', '.join(wrong)}"
        findings.append(Finding("the_api_address_is_configured", "error", subject, found, "what the role control_plane writes", fix))
    elif not _runs(host):
        found = f"{SERVICE} not enabled or not active; its log: {_log(host) or 'empty'}"
        findings.append(Finding("the_api_address_is_configured", "error", subject, found, "enabled and active", fix))
    fact = "on this host" if wish.address in here else "not on this host, which takes it over when needed"
    return Verdict(findings, [LookedAt(subject, fact, state_of(findings))])
