# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubeadm's part of an upgrade: find what on this host has another release, and run kubeadm until nothing has.

`kubeadm upgrade apply` and `kubeadm upgrade node` may be run again at any time
(https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-upgrade/). The former changes one static Pod after the other, then
kubeadm's ConfigMap, then kube-proxy; it renews the certificates of what it changes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from .._host.files import HostFiles
from .._host.mark import Role
from .._refusal import Refusal
from .._versions import configured_version, image_tag, release_of
from .control_plane import Stuck, diagnose, wait_until_ready
from .host import NodeHost
from .state import COMPONENTS, MANIFESTS, Api, Kubeadm, damaged, errors_of, read_node_files

LOG = "/var/log/vmstation-kubeadm-upgrade.log"
# the role dns manages DNS, its Corefile and its plugins
SKIPPED = "addon/coredns"
ACCEPTED = ("CoreDNSMigration", "CoreDNSUnsupportedPlugins")
_SYSTEM = "/api/v1/namespaces/kube-system/configmaps"
_PROXY = "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy"
_KUBELET = re.compile(r"v\d+\.\d+\.\d+\S*")


@dataclass(frozen=True)
class Request:
    """What a task asks for. release: like v1.36.4. timeout: seconds for kubeadm, and before it until the API server is ready."""

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
    """Validate the module's options."""
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
    """Run kubeadm upgrade if a part has another release. Raises Refusal; the next run continues."""
    if request.check:
        return _ensure(request, host)
    # wait for a kubeadm whose run was killed
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
            "this host", f"no working {what} of {request.cluster} ({situation})", f"a {what} of {request.cluster}",
            "Run site.yml with the release that the cluster has now, then upgrade it.",
        )  # fmt: skip


def _releases(request: Request, host: NodeHost) -> dict[str, str]:
    """Return the releases of what kubeadm upgrades here. A worker's is that of its kubelet, replaced after kubeadm."""
    if request.role == "worker":
        found = _KUBELET.search(host.commands.run(["kubelet", "--version"], timeout=30.0).stdout)
        return {"kubelet": found[0] if found else ""}
    if not request.check:
        _make_lost_manifests(host)
    parts = {name: _image_tag(host.files, name) for name in COMPONENTS if name != "etcd"}
    api = Api(host.commands, request.address, host.sleep)
    wait_until_ready(api, host, 0.0 if request.check else request.timeout)
    stored = ((api.get(f"{_SYSTEM}/kubeadm-config") or {}).get("data") or {}).get("ClusterConfiguration", "")
    parts["kubeadm-config"] = configured_version(stored) or ""
    proxy = api.get(_PROXY)
    if proxy is not None:
        parts["kube-proxy"] = image_tag(str(proxy["spec"]["template"]["spec"]["containers"][0]["image"]))
    return parts


def _make_lost_manifests(host: NodeHost) -> None:
    """Recreate manifests: after a power loss during an upgrade, one may be moved away and not replaced yet."""
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
            "to finish without errors",
            f"Correct what it names, then run again: the next run continues from there. {LOG} on the host has its whole output.",
        )


def with_diagnosis(refusal: Refusal, host: NodeHost) -> Refusal:
    """Add a diagnosis of the host to the error of a kubeadm run."""
    if not refusal.subject.startswith("kubeadm upgrade"):
        return refusal
    return Stuck(refusal, {"kubeadm_output": (host.files.read(LOG) or "").splitlines(), "diagnosis": diagnose(host.commands, host.files)})


def _lines(releases: Mapping[str, Optional[str]]) -> str:
    return "".join(f"{part} {release}\n" for part, release in releases.items())
