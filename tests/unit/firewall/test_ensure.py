# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read, plan, apply, read back, and what happens when a step fails: against a firewall that is two texts in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import nullcontext

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall import apply
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall import apply as applying
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall import ensure as ensuring
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.backend import Backend, Standing, Step, Transaction
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.ensure import ensure, read_request
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.host import Host
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import NOTHING, as_data, as_lines, from_data, parse
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import Completed
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

FILE = "/etc/rules"
OVER_SSH = {"SSH_CONNECTION": "192.168.4.1 50000 192.168.4.61 22"}
OVER_ANOTHER = {"SSH_CONNECTION": "192.168.4.1 50001 192.168.4.61 22"}
DEFAULTS = {
    "name": "worker", "ports": [], "trusted": [], "protected": [], "trusted_ports": "all", "install": "none",
    "state": "present", "backend": "auto", "zone": None,
    "node_port_range": "30000-32767", "confirm_within": 0, "_is_local": False, "_operator": "",
}  # fmt: skip


class Machine:
    """A host whose firewall loads its one file: ``load`` puts its text in force. ``breaks`` names the programs that fail, once each."""

    def __init__(self, **breaks: str) -> None:
        self.files: dict[str, str] = {FILE: json.dumps(as_data(NOTHING))}
        self.in_force = self.files[FILE]
        self.ran: list[str] = []
        self.breaks = dict(breaks)
        self.environment: Mapping[str, str] = OVER_SSH
        self.systemd = True
        self.time = 1000.0
        self.remembers_until = 0.0
        self.more_steps: tuple[Step, ...] = ()

    def has(self, program: str) -> bool:
        return True

    def run(self, argv, *, stdin="", timeout=60.0, check=True):
        self.ran.append(" ".join(argv))
        message = self.breaks.pop(argv[0], "")
        if message:
            raise Refusal(f"command `{argv[0]}`", message, "exit status 0", "Correct it.")
        if argv[0] == "load":
            self.in_force = self.files[FILE]
        told = "firewall still remembers it" if argv[0] == "ask" and self.time < self.remembers_until else ""
        return Completed(tuple(argv), 0, told, "")

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def replace_all(self, contents):
        for path, text in contents.items():
            if text is None:
                self.files.pop(path, None)
            else:
                self.files[path] = text

    def host(self) -> Host:
        return Host(
            commands=self,
            read_text=self.files.get,
            replace_all=self.replace_all,
            lock=nullcontext,
            tool_lock=lambda path: nullcontext(),
            detached=lambda work: work(),
            environments=lambda: [self.environment],
            program=lambda entry: entry,
            has_systemd=lambda: self.systemd,
            now=lambda: self.time,
            sleep=self.sleep,
            python="/usr/bin/python3",
        )


class InMemory(Backend):
    name = "memory"
    families_in_force = frozenset({4, 6})

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine, machine.files.get)
        self.machine = machine

    def is_in_force(self) -> bool:
        return True

    def families(self):
        return self.families_in_force

    def read(self, owner: str) -> Standing:
        return Standing(from_data(json.loads(self.machine.in_force)), from_data(json.loads(self.machine.files[FILE])))

    def transaction(self, owner, wanted):
        return Transaction((Step(("try",)),), {FILE: json.dumps(as_data(wanted))}, (Step(("load",)), *self.machine.more_steps))


@pytest.fixture
def machine(monkeypatch):
    machine = Machine()
    monkeypatch.setattr(ensuring, "choose", lambda *_: InMemory(machine))
    monkeypatch.setitem(applying.BACKENDS, "memory", lambda *_: InMemory(machine))
    return machine


def run(machine: Machine, *, check: bool = False, **options):
    return ensure(read_request({**DEFAULTS, **options}, check=check), machine.host())


def standing(machine: Machine) -> tuple[list[str], list[str]]:
    return tuple(as_lines(from_data(json.loads(text))) for text in (machine.in_force, machine.files[FILE]))


