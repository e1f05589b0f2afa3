# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubeadm init, from nothing or from where it was killed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._io.host_state import HostFiles
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.configuration import as_text, document_of
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.host import NodeHost
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.mark import MARKER, Mark
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.pieces import half_written
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.state import (
    CA,
    COMPONENTS,
    ETCD_DATA,
    MANIFESTS,
    PKI,
    NodeFiles,
    digest,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.tools import CONFIGURATION, Kubeadm, errors_of
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.leftovers import watched_ports
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.model import HostState
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

LOG = "/var/log/vmstation-kubeadm-init.log"
POLL = 1.0


@dataclass(frozen=True)
class Wanted:
    """A control plane as its documents describe it."""

    documents: tuple[Mapping[str, Any], ...]

    @property
    def text(self) -> str:
        return as_text(self.documents)

    @property
    def init(self) -> dict[str, Any]:
        return document_of(self.documents, "InitConfiguration")

    @property
    def cluster(self) -> dict[str, Any]:
        return document_of(self.documents, "ClusterConfiguration")

    @property
    def name(self) -> str:
        return str(self.init["nodeRegistration"]["name"])

    @property
    def address(self) -> str:
        return str(self.init["localAPIEndpoint"]["advertiseAddress"])

    @property
    def cluster_name(self) -> str:
        return str(self.cluster["clusterName"])

    @property
    def release(self) -> str:
        return str(self.cluster["kubernetesVersion"])

    @property
    def identity(self) -> dict[str, str]:
        """What stands in certificates, in etcd or in addresses once init has begun."""
        networking = {key: str(value) for key, value in self.cluster["networking"].items()}
        return {"name": self.name, "address": self.address, "endpoint": str(self.cluster["controlPlaneEndpoint"]), **networking}


def initialise(wanted: Wanted, host: NodeHost, timeout: float) -> None:
    """Run kubeadm init to its end, whatever an earlier run of ours left. Raises Refusal; what it has made stays for the next run."""
    until = host.now() + timeout
    files = host.files
    mark = Mark(wanted.cluster_name, "control_plane", wanted.name, installed=False, identity=wanted.identity)
    _wait_for_another_kubeadm(host, until)
    is_new_text = files.read(CONFIGURATION) not in (None, wanted.text)
    host.write({MARKER: mark.as_text()})
    host.write({CONFIGURATION: wanted.text}, new_mode=0o600)
    host.write(dict.fromkeys(sorted({*half_written(files), *(_server_certificate(files) if is_new_text else ())})))
    answer = Kubeadm(host.commands).init(ignorable(wanted.init["nodeRegistration"], host.look()), max(1.0, until - host.now()))
    host.write({LOG: answer.stdout + answer.stderr}, new_mode=0o600)
    if answer.status:
        raise Refusal(
            "kubeadm init",
            "; ".join(errors_of(answer)) or f"exit status {answer.status}",
            "to come to its end",
            "Correct what it names, then run again: what it has made so far is taken up again.",
        )
    host.write({MARKER: replace(mark, installed=True, ca=digest(files.read(CA))).as_text()})


def ignorable(registration: Mapping[str, Any], state: HostState) -> list[str]:
    """The preflight errors that our own earlier attempt causes, and no others: its files, and its own processes' ports."""
    if "all" in [str(one).lower() for one in registration.get("ignorePreflightErrors", [])]:
        return []
    owners = watched_ports("control_plane")
    names = [f"FileAvailable-{MANIFESTS.replace('/', '-')}-{name}.yaml" for name in COMPONENTS if f"{name}.yaml" in state.manifests]
    names += [f"DirAvailable-{ETCD_DATA.replace('/', '-')}"] if state.etcd_entries else []
    names += [f"Port-{listener.port}" for listener in state.listeners if listener.process in owners.get(listener.port, ())]
    return names


def changed_identity(standing: NodeFiles, wanted: Wanted) -> list[str]:
    """What a control plane was begun with and the plan says otherwise now."""
    begun = dict(standing.mark.identity) if standing.mark else {}
    return [f"{key} {begun[key]}, now {value}" for key, value in wanted.identity.items() if begun.get(key, value) != value]


def refuse_another_identity(standing: NodeFiles, wanted: Wanted, etcd_entries: Collection[str]) -> bool:
    """For an interrupted attempt that the plan has moved on from: refuse it if etcd holds its data, else say that it can begin anew."""
    changed = changed_identity(standing, wanted)
    if changed and "member" in etcd_entries:
        raise Refusal(
            "the control plane that an interrupted run began",
            "; ".join(changed),
            "the plan that it was begun with",
            "Put the plan back and run again, or run `kubeadm reset` on the host and begin anew: nothing has used this cluster yet.",
        )
    return bool(changed)


def begin_anew(standing: NodeFiles, host: NodeHost) -> None:
    """Take away what an interrupted attempt made under another plan, before etcd held anything."""
    host.write({path: None for path in standing.evidence if not path.startswith(ETCD_DATA)})


def foreign(standing: NodeFiles) -> Refusal:
    """Names everything that is not ours."""
    mark = standing.mark
    whose = "left by a cluster that this collection did not make"
    if mark is not None:
        whose = f"of the cluster {mark.cluster} ({mark.role.replace('_', ' ')} {mark.name})"
    return Refusal(
        "files of another cluster",
        f"{', '.join(standing.evidence) or CA}, {whose}",
        "none, or those of this cluster",
        "If that cluster is no longer needed, save what you want of it and run `kubeadm reset` on this host; then run again.",
    )


def _server_certificate(files: HostFiles) -> Sequence[str]:
    """The certificate that names the API server: kubeadm refuses it if a name was added since."""
    return [path for path in (f"{PKI}/apiserver.crt", f"{PKI}/apiserver.key") if files.exists(path)]


def _wait_for_another_kubeadm(host: NodeHost, until: float) -> None:
    while "kubeadm" in host.look().processes:
        if host.now() >= until:
            raise Refusal(
                "process kubeadm", "still running", "to end first", "Wait for it, or end it, then run again: what it has made is taken up."
            )
        host.sleep(POLL)
