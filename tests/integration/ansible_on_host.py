# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that is its own controller: Ansible and this collection are installed on it, and an operator runs Ansible there in an SSH session."""

from __future__ import annotations

import base64
import importlib.metadata
import importlib.util
import io
import json
import shlex
import tarfile
from pathlib import Path

from tests.lab.lab import SSH_OPTIONS

CHECKOUT = Path(__file__).resolve().parents[2]
PLACE = "/opt/vmstation-controller"
# what Ansible imports on a controller to run a module; the parts written in C have a substitute in Python
PACKAGES = ("ansible", "jinja2", "markupsafe", "packaging", "yaml")

CONNECTIONS = ("ansible_collections/community/general/plugins/connection/chroot.py",)


def install(host) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        for name in PACKAGES:
            archive.add(Path(importlib.util.find_spec(name).origin).parent, name, filter=_sources)
        for distribution in map(importlib.metadata.distribution, ("jinja2",)):
            # whose version Ansible reads
            text = distribution.read_text("METADATA").encode()
            entry = tarfile.TarInfo(f"{distribution.name.lower()}-{distribution.version}.dist-info/METADATA")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
        archive.add(CHECKOUT / "plugins", "ansible_collections/vmstation/cluster/plugins", filter=_sources)
        for plugin in CONNECTIONS:
            archive.add(Path(importlib.util.find_spec("ansible").origin).parents[1] / plugin, plugin)
    host.run(["mkdir", "-p", PLACE])
    host.run(["sh", "-c", f"base64 -d | tar -C {PLACE} -xz"], stdin=base64.b64encode(packed.getvalue()).decode())


def module(lab, host, name: str, args: dict, *, inventory: str, before: str = "") -> dict:
    """The result of a module that `ansible` runs on the host itself, in an SSH session with the host.

    inventory: the line of the host. before: words before the program.
    """
    session = ["ssh", "-i", str(lab.key), *SSH_OPTIONS.split(), f"root@{host.address}"]
    program = ["python3", "-c", "from ansible.cli.adhoc import main; main()"]
    options = ["all", "-i", f"{PLACE}/inventory", "-m", f"vmstation.cluster.{name}", "-a", json.dumps(args)]
    host.write(f"{PLACE}/inventory", f"{inventory} ansible_python_interpreter=/usr/bin/python3\n")
    words = ["env", f"PYTHONPATH={PLACE}", f"ANSIBLE_COLLECTIONS_PATH={PLACE}", *program, *options]
    completed = lab.run([*session, f"{before} {shlex.join(words)}; exit $?"], check=False, timeout=180)
    try:
        text = completed.stdout
        return json.loads(text[text.index("{") : text.rindex("}") + 1])
    except ValueError:
        raise AssertionError(f"no result, status {completed.returncode}: {completed.stdout}\n{completed.stderr}") from None


def _sources(entry: tarfile.TarInfo):
    return None if "__pycache__" in entry.name else entry
