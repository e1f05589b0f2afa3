# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reader of Galaxy, of GitHub or of a clone meets: headings, links that lead somewhere, and dependencies named alike."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.conftest import CHECKOUT
from tests.lab.links import broken, links

ROLES = sorted((CHECKOUT / "roles").glob("*/README.md"))
# Galaxy shows these pages without the files beside them
PAGES = [CHECKOUT / "README.md", CHECKOUT / "SECURITY.md", CHECKOUT / "CODE_OF_CONDUCT.md", *ROLES]
DOCUMENTS = [*PAGES, CHECKOUT / "CONTRIBUTING.md", CHECKOUT / "examples" / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]


def name(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_of_pages_are_absolute(page: Path) -> None:
    assert [link for link in links(page) if not link.startswith(("https://", "#"))] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_lead_somewhere(document: Path) -> None:
    assert list(broken(document, CHECKOUT, CHECKOUT)) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[here](there.md)", ["nothing at there.md"]),
        ("[here](page.md#two-words)\n\n## Two words!\n", []),
        ("[here](#three)\n\n## Two\n", ["nothing at #three"]),
        ("[here][there]", ["no definition of [there]"]),
        ("[here][page.md]\n\n[page.md]: https://github.com/vmstation/cluster/blob/main/page.md\n", []),
        (
            "[here](https://github.com/vmstation/cluster/blob/main/gone.md)",
            ["nothing at https://github.com/vmstation/cluster/blob/main/gone.md"],
        ),
        ("`hosts[0](x)` and [elsewhere](https://example.org/x.md#y)", []),
    ],
)
def test_a_broken_link_is_found(tmp_path: Path, text: str, found: list[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    assert list(broken(page, tmp_path, tmp_path)) == [f"page.md: {line}" for line in found]


def test_the_readme_has_the_headings_of_a_certified_collection() -> None:
    headings = re.findall(r"^## (.+)$", (CHECKOUT / "README.md").read_text(), re.MULTILINE)
    required = ["Requirements", "Installation", "Use cases", "Testing", "Support", "Release notes", "License"]
    assert [heading for heading in headings if heading in required] == required


def test_dependencies_are_named_alike() -> None:
    galaxy = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())
    wanted = yaml.safe_load((CHECKOUT / "requirements.yml").read_text())
    assert {entry["name"]: entry["version"] for entry in wanted["collections"]} == galaxy["dependencies"]
    environment = yaml.safe_load((CHECKOUT / "meta" / "execution-environment.yml").read_text())
    assert all((CHECKOUT / file).is_file() for file in environment["dependencies"].values())
    assert galaxy["license"] == ["GPL-3.0-or-later"]
    assert (CHECKOUT / "LICENSE").read_text() == (CHECKOUT / "LICENSES" / "GPL-3.0-or-later.txt").read_text()


def test_renovate_finds_each_image_of_the_roles() -> None:
    (images, calico) = json.loads((CHECKOUT / "renovate.json").read_text())["customManagers"]
    found: list[str] = []
    for path in sorted((CHECKOUT / "roles").glob("*/defaults/main.yml")):
        text = path.read_text()
        pattern = images["matchStrings"][0].replace("(?<", "(?P<")
        matches = [f"{match['depName']}:{match['currentValue']}" for match in re.finditer(pattern, text)]
        assert matches == re.findall(r"^[^#\n]*?(\S+/\S+:v?\d[\w.]*)$", text, re.MULTILINE), path
        found += matches
    assert any("prometheus:v" in image for image in found) and any("pause:" in image for image in found)
    assert re.search(calico["matchStrings"][0].replace("(?<", "(?P<"), (CHECKOUT / "roles/calico/defaults/main.yml").read_text())
