# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an installation source is, and what roles are told of one that is sound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PROGRAMS = ("kubeadm", "kubelet", "kubectl")
ARCHITECTURES: Mapping[str, int] = {"amd64": 62, "arm64": 183}
"""Architecture, in Kubernetes' word -> the machine number in the head of its programs (``e_machine`` of ELF)."""


@dataclass(frozen=True)
class Expected:
    """What the source is judged against. Empty: not said, so not judged.

    version: the plan's minor version, ``1.36``. release: the pinned one, ``1.36.4``. pause_image: the name that containerd is configured
    with.
    """

    version: str
    release: str = ""
    pause_image: str = ""


@dataclass(frozen=True)
class Description:
    """What ``source.json`` says. images: file name of an archive -> names of the images in it."""

    kubernetes: str = ""
    architecture: str = ""
    calico: str = ""
    images: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class ArchivedImage:
    """An image as an archive holds it. digest: of its configuration, which is what CRI calls the image's id."""

    name: str
    digest: str
    architecture: str


@dataclass(frozen=True)
class Installation:
    """What roles need of a source, so that nothing has to be parsed after the check. As a dictionary it is the module's result."""

    kind: str
    kubernetes: str
    values: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "kubernetes": self.kubernetes, **self.values}
