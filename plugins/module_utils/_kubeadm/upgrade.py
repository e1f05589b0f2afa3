# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubeadm's part of an upgrade: what of this host still has another release, and kubeadm run until nothing has.

Facts: `kubeadm upgrade apply` and `kubeadm upgrade node` may be run again at any time
(https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-upgrade/). The former changes one static Pod after the other, then
kubeadm's ConfigMap, then kube-proxy; it renews the certificates of what it changes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._installation.release import release_of
from ansible_collections.vmstation.cluster.plugins.module_utils._io.host_state import HostFiles
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.control_plane import Stuck, wait_until_ready
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.diagnosis import diagnose
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.host import NodeHost
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.mark import Role
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.pieces import damaged
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.state import COMPONENTS, MANIFESTS, read_node_files
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.tools import Api, Kubeadm, errors_of
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

LOG = "/var/log/vmstation-kubeadm-upgrade.log"
# DNS is the role dns', and so are its Corefile and its plugins
SKIPPED = "addon/coredns"
ACCEPTED = ("CoreDNSMigration", "CoreDNSUnsupportedPlugins")
_SYSTEM = "/api/v1/namespaces/kube-system/configmaps"
_PROXY = "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy"
_CONFIGURED = re.compile(r"^kubernetesVersion:\s*(\S+)\s*$", re.MULTILINE)
_KUBELET = re.compile(r"v\d+\.\d+\.\d+\S*")


@dataclass(frozen=True)
class Request:
    """What a task asks for. release: as in v1.36.4. timeout: seconds for kubeadm, and before it until the API server is ready."""

    role: Role
    cluster: str
    release: str
    address: str = ""
    ignore: tuple[str, ...] = ()
    timeout: float = 900.0
    check: bool = False


@dataclass
class Outcome:
    """before, after: the release of each part of this host that kubeadm upgrades; after is empty in check mode."""

    changed: bool = False
    before: Mapping[str, str] = field(default_factory=dict)
    after: Mapping[str, str] = field(default_factory=dict)

    def as_result(self) -> dict[str, Any]:
        return {
            "changed": self.changed,
            "before": dict(self.before),
            "after": dict(self.after),
            "diff": {"before": _lines(self.before), "after": _lines(self.after or self.before)},
        }


def read_request(options: Mapping[str, Any], *, check: bool) -> Request:
    """The module's options."""
    if release_of(options["release"]) is None:
        raise Refusal("release", repr(options["release"]), "a whole release such as 1.36.4", "Set node_kubernetes_release to one.")
    if options["role"] == "control_plane" and not options["address"]:
        raise Refusal("address", "nothing", "the address of this host's API server", "Pass the host's address.")
    return Request(
        options["role"],
        options["cluster_name"],
        f"v{options['release'].lstrip('v')}",
        options["address"],
        tuple(options["ignore_preflight_errors"]),
        float(options["timeout"]),
        check,
    )


def ensure(request: Request, host: NodeHost) -> Outcome:
    """Let kubeadm upgrade what of this host has another release. Raises Refusal; what it has done stays, and the next run goes on."""
    if request.check:
        return _ensure(request, host)
    # a kubeadm whose run was killed is waited for
    with host.lock(request.timeout):
        return _ensure(request, host)


def _ensure(request: Request, host: NodeHost) -> Outcome:
    _refuse_others(request, host)
    before = _releases(request, host)
    pending = {part: release for part, release in before.items() if release != request.release}
    if not pending or request.check:
        return Outcome(bool(pending), before, {} if pending else before)
    Kubeadm(host.commands).refuse_other_release(request.release, kubelet=False)
    host.detached(lambda: _upgrade(request, host))
    if request.role == "worker":
        return Outcome(True, before, before)
    after = _releases(request, host)
    left = [f"{part} {release}" for part, release in after.items() if release != request.release]
    if left:
        raise Refusal("the control plane", f"still {', '.join(left)}", request.release, f"See {LOG} on the host, then run again.")
    return Outcome(True, before, after)


def _refuse_others(request: Request, host: NodeHost) -> None:
    situation = read_node_files(host.files).situation(request.cluster, request.role)
    if situation != "complete":
        what = request.role.replace("_", " ")
        raise Refusal(
            "this host", f"no {what} of {request.cluster} that stands ({situation})", f"a {what} of {request.cluster}",
            "Run site.yml with the release that the cluster has now, and upgrade it then.",
        )  # fmt: skip


def _releases(request: Request, host: NodeHost) -> dict[str, str]:
    """What kubeadm upgrades here, and its release now. A worker's is told by its kubelet, which is replaced after kubeadm."""
    if request.role == "worker":
        found = _KUBELET.search(host.commands.run(["kubelet", "--version"], timeout=30.0).stdout)
        return {"kubelet": found[0] if found else ""}
    if not request.check:
        _make_lost_manifests(host)
    parts = {name: _image_tag(host.files, name) for name in COMPONENTS if name != "etcd"}
    api = Api(host.commands, request.address, host.sleep)
    wait_until_ready(api, host, 0.0 if request.check else request.timeout)
    stored = ((api.get(f"{_SYSTEM}/kubeadm-config") or {}).get("data") or {}).get("ClusterConfiguration", "")
    configured = _CONFIGURED.search(stored)
    parts["kubeadm-config"] = configured[1] if configured else ""
    proxy = api.get(_PROXY)
    if proxy is not None:
        parts["kube-proxy"] = str(proxy["spec"]["template"]["spec"]["containers"][0]["image"]).rpartition(":")[2]
    return parts


def _make_lost_manifests(host: NodeHost) -> None:
    """An upgrade that lost its power between two moves has taken a manifest away and not put the next one there."""
    for piece in damaged(host.files):
        if piece.paths[0].startswith(MANIFESTS):
            Kubeadm(host.commands).phase(*piece.phase)


def _image_tag(files: HostFiles, component: str) -> str:
    found = re.search(rf"^\s*image:\s*\S*{component}:(\S+)\s*$", files.read(f"{MANIFESTS}/{component}.yaml") or "", re.MULTILINE)
    return found[1] if found else ""


def _upgrade(request: Request, host: NodeHost) -> None:
    words = ["node"]
    if request.role == "control_plane":
        words = ["apply", request.release, "--yes", "--certificate-renewal=true", f"--skip-phases={SKIPPED}"]
    ignored = ",".join([*request.ignore, *(ACCEPTED if request.role == "control_plane" else ())])
    words += [f"--ignore-preflight-errors={ignored}"] if ignored else []
    answer = host.commands.run(["kubeadm", "upgrade", *words], timeout=request.timeout, check=False)
    host.write({LOG: answer.stdout + answer.stderr}, new_mode=0o600)
    if answer.status:
        raise Refusal(
            f"kubeadm upgrade {words[0]}",
            "; ".join(errors_of(answer)) or f"exit status {answer.status}",
            "to come to its end",
            f"Correct what it names, then run again: what it has done is taken up. {LOG} on the host has all that it said.",
        )


def told(refusal: Refusal, host: NodeHost) -> Refusal:
    """The refusal of a kubeadm that was run, with what the host says about it."""
    if not refusal.subject.startswith("kubeadm upgrade"):
        return refusal
    return Stuck(refusal, {"kubeadm_output": (host.files.read(LOG) or "").splitlines(), "diagnosis": diagnose(host.commands, host.files)})


def _lines(releases: Mapping[str, Optional[str]]) -> str:
    return "".join(f"{part} {release}\n" for part, release in releases.items())
