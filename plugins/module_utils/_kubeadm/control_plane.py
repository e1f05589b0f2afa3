# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what was asked of a control plane to what stands: look, judge, make or repair, look again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding, as_dicts
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm import certificates, service_ranges
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.configuration import document_of
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.diagnosis import diagnose
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.drift import drift
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.host import NodeHost
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.init import (
    LOG,
    Wanted,
    begin_anew,
    foreign,
    initialise,
    refuse_another_identity,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.repair import Repair
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.state import ETCD_DATA, RESTORING, Situation, read_node_files
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.tools import CONFIGURATION, Api, Kubeadm
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

POLL = 1.0
RANGE_WAIT = 60.0
_SYSTEM = "/api/v1/namespaces/kube-system/configmaps"


@dataclass(frozen=True)
class Request:
    """What a task asks for. timeout: seconds for init, and again until the API server is ready."""

    wanted: Wanted
    service_cidrs: tuple[str, ...] = ()
    timeout: float = 600.0
    certificate_days: int = 30
    check: bool = False


@dataclass
class Outcome:
    """What a task reports."""

    situation: Situation
    changed: bool = False
    repaired: list[str] = field(default_factory=list)
    service_cidrs: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    certificates: list[dict[str, Any]] = field(default_factory=list)
    before: str = ""
    after: str = ""

    def as_result(self) -> dict[str, Any]:
        return {
            "changed": self.changed,
            "situation": self.situation,
            "repaired": self.repaired,
            "service_cidrs_created": self.service_cidrs,
            "findings": as_dicts(self.findings),
            "certificates": self.certificates,
            "diff": {"before": self.before, "after": self.after, "before_header": CONFIGURATION, "after_header": CONFIGURATION},
        }


class Stuck(Refusal):
    """A refusal with what the host says about it. details: return values beside the message."""

    def __init__(self, refusal: Refusal, details: Mapping[str, list[str]]) -> None:
        super().__init__(refusal.subject, refusal.found, refusal.required, refusal.next_step)
        self.details = dict(details)

    def __str__(self) -> str:
        said = "\n".join(f"- {line}" for line in self.details.get("diagnosis", []))
        return super().__str__() + (f"\nThe host says:\n{said}" if said else "")


def read_request(options: Mapping[str, Any], *, check: bool) -> Request:
    """The module's options. Raises Refusal for documents that are none of a control plane."""
    wanted = Wanted(tuple(options["configuration"]))
    for kind, keys in (("InitConfiguration", ("nodeRegistration", "localAPIEndpoint")), ("ClusterConfiguration", _CLUSTER_KEYS)):
        for key in keys:
            if key not in document_of(wanted.documents, kind):
                raise Refusal(
                    f"configuration, {kind}.{key}",
                    "nothing",
                    "a value",
                    "Make it with the filter vmstation.cluster.kubeadm_init_configuration.",
                )
    return Request(wanted, tuple(options["service_cidrs"]), float(options["timeout"]), options["certificate_days"], check)


_CLUSTER_KEYS = ("clusterName", "kubernetesVersion", "controlPlaneEndpoint", "networking")


def ensure(request: Request, host: NodeHost) -> Outcome:
    """Make this host the control plane that was asked for. Raises Refusal."""
    if request.check:
        return _ensure(request, host)
    with host.lock(request.timeout):
        return _ensure(request, host)


def _ensure(request: Request, host: NodeHost) -> Outcome:
    if host.files.exists(RESTORING):
        raise Refusal(
            "this control plane",
            f"a restore that did not come to its end ({RESTORING})",
            "one state, not parts of two",
            "Run restore.yml again: it takes the backup that you choose, and keeps what was there before.",
        )
    standing = read_node_files(host.files)
    situation = standing.situation(request.wanted.cluster_name, "control_plane")
    if situation == "foreign":
        raise foreign(standing)
    outcome = Outcome(situation)
    kubeadm = Kubeadm(host.commands)
    if kubeadm.is_there or not request.check:
        kubeadm.refuse_other_release(request.wanted.release, kubelet=situation != "complete")
        kubeadm.validate(request.wanted.text)
    else:
        outcome.findings.append(_not_validated())
    if situation != "complete":
        outcome.changed = True
        outcome.before, outcome.after = host.files.read(CONFIGURATION) or "", request.wanted.text
        outcome.service_cidrs = list(request.service_cidrs)
        is_anew = situation == "interrupted" and refuse_another_identity(standing, request.wanted, host.files.entries(ETCD_DATA))
        if request.check:
            return outcome
        if is_anew:
            begin_anew(standing, host)
        _initialise(request, host)
    return _complete(request, host, outcome)


def _initialise(request: Request, host: NodeHost) -> None:
    try:
        host.detached(lambda: initialise(request.wanted, host, request.timeout))
    except Refusal as refusal:
        output = (host.files.read(LOG) or "").splitlines() if refusal.subject == "kubeadm init" else []
        # a preflight that refuses has said all; what was started may have more to say
        started = not output or any("[kubelet-start]" in line for line in output)
        raise Stuck(refusal, {"kubeadm_output": output, "diagnosis": diagnose(host.commands, host.files) if started else []}) from refusal


def _complete(request: Request, host: NodeHost, outcome: Outcome) -> Outcome:
    """Repair what is missing, then look at the API server, the extra ranges, drift and certificates."""
    api = Api(host.commands, request.wanted.address, host.sleep)
    repair = Repair(request.wanted, host, read_node_files(host.files), check=request.check)
    before = host.files.read(CONFIGURATION) or ""
    repair.host_side()
    outcome.repaired = repair.done
    if any(CONFIGURATION in line for line in repair.done):
        outcome.before, outcome.after = before, request.wanted.text
    why = api.why_not_ready() if request.check else ""
    if why:
        outcome.changed = bool(repair.done)
        outcome.findings.append(_not_looked_at(why))
        return outcome
    wait_until_ready(api, host, request.timeout)
    repair.cluster_side(api)
    outcome.service_cidrs = _service_ranges(request, host, api, outcome)
    outcome.changed = outcome.changed or bool(repair.done or outcome.service_cidrs)
    outcome.findings += _drift(request, api)
    outcome.certificates = certificates.read_expirations(Kubeadm(host.commands).certificates().stdout)
    outcome.findings += certificates.findings(outcome.certificates, request.certificate_days)
    return outcome


def wait_until_ready(api: Api, host: NodeHost, timeout: float) -> None:
    until = host.now() + timeout
    why = api.why_not_ready()
    while why:
        if host.now() >= until:
            refusal = Refusal(
                "the API server of this host",
                f"not ready after {timeout:g} s: {why}",
                "an answer ok on /readyz",
                "Follow what the host says, then run again.",
            )
            raise Stuck(refusal, {"diagnosis": diagnose(host.commands, host.files)})
        host.sleep(POLL)
        why = api.why_not_ready()


def _service_ranges(request: Request, host: NodeHost, api: Api, outcome: Outcome) -> list[str]:
    """Make the ranges that are missing and wait for all of them; returns those that were missing."""
    standing = _ranges(request.service_cidrs, api)
    outcome.findings += standing.findings
    missing = list(standing.missing)
    if request.check:
        return missing
    for cidr in missing:
        api.create(service_ranges.PATH, service_ranges.manifest(cidr))
    until = host.now() + RANGE_WAIT
    while standing.missing or standing.waiting:
        standing = _ranges(request.service_cidrs, api)
        if (standing.missing or standing.waiting) and host.now() >= until:
            why = "; ".join(
                [*(f"{cidr} is not there" for cidr in standing.missing), *(f"{one}: {why}" for one, why in standing.waiting.items())]
            )
            raise Refusal(
                "ServiceCIDR",
                f"{why}, after {RANGE_WAIT:g} s",
                "condition Ready",
                "See `kubectl describe servicecidr`, and what the controller manager says.",
            )
        if standing.missing or standing.waiting:
            host.sleep(POLL)
    return missing


def _ranges(wanted: Sequence[str], api: Api) -> service_ranges.ServiceRanges:
    listed: Optional[dict[str, Any]] = api.get(service_ranges.PATH)
    if listed is None and wanted:
        raise Refusal(
            "Kubernetes API",
            "no networking.k8s.io/v1 ServiceCIDR",
            f"it, for {', '.join(wanted)}",
            "Use Kubernetes 1.33 or newer, or a dns_service_ip inside service_cidr.",
        )
    return service_ranges.judge(wanted, (listed or {}).get("items", []))


def _drift(request: Request, api: Api) -> list[Finding]:
    sources = (
        ("ClusterConfiguration", "kubeadm-config", "ClusterConfiguration"),
        ("KubeletConfiguration", "kubelet-config", "kubelet"),
        ("KubeProxyConfiguration", "kube-proxy", "config.conf"),
    )
    stored = []
    for kind, name, key in sources:
        text = ((api.get(f"{_SYSTEM}/{name}") or {}).get("data") or {}).get(key)
        if text:
            stored.append((kind, name, text))
    live = api.as_mappings([text for _kind, _name, text in stored]) if stored else []
    found: list[Finding] = []
    for (kind, name, _text), document in zip(stored, live):
        if any(document.get("kind") == kind for document in request.wanted.documents):
            found += drift(document_of(request.wanted.documents, kind), document, f"ConfigMap kube-system/{name}")
    return found


def _not_looked_at(why: str) -> Finding:
    return Finding(
        "the_api_server_answers",
        "warning",
        "the API server of this host",
        f"not ready: {why}",
        "an answer, to look at the cluster too",
        "Run without check mode: that repairs what is missing, waits for the API server, and says why if it does not come up.",
    )


def _not_validated() -> Finding:
    return Finding(
        "the_configuration_is_validated",
        "info",
        "the kubeadm configuration",
        "not validated: kubeadm is not on this host yet",
        "validated by `kubeadm config validate`",
        "Nothing to do: it is validated before it is used.",
    )
