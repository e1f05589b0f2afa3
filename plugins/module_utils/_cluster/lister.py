# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of the API server's objects, for who needs nothing else of it, and may run where the kubernetes library is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol


class Lister(Protocol):
    """As much of a ClusterReader as a look at whole lists takes."""

    def items(
        self, api_version: str, kind: str, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> Iterator[dict[str, Any]]:
        """The objects of this kind, fetched in pages: no more than one page is held."""
