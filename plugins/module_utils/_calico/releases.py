# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of Calico's releases: the table that their pages of requirements hold."""

from __future__ import annotations

import re
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._calico.documents import Document, lacking

REQUIREMENTS = "https://docs.tigera.io/calico/{release}/getting-started/kubernetes/requirements"
# the Kubernetes versions that Calico tests a release with, first and last
TESTED: dict[tuple[int, int], tuple[tuple[int, int], tuple[int, int]]] = {
    (3, 28): ((1, 27), (1, 30)),
    (3, 29): ((1, 29), (1, 32)),
    (3, 30): ((1, 31), (1, 35)),
    (3, 31): ((1, 32), (1, 35)),
    (3, 32): ((1, 34), (1, 36)),
}
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


def minor_of(version: str) -> Optional[tuple[int, int]]:
    matched = _VERSION.match(version)
    return (int(matched[1]), int(matched[2])) if matched else None


def requirements_page(version: str) -> str:
    minor = minor_of(version)
    return REQUIREMENTS.format(release=f"{minor[0]}.{minor[1]}" if minor else "latest")


def version_of(node: Document) -> str:
    """The version that the tag of an image names, without its v."""
    _name, _colon, tag = str(node.get("image", "")).rpartition(":")
    if not _VERSION.match(tag):
        raise lacking(f"container {node['name']}: image", str(node.get("image")), "an image whose tag is Calico's version")
    return tag.removeprefix("v")
