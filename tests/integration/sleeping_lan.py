# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A LAN with sleeping hosts, for tests and benchmarks of wake_on_lan: two network namespaces and the cable between them.

One namespace is the controller. The other holds all hosts: a host sleeps while its address is not there, so that ARP for it stays without
an answer as it does on a real LAN, and it wakes when its magic packet is seen on the wire. Every broadcast frame is written down.
Run as a program, this file is the hosts' side.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional

CHECKOUT = Path(__file__).resolve().parents[2]
CONTROLLER = "10.77.0.1"
CONTROLLER_V6 = "fd77::1"
BROADCAST = "10.77.255.255"
CABLE = "lan0"  # the controller's end
SSH = 22
CLOSED = 2222  # nothing listens there
ETH_P_ALL = 3
ETHERNET_HEADER, UDP_HEADER = 14, 8
UDP = 17


def missing_requirement() -> Optional[str]:
    """Why no such LAN can be made here; None if it can."""
    if os.geteuid() != 0:
        return "NOT TESTED: network namespaces need root; run this as root"
    if shutil.which("ip") is None:
        return "NOT TESTED: network namespaces need `ip` (package iproute2)"
    return None


@dataclass(frozen=True)
class SleepingHost:
    """A host.

    wakes_after: seconds from its magic packet to its first answer. needs_packets: the magic packet that wakes it, counted from 1.
    password: SecureOn bytes in hex that must follow; empty: any. never_wakes: deaf. up: awake from the start.
    """

    name: str
    mac: str
    address: str
    port: int = SSH
    up: bool = False
    wakes_after: float = 0.0
    needs_packets: int = 1
    password: str = ""
    never_wakes: bool = False

    def option(self) -> dict[str, Any]:
        return {"name": self.name, "mac": self.mac, "address": self.address, "port": self.port}


def many_hosts(count: int, **settings: Any) -> list[SleepingHost]:
    return [
        SleepingHost(f"host{i}", f"02:00:00:00:{i >> 8:02x}:{i & 255:02x}", f"10.77.{1 + (i >> 8)}.{i & 255}", **settings)
        for i in range(count)
    ]


class SleepingLan:
    """The LAN as a context: made on entry, removed on exit."""

    def __init__(self, hosts: list[SleepingHost]) -> None:
        self.hosts = hosts
        token = f"wol{os.getpid()}"
        self.controller, self.far_side = f"{token}c", f"{token}h"
        self._directory = Path(tempfile.mkdtemp(prefix="sleeping-lan-"))
        self._frames = self._directory / "frames.jsonl"
        self._serving: Optional[subprocess.Popen[str]] = None

    def __enter__(self) -> SleepingLan:
        _remove_abandoned()
        try:
            for namespace in (self.controller, self.far_side):
                _ip("netns", "add", namespace)
                _ip("-n", namespace, "link", "set", "lo", "up")
            _ip("-n", self.controller, "link", "add", CABLE, "type", "veth", "peer", "name", "hosts0", "netns", self.far_side)
            _ip("-n", self.controller, "address", "add", f"{CONTROLLER}/16", "brd", "+", "dev", CABLE)
            _ip("-n", self.controller, "address", "add", f"{CONTROLLER_V6}/64", "dev", CABLE, "nodad")
            _ip("-n", self.controller, "link", "set", CABLE, "up")
            _ip("-n", self.far_side, "link", "set", "hosts0", "up")
            configuration = self._directory / "hosts.json"
            configuration.write_text(json.dumps({"hosts": [asdict(host) for host in self.hosts], "frames": str(self._frames)}))
            command = ["ip", "netns", "exec", self.far_side, sys.executable, __file__, str(configuration)]
            self._serving = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            assert self._serving.stdout is not None
            assert self._serving.stdout.readline() == "ready\n", "the sleeping hosts did not start"
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._serving is not None:
            self._serving.send_signal(signal.SIGTERM)
            self._serving.wait(timeout=10)
        for namespace in (self.controller, self.far_side):
            subprocess.run(["ip", "netns", "delete", namespace], capture_output=True, check=False)
        shutil.rmtree(self._directory, ignore_errors=True)

    def run(self, argv: list[str], **settings: Any) -> subprocess.CompletedProcess[str]:
        """A command of the controller."""
        return self._in(self.controller, argv, **settings)

    def module(self, name: str, options: dict[str, Any], *, check: bool = False) -> dict[str, Any]:
        """A module's result, through Ansible with the local connection, on the controller."""
        argv = [str(Path(sys.executable).with_name("ansible")), "localhost", "-i", "localhost,", "-c", "local"]
        argv += [
            "-e",
            f"ansible_python_interpreter={sys.executable}",
            "-m",
            name,
            "-a",
            json.dumps(options),
            *(["--check"] if check else []),
        ]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        environment["ANSIBLE_CALLBACK_RESULT_FORMAT"] = "json"
        done = self.run(argv, check=False, env=environment, cwd=CHECKOUT, timeout=120)
        head, arrow, result = done.stdout.partition("=> ")
        assert arrow, f"no result of {name}:\n{done.stdout}\n{done.stderr}"
        return {
            **json.JSONDecoder().raw_decode(result)[0],
            "failed": "FAILED" in head,
            "exit_status": done.returncode,
            "console": done.stdout + done.stderr,
        }

    def frames(self) -> list[dict[str, Any]]:
        """The broadcast UDP frames that the hosts' end of the cable has carried so far."""
        return [json.loads(line) for line in self._frames.read_text().splitlines()]

    def _in(
        self, namespace: str, argv: list[str], *, check: bool = True, timeout: float = 60, **settings: Any
    ) -> subprocess.CompletedProcess[str]:
        command = ["ip", "netns", "exec", namespace, *argv]
        return subprocess.run(command, capture_output=True, text=True, check=check, timeout=timeout, **settings)