def test_a_change_is_validated_saved_loaded_and_read_back(machine):
    outcome = run(machine, ports=[{"port": 80}], trusted=["10.244.0.0/16"])
    lines = ["22/tcp", "80/tcp", "trusted 10.244.0.0/16"]
    assert standing(machine) == (lines, lines)
    assert machine.ran == ["try", "load"]
    assert outcome.result["changed"]
    assert outcome.result["added"] == lines
    assert outcome.result["diff"]["after"] == "22/tcp\n80/tcp\ntrusted 10.244.0.0/16\n"


def test_a_second_run_starts_nothing(machine):
    run(machine, ports=[{"port": 80}])
    machine.ran.clear()
    outcome = run(machine, ports=[{"port": "80"}])
    assert not outcome.result["changed"]
    assert (outcome.result["added"], outcome.result["removed"]) == ([], [])
    assert machine.ran == []


def test_check_mode_predicts_and_starts_nothing(machine):
    predicted = run(machine, check=True, ports=[{"port": 80}])
    assert machine.ran == []
    assert standing(machine) == ([], [])
    assert run(machine, ports=[{"port": 80}]).result == predicted.result


def test_a_set_that_is_not_permanent_is_a_change(machine):
    run(machine, ports=[{"port": 80}])
    machine.files[FILE] = json.dumps(as_data(NOTHING))
    assert run(machine, ports=[{"port": 80}]).result["changed"]
    assert standing(machine)[1] == ["22/tcp", "80/tcp"]


def test_a_refused_dry_run_touches_nothing(machine):
    machine.breaks["try"] = "no such protocol"
    with pytest.raises(Refusal, match="no such protocol"):
        run(machine, ports=[{"port": 80}])
    assert machine.ran == ["try"]
    assert standing(machine) == ([], [])


@pytest.mark.parametrize("options", [{}, {"confirm_within": 60}])
def test_a_load_that_fails_brings_the_old_set_back(machine, options):
    run(machine, ports=[{"port": 80}])
    before = dict(machine.files)
    machine.breaks["load"] = "out of memory"
    with pytest.raises(Refusal, match=r"out of memory \(the old set was restored\)"):
        run(machine, ports=[{"port": 90}], **options)
    assert standing(machine) == (["22/tcp", "80/tcp"],) * 2
    assert machine.files == before


def test_what_is_read_back_is_what_counts(machine, monkeypatch):
    run(machine, ports=[{"port": 80}])

    class Forgetful(InMemory):
        read_before = False

        def read(self, owner):
            seen = Standing(parse([{"port": 1}], []), NOTHING) if self.read_before else super().read(owner)
            self.read_before = True
            return seen

    monkeypatch.setattr(ensuring, "choose", lambda *_: Forgetful(machine))
    with pytest.raises(Refusal, match="memory after the change: found in force 1/tcp, permanent nothing"):
        run(machine, ports=[{"port": 90}])
    assert standing(machine)[0] == ["22/tcp", "80/tcp"]


def test_networks_of_an_ip_version_that_is_not_judged_are_left_out_and_named(machine, monkeypatch):
    monkeypatch.setattr(InMemory, "families_in_force", frozenset({4}))
    outcome = run(machine, ports=[{"port": 80, "sources": ["10.0.0.0/8", "fd00::/8"]}], trusted=["fd00:10::/64"])
    assert outcome.result["added"] == ["22/tcp", "80/tcp from 10.0.0.0/8"]
    assert outcome.warnings == ["This host's firewall does not filter IPv6, so these networks were left out: fd00:10::/64, fd00::/8."]


def test_a_removal_of_the_way_in_has_to_be_confirmed(machine):
    run(machine, ports=[{"port": 80}])
    outcome = run(machine, state="absent")
    assert outcome.result["removed"] == ["22/tcp", "80/tcp"]
    assert (outcome.result["confirmation_pending"], outcome.result["rollback_in"]) == (True, 60)
    machine.environment = OVER_ANOTHER
    assert run(machine, state="absent").result["confirmed"]
    assert list(machine.files) == [FILE]


