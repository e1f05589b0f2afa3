# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process on a host that sends and hears packets, and starts and kills the module; it takes one JSON order a line.

It runs on the hosts, with nothing but Python. FirewallAgent in firewall_packets.py speaks to it.
"""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

PATIENCE = 1.0
PROTOCOL_4 = []


def connect(address, port):
    """``open``, ``refused``, ``dropped`` (no answer within PATIENCE) or the error's name."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(PATIENCE)
        try:
            probe.connect((address, port))
        except socket.timeout:
            return "dropped"
        except ConnectionRefusedError:
            return "refused"
        except OSError as error:
            return error.strerror
        return "open"


def ssh(address, wait):
    """Whether an SSH server greets within ``wait`` seconds."""
    until = time.monotonic() + wait
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection((address, 22), timeout=max(0.1, until - time.monotonic())) as probe:
            if probe.recv(4) == b"SSH-":
                return True
        time.sleep(0.05)
    return False


def udp(address, port):
    """``open`` if what listens there answers, else ``dropped``, or ``refused``."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.settimeout(PATIENCE)
        probe.connect((address, port))
        try:
            probe.send(b"?")
            probe.recv(1)
        except socket.timeout:
            return "dropped"
        except ConnectionRefusedError:
            return "refused"
        return "open"


def listen(tcp, udp_ports):
    """Answer on these ports, over IPv4 and IPv6, until the end."""
    for kind, ports in ((socket.SOCK_STREAM, tcp), (socket.SOCK_DGRAM, udp_ports)):
        for port in ports:
            server = socket.socket(socket.AF_INET6, kind)
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(("::", port))
            if kind == socket.SOCK_STREAM:
                server.listen(16)
            threading.Thread(target=_answer, args=(server, kind), daemon=True).start()


def _answer(server, kind):
    while True:
        if kind == socket.SOCK_STREAM:
            server.accept()[0].close()
        else:
            _data, sender = server.recvfrom(64)
            server.sendto(b"!", sender)


def hear_protocol_4():
    """Keep what arrives of IP protocol 4; ``heard_protocol_4`` tells."""
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 4)
    threading.Thread(target=_hear, args=(raw,), daemon=True).start()


def _hear(raw):
    while True:
        packet, sender = raw.recvfrom(4096)
        PROTOCOL_4.append((sender[0], packet[20:].decode("ascii", "replace")))


def heard_protocol_4(text, wait):
    """Whether a packet with this text has arrived, within ``wait`` seconds."""
    until = time.monotonic() + wait
    while not any(text in heard for _sender, heard in PROTOCOL_4):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def send_protocol_4(address, text):
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, 4) as raw:
        raw.sendto(text.encode(), (address, 0))


def run(argv, stdin, environment):
    """How long the program took, in seconds, and what it said."""
    start = time.monotonic()
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, env={**os.environ, **environment}, check=False)
    return {"seconds": time.monotonic() - start, "stdout": done.stdout, "stderr": done.stderr, "status": done.returncode}


def run_and_kill(argv, stdin, environment, after, lock):
    """Start the program in a process group of its own, kill that after so many seconds, then wait until nobody holds the lock.

    How long the program took if it came to its end before; nothing if it was killed.
    """
    program = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, **environment}, start_new_session=True,
    )  # fmt: skip
    start = time.monotonic()
    with contextlib.suppress(BrokenPipeError):
        program.stdin.write(stdin)
        program.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        program.wait(max(0.0, after - (time.monotonic() - start)))
    seconds = time.monotonic() - start
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)
    status = program.wait()
    with open(lock, "a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
    return None if status == -signal.SIGKILL else seconds


def run_and_kill_child(argv, stdin, environment, after):
    """Start the program, and kill the child that it has put into a session of its own, so many seconds after that; nothing else.

    How long the child lived if it came to its end before; nothing if it was killed, or if there was none.
    """
    program = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **environment}
    )
    program.stdin.write(stdin)
    program.stdin.close()
    child, start, seconds = 0, 0.0, None
    while program.poll() is None:
        if not child:
            child, start = _session_of_its_own(program.pid), time.monotonic()
        if child and time.monotonic() - start >= after:
            break
        time.sleep(0.001)
    else:
        seconds = time.monotonic() - start if child else None
    if child and seconds is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    program.wait()
    return seconds


def _session_of_its_own(parent):
    """The child of a process that leads a session; 0 if it has none."""
    with open(f"/proc/{parent}/task/{parent}/children") as children:
        numbers = [int(number) for number in children.read().split()]
    for number in numbers:
        with contextlib.suppress(OSError):
            if os.getsid(number) == number:
                return number
    return 0


ORDERS = {
    order.__name__: order
    for order in (
        connect, ssh, udp, listen, hear_protocol_4, heard_protocol_4, send_protocol_4, run, run_and_kill, run_and_kill_child,
    )
}  # fmt: skip

if __name__ == "__main__":
    for line in sys.stdin:
        request = json.loads(line)
        answer = ORDERS[request["order"]](*request["arguments"])
        print(json.dumps(answer), flush=True)
