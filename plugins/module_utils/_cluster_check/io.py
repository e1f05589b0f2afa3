# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Access to a cluster for all of its checks at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Optional

from .._cluster.api import Object, read_yaml
from .._cluster.proxied import KubeletVisitor
from .._health.io import HealthApi
from .._services.io import NodePortVisitor
from .._timing import SystemClock
from .check import Edges

# the lists that several checks read as a whole
SHARED = ("Node", "DaemonSet", "IPPool", "ServiceCIDR")


class SharedApi(HealthApi):
    """A HealthApi that reads once what several checks read, whichever thread is the first."""

    def __init__(self, kubeconfig: Optional[str] = None, context: Optional[str] = None) -> None:
        super().__init__(kubeconfig, context)
        self._reading = {kind: threading.Lock() for kind in SHARED}
        self._lists: dict[tuple[str, str], list[Object]] = {}

    def items(
        self, api_version: str, kind: str, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> Iterator[Object]:
        if kind not in SHARED or namespace or label_selector or field_selector:
            yield from super().items(api_version, kind, namespace, label_selector, field_selector)
            return
        with self._reading[kind]:
            if (api_version, kind) not in self._lists:
                self._lists[api_version, kind] = list(super().items(api_version, kind))
        yield from self._lists[api_version, kind]


def edges_of(cluster: HealthApi) -> Edges:
    return Edges(cluster, KubeletVisitor(cluster.read), NodePortVisitor(), SystemClock(), read_yaml, lambda: datetime.now(timezone.utc))
