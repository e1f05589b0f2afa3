# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of the firewall that is undone by itself, unless a new connection confirms it."""

from __future__ import annotations

import json
import time

import pytest

from tests.integration import ansible_on_host, firewall_direct
from tests.integration.firewall_packets import agent_on_controller

SET = {"name": "worker", "ports": [{"port": 22}, {"port": 9100}]}
OTHER = {"name": "worker", "ports": [{"port": 22}, {"port": 9200}]}
FIRST, SECOND = ({"SSH_CONNECTION": f"192.168.4.1 {port} 192.168.4.97 22"} for port in (50001, 50002))
TRACES = ["find", "/etc/systemd/system", "/var/lib", "-path", "*vmstation*rollback*", "-o", "-path", "*/vmstation/*"]


@pytest.fixture(scope="module")
def booted(lab):
    host = lab.start("confirm", address="192.168.4.97", mac="02:00:c0:a8:04:61", firewall="nftables")
    firewall_direct.install(host)
    yield host
    lab.remove(host)


@pytest.fixture
def host(booted):
    """The host without a set of ours, and without anything that waits."""
    yield booted
    firewall_direct.run(booted, {"name": "worker", "state": "absent"})
    assert booted.run(TRACES).stdout == ""


@pytest.fixture(scope="module")
def controller(lab):
    """A host that Ansible is installed on."""
    made = lab.start("controller", address="192.168.4.99", mac="02:00:c0:a8:04:63", firewall="nftables", image=ansible_on_host.IMAGE)
    ansible_on_host.install(made)
    firewall_direct.install(made)
    yield made
    lab.remove(made)


def state(host) -> tuple[str, str]:
    return host.run(["nft", "list", "ruleset"]).stdout, host.read("/etc/nftables.conf")


def run_over(host, connection: dict, options: dict, *, check: bool = False) -> dict:
    """The module as sshd would start it over this connection."""
    words = [f"{name}={value}" for name, value in connection.items()]
    arguments = {**options, "_ansible_check_mode": check}
    completed = host.run(["env", *words, *firewall_direct.command()], stdin=json.dumps(arguments), check=False)
    return json.loads(completed.stdout.splitlines()[-1])


def wait_until_undone(lab, host) -> None:
    lab.wait_for(lambda: host.run(TRACES).stdout == "", "the old rules to come back", 60)


def test_one_task_applies_and_confirms_over_a_new_connection(lab, host):
    result = lab.module(host, "firewall_ports", {**SET, "confirm_within": 120})
    assert (result["changed"], result["confirmed"], result["confirmation_pending"]) == (True, True, False), result
    assert host.run(TRACES).stdout == ""
    again = lab.module(host, "firewall_ports", {**SET, "confirm_within": 120})
    assert (again["changed"], again["confirmed"], again["confirmation_pending"]) == (False, False, False)


def test_a_change_that_shuts_out_new_connections_is_undone_and_the_task_fails(lab, host):
    lab.module(host, "firewall_ports", OTHER)
    before = state(host)
    # the connection that Ansible has just used goes on, and no new one gets in: what a wrong rule amounts to, where we have no chain
    host.run(
        ["nft", "-f", "-"],
        stdin="table inet shut { chain c { type filter hook prerouting priority -5; tcp dport 22 ct state new drop; }; }\n",
    )
    result = lab.module(host, "firewall_ports", {**SET, "confirm_within": 30}, timeout=200)
    host.run(["nft", "delete", "table", "inet", "shut"])
    assert result.get("failed"), result
    assert "the host restores the old rules within" in result["msg"]
    wait_until_undone(lab, host)
    assert state(host) == before


def test_the_same_connection_does_not_confirm(host):
    first = run_over(host, FIRST, {**SET, "confirm_within": 600})
    assert first["confirmation_pending"], first
    assert 590 <= first["rollback_in"] <= 600
    same = run_over(host, FIRST, SET)
    assert (same["changed"], same["confirmed"], same["confirmation_pending"]) == (False, False, True)
    # a prediction confirms nothing, over whichever connection
    predicted = run_over(host, SECOND, SET, check=True)
    assert (predicted["confirmed"], predicted["confirmation_pending"]) == (False, True)
    other = run_over(host, FIRST, OTHER)
    assert other["failed"]
    assert "waiting for a confirmation" in other["msg"]
    confirmed = run_over(host, SECOND, SET)
    assert (confirmed["changed"], confirmed["confirmed"], confirmed["confirmation_pending"]) == (False, True, False)
    assert host.run(TRACES).stdout == ""
    assert host.run(["systemctl", "list-timers", "--all", "--no-legend", "vmstation*"]).stdout == ""


