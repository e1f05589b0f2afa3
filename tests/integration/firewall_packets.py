# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets from host to host, and the module killed halfway: the controller's side of firewall_agent.py."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.lab import Lab
from tests.lab.hosts import Host

AGENT = Path(__file__).with_name("firewall_agent.py")
PLACE = "/opt/vmstation-agent.py"


class FirewallAgent:
    """The agent of one machine. Every order of firewall_agent.py is a method here."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __getattr__(self, order: str) -> Callable[..., Any]:
        def give(*arguments: Any) -> Any:
            self._process.stdin.write(json.dumps({"order": order, "arguments": arguments}) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
            if not answer:
                raise AssertionError(f"the agent ended at {order}{arguments}: {self._process.stderr.read()}")
            return json.loads(answer)

        if order.startswith("_"):
            raise AttributeError(order)
        return give

    def close(self) -> None:
        """The end of its input is the end of the agent."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            pipe.close()


@contextlib.contextmanager
def agent_on(host: Host) -> Iterator[FirewallAgent]:
    host.write(PLACE, AGENT.read_text())
    agent = FirewallAgent(host.start_process(["python3", PLACE]))
    try:
        yield agent
    finally:
        agent.close()


@contextlib.contextmanager
def agent_on_controller(lab: Lab) -> Iterator[FirewallAgent]:
    """The agent at .1, where Ansible runs."""
    agent = FirewallAgent(lab.start_process(["python3", str(AGENT)]))
    try:
        yield agent
    finally:
        agent.close()


def ipv6_of(host: Host) -> str:
    """A global IPv6 address for the host, made of its IPv4 one; given to it if it has none yet."""
    address = f"fd00:4::{host.address.rsplit('.', 1)[1]}"
    if address not in host.run(["ip", "-6", "address", "show", "dev", "eth0"]).stdout:
        host.run(["ip", "-6", "address", "add", f"{address}/64", "dev", "eth0", "nodad"])
    return address
