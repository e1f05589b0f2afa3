# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A new enough Python is found where the machine's own is too old, and a shim of pyenv that cannot run is passed over."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.lab.python import find_python

SHIM = "#!/bin/sh\necho 'pyenv: python3.13: command not found' >&2\nexit 127\n"


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def this_python(path: Path) -> Path:
    return program(path, f'#!/bin/sh\nexec {sys.executable} "$@"\n')


def test_one_on_the_path_is_found(tmp_path: Path) -> None:
    python = this_python(tmp_path / "bin" / "python3.12")
    assert find_python({"PATH": str(tmp_path / "bin")}, tmp_path) == str(python)


def test_one_of_pyenvs_is_found_behind_its_shim(tmp_path: Path) -> None:
    program(tmp_path / "shims" / "python3.13", SHIM)
    python = this_python(tmp_path / ".pyenv" / "versions" / "3.13.0" / "bin" / "python3.13")
    assert find_python({"PATH": str(tmp_path / "shims")}, tmp_path) == str(python)


def test_an_old_one_under_a_new_name_is_none(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "python3.12", "#!/bin/sh\necho 3 11\n")
    assert find_python({"PATH": str(tmp_path / "bin")}, tmp_path) is None
