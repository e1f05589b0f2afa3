# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each fault of tests/faults.py in a whole cluster of a real API server: what the report says, and what its fix does."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator

import pytest

pytest.importorskip("kubernetes")
from ansible_collections.vmstation.cluster.plugins.module_utils._report.model import Line, Report

from tests.cluster.build import missing
from tests.cluster.programs import API_SERVER
from tests.cluster.server import running
from tests.cluster.whole import Whole
from tests.faults import FAULTS, Expected
from tests.lab.say import LabError, say


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    if unbuilt := missing(API_SERVER):
        pytest.skip(f"not built: {' '.join(unbuilt)}")
    with running() as cluster:
        made = Whole(cluster, tmp_path_factory.mktemp("whole"))
        try:
            made.make()
        except LabError as error:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(error))
        yield made


def ill(report: Report) -> list[Line]:
    return [line for line in report.lines if line.mark != "ok"]


def expected_of(report: Report, expected: Expected) -> list[Line]:
    return [line for line in report.lines if Expected(line.group, line.rule, line.subject, line.mark) == expected]


def test_a_cluster_that_is_well_is_healthy(whole: Whole) -> None:
    report = whole.report()
    assert ill(report) == []
    assert report.outcome == "healthy"


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if fault.gate else pytest.mark.thorough) for name, fault in FAULTS.items()])
def test_a_fault_is_found_and_its_fix_works(whole: Whole, name: str) -> None:
    fault = FAULTS[name]
    try:
        fault.inject(whole)
        report = whole.report(fault.later)
        assert expected_of(report, fault.expected), "\n".join(map(str, ill(report)))
        assert (report.outcome == "broken") >= (fault.expected.mark == "error")
        [line] = expected_of(report, fault.expected)
        say(f"{name}: {line.mark} {line.subject}: {line.finding}; {len(ill(report)) - 1} other lines")
        if fault.fix:
            [command] = [one for one in re.findall(r"`([^`]+)`", line.fix) if one.startswith(fault.fix)]
            whole.cluster.kubectl(*shlex.split(command)[1:])
            assert expected_of(whole.report(fault.later), fault.expected) == []
    finally:
        whole.restore()


def test_after_the_faults_the_cluster_is_healthy(whole: Whole) -> None:
    """Nothing of one fault has hidden, or been taken for, another."""
    assert ill(whole.report()) == []
