# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules idle_watch and idle_guard write, keep and remove."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import Completed
from ansible_collections.vmstation.cluster.plugins.module_utils._idle import guard
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.guard import read_configuration
from ansible_collections.vmstation.cluster.plugins.module_utils._programs import Host, with_line
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._site.hosts import idle_workers

from tests.unit.fakes import Script, failure

KEYS = "/root/.ssh/authorized_keys"
KEY = "ssh-ed25519 AAAA vmstation-idle-watch"
HOMELAB = {"name": "HomeLab", "mac": "D0-94-66-30-D6-63", "address": "192.168.4.62", "port": 22, "host_keys": ["ssh-ed25519 BBBB"]}
WATCH = {
    "state": "present",
    "workers": [HOMELAB],
    "broadcast": "192.168.4.255",
    "minutes": 30.0,
    "load": 0.75,
    "asking_namespaces": ["monitoring"],
    "may_stop": [],
    "timeout": 300,
}
GUARD = {"state": "present", "public_key": KEY, "unit": "poweroff.target", "authorized_keys": KEYS, "from_addresses": []}


class Disk(Script):
    """A host's files, and a systemd and an ssh-keygen that do what they are told."""

    def __init__(self) -> None:
        super().__init__({"nft list table": failure("No such file or directory")})
        self.files: dict[str, str] = {}
        self.modes: dict[str, int] = {}
        self.order: list[str] = []
        self.runs = False
        self.unread = False

    def run(self, argv: Sequence[str], **more: Any) -> Completed:
        done = super().run(argv, **more)
        if argv[0] == "ssh-keygen":
            self.files.update({guard.KEY: "PRIVATE", f"{guard.KEY}.pub": f"{KEY}\n"})
        elif argv[:2] == ["systemctl", "restart"]:
            self.runs = True
        elif argv[:2] == ["systemctl", "daemon-reload"]:
            self.unread = False
        elif argv[:2] == ["systemctl", "show"]:
            return Completed(tuple(argv), 0, "yes\n\nno\n" if self.unread else "no\n\nno\n", "")
        elif argv[:2] == ["systemctl", "disable"]:
            self.runs = False
        elif argv[1].startswith("is-") and not self.runs:
            return Completed(tuple(argv), 3, "", "")
        return done

    def read(self, path: str) -> str | None:
        return self.files.get(path)

    def write(self, contents: dict[str, str | None], *, new_mode: int = 0o644) -> None:
        for path, text in contents.items():
            self.order.append(path)
            if text is None:
                self.files.pop(path, None)
            else:
                self.modes.setdefault(path, new_mode)
                self.files[path] = text

    def remove(self, path: str) -> None:
        self.files = {name: text for name, text in self.files.items() if name != path and not name.startswith(f"{path}/")}

    def host(self) -> Host:
        return Host(self, self.read, self.write, self.remove, lambda entry: f"zip of {entry}", "/usr/bin/python3")

    def watch(self, *, check: bool = False, **options: Any) -> dict[str, Any]:
        return guard.ensure_watch(self.host(), {**WATCH, **options}, "watch()", check_mode=check)

    def guard(self, *, check: bool = False, **options: Any) -> dict[str, Any]:
        return guard.ensure_guard(self.host(), {**GUARD, **options}, "guard()", check_mode=check)


def test_the_watch_is_predicted_made_once_and_removed_without_a_trace() -> None:
    disk = Disk()
    predicted = disk.watch(check=True)
    assert predicted["changed"]
    assert predicted["public_key"] == ""
    assert disk.files == {}
    made = disk.watch()
    assert made["changed"]
    assert made["public_key"] == KEY
    assert made["diff"] == predicted["diff"]
    assert disk.modes[guard.CONFIGURATION] == 0o600
    assert disk.files[guard.KNOWN_HOSTS] == "homelab ssh-ed25519 BBBB\n"
    assert not disk.watch(check=True)["changed"]
    again = disk.watch()
    assert not again["changed"]
    assert again["public_key"] == KEY
    assert again["diff"] == []
    disk.files[guard.STATE] = "{}"
    assert disk.watch(state="absent", check=True)["changed"]
    assert disk.watch(state="absent")["changed"]
    assert disk.files == {}
    assert not disk.watch(state="absent")["changed"]


