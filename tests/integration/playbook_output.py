# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ansible-playbook printed, for tests that read it."""

from __future__ import annotations

import re
import subprocess


def recap(process: subprocess.CompletedProcess[str]) -> dict[str, dict[str, int]]:
    """The counts of Ansible's recap by host."""
    lines = process.stdout.partition("PLAY RECAP")[2].splitlines()[1:]
    counts = {line.split(" ")[0]: {key: int(number) for key, number in re.findall(r"(\w+)=(\d+)", line)} for line in lines if "ok=" in line}
    assert counts, process.stdout + process.stderr
    return counts


def flat(process: subprocess.CompletedProcess[str]) -> str:
    """What Ansible said, on one line, because its YAML folds long ones."""
    return " ".join(process.stdout.split())