def test_a_removal_of_the_way_in_is_told_where_nothing_can_be_confirmed(machine):
    machine.systemd = False
    run(machine, ports=[{"port": 80}])
    outcome = run(machine, state="absent")
    assert not outcome.result["confirmation_pending"]
    assert outcome.warnings == ["The set worker allowed SSH. If no other rule of this host does, new SSH connections fail from now on."]


def test_a_removal_by_a_console_needs_no_confirmation(machine):
    run(machine, ports=[{"port": 80}])
    machine.environment = {}
    outcome = run(machine, state="absent")
    assert (outcome.result["confirmation_pending"], outcome.warnings) == (False, [])


def test_without_a_firewall_nothing_changes(machine, monkeypatch):
    monkeypatch.setattr(ensuring, "choose", lambda *_: None)
    outcome = run(machine, ports=[{"port": 80}])
    assert (outcome.result["changed"], outcome.result["backend"]) == (False, "none")
    assert outcome.warnings[0].startswith("No firewall is active on this host")
    assert outcome.result["inactive"] == ""


@pytest.mark.parametrize(
    ("path", "backend"),
    [
        ("/etc/firewalld/policies/vm-worker_in.xml", "firewalld"),
        ("/etc/ufw/applications.d/vmstation-worker", "ufw"),
        ("/etc/nftables.d/vmstation-worker.nft", "nftables"),
    ],
)
def test_a_firewall_that_has_the_set_and_was_switched_off_is_named(machine, monkeypatch, path, backend):
    monkeypatch.setattr(ensuring, "choose", lambda *_: None)
    machine.files[path] = ""
    assert run(machine, check=True, ports=[{"port": 80}]).result["inactive"] == backend


def test_what_a_reboot_would_change_is_told(machine):
    run(machine, ports=[{"port": 80}])
    assert run(machine, check=True, ports=[{"port": 80}]).result["unsaved"] == []
    machine.files[FILE] = json.dumps(as_data(parse([{"port": 81}], [])))
    outcome = run(machine, check=True, ports=[{"port": 80}])
    assert (outcome.result["changed"], outcome.result["added"]) == (True, [])
    assert outcome.result["unsaved"] == ["22/tcp", "80/tcp", "not 81/tcp"]


@pytest.mark.parametrize(("seconds", "is_patient"), [(0, True), (7, True), (90, False)])
def test_a_step_waits_until_nobody_remembers_any_more_and_not_forever(machine, seconds, is_patient):
    machine.remembers_until = machine.time + seconds
    machine.more_steps = (Step(("ask",), until_without="remembers"), Step(("forget",)))
    if is_patient:
        run(machine, ports=[{"port": 80}])
        assert machine.time >= machine.remembers_until
        assert machine.ran[-1] == "forget"
    else:
        with pytest.raises(Refusal, match="`ask`"):
            run(machine, ports=[{"port": 80}])
        assert "forget" not in machine.ran


class Killed(BaseException):
    """What ends a process without a word: nothing below may catch it."""


def killed_halfway(machine: Machine, **options) -> None:
    """The files are new, what is in force is old."""
    load = machine.run

    def die(argv, **more):
        if argv[0] == "load":
            raise Killed
        return load(argv, **more)

    machine.run = die
    with pytest.raises(Killed):
        run(machine, **options)
    machine.run = load


OLD_PORTS, NEW_PORTS = [{"port": 22}, {"port": 80}], [{"port": 22}, {"port": 90}]


def test_a_change_ends_without_a_trace(machine):
    run(machine, ports=OLD_PORTS)
    assert apply.PATH not in machine.files


def test_a_killed_change_is_undone_by_a_run_for_another_set(machine):
    run(machine, ports=OLD_PORTS)
    killed_halfway(machine, ports=NEW_PORTS)
    assert standing(machine)[0] != standing(machine)[1]
    for check in (True, False):
        outcome = run(machine, name="other", ports=OLD_PORTS, check=check)
        assert outcome.result["changed"] is True
        assert "worker" in outcome.result["repaired"][0]
        assert (apply.PATH in machine.files) is check
    assert standing(machine) == (["22/tcp", "80/tcp"], ["22/tcp", "80/tcp"])
    assert run(machine, name="other", ports=OLD_PORTS).result["changed"] is False


