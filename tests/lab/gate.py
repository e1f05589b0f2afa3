# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The phases of ``make test``, two at a time, and their verdict. The first line of a phase's function says what it proves."""

from __future__ import annotations

import inspect
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests.lab import archive, machine, sanity
from tests.lab.cache import CHECKOUT, cache, locked
from tests.lab.lab import Lab
from tests.lab.say import LabError, aloud, mortal, say
from tests.lab.setup import set_up
from tests.lab.venv import ensure_venv, tool_environment
from tests.rounds import ENDURANCE

WORKERS = "2"
# with more, something is broken that another run does not change
MOST_FILES_AGAIN = 4
TESTS_FAILED = 1  # https://docs.pytest.org/en/stable/reference/exit-codes.html
# One after the other: each Kubernetes host takes 12 to 26 of the 128 inotify instances that a kernel gives root.
CLUSTERS = "clusters"


def _tools(*commands: Sequence[str]) -> int:
    """Run each tool, all of them, and return the worst status."""
    worst = 0
    for command in commands:
        say(" ".join(command))
        worst = max(worst, abs(aloud(command, env=tool_environment(ensure_venv()), cwd=CHECKOUT)))
    return worst


def _python_files() -> list[str]:
    return [name for name in ("plugins", "tests", "molecule") if (CHECKOUT / name).is_dir()]


def lint() -> int:
    """Style, types, licences and Ansible's rules: ruff, mypy, reuse, antsibull-changelog, and ansible-lint with the profile production."""
    return _tools(
        ["ruff", "check", *_python_files()],
        ["ruff", "format", "--check", *_python_files()],
        ["mypy", "--cache-dir", str(cache() / "mypy"), "plugins/module_utils"],
        ["yamllint", "--strict", "."],
        ["reuse", "lint", "--quiet"],
        ["antsibull-changelog", "lint"],
        ["ansible-lint", "--offline", "--strict", "--nocolor"],
    )


def _pytest(paths: Sequence[str], *options: str) -> int:
    present = [path for path in paths if path.endswith(".py") or any((CHECKOUT / path).rglob("test_*.py"))]
    if not present:
        raise LabError(f"no tests in {', '.join(paths)}")
    # -rs with -v's closing line: what was skipped, and why
    return _tools(_pytest_command(*options, *present))


def _pytest_command(*arguments: str) -> list[str]:
    return [str(ensure_venv() / "bin" / "python"), "-m", "pytest", "-ra", "--color=no", "-p", "no:cacheprovider", *arguments]


def unit() -> int:
    """Functions and modules without hosts, texts and documents that are generated, and the structure of the code."""
    machine.install_missing(hosts=False, browser=True)
    return _pytest(["tests/unit", "tests/architecture"], "-n", WORKERS, "-q")


def integration() -> int:
    """Modules and roles on hosts with real firewalls, package managers and packets, without Kubernetes."""
    # of the 128 inotify instances that a kernel gives root, three workers and a whole site beside them take about 100
    return _with_hosts("not thorough and not kubernetes", workers="3")


def kubernetes() -> int:
    """Roles on hosts with real kubeadm, kubelet and etcd: init, join, backup, restore and reset, each killed and completed."""
    with locked(CLUSTERS):
        # beside `integration`, see there: two control planes take as many as a whole site, which has ended by then
        return _with_hosts("kubernetes and not thorough", workers="2")


def thorough() -> int:
    """What the gate has no time for: damaged inputs, more faults, published programs, workers, other firewalls and releases, kills."""
    machine.install_missing(hosts=True, cluster=True, published=True)
    # half a minute for each reader
    damaged = _pytest(["tests/fuzz"], "-n", WORKERS, "-v")
    faults = _cluster("thorough")
    # each backend's kills have a host of their own
    kills = _with_hosts("thorough", workers="4", dist="load", paths=("tests/integration/test_firewall_kill.py",))
    rest = "--deselect=tests/integration/test_firewall_kill.py"
    hosts = _with_hosts("thorough and not kubernetes", rest, workers="3")
    with locked(CLUSTERS):
        return max(damaged, faults, kills, hosts, _with_hosts("thorough and kubernetes", workers="1"))


