# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation site: the guides of docs/ beside the reference that antsibull-docs makes of modules, filters and roles."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.lab.cache import CHECKOUT, cache
from tests.lab.links import ADDRESS
from tests.lab.say import aloud, say
from tests.lab.venv import tool_environment

COLLECTION = "vmstation.cluster"
CONTENTS = re.compile(r"^\.\. contents::\n(?:   :.*\n)*", re.MULTILINE)
REQUIREMENTS = ("antsibull-docs", "ansible>=14,<15", "furo", "kubernetes", "myst-parser")


def lint(directory: Path) -> int:
    """What antsibull-docs has to say of the documentation, and of its references to other plugins."""
    argv = ["antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs", "dependent", "."]
    return aloud(argv, env=tool_environment(directory), cwd=CHECKOUT)


def build(directory: Path) -> int:
    """Build the site with the programs of a virtual environment; a link that leads nowhere is an error."""
    source, site = cache() / "pages", cache() / "site"
    for path in (source, site):
        shutil.rmtree(path, ignore_errors=True)
    (source / "reference").mkdir(parents=True)
    _copy(source)
    antsibull = ["antsibull-docs", "collection", "--use-current", "--squash-hierarchy", "--fail-on-error"]
    sphinx = ["sphinx-build", "--quiet", "--fail-on-warning", "--keep-going", "--builder", "html", str(source), str(site)]
    status = aloud([*antsibull, "--dest-dir", str(source / "reference"), COLLECTION], env=tool_environment(directory), cwd=CHECKOUT)
    for path in (source / "reference").glob("*.rst"):
        path.write_text(CONTENTS.sub("", path.read_text()))  # the theme has its own
    status = status or aloud(sphinx, env=tool_environment(directory), cwd=CHECKOUT)
    if status == 0:
        say(f"the site is {site / 'index.html'}")
    return status


def _copy(source: Path) -> None:
    for path in (CHECKOUT / "docs" / "site").iterdir():
        shutil.copy(path, source)
    shutil.copy(CHECKOUT / "docs" / "check-report.schema.json", source)
    shutil.copytree(CHECKOUT / "docs" / "images", source / "images")
    for path in [*(CHECKOUT / "docs").glob("*.md"), CHECKOUT / "CHANGELOG.md", CHECKOUT / "CONTRIBUTING.md"]:
        (source / path.name).write_text(for_the_site(path.read_text()))


def for_the_site(text: str) -> str:
    """A guide whose links lead to other pages of the site, or to the repository."""
    text = re.sub(r"\]\(\.\./roles/([a-z_]+)/README\.md\)", r"](reference/\1_role.rst)", text)
    return text.replace("](docs/", "](").replace("](../", f"]({ADDRESS}/blob/main/")
