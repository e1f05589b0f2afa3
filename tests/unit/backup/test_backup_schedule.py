# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scheduled backups: what is installed, a run of the program with a real gpg, what another host takes, and what check.yml reports."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._backup import schedule
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.backup import Outcome
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.host import BACKUP_ENTRY, RECEIVER_ENTRY
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.io import Gpg
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.keeping import (
    MARGIN,
    Order,
    check,
    ensure_receiver,
    read_order,
    receive,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.schedule import (
    CONFIGURATION,
    KNOWN_HOSTS,
    METRIC_FILE,
    RECIPIENTS,
    STATE,
    TIMED,
    Configuration,
    Receiver,
    Seen,
    State,
    due,
    ensure_timer,
    judge,
    metrics,
    read_configuration,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._host.archives import LocalPacking
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import Completed, HostCommands
from ansible_collections.vmstation.cluster.plugins.module_utils._host.processes import archive
from ansible_collections.vmstation.cluster.plugins.module_utils._programs import Host
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._site.hosts import backup_receivers

from tests.unit.backup.control_planes import CREATED, NAME, Memory, backup
from tests.unit.backup.test_backup_archives import options as archive_options
from tests.unit.backup.test_backup_archives import pack
from tests.unit.fakes import Script

FINGERPRINT = "A93D73F95BAF9EE9E7B435AF6655B0B37D3AD4B4"
LISTED = f"pub:-:3072:1:6655B0B37D3AD4B4:1:9::-:::scESC::::::23::0:\nfpr:::::::::{FINGERPRINT}:\n"
CALENDAR = "Normalized form: x\n    Next elapse: Tue 2026-12-01 03:00:00 CET\n       (in UTC): Tue 2026-12-01 02:00:00 UTC\n"
TWO = 1796090400.0 + 2 * 3600
KEY = "ssh-ed25519 AAAA vmstation-backup"
OPTIONS: dict[str, Any] = {
    "state": "present",
    "cluster_name": "trial",
    "schedule": "*-*-* 03:00",
    "recipients": [FINGERPRINT],
    "public_keys": ["-----BEGIN PGP PUBLIC KEY BLOCK-----"],
    "keep": 2,
    "directory": "/var/backups/vmstation",
    "paths": ["/etc/vmstation/grafana"],
    "receivers": [{"name": "HomeLab", "address": "192.168.4.62", "port": 22, "host_keys": ["ssh-ed25519 BBBB"]}],
    "containerd_address": "/run/c.sock",
}
needs_gpg = pytest.mark.skipif(shutil.which("gpg") is None, reason="no gpg on this machine")
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")


class Disk(Script):
    """A control plane's files, and a systemd and an ssh-keygen that do what they are told."""

    def __init__(self) -> None:
        super().__init__({"systemd-analyze calendar": CALENDAR})
        self.files: dict[str, str] = {}
        self.modes: dict[str, int] = {}
        self.runs = False

    def run(self, argv: Sequence[str], **more: Any) -> Completed:
        done = super().run(argv, **more)
        if argv[0] == "ssh-keygen":
            self.files.update({TIMED.key: "PRIVATE", f"{TIMED.key}.pub": f"{KEY}\n"})
        elif argv[:2] in (["systemctl", "restart"], ["systemctl", "disable"]):
            self.runs = argv[1] == "restart"
        elif argv[1].startswith("is-") and not self.runs:
            return Completed(tuple(argv), 3, "", "")
        return done

    def read(self, path: str) -> str | None:
        return self.files.get(path)

    def write(self, contents: dict[str, str | None], *, new_mode: int = 0o644) -> None:
        for path, text in contents.items():
            self.files.pop(path, None)
            if text is not None:
                self.modes.setdefault(path, new_mode)
                self.files[path] = text

    def remove(self, path: str) -> None:
        self.files = {name: text for name, text in self.files.items() if name != path and not name.startswith(f"{path}/")}

    def host(self) -> Host:
        return Host(
            self, self.read, self.write, self.remove, lambda entry: f"zip of {entry}", "/usr/bin/python3",
            is_there=lambda path: any(f"{one}/".startswith(f"{path}/") for one in self.files),
        )  # fmt: skip

    def timer(self, *, check_mode: bool = False, listed: str = LISTED, **changed: Any) -> dict[str, Any]:
        return ensure_timer(self.host(), {**OPTIONS, **changed}, "backup()", lambda _key: listed, check_mode=check_mode)


def test_the_timer_is_predicted_made_once_and_removed_without_a_trace_but_the_backups() -> None:
    disk = Disk()
    predicted = disk.timer(check_mode=True)
    assert (predicted["changed"], predicted["public_key"], disk.files) == (True, "", {})
    made = disk.timer()
    assert (made["changed"], made["diff"], made["public_key"]) == (True, predicted["diff"], KEY)
    assert {path: mode for path, mode in disk.modes.items() if mode == 0o600} == dict.fromkeys((CONFIGURATION, STATE), 0o600)
    unit = disk.files[TIMED.units[1]]
    assert "OnCalendar=*-*-* 03:00\n" in unit
    assert f"vmstation_backup_due_timestamp_seconds {TWO:.0f}\n" in disk.files[METRIC_FILE]
    read = read_configuration(disk.files[CONFIGURATION])
    assert (read.receivers, read.recipients, read.keep) == ((Receiver("homelab", "192.168.4.62", 22),), (FINGERPRINT,), 2)
    assert not disk.timer(check_mode=True)["changed"]
    assert not disk.timer()["changed"]
    disk.files["/var/backups/vmstation/trial-20261125T233300Z.tar.gz.gpg"] = "the owner's"
    absent = disk.timer(state="absent", check_mode=True)
    assert (absent["changed"], disk.timer(state="absent")["changed"], disk.timer(state="absent")["changed"]) == (True, True, False)
    assert list(disk.files.values()) == ["the owner's"]
    assert "PRIVATE" not in json.dumps([made["diff"], absent["diff"]])


def test_another_schedule_moves_the_time_that_the_alert_knows_and_forgets_nothing() -> None:
    disk = Disk()
    disk.timer()
    disk.files[STATE] = State(newest=f"{NAME}.gpg", copied={"homelab": f"{NAME}.gpg"}, due=1.0).as_text()
    disk.answers["systemd-analyze calendar"] = CALENDAR.replace("2026-12-01 02", "2026-12-06 02")
    assert disk.timer(schedule="Sun *-*-* 03:00")["changed"]
    assert json.loads(disk.files[STATE]) == {**json.loads(disk.files[STATE]), "newest": f"{NAME}.gpg", "due": TWO + 5 * 86400}
    assert f"due_timestamp_seconds {TWO + 5 * 86400:.0f}" in disk.files[METRIC_FILE]


def test_a_host_that_sleeps_keeps_its_known_keys_and_an_unknown_one_is_missed_until_it_has_some() -> None:
    disk = Disk()
    disk.timer()
    known, silent = disk.files[KNOWN_HOSTS], {**OPTIONS["receivers"][0], "host_keys": []}
    assert not disk.timer(receivers=[silent])["changed"]
    both = [silent, {**silent, "name": "new"}]
    assert disk.timer(receivers=both)["changed"]
    assert not disk.timer(receivers=both)["changed"]
    assert [one.name for one in read_configuration(disk.files[CONFIGURATION]).receivers] == ["homelab", "new"]
    assert disk.files[KNOWN_HOSTS] == known
    assert 'vmstation_backup_copied_timestamp_seconds{receiver="new"} 0\n' in disk.files[METRIC_FILE]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no recipient": ({"recipients": [], "public_keys": []}, "recipients and public_keys: found 0 and 0"),
    "a recipient by its name": ({"recipients": ["me@example.org"]}, "recipients: found 'me@example.org'"),
    "a key that is missing": ({"listed": ""}, f"public key of {FINGERPRINT}: found no key"),
    "another key": ({"listed": LISTED.replace("A93D", "A93E")}, f"public key of {FINGERPRINT}: found A93E"),
    "a secret key": ({"listed": LISTED.replace("pub", "sec")}, "found a secret key; required: a public key alone"),
    "a key that has expired": ({"listed": LISTED.replace("scESC", "sc")}, "a key that encrypts nothing"),
    "no backup to keep": ({"keep": 0}, "keep: found 0"),
    "a relative directory": ({"directory": "backups"}, "directory: found 'backups'"),
    "a cluster with a slash": ({"cluster_name": "a/b"}, "cluster_name: found 'a/b'"),
    "a line more in the unit": ({"schedule": "daily\nUnit=x.service"}, "schedule: found 'daily\\nUnit=x.service'"),
    "an empty schedule": ({"schedule": " "}, "schedule: found ' '"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("check_mode", [False, True])
def test_bad_options_are_refused_before_anything_is_changed(case: str, check_mode: bool) -> None:
    changed, message = BAD[case]
    disk = Disk()
    with pytest.raises(Refusal) as caught:
        disk.timer(check_mode=check_mode, **changed)
    assert message in str(caught.value)
    assert disk.files == {}
    assert not disk.ran("ssh-keygen")


@needs_systemd
@pytest.mark.parametrize("schedule_", ["every night", "2020-01-01", "--version", "*-*-* 25:00", "daily %n"])
def test_systemd_itself_rejects_a_schedule_that_never_comes(schedule_: str) -> None:
    with pytest.raises(Refusal) as caught:
        due(schedule_, HostCommands())
    assert str(caught.value).startswith(f"schedule: found {schedule_!r}: ")
    assert "required: a calendar event of systemd that comes again" in str(caught.value)


@needs_systemd
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
def test_systemd_tells_the_next_time_in_any_time_zone(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    monkeypatch.setenv("TZ", zone)
    assert due("2090-01-01 00:00 UTC", HostCommands()) == 3786912000 + 2 * 3600
    local = due("2090-01-01 00:00", HostCommands()) - 2 * 3600
    assert local == 3786912000 + {"UTC": 0, "Europe/Berlin": -3600, "America/New_York": 5 * 3600}[zone]


def test_receivers_are_hosts_of_the_cluster_with_the_keys_that_were_read_on_them() -> None:
    hosts = [{"name": "homelab", "address": ["192.168.4.62", "fd00::62"]}, {"name": "storage", "address": "192.168.4.61"}]
    facts = {"ssh_host_key_ed25519_public": "BBBB", "ssh_host_key_ed25519_public_keytype": "ssh-ed25519"}
    hostvars = {"homelab": {"ansible_facts": facts, "ansible_port": 2222}, "storage": {}}
    assert backup_receivers(hosts, hostvars, ["homelab", "storage"]) == [
        {"name": "homelab", "address": "192.168.4.62", "port": 2222, "host_keys": ["ssh-ed25519 BBBB"]},
        {"name": "storage", "address": "192.168.4.61", "port": 22, "host_keys": []},
    ]
    with pytest.raises(Refusal, match="cluster_backup_copies: found nas; required: names of hosts of the cluster"):
        backup_receivers(hosts, hostvars, ["nas"])


# One run.


@pytest.fixture(scope="module")
def ring() -> Iterator[tuple[str, str, str]]:
    """A key ring with one key, its fingerprint, and its public key."""
    commands = HostCommands()
    with tempfile.TemporaryDirectory(prefix="ring-") as home:
        gpg = ["gpg", "--homedir", home, "--batch", "--quiet"]
        commands.run([*gpg, "--pinentry-mode", "loopback", "--passphrase", "", "--quick-generate-key", "me@example.org"])
        listed = commands.run([*gpg, "--with-colons", "--list-keys"]).stdout
        fingerprint, *_of_subkeys = (line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))
        yield home, fingerprint, commands.run([*gpg, "--armor", "--export", fingerprint]).stdout
        commands.run(["gpgconf", "--homedir", home, "--kill", "all"])


@needs_gpg
def test_gpg_lists_a_key_as_the_module_reads_it(ring: tuple[str, str, str]) -> None:
    home, fingerprint, public_key = ring
    gpg = Gpg(HostCommands())
    disk = Disk()
    ensure_timer(disk.host(), {**OPTIONS, "recipients": [fingerprint], "public_keys": [public_key]}, "x", gpg.listed, check_mode=False)
    secret = HostCommands().run(["gpg", "--homedir", home, "--batch", "--armor", "--export-secret-keys", fingerprint]).stdout
    with pytest.raises(Refusal, match="found a secret key"):
        disk.timer(recipients=[fingerprint], public_keys=[secret], listed=gpg.listed(secret))


class Plane:
    """A control plane whose archive is a real one, with a real gpg; the other hosts are scripted."""

    def __init__(self, directory: Path, fingerprint: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory, self.stage = directory / "backups", directory / "stage"
        self.files = {KNOWN_HOSTS: "homelab ssh-ed25519 BBBB\nstorage ssh-ed25519 CCCC\n"}
        self.sent: list[tuple[str, str]] = []
        self.answers: dict[str, Completed] = {}
        self.said: list[str] = []
        self.failing = ""
        self.memory = Memory({})
        self.memory.answers["systemd-analyze calendar"] = CALENDAR
        receivers = (Receiver("homelab", "192.168.4.62", 22), Receiver("storage", "192.168.4.61", 22))
        self.configuration = Configuration("trial", (), str(self.directory), 2, (fingerprint,), "daily", "/run/c.sock", receivers)
        monkeypatch.setattr(schedule, "make", self.make)
        monkeypatch.setattr(schedule, "RECIPIENTS", str(directory / "recipients.asc"))
        monkeypatch.setattr(schedule, "STAGE", str(self.stage))

    def make(self, order: Any, host: Any, packing: Any, *, check_mode: bool) -> Outcome:
        if self.failing:
            raise Refusal("etcd", self.failing, "a snapshot", "Look.")
        self.stage.mkdir()
        manifest, texts = backup(created=self.created)
        path = pack(self.stage, manifest, texts, NAME)
        return Outcome(path, manifest, sha256=packing.member(path, "").sha256)

    created = CREATED

    def send(self, argv: list[str], path: str, _seconds: float) -> Completed:
        self.sent.append((argv[-2], argv[-1]))
        return self.answers.get(argv[-2], Completed(tuple(argv), 0, "{}", ""))

    def run(self) -> None:
        gpg = Gpg(HostCommands())
        world = schedule.World(self.memory.host(), LocalPacking(), gpg, self.files.get, self.write, self.send, self.said.append)
        schedule.run(world, self.configuration)

    def write(self, contents: Any, *, new_mode: int = 0o644) -> None:
        self.files.update(contents)

    @property
    def state(self) -> State:
        return schedule.read_state(self.files[STATE])


@pytest.fixture
def plane(tmp_path: Path, ring: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch) -> Plane:
    (tmp_path / "recipients.asc").write_text(ring[2])
    return Plane(tmp_path, ring[1], monkeypatch)


@needs_gpg
def test_a_run_makes_a_backup_that_only_the_recipient_can_read_and_copies_it(
    plane: Plane, ring: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.run()
    assert os.listdir(plane.directory) == [f"{NAME}.gpg"]
    assert not plane.stage.exists()
    path = plane.directory / f"{NAME}.gpg"
    assert (path.stat().st_mode & 0o777, plane.directory.stat().st_mode & 0o777) == (0o600, 0o700)
    member = LocalPacking().member(str(path), "")
    asked = f"add {NAME}.gpg {member.sha256} {member.size}"
    assert plane.sent == [("root@192.168.4.62", asked), ("root@192.168.4.61", asked)]
    assert plane.state == State(f"{NAME}.gpg", "", TWO, {"homelab": f"{NAME}.gpg", "storage": f"{NAME}.gpg"}, {})
    assert 'vmstation_backup_copied_timestamp_seconds{receiver="homelab"} ' in plane.files[METRIC_FILE]
    # the owner's key ring, and that of somebody else
    monkeypatch.setenv("GNUPGHOME", ring[0])
    wanted = archive_options(plane.directory, recipients=[ring[1]])
    assert check(wanted, LocalPacking(), Gpg(HostCommands())).findings == ()
    with tempfile.TemporaryDirectory(prefix="ring-") as other:
        monkeypatch.setenv("GNUPGHOME", other)
        with pytest.raises(Refusal, match="encrypted for another key"):
            check(wanted, LocalPacking(), Gpg(HostCommands()))
        HostCommands().run(["gpgconf", "--kill", "all"])


@needs_gpg
def test_a_host_that_is_asleep_gets_the_next_backup_and_the_oldest_goes(plane: Plane) -> None:
    plane.answers["root@192.168.4.61"] = Completed((), 255, "", "ssh: connect to host 192.168.4.61 port 22: No route to host\n")
    plane.run()
    assert (list(plane.state.copied), list(plane.state.missed)) == (["homelab"], ["storage"])
    assert "No route to host" in plane.state.missed["storage"]
    plane.answers.clear()
    plane.created = "2026-11-26T03:00:00Z"
    plane.run()
    plane.created = "2026-11-27T03:00:00Z"
    plane.run()
    kept = ["trial-20261126T030000Z.tar.gz.gpg", "trial-20261127T030000Z.tar.gz.gpg"]
    assert sorted(os.listdir(plane.directory)) == kept
    assert set(plane.state.copied.values()) == {kept[1]}
    assert plane.state.missed == {}


@needs_gpg
def test_a_host_whose_keys_are_not_known_is_not_asked_and_its_next_step_is_noted(plane: Plane) -> None:
    plane.files[KNOWN_HOSTS] = "homelab ssh-ed25519 BBBB\n"
    plane.run()
    assert [host for host, _asked in plane.sent] == ["root@192.168.4.62"]
    assert list(plane.state.missed) == ["storage"]
    assert "run `site.yml --tags cluster_backup` while storage is awake" in plane.state.missed["storage"]
    assert 'vmstation_backup_copied_timestamp_seconds{receiver="storage"} 0\n' in plane.files[METRIC_FILE]


@needs_gpg
def test_a_run_that_fails_is_noted_and_what_was_made_before_is_still_copied(plane: Plane) -> None:
    plane.answers["root@192.168.4.61"] = Completed((), 255, "", "asleep")
    plane.run()
    plane.failing = "no space left on device"
    plane.answers.clear()
    with pytest.raises(Refusal, match="no space left on device"):
        plane.run()
    assert "no space left on device" in plane.state.error
    assert "vmstation_backup_last_run_failed 1\n" in plane.files[METRIC_FILE]
    assert set(plane.state.copied) == {"homelab", "storage"}
    assert os.listdir(plane.directory) == [f"{NAME}.gpg"]
    plane.failing, plane.created = "", "2026-11-26T03:00:00Z"
    plane.run()
    assert plane.state.error == ""
    assert "vmstation_backup_last_run_failed 0\n" in plane.files[METRIC_FILE]


@needs_gpg
def test_a_full_disk_is_noted_as_a_failed_run_and_names_the_path(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(*_order: Any, **_more: Any) -> Outcome:
        raise OSError(errno.ENOSPC, "No space left on device", "/var/lib/vmstation/x")

    monkeypatch.setattr(schedule, "make", make)
    with pytest.raises(Refusal, match="/var/lib/vmstation/x: found no space left on device; required: "):
        plane.run()
    assert "/var/lib/vmstation/x: found no space left on device" in plane.state.error
    assert "vmstation_backup_last_run_failed 1\n" in plane.files[METRIC_FILE]


@needs_gpg
def test_a_backup_that_cannot_be_read_is_noted_for_each_receiver(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    def send(*_words: Any) -> Completed:
        raise OSError(errno.EIO, "Input/output error", "/var/backups/x")

    monkeypatch.setattr(plane, "send", send)
    plane.run()
    assert plane.state.missed == {"homelab": "input/output error", "storage": "input/output error"}


# Copies on another host.

OLD, NEW = "trial-20261125T030000Z.tar.gz.gpg", "trial-20261126T030000Z.tar.gz.gpg"
SUM = "6cd2c5cf8bd7e4c0cb9c9a3e3a2f7eb0b5d0d3e8b6d3f1a0b7c9d1e2f3a4b5c6"


class Clocked(LocalPacking):
    """time: the 26th of November, 04:00. Files that were there before are a day old."""

    room = 1 << 40
    time = 1795665600.0

    def now(self) -> float:
        return self.time

    def free(self, path: str) -> int:
        return self.room


def _receive(directory: Path, asked: str, content: bytes = b"encrypted", packing: Clocked | None = None, keep: int = 2) -> dict[str, Any]:
    clocked = packing or Clocked()

    def save(path: str, size: int) -> None:
        Path(path).write_bytes(content[:size])
        os.utime(path, (clocked.time, clocked.time))

    return receive(asked, Order("trial", str(directory), keep), clocked, save)


def _add_old(directory: Path, *names: str) -> None:
    """Copies that were received the day before."""
    for name in names:
        (directory / name).write_text("kept")
        os.utime(directory / name, (Clocked.time - 86400, Clocked.time - 86400))


def _asked(name: str = NEW, content: bytes = b"encrypted") -> str:
    return f"add {name} {hashlib.sha256(content).hexdigest()} {len(content)}"


def test_a_copy_is_added_and_the_oldest_goes(tmp_path: Path) -> None:
    _add_old(tmp_path, OLD, "trial-20261120T030000Z.tar.gz.gpg", "other-20261101T030000Z.tar.gz.gpg", "notes.txt", f".{OLD}.unfinished")
    assert _receive(tmp_path, _asked()) == {"added": NEW, "removed": ["trial-20261120T030000Z.tar.gz.gpg"]}
    assert sorted(os.listdir(tmp_path)) == ["notes.txt", "other-20261101T030000Z.tar.gz.gpg", OLD, NEW]
    assert (tmp_path / NEW).read_bytes() == b"encrypted"


REJECTED = {
    "a shell": ("sh -c id", "what was asked: found 'sh -c id'; required: add NAME SHA256 SIZE"),
    "nothing": ("", "what was asked: found ''"),
    "a path": (_asked("../../root/.ssh/authorized_keys"), "required: that of an encrypted backup of trial"),
    "another cluster": (_asked("other-20261126T030000Z.tar.gz.gpg"), "required: that of an encrypted backup of trial"),
    "not encrypted": (_asked("trial-20261126T030000Z.tar.gz"), "required: that of an encrypted backup of trial"),
    "no day of a month": (_asked("trial-20261199T030000Z.tar.gz.gpg"), "required: that of an encrypted backup of trial"),
    "in the future": (_asked("trial-20261126T050001Z.tar.gz.gpg"), "found a time in the future"),
    "one that is there": (_asked(OLD), "required: one that is 30 minutes younger than"),
    "an older one": (_asked("trial-20261124T030000Z.tar.gz.gpg"), "required: one that is 30 minutes younger than"),
    "too soon": (_asked("trial-20261125T032959Z.tar.gz.gpg"), "required: one that is 30 minutes younger than"),
    "another checksum": (_asked(content=b"Encrypted"), "9 bytes with another checksum"),
    "cut short": (_asked(content=b"encrypted and more"), "9 bytes with another checksum"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_nothing_but_a_newer_backup_is_taken_and_nothing_is_replaced(tmp_path: Path, case: str) -> None:
    asked, message = REJECTED[case]
    _add_old(tmp_path, OLD)
    with pytest.raises(Refusal) as caught:
        _receive(tmp_path, asked)
    assert message in str(caught.value)
    assert os.listdir(tmp_path) == [OLD]
    assert (tmp_path / OLD).read_text() == "kept"


def _stamped(minutes: int) -> str:
    """The name of a backup of a time after OLD."""
    return f"trial-{datetime.fromtimestamp(1795575600 + 60 * minutes, timezone.utc):%Y%m%dT%H%M%SZ}.tar.gz.gpg"


def test_names_half_an_hour_apart_do_not_rotate_the_good_copies_away(tmp_path: Path) -> None:
    good = [_stamped(-1440 * day) for day in range(7)]
    _add_old(tmp_path, *good)
    for slot in range(1, 49):
        name = _stamped(30 * slot)
        if slot == 1:
            _receive(tmp_path, _asked(name), keep=7)
        else:
            with pytest.raises(Refusal, match=f"backup {name}: found 0 minutes after {_stamped(30)} was received"):
                _receive(tmp_path, _asked(name), keep=7)
    assert sorted(os.listdir(tmp_path)) == sorted([*good[:6], _stamped(30)])


@pytest.mark.parametrize(
    ("passed", "is_taken"), [(1799.0, False), (1800.0, True), (-1799.0, False), (-7200.0, True)], ids=["early", "due", "set back", "reset"]
)
def test_the_receivers_clock_decides_when_the_next_copy_is_taken(tmp_path: Path, passed: float, is_taken: bool) -> None:
    clocked = Clocked()
    _receive(tmp_path, _asked(_stamped(30)), packing=clocked)
    clocked.time += passed
    if is_taken:
        assert _receive(tmp_path, _asked(_stamped(60)), packing=clocked)["added"] == _stamped(60)
    else:
        with pytest.raises(Refusal, match="required: 30 minutes between two copies"):
            _receive(tmp_path, _asked(_stamped(60)), packing=clocked)


def test_a_backup_every_night_and_a_late_first_copy_are_taken(tmp_path: Path) -> None:
    clocked = Clocked()
    for night in range(4):
        clocked.time = Clocked.time + 86400 * night
        _receive(tmp_path, _asked(_stamped(1440 * (night + 1))), packing=clocked)
    assert sorted(os.listdir(tmp_path)) == [_stamped(1440 * 3), _stamped(1440 * 4)]


def test_two_copies_at_once_are_one(tmp_path: Path) -> None:
    refused = []

    def save(path: str, size: int) -> None:
        with pytest.raises(Refusal, match="found another copy that is being received") as caught:
            _receive(tmp_path, _asked(_stamped(60)))
        refused.append(caught.value)
        Path(path).write_bytes(b"encrypted"[:size])

    assert receive(_asked(), Order("trial", str(tmp_path), 2), Clocked(), save)["added"] == NEW
    assert len(refused) == 1
    assert os.listdir(tmp_path) == [NEW]


def test_a_copy_does_not_fill_the_disk(tmp_path: Path) -> None:
    packing = Clocked()
    packing.room = MARGIN
    with pytest.raises(Refusal, match="found 1 GiB free"):
        _receive(tmp_path, _asked(), packing=packing)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trial", '/var/x" sh', "2"], "directory: found"),
        (["a/b", "/var/x", "2"], "cluster_name: found 'a/b'"),
        (["trial", "/var/x", "0"], "keep: found 0"),
        ([], "cluster_name: found ''"),
    ],
)
def test_arguments_that_a_shell_would_read_otherwise_are_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(Refusal, match=message):
        read_order(arguments)


def test_the_key_starts_the_receiver_and_nothing_else() -> None:
    disk, keys = Disk(), "/root/.ssh/authorized_keys"
    disk.files[keys] = "ssh-ed25519 CCCC the owner\n"
    given = {"state": "present", "public_key": KEY, "from_addresses": ["192.168.4.63"], "authorized_keys": keys}
    given |= {"cluster_name": "trial", "directory": "/var/backups/vmstation", "keep": 3}
    assert ensure_receiver(disk.host(), given, "receiver()", check_mode=False)["changed"]
    line = disk.files[keys].splitlines()[1]
    program = "/usr/local/lib/vmstation/backup-receiver.pyz"
    command = f"/usr/bin/python3 -I {program} trial /var/backups/vmstation 3"
    assert line == f'restrict,from="192.168.4.63",command="{command}" {KEY}'
    assert not ensure_receiver(disk.host(), given, "receiver()", check_mode=False)["changed"]
    assert ensure_receiver(disk.host(), {**given, "state": "absent"}, "receiver()", check_mode=False)["changed"]
    assert disk.files == {keys: "ssh-ed25519 CCCC the owner\n"}


def test_the_installed_program_takes_a_copy_with_the_hosts_python_alone(tmp_path: Path) -> None:
    program = tmp_path / "receiver.pyz"
    program.write_bytes(archive(RECEIVER_ENTRY).encode("utf-8", "surrogateescape"))
    now = datetime.now(timezone.utc)
    name = f"trial-{now:%Y%m%dT%H%M%SZ}.tar.gz.gpg"
    content = bytes(range(256)) * 10_000

    def ask(words: str) -> subprocess.CompletedProcess[bytes]:
        argv = [sys.executable, "-I", str(program), "trial", str(tmp_path / "copies"), "2"]
        return subprocess.run(argv, input=content, env={"SSH_ORIGINAL_COMMAND": words}, capture_output=True, check=False, timeout=120)

    done = ask(_asked(name, content))
    assert (done.returncode, json.loads(done.stdout or "{}")) == (0, {"added": name, "removed": []}), done.stderr
    assert (tmp_path / "copies" / name).read_bytes() == content
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "copies", tmp_path / "copies" / name)] == [0o700, 0o600]
    refused = ask("cat /etc/shadow")
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert b"required: add NAME SHA256 SIZE" in refused.stderr


def test_the_installed_program_backs_up_nothing_without_its_configuration(tmp_path: Path) -> None:
    program = tmp_path / "backup.pyz"
    program.write_bytes(archive(BACKUP_ENTRY).encode("utf-8", "surrogateescape"))
    assert not os.path.exists(CONFIGURATION)
    done = subprocess.run([sys.executable, "-I", str(program)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert f"{CONFIGURATION}: found not what this collection writes" in done.stderr


# What check.yml reports.

NOW = 1795665600.0
RECEIVERS = (Receiver("homelab", "192.168.4.62", 22),)
SEEN = Seen(
    Configuration("trial", (), "/var/backups/vmstation", 7, (FINGERPRINT,), "daily", "", RECEIVERS),
    State(NEW, "", NOW + 60, {"homelab": OLD}),
    failed=False,
    runs=True,
    kept=(OLD, NEW),
    now=NOW,
)


def test_a_timer_that_works_is_no_finding_and_its_ages_are_told() -> None:
    findings, (looked_at,) = judge(SEEN)
    assert findings == []
    facts = "the newest is 60 minutes old; 2 kept in /var/backups/vmstation; the newest copy on homelab is 25 hours old"
    assert (looked_at.facts, looked_at.state) == (facts, "ok")


FAULTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "the timer was stopped": ({"runs": False}, "scheduled_backups_have_a_timer", "vmstation-backup.timer not active"),
    "the last run failed": ({"state": replace(SEEN.state, error="no room")}, "the_last_scheduled_backup_succeeded", "no room"),
    "the last run was killed": ({"failed": True}, "the_last_scheduled_backup_succeeded", "its process was ended"),
    "a backup is overdue": ({"now": NOW + 61}, "scheduled_backups_are_recent", "the newest is 61 minutes old"),
    "none was ever made": ({"now": NOW + 61, "kept": ()}, "scheduled_backups_are_recent", "no backup"),
    "no copy for a week": (
        {"kept": (NEW,), "state": replace(SEEN.state, copied={}, missed={"homelab": "No route to host"}), "now": NOW},
        "scheduled_backups_are_on_another_host",
        "no copy of the last 7 days (homelab: No route to host)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_each_fault_is_one_warning_with_its_next_step(case: str) -> None:
    changed, rule, found = FAULTS[case]
    findings, (looked_at,) = judge(replace(SEEN, **changed))
    assert [(one.rule, one.severity) for one in findings] == [(rule, "warning")]
    assert found in findings[0].found
    assert "vmstation-backup" in findings[0].fix or "site.yml" in findings[0].fix
    assert looked_at.state == "warning"


def test_a_figure_that_nobody_knows_is_no_metric() -> None:
    configuration = replace(SEEN.configuration, receivers=())
    lines = [line for line in metrics(State(), configuration).splitlines() if not line.startswith("#")]
    assert lines == ["vmstation_backup_last_run_failed 0"]
    assert RECIPIENTS.startswith("/etc/vmstation/")


def test_a_host_that_never_had_a_copy_has_one_of_the_time_0() -> None:
    receivers = (*RECEIVERS, Receiver("storage", "192.168.4.61", 22))
    text = metrics(SEEN.state, replace(SEEN.configuration, receivers=receivers))
    assert 'vmstation_backup_copied_timestamp_seconds{receiver="homelab"} 1795575600\n' in text
    assert 'vmstation_backup_copied_timestamp_seconds{receiver="storage"} 0\n' in text
