# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python of the controller: ansible-core 2.20 and later need 3.12, which Debian 12 does not have."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Optional

from tests.lab.say import LabError

OLDEST = (3, 12)
NAMES = ("python3.13", "python3.12", "python3.14")  # in the order of how well they are tested
PROBE = "import ensurepip, sys; print(*sys.version_info[:2])"


def use_a_new_python() -> None:
    """Run this program again with Python 3.12 or later if it runs with an older one; raises if this machine has none."""
    if sys.version_info >= OLDEST:
        return
    found = find_python(os.environ, Path.home())
    if found is None:
        raise LabError(
            f"Python: found {sys.version.split()[0]} and none of {', '.join(NAMES)} on PATH or in ~/.pyenv/versions; required: Python 3.12 "
            "or later with venv. Install one, for example with `pyenv install 3.13`, and run the command again."
        )
    os.execv(found, [found, "-m", "tests.lab", *sys.argv[1:]])


def find_python(environment: Mapping[str, str], home: Path) -> Optional[str]:
    """The first of NAMES that runs and can make a virtual environment: on PATH, then among pyenv's versions."""
    return next((path for path in _candidates(environment, home) if _is_new_enough(path)), None)


def _candidates(environment: Mapping[str, str], home: Path) -> Iterator[str]:
    for name in NAMES:
        for directory in environment.get("PATH", os.defpath).split(os.pathsep):
            yield str(Path(directory) / name)
    versions = Path(environment.get("PYENV_ROOT") or home / ".pyenv") / "versions"
    for name in NAMES:
        yield from map(str, sorted(versions.glob(f"*/bin/{name}"), reverse=True))


def _is_new_enough(path: str) -> bool:
    """pyenv has shims for versions that are not selected, which end with an error."""
    if not os.access(path, os.X_OK):
        return False
    answer = subprocess.run([path, "-c", PROBE], capture_output=True, text=True, check=False, timeout=30)
    return answer.returncode == 0 and tuple(map(int, answer.stdout.split())) >= OLDEST
