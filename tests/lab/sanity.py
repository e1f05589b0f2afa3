# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``ansible-test sanity`` on a copy of the checkout, with everything it keeps in the lab's cache."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from tests.lab.archive import copy_checkout
from tests.lab.cache import CHECKOUT, cache, write
from tests.lab.say import LabError, aloud, quietly, say
from tests.lab.venv import ensure_venv

# ansible-test fetches this from a host of its own; where that host cannot be reached, pip's own wheel does the same
GET_PIP = '''\
"""Installs pip from the wheel that lies next to this file."""
import glob
import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
(wheel,) = glob.glob(os.path.join(here, "pip-%(version)s-*.whl"))
arguments = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
sys.path.insert(0, wheel)
from pip._internal.cli.main import main

sys.exit(main(["install", "--upgrade", "--force-reinstall", "--no-index", "--find-links", here, *arguments]))
'''


def check(directory: Path | None = None) -> int:
    """Every sanity test of ansible-test that this machine's Python runs, without ignored findings."""
    ignored = [path.name for path in (CHECKOUT / "tests" / "sanity").glob("ignore*") if path.read_text().strip()]
    if ignored:
        raise LabError(f"tests/sanity: {', '.join(ignored)} not empty")
    binaries = (directory or ensure_venv()) / "bin"
    home = cache() / "ansible-test" / (directory.name if directory else "pinned")
    _bootstrap_pip(home, binaries)
    copy = home / "ansible_collections" / "vmstation" / "cluster"
    copy_checkout(copy)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    say(f"not run here: import and compile on other Pythons than {version} (the hosts' 3.9 is ruff's target-version)")
    environment = {**os.environ, "HOME": str(home), "PATH": f"{binaries}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
    environment.pop("PYTHONPATH", None)
    argv = [str(binaries / "ansible-test"), "sanity", "--venv", "--requirements", "--python", version, "--color", "no"]
    return aloud(argv, env=environment, cwd=copy)


def _bootstrap_pip(home: Path, binaries: Path) -> None:
    kept = home / ".ansible" / "test" / "cache"
    kept.mkdir(parents=True, exist_ok=True)
    script = "import ansible_test, pathlib; print(list(ansible_test.__path__)[0])"
    package = Path(quietly([str(binaries / "python"), "-c", script]).strip())
    found = re.search(r"pip='([0-9.]+)'", (package / "_internal" / "python_requirements.py").read_text())
    if found is None:
        return  # another ansible-test, which may not need it
    version = found.group(1)
    target = kept / f"get_pip_{version.replace('.', '_')}.py"
    if not target.exists():
        pip = [str(ensure_venv() / "bin" / "python"), "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", str(kept)]
        quietly([*pip, f"pip=={version}"])
        write(target, GET_PIP % {"version": version})
