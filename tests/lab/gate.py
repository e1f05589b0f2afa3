# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The phases of ``make test``, fast ones first, and their verdict."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from tests.lab import archive, machine, sanity
from tests.lab.cache import CHECKOUT
from tests.lab.lab import Lab
from tests.lab.say import LabError, aloud, say
from tests.lab.setup import set_up
from tests.lab.venv import ensure_venv
from tests.rounds import ENDURANCE, GATE_END, minutes_left

WORKERS = "2"


def _tool_environment() -> dict[str, str]:
    binaries = ensure_venv() / "bin"
    packages = next((binaries.parent / "lib").glob("python3*/site-packages"))
    return {
        **os.environ,
        "PATH": f"{binaries}:{machine.path()}",
        "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": f"{CHECKOUT / 'collections'}:{packages}",
        "NO_COLOR": "1",
    }


def _tools(*commands: Sequence[str]) -> int:
    """Run each tool, all of them, and return the worst status."""
    worst = 0
    for command in commands:
        say(" ".join(command))
        worst = max(worst, abs(aloud(command, env=_tool_environment(), cwd=CHECKOUT)))
    return worst


def _python_files() -> list[str]:
    return [name for name in ("plugins", "tests", "molecule") if (CHECKOUT / name).is_dir()]


def lint() -> int:
    return _tools(
        ["ruff", "check", *_python_files()],
        ["ruff", "format", "--check", *_python_files()],
        ["mypy", "plugins/module_utils"],
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
    machine.install_missing(hosts=False, browser=True)
    return _pytest(["tests/unit", "tests/architecture"], "-n", WORKERS, "-q")


def integration() -> int:
    """Modules and roles on real hosts without Kubernetes. Their tests wait more than they work, so that two processors serve four."""
    return _with_hosts("not thorough and not kubernetes", workers="4")


def kubernetes() -> int:
    """Roles on hosts that run Kubernetes, of which each takes 12 to 26 of the 128 inotify instances that a kernel gives root."""
    return _with_hosts("kubernetes and not thorough", workers=WORKERS)


def thorough() -> int:
    """What integration shows, on another release of the host's system; and firewalls whose change is killed at random instants."""
    # each backend's kills have a host of their own
    kills = _with_hosts("thorough", workers="4", dist="load", paths=("tests/integration/test_firewall_kill.py",))
    return max(kills, _with_hosts("thorough", "--deselect=tests/integration/test_firewall_kill.py", workers="3"))


def _with_hosts(marks: str, *options: str, workers: str, dist: str = "loadfile", paths: Sequence[str] = ("tests/integration",)) -> int:
    # tests/integration/conftest.py has the order
    return _pytest(paths, "-n", workers, "--dist", dist, "--no-loadscope-reorder", "-v", "--durations=15", "-m", marks, *options)


def molecule(arguments: Sequence[str] = ("test",)) -> int:
    """Molecule on the controller of a lab of its own, which is removed afterwards if the hosts were."""
    lab = Lab("molecule")
    lab.prepare()
    try:
        return aloud(lab.inside(["molecule", *arguments]), env={**lab.environment(), "NO_COLOR": "1"}, cwd=CHECKOUT)
    finally:
        if not lab.specs():
            lab.down()


def molecule_plan() -> int:
    """The scenario that needs no host. What the default one shows, tests/site shows too, and runs the same verification."""
    return _tools(["molecule", "test", "--scenario-name", "plan"])


def bench(names: Sequence[str]) -> int:
    """The benchmarks, or those named, one after the other: they measure time, and would disturb each other."""
    files = sorted((CHECKOUT / "tests" / "benchmarks").glob("[a-z]*.py"))
    chosen = [str(file) for file in files if not names or file.stem in names]
    if not chosen:
        raise LabError(f"no such benchmark; there are {' '.join(file.stem for file in files)}")
    return _tools(*(["python", file] for file in chosen))


def cluster() -> int:
    """The tests that ask a real API server."""
    return _pytest(["tests/cluster"], "-n", WORKERS, "--dist", "loadfile", "-v", "--durations=15")


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
    """site.yml from bare hosts to a cluster, through damage, and back. Each test goes on where the last one ended, so one at a time."""
    return _pytest(["tests/site"], "-v", "--durations=0", "-m", "not endurance")


def _has_go() -> bool:
    return shutil.which("go") is not None


# what fails fast comes first, and Kubernetes is compiled before the first phase that runs it: half an hour on a new machine
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
HOSTLESS = {"lint", "unit", "archive", "sanity", "molecule"}
NEEDS_GO = {"cluster", "kubernetes", "site"}
# its time is short; `make endurance` runs them
OUTSIDE_THE_GATE = {"thorough"}

# Whoever runs this with CI=true ends it after 90 minutes. A phase that would not come to its end by then is left out, and named.
CI_SECONDS = 85 * 60
LONGEST = {"cluster": 15 * 60, "integration": 15 * 60, "kubernetes": 25 * 60, "site": 33 * 60}


def _why_not(name: str) -> str | None:
    """What this machine lacks for a phase, whose tests would all be skipped, or None."""
    if name in NEEDS_GO and not _has_go():
        return "no Go to compile Kubernetes with"
    return None if name in HOSTLESS | {"cluster"} else machine.why_no_lab()


def run(names: Sequence[str] = ()) -> int:
    """Run phases (default: those of the gate), each whatever the others gave; returns 0 only if none failed, and each named one ran.

    With CI=true a phase that this machine cannot run has failed.
    """
    unknown = [name for name in names if name not in PHASES]
    if unknown:
        raise LabError(f"no such phase: {' '.join(unknown)}; there are {' '.join(PHASES)}")
    verdicts: list[tuple[str, str, float]] = []
    is_incomplete = False
    if os.environ.get("CI") == "true":
        os.environ[GATE_END] = str(time.time() + CI_SECONDS)
    set_up(hosts=False)
    for name in names or [name for name in PHASES if name not in OUTSIDE_THE_GATE]:
        say(f"===== {name}")
        started = time.monotonic()
        if minutes_left() * 60 < LONGEST.get(name, 0):
            left = f"{minutes_left():.0f} minutes left, it may take {LONGEST[name] / 60:.0f}"
            say(f"===== {name}: not run here: {left}; `python3 -m tests.lab test {name}` runs it")
            verdicts.append((name, f"not run: {left}", 0))
            continue
        try:
            if name not in HOSTLESS:
                set_up(cluster=_has_go())
            lacking = _why_not(name)
            if lacking:
                say(f"===== {name}: not run here: {lacking}")
                if os.environ.get("CI") != "true":
                    verdicts.append((name, f"not run: {lacking}", 0))
                    is_incomplete = is_incomplete or name in names
                    continue
            status = 1 if lacking else PHASES[name]()
        except (LabError, subprocess.SubprocessError, OSError) as error:
            say(f"{name}: {error}")
            status = 1
        seconds = time.monotonic() - started
        verdicts.append((name, "passed" if status == 0 else "FAILED", seconds))
        say(f"===== {name}: {'passed' if status == 0 else f'FAILED, status {status}'} ({seconds:.0f} s)")
    if not names:
        verdicts += [(name, f"no part of the gate: `make {name}`", 0) for name in sorted(OUTSIDE_THE_GATE)]
    print()
    for name, verdict, seconds in verdicts:
        print(f"{name:<12} {verdict:<7} {seconds:6.0f} s")
    sys.stdout.flush()
    return 1 if is_incomplete or any(verdict == "FAILED" for _name, verdict, _seconds in verdicts) else 0
