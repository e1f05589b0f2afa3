# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of a program as the role monitoring makes it, with the role's own values."""

from __future__ import annotations

import json
import tempfile
from functools import cache as remembered
from pathlib import Path

from tests.lab.cache import CHECKOUT
from tests.lab.say import quietly
from tests.lab.venv import ensure_venv

ROLE = CHECKOUT / "roles" / "monitoring"


@remembered
def configuration(name: str) -> str:
    """By Ansible, of the template of that name, as in ``loki.yaml``."""
    with tempfile.TemporaryDirectory() as directory:
        arguments = {"src": str(ROLE / "templates" / "configuration" / f"{name}.j2"), "dest": f"{directory}/{name}"}
        argv = [str(ensure_venv() / "bin" / "ansible"), "localhost", "-m", "ansible.builtin.template", "-a", json.dumps(arguments)]
        quietly([*argv, "-c", "local", "-e", f"@{ROLE / 'defaults' / 'main.yml'}"], env={"HOME": directory, "LC_ALL": "C.UTF-8"})
        return (Path(directory) / name).read_text()
