# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images that a kubeadm of a release asks for.

Facts: ``cmd/kubeadm/app/constants`` of each release has the tags of etcd, CoreDNS and pause; ``kubeadm config images list`` prints all
seven names.
"""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.vmstation.cluster.plugins.module_utils._installation.release import minor_of, minor_text, release_of

REGISTRY = "registry.k8s.io"
COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
OTHERS = ("coredns/coredns", "pause", "etcd")
ON_CONTROL_PLANE_ONLY = tuple(f"{REGISTRY}/{name}" for name in (*COMPONENTS[:3], "etcd"))

TAGS: Mapping[str, Mapping[str, str]] = {
    "1.36": {"coredns/coredns": "v1.14.2", "pause": "3.10.2", "etcd": "3.6.8-0"},
}
"""Minor version -> tags that go with it. A later patch release may bring a newer etcd, so these are expected, not required."""


def repository(name: str) -> str:
    """An image's name without its tag."""
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def tag(name: str) -> str:
    return name.rpartition("/")[2].partition(":")[2]


def required(release: str) -> dict[str, str]:
    """Image names without their tags -> the tag that must be, or an empty text where any will do."""
    components = {f"{REGISTRY}/{name}": f"v{release.lstrip('v')}" if release_of(release) else "" for name in COMPONENTS}
    return {**components, **{f"{REGISTRY}/{name}": "" for name in OTHERS}}


def usual(release: str) -> dict[str, str]:
    """Image names without their tags -> the tag that this minor version was published with; empty if that is not known here."""
    minor = minor_of(release)
    known = TAGS.get(minor_text(minor), {}) if minor else {}
    return {f"{REGISTRY}/{name}": tag for name, tag in known.items()}


def is_for_control_plane_only(name: str) -> bool:
    return repository(name) in ON_CONTROL_PLANE_ONLY