def test_the_key_is_in_no_diff() -> None:
    disk = Disk()
    shown = json.dumps([disk.watch()["diff"], disk.watch(state="absent")["diff"]])
    assert "PRIVATE" not in shown
    assert "zip of" not in shown


def test_the_program_can_read_its_configuration() -> None:
    disk = Disk()
    disk.watch()
    read = read_configuration(disk.files[guard.CONFIGURATION])
    assert [str(one) for one in read.workers] == ["homelab (d0:94:66:30:d6:63, 192.168.4.62:22)"]
    assert read.quiet == 1800
    with pytest.raises(Refusal, match=r"idle-watch\.json"):
        read_configuration('{"workers": []}')


def test_what_was_damaged_is_put_right_with_the_key_that_is_there() -> None:
    disk = Disk()
    disk.watch()
    disk.files[guard.TIMED.units[1]] = ""
    disk.runs = False
    result = disk.watch()
    assert [one["before_header"] for one in result["diff"]] == [guard.TIMED.units[1]]
    assert disk.runs
    assert len(disk.ran("ssh-keygen")) == 1


def test_units_that_a_killed_run_has_left_unread_are_read() -> None:
    disk = Disk()
    disk.watch()
    disk.unread = True
    assert disk.watch(check=True)["changed"]
    assert disk.watch()["changed"]
    assert not disk.unread
    assert not disk.watch()["changed"]


@pytest.mark.parametrize("half", [guard.KEY, f"{guard.KEY}.pub"])
def test_half_a_key_pair_is_made_anew(half: str) -> None:
    disk = Disk()
    disk.watch()
    del disk.files[half]
    assert disk.watch()["changed"]
    assert len(disk.ran("ssh-keygen")) == 2