def _with_hosts(marks: str, *options: str, workers: str, dist: str = "loadfile", paths: Sequence[str] = ("tests/integration",)) -> int:
    """Tests with hosts, several files at a time; returns pytest's status.

    All hosts share one kernel, its limits and two processors. So a file with a failure runs once more, alone; its second result counts.
    """
    # tests/integration/conftest.py has the order
    common = ("-v", "--durations=15", "-m", marks, *options)
    with tempfile.TemporaryDirectory() as directory:
        results = Path(directory) / "results.xml"
        recorded = (f"--junitxml={results}", "-o", "junit_family=xunit1")
        status = _pytest(paths, "-n", workers, "--dist", dist, "--no-loadscope-reorder", *recorded, *common)
        failed = files_with_failures(results.read_text()) if status == TESTS_FAILED else []
    if not 0 < len(failed) <= MOST_FILES_AGAIN:
        return status
    say(f"again, alone: {' '.join(failed)}")
    status = _pytest(failed, *common)
    say(f"alone, they {'FAILED again' if status else 'passed: they depend on what runs beside them'}: {' '.join(failed)}")
    return status


def files_with_failures(results: str) -> list[str]:
    """The files of the tests that failed, in pytest's JUnit XML of the family xunit1."""
    cases = ElementTree.fromstring(results).iter("testcase")
    return sorted({case.attrib["file"] for case in cases if any(case.find(kind) is not None for kind in ("failure", "error"))})


OF_THE_CLUSTER = {"jellyfin", "monitoring"}
"""Molecule's scenarios that need an API server, and no hosts."""


def molecule(arguments: Sequence[str] = ("test",)) -> int:
    """Molecule on the controller of a lab of its own, which is removed afterwards if the hosts were; or beside a real API server."""
    if OF_THE_CLUSTER & {*arguments}:
        machine.install_missing(hosts=False, cluster=True)
        return _tools(["python", "-m", "tests.cluster", "run", "molecule", *arguments])
    lab = Lab("molecule")
    lab.prepare()
    try:
        return aloud(lab.inside(["molecule", *arguments]), env={**lab.environment(), "NO_COLOR": "1"}, cwd=CHECKOUT)
    finally:
        if not lab.specs():
            lab.down()


def molecule_plan() -> int:
    """Molecule's scenario that needs no host: the network plan of the inventory is valid."""
    # what the default scenario shows, tests/site shows too, and runs the same verification
    return _tools(["molecule", "test", "--scenario-name", "plan"])


def bench(names: Sequence[str]) -> int:
    """The benchmarks, or those named, one after the other: they measure time, and would disturb each other."""
    files = sorted((CHECKOUT / "tests" / "benchmarks").glob("[a-z]*.py"))
    chosen = [str(file) for file in files if not names or file.stem in names]
    if not chosen:
        raise LabError(f"no such benchmark; there are {' '.join(file.stem for file in files)}")
    return _tools(*(["python", file] for file in chosen))


def cluster() -> int:
    """Manifests, roles and checks of the cluster against a real API server; without hosts."""
    machine.install_missing(hosts=False, cluster=True)
    return _cluster("not thorough")


def _cluster(marks: str) -> int:
    return _pytest(["tests/cluster"], "-n", WORKERS, "--dist", "loadfile", "-v", "--durations=15", "-m", marks)


def endurance() -> int:
    """What the gate does a few times, often; hours, and no part of it."""
    os.environ[ENDURANCE] = "1"
    set_up(cluster=True)
    # `make molecule` as its users run it, beside what tests/site shows
    scenario = molecule()
    often = scenario, _pytest(["tests/site"], "-v", "--durations=0"), _tools(_pytest_command("-v", "tests/integration/test_worker_role.py"))
    return max(thorough(), *often)


