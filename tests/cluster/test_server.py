# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster leaves nothing behind, and one that does not start says why."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cluster.build import missing
from tests.cluster.programs import API_SERVER
from tests.cluster.server import Ranges, _slot, running
from tests.lab.cache import CHECKOUT
from tests.lab.say import LabError


def _processes_with(text: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in line:
            found.append(line)
    return found


def _is_given_again_empty(directory: Path) -> bool:
    """Takes slots up to that of the directory: others may have those before it."""
    with ExitStack() as held:
        while int((again := held.enter_context(_slot())[0]).name) < int(directory.name):
            pass
        return again == directory and list(again.iterdir()) == []


@pytest.fixture(autouse=True)
def _built() -> None:
    if unbuilt := missing(API_SERVER):
        pytest.skip(f"not built: {' '.join(unbuilt)}")


def test_it_takes_ranges_of_a_plan_and_leaves_nothing() -> None:
    with running(Ranges(service_cidr="10.97.0.0/16", node_port_range="31000-31010")) as cluster:
        directory = cluster.directory
        assert len(_processes_with(str(directory))) == 4
        assert cluster.kubectl("get", "service", "kubernetes", "--output=jsonpath={.spec.clusterIP}").stdout == "10.97.0.1"
        refused = cluster.kubectl("create", "service", "nodeport", "web", "--tcp=80", "--node-port=30000", check=False)
        assert "31000-31010" in refused.stderr
    assert not directory.exists()
    assert _processes_with(str(directory)) == []


def test_two_at_a_time_do_not_meet() -> None:
    with running() as one, running() as other:
        one.kubectl("create", "namespace", "mine")
        assert "mine" not in other.kubectl("get", "namespaces", "--output=name").stdout


def test_one_whose_owner_was_killed_ends_and_its_remains_go() -> None:
    script = "import time; from tests.cluster.server import running\nwith running() as c: print(c.directory, flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) as owner:
        directory = next(line.strip() for line in owner.stdout if line.startswith("/"))
        owner.kill()
    deadline = time.monotonic() + 30
    while _processes_with(directory):
        assert time.monotonic() < deadline, _processes_with(directory)
        time.sleep(0.1)
    assert Path(directory, "etcd").exists()
    # a dying process has no command line any more, and its port a moment longer
    while not _is_given_again_empty(Path(directory)):
        assert time.monotonic() < deadline, f"{directory} is not given again"
        time.sleep(0.1)


def test_a_program_that_ends_is_named_with_its_last_words() -> None:
    with (
        pytest.raises(LabError, match=r'(?s)kube-apiserver ended with status 1 before it is ready.*invalid argument "x"'),
        running(Ranges(node_port_range="x")),
    ):
        pass
