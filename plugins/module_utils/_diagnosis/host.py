# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is collected from a host, with secrets removed: many commands and files in parallel, limited in time and memory."""

from __future__ import annotations

import collections
import glob
import os
import re
import select
import shlex
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Literal, Optional, Protocol, cast

from .._host.commands import host_environment
from .._json import read_json
from .._notation import show_size
from .._refusal import Refusal
from .._timing import ask_all
from .._waiting import Clock
from .._x509 import KUBELET_CERTIFICATE
from .model import KIB, LATE, MIB, READING, Entry, Keep, Status, fit, redact, shorten, whole_lines

# Reads the output of many programs of a host, and its files, at once, bounded in time and in memory.

AT_ONCE = 6
CHUNK = 65536
# how long the kernel may take to end a program that was killed; one that waits for a dead file system never ends
KILLED_SECONDS = 1.0


@dataclass(frozen=True)
class Wanted:
    """A program with its arguments, or else the path of a file. seconds: how long it may take. room: bytes that are kept, at one end."""

    argv: tuple[str, ...]
    path: str
    seconds: float
    room: int
    keep: Literal["head", "tail"]


@dataclass(frozen=True)
class Reading:
    """What came. found: whether there is such a program or file. size: the bytes of all of it; text is what was kept of them.

    status: of a program that ended by itself, 0 for a file that was read. problem: what went wrong otherwise.
    """

    found: bool
    text: str = ""
    size: int = 0
    status: Optional[int] = None
    problem: str = ""
    seconds: float = 0.0


class HostReader(Protocol):
    """What the core is given to read a host; tests pass a scripted fake."""

    def interfaces(self) -> list[str]:
        """The names of its network interfaces."""

    def files(self, pattern: str) -> list[str]:
        """The files whose paths match, those that were last written first."""

    def read_all(self, wanted: Sequence[Wanted], seconds: float) -> list[Reading]:
        """All at once, in the order in which they were wanted. seconds: for all together."""


class LocalReader:
    """This host."""

    def __init__(self) -> None:
        self._environment = host_environment()

    def interfaces(self) -> list[str]:
        return sorted(os.listdir("/sys/class/net"))

    def files(self, pattern: str) -> list[str]:
        return sorted(filter(os.path.isfile, glob.glob(pattern)), key=_written, reverse=True)

    def read_all(self, wanted: Sequence[Wanted], seconds: float) -> list[Reading]:
        deadline = time.monotonic() + seconds

        def read(one: Wanted) -> Reading:
            started = time.monotonic()
            if started >= deadline:
                return Reading(True, problem=f"not asked, as {seconds:g} s were over")
            try:
                got = self._run(one, min(started + one.seconds, deadline)) if one.argv else _read(one)
            except OSError as error:
                got = Reading(True, problem=str(error.strerror or error).lower())
            return replace(got, seconds=round(time.monotonic() - started, 3))

        # a little longer than the programs have, so that each can still report that it was stopped
        answers = ask_all(wanted, read, seconds + 2 * KILLED_SECONDS, AT_ONCE)
        return [_reading(answer, seconds) for answer in answers]

    def _run(self, one: Wanted, deadline: float) -> Reading:
        program = shutil.which(one.argv[0], path=self._environment["PATH"])
        if program is None:
            return Reading(False)
        kept = _Kept(one.room, one.keep)
        # its own session, so that what it starts can be ended with it
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            [program, *one.argv[1:]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=self._environment, start_new_session=True,
        )  # fmt: skip
        with cast(IO[bytes], process.stdout) as output:
            while select.select([output], [], [], max(0.0, deadline - time.monotonic()))[0]:
                chunk = os.read(output.fileno(), CHUNK)
                if not chunk:
                    break
                kept.add(chunk)
            try:
                status = process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _kill(process)
                return Reading(True, kept.text(), kept.size, problem=f"did not end within {one.seconds:g} s")
        return Reading(True, kept.text(), kept.size, status)


