# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that is its own controller: Ansible and this collection are installed on it."""

from __future__ import annotations

import base64
import importlib.metadata
import importlib.util
import io
import json
import shlex
import subprocess
import tarfile
from pathlib import Path

import ansible

from tests.lab.lab import SSH_OPTIONS

CHECKOUT = Path(__file__).resolve().parents[2]
# the oldest release of Debian whose Python Ansible runs with
IMAGE = "debian13"
PLACE = "/opt/vmstation-controller"
COLLECTION = "ansible_collections/vmstation/cluster"
# what Ansible and the filters import on a controller; the parts written in C have a substitute in Python
PACKAGES = ("ansible", "jinja2", "markupsafe", "netaddr", "packaging", "yaml")
CHROOT = "ansible_collections/community/general/plugins/connection/chroot.py"


def install(host) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        for name in PACKAGES:
            archive.add(Path(importlib.util.find_spec(name).origin).parent, name, filter=_sources)
        for part in ("plugins", "roles", "playbooks", "inventory", "meta"):
            archive.add(CHECKOUT / part, f"{COLLECTION}/{part}", filter=_sources)
        archive.add(Path(ansible.__file__).parents[1] / CHROOT, CHROOT)
        # Ansible reads the version of this one
        jinja2 = importlib.metadata.distribution("jinja2")
        text = jinja2.read_text("METADATA").encode()
        entry = tarfile.TarInfo(f"jinja2-{jinja2.version}.dist-info/METADATA")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    host.run(["mkdir", "-p", PLACE])
    host.run(["sh", "-c", f"base64 -d | tar -C {PLACE} -xz"], stdin=base64.b64encode(packed.getvalue()).decode())


def program(name: str, *arguments: str) -> list[str]:
    """The words that run `ansible` or `ansible-playbook` on the host."""
    part = "adhoc" if name == "ansible" else name.removeprefix("ansible-")
    environment = [f"PYTHONPATH={PLACE}", f"ANSIBLE_COLLECTIONS_PATH={PLACE}", "ANSIBLE_PYTHON_INTERPRETER=/usr/bin/python3"]
    return ["env", *environment, "python3", "-c", f"from ansible.cli.{part} import main; main()", *arguments]


def session(lab, host, command: str) -> subprocess.CompletedProcess[str]:
    """A command of the host's shell in an SSH session, as root."""
    words = ["ssh", "-i", str(lab.key), *SSH_OPTIONS.split(), f"root@{host.address}"]
    # the shell stays, so that it is an ancestor of what it runs
    return lab.run([*words, f"{command}; exit $?"], check=False, timeout=180)


def module(lab, host, name: str, args: dict, *, inventory: str, before: str = "") -> dict:
    """The result of a module that `ansible` runs in a session. inventory: the line of the host. before: words before the program."""
    host.write(f"{PLACE}/hosts", f"{inventory}\n")
    words = program("ansible", "all", "-i", f"{PLACE}/hosts", "-m", f"vmstation.cluster.{name}", "-a", json.dumps(args))
    completed = session(lab, host, f"{before} {shlex.join(words)}")
    try:
        text = completed.stdout
        return json.loads(text[text.index("{") : text.rindex("}") + 1])
    except ValueError:
        raise AssertionError(f"no result, status {completed.returncode}: {completed.stdout}\n{completed.stderr}") from None


def _sources(entry: tarfile.TarInfo):
    return None if "__pycache__" in entry.name else entry
