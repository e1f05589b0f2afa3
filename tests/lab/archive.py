# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as its users get it: built, and installed from the archive without a network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from tests.lab.cache import CHECKOUT, cache
from tests.lab.links import broken
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


# what a user of the collection has a use for
CONTENTS = {
    "CHANGELOG.md", "CODE_OF_CONDUCT.md", "FILES.json", "LICENSE", "LICENSES", "MANIFEST.json", "README.md", "SECURITY.md", "bindep.txt",
    "changelogs", "docs", "meta", "playbooks", "plugins", "requirements.txt", "roles",
}  # fmt: skip


def check() -> int:
    """The collection as its users get it: built and installed without a network; every module, link and dependency is found in it."""
    target = cache() / "archive"
    installed = build_and_install(target)
    there = {path.name for path in installed.iterdir()}
    faults = [f"the archive holds {name}" for name in sorted(there - CONTENTS)]
    faults += [f"the archive lacks {name}" for name in sorted(CONTENTS - there)]
    faults += [line for document in sorted(installed.rglob("*.md")) for line in broken(document, installed, CHECKOUT)]
    faults += _of_examples(installed) + _undocumented(installed) + _dependencies_not_found(installed)
    for fault in faults:
        print(fault)
    print(f"{len(faults)} faults of the installed archive")
    shutil.rmtree(target)
    return 1 if faults else 0


def _of_examples(installed: Path) -> list[str]:
    examples = [str(path) for path in sorted((CHECKOUT / "examples").glob("*.yml"))]
    found = _run(installed, "ansible-playbook", "--syntax-check", *examples)
    return [found.stderr or found.stdout] * (found.returncode != 0)


def _undocumented(installed: Path) -> list[str]:
    names = [f"vmstation.cluster.{path.stem}" for path in sorted((installed / "plugins" / "modules").glob("*.py"))]
    found = _run(installed, "ansible-doc", "-t", "module", "--json", *names)
    documented = set(json.loads(found.stdout)) if found.returncode == 0 else set()
    return [found.stderr] * (found.returncode != 0) + [f"ansible-doc does not find {name}" for name in names if name not in documented]


def _dependencies_not_found(installed: Path) -> list[str]:
    """An execution environment gets what ansible-builder finds in the collection."""
    found = _run(installed, "ansible-builder", "introspect", str(installed.parents[2]))
    wanted = ("kubernetes>=24.2.0,!=36.0.0", "netaddr>=0.8.0", "gnupg", "openssh-client")
    return [found.stderr] * (found.returncode != 0) + [
        f"ansible-builder does not find {name}" for name in wanted if name not in found.stdout
    ]


def _run(installed: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    root = str(installed.parents[2])
    environment = {"ANSIBLE_COLLECTIONS_PATH": root, "PATH": "/usr/bin:/bin", "HOME": root, "LC_ALL": "C.UTF-8"}
    argv = [str(ensure_venv() / "bin" / program), *arguments]
    return subprocess.run(argv, env=environment, check=False, capture_output=True, text=True, cwd=root)
