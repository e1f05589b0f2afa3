# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scheduled backups: the timer's files and configuration, what a run does, and the check of its results."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any, Callable, Optional, Union

from .._findings import Finding, LookedAt, state_of
from .._host.archives import Packing
from .._host.commands import Commands, Completed
from .._host.files import Write
from .._json import read_json
from .._kubeadm.host import NodeHost
from .._programs import Host, Timed, ensure_timed, known_hosts, refuse_missing, remove_timed, ssh_to, with_known_keys
from .._refusal import Refusal
from . import manifest as names
from .backup import Order, make, read_path, read_paths
from .io import Encryption
from .keeping import SPACING, Kept, keep

PROGRAM = "/usr/local/lib/vmstation/backup.pyz"
CONFIGURATION = "/etc/vmstation/backup.json"
RECIPIENTS = "/etc/vmstation/backup-recipients.asc"
KNOWN_HOSTS = "/etc/vmstation/backup.known_hosts"
STATE_DIRECTORY = "/var/lib/vmstation/scheduled-backup"
STATE = f"{STATE_DIRECTORY}/state.json"
# where an archive is while it is not encrypted
STAGE = f"{STATE_DIRECTORY}/archive"
# node-exporter reads it (roles/monitoring); every host has this directory, for files that have none of their own (FHS 3.0, 5.8.2)
METRIC_FILE = "/var/lib/misc/vmstation-backup.prom"
# a backup, and what is copied of it; the etcd snapshot, gpg and each copy have limits of their own
LONGEST = 4 * 3600.0
TIMED = Timed(
    name="vmstation-backup",
    key="/etc/vmstation/backup.key",
    state=STATE_DIRECTORY,
    files=(PROGRAM, CONFIGURATION, RECIPIENTS, KNOWN_HOSTS, METRIC_FILE),
    private=frozenset({CONFIGURATION}),
)
TOOLS = {
    "gpg": "gnupg (Debian) or gnupg2",
    "ssh": "openssh-client (Debian) or openssh-clients",
    "ssh-keygen": "openssh-client (Debian) or openssh-clients",
    "systemd-analyze": "systemd",
}
# how long after its time a backup may be ready: hosts are restarted, and backups take their time
GRACE = 2 * 3600.0
# hosts that may be put to sleep are awake now and then
COPIES_DAYS = 7
_ELAPSE = re.compile(r"^\s*Next elapse: (?P<local>.*)$(?:\n^\s*\(in UTC\): (?P<utc>.*)$)?", re.MULTILINE)
_SHOWN_TIME = "%Y-%m-%d %H:%M:%S UTC"

SERVICE = """\
[Unit]
Description=Back up the control plane, encrypted, and copy the backup to other hosts
After=network-online.target
ConditionPathExists={configuration}

[Service]
Type=oneshot
Nice=10
IOSchedulingClass=idle
ExecStart={python} -I {program}
TimeoutStartSec={longest:g}
"""
TIMER = """\
[Unit]
Description=Start {service}

[Timer]
OnCalendar={schedule}
# a backup that was missed while the host was off is made when it is on
Persistent=true

[Install]
WantedBy=timers.target
"""


@dataclass(frozen=True)
class Receiver:
    """A host that gets copies."""

    name: str
    address: str
    port: int


