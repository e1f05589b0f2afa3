# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private directories of runs that go on, and of those that were killed: real processes, each with a process group as Ansible's workers."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._host.private import (
    exclusive_directory,
    held_directory,
    held_file,
    new_directory,
    this_run,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._timing import SystemClock

from tests.unit.clock import START, Clock

CHECKOUT = Path(__file__).resolve().parents[3]
PRIVATE = "ansible_collections.vmstation.cluster.plugins.module_utils._host.private"
# a run: a process whose child leads a group of its own, makes a directory there, and ends
RUN = f"""
import os, sys
sys.path[:0] = [{str(CHECKOUT / "collections")!r}]
from {PRIVATE} import new_directory
child = os.fork()
if child == 0:
    os.setpgid(0, 0)
    print(new_directory("trial", sys.argv[1], 0), flush=True)
    os._exit(0)
os.waitpid(child, 0)
sys.stdin.read()
"""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture
def other_run(work: Path) -> Iterator[Callable[[], tuple[subprocess.Popen[str], str]]]:
    """Start a run that goes on, and the directory that it has made."""
    runs = []

    def start() -> tuple[subprocess.Popen[str], str]:
        argv = [sys.executable, "-c", RUN, str(work), "playbooks/backup.yml", "-e", "secret=abc"]
        run = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        runs.append(run)
        assert run.stdout is not None
        return run, run.stdout.readline().strip()

    yield start
    for run in runs:
        run.kill()
        run.communicate()


def test_the_directory_of_a_run_that_goes_on_stays_and_that_of_a_killed_one_goes(work, other_run) -> None:
    going_on, used = other_run()
    killed, left = other_run()
    killed.kill()
    killed.wait()
    made = new_directory("trial", str(work), 0)
    assert sorted(os.listdir(work)) == sorted(map(os.path.basename, (used, made)))
    assert f".{going_on.pid}-" in used
    assert f".{killed.pid}-" in left


def test_a_process_with_the_number_of_an_ended_one_is_another_run(work) -> None:
    number, _dash, started = this_run().partition("-")
    left = work / f"vmstation-trial.{number}-{int(started) - 1}.a1b2c3d4"
    left.mkdir()
    new_directory("trial", str(work), 0)
    assert not left.exists()


def test_an_exclusive_directory_waits_for_that_of_another_run_and_names_the_run(work, other_run) -> None:
    run, used = other_run()
    clock = Clock()
    with pytest.raises(Refusal) as caught:
        exclusive_directory("trial", str(work), 0, 600, clock)
    assert f"directory vmstation-trial: found in use for 600 s by process {run.pid} backup.yml;" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert clock.now() >= START + 600
    assert os.listdir(work) == [os.path.basename(used)]


@pytest.mark.parametrize("ends", ["removed", "killed"])
def test_an_exclusive_directory_comes_when_the_other_is_removed_or_its_run_is_killed(work, other_run, ends: str) -> None:
    run, used = other_run()

    class Ending(Clock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if ends == "removed" and os.path.exists(used):
                os.rmdir(used)
            elif ends == "killed":
                run.kill()
                run.wait()

    made = exclusive_directory("trial", str(work), 0, 600, Ending())
    assert os.listdir(work) == [os.path.basename(made)]


def test_a_run_does_not_wait_for_itself(work) -> None:
    first = exclusive_directory("trial", str(work), 0, 1, SystemClock())
    second = exclusive_directory("trial", str(work), 0, 1, SystemClock())
    assert sorted(os.listdir(work)) == sorted(map(os.path.basename, (first, second)))


@pytest.fixture
def nfs(monkeypatch: pytest.MonkeyPatch) -> None:
    """flock(2): on NFS, an exclusive lock needs a file that is open for writing, which no directory is."""
    flock = fcntl.flock

    def on_nfs(descriptor: int, operation: int) -> None:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", on_nfs)


@pytest.mark.usefixtures("nfs")
def test_private_directories_on_nfs_are_made_used_and_swept(work) -> None:
    made = exclusive_directory("trial", str(work), 0, 1, SystemClock())
    assert os.listdir(work) == [os.path.basename(made)]
    with held_directory(str(work), 0) as held:
        assert os.path.isdir(held)
    (work / "vmstation-trial.4194304-1.a1b2c3d4").mkdir()
    new_directory("trial", str(work), 0)
    assert not (work / "vmstation-trial.4194304-1.a1b2c3d4").exists()


def test_a_user_without_a_home_gets_one(work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(work / "missing"))
    assert os.path.isdir(exclusive_directory("trial", str(work), 0, 1, SystemClock()))


def test_a_file_is_held_by_one_at_a_time_and_leaves_nothing(work) -> None:
    path = str(work / "x.lock")
    with held_file(path) as first, held_file(path) as second:
        assert (first, second, os.stat(path).st_mode & 0o777) == (True, False, 0o600)
    assert os.listdir(work) == []
    with held_file(path) as third:
        assert third


@pytest.mark.parametrize(
    ("in_place", "found"),
    [
        (lambda path: path.symlink_to("elsewhere"), "too many levels of symbolic links"),
        (lambda path: path.mkdir(), "is a directory"),
        (lambda path: (path.parent.chmod(0o1777), path.touch(), os.chown(path, 4242, 4242)), "a file of user 4242"),
    ],
)
def test_another_file_in_place_of_the_lock_is_named(work, in_place: Callable[[Path], object], found: str) -> None:
    if os.geteuid() != 0 and "user" in found:
        pytest.skip("only root gives files to another user")
    lock = work / f"vmstation-{os.geteuid()}.lock"
    in_place(lock)
    with pytest.raises(Refusal, match=f"lock file {lock}: found {found}; required: "):
        exclusive_directory("trial", str(work), 0, 1, SystemClock())
    assert os.path.lexists(lock)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to another user")
def test_a_file_system_that_gives_files_another_owner_is_no_hindrance(work) -> None:
    lock = work / "x.lock"
    lock.touch()
    os.chown(lock, 4242, 4242)
    with held_file(str(lock)) as is_held:
        assert is_held


def test_without_a_directory_that_can_be_used_the_reasons_are_named(work) -> None:
    with pytest.raises(Refusal, match=r"work_directory: found .*missing is no directory"):
        exclusive_directory("trial", str(work / "missing"), 0, 1, SystemClock())