def test_unconfirmed_the_old_set_comes_back_byte_for_byte(lab, host):
    before = state(host)
    assert run_over(host, FIRST, {**SET, "confirm_within": 3})["confirmation_pending"]
    assert state(host) != before
    wait_until_undone(lab, host)
    assert state(host) == before
    # and from one set to another
    run_over(host, FIRST, OTHER)
    before = state(host)
    assert run_over(host, FIRST, {**SET, "confirm_within": 3})["removed"] == ["9200/tcp"]
    wait_until_undone(lab, host)
    assert state(host) == before


def test_a_removal_comes_back_too(lab, host):
    run_over(host, FIRST, SET)
    before = state(host)
    assert run_over(host, FIRST, {"name": "worker", "state": "absent", "confirm_within": 3})["confirmation_pending"]
    assert "vmstation" not in "".join(state(host))
    wait_until_undone(lab, host)
    assert state(host) == before


def test_a_removal_that_would_lock_ansible_out_is_undone_without_being_asked(lab, host):
    conf = host.read("/etc/nftables.conf")
    lab.module(host, "firewall_ports", SET)
    # from now on nothing but our set lets SSH in
    host.run(
        ["sh", "-c", "nft delete rule inet filter input handle $(nft -a list chain inet filter input | sed -n 's/.*owner.*handle //p')"]
    )
    before = state(host)
    result = lab.module(host, "firewall_ports", {"name": "worker", "state": "absent"}, timeout=200)
    assert result.get("failed"), result
    lab.wait_for(lambda: host.run(TRACES).stdout == "", "the set to come back", 90)
    assert state(host) == before
    firewall_direct.run(host, {"name": "worker", "state": "absent"})
    assert host.read("/etc/nftables.conf") == conf
    host.run(["systemctl", "restart", "nftables"])


def test_the_old_set_comes_back_after_a_reboot_in_between(lab, host):
    run_over(host, FIRST, OTHER)
    before = state(host)
    assert run_over(host, FIRST, {**SET, "confirm_within": 15})["confirmation_pending"]
    host.reboot()
    wait_until_undone(lab, host)
    assert state(host) == before


def test_check_mode_arms_nothing(host):
    predicted = run_over(host, FIRST, {**SET, "confirm_within": 60}, check=True)
    assert (predicted["changed"], predicted["confirmation_pending"]) == (True, False)
    assert host.run(TRACES).stdout == ""


def test_a_console_confirms_too(host):
    assert run_over(host, FIRST, {**SET, "confirm_within": 600})["confirmation_pending"]
    assert firewall_direct.run(host, SET)["confirmed"]


@pytest.mark.parametrize(
    ("inventory", "before"),
    [
        # Ansible's own environment does not show the session, as after sudo; that of an ancestor does
        ("masternode ansible_connection=local", "env --unset=SSH_CONNECTION"),
        ("masternode ansible_connection=community.general.chroot ansible_host=/", ""),
    ],
    ids=["local", "chroot"],
)
def test_a_host_that_is_its_own_controller_confirms_in_the_session_of_its_operator(lab, controller, inventory, before):
    """The operator is logged in by SSH and runs Ansible there, which makes no connection of its own. The session's port stays open."""
    firewall_direct.run(controller, {"name": "worker", "state": "absent"})
    options = {"name": "worker", "ports": [{"port": 9200}], "confirm_within": 600}
    result = ansible_on_host.module(lab, controller, "firewall_ports", options, inventory=inventory, before=before)
    assert (result["changed"], result["confirmed"], result["confirmation_pending"]) == (True, True, False), result
    assert result["added"] == ["22/tcp", "9200/tcp"]
    assert controller.run(TRACES).stdout == ""


def test_without_systemd_it_is_refused_before_anything_is_touched(host):
    before = state(host)
    host.run(["mv", "/run/systemd/system", "/run/systemd/system.away"])
    try:
        refused = run_over(host, FIRST, {**SET, "confirm_within": 60})
    finally:
        host.run(["mv", "/run/systemd/system.away", "/run/systemd/system"])
    assert refused["failed"]
    assert refused["msg"].startswith("confirm_within: found a host without systemd")
    assert state(host) == before


def test_a_confirmation_and_the_end_of_the_time_at_once_leave_one_of_the_two(lab, host):
    run_over(host, FIRST, OTHER)
    old = state(host)
    for _attempt in range(5):
        run_over(host, FIRST, {**SET, "confirm_within": 2})
        new = state(host)
        time.sleep(1.7)
        confirmed = run_over(host, SECOND, OTHER)
        wait_until_undone(lab, host)
        assert "failed" not in confirmed
        assert state(host) == old
        assert new != old


def test_ssh_stays_open_all_the_while(lab, host):
    with agent_on_controller(lab) as probe:
        for options in (SET, OTHER):
            run_over(host, FIRST, {**options, "confirm_within": 60})
            assert probe.ssh(host.address, 5)
            run_over(host, SECOND, options)
            assert probe.ssh(host.address, 5)