@dataclass(frozen=True)
class Configuration:
    """The configuration of the program: the file that the module backup_timer writes. recipients: fingerprints."""

    cluster: str
    paths: tuple[str, ...]
    directory: str
    keep: int
    recipients: tuple[str, ...]
    schedule: str
    socket: str
    receivers: tuple[Receiver, ...]

    def as_text(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"


@dataclass
class State:
    """What the program remembers. error: of the last run; empty if it made a backup. due: when the next one must be ready; 0: never.

    copied: the newest backup that each receiver has. missed: why a receiver has not the newest one.
    """

    newest: str = ""
    error: str = ""
    due: float = 0.0
    copied: dict[str, str] = field(default_factory=dict)
    missed: dict[str, str] = field(default_factory=dict)

    def as_text(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"


def read_configuration(text: Optional[str]) -> Configuration:
    try:
        data = read_json(text or "")
        receivers = tuple(Receiver(**one) for one in data["receivers"])
        lists = {name: tuple(data[name]) for name in ("paths", "recipients")}
        return Configuration(**{**data, **lists, "receivers": receivers})
    except (ValueError, KeyError, TypeError) as error:
        found = f"not what this collection writes ({error})"
        raise Refusal(CONFIGURATION, found, "the file of the scheduled backups", "Run site.yml.") from error


def read_state(text: Optional[str]) -> State:
    try:
        return State(**read_json(text or "{}"))
    except (ValueError, TypeError):
        # a file that a power loss left is none
        return State()


def due(schedule: str, commands: Commands) -> float:
    """When a backup of this schedule must be ready next, in seconds since 1970. systemd of this host parses it."""
    if not schedule.isprintable() or not schedule.strip():
        raise _unfit(schedule, "no calendar event")
    answer = commands.run(["systemd-analyze", "calendar", "--", schedule], check=False)
    match = _ELAPSE.search(answer.stdout)
    if answer.status or not match:
        raise _unfit(schedule, " ".join((answer.stderr or answer.stdout).split()) or f"exit status {answer.status}")
    try:
        # with the name of its day, in the time zone of the host and then in UTC
        shown = (match["utc"] or match["local"]).strip().partition(" ")[2]
        return datetime.strptime(shown, _SHOWN_TIME).replace(tzinfo=timezone.utc).timestamp() + GRACE
    except ValueError:
        raise _unfit(schedule, f"its next time is `{match['local'].strip()}`") from None


def _unfit(schedule: str, found: str) -> Refusal:
    step = "See systemd.time(7), and try it with `systemd-analyze calendar`."
    return Refusal("schedule", f"{schedule!r}: {found}", "a calendar event of systemd that comes again, such as `*-*-* 03:00`", step)


def metrics(state: State, configuration: Configuration) -> str:
    """The file that node-exporter reads. An unknown figure is not in it; 0 is that of a host without a copy, which the alert must see."""
    cluster = configuration.cluster
    made = names.named_at(cluster, state.newest)
    lines = [*_metric("newest_timestamp_seconds", "When the newest backup on the control plane was begun.", [("", made)])]
    lines += _metric("due_timestamp_seconds", "When a newer backup must be ready.", [("", state.due or None)])
    lines += _metric("last_run_failed", "Whether the last scheduled backup failed.", [("", float(bool(state.error)))])
    receivers = sorted(receiver.name for receiver in configuration.receivers)
    copies = [(f'{{receiver="{name}"}}', names.named_at(cluster, state.copied.get(name, "")) or 0.0) for name in receivers]
    lines += _metric("copied_timestamp_seconds", "When the newest backup that a host has a copy of was begun; 0 without one.", copies)
    return "".join(f"{line}\n" for line in lines)


def _metric(name: str, help_text: str, samples: Iterable[tuple[str, Optional[float]]]) -> Iterator[str]:
    known = [f"vmstation_backup_{name}{labels} {value:.0f}" for labels, value in samples if value is not None]
    return iter([f"# HELP vmstation_backup_{name} {help_text}", f"# TYPE vmstation_backup_{name} gauge", *known] if known else [])


# Installs and removes it.


def ensure_timer(host: Host, options: Mapping[str, Any], entry: str, listed: Callable[[str], str], *, check_mode: bool) -> dict[str, Any]:
    """The module's result. listed: what gpg reports about public keys."""
    if options["state"] == "absent":
        return remove_timed(host, TIMED, check_mode=check_mode)
    if not check_mode:
        refuse_missing(host, "programs of scheduled backups", TOOLS)
    receivers = with_known_keys(options["receivers"], host.read_text(KNOWN_HOSTS))
    configuration = _configuration(options, receivers)
    # on a bare host, check mode cannot ask
    next_due = due(configuration.schedule, host.commands) if host.commands.has("systemd-analyze") else 0.0
    if host.commands.has("gpg"):
        for fingerprint, key in zip(configuration.recipients, options["public_keys"]):
            _refuse_unfit_key(fingerprint, listed(key))
    service = SERVICE.format(configuration=CONFIGURATION, python=host.python, program=PROGRAM, longest=LONGEST)
    wanted: dict[str, Optional[str]] = {
        PROGRAM: host.program(entry),
        CONFIGURATION: configuration.as_text(),
        RECIPIENTS: "".join(f"{key.strip()}\n" for key in options["public_keys"]),
        KNOWN_HOSTS: known_hosts(receivers),
        **dict(zip(TIMED.units, (service, TIMER.format(service=TIMED.service, schedule=configuration.schedule)))),
    }
    result = ensure_timed(host, TIMED, wanted, check_mode=check_mode)
    is_measured = host.read_text(METRIC_FILE) is not None
    if not check_mode and (result["changed"] or not is_measured):
        # a first backup that is never made, and another schedule, are noticed
        state = read_state(host.read_text(STATE))
        state.due = next_due
        host.write({STATE: state.as_text()}, new_mode=0o600)
        host.write({METRIC_FILE: metrics(state, configuration)})
    return {**result, "changed": result["changed"] or not is_measured}


def _configuration(options: Mapping[str, Any], receivers: Sequence[Mapping[str, Any]]) -> Configuration:
    names.refuse_unfit_cluster(options["cluster_name"])
    recipients, keys = options["recipients"], options["public_keys"]
    if not recipients or len(recipients) != len(keys):
        found = f"{len(recipients)} and {len(keys)}"
        step = "Export each key: `gpg --armor --export FINGERPRINT`."
        raise Refusal("recipients and public_keys", found, "as many keys as fingerprints, and one at least", step)
    names.refuse_ambiguous(recipients)
    if options["keep"] < 1:
        raise Refusal("keep", str(options["keep"]), "1 at least", "At least one backup must be kept.")
    return Configuration(
        cluster=options["cluster_name"],
        paths=read_paths("paths", options["paths"]),
        directory=read_path("directory", options["directory"]),
        keep=options["keep"],
        recipients=tuple(one.upper() for one in recipients),
        schedule=options["schedule"],
        socket=options["containerd_address"],
        receivers=tuple(Receiver(one["name"], one["address"], one["port"]) for one in receivers),
    )


def _refuse_unfit_key(fingerprint: str, listed: str) -> None:
    """gnupg, doc/DETAILS: the first field is the kind, the tenth of fpr is the fingerprint, the twelfth of pub what the key can do now."""
    fields = [line.split(":") for line in listed.splitlines()]
    subject = f"public key of {fingerprint}"
    step = f"Pass the output of `gpg --armor --export {fingerprint}`."
    if any(one[0] in ("sec", "ssb") for one in fields):
        raise Refusal(subject, "a secret key", "a public key alone, as this host must not be able to read backups", step)
    primary = [one for one in fields if one[0] == "pub"]
    if len(primary) != 1 or not any(one[0] == "fpr" and one[9] == fingerprint.rstrip("!").upper() for one in fields):
        found = ", ".join(one[9] for one in fields if one[0] == "fpr") or "no key"
        raise Refusal(subject, found, "the key of this fingerprint alone", step)
    if "E" not in primary[0][11] or "D" in primary[0][11]:
        raise Refusal(subject, "a key that encrypts nothing: expired, revoked or without such a subkey", "one that encrypts", step)


# What check.yml reports.


@dataclass(frozen=True)
class Seen:
    """failed: whether systemd saw the last run fail. runs: whether the timer waits for its time. kept: the backups, the oldest first."""

    configuration: Configuration
    state: State
    failed: bool
    runs: bool
    kept: Sequence[str]
    now: float

    @property
    def subject(self) -> str:
        return f"scheduled backups of {self.configuration.cluster}"

    @property
    def made(self) -> Optional[float]:
        """When the newest backup was begun."""
        return self.time_of(self.kept[-1]) if self.kept else None

    def time_of(self, file: str) -> float:
        return names.named_at(self.configuration.cluster, file) or 0.0


def look(host: Host, packing: Packing) -> Seen:
    configuration = read_configuration(host.read_text(CONFIGURATION))
    states = {
        verb: host.commands.run(["systemctl", verb, "--quiet", unit], check=False).status == 0
        for verb, unit in (("is-failed", TIMED.service), ("is-active", TIMED.timer))
    }
    kept = names.backups(configuration.cluster, packing.entries(configuration.directory))
    state = read_state(host.read_text(STATE))
    return Seen(configuration, state, states["is-failed"], states["is-active"], kept, packing.now())


def judge(seen: Seen) -> tuple[list[Finding], list[LookedAt]]:
    findings = [*_of_the_control_plane(seen), *_of_copies(seen)]
    made, copied = seen.made, sorted(seen.state.copied.items())
    facts = [f"the newest is {_age(seen.now - made)} old" if made else "there is none"]
    facts += [f"{len(seen.kept)} kept in {seen.configuration.directory}"]
    facts += [f"the newest copy on {name} is {_age(seen.now - seen.time_of(file))} old" for name, file in copied]
    return findings, [LookedAt(seen.subject, "; ".join(facts), state_of(findings))]


def _of_the_control_plane(seen: Seen) -> Iterator[Finding]:
    state, made = seen.state, seen.made
    again = f"then run `systemctl start {TIMED.service}` on the control plane."
    if not seen.runs:
        step = "Run `ansible-playbook site.yml --tags cluster_backup`."
        yield Finding("scheduled_backups_have_a_timer", "warning", seen.subject, f"{TIMED.timer} not active", "an active timer", step)
    if seen.failed or state.error:
        found = f"the last run failed ({state.error or 'its process was ended'})"
        step = f"Correct the error (`journalctl --unit {TIMED.service}`), {again}"
        yield Finding("the_last_scheduled_backup_succeeded", "warning", seen.subject, found, "a backup", step)
    elif state.due and seen.now > state.due:
        found = f"the newest is {_age(seen.now - made)} old" if made else "no backup"
        step = f"See whether the host was on (`systemctl list-timers {TIMED.timer}`), {again}"
        expected = f"one by the schedule `{seen.configuration.schedule}`"
        yield Finding("scheduled_backups_are_recent", "warning", seen.subject, found, expected, step)


def _of_copies(seen: Seen) -> Iterator[Finding]:
    newest = max(map(seen.time_of, seen.state.copied.values()), default=0.0)
    if seen.configuration.receivers and seen.made and newest < min(seen.made, seen.now - COPIES_DAYS * 86400):
        why = "; ".join(f"{name}: {text}" for name, text in sorted(seen.state.missed.items())) or "none was made"
        found = f"no copy of the last {COPIES_DAYS} days ({why})"
        step = f"Wake the host, or correct the error, then run `systemctl start {TIMED.service}` on the control plane."
        yield Finding("scheduled_backups_are_on_another_host", "warning", seen.subject, found, "a copy on another host", step)


def _age(seconds: float) -> str:
    for unit, name in ((86400, "days"), (3600, "hours")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{max(0.0, seconds) / 60:.0f} minutes"


# A run, which the timer starts

# seconds for one copy
SECONDS = 1800.0


@dataclass(frozen=True)
class World:
    """The control plane. send: runs a command with a file as its standard input. say: writes a line to the journal."""

    node: NodeHost
    packing: Packing
    encryption: Encryption
    read_text: Callable[[str], Optional[str]]
    write: Write
    send: Callable[[list[str], str, float], Completed]
    say: Callable[[str], None]


def run(world: World, configuration: Configuration) -> None:
    """Raises Refusal if the backup fails, after recording it. A host that gets no copy is only recorded: it may be asleep."""
    state = read_state(world.read_text(STATE))
    refusal = None
    try:
        kept = _back_up(world, configuration)
        state.newest, state.error = kept.path.rpartition("/")[2], ""
        state.due = due(configuration.schedule, world.node.commands)
        world.say(f"{kept.path}: {kept.manifest.snapshot.keys} keys; {len(kept.removed)} older ones removed")
    except (Refusal, OSError) as error:
        refusal = _as_refusal(error)
        state.error = str(refusal)
    _note(world, configuration, state)
    _copy(world, configuration, state)
    _note(world, configuration, state)
    if refusal:
        raise refusal


def _as_refusal(error: Union[Refusal, OSError]) -> Refusal:
    """A full or failing disk is noted like everything else that prevents a backup."""
    if isinstance(error, Refusal):
        return error
    found, step = str(error.strerror or error).lower(), "Free space there, or repair the file system."
    return Refusal(str(error.filename or "files of the backup"), found, "readable and writable", step)


def _back_up(world: World, configuration: Configuration) -> Kept:
    world.packing.make_directory(configuration.directory, 0o700)
    order = Order(configuration.cluster, configuration.paths, STAGE, "root", configuration.socket)
    made = make(order, world.node, world.packing, check_mode=False)
    try:
        options: dict[str, Any] = {
            "source": made.path,
            "sha256": made.sha256,
            "directory": configuration.directory,
            "cluster_name": configuration.cluster,
            "keep": configuration.keep,
            "parts": (),
            "passphrase_file": None,
            "recipients": configuration.recipients,
            "public_keys": RECIPIENTS,
        }
        return keep(options, world.packing, world.encryption)
    finally:
        world.packing.remove(STAGE)


def _copy(world: World, configuration: Configuration, state: State) -> None:
    """Of each receiver that lacks it, the newest backup."""
    wanted = {receiver.name for receiver in configuration.receivers}
    state.copied = {name: file for name, file in state.copied.items() if name in wanted}
    state.missed = {}
    known = {line.partition(" ")[0] for line in (world.read_text(KNOWN_HOSTS) or "").splitlines()}
    newest = names.newest(configuration.cluster, names.encrypted(world.packing.entries(configuration.directory)))
    for receiver in configuration.receivers if newest else ():
        if _has(receiver, str(newest), configuration, state.copied):
            continue
        try:
            if receiver.name not in known:
                raise _not_reachable_yet(receiver)
            _send(world, receiver, f"{configuration.directory}/{newest}")
            state.copied[receiver.name] = str(newest)
            world.say(f"{newest} was copied to {receiver.name}")
        except (Refusal, OSError) as error:
            refusal = _as_refusal(error)
            state.missed[receiver.name] = refusal.found
            world.say(str(refusal))


def _not_reachable_yet(receiver: Receiver) -> Refusal:
    # check.yml shows only what was found
    found = f"not reachable yet, as its SSH host keys are not known: run `site.yml --tags cluster_backup` while {receiver.name} is awake"
    return Refusal(f"copy on {receiver.name}", found, "a copy", "After that, the next backup is copied.")


def _has(receiver: Receiver, newest: str, configuration: Configuration, copied: Mapping[str, str]) -> bool:
    """Whether a receiver has it, or one that is hardly older, after which it takes none yet."""
    of_newest, of_copied = (names.named_at(configuration.cluster, one) or 0.0 for one in (newest, copied.get(receiver.name, "")))
    return of_newest - of_copied < SPACING


def _send(world: World, receiver: Receiver, path: str) -> None:
    member = world.packing.member(path, "")
    asked = f"add {path.rpartition('/')[2]} {member.sha256} {member.size}"
    argv = ssh_to(receiver.name, receiver.address, receiver.port, asked, key=TIMED.key, known=KNOWN_HOSTS)
    done = world.send(argv, path, SECONDS)
    if done.status != 0:
        found = " ".join((done.stderr or done.stdout).split())[:500] or f"exit status {done.status}"
        step = "If it is asleep, the next backup is copied. Otherwise run `site.yml --tags cluster_backup`."
        raise Refusal(f"copy on {receiver.name}", found, "a copy", step)


def _note(world: World, configuration: Configuration, state: State) -> None:
    world.write({STATE: state.as_text()}, new_mode=0o600)
    world.write({METRIC_FILE: metrics(state, configuration)})
