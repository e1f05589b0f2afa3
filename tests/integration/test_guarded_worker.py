# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""idle_guard on a real host: its key over a real sshd, its eyes on real connections, and a host that is really off afterwards."""

from __future__ import annotations

import json

import pytest

ADDRESS = "192.168.4.123"
WATCH = "192.168.4.1"  # where the test asks from
GUARD = "/usr/local/lib/vmstation/idle-guard.pyz"
# the lab has mounted the file of the usual name
KEYS = "/root/.ssh/authorized_keys2"
OWNER = "# the owner's own line\n"
ASKED = json.dumps({"quiet": 60, "pods": [], "nodes": []})


@pytest.fixture(scope="module")
def host(lab):
    # its rules look at the state of connections, and so the kernel keeps it, as it does on a node
    started = lab.start("guarded-idle", address=ADDRESS, mac="02:00:c0:a8:04:7b", firewall="nftables")
    yield started
    lab.remove(started)


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    return tmp_path_factory.mktemp("idle") / "key"


@pytest.fixture(scope="module")
def ask(lab, key):
    """Ask with the watch's key, from the controller; Ansible's own connections have ended."""

    def _ask(word):
        lab.close_connections(ADDRESS)
        options = ["-F", "none", "-i", str(key), "-oBatchMode=yes", "-oIdentitiesOnly=yes", "-oStrictHostKeyChecking=no"]
        known = f"-oUserKnownHostsFile={key.parent / 'known_hosts'}"
        return lab.run(["ssh", *options, known, f"root@{ADDRESS}", *word], stdin=ASKED, check=False, timeout=30)

    return _ask


@pytest.fixture(scope="module")
def guarded(lab, host, key):
    """The module's options on a host that has the guard."""
    lab.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)])
    options = {"public_key": key.with_suffix(".pub").read_text(), "authorized_keys": KEYS, "from_addresses": [WATCH]}
    host.write(KEYS, OWNER)
    predicted = lab.module(host, "idle_guard", options, check=True, diff=True)
    assert predicted["changed"]
    assert host.read(KEYS) == OWNER
    made = lab.module(host, "idle_guard", options, diff=True)
    assert made["changed"]
    assert made["diff"] == predicted["diff"]
    assert not lab.module(host, "idle_guard", options, check=True)["changed"]
    assert not lab.module(host, "idle_guard", options)["changed"]
    assert host.read(KEYS).startswith(OWNER)
    return options


@pytest.mark.parametrize("word", [["reboot"], ["sleep", "now"], ["cat", "/etc/shadow"], []])
def test_the_key_opens_nothing_else(ask, guarded, host, word):
    answer = ask(word)
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert "required: status or sleep" in answer.stderr
    assert host.is_up()


def test_nobody_is_there(ask, guarded):
    answer = ask(["status"])
    assert answer.returncode == 0, answer.stderr
    status = json.loads(answer.stdout)
    assert (status["sessions"], status["ssh"], status["clients"], status["told"]) == ([], [], [], False)
    assert status["uptime"] > 0


def test_the_key_is_refused_from_another_address(ask, guarded, lab, host):
    lab.module(host, "idle_guard", {**guarded, "from_addresses": ["192.168.4.63"]})
    assert "Permission denied" in ask(["status"]).stderr
    lab.module(host, "idle_guard", guarded)
    assert ask(["status"]).returncode == 0


def test_somebody_who_is_connected_keeps_it_awake(ask, guarded, lab, host):
    client = lab.start_process(
        ["ssh", "-i", str(lab.key), "-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", f"root@{ADDRESS}", "cat"]
    )
    try:
        lab.wait_for(lambda: json.loads(ask(["status"]).stdout)["ssh"] == ["192.168.4.1"], "the guard to see the connection", 20)
        assert json.loads(ask(["sleep"]).stdout)["told"] is False
        assert host.is_up()
    finally:
        client.terminate()
        client.wait()


def test_a_client_keeps_it_awake(ask, guarded, lab, host):
    lab.module(host, "firewall_ports", {"name": "idle-test", "ports": [{"port": 8096}]})
    server = host.start_process(["python3", "-m", "http.server", "8096"])
    serving = ["python3", "-c", "import socket, sys; held = socket.create_connection((sys.argv[1], 8096)); sys.stdin.read()", ADDRESS]
    lab.wait_for(lambda: "8096" in host.run(["ss", "-Hltn"]).stdout, "the server to listen", 20)
    client = lab.start_process(serving)

    def client_is_seen():
        return json.loads(ask(["status"]).stdout)["clients"] == [f"192.168.4.1 of {ADDRESS} port 8096"]

    try:
        lab.wait_for(client_is_seen, "the guard to see the client", 20)
        assert json.loads(ask(["sleep"]).stdout)["told"] is False
    finally:
        client.terminate()
        client.wait()
        server.terminate()
    host.run(["pkill", "-f", "http.server"], check=False)
    lab.wait_for(lambda: json.loads(ask(["status"]).stdout)["clients"] == [], "the guard to see that the client has gone", 20)


def test_a_host_that_nobody_uses_sleeps(ask, guarded, lab, host):
    answer = ask(["sleep"])
    assert json.loads(answer.stdout)["told"] is True, answer.stderr
    lab.wait_for(lambda: not host.is_up(), "the host to be off", 120)
    host.boot()


def test_absent_removes_the_line_and_the_program(ask, guarded, lab, host):
    absent = {"state": "absent", "authorized_keys": KEYS}
    assert lab.module(host, "idle_guard", absent, check=True)["changed"]
    assert GUARD in host.read(KEYS)
    assert lab.module(host, "idle_guard", absent)["changed"]
    assert host.read(KEYS) == OWNER
    assert host.run(["test", "-e", GUARD], check=False).returncode == 1
    assert not lab.module(host, "idle_guard", absent)["changed"]
    assert "Permission denied" in ask(["status"]).stderr
