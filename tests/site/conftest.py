# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole site: three hosts in a lab of their own, from bare to a cluster and back."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from tests.integration.conftest import lab
from tests.lab import Lab
from tests.site import aftermath
from tests.site.whole_site import Site

__all__ = ["lab", "site"]

# later failures are most often of the first one's making
TOLD = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def site(lab: Lab) -> Iterator[Site]:
    """The site as its owner finds it on the first day: bare hosts, all awake."""
    made = Site(lab)
    made.make_hosts()
    yield made
    made.remove_hosts()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    site = item.funcargs.get("site") if isinstance(item, pytest.Function) else None
    if report.failed and isinstance(site, Site) and TOLD not in item.session.stash:
        item.session.stash[TOLD] = True
        report.sections.append(("What stands after the failure", aftermath.tell(site)))
    return report
