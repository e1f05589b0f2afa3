# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab itself: hosts that are really down, power that listens, firewalls as a careful owner leaves them, and nothing left behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.lab_traces import machine_state, traces
from tests.lab import SPECIFIED_HOSTS, Host, Lab
from tests.lab.cache import CHECKOUT
from tests.lab.hosts import FIREWALLS, GATEWAY

# the gate uses the lab everywhere
pytestmark = pytest.mark.thorough

SLEEPER = "02:00:c0:a8:04:5d"
SENTINEL = "02:00:00:00:00:99"  # nobody's; its packet shows that all before it have been heard
SYNC = "ff" * 6
RAW_SENDER = """
import socket, sys
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind((sys.argv[1], 0))
for frame in sys.argv[2:]:
    wire.send(bytes.fromhex(frame))
"""


def plain(mac: str) -> str:
    return mac.replace(":", "")


def frame(payload: str, *, target: str = "ff" * 6, ethertype: str = "0842") -> str:
    return f"{target}020000000001{ethertype}{payload}".ljust(120, "0")


@pytest.fixture(scope="module")
def sleeper(lab: Lab) -> Iterator[Host]:
    host = lab.start("sleeper", address="192.168.4.93", mac=SLEEPER, sleeps=True)
    yield host
    lab.remove(host)


def send(lab: Lab, sender: Host | None, *frames: str) -> None:
    argv = ["python3", "-c", RAW_SENDER, "eth0" if sender else lab.bridge(), *frames]
    sender.run(argv) if sender else lab.run(argv)


def calls_heard(lab: Lab, sender: Host | None, *frames: str) -> list[object]:
    """The hosts that these frames called, in the order of the wire."""
    before = len(lab.magic_packets())
    send(lab, sender, *frames, frame(SYNC + plain(SENTINEL) * 16))
    lab.wait_for(lambda: any(record.get("mac") == SENTINEL for record in lab.magic_packets()[before:]), "the sentinel's packet", 10)
    return [record["host"] for record in lab.magic_packets()[before:] if record["event"] == "magic" and record["mac"] != SENTINEL]


def test_a_module_reaches_a_host_through_ansible(lab: Lab) -> None:
    host = lab.start("pinged", address="192.168.4.87", mac="02:00:c0:a8:04:57")
    assert lab.module(host, "ansible.builtin.ping")["ping"] == "pong"
    assert "No such file" in str(lab.module(host, "ansible.builtin.command", {"argv": ["cat", "/nowhere"]})["stderr"])
    assert "pinged" in lab.playbook(CHECKOUT / "tests" / "integration" / "lab_ping.yml", check=True).stdout
    lab.remove(host)


def test_a_name_that_nobody_has_is_refused_at_once_and_asked_of_nobody_outside(lab: Lab) -> None:
    host = lab.start("curious", address="192.168.4.86", mac="02:00:c0:a8:04:56")
    assert host.read("/etc/resolv.conf").split() == ["nameserver", GATEWAY]
    # a resolver that is not answered waits for 5 s
    asked = [host.run(["timeout", "4", "getent", "ahosts", f"nobody-{number}.example"], check=False).returncode for number in range(3)]
    assert asked == [2, 2, 2]
    lab.remove(host)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(SYNC + plain(SLEEPER) * 15 + "00" * 6, id="15 repetitions"),
        pytest.param(SYNC + "02000000beef" * 16, id="another MAC"),
        pytest.param("ff" * 5 + plain(SLEEPER) * 16, id="five 0xff"),
        pytest.param("fffffeffffff" + plain(SLEEPER) * 16, id="a wrong synchronization stream"),
        pytest.param("ff" * 102, id="only 0xff"),
    ],
)
def test_what_is_not_its_magic_packet_leaves_a_host_asleep(lab: Lab, sleeper: Host, payload: str) -> None:
    assert not sleeper.is_up()
    assert sleeper.name not in calls_heard(lab, None, frame(payload))
    assert not sleeper.is_up()


def test_a_magic_packet_from_the_controller_wakes_a_host_and_no_other(lab: Lab, sleeper: Host) -> None:
    other = lab.start("other", address="192.168.4.94", mac="02:00:c0:a8:04:5e", sleeps=True)
    assert calls_heard(lab, None, frame(SYNC + plain(SLEEPER) * 16)) == [sleeper.name]
    lab.wait_for(sleeper.is_up, "the sleeper to start", 10)
    sleeper.wait_until_up()
    assert not other.is_up()
    lab.remove(other)
    sleeper.stop()


def test_a_magic_packet_from_another_host_wakes_a_host(lab: Lab, sleeper: Host) -> None:
    # unicast, as etherwake sends it: the bridge floods it, as nobody has answered with that address
    neighbour = lab.start("neighbour", address="192.168.4.95", mac="02:00:c0:a8:04:5f")
    assert calls_heard(lab, neighbour, frame(SYNC + plain(SLEEPER) * 16, target=plain(SLEEPER))) == [sleeper.name]
    lab.wait_for(sleeper.is_up, "the sleeper to start", 10)
    sleeper.wait_until_up()
    sleeper.stop()
    lab.remove(neighbour)


def test_a_reboot_comes_back_and_a_poweroff_does_not(lab: Lab, sleeper: Host) -> None:
    sleeper.boot()
    first = sleeper.run(["stat", "-c", "%Y", "/proc/1"]).stdout
    sleeper.write("/root/kept", "across a reboot")
    sleeper.reboot()
    assert sleeper.read("/root/kept") == "across a reboot"
    assert sleeper.run(["systemctl", "is-system-running"], check=False).stdout.strip() == "running", first
    sleeper.stop()
    # the power control hears a frame after the end of the host, so it has had its occasion to start it
    calls_heard(lab, None)
    assert not sleeper.is_up()


