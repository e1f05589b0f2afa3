# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is asked, and what becomes of its answers."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.host import (
    FILES,
    QUESTIONS,
    LocalReader,
    Question,
    Reading,
    Wanted,
    entry_of,
    look,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.model import MIB

LOG = Question("kubelet.log", ("journalctl",), room=1024, keep="tail")
RULES = Question("nft.txt", ("nft", "list"), room=1024, accept=(0, 3))


class ScriptedHost:
    """answers: by the program or path; what is not among them is not on the host."""

    def __init__(self, answers: dict[str, Reading], files: Sequence[str] = (), interfaces: Sequence[str] = ("lo",)) -> None:
        self.answers, self.paths, self.names = answers, files, interfaces

    def interfaces(self) -> list[str]:
        return list(self.names)

    def files(self, pattern: str) -> list[str]:
        return [path for path in self.paths if fnmatch(path, pattern)]

    def read_all(self, wanted: Sequence[Wanted], seconds: float) -> list[Reading]:
        return [self.answers.get(one.path or one.argv[0], Reading(False)) for one in wanted]


class Clock:
    def __init__(self, step: float = 0.0) -> None:
        self._now, self._step = 0.0, step

    def now(self) -> float:
        self._now += self._step
        return self._now

    def sleep(self, seconds: float) -> None:
        raise AssertionError


def test_what_could_not_be_masked_in_time_is_left_out() -> None:
    host = ScriptedHost({"/etc/os-release": Reading(True, "a\n", 2, 0)})
    entry = next(one for one in look(host, Clock(step=61), MIB, 60) if one.name == "system/os-release.txt")
    assert (entry.status, entry.text, entry.note) == ("failed", "", "left out, as there was no time to mask secrets in it")


MANIFEST = """\
    - --advertise-address=192.168.4.63
    - --oidc-client-secret=hunter2
    - hunter2
    env:
    - name: DB
      value: hunter2
    image: registry.k8s.io/kube-apiserver:v1.36.4
"""
UNIT = """\
# /etc/systemd/system/kubelet.service.d/10-own.conf
[Service]
Environment=DB=hunter2
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
ExecStart=/usr/bin/kubelet $KUBELET_CONFIG_ARGS
"""


def test_of_manifests_and_units_only_the_lines_that_are_listed_are_read() -> None:
    path = "/etc/kubernetes/manifests/kube-apiserver.yaml"
    answers = {path: Reading(True, MANIFEST, len(MANIFEST), 0), "systemctl": Reading(True, UNIT, len(UNIT), 0)}
    entries = {entry.name: entry.text for entry in look(ScriptedHost(answers, [path]), Clock(), MIB, 60)}
    assert entries["kubernetes/manifests/kube-apiserver.yaml"].split() == [
        "-", "--advertise-address=192.168.4.63", "-", "name:", "DB", "image:", "registry.k8s.io/kube-apiserver:v1.36.4"
    ]  # fmt: skip
    assert entries["kubernetes/kubelet-unit.txt"] == UNIT.replace("Environment=DB=hunter2\n", "")


def test_of_a_host_that_has_nothing_everything_is_named() -> None:
    entries = look(ScriptedHost({}), Clock(), MIB, 60)
    assert {entry.status for entry in entries} == {"absent"}
    assert {entry.name for entry in entries} == {
        *(one.name for one in QUESTIONS if "{nic}" not in one.name), *(one.name for one in FILES)
    }  # fmt: skip


def test_no_two_entries_have_a_name() -> None:
    names = [one.name for one in QUESTIONS]
    assert len(names) == len(set(names))


def test_cards_are_asked_and_not_what_is_made_for_pods() -> None:
    entries = look(ScriptedHost({}, interfaces=["lo", "eno1", "cali1234", "vxlan.calico", "wlp2s0"]), Clock(), MIB, 60)
    asked = [entry.asked for entry in entries if entry.asked.startswith("ethtool")]
    assert asked == ["ethtool eno1", "ethtool wlp2s0", "ethtool --show-features eno1", "ethtool --show-features wlp2s0"]


def test_what_needs_a_file_is_asked_for_where_it_is() -> None:
    certificate = "/etc/kubernetes/pki/apiserver.crt"
    answers = {"kubeadm": Reading(True, "ca 9y\n", 6, 0)}
    with_it, without_it = (
        {entry.name: entry for entry in look(ScriptedHost(answers, files), Clock(), MIB, 60)}["kubernetes/certificates.txt"]
        for files in ([certificate], [])
    )
    assert with_it.text == "ca 9y\n"
    assert (without_it.status, without_it.note) == ("absent", f"no file {certificate} on this host")


