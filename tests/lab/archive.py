# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as its users get it: built, and installed from the archive without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.lab.cache import CHECKOUT, cache
from tests.lab.say import quietly
from tests.lab.venv import ensure_venv


def copy_checkout(target: Path) -> None:
    """Copy what git knows or would add; neither ansible-test nor a build may follow the link under collections/."""
    # what ansible-test keeps in tests/output makes its next run fast
    for path in target.iterdir() if target.is_dir() else ():
        for part in path.iterdir() if path.name == "tests" else [path]:
            if part.name != "output":
                shutil.rmtree(part) if part.is_dir() else part.unlink()
    listed = quietly(["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=CHECKOUT)
    for name in listed.split("\0"):
        source = CHECKOUT / name
        if name and not name.startswith("collections/") and source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)


def build_and_install(target: Path) -> Path:
    """Build the archive and install it below ``target``/ansible_collections; returns where the collection is."""
    galaxy = str(ensure_venv() / "bin" / "ansible-galaxy")
    shutil.rmtree(target, ignore_errors=True)
    copy_checkout(target / "source")
    # away from the checkout and its settings, in which the collection is there already and would not be installed
    elsewhere = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment = {**elsewhere, "ANSIBLE_HOME": str(target / "home")}
    quietly([galaxy, "collection", "build", "--output-path", str(target), str(target / "source")], env=environment, cwd=target)
    (built,) = target.glob("*.tar.gz")
    quietly([galaxy, "collection", "install", "--offline", "-p", str(target), str(built)], env=environment, cwd=target)
    return target / "ansible_collections" / "vmstation" / "cluster"


def check() -> int:
    """Build, install, and let Ansible find every module and filter in what was installed."""
    target = cache() / "archive"
    installed = build_and_install(target)
    unwanted = [name for name in ("tests", "molecule", "extensions", "Makefile", ".ci", "collections") if (installed / name).exists()]
    if unwanted:
        print(f"the archive holds what it should not: {', '.join(unwanted)}")
    names = [f"vmstation.cluster.{path.stem}" for path in sorted((installed / "plugins" / "modules").glob("*.py"))]
    documentation = [str(ensure_venv() / "bin" / "ansible-doc"), "-M", str(target), "-t", "module", "--json", *names]
    environment = {"ANSIBLE_COLLECTIONS_PATH": str(target), "PATH": "/usr/bin:/bin", "HOME": str(target), "LC_ALL": "C.UTF-8"}
    found = subprocess.run(documentation, env=environment, check=False, capture_output=True, text=True, cwd=target)
    print(f"{len(names)} modules documented in the installed archive" if found.returncode == 0 else found.stderr)
    shutil.rmtree(target)
    return 1 if unwanted or found.returncode else 0
