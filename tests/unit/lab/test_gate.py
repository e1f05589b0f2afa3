# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on phases that passed, failed, or did not run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.lab import gate, machine

NO_GO = "no Go to compile Kubernetes with"
NO_ROOT = "the lab needs root"


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Phases that run in no time and pass, except lint."""
    done: list[str] = []

    def phase(name: str) -> int:
        done.append(name)
        return 1 if name == "lint" else 0

    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(gate, "set_up", lambda **_options: None)
    monkeypatch.setattr(gate, "PHASES", {name: lambda name=name: phase(name) for name in gate.PHASES})
    monkeypatch.setattr(gate, "_beside_others", gate._here)
    monkeypatch.setattr(gate, "_has_go", lambda: True)
    monkeypatch.setattr(machine, "why_no_lab", lambda: None)
    return done


def verdicts(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """The verdict by phase, of the table at the end."""
    table = capsys.readouterr().out.rpartition("|---|")[2].splitlines()[1:]
    return {cells[0]: cells[2] for cells in ([cell.strip() for cell in line.strip("|").split("|")] for line in table)}


@pytest.mark.parametrize(
    ("names", "go", "lab", "ci", "expected", "status"),
    [
        (["unit", "cluster"], True, None, False, {"unit": "passed", "cluster": "passed"}, 0),
        (["lint", "unit"], True, None, False, {"lint": "FAILED", "unit": "passed"}, 1),
        (["cluster"], False, None, False, {"cluster": f"not run: {NO_GO}"}, 1),
        (["cluster"], False, None, True, {"cluster": f"FAILED, not run: {NO_GO}"}, 1),
        (["kubernetes", "site"], False, None, False, dict.fromkeys(["kubernetes", "site"], f"not run: {NO_GO}"), 1),
        (["molecule"], False, NO_ROOT, True, {"molecule": "passed"}, 0),
        (["unit", "integration"], False, None, False, {"unit": "passed", "integration": "passed"}, 0),
        (["integration", "thorough"], True, NO_ROOT, False, dict.fromkeys(["integration", "thorough"], f"not run: {NO_ROOT}"), 1),
        (["integration"], True, NO_ROOT, True, {"integration": f"FAILED, not run: {NO_ROOT}"}, 1),
        (["unit", "cluster"], True, NO_ROOT, False, {"unit": "passed", "cluster": "passed"}, 0),
    ],
)
def test_a_phase_that_did_not_run_has_not_passed(
    ran: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *,
    names: list[str], go: bool, lab: str | None, ci: bool, expected: dict[str, str], status: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(gate, "_has_go", lambda: go)
    monkeypatch.setattr(machine, "why_no_lab", lambda: lab)
    if ci:
        monkeypatch.setenv("CI", "true")
    assert gate.run(names) == status
    assert verdicts(capsys) == expected
    assert ran == [name for name in names if expected[name] == "passed" or name == "lint"]


@pytest.mark.parametrize(("ci", "status"), [(False, 0), (True, 1)])
def test_of_all_phases_one_that_cannot_run_here_fails_only_in_the_gate(
    ran: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ci: bool, status: int
) -> None:
    monkeypatch.setattr(gate, "PHASES", {name: function for name, function in gate.PHASES.items() if name != "lint"})
    monkeypatch.setattr(gate, "_has_go", lambda: False)
    if ci:
        monkeypatch.setenv("CI", "true")
    assert gate.run() == status
    assert verdicts(capsys)["cluster"] == f"{'FAILED, ' if ci else ''}not run: {NO_GO}"
    assert "cluster" not in ran


def test_a_phase_that_time_does_not_suffice_for_is_left_out_and_has_failed(
    ran: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(gate, "LONGEST", {"site": gate.CI_SECONDS + 60})
    assert gate.run(["unit", "site"]) == 1
    assert verdicts(capsys) == {"unit": "passed", "site": "FAILED, not run: 85 minutes left, it may take 86"}
    assert ran == ["unit"]


def test_the_gate_runs_each_phase_once() -> None:
    assert sorted(name for lane in gate.LANES for name in lane) == sorted(set(gate.PHASES) - gate.OUTSIDE_THE_GATE)


def test_the_documentation_says_what_each_phase_proves() -> None:
    document = (CHECKOUT / "docs" / "lab.md").read_text()
    for name in gate.PHASES:
        assert gate.proves(name)
        assert f"| {name} | {gate.proves(name)} |" in document


def test_a_phase_beside_others_gives_its_status_and_its_lines_their_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gate, "_script", lambda name: f"import sys; print('{name} is told'); sum(range(10**7)); sys.exit(3)")
    outcome = gate._beside_others("lint")
    assert (outcome.status, outcome.processor > 0) == (3, True)
    assert capsys.readouterr().out == "lint        | lint is told\n"


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        (["collected 2 items", "E   assert 1 == 2", "noise", "FAILED tests/x.py::test_y - assert 1 == 2"],
         ["E   assert 1 == 2", "FAILED tests/x.py::test_y - assert 1 == 2"]),
        (["ruff check", "plugins/x.py:1:1: F401"], ["ruff check", "plugins/x.py:1:1: F401"]),
    ],
    ids=["pytest", "another tool: its last lines"],
)  # fmt: skip
def test_what_failed_is_printed_again_after_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], printed: list[str], expected: list[str]
) -> None:
    monkeypatch.setattr(gate, "set_up", lambda **_options: None)
    monkeypatch.setattr(gate, "LANES", (("lint",), ("archive",)))
    status = {"lint": 1, "archive": 0}
    monkeypatch.setattr(gate, "_script", lambda name: f"import sys; print({chr(10).join(printed)!r}); sys.exit({status[name]})")
    assert gate.run() == 1
    after_the_table = capsys.readouterr().out.rpartition("no part of the gate")[2].splitlines()[2:]
    assert after_the_table == ["What failed in lint:", *(f"  {line}" for line in expected)]


@pytest.mark.parametrize(("needed_runs", "status"), [(2, 0), (3, 1)], ids=["passes alone", "fails again"])
def test_a_file_with_a_failure_runs_again_alone_and_its_second_result_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, needed_runs: int, status: int
) -> None:
    monkeypatch.setattr(gate, "CHECKOUT", tmp_path)
    runs = tmp_path / "runs"
    for name in ("test_well.py", "test_later.py"):
        (tmp_path / name).write_text(
            f"""from pathlib import Path


def test_one():
    with Path({str(runs)!r}).open("a") as file:
        file.write({name!r} + "\\n")
    assert {name!r} == "test_well.py" or Path({str(runs)!r}).read_text().count({name!r}) >= {needed_runs}
"""
        )
    assert gate._with_hosts("not thorough", workers="2", paths=(".",)) == status
    assert sorted(runs.read_text().split()) == ["test_later.py", "test_later.py", "test_well.py"]
