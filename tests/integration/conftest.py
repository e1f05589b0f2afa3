# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ``lab`` of the integration tests: real hosts, one lab per pytest worker, removed at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.cluster.build import missing
from tests.integration import firewall_behaviour as behaviour
from tests.lab import Lab
from tests.lab.hosts import Host
from tests.lab.lab import remove_abandoned_labs
from tests.lab.machine import why_no_lab
from tests.lab.say import LabError

# What takes longest as a whole, to be begun first: pytest-xdist gives a file to one worker, and the last file decides when all is done.
LONGEST_FILES = ("test_node_role.py", "test_installation_rpm.py", "test_installation_packages.py", "test_worker_role.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONGEST_FILES)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A lab that is up and has no hosts yet. Tests create theirs, at addresses of their own, and may remove them."""
    reason = why_no_lab()
    if reason:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"no lab on this machine: {reason}")
    remove_abandoned_labs()
    # named after this process, a pytest worker: several may run side by side
    made = Lab(f"test-{os.getpid()}")
    try:
        made.prepare()
        yield made
    finally:
        made.down()


@pytest.fixture(scope="session")
def programs() -> None:
    """What a Kubernetes host runs is compiled."""
    try:
        reason = f"not built: {' '.join(unbuilt)}" if (unbuilt := missing(["kubelet", "kubeadm"])) else ""
    except LabError as error:
        reason = str(error)
    if reason:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{reason}; run `python3 -m tests.cluster images`")


@pytest.fixture
def friend(lab: Lab) -> Host:
    """A neighbour that firewalls are told to let in."""
    return behaviour.neighbour(lab, "friend")


@pytest.fixture
def stranger(lab: Lab) -> Host:
    """A neighbour that no firewall is told of."""
    return behaviour.neighbour(lab, "stranger")
