# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of the documentation site: every guide is in its contents, and its links lead to pages or to the repository."""

from __future__ import annotations

import re

import pytest

from tests.conftest import CHECKOUT
from tests.lab.pages import for_the_site

REPOSITORY = "https://github.com/vmstation/cluster/blob/main"


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("[a](../roles/node/README.md)", "[a](reference/node_role.rst)"),
        ("[a](../plugins/x.py)", f"[a]({REPOSITORY}/plugins/x.py)"),
        ("[a](docs/lab.md)", "[a](lab.md)"),
        ("[a](upgrade.md#by-hand)", "[a](upgrade.md#by-hand)"),
    ],
)
def test_links_lead_to_pages_or_to_the_repository(text: str, link: str) -> None:
    assert for_the_site(text) == link


def test_every_guide_is_in_the_contents() -> None:
    contents = re.findall(r"^([\w-]+)$", (CHECKOUT / "docs" / "site" / "index.md").read_text(), re.MULTILINE)
    assert {path.stem for path in (CHECKOUT / "docs").glob("*.md")} == set(contents) - {"CHANGELOG", "CONTRIBUTING"}