def test_a_killed_change_is_made_whole_by_a_run_for_the_same_set(machine):
    run(machine, ports=OLD_PORTS)
    killed_halfway(machine, ports=NEW_PORTS)
    outcome = run(machine, ports=NEW_PORTS)
    assert outcome.result["changed"] is True
    assert "repaired" not in outcome.result
    assert standing(machine) == (["22/tcp", "90/tcp"], ["22/tcp", "90/tcp"])
    assert apply.PATH not in machine.files


def test_what_was_killed_twice_is_undone_to_what_was_before_both(machine):
    run(machine, ports=OLD_PORTS)
    killed_halfway(machine, ports=NEW_PORTS)
    machine.in_force = json.dumps(as_data(NOTHING))  # half of a set, which nobody asked for
    killed_halfway(machine, ports=NEW_PORTS)
    run(machine, name="other", ports=OLD_PORTS)
    assert standing(machine) == (["22/tcp", "80/tcp"], ["22/tcp", "80/tcp"])


def test_a_change_that_was_killed_before_or_after_all_of_it_is_left_as_it_is(machine):
    run(machine, ports=OLD_PORTS)
    killed_halfway(machine, ports=NEW_PORTS)
    machine.in_force = machine.files[FILE]
    outcome = run(machine, name="other", ports=NEW_PORTS)
    assert (outcome.result["changed"], apply.PATH in machine.files) == (False, False)


def test_the_way_back_stands_before_the_change(machine):
    outcome = run(machine, ports=[{"port": 80}], confirm_within=60)
    assert machine.ran == ["try", "systemctl daemon-reload", "systemctl restart vmstation-firewall-rollback-worker.timer", "load"]
    assert (outcome.result["confirmation_pending"], outcome.result["rollback_in"]) == (True, 60)
    data = json.loads(machine.files["/var/lib/vmstation/firewall/worker.json"])
    assert from_data(data["ports"]) == NOTHING
    assert data["files"] == {FILE: json.dumps(as_data(NOTHING))}
    assert "OnActiveSec=60s" in machine.files["/etc/systemd/system/vmstation-firewall-rollback-worker.timer"]


def as_of_an_older_release(machine: Machine, path: str) -> None:
    data = json.loads(machine.files[path])
    del data["ports"]["protected"], data["ports"]["confined"]
    machine.files[path] = json.dumps(data)


def test_a_change_that_an_older_release_left_halfway_is_made_whole(machine):
    run(machine, ports=OLD_PORTS)
    killed_halfway(machine, ports=NEW_PORTS)
    as_of_an_older_release(machine, apply.PATH)
    assert run(machine, ports=NEW_PORTS).result["changed"]
    assert apply.PATH not in machine.files


def test_a_way_back_of_an_older_release_is_understood(machine):
    run(machine, ports=OLD_PORTS, confirm_within=60)
    as_of_an_older_release(machine, "/var/lib/vmstation/firewall/worker.json")
    assert run(machine, ports=OLD_PORTS, confirm_within=60).result["confirmation_pending"]


@pytest.mark.parametrize("renamed", range(1, 5))
def test_a_way_back_that_was_killed_while_it_was_made_goes_with_the_next_run(machine, renamed):
    run(machine, ports=[{"port": 80}], confirm_within=60)
    made = [path for path in machine.files if path != FILE]
    machine.files = {path: text for path, text in machine.files.items() if path in (FILE, *made[:renamed])}
    run(machine, check=True, ports=[{"port": 80}])
    assert list(machine.files) == [FILE, *made[:renamed]]
    run(machine, ports=[{"port": 80}])
    assert list(machine.files) == [FILE]


