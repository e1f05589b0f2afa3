# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Power for the hosts of one lab: a network card that stays awake, and a mainboard that reboots.

``python -m tests.lab.power NAME BRIDGE`` inside the lab's network namespace. A host that is off starts when a frame on the bridge calls
its MAC. ``systemctl reboot`` ends a container with status 129: it is started again. ``systemctl poweroff`` ends it with 130: it stays
off. Every magic packet seen is a JSON line in packets.jsonl, whether it wakes a host or not; every start is one too.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

from tests.lab.lab import Lab
from tests.lab.magic import addresses_called
from tests.lab.say import LabError

ETH_P_ALL = 3
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC = 263, 1, 1
REBOOT = 129
PATIENCE = 60  # seconds: much more than a busy machine needs


class Power:
    """Starts the hosts of a lab, and writes down why."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._log = lab.packets.open("a", buffering=1)
        self._lock = threading.Lock()
        self.events: subprocess.Popen[str] | None = None

    def note(self, **record: object) -> None:
        with self._lock:
            print(json.dumps({"time": time.time(), **record}), file=self._log)

    def start(self, name: str, why: str) -> None:
        container = self._lab.container(name)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:  # a container that has just ended is cleaned up by another process first
            try:
                self._lab.podman.run("start", container)
            except LabError as error:
                failure = str(error)
                time.sleep(0.2)
            else:
                self.note(event="started", host=name, why=why)
                return
        self.note(event="not started", host=name, why=why, error=failure)

    def watch_wire(self, wire: socket.socket) -> None:
        while True:
            frame = wire.recv(65535)
            for mac in addresses_called(frame):
                called = next((spec for spec in self._lab.specs() if spec.mac == mac), None)
                self.note(
                    event="magic", mac=mac, host=called.name if called else None, ethernet_source=frame[6:12].hex(":"),
                    ethernet_target=frame[:6].hex(":"), ethertype=frame[12:14].hex(), bytes=len(frame),
                )  # fmt: skip
                if called:
                    threading.Thread(target=self.start, args=(called.name, "magic packet"), daemon=True).start()

    def watch_boards(self) -> None:
        """Never back. `podman events` may end, and the next one then goes on from there."""
        names = {self._lab.container(spec.name): spec.name for spec in self._lab.specs()}
        for event in self._deaths():
            if event["Name"] not in names:
                names = {self._lab.container(spec.name): spec.name for spec in self._lab.specs()}
            if event["Name"] in names and event.get("ContainerExitCode") == REBOOT:
                threading.Thread(target=self.start, args=(names[event["Name"]], "reboot"), daemon=True).start()

    def _deaths(self) -> Iterator[dict[str, Any]]:
        """Each end of a container, once."""
        since: list[str] = []
        told: set[str] = set()
        while True:
            began = time.time()
            argv = self._lab.podman.argv("events", "--filter", "event=died", *since, "--format", "{{json .}}")
            self.events = subprocess.Popen(argv, env=self._lab.podman.env, stdout=subprocess.PIPE, text=True)
            assert self.events.stdout is not None
            for line in self.events.stdout:
                if line not in told:
                    told.add(line)
                    with contextlib.suppress(json.JSONDecodeError):
                        yield json.loads(line)
            self.note(event="podman events ended", status=self.events.wait())
            since = ["--since", f"{began - 1:.0f}"]
            time.sleep(0.2)

    def end(self) -> None:
        if self.events is not None:
            self.events.kill()


def main() -> None:
    name, bridge = sys.argv[1:3]
    lab = Lab(name)
    power = Power(lab)
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    wire.bind((bridge, 0))
    # promiscuous: a frame to the MAC of a host that is off is flooded to all ports, but not meant for the bridge itself
    wire.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, struct.pack("iHH8s", socket.if_nametoindex(bridge), PACKET_MR_PROMISC, 0, b""))

    def end(_signal: int, _frame: FrameType | None) -> None:
        power.end()
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    threading.Thread(target=power.watch_boards, daemon=True).start()
    power.note(event="listening", bridge=bridge)
    power.watch_wire(wire)


if __name__ == "__main__":
    main()
