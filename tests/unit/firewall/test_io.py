# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The edge: work that outlives who asked for it, the lock, ancestors' environments, and this program as one file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall import apply
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.host import environments
from ansible_collections.vmstation.cluster.plugins.module_utils._host.files import replace_all, sweep
from ansible_collections.vmstation.cluster.plugins.module_utils._host.processes import archive, exclusive, run_detached
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.conftest import CHECKOUT

COLLECTIONS = str(CHECKOUT / "collections")


def wait_for(path, seconds=20):
    until = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.01)
    return path.exists()


def test_detached_work_is_done_when_the_call_returns(tmp_path):
    run_detached(lambda: (tmp_path / "done").write_text(str(os.getpgid(0))) and None)
    assert int((tmp_path / "done").read_text()) != os.getpgid(0)


def test_a_refusal_in_detached_work_is_raised_here():
    def refuse():
        raise Refusal("ports", "0", "1", "Correct it.")

    with pytest.raises(Refusal, match=r"ports: found 0; required: 1\. Correct it\."):
        run_detached(refuse)


def test_a_defect_in_detached_work_is_a_refusal_too():
    with pytest.raises(Refusal, match="ZeroDivisionError"):
        run_detached(lambda: 1 // 0 and None)


def test_detached_work_that_is_killed_is_told():
    with pytest.raises(Refusal, match="its process ended without a result"):
        run_detached(lambda: os.kill(os.getpid(), signal.SIGKILL))


def test_detached_work_goes_on_when_all_of_its_group_is_killed(tmp_path):
    begun, go, done = tmp_path / "begun", tmp_path / "go", tmp_path / "done"
    caller = os.fork()
    if caller == 0:
        os.setsid()

        def work():
            begun.touch()
            if wait_for(go):
                done.touch()

        run_detached(work)
        os._exit(0)
    assert wait_for(begun)
    os.killpg(caller, signal.SIGKILL)
    os.waitpid(caller, 0)
    go.touch()
    assert wait_for(done)


def test_the_lock_is_for_one_at_a_time_and_is_free_again(tmp_path):
    path = str(tmp_path / "lock")
    with exclusive(path, 1), pytest.raises(Refusal, match="held by another change for 0 s"), exclusive(path, 0):
        pass
    with exclusive(path, 0):
        pass


def test_a_forked_child_holds_the_lock_until_it_ends(tmp_path):
    path = str(tmp_path / "lock")
    reader, writer = os.pipe()
    with exclusive(path, 1):
        child = os.fork()
        if child == 0:
            os.read(reader, 1)
            os._exit(0)
    with pytest.raises(Refusal, match="held by another change"), exclusive(path, 0):
        pass
    os.write(writer, b"x")
    os.waitpid(child, 0)
    with exclusive(path, 5):
        pass
    os.close(reader)
    os.close(writer)


def test_the_environments_of_ancestors_come_from_the_nearest_on():
    script = (
        "import sys; sys.path[:0] = {path!r}\nfrom {module} import environments\nprint([e['MARK'] for e in environments() if 'MARK' in e])"
    )
    # as sudo does: the inner program gets none of the outer's variables
    outer = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], env={}, check=True)"
    inner = script.format(path=[COLLECTIONS], module=environments.__module__)
    shown = subprocess.run(
        [sys.executable, "-c", outer, inner], env={**os.environ, "MARK": "outer"}, capture_output=True, text=True, check=True
    )
    assert shown.stdout.startswith("['outer'")


def test_the_archive_is_the_whole_program(tmp_path):
    """Run by a bare Python, without this checkout: it imports all that the way back needs."""
    program = tmp_path / "program.pyz"
    entry = apply.ENTRY.replace(
        "main(sys.argv[1], this_host())", "print(main.__module__, sorted(m for m in sys.modules if m.startswith('ansible.')))"
    )
    program.write_bytes(archive(entry).encode("utf-8", "surrogateescape"))
    shown = subprocess.run([sys.executable, "-I", "-S", str(program), "worker"], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert shown.stdout == f"{apply.__name__} []\n"


def replacing_and_killed_before_the(rename: int, *paths) -> None:
    """A process that is killed at a rename, as by a power cut: nothing is cleaned up."""
    child = os.fork()
    if not child:
        left, replace = [rename], os.replace

        def replace_or_die(*names):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            replace(*names)

        os.replace = replace_or_die
        try:
            replace_all({str(path): "new" for path in paths})
        finally:
            os._exit(0)
    _pid, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)


def test_what_a_killed_replacement_has_left_goes_with_the_next_one(tmp_path):
    first, second = tmp_path / "first", tmp_path / "new" / "second"
    replacing_and_killed_before_the(2, first, second)
    assert [first.read_text(), len(list(tmp_path.rglob(".vmstation-*")))] == ["new", 1]
    replace_all({str(second.parent / "another"): None})
    assert sorted(tmp_path.rglob("*")) == [first, second.parent]


def test_what_a_running_replacement_is_about_to_rename_is_not_swept(tmp_path, monkeypatch):
    target, other = tmp_path / "target", tmp_path / "other"
    seen, replace = [], os.replace

    def sweep_then_replace(*names):
        sweep([str(other)])
        seen.extend(tmp_path.glob(".vmstation-*"))
        replace(*names)

    monkeypatch.setattr(os, "replace", sweep_then_replace)
    replace_all({str(target): "new"})
    assert (target.read_text(), len(seen)) == ("new", 1)
    assert list(tmp_path.iterdir()) == [target]


def test_a_new_directory_of_ssh_is_for_its_user_alone(tmp_path):
    replace_all({str(tmp_path / name / "file"): "x" for name in (".ssh", "other")}, new_mode=0o600)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in (".ssh", "other")] == [0o700, 0o755]


def test_a_replacement_that_fails_leaves_nothing_and_the_old_contents(tmp_path):
    target, no_directory = tmp_path / "target", tmp_path / "target" / "below"
    target.write_text("old")
    with pytest.raises(OSError, match="target"):
        replace_all({str(target): "new", str(no_directory): "new"})
    assert ([path.name for path in tmp_path.iterdir()], target.read_text()) == (["target"], "old")