@pytest.mark.parametrize("by_another", [None, json.dumps({**as_data(NOTHING), "trusted": ["10.9.0.0/16"]})], ids=["untouched", "changed"])
def test_the_way_back_takes_from_a_file_that_others_changed_only_what_is_ours(machine, by_another):
    run(machine, ports=[{"port": 22}, {"port": 80, "comment": "web"}])
    old = machine.files[FILE]
    run(machine, ports=[{"port": 22}], confirm_within=60)
    machine.files[FILE] = by_another or machine.files[FILE]
    way_back = apply.pending(machine.host(), "worker")
    changed = way_back.changed_since(machine.files.get, lambda path: False)
    assert changed == ({FILE} if by_another else frozenset())
    files = {FILE: "bytes that must not come back"} if by_another else way_back.files
    applying.restore(machine.host(), InMemory(machine), "worker", files, way_back.ports, changed=changed)
    assert machine.files[FILE] == old


@pytest.mark.parametrize(
    ("environment", "confirmed"), [(OVER_SSH, False), (OVER_ANOTHER, True), ({}, True)], ids=["same", "another", "no SSH"]
)
def test_only_another_connection_confirms(machine, environment, confirmed):
    run(machine, ports=[{"port": 22}], confirm_within=60)
    machine.environment = environment
    machine.time += 20
    outcome = run(machine, ports=[{"port": 22}])
    assert (outcome.result["changed"], outcome.result["confirmed"]) == (False, confirmed)
    assert outcome.result["confirmation_pending"] is not confirmed
    assert outcome.result.get("rollback_in") == (None if confirmed else 40)
    assert (list(machine.files) == [FILE]) is confirmed


NOT_ANSIBLES = pytest.mark.parametrize("private", [{"_is_local": True}, {"_operator": "192.168.4.1 50000"}], ids=["local", "in a chroot"])


@NOT_ANSIBLES
def test_the_session_of_the_operator_is_no_connection_of_ansible_and_confirms(machine, private):
    run(machine, ports=[{"port": 80}], confirm_within=60, **private)
    assert standing(machine)[0] == ["22/tcp", "80/tcp"]
    assert run(machine, ports=[{"port": 80}], **private).result["confirmed"]


@NOT_ANSIBLES
def test_a_removal_of_the_way_in_that_no_connection_can_confirm_is_warned_of(machine, private):
    run(machine, ports=[{"port": 80}])
    outcome = run(machine, state="absent", **private)
    assert outcome.warnings == [
        "The set worker allowed SSH. If no other rule of this host does, new SSH connections fail from now on.",
    ]
    assert outcome.result["rollback_in"] == 60


def test_another_change_waits_for_the_first_to_be_confirmed(machine):
    run(machine, ports=[{"port": 80}], confirm_within=60)
    with pytest.raises(Refusal, match="waiting for a confirmation until it is undone in 60 s"):
        run(machine, ports=[{"port": 90}])
    # over a new connection it confirms the first, and then makes its own change
    machine.environment = OVER_ANOTHER
    outcome = run(machine, ports=[{"port": 90}], confirm_within=30)
    assert (outcome.result["confirmed"], outcome.result["confirmation_pending"]) == (True, True)
    data = json.loads(machine.files["/var/lib/vmstation/firewall/worker.json"])
    assert as_lines(from_data(data["ports"])) == ["22/tcp", "80/tcp"]


def test_without_systemd_nothing_can_be_confirmed(machine):
    machine.systemd = False
    with pytest.raises(Refusal, match="confirm_within: found a host without systemd"):
        run(machine, check=True, ports=[{"port": 80}], confirm_within=60)
    assert machine.ran == []


@pytest.mark.parametrize("seconds", [-1, 86401])
def test_a_window_that_makes_no_sense_is_refused(seconds):
    with pytest.raises(Refusal, match=f"confirm_within: found {seconds}; required: 0 to 86400 seconds"):
        read_request({**DEFAULTS, "confirm_within": seconds}, check=False)


def test_a_damaged_note_of_a_change_is_named(machine):
    machine.files["/var/lib/vmstation/firewall/worker.json"] = "{"
    with pytest.raises(Refusal, match=r"/var/lib/vmstation/firewall/worker\.json: found not what this collection writes"):
        run(machine, ports=[{"port": 80}])
