# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each module, filter and role is announced by the release that its documentation names."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from tests.conftest import CHECKOUT

RELEASES = yaml.safe_load((CHECKOUT / "changelogs" / "changelog.yaml").read_text())["releases"]
COMING = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())["version"]


def version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def versions_added() -> Iterator[tuple[str, str]]:
    """What there is, with the version since which it is there."""
    for kind, directory in (("module", "modules"), ("filter", "filter")):
        for path in sorted((CHECKOUT / "plugins" / directory).glob("[a-z]*.py")):
            (added,) = re.findall(r"^version_added: [\"']?([0-9.]+)", path.read_text(), re.MULTILINE)
            yield f"{kind} {path.stem}", added
    for path in sorted((CHECKOUT / "roles").glob("*/meta/argument_specs.yml")):
        entry = yaml.safe_load(path.read_text())["argument_specs"]["main"]
        yield f"role {path.parts[-3]}", entry["version_added"]


def announced(release: str) -> set[str]:
    entry = RELEASES[release]
    kinds = {"module": entry.get("modules", []), "filter": entry["plugins"]["filter"], "role": entry["objects"]["role"]}
    return {f"{kind} {plugin['name']}" for kind, plugins in kinds.items() for plugin in plugins}


def test_a_release_announces_all_that_it_brought() -> None:
    added = list(versions_added())
    assert len(added) > 70
    for release in RELEASES:
        if any(named == release for _name, named in added):
            assert {name for name, named in added if named == release} == announced(release), (
                f"what is new since {release} has version_added {COMING}"
            )


def test_what_no_release_has_is_of_the_coming_one() -> None:
    assert {named for _name, named in versions_added()} <= {*RELEASES, COMING}
    assert version(COMING) >= max(map(version, RELEASES))
