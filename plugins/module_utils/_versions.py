# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions: a release of Kubernetes is ``1.36.4``, its minor version ``1.36``. Packages, tags and outputs begin with or contain one."""

from __future__ import annotations

import re
from typing import Optional

RELEASE = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:[-+].*)?", re.ASCII)
MINOR = re.compile(r"v?(\d+)\.(\d+)", re.ASCII)
# kubeadm writes its ClusterConfiguration with a key on each line
_CONFIGURED = re.compile(r"^kubernetesVersion:\s*(\S+)\s*$", re.MULTILINE)

# minor versions that a kubelet may be behind the API server: https://kubernetes.io/releases/version-skew-policy/
OLDEST_KUBELET = 3


# an image: its name, its tag, and the digest that may follow both
_IMAGE = re.compile(r"(?P<name>(?:.*/)?[^/:@]+)(?::(?P<tag>[^/:@]+))?(?:@.*)?", re.DOTALL)


def image_name(image: str) -> str:
    """Return an image's name without its tag and digest."""
    found = _IMAGE.fullmatch(image)
    return found["name"] if found else image


def image_tag(image: str) -> str:
    """Return ``v1.36.4`` of ``registry.k8s.io/kube-proxy:v1.36.4@sha256:...``; empty without a tag."""
    found = _IMAGE.fullmatch(image)
    return found["tag"] or "" if found else ""


def release_of(text: str) -> Optional[tuple[int, int, int]]:
    """The numbers of ``1.36.4`` or ``v1.36.4-rc.1``; None if the text is no release."""
    found = RELEASE.fullmatch(text.strip())
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def minor_of(text: str) -> Optional[tuple[int, int]]:
    """The first two numbers of ``1.36`` or of a release; None if the text is neither."""
    found = MINOR.fullmatch(text.strip()) or RELEASE.fullmatch(text.strip())
    return (int(found[1]), int(found[2])) if found else None


def minor_at_start(text: str) -> Optional[tuple[int, int]]:
    """The first two numbers of what begins with a version, like ``1.7.24~ds1`` of a package; None if it does not."""
    found = MINOR.match(text)
    return (int(found[1]), int(found[2])) if found else None


def minor_in(text: str) -> Optional[tuple[int, int]]:
    """The first two numbers of the first version in a text, like ``Kubernetes v1.36.4``; None if there is none."""
    found = MINOR.search(text)
    return (int(found[1]), int(found[2])) if found else None


def configured_version(cluster_configuration: str) -> Optional[str]:
    """kubernetesVersion of the ClusterConfiguration that kubeadm stores in the ConfigMap kubeadm-config."""
    found = _CONFIGURED.search(cluster_configuration)
    return found[1] if found else None


def minor_text(minor: tuple[int, int]) -> str:
    return f"{minor[0]}.{minor[1]}"
