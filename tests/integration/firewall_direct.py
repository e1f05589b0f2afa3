# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module run on a host directly, without a playbook's second: its code is put there once, its options go through standard input."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from pathlib import Path

import ansible.module_utils

CHECKOUT = Path(__file__).resolve().parents[2]
PLACE = "/opt/vmstation-direct"
PATIENCE = 300  # seconds; firewalld is slow on a busy machine
COLLECTION = "ansible_collections/vmstation/cluster/plugins"
# Ansible's wrapper does the same: the options as a global of basic.py, then the module as __main__
DRIVER = """
import json, runpy, sys
from ansible.module_utils import basic
basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": json.load(sys.stdin)}).encode()
basic._ANSIBLE_PROFILE = "legacy"
runpy.run_module("ansible_collections.vmstation.cluster.plugins.modules.firewall_ports", run_name="__main__")
"""


def install(host) -> None:
    """Put the module, what it imports, and the driver on a host."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for part in ("modules/firewall_ports.py", "module_utils"):
            archive.add(CHECKOUT / "plugins" / part, f"{COLLECTION}/{part}", filter=_sources)
        archive.add(Path(ansible.module_utils.__file__).parent, "ansible/module_utils", filter=_sources)
        for path, text in (("ansible/__init__.py", ""), ("drive.py", DRIVER)):
            entry = tarfile.TarInfo(path)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    host.run(["mkdir", "-p", PLACE])
    host.run(["sh", "-c", f"base64 -d | tar -C {PLACE} -xz"], stdin=base64.b64encode(packed.getvalue()).decode())


def command() -> list[str]:
    return ["env", f"PYTHONPATH={PLACE}", "python3", f"{PLACE}/drive.py"]


def run(host, options: dict, *, check: bool = False, diff: bool = False) -> dict:
    """The module's result, failed or not."""
    arguments = {**options, "_ansible_check_mode": check, "_ansible_diff": diff}
    completed = host.run(command(), stdin=json.dumps(arguments), check=False, timeout=PATIENCE)
    try:
        return json.loads(completed.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise AssertionError(f"no result, status {completed.returncode}: {completed.stdout}\n{completed.stderr}") from None


def _sources(entry: tarfile.TarInfo):
    return None if "__pycache__" in entry.name else entry
