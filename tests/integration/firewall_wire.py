# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets between real hosts: what listens on one, and what another one gets through to it."""

from __future__ import annotations

import json
from contextlib import contextmanager

# every port answers on both IP versions, so that "no answer" can only be the firewall's doing
LISTENER = """
import json, os, select, socket, sys
wanted = json.load(sys.stdin)
sockets = {}
for protocol, port in wanted:
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    s = socket.socket(socket.AF_INET6, kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.bind(("::", port))
    if protocol == "tcp":
        s.listen(16)
    sockets[s] = protocol
print(os.getpid(), flush=True)
while True:
    for s in select.select(list(sockets), [], [])[0]:
        if sockets[s] == "tcp":
            s.accept()[0].close()
        else:
            data, sender = s.recvfrom(100)
            s.sendto(data, sender)
"""
PROBE = """
import concurrent.futures, json, socket, sys
def reaches(question):
    protocol, address, port, source = question
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
    s.settimeout(PATIENCE)
    if source:
        s.bind((source, 0))
    try:
        s.connect((address, port))
        if protocol == "udp":
            s.send(b"x")
            s.recv(100)
        return True
    except OSError:
        return False
    finally:
        s.close()
questions = json.load(sys.stdin)
with concurrent.futures.ThreadPoolExecutor(len(questions)) as at_once:
    print(json.dumps(list(at_once.map(reaches, questions))))
"""
# a raw socket gets what the input hook has let through; the end of its input says that all has been sent
RAW_RECEIVER = """
import os, select, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 4)
print(os.getpid(), flush=True)
ready = select.select([s, sys.stdin], [], [])[0]
if s not in ready:
    ready = select.select([s], [], [], 1)[0]
print("got" if s in ready and b"inside" in s.recv(2000) else "nothing", flush=True)
"""
RAW_SENDER = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 4)
if sys.argv[2:]:
    s.bind((sys.argv[2], 0))
for _ in range(3):
    s.sendto(b"inside", (sys.argv[1], 0))
"""
PATIENCE = 2  # seconds, of all questions at once; a busy machine takes its time for an answer


@contextmanager
def listening(host, *ports: tuple[str, int]):
    """``("tcp", 6443)`` and the like answer on the host."""
    process = host.start_process(["python3", "-c", LISTENER])
    process.stdin.write(json.dumps(ports))
    process.stdin.close()
    number = process.stdout.readline().strip()
    assert number, process.stderr.read()
    try:
        yield
    finally:
        host.run(["kill", number])
        process.wait()


def reached(sender, *questions: tuple) -> list[bool]:
    """Whether each of ``(protocol, address, port)`` or ``(protocol, address, port, source)`` answers the sender: a host, or the lab."""
    argv = ["python3", "-c", PROBE.replace("PATIENCE", str(PATIENCE))]
    filled = [(*question, "")[:4] for question in questions]
    return json.loads(sender.run(argv, stdin=json.dumps(filled)).stdout)


def passes_protocol_4(sender, receiver, *source: str) -> bool:
    """Whether a packet of IP protocol 4 gets through to the receiver. source: an address of the sender."""
    process = receiver.start_process(["python3", "-c", RAW_RECEIVER])
    assert process.stdout.readline().strip(), process.stderr.read()
    sender.run(["python3", "-c", RAW_SENDER, receiver.address, *source])
    process.stdin.close()
    answer = process.stdout.readline().strip()
    process.wait()
    return answer == "got"


@contextmanager
def pods_on(lab, host, *pods):
    """Each of the pods on an interface of its own of this host, as Calico does it: cali1, cali2, ... to 10.244.9.1, 10.244.9.2, ..."""
    addresses = [f"10.244.9.{number}" for number, _pod in enumerate(pods, 1)]
    host.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"])
    try:
        for number, (pod, address) in enumerate(zip(pods, addresses), 1):
            ends = [lab.podman.run("inspect", "-f", "{{.State.Pid}}", each.container) for each in (host, pod)]
            name = f"cali{number}"
            lab.run(["ip", "link", "add", name, "netns", ends[0], "type", "veth", "peer", "name", "pod0", "netns", ends[1]])
            host.run(["sysctl", "-qw", f"net.ipv4.conf.{name}.proxy_arp=1"])
            host.run(["ip", "link", "set", name, "up"])
            host.run(["ip", "route", "replace", address, "dev", name])
            pod.run(["ip", "address", "add", f"{address}/32", "dev", "pod0"])
            pod.run(["ip", "link", "set", "pod0", "up"])
            pod.run(["ip", "route", "add", "169.254.1.1", "dev", "pod0"])
            for other in {*addresses, host.address} - {address}:
                pod.run(["ip", "route", "add", other, "via", "169.254.1.1", "dev", "pod0", "src", address, "onlink"])
        yield addresses
    finally:
        for number in range(1, len(pods) + 1):
            host.run(["ip", "link", "delete", f"cali{number}"], check=False)