def ipip() -> int:
    """The tunnel that the machine's kernel may lack, between two emulated hosts; no part of the gate."""
    machine.install_missing(hosts=True, emulation=True)
    return _pytest(["tests/ipip"], "-v", "--durations=5")


def site() -> int:
    """All playbooks on a whole site: from bare hosts to a cluster, through kills, damage and sleep, and back to bare hosts."""
    # each test goes on where the last one ended, so one at a time
    with locked(CLUSTERS):
        return _pytest(["tests/site"], "-v", "--durations=0", "-m", "not endurance")


def _has_go() -> bool:
    return shutil.which("go") is not None


PHASES: dict[str, Callable[[], int]] = {
    "lint": lint,
    "unit": unit,
    "archive": archive.check,
    "sanity": sanity.check,
    "molecule": molecule_plan,
    "cluster": cluster,
    "integration": integration,
    "kubernetes": kubernetes,
    "site": site,
    "thorough": thorough,
}
# `make test` runs these side by side. One uses both processors, the other one and waits now and then. What fails fast comes first.
LANES = (("unit", "cluster", "integration"), ("lint", "archive", "sanity", "molecule", "site", "kubernetes"))
HOSTLESS = {"lint", "unit", "archive", "sanity", "molecule"}
NEEDS_GO = {"cluster", "kubernetes", "site", "thorough"}
# its time is short; `make endurance` runs them
OUTSIDE_THE_GATE = {"thorough"}

# Whoever runs this with CI=true ends it after 90 minutes. A phase that would not come to its end by then is left out, which is a failure.
CI_SECONDS = 85 * 60
LONGEST = {"cluster": 10 * 60, "integration": 15 * 60, "kubernetes": 12 * 60, "site": 25 * 60}


# A log may be read from its end, or only its end be kept: what failed is said once more after the table.
MOST_FAILURE_LINES = 60
LINES_WITHOUT_PYTEST = 15
# each assertion that did not hold, and each test in the summary
PYTEST_FAILURE = ("E   ", "FAILED ", "ERROR ")


@dataclass(frozen=True)
class Outcome:
    """How a phase ended. processor: seconds; failures: the lines of its output that say what failed, if they are known."""

    status: int
    processor: float = 0
    failures: Sequence[str] = ()


@dataclass(frozen=True)
class Verdict:
    """The verdict on a phase. seconds: from its begin to its end; processor: of its programs, not of hosts."""

    name: str
    text: str
    seconds: float = 0
    processor: float = 0
    failures: Sequence[str] = ()


def proves(name: str) -> str:
    """What a phase shows if it passes, in one line."""
    return (inspect.getdoc(PHASES[name]) or "").partition("\n")[0]


def _why_not(name: str) -> str | None:
    """What this machine lacks for a phase, whose tests would all be skipped, or None."""
    if name in NEEDS_GO and not _has_go():
        return "no Go to compile Kubernetes with"
    return None if name in HOSTLESS | {"cluster"} else machine.why_no_lab()


def run(names: Sequence[str] = ()) -> int:
    """Run phases, each whatever the others gave; returns 0 only if none failed, and each named one ran.

    Named ones run one after the other. By default those of the gate run, in its lanes. With CI=true a phase that did not run has failed.
    """
    unknown = [name for name in names if name not in PHASES]
    if unknown:
        raise LabError(f"no such phase: {' '.join(unknown)}; there are {' '.join(PHASES)}")
    end = time.monotonic() + CI_SECONDS if _is_ci() else math.inf
    set_up(hosts=False)
    if names:
        verdicts = [_verdict(name, end, _here) for name in names]
    else:
        with ThreadPoolExecutor() as pool:
            lanes = pool.map(lambda lane: [_verdict(name, end, _beside_others) for name in lane if name in PHASES], LANES)
            ran = {verdict.name: verdict for lane in lanes for verdict in lane}
        verdicts = [ran[name] for name in PHASES if name in ran]
        verdicts += [Verdict(name, f"no part of the gate: `make {name}`") for name in sorted(OUTSIDE_THE_GATE)]
    _print_table(verdicts)
    _print_failures(verdicts)
    is_incomplete = any(verdict.text.startswith("not run") and verdict.name in names for verdict in verdicts)
    return 1 if is_incomplete or any(verdict.text.startswith("FAILED") for verdict in verdicts) else 0


