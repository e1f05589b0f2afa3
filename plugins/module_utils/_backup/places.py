# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where files of a backup may be put on a host: the places that the restoring side knows, never those that an archive names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ansible_collections.vmstation.cluster.plugins.module_utils._backup.manifest import Manifest, is_plain, listed
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.mark import MARKER
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.state import ETCD_DATA, KUBELET_FILES, KUBERNETES, PKI
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.tools import CONFIGURATION
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

# kubelet.conf names a certificate that is the host's own: a restore makes it anew, and static Pods follow from the configuration
CLUSTER_FILES = (
    PKI,
    *(f"{KUBERNETES}/{name}.conf" for name in ("admin", "super-admin", "controller-manager", "scheduler")),
    *KUBELET_FILES,
    CONFIGURATION,
    MARKER,
)
# this collection's own, of which earlier releases took the whole directory
_OURS = "/etc/vmstation"


def read_path(option: str, given: str) -> str:
    """A path that an owner gives, written in full."""
    path = given.rstrip("/")
    if not is_plain(path) or f"{path}/".startswith(f"{ETCD_DATA}/"):
        raise Refusal(option, repr(path), f"a path that begins with /, outside of {ETCD_DATA}", "Write it in full.")
    return path


def read_paths(option: str, given: Sequence[str]) -> tuple[str, ...]:
    """Paths of applications that an owner gives."""
    return tuple(read_path(f"{option}[{index}]", str(path)) for index, path in enumerate(given))


def place_of(path: str, paths: Sequence[str]) -> str:
    """The outermost place that a path is in; empty if it is in none. paths: those of applications, beside the cluster's own."""
    return min((place for place in _places(paths) if f"{path}/".startswith(f"{place}/")), key=len, default="")


def judge_places(manifest: Manifest, paths: Sequence[str], subject: str) -> Iterator[Finding]:
    """Whether everything goes where the owner of this host expects it."""
    astray = [member.path for member in manifest.files() if not place_of(member.path, paths)]
    if astray:
        yield Finding(
            "every_file_of_the_backup_goes_to_a_known_place",
            "error",
            subject,
            f"files for {listed(astray)}",
            f"files for {', '.join(_places(paths))} and what is below them",
            "If they are yours, name them in `backup_paths`, as when the backup was made; if not, somebody else has made it: take another.",
        )


def _places(paths: Sequence[str]) -> list[str]:
    return [*CLUSTER_FILES, _OURS, *paths]
