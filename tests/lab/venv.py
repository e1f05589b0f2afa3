# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The virtual environment with Ansible and the tools, made from the pins of requirements/development.txt."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from pathlib import Path

from tests.lab import machine
from tests.lab.cache import CHECKOUT, cache, digest, locked
from tests.lab.say import quietly, step

PINS = CHECKOUT / "requirements" / "development.txt"
WISHES = CHECKOUT / "requirements" / "development.in"


def venv() -> Path:
    """Where the virtual environment of these pins and this Python is, made or not."""
    return cache() / f"venv-{digest(PINS.read_bytes(), sys.version)}"


def ensure_venv() -> Path:
    """The virtual environment, complete; one that an interruption left half made is made anew."""
    directory = venv()
    with locked("venv"):
        if (directory / "complete").exists():
            _link(directory)
            return directory
        with step(f"virtual environment {directory}"):
            shutil.rmtree(directory, ignore_errors=True)
            quietly([sys.executable, "-m", "venv", str(directory)])
            quietly([str(directory / "bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", "uv"])
            _uv(directory, "pip", "install", "-q", "--python", str(directory / "bin/python"), "-r", str(PINS))
            _compile(directory)
            (directory / "complete").touch()
        _link(directory)
    return directory


def _compile(directory: Path) -> None:
    """Ansible starts thousands of Pythons, which keep nothing that they compile if the machine says so. Of collections, none ever does."""
    program = "import compileall, re, sys; compileall.compile_dir(sys.argv[1], quiet=2, workers=0, rx=re.compile('ansible_collections'))"
    quietly([str(directory / "bin/python"), "-c", program, str(directory / "lib")])


def make_venv(directory: Path, *requirements: str, pinned: bool) -> None:
    """Make or renew a virtual environment of the requirements; pinned: of the pins, too, but for those of the same packages."""
    # to remove one, or to make it of new, takes minutes on some disks
    quietly([sys.executable, "-m", "venv", "--without-pip", str(directory)])
    instead = directory / "instead.txt"
    instead.write_text("\n".join(requirements))
    python = str(directory / "bin" / "python")
    pins = ("-r", str(PINS), "--override", str(instead)) if pinned else ()
    _uv(ensure_venv(), "pip", "install", "-q", "--upgrade", "--python", python, *requirements, *pins)


def tool_environment(directory: Path) -> dict[str, str]:
    """The environment of a virtual environment's programs: this checkout is the collection, and others are those of the environment."""
    binaries = directory / "bin"
    packages = next((directory / "lib").glob("python3*/site-packages"))
    return {
        **os.environ,
        "PATH": f"{binaries}:{machine.path()}",
        "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": f"{CHECKOUT / 'collections'}:{packages}",
        "MOLECULE_GLOB": "molecule/*/molecule.yml",  # without it, Molecule warns that it prefers another directory
        "NO_COLOR": "1",
    }


def _link(directory: Path) -> None:
    """``.venv`` in the checkout, for editors and for people."""
    link = CHECKOUT / ".venv"
    if link.is_symlink() and link.readlink() == directory:
        return
    if link.is_symlink() or not link.exists():
        with contextlib.suppress(OSError):  # a convenience: a read-only checkout does without
            link.unlink(missing_ok=True)
            link.symlink_to(directory)


def renew_pins() -> None:
    """Write requirements/development.txt anew from development.in."""
    options = ("-q", "--upgrade", "--no-header", "--no-annotate", "--python-version", "3.12")
    _uv(ensure_venv(), "pip", "compile", *options, "-o", str(PINS), str(WISHES))


def _uv(directory: Path, *argv: str) -> None:
    # copies: the cache of uv may be on another file system than ours
    quietly([str(directory / "bin/uv"), *argv], env={**os.environ, "UV_LINK_MODE": "copy", "UV_NO_PROGRESS": "1"}, cwd=CHECKOUT)