def _is_ci() -> bool:
    return os.environ.get("CI") == "true"


def _verdict(name: str, end: float, execute: Callable[[str], Outcome]) -> Verdict:
    """Run a phase if it can be run and would be over by then."""
    say(f"===== {name}: {proves(name)}")
    started = time.monotonic()
    outcome = Outcome(1)
    try:
        if name not in HOSTLESS:
            set_up(cluster=_has_go())
        lacking = _why_not(name)
        if (left := end - time.monotonic()) < LONGEST.get(name, 0):
            lacking = f"{left / 60:.0f} minutes left, it may take {LONGEST[name] / 60:.0f}"
        if lacking:
            say(f"===== {name}: not run: {lacking}; `python3 -m tests.lab test {name}` runs it")
            return Verdict(name, f"{'FAILED, ' if _is_ci() else ''}not run: {lacking}")
        outcome = execute(name)
    except (LabError, subprocess.SubprocessError, OSError) as error:
        say(f"{name}: {error}")
        outcome = Outcome(1, failures=str(error).splitlines())
    seconds = time.monotonic() - started
    passed = outcome.status == 0
    say(f"===== {name}: {'passed' if passed else f'FAILED, status {outcome.status}'} ({seconds:.0f} s)")
    return Verdict(name, "passed" if passed else "FAILED", seconds, outcome.processor, () if passed else outcome.failures)


def _here(name: str) -> Outcome:
    """Run a phase in this process, with its output on ours."""
    before = os.times()
    status = PHASES[name]()
    after = os.times()
    return Outcome(status, sum(after[:4]) - sum(before[:4]))


def _beside_others(name: str) -> Outcome:
    """Run a phase in a process of its own, with its name before each line."""
    process = subprocess.Popen(
        mortal([sys.executable, "-c", _script(name)]), cwd=CHECKOUT, env={**os.environ, "PYTHONUNBUFFERED": "1"}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    )  # fmt: skip
    assert process.stdout
    failures: deque[str] = deque(maxlen=MOST_FAILURE_LINES)
    tail: deque[str] = deque(maxlen=LINES_WITHOUT_PYTEST)
    with process.stdout as output:
        for line in output:
            print(f"{name:<11} | {line}", end="", flush=True)
            tail.append(line.rstrip())
            if line.startswith(PYTEST_FAILURE):
                failures.append(line.rstrip())
    _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Outcome(process.returncode, usage.ru_utime + usage.ru_stime, tuple(failures or tail))


def _script(name: str) -> str:
    return f"import sys; from tests.lab import gate; sys.exit(gate.PHASES[{name!r}]())"


def _print_table(verdicts: Sequence[Verdict]) -> None:
    print("\n| Phase | What it checks | Verdict | Seconds | Processor seconds |\n|---|---|---|---|---|")
    for verdict in verdicts:
        print(f"| {verdict.name} | {proves(verdict.name)} | {verdict.text} | {verdict.seconds:.0f} | {verdict.processor:.0f} |")
    sys.stdout.flush()


def _print_failures(verdicts: Sequence[Verdict]) -> None:
    for verdict in verdicts:
        if verdict.failures:
            print(f"\nWhat failed in {verdict.name}:")
            for line in verdict.failures:
                print(f"  {line[:500]}")
    sys.stdout.flush()