def test_a_worker_that_sleeps_keeps_the_host_keys_that_are_known_and_a_stranger_is_left_out() -> None:
    disk = Disk()
    disk.watch()
    silent = {**HOMELAB, "host_keys": []}
    stranger = {**silent, "name": "storage", "mac": "b8:ac:6f:7e:6c:9d", "address": "192.168.4.61"}
    assert not disk.watch(workers=[silent, stranger])["changed"]
    assert disk.watch(workers=[stranger])["changed"]
    assert disk.files[guard.KNOWN_HOSTS] == ""


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"minutes": 0.0}, "minutes 0"),
        ({"load": -1.0, "timeout": 0}, "load -1, timeout 0"),
        ({"broadcast": "192.168.4"}, "broadcast"),
        ({"workers": [{**HOMELAB, "mac": "ff:ff:ff:ff:ff:ff"}]}, "homelab: mac"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(options: dict[str, Any], named: str) -> None:
    disk = Disk()
    with pytest.raises(Refusal, match=named):
        disk.watch(**options)
    assert disk.files == {}


def test_missing_programs_are_named_together_with_their_packages() -> None:
    disk = Disk()
    disk.missing = {"nft", "who"}
    with pytest.raises(Refusal, match=r"not on this host: nft, who.*Install them \(nftables, coreutils\)"):
        disk.watch()
    assert disk.watch(check=True)["changed"]
    disk.missing = {"conntrack"}
    with pytest.raises(Refusal, match="conntrack"):
        disk.guard()


def test_the_key_is_taken_from_the_hosts_that_are_named_and_from_nothing_else_that_a_name_says() -> None:
    disk = Disk()
    disk.guard(from_addresses=["192.168.4.63", "FD00:4::63"])
    assert disk.files[KEYS].startswith('restrict,from="192.168.4.63,fd00:4::63",command="')
    assert not disk.guard(from_addresses=["192.168.4.63", "fd00:4::63"])["changed"]
    assert disk.guard()["changed"]
    assert "from=" not in disk.files[KEYS]
    for address in ("*", '192.168.4.63" ssh-ed25519 AAAA\n', "masternode"):
        with pytest.raises(Refusal, match="from_addresses"):
            disk.guard(from_addresses=[address])


LINE = f'restrict,command="/usr/bin/python3 -I {guard.GUARD} poweroff.target" {KEY}\n'


def test_the_guard_is_predicted_made_once_and_removed() -> None:
    disk = Disk()
    disk.files[KEYS] = "ssh-rsa OWNER owner@home"
    assert disk.guard(check=True)["changed"]
    assert disk.guard()["changed"]
    assert disk.files[KEYS] == f"ssh-rsa OWNER owner@home\n{LINE}"
    assert disk.order == [guard.GUARD, KEYS]
    assert not disk.guard()["changed"]
    assert disk.guard(state="absent")["changed"]
    assert disk.order[2:] == [KEYS, guard.GUARD]
    assert disk.files == {KEYS: "ssh-rsa OWNER owner@home\n"}
    assert not disk.guard(state="absent")["changed"]


def test_a_host_without_a_file_of_keys_gets_one_for_root_alone() -> None:
    disk = Disk()
    disk.guard(unit="suspend.target")
    assert disk.files[KEYS] == LINE.replace("poweroff", "suspend")
    assert disk.modes == {guard.GUARD: 0o644, KEYS: 0o600}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, LINE),
        ("", LINE),
        ("a\nb\n", f"a\nb\n{LINE}"),
        (f"a\nold {guard.GUARD}\nb\nolder {guard.GUARD}\n", f"a\n{LINE}b\n"),
        (f"# about {guard.GUARD}\n", f"# about {guard.GUARD}\n{LINE}"),
    ],
)
def test_one_line_is_ours_and_no_other_changes(before: str | None, after: str) -> None:
    assert with_line(before, guard.GUARD, LINE) == after
    assert with_line(after, guard.GUARD, LINE) == after


@pytest.mark.parametrize("key", ["", "ssh-rsa AAAA", 'command="x" ssh-ed25519 AAAA'])
def test_another_key_is_refused(key: str) -> None:
    with pytest.raises(Refusal, match="public_key"):
        Disk().guard(public_key=key)


def test_in_check_mode_the_key_may_not_be_there_yet() -> None:
    assert Disk().guard(public_key="", check=True)["changed"]


def test_workers_come_from_the_inventory_and_the_facts() -> None:
    hosts = [
        {"name": "masternode", "address": "192.168.4.63", "sleeps": False},
        {"name": "homelab", "address": ["192.168.4.62", "fd00::62"], "mac": "d0:94:66:30:d6:63", "sleeps": True},
        {"name": "storage", "address": "192.168.4.61", "mac": None, "sleeps": True},
        {"name": "silent", "address": "192.168.4.60", "mac": "b8:ac:6f:7e:6c:9d", "sleeps": True},
    ]
    facts = {"ssh_host_key_ed25519_public": "BBBB", "ssh_host_key_ed25519_public_keytype": "ssh-ed25519", "os_family": "Debian"}
    hostvars = {"homelab": {"ansible_facts": facts, "ansible_port": 2222}, "silent": {}, "storage": {}, "masternode": {}}
    homelab, silent = idle_workers(hosts, hostvars)
    assert homelab == {
        "name": "homelab", "mac": "d0:94:66:30:d6:63", "address": "192.168.4.62", "port": 2222, "host_keys": ["ssh-ed25519 BBBB"],
    }  # fmt: skip
    assert silent["host_keys"] == []
    with pytest.raises(Refusal):
        idle_workers(None, hostvars)