class _Kept:
    """One end of a stream of bytes."""

    def __init__(self, room: int, keep: str) -> None:
        self._room, self._keep = room, keep
        self._chunks: collections.deque[bytes] = collections.deque()
        self._held = self.size = 0

    def add(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self._keep == "head":
            chunk = chunk[: self._room - self._held]
        self._chunks.append(chunk)
        self._held += len(chunk)
        while self._held - len(self._chunks[0]) >= self._room:
            self._held -= len(self._chunks.popleft())

    def text(self) -> str:
        data = b"".join(self._chunks)
        kept = data[: self._room] if self._keep == "head" else data[max(0, len(data) - self._room) :]
        return kept.decode("utf-8", "replace")


def _read(one: Wanted) -> Reading:
    try:
        # to open a pipe or a device might block, or have an effect
        descriptor = os.open(one.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return Reading(False)
    kept = _Kept(one.room, one.keep)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return Reading(True, problem="not a regular file")
        skipped = max(0, status.st_size - one.room) if one.keep == "tail" else 0
        file.seek(skipped)
        # a log may grow meanwhile, and files in /proc have the size 0
        most = max(status.st_size - skipped if one.keep == "tail" else 0, one.room + 1)
        while kept.size < most:
            chunk = file.read(CHUNK)
            if not chunk:
                break
            kept.add(chunk)
    return Reading(True, kept.text(), max(status.st_size, skipped + kept.size), 0)


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(KILLED_SECONDS)
    except (ProcessLookupError, subprocess.TimeoutExpired):
        return


def _reading(answer: object, seconds: float) -> Reading:
    if isinstance(answer, Reading):
        return answer
    return Reading(True, problem=str(answer) if isinstance(answer, Refusal) else f"no answer within {seconds:g} s", seconds=seconds)


def _written(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


# What this collection is.

COLLECTION = Path(__file__).resolve().parents[3]


def version(directory: Path = COLLECTION) -> str:
    """Of an installed archive, or of a checkout, which is somewhere after that release."""
    try:
        return str(read_json((directory / "MANIFEST.json").read_text())["collection_info"]["version"])
    except FileNotFoundError:
        found = re.search(r"^version:\s*(\S+)", (directory / "galaxy.yml").read_text(), re.MULTILINE)
        return f"{found[1] if found else 'unknown'} (checkout)"


# What is asked of a host. Nothing of it changes the host, and none of these files is there to hold a secret.

NIC = "{nic}"


@dataclass(frozen=True)
class Question:
    """name: of the file in the archive. argv: a program, once for each network card if NIC is in it. path: a file.

    accept: exit statuses that are an answer. room: bytes that are kept, at the end that ``keep`` names. needs: a file without which there
    is nothing to ask for. lines: which lines may be read, if not all.
    """

    name: str
    argv: tuple[str, ...] = ()
    path: str = ""
    room: int = 256 * KIB
    keep: Keep = "head"
    accept: tuple[int, ...] = (0,)
    seconds: float = 15.0
    needs: str = ""
    lines: Optional[re.Pattern[str]] = None


@dataclass(frozen=True)
class Files:
    """The files that a pattern matches, in the directory ``name`` of the archive, the newest ``most`` of them.

    below: what their paths begin with, which is left out of their names. lines: as of a Question.
    """

    name: str
    pattern: str
    below: str
    most: int = 20
    room: int = 64 * KIB
    keep: Keep = "head"
    lines: Optional[re.Pattern[str]] = None


def _run(name: str, line: str, **more: object) -> Question:
    return Question(name, tuple(line.split()), **more)  # type: ignore[arg-type]


def _journal(name: str, line: str, room: int = 512 * KIB) -> Question:
    argv = f"journalctl --quiet --no-pager --output=short-iso {line}"
    return Question(name, tuple(argv.split()), room=room, keep="tail", seconds=30.0)


# a unit that does not run, or does not exist, is an answer
_UNIT = (0, 1, 2, 3, 4)
_STATUS = "systemctl --no-pager --full --lines=20 status"
_SYSCTLS = (
    r"^(net\.ipv[46]\.(ip_forward|conf\.[^.]+\.(forwarding|rp_filter|arp_ignore|disable_ipv6|accept_ra|proxy_arp))|net\.bridge\."
    r"|net\.(netfilter\.)?nf_conntrack_(max|count|buckets)|vm\.(overcommit_memory|panic_on_oom|swappiness|max_map_count)"
    r"|kernel\.(panic|panic_on_oops|pid_max|keys\..*)|fs\.(inotify\..*|file-(max|nr)))"
)
# of static Pods what they are and where they listen, not their environment; of their arguments those of the network
_OF_MANIFESTS = re.compile(
    r"\s*(?:- )?(?:apiVersion|kind|name|namespace|image|hostNetwork|host|port|path|scheme|mountPath): .*"
    r"|\s*- --(?:advertise-address|advertise-client-urls|allocate-node-cidrs|authorization-mode|bind-address|cluster-cidr|data-dir"
    r"|enable-admission-plugins|etcd-servers|feature-gates|initial-advertise-peer-urls|initial-cluster|leader-elect|listen-\w+-urls|name"
    r"|node-cidr-mask-size|secure-port|service-cluster-ip-range|service-node-port-range)=.*"
)
_OF_UNITS = re.compile(r"(?:#|\[|After|Description|Environment=\"?KUBELET_|EnvironmentFile|ExecStart|Restart|StartLimit|Want|$).*")

QUESTIONS = (
    # the system
    Question("system/os-release.txt", path="/etc/os-release"),
    _run("system/uname.txt", "uname -a"),
    _run("system/uptime.txt", "uptime"),
    _run("system/time.txt", "timedatectl"),
    _run("system/chrony.txt", "chronyc -n tracking", seconds=5.0),
    _run("system/memory.txt", "free -m"),
    _run("system/processes.txt", "ps -eo pid,ppid,user,stat,etimes,pcpu,rss,comm --sort=-rss"),  # no arguments: others' secrets are there
    Question("system/pressure-cpu.txt", path="/proc/pressure/cpu"),
    Question("system/pressure-io.txt", path="/proc/pressure/io"),
    Question("system/pressure-memory.txt", path="/proc/pressure/memory"),
    Question("system/swaps.txt", path="/proc/swaps"),
    _run("system/modules.txt", "lsmod"),
    Question("system/sysctl.txt", ("sysctl", "--all", "--pattern", _SYSCTLS)),
    _run("system/failed-units.txt", "systemctl --no-pager --full list-units --failed"),
    _run("system/boots.txt", "journalctl --no-pager --list-boots", keep="tail", room=16 * KIB),
    _journal("system/kernel.log", "--dmesg --boot --priority=warning --lines=1000", 128 * KIB),
    _journal("system/errors.log", "--boot --priority=err --lines=1000", 128 * KIB),
    # a mount of a server that is gone would be waited for: of these only the names
    _run("storage/free.txt", "df --human-readable --print-type --local"),
    _run("storage/inodes.txt", "df --inodes --local"),
    _run("storage/mounts.txt", "findmnt --noheadings --list --output=TARGET,SOURCE,FSTYPE,OPTIONS"),
    _run("storage/blocks.txt", "lsblk --output=NAME,TYPE,SIZE,FSTYPE,MOUNTPOINT"),
    # the network
    _run("network/addresses.txt", "ip -details address show"),
    _run("network/links.txt", "ip -details -statistics link show"),
    _run("network/routes.txt", "ip -details route show table all"),
    _run("network/routes-ipv6.txt", "ip -6 -details route show table all"),
    _run("network/rules.txt", "ip -details rule show"),
    _run("network/rules-ipv6.txt", "ip -6 -details rule show"),
    _run("network/neighbours.txt", "ip -statistics neighbour show"),
    _run("network/bridges.txt", "bridge -details link show"),
    _run("network/forwarding-vxlan.txt", "bridge fdb show"),
    _run("network/sockets.txt", "ss --listening --numeric --tcp --udp --processes"),
    _run("network/connections.txt", "ss --summary"),
    _run("network/ethtool-{nic}.txt", "ethtool {nic}"),
    _run("network/ethtool-features-{nic}.txt", "ethtool --show-features {nic}"),
    Question("network/hosts.txt", path="/etc/hosts"),
    Question("network/resolv.conf", path="/etc/resolv.conf"),
    Question("network/resolv-of-systemd.conf", path="/run/systemd/resolve/resolv.conf"),
    Question("network/nsswitch.conf", path="/etc/nsswitch.conf"),
    _run("network/conntrack.txt", "conntrack --stats", needs="/proc/net/stat/nf_conntrack"),
    # the firewall
    _run("firewall/nft.txt", "nft list ruleset", room=MIB, seconds=30.0),
    _run("firewall/iptables.txt", "iptables-save --counters", room=MIB, seconds=30.0),
    _run("firewall/ip6tables.txt", "ip6tables-save --counters", room=MIB, seconds=30.0),
    _run("firewall/iptables-legacy.txt", "iptables-legacy-save --counters", room=MIB, seconds=30.0),
    _run("firewall/ip6tables-legacy.txt", "ip6tables-legacy-save --counters", room=MIB, seconds=30.0),
    _run("firewall/ipset.txt", "ipset list"),
    _run("firewall/ufw.txt", "ufw status verbose", seconds=30.0),
    _run("firewall/firewalld-state.txt", "firewall-cmd --state", accept=(0, 252)),
    _run("firewall/firewalld-zones.txt", "firewall-cmd --list-all-zones", accept=(0, 252), seconds=30.0),
    _run("firewall/firewalld-active-zones.txt", "firewall-cmd --get-active-zones", accept=(0, 252)),
    _run("firewall/firewalld-policies.txt", "firewall-cmd --list-all-policies", accept=(0, 252), seconds=30.0),
    _run("firewall/units.txt", f"{_STATUS} ufw nftables firewalld iptables netfilter-persistent", accept=_UNIT),
    # Kubernetes
    _run("kubernetes/kubelet-status.txt", f"{_STATUS} kubelet", accept=_UNIT),
    _run("kubernetes/kubelet-unit.txt", "systemctl --no-pager cat kubelet", accept=(0, 1), lines=_OF_UNITS),
    _journal("kubernetes/kubelet.log", "--unit=kubelet --lines=3000"),
    Question("kubernetes/kubelet-config.yaml", path="/var/lib/kubelet/config.yaml"),
    Question("kubernetes/kubeadm-flags.env", path="/var/lib/kubelet/kubeadm-flags.env"),
    _run("kubernetes/versions-kubelet.txt", "kubelet --version"),
    _run("kubernetes/versions-kubeadm.txt", "kubeadm version"),
    # it asks the API server for its configuration first, and does without when there is no answer
    _run("kubernetes/certificates.txt", "kubeadm certs check-expiration", seconds=45.0, needs="/etc/kubernetes/pki/apiserver.crt"),
    _run(
        "kubernetes/kubelet-certificate.txt",
        f"openssl x509 -noout -subject -issuer -dates -in {KUBELET_CERTIFICATE}",
        needs=KUBELET_CERTIFICATE,
    ),
    _run("kubernetes/directories.txt", "ls -lanR /etc/kubernetes /var/lib/etcd /etc/cni /opt/cni/bin /usr/lib/cni", accept=(0, 2)),
    # containers
    _run("containers/containerd-status.txt", f"{_STATUS} containerd", accept=_UNIT),
    _journal("containers/containerd.log", "--unit=containerd --lines=2000"),
    Question("containers/containerd-config.toml", path="/etc/containerd/config.toml"),
    Question("containers/crictl.yaml", path="/etc/crictl.yaml"),
    _run("containers/containerd-version.txt", "containerd --version"),
    _run("containers/runc-version.txt", "runc --version"),
    _run("containers/crictl-pods.txt", "crictl pods"),
    _run("containers/crictl-containers.txt", "crictl ps --all"),
    _run("containers/crictl-images.txt", "crictl images"),
    _run("containers/crictl-info.json", "crictl info"),
    _run("containers/ctr-containers.txt", "ctr --connect-timeout=5s --namespace=k8s.io containers list"),
    _run("containers/ctr-tasks.txt", "ctr --connect-timeout=5s --namespace=k8s.io tasks list"),
    _run("containers/ctr-images.txt", "ctr --connect-timeout=5s --namespace=k8s.io images list --quiet"),
)  # fmt: skip

FILES = (
    Files("kubernetes/manifests", "/etc/kubernetes/manifests/*", "/etc/kubernetes/manifests/", lines=_OF_MANIFESTS),
    Files(
        "kubernetes/kubelet.service.d",
        "/etc/systemd/system/kubelet.service.d/*.conf",
        "/etc/systemd/system/kubelet.service.d/",
        lines=_OF_UNITS,
    ),
    Files("kubernetes/kubelet.conf.d", "/usr/lib/vmstation-kubelet.conf.d/*.conf", "/usr/lib/vmstation-kubelet.conf.d/"),
    # the kubeconfigs of Calico and Multus in there have tokens, and are called otherwise
    Files("kubernetes/cni", "/etc/cni/net.d/*.conf*", "/etc/cni/net.d/"),
    Files("system/sysctl.d", "/etc/sysctl.d/*.conf", "/etc/sysctl.d/"),
    Files("system/modules-load.d", "/etc/modules-load.d/*.conf", "/etc/modules-load.d/"),
    # the wake-up of network cards
    Files("network/systemd", "/etc/systemd/network/*.link", "/etc/systemd/network/"),
    Files("firewall/ufw", "/etc/ufw/*.rules", "/etc/ufw/"),
    Files("firewall/nftables", "/etc/nftables.conf", "/etc/"),
    # with the API server dead they are nowhere else
    Files("logs", "/var/log/pods/kube-system_*/*/*.log", "/var/log/pods/", most=40, room=128 * KIB, keep="tail"),
    Files("logs", "/var/log/pods/calico-system_*/*/*.log", "/var/log/pods/", room=128 * KIB, keep="tail"),
    Files("logs", "/var/log/pods/tigera-operator_*/*/*.log", "/var/log/pods/", room=128 * KIB, keep="tail"),
)

# interfaces of pods, bridges and tunnels have no cable to report about
NO_CARDS = (
    "lo",
    "cali",
    "veth",
    "tunl",
    "vxlan",
    "wireguard",
    "docker",
    "cni",
    "flannel",
    "br-",
    "virbr",
    "kube-",
    "nodelocaldns",
    "dummy",
)
MOST_CARDS = 8


# Asks a host everything at once, and masks the secrets in its answers.


def look(host: HostReader, clock: Clock, room: int, seconds: float) -> list[Entry]:
    """What the host's programs report. room: the bytes that all texts may have together. seconds: for all together."""
    end = clock.now() + seconds
    asked: list[Question] = []
    entries: list[Entry] = []
    for question in _for_each_card(QUESTIONS, host.interfaces()):
        if question.needs and not host.files(question.needs):
            entries.append(Entry(question.name, "absent", _asked(question), note=f"no file {question.needs} on this host"))
        else:
            asked.append(question)
    for files in FILES:
        found = host.files(files.pattern)
        asked += [_of_file(files, path) for path in found[: files.most]]
        if not found:
            entries.append(Entry(files.name, "absent", files.pattern, note="no such file on this host"))
        if found[files.most :]:
            entries.append(Entry(files.name, "cut", files.pattern, note=f"the newest {files.most} of {len(found)} files"))
    readings = host.read_all([Wanted(one.argv, one.path, one.seconds, one.room, one.keep) for one in asked], READING * seconds)
    for question, reading in zip(asked, readings):
        late = Entry(question.name, "failed", _asked(question), note=LATE)
        entries.append(entry_of(question, reading) if clock.now() < end else late)
    return fit(entries, room)


def entry_of(question: Question, reading: Reading) -> Entry:
    asked = _asked(question)
    if not reading.found:
        kind = f"program {question.argv[0]}" if question.argv else "file"
        return Entry(question.name, "absent", asked, note=f"no such {kind} on this host")
    kept, size = reading.text, reading.size
    is_cut = size > question.room
    kept = whole_lines(kept, question.keep) if is_cut else kept
    if question.lines:
        kept = "".join(line for line in kept.splitlines(True) if question.lines.fullmatch(line.rstrip("\n")))
    text, redactions = redact(kept)
    status, notes = _judged(question, reading, text)
    if is_cut:
        end = "last" if question.keep == "tail" else "first"
        notes.append(f"the {end} {show_size(len(text.encode('utf-8', 'replace')))} of {show_size(size)}")
        status = "cut" if status == "complete" else status
    entry = Entry(question.name, status, asked, text, "; ".join(notes), question.keep, redactions, reading.seconds)
    # bytes that are no UTF-8 take more room in it
    return entry if entry.size <= question.room else shorten(entry, question.room)


def _asked(question: Question) -> str:
    return shlex.join(question.argv) if question.argv else question.path


def _judged(question: Question, reading: Reading, text: str) -> tuple[Status, list[str]]:
    if reading.problem:
        return "failed", [reading.problem]
    if reading.status == 0:
        return "complete", [] if text else ["no output"]
    if reading.status in question.accept:
        return "complete", [f"exit status {reading.status}"]
    words = next((line.strip() for line in text.splitlines() if line.strip()), "no output")
    return "failed", [f"exit status {reading.status}: {words[:200]}"]


def _for_each_card(questions: Sequence[Question], interfaces: Sequence[str]) -> Iterator[Question]:
    cards = [name for name in interfaces if not name.startswith(NO_CARDS)][:MOST_CARDS]
    for question in questions:
        if NIC not in question.name:
            yield question
            continue
        for card in cards:
            argv = tuple(word.replace(NIC, card) for word in question.argv)
            yield replace(question, name=question.name.replace(NIC, card), argv=argv)


def _of_file(files: Files, path: str) -> Question:
    below = path[len(files.below) :] if path.startswith(files.below) else path
    return Question(f"{files.name}/{below}", path=path, room=files.room, keep=files.keep, lines=files.lines)
