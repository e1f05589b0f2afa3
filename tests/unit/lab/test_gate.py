# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on phases that passed, failed, or did not run."""

from __future__ import annotations

import pytest

from tests.lab import gate, machine
from tests.rounds import GATE_END

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
    # set by the gate that these tests are part of, and put back after each
    monkeypatch.setenv(GATE_END, "inf")
    monkeypatch.setattr(gate, "set_up", lambda **_options: None)
    monkeypatch.setattr(gate, "PHASES", {name: lambda name=name: phase(name) for name in gate.PHASES})
    monkeypatch.setattr(gate, "_has_go", lambda: True)
    monkeypatch.setattr(machine, "why_no_lab", lambda: None)
    return done


def verdicts(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """The table at the end: the verdict by phase, without its seconds."""
    table = capsys.readouterr().out.rpartition("\n\n")[2].splitlines()
    return {line.split()[0]: line.split(maxsplit=1)[1].rpartition(" s")[0].rstrip("0123456789 ") for line in table}


@pytest.mark.parametrize(
    ("names", "go", "lab", "ci", "expected", "status"),
    [
        (["unit", "cluster"], True, None, False, {"unit": "passed", "cluster": "passed"}, 0),
        (["lint", "unit"], True, None, False, {"lint": "FAILED", "unit": "passed"}, 1),
        (["cluster"], False, None, False, {"cluster": f"not run: {NO_GO}"}, 1),
        (["cluster"], False, None, True, {"cluster": "FAILED"}, 1),
        (["kubernetes", "site"], False, None, False, dict.fromkeys(["kubernetes", "site"], f"not run: {NO_GO}"), 1),
        (["molecule"], False, NO_ROOT, True, {"molecule": "passed"}, 0),
        (["unit", "integration"], False, None, False, {"unit": "passed", "integration": "passed"}, 0),
        (["integration", "thorough"], True, NO_ROOT, False, dict.fromkeys(["integration", "thorough"], f"not run: {NO_ROOT}"), 1),
        (["integration"], True, NO_ROOT, True, {"integration": "FAILED"}, 1),
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
    assert verdicts(capsys)["cluster"] == ("FAILED" if ci else f"not run: {NO_GO}")
    assert "cluster" not in ran
