# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ``cluster`` of the tests. Elsewhere: ``from tests.cluster.fixture import cluster, cluster_ranges`` in a conftest.py."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.cluster.build import missing
from tests.cluster.programs import API_SERVER
from tests.cluster.server import Cluster, Ranges, running
from tests.lab.say import LabError


@pytest.fixture(scope="session")
def cluster_ranges() -> Ranges:
    """What the session's API server is told; define a fixture of this name to tell it something else."""
    return Ranges()


@pytest.fixture(scope="session")
def cluster(cluster_ranges: Ranges) -> Iterator[Cluster]:
    """A real API server with etcd, controller manager and scheduler, without nodes. Tests make namespaces of their own in it."""
    try:
        unbuilt = missing(API_SERVER)
        reason = f"not built: {' '.join(unbuilt)}; run `python3 -m tests.cluster build`" if unbuilt else ""
    except LabError as error:
        reason = str(error)
    if reason:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"no API server: {reason}")
    with running(cluster_ranges) as made:
        yield made
