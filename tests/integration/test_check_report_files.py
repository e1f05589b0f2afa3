# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_report's files through real Ansible, on the controller alone: no lab is needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.play import module_result
from tests.lab.cache import CHECKOUT
from tests.unit.report.check_samples import faulty, healthy

ANSIBLE = Path(sys.prefix) / "bin" / "ansible"
FORMS = ("report.json", "report.xml", "report.html", "report.prom")


def told(directory: Path, options: dict[str, Any], *flags: str) -> dict[str, Any]:
    given = json.dumps({**{key: value for key, value in options.items() if value is not None}, "directory": str(directory)})
    process = subprocess.run(
        [ANSIBLE, "localhost", "-m", "vmstation.cluster.check_report", "-a", given, *flags],
        capture_output=True, text=True, check=False, timeout=120, cwd=CHECKOUT,
        env={**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "ANSIBLE_LOAD_CALLBACK_PLUGINS": "True"},
    )  # fmt: skip
    assert process.stdout, process.stderr
    return module_result(process.stdout)


def texts(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.glob("*")}


def test_check_mode_predicts_and_a_diff_shows_what_is_written(tmp_path: Path) -> None:
    directory = tmp_path / "check"
    predicted = told(directory, healthy(), "--check", "--diff")
    assert not directory.exists()
    written = told(directory, healthy(), "--diff")
    assert predicted["changed"] and written["changed"]
    assert predicted["files"] == written["files"] == [str(directory / name) for name in FORMS]
    assert predicted["diff"] == written["diff"]
    assert {Path(one["after_header"]).name: one["after"] for one in written["diff"]} == texts(directory)
    assert json.loads(texts(directory)["report.json"]) == written["report"]


def test_what_stands_is_left_alone_and_what_differs_is_replaced(tmp_path: Path) -> None:
    told(tmp_path, healthy())
    assert not told(tmp_path, healthy(), "--check")["changed"]
    again = told(tmp_path, healthy())
    assert (again["changed"], again["files"]) == (False, [])
    (tmp_path / "report.xml").write_text("cut short")
    assert told(tmp_path, healthy())["files"] == [str(tmp_path / "report.xml")]
    before = texts(tmp_path)
    worse = told(tmp_path, faulty(), "--diff")
    assert {Path(one["before_header"]).name: one["before"] for one in worse["diff"]} == before
    assert json.loads(texts(tmp_path)["report.json"])["worst"] == "error"


@pytest.mark.parametrize("flags", [(), ("--check",)])
def test_a_directory_that_is_none_is_named(tmp_path: Path, flags: tuple[str, ...]) -> None:
    (tmp_path / "check").write_text("a file of the owner")
    answer = told(tmp_path / "check", healthy(), *flags)
    assert f"directory {tmp_path / 'check'}: found" in answer["msg"]
    assert "required: a writable directory" in answer["msg"]
    assert (tmp_path / "check").read_text() == "a file of the owner"
