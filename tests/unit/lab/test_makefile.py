# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make help` lists and `make site` runs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tests.conftest import CHECKOUT


def make(*arguments: str, path: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("make")
    assert program
    return subprocess.run(
        [program, *arguments], env={"PATH": path}, capture_output=True, text=True, check=False, timeout=60, cwd=CHECKOUT
    )  # fmt: skip


def test_help_lists_every_target() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
    listed = re.findall(r"^  make (\S+) +\S", make("help", path="/usr/bin:/bin").stdout, re.MULTILINE)
    assert sorted(listed) == sorted(phony.split())


def test_site_runs_the_ansible_playbook_of_the_path_and_nothing_else(tmp_path: Path) -> None:
    program = tmp_path / "ansible-playbook"
    program.write_text('#!/bin/sh\necho "$PWD" "$@"\nexit 3\n')
    program.chmod(0o755)
    process = make("site", "ARGS=--limit homelab -K", path=str(tmp_path))
    assert process.stdout.splitlines()[0] == f"{CHECKOUT} site.yml --limit homelab -K"
    assert "Error 3" in process.stderr


def test_site_without_ansible_says_where_it_is_described(tmp_path: Path) -> None:
    process = make("site", path=str(tmp_path))
    assert process.returncode == 2
    assert "ansible-playbook: found none on PATH; required: ansible-core 2.20 or newer. Install it as README.md" in process.stderr
    assert "\n## Requirements\n" in (CHECKOUT / "README.md").read_text()
