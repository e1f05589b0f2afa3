# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands when a test of the site has failed, as the hosts are gone before anybody reads of it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import partial

from tests.lab.say import LabError
from tests.site.whole_site import Site

OF_THE_CLUSTER = (
    ("get", "nodes", "-o", "wide"),
    ("get", "pods", "--all-namespaces", "-o", "wide"),
    ("get", "endpointslices", "--all-namespaces"),
    ("get", "events", "--all-namespaces", "--sort-by=.lastTimestamp", "--field-selector=type!=Normal"),
)
OF_EACH_HOST = (
    ("ip", "route"),
    ("ip", "neighbour"),
    ("bridge", "fdb", "show", "dev", "vxlan.calico"),
    ("systemctl", "--failed", "--no-legend"),
)
LINES = 60


def tell(site: Site) -> str:
    """Never raises: a host may be off, and the API server gone."""
    told = [_answer(" ".join(words), partial(site.kubectl, *words, check=False)) for words in OF_THE_CLUSTER]
    for name, host in site.hosts.items():
        told += [_answer(f"{name}: {' '.join(argv)}", partial(host.run, argv, check=False)) for argv in OF_EACH_HOST]
    return "\n".join(told)


def _answer(question: str, ask: Callable[[], subprocess.CompletedProcess[str]]) -> str:
    try:
        process = ask()
    except (LabError, OSError, subprocess.TimeoutExpired) as error:
        return f"{question}\n    {error}"
    return "\n    ".join([question, *f"{process.stdout}{process.stderr}".splitlines()[-LINES:]])