def _ip(*arguments: str, stdin: Optional[str] = None) -> None:
    subprocess.run(["ip", *arguments], input=stdin, text=True, check=True, timeout=60)


def _remove_abandoned() -> None:
    """Namespaces of this kind whose maker was killed."""
    namespaces = Path("/run/netns")
    for namespace in namespaces.iterdir() if namespaces.is_dir() else ():
        owner = re.fullmatch(r"wol([0-9]+)[ch]", namespace.name)
        if owner and not Path("/proc", owner.group(1)).exists():
            subprocess.run(["ip", "netns", "delete", namespace.name], capture_output=True, check=False)


def _show_up(addresses: list[str]) -> None:
    """These hosts are awake from here on."""
    lines = [
        f"address add {address}/{'64' if ':' in address else '16'} dev hosts0{' nodad' if ':' in address else ''}\n"
        for address in addresses
    ]
    if lines:
        _ip("-force", "-batch", "-", stdin="".join(lines))


def _udp(frame: bytes) -> Optional[dict[str, Any]]:
    if frame[12:14] != b"\x08\x00" or frame[23] != UDP or frame[0] & 1 == 0:
        return None
    start = ETHERNET_HEADER + (frame[14] & 15) * 4
    length = int.from_bytes(frame[start + 4 : start + 6], "big")
    return {
        "ethernet_destination": frame[:6].hex(":"),
        "to": socket.inet_ntoa(frame[30:34]),
        "port": int.from_bytes(frame[start + 2 : start + 4], "big"),
        "payload": frame[start + UDP_HEADER : start + length].hex(),
    }


def _serve(configuration: dict[str, Any]) -> None:
    """The hosts' side: listen on the wire, wake who is called, accept every connection."""
    hosts = [SleepingHost(**host) for host in configuration["hosts"]]
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    wire.bind(("hosts0", 0))
    listener = socket.create_server(("::", SSH), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
    selector = selectors.DefaultSelector()
    selector.register(wire, selectors.EVENT_READ)
    selector.register(listener, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)  # its end is the end of who started this
    _show_up([host.address for host in hosts if host.up])
    asleep = {bytes.fromhex("ff" * 6 + host.mac.replace(":", "") * 16): host for host in hosts if not host.up and not host.never_wakes}
    packets: dict[str, int] = {}
    booting: list[tuple[float, str]] = []
    with Path(configuration["frames"]).open("w", buffering=1) as frames:
        print("ready", flush=True)
        while True:
            until_next = min((at for at, _address in booting), default=time.monotonic() + 3600) - time.monotonic()
            for key, _events in selector.select(max(0.0, until_next)):
                if key.fileobj is sys.stdin:
                    return
                if key.fileobj is listener:
                    listener.accept()[0].close()
                    continue
                frame = _udp(wire.recv(65535))
                if frame is None:
                    continue
                print(json.dumps(frame), file=frames)
                payload = bytes.fromhex(frame["payload"])
                host = asleep.get(payload[:102])
                if host is None or (host.password and payload[102:].hex() != host.password):
                    continue
                packets[host.name] = packets.get(host.name, 0) + 1
                if packets[host.name] == host.needs_packets:
                    booting.append((time.monotonic() + host.wakes_after, host.address))
            now = time.monotonic()
            _show_up([address for at, address in booting if at <= now])
            booting = [(at, address) for at, address in booting if at > now]


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    _serve(json.loads(Path(sys.argv[1]).read_text()))
