# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What commands and phases of the tests need before they begin: all of it made once, and found the next time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.cluster.published import make_published_source
from tests.cluster.source import make_source
from tests.lab import machine
from tests.lab.image import ensure_image
from tests.lab.venv import ensure_venv


def set_up(*, hosts: bool = True, cluster: bool = False, published: bool = False) -> None:
    """Packages, virtual environment and host image side by side.

    With ``cluster`` what the hosts install, too: Kubernetes as this machine compiles it, or, with ``published``, as it is published.
    """
    machine.install_missing(hosts=hosts, cluster=cluster and not published, published=cluster and published)
    with ThreadPoolExecutor() as pool:
        needed = [pool.submit(ensure_venv)]
        needed += [pool.submit(ensure_image, "debian12")] if hosts else []
        needed += [pool.submit(make_published_source if published else make_source)] if cluster else []
        for made in needed:
            made.result()
