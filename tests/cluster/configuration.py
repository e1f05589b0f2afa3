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
def configuration(name: str, *, verified: bool = False) -> str:
    """By Ansible, of the template of that name, as in ``loki.yaml``. verified: for a cluster whose kubelets are verified."""
    return manifests(f"configuration/{name}", verified=verified)


@remembered
def manifests(name: str, *, verified: bool = False) -> str:
    """Of a template with Kubernetes objects, as in ``accounts.yaml``."""
    with tempfile.TemporaryDirectory() as directory:
        arguments = {"src": str(ROLE / "templates" / f"{name}.j2"), "dest": f"{directory}/made"}
        argv = [str(ensure_venv() / "bin" / "ansible"), "localhost", "-m", "ansible.builtin.template", "-a", json.dumps(arguments)]
        variables = [word for part in ("defaults", "vars") for word in ("-e", f"@{ROLE / part / 'main.yml'}")]
        variables += ["-e", json.dumps({"_monitoring_certificates": ["kubelets", "managers"] if verified else []})]
        quietly([*argv, "-c", "local", *variables], env={"HOME": directory, "LC_ALL": "C.UTF-8"})
        return (Path(directory) / "made").read_text()