def test_a_reboot_comes_back_although_podman_lost_who_listened_to_it(lab: Lab) -> None:
    host = lab.start("rebooted", address="192.168.4.94", mac="02:00:c0:a8:04:5e")
    for _twice in range(2):
        pid = (lab.directory / "power.pid").read_text()
        lab.run(["pkill", "-KILL", "-P", pid])
        host.reboot(timeout=60)
    lab.remove(host)


def test_a_program_is_run_once_and_where_it_cannot_be_the_reason_is_given(lab: Lab) -> None:
    host = lab.start("asked", address="192.168.4.88", mac="02:00:c0:a8:04:58")
    assert host.run(["sh", "-c", "echo x >> /root/runs; exit 255"], check=False).returncode == 255
    assert host.read("/root/runs") == "x\n"
    missing = host.run(["nonsense"], check=False)
    assert (missing.returncode, "not found" in missing.stderr) == (127, True)
    host.stop()
    assert "not running" in (off := host.run(["true"], check=False).stderr) or "running containers" in off
    lab.remove(host)
    # the container is another one, and the old object finds it
    made = lab.start("asked", address="192.168.4.88", mac="02:00:c0:a8:04:58")
    assert host.run(["cat", "/root/runs"], check=False).returncode == 1
    lab.remove(made)


@pytest.mark.parametrize("firewall", [name for name in FIREWALLS if name != "none"])
@pytest.mark.parametrize("release", ["debian12"])
def test_a_bare_host_lets_in_ssh_and_nothing_else(lab: Lab, firewall: str, release: str) -> None:
    host = lab.start(f"guarded-{firewall}", address="192.168.4.96", mac="02:00:c0:a8:04:60", image=release, firewall=firewall)
    for _boot in range(2):
        listener = host.start_process(["nc", "-lk", "9999"])
        lab.wait_for(lambda: ":9999" in host.run(["ss", "-Hltn"]).stdout, "the listener", 10)
        assert host.run(["nc", "-z", "127.0.0.1", "9999"], check=False).returncode == 0
        assert lab.run(["python3", "-c", CONNECT, host.address, "22"], check=False).returncode == 0
        assert lab.run(["python3", "-c", CONNECT, host.address, "9999"], check=False).returncode == 1
        listener.kill()
        host.reboot()
    lab.remove(host)


CONNECT = """
import socket, sys

try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)
except OSError:
    sys.exit(1)
"""


def test_a_host_installs_offered_packages_without_a_network(lab: Lab) -> None:
    host = lab.start("installing", address="192.168.4.88", mac="02:00:c0:a8:04:58")
    result = lab.module(host, "ansible.builtin.apt", {"name": ["containerd", "chrony", "socat"], "update_cache": True})
    assert result.get("changed"), result
    assert host.run(["containerd", "--version"]).stdout.startswith("containerd")
    lab.remove(host)


def test_a_host_changes_its_own_sysctls_and_not_those_of_the_machine(lab: Lab, sleeper: Host) -> None:
    sleeper.boot()
    before = machine_state()["sysctls"]
    sleeper.run(["sysctl", "-w", "net.ipv4.ip_forward=1"])
    assert sleeper.run(["sysctl", "-w", "vm.swappiness=1"], check=False).returncode != 0
    assert machine_state()["sysctls"] == before
    sleeper.stop()


@pytest.fixture
def own_name(lab: Lab) -> Iterator[str]:
    """The name of one more lab, which is gone afterwards."""
    name = f"{lab.name}-x"
    yield name
    Lab(name).down()


def lab_command(name: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.lab", "--name", name, *words], cwd=CHECKOUT, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


def test_lab_down_leaves_nothing(own_name: str) -> None:
    before = machine_state()
    up = lab_command(own_name, "hosts")
    output = up.communicate(timeout=300)[0]
    assert up.returncode == 0, output
    lab = Lab(own_name)
    containers = lab.podman.run("ps", "-a", "-q", "--no-trunc", "--filter", f"label=vmstation.lab={own_name}").split()
    namespace = Path(f"/run/netns/{own_name}").stat().st_ino
    assert len(containers) == len(SPECIFIED_HOSTS)
    assert lab.module(lab.host("masternode"), "ansible.builtin.ping")["ping"] == "pong"  # leaves a connection open
    lab.start("debris", address="192.168.4.98", mac="02:00:c0:a8:04:62").start_process(["sleep", "1000"])
    lab.start_process(["sleep", "1000"])
    assert traces(own_name, containers, namespace)
    assert machine_state() == before

    down = lab_command(own_name, "down")
    output = down.communicate(timeout=120)[0]
    assert down.returncode == 0, output
    assert traces(own_name, containers, namespace) == []
    assert machine_state() == before


def test_a_killed_run_is_resumed(own_name: str) -> None:
    for attempt in range(6):
        run = lab_command(own_name, "hosts")
        try:
            run.wait(random.Random(attempt).uniform(0.1, 6.0))
        except subprocess.TimeoutExpired:
            # its whole group in turns: podman too is cut off in the middle then
            os.killpg(run.pid, signal.SIGKILL) if attempt % 2 else run.kill()
        run.communicate()
    run = lab_command(own_name, "hosts")
    output = run.communicate(timeout=300)[0]
    assert run.returncode == 0, output
    lab = Lab(own_name)
    assert [(spec.name, lab.host(spec.name).is_up()) for spec in lab.specs()] == [(spec.name, not spec.sleeps) for spec in SPECIFIED_HOSTS]
    controls = [path for path in Path("/proc").glob("[0-9]*/cmdline") if f"tests.lab.power\0{own_name}\0".encode() in path.read_bytes()]
    assert len(controls) == 1
