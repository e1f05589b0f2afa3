# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on rows of the matrix, and the rows and phases that run on GitHub."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from tests.conftest import CHECKOUT
from tests.lab import gate, machine, matrix
from tests.lab.say import LabError

DONE = "Importer processing completed successfully"
TOO_NEW = (
    "WARNING: meta/runtime.yml:1: meta-runtime[unsupported-version]: 'requires_ansible' key must refer to a currently supported version"
)
UNKNOWN = "WARNING: README.md: something"


@pytest.mark.parametrize(
    ("status", "output", "verdict"),
    [
        (0, f"Loading\n{DONE}\n", 0),
        (0, f"{TOO_NEW}\n{DONE}\n", 0),
        (0, f"{UNKNOWN}\n{DONE}\n", 1),
        (0, f"ERROR: Timeout on call to ansible-lint\n{DONE}\n", 1),
        (0, "Loading\n", 1),
        (1, f"{DONE}\n", 1),
    ],
)
def test_the_importer_has_no_remark(status: int, output: str, verdict: int) -> None:
    assert matrix.importer_verdict(status, output) == verdict


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Checks that run in no time, of which unit fails, with versions that are the requirements."""
    done: list[str] = []

    def check(name: str, directory: Path) -> int:
        done.append(f"{directory.name} {name}")
        if name == "api":
            raise LabError("no Go")
        return 1 if name == "unit" else 0

    def make(directory: Path, *requirements: str, pinned: bool) -> None:
        assert pinned
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "version").write_text(requirements[0])

    monkeypatch.setattr(matrix, "make_venv", make)
    monkeypatch.setattr(matrix, "quietly", lambda argv: (Path(argv[0]).parents[1] / "version").read_text())
    monkeypatch.setattr(matrix, "cache", lambda: tmp_path)
    monkeypatch.setattr(matrix, "locked", lambda _name: contextlib.nullcontext())
    monkeypatch.setattr(machine, "install_missing", lambda **_asked: None)
    monkeypatch.setattr(matrix, "CHECKS", {name: lambda directory, name=name: check(name, directory) for name in matrix.CHECKS})
    return done


def rows(*named: tuple[str, str, Sequence[str]]) -> dict[str, matrix.Row]:
    return {name: matrix.Row((version,), "ansible-core", tuple(checks)) for name, version, checks in named}


def test_a_row_that_fails_keeps_no_other_from_its_turn(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], checked: list[str]
) -> None:
    monkeypatch.setattr(
        matrix, "ROWS", rows(("old", "1", ["unit", "syntax"]), ("new", "2", ["syntax", "api"]), ("newest", "2", ["syntax"]))
    )
    assert matrix.run() == 1
    assert checked == ["old unit", "old syntax", "new syntax", "new api"]
    table = capsys.readouterr().out.rpartition("|---|")[2].splitlines()[1:]
    assert [[cell for cell in line.strip("| ").split(" | ")[1:-1] if cell] for line in table] == [
        ["ansible-core 1", "passed", "FAILED, status 1"],
        ["ansible-core 2", "passed", "FAILED, status 1"],
        ["ansible-core 2", "the same"],
    ]
    assert matrix.run(["newest"]) == 0


def test_an_unknown_row_is_named() -> None:
    with pytest.raises(LabError, match="no such row of the matrix: ansible-core-1; there are ansible-core-2"):
        matrix.run(["ansible-core-1"])


def test_what_runs_on_github_is_there() -> None:
    workflow = yaml.safe_load((CHECKOUT / ".github" / "workflows" / "tests.yml").read_text())
    commands = [command.split() for command in workflow["jobs"]["tests"]["strategy"]["matrix"]["run"]]
    assert {name for command, name in commands if command == "test"} == gate.HOSTLESS - {"sanity"}
    without_go = {name for name, row in matrix.ROWS.items() if "api" not in row.checks}
    assert {name for command, name in commands if command == "matrix"} == without_go