def test_files_come_by_their_names_and_the_newest_of_too_many() -> None:
    paths = [f"/var/log/pods/kube-system_etcd_1/etcd/{number}.log" for number in range(50)]
    host = ScriptedHost(dict.fromkeys(paths, Reading(True, "x\n", 2, 0)), paths)
    entries = {entry.name: entry for entry in look(host, Clock(), MIB, 60)}
    assert entries["logs/kube-system_etcd_1/etcd/0.log"].text == "x\n"
    assert "logs/kube-system_etcd_1/etcd/40.log" not in entries
    assert any(entry.note == "the newest 40 of 50 files" for entry in look(host, Clock(), MIB, 60))


@pytest.mark.parametrize(
    ("question", "reading", "status", "note"),
    [
        (LOG, Reading(True, "a\n", 2, 0), "complete", ""),
        (LOG, Reading(True, "", 0, 0), "complete", "no output"),
        (LOG, Reading(True, "\na password=x\nb\n", 16, 1), "failed", "exit status 1: a password=<redacted>"),
        (LOG, Reading(True, "", 0, 1), "failed", "exit status 1: no output"),
        (LOG, Reading(True, "a\n", 2, problem="did not end within 15 s"), "failed", "did not end within 15 s"),
        (LOG, Reading(False), "absent", "no such program journalctl on this host"),
        (RULES, Reading(True, "a\n", 2, 3), "complete", "exit status 3"),
        (Question("x", path="/etc/x"), Reading(False), "absent", "no such file on this host"),
    ],
)
def test_an_answer_is_judged(question: Question, reading: Reading, status: str, note: str) -> None:
    entry = entry_of(question, reading)
    assert (entry.status, entry.note) == (status, note)


def test_the_end_of_a_log_is_kept_without_the_line_that_was_cut() -> None:
    entry = entry_of(LOG, Reading(True, "ord: hunter2\nthe end\n", 5000, 0))
    assert (entry.status, entry.text, entry.note) == ("cut", "the end\n", "the last 8 B of 4.8 KiB")


def test_secrets_are_out_before_anything_is_cut() -> None:
    entry = entry_of(LOG, Reading(True, "Environment=DB_PASSWORD=hunter2\n", 32, 0))
    assert (entry.text, entry.redactions) == ("Environment=DB_PASSWORD=<redacted>\n", 1)


# and this machine, as far as any has it


def wanted(*argv: str, path: str = "", seconds: float = 10, room: int = 1000, keep: str = "tail") -> Wanted:
    return Wanted(argv, path, seconds, room, keep)


def python(program: str, **more: object) -> Wanted:
    return wanted(sys.executable, "-c", program, **more)


def read(*asked: Wanted, seconds: float = 20) -> list[Reading]:
    return LocalReader().read_all(asked, seconds)


def test_programs_and_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("one\ntwo\n")
    program, file, neither, nowhere, pipe, directory = read(
        python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"),
        wanted(path=str(tmp_path / "file")),
        wanted("no-such-program"),
        wanted(path=str(tmp_path / "nothing")),
        wanted(path=_pipe(tmp_path)),
        wanted(path=str(tmp_path)),
    )
    assert (sorted(program.text.split()), program.status, program.size) == (["err", "out"], 3, 8)
    assert (file.text, file.status, file.size) == ("one\ntwo\n", 0, 8)
    assert not neither.found
    assert not nowhere.found
    assert pipe.problem == "not a regular file"
    assert directory.problem == "is a directory"


def _pipe(directory: Path) -> str:
    os.mkfifo(directory / "pipe")
    return str(directory / "pipe")


@pytest.mark.parametrize(("keep", "kept"), [("tail", "9" * 1000), ("head", "0" * 1000)])
def test_of_much_one_end_is_held(tmp_path: Path, keep: str, kept: str) -> None:
    (tmp_path / "file").write_text("".join(str(digit) * 200_000 for digit in range(10)))
    write = "import sys; [sys.stdout.write(str(digit) * 200_000) for digit in range(10)]"
    program, file = read(python(write, keep=keep), wanted(path=str(tmp_path / "file"), keep=keep))
    assert program.text == file.text == kept
    assert program.size == file.size == 2_000_000


def test_who_does_not_end_is_ended_with_what_it_started(tmp_path: Path) -> None:
    started = time.monotonic()
    hang = f"import subprocess, sys; print('begun', flush=True); subprocess.run(['sh', '-c', 'sleep 30; touch {tmp_path}/ended'])"
    (reading,) = read(python(hang, seconds=1.5))
    assert time.monotonic() - started < 10
    assert (reading.text, reading.problem) == ("begun\n", "did not end within 1.5 s")


def test_all_together_end_in_time() -> None:
    started = time.monotonic()
    readings = read(*(python("import time; time.sleep(30)", seconds=30) for _number in range(20)), seconds=1.5)
    assert time.monotonic() - started < 10
    assert all(reading.problem for reading in readings)
    assert "not asked, as 1.5 s were over" in {reading.problem for reading in readings}
