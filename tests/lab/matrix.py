# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make matrix``: the tests without hosts, with each version that users may have, and what Galaxy and the documentation site would say."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab import machine, pages, sanity
from tests.lab.archive import build_and_install
from tests.lab.cache import CHECKOUT, cache, locked
from tests.lab.say import LabError, aloud, quietly, say, step
from tests.lab.venv import make_venv, tool_environment

PLAYBOOKS = ("site.yml", "playbooks/*.yml")
CLUSTER_TESTS = ("tests/cluster/test_api_reader.py", "tests/cluster/test_workload_preflight.py")
# what the importer says of every collection that is newer than its own ansible-lint
UNAVOIDABLE = re.compile(r"meta-runtime\[unsupported-version\]")


def syntax(directory: Path) -> int:
    """The syntax of all playbooks."""
    paths = [str(path) for pattern in PLAYBOOKS for path in sorted(CHECKOUT.glob(pattern))]
    return aloud(["ansible-playbook", "--syntax-check", *paths], env=tool_environment(directory), cwd=CHECKOUT)


def unit(directory: Path) -> int:
    """The unit and architecture tests."""
    return _pytest(directory, "-n", "2", "tests/unit", "tests/architecture")


def api(directory: Path) -> int:
    """What reads a real API server."""
    return _pytest(directory, *CLUSTER_TESTS)


def _pytest(directory: Path, *arguments: str) -> int:
    argv = [str(directory / "bin" / "python"), "-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider", *arguments]
    return aloud(argv, env=tool_environment(directory), cwd=CHECKOUT)


def importer(directory: Path) -> int:
    """Galaxy's importer, which must have no remark that can be helped."""
    target = cache() / "importer"
    build_and_install(target)
    (archive,) = target.glob("*.tar.gz")
    environment = {"PATH": f"{directory / 'bin'}:/usr/bin:/bin", "HOME": str(target), "GALAXY_IMPORTER_CHECK_REQUIRED_TAGS": "true"}
    argv = [str(directory / "bin" / "python"), "-m", "galaxy_importer.main", str(archive)]
    found = subprocess.run(argv, env=environment, cwd=target, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    shutil.rmtree(target)
    return importer_verdict(found.returncode, found.stdout)


def importer_verdict(status: int, output: str) -> int:
    """0 if the import succeeded without another remark than the unavoidable ones; prints the others, or why it failed."""
    remarks = [line for line in output.splitlines() if line.startswith(("WARNING", "ERROR")) and not UNAVOIDABLE.search(line)]
    if status or "Importer processing completed successfully" not in output:
        remarks.append(output[-2000:])
    for remark in remarks:
        print(remark)
    return 1 if remarks else 0


def documentation(directory: Path) -> int:
    """The documentation of all plugins and roles, and the site."""
    return max(pages.lint(directory), pages.build(directory))


def build_pages() -> int:
    """Build the documentation site."""
    directory = cache() / "matrix" / "documentation"
    with locked("matrix"):
        make_venv(directory, *pages.REQUIREMENTS, pinned=False)
        return pages.build(directory)


CHECKS: dict[str, Callable[[Path], int]] = {
    "syntax": syntax, "unit": unit, "sanity": sanity.check, "api": api, "importer": importer, "documentation": documentation,
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """The pins, or none, with these requirements in place of theirs. shown: the package whose version the table shows."""

    requirements: tuple[str, ...]
    shown: str
    checks: tuple[str, ...]
    pinned: bool = True


def _core(requirement: str) -> Row:
    return Row((f"ansible-core{requirement}",), "ansible-core", ("syntax", "unit", "sanity"))


def _client(requirement: str) -> Row:
    return Row((f"kubernetes{requirement}",), "kubernetes", ("api",))  # no unit test needs the client


ROWS = {
    "ansible-core-2.20": _core(">=2.20,<2.21"),
    "ansible-core-2.21": _core(">=2.21,<2.22"),
    "ansible-core-newest": _core(">=2.21.0a0"),  # with an alpha version, uv takes later pre-releases, too
    "kubernetes-24.2": _client("==24.2.0"),
    "kubernetes-30": _client("<31"),
    "kubernetes-36": _client(">=36,<37,!=36.0.0"),
    "kubernetes-newest": _client(">=37"),
    "galaxy": Row(("galaxy-importer", "ansible>=14,<15"), "galaxy-importer", ("importer",), pinned=False),  # it wants older tools
    "documentation": Row(pages.REQUIREMENTS, "antsibull-docs", ("documentation",), pinned=False),
}


def run(names: Sequence[str] = ()) -> int:
    """Run all rows or those named, and print the table. Returns 0 only if each check of each row passed."""
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        raise LabError(f"no such row of the matrix: {' '.join(unknown)}; there are {' '.join(ROWS)}")
    lines, versions, failed = [], {}, False
    with locked("matrix"):
        for name in names or ROWS:
            row = ROWS[name]
            started = time.monotonic()
            version, verdicts = _run(name, row, versions)
            versions[row.shown, version] = name
            failed = failed or any(verdict not in {"passed", "the same"} for verdict in verdicts.values())
            cells = [verdicts.get(check, "") for check in CHECKS]
            lines.append(f"| {name} | {row.shown} {version} | {' | '.join(cells)} | {time.monotonic() - started:.0f} |")
    python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    print(f"\n| Row, with {python} | Version | {' | '.join(CHECKS)} | Seconds |\n|{'---|' * (len(CHECKS) + 3)}")
    print("\n".join(lines), flush=True)
    return 1 if failed else 0


def _run(name: str, row: Row, seen: dict[tuple[str, str], str]) -> tuple[str, dict[str, str]]:
    """The version of the row's package, and the verdict of each check; a version that another row had is not checked again."""
    machine.install_missing(hosts=False, browser="unit" in row.checks, cluster="api" in row.checks)
    directory = cache() / "matrix" / name
    with step(f"matrix {name}: virtual environment"):
        make_venv(directory, *row.requirements, pinned=row.pinned)
    script = f"import importlib.metadata; print(importlib.metadata.version({row.shown!r}))"
    version = quietly([str(directory / "bin" / "python"), "-c", script]).strip()
    if (row.shown, version) in seen:
        return version, dict.fromkeys(row.checks, "the same")
    verdicts = {}
    for check in row.checks:
        say(f"===== matrix {name} ({row.shown} {version}): {check}")
        try:
            status = CHECKS[check](directory)
        except (LabError, subprocess.SubprocessError, OSError) as error:
            say(f"{name}, {check}: {error}")
            status = 1
        verdicts[check] = "passed" if status == 0 else f"FAILED, status {status}"
    return version, verdicts
