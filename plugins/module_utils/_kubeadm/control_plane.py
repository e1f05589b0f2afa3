# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set up a control plane: read the state, run init or repair, verify. Report configuration drift and why a start failed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from .._conditions import condition
from .._findings import Finding, as_dicts
from .._host.commands import Commands
from .._host.files import HostFiles
from .._refusal import Refusal
from .._waiting import look_until
from .configuration import CRI_SOCKET, document_of
from .hardening import in_one, unneeded
from .host import NodeHost
from .init import (
    LOG,
    Joining,
    Repair,
    Wanted,
    begin_again,
    foreign,
    initialise,
    join,
    read_joining,
    refuse_another_identity,
    refuse_second_cluster,
)
from .state import COMPONENTS, CONFIGURATION, ETCD_DATA, RESTORING, Api, Kubeadm, Kubelet, Situation, read_node_files, verifies_kubelets
from .static_pods import SECONDS_A_DAY, Certificate, due, findings, read_expirations, renew_and_restart, renewals

# a certificate of kubeadm that is just issued is valid for 364 whole days
LONGEST_NOTICE = 364

# Configuration drift of a running cluster

RULE = "the_cluster_is_configured_as_planned"
# settings that cannot be changed in a running cluster
_FOR_GOOD = ("networking.", "clusterName", "controlPlaneEndpoint")
_FIX = {
    "good": "It cannot be changed in a running cluster: restore the setting, or reset the hosts and create the cluster again.",
    "version": "Upgrade the cluster to it, one minor version at a time, or restore the version in the plan.",
    "other": "Restore the setting, or change the cluster: `kubeadm init phase {phase} --config /etc/kubernetes/vmstation-kubeadm.yaml`.",
}
_PHASES = {
    "ClusterConfiguration": "upload-config kubeadm` and `kubeadm init phase control-plane all",
    "KubeletConfiguration": "upload-config kubelet` and `kubeadm init phase kubelet-start",
    "KubeProxyConfiguration": "addon kube-proxy",
}
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_NOWHERE = object()


def drift(wanted: Mapping[str, Any], live: Optional[Mapping[str, Any]], where: str) -> list[Finding]:
    """Return findings for settings of ``wanted`` that differ in the live document. Its other settings are kubeadm's defaults."""
    kind = str(wanted.get("kind"))
    if live is None:
        return []
    return [
        Finding(
            RULE,
            "warning",
            f"{where}: {kind}.{path}",
            _shown(found),
            _shown(value),
            _fix(kind, path),
        )
        for path, value, found in _differences(wanted, live, "")
        if path not in ("apiVersion", "kind")
    ]


def _differences(wanted: object, live: object, path: str) -> Iterator[tuple[str, object, object]]:
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        for key, value in wanted.items():
            yield from _differences(value, live.get(key, _NOWHERE), f"{path}.{key}" if path else str(key))
    elif _arguments(wanted) is not None and _arguments(live) is not None:
        yield from _differences(_arguments(wanted), _arguments(live), path)
    elif path.endswith("certSANs") and isinstance(wanted, list) and isinstance(live, list):
        if not set(wanted) <= set(live):
            yield path, wanted, live
    elif not _same(wanted, live):
        yield path, wanted, live


def _arguments(value: object) -> Optional[dict[str, list[str]]]:
    """Return arguments by name from a list of names and values, as kubeadm writes them."""
    if not isinstance(value, list) or not value or not all(isinstance(one, Mapping) and set(one) == {"name", "value"} for one in value):
        return None
    found: dict[str, list[str]] = {}
    for one in value:
        found.setdefault(one["name"], []).append(one["value"])
    return found


def _same(wanted: object, live: object) -> bool:
    if live is _NOWHERE:
        # kubeadm omits empty values
        return wanted in ({}, [], "", None)
    return bool(wanted == live) or (_seconds(wanted) is not None and _seconds(wanted) == _seconds(live))


def _seconds(value: object) -> Optional[int]:
    match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def _shown(value: object) -> str:
    return "nothing" if value is _NOWHERE else str(value)


def _fix(kind: str, path: str) -> str:
    if kind == "ClusterConfiguration" and path.startswith(_FOR_GOOD):
        return _FIX["good"]
    if path == "kubernetesVersion":
        return _FIX["version"]
    return _FIX["other"].format(phase=_PHASES.get(kind, "all"))


# Diagnosis on the host of a control plane that does not start

POD_LOGS = "/var/log/pods"
JOURNAL_LINES = 40
LINES_OF_A_LOG = 3
_ERROR_LINE = re.compile(r"^E\d{4} |[Ee]rror|failed|fatal")


def diagnose(commands: Commands, files: HostFiles) -> list[str]:
    """Return lines about the kubelet, its journal, the containers, the ends of their logs, and expired certificates."""
    found = []
    for source in (_kubelet, _containers, _certificates):
        try:
            found += list(source(commands, files))
        except Refusal as refusal:
            found.append(str(refusal))
    return found


def _kubelet(commands: Commands, _files: HostFiles) -> Iterator[str]:
    state = Kubelet(commands).state()
    yield f"kubelet: {state.get('ActiveState')} ({state.get('SubState')})"
    journal = commands.run(
        ["journalctl", "--unit=kubelet", f"--lines={JOURNAL_LINES}", "--no-pager", "--output=cat"], timeout=30.0, check=False
    )
    wrong = [line for line in journal.stdout.splitlines() if _ERROR_LINE.search(line)]
    yield from (f"kubelet log: {line[:300]}" for line in wrong[-LINES_OF_A_LOG:])


def _containers(commands: Commands, files: HostFiles) -> Iterator[str]:
    if commands.has("crictl"):
        listed = commands.run(["crictl", "ps", "--all"], timeout=30.0, check=False).stdout.splitlines()[1:]
        yield from (f"container: {' '.join(line.split())}" for line in listed if any(name in line for name in COMPONENTS))
    pods = files.entries(POD_LOGS)
    for name in COMPONENTS:
        mine = [f"{POD_LOGS}/{pod}/{name}" for pod in pods if pod.startswith(f"kube-system_{name}-")]
        # a changed manifest creates a new Pod; the log directory of the old one stays for a while
        logs = [(directory, numbers) for directory in mine if (numbers := _numbers(files, directory))]
        if not mine:
            yield f"{name}: has not been started"
        elif not logs:
            yield f"{name}: has a Pod and no container yet"
        for directory, numbers in logs:
            yield from _last_words(files, name, directory, numbers)


def _numbers(files: HostFiles, directory: str) -> list[int]:
    """Return the numbers of a container's logs, one for each start."""
    return sorted(int(log.split(".")[0]) for log in files.entries(directory) if log.split(".")[0].isdigit())


def _last_words(files: HostFiles, name: str, directory: str, numbers: Sequence[int]) -> Iterator[str]:
    restarts = numbers[-1]
    # a container that just started may not have logged anything yet: read the previous log too
    texts = [files.read(f"{directory}/{number}.log") or "" for number in numbers[-2:]]
    lines = [line for text in texts for line in text.splitlines()]
    wrong = [line for line in lines if re.search(r" [EF]\d{4} |\berror\b|fatal|panic", line, re.I)] or lines
    yield f"{name}: started {restarts + 1} times" if restarts else f"{name}: started once"
    yield from (f"{name} log: {line[:300]}" for line in wrong[-LINES_OF_A_LOG:])


def _certificates(commands: Commands, _files: HostFiles) -> Iterator[str]:
    kubeadm = Kubeadm(commands)
    if kubeadm.is_there:
        for one in read_expirations(kubeadm.certificates().stdout):
            if one.days < 0:
                yield f"certificate {one.name}: {one.when}; `kubeadm certs renew all` renews it"


# Service ranges beyond those of the API server's flag, as ServiceCIDR objects: created and waited for, never changed or deleted

SERVICE_RANGES_PATH = "/apis/networking.k8s.io/v1/servicecidrs"
# the object of the API server's own flag
DEFAULT_NAME = "kubernetes"
BEING_DELETED = "it is being deleted: Services still use addresses of it"


@dataclass(frozen=True)
class ServiceRanges:
    """missing: ranges to create. waiting: existing ranges that are not ready, with the reason.

    findings: warnings about objects that the plan does not contain.
    """

    missing: tuple[str, ...]
    waiting: Mapping[str, str]
    findings: tuple[Finding, ...]


def judge_ranges(wanted: Sequence[str], objects: Sequence[Mapping[str, Any]]) -> ServiceRanges:
    """Compare the wanted ranges with the existing ServiceCIDR objects, whatever their names."""
    ready: dict[str, str] = {}
    unasked = []
    for one in objects:
        name, cidrs = one["metadata"]["name"], [str(cidr) for cidr in one["spec"].get("cidrs", [])]
        ready.update(dict.fromkeys(cidrs, _why_not_ready(one)))
        if name != DEFAULT_NAME and not set(cidrs) & set(wanted):
            unasked.append(_unasked(name, cidrs, wanted))
    return ServiceRanges(
        missing=tuple(cidr for cidr in wanted if cidr not in ready),
        waiting={cidr: ready[cidr] for cidr in wanted if ready.get(cidr)},
        findings=tuple(unasked),
    )


def ranges_manifest(cidr: str) -> dict[str, Any]:
    """Return a ServiceCIDR object for one range, named after it."""
    name = "vmstation-" + cidr.replace("/", "-").replace(".", "-").replace("::", "-x").replace(":", "-")
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "vmstation.cluster"}},
        "spec": {"cidrs": [cidr]},
    }


def _why_not_ready(thing: Mapping[str, Any]) -> str:
    if thing["metadata"].get("deletionTimestamp"):
        return BEING_DELETED
    ready = condition(thing, "Ready")
    if not ready:
        return "no condition Ready yet"
    return "" if ready.get("status") == "True" else str(ready.get("message") or ready.get("reason") or "not Ready")


def _unasked(name: str, cidrs: Sequence[str], wanted: Sequence[str]) -> Finding:
    return Finding(
        "service_ranges_are_the_plans",
        "warning",
        f"ServiceCIDR {name}",
        ", ".join(cidrs),
        ", ".join(wanted) or "no range beyond service_cidr",
        f"Services without a clusterIP may get an address of it. If nothing uses it, remove it with `kubectl delete servicecidr {name}`.",
    )


# Set up a control plane: read, check, create or repair, verify

POLL = 1.0
RANGE_WAIT = 60.0
_SYSTEM = "/api/v1/namespaces/kube-system/configmaps"


@dataclass(frozen=True)
class Request:
    """What a task asks for. timeout: seconds for init, and again until the API server is ready.

    unverified: as wanted, of a control plane that exists and does not verify kubelets. joins: whether the cluster exists on other hosts;
    joining: how to join it, not needed to predict. peers: addresses of the other control plane hosts.
    """

    wanted: Wanted
    service_cidrs: tuple[str, ...] = ()
    timeout: float = 600.0
    certificate_days: int = 30
    check: bool = False
    unverified: Optional[Wanted] = None
    joins: bool = False
    joining: Optional[Joining] = None
    peers: tuple[str, ...] = ()


@dataclass
class Outcome:
    """What a task reports."""

    situation: Situation
    changed: bool = False
    repaired: list[str] = field(default_factory=list)
    service_cidrs: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    certificates: list[Certificate] = field(default_factory=list)
    before: str = ""
    after: str = ""

    def as_result(self) -> dict[str, Any]:
        return {
            "changed": self.changed,
            "situation": self.situation,
            "repaired": self.repaired,
            "service_cidrs_created": self.service_cidrs,
            "findings": as_dicts(self.findings),
            "certificates": [one.as_data() for one in self.certificates],
            "diff": {"before": self.before, "after": self.after, "before_header": CONFIGURATION, "after_header": CONFIGURATION},
        }


class Stuck(Refusal):
    """An error with a diagnosis of the host. details: return values beside the message."""

    def __init__(self, refusal: Refusal, details: Mapping[str, list[str]]) -> None:
        super().__init__(refusal.subject, refusal.found, refusal.required, refusal.next_step)
        self.details = dict(details)

    def __str__(self) -> str:
        said = "\n".join(f"- {line}" for line in self.details.get("diagnosis", []))
        return super().__str__() + (f"\nThe host reports:\n{said}" if said else "")


def read_request(options: Mapping[str, Any], *, check: bool) -> Request:
    """Validate the module's options. Raises Refusal if the documents do not describe a control plane."""
    wanted = Wanted(tuple(options["configuration"]))
    for kind, keys in (("InitConfiguration", ("nodeRegistration", "localAPIEndpoint")), ("ClusterConfiguration", _CLUSTER_KEYS)):
        for key in keys:
            if key not in document_of(wanted.documents, kind):
                raise Refusal(
                    f"configuration, {kind}.{key}",
                    "nothing",
                    "a value",
                    "Create it with the filter vmstation.cluster.kubeadm_init_configuration.",
                )
    unverified = Wanted(tuple(options["unverified_configuration"])) if options["unverified_configuration"] else None
    joins = options["join"] is not None
    given = joins and (options["join"]["token"] or options["join"]["files"])
    return Request(
        wanted,
        tuple(options["service_cidrs"]),
        float(options["timeout"]),
        options["certificate_days"],
        check,
        unverified,
        joins,
        read_joining(options["join"]) if given else None,
        tuple(options["peers"]),
    )


_CLUSTER_KEYS = ("clusterName", "kubernetesVersion", "controlPlaneEndpoint", "networking")


def ensure(request: Request, host: NodeHost) -> Outcome:
    """Make this host the control plane described in the request. Raises Refusal."""
    if request.check:
        return _ensure(request, host)
    with host.lock(request.timeout):
        return _ensure(request, host)


def _ensure(request: Request, host: NodeHost) -> Outcome:
    if host.files.exists(RESTORING):
        raise Refusal(
            "this control plane",
            f"an incomplete restore ({RESTORING})",
            "a complete state",
            "Run restore.yml again with the backup that you choose; it keeps the state from before.",
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
        begins_again = (
            situation == "interrupted"
            and not request.joins
            and refuse_another_identity(standing, request.wanted, host.files.entries(ETCD_DATA))
        )
        if not request.joins:
            refuse_second_cluster(request.peers, host)
        if request.check:
            return outcome
        if begins_again:
            begin_again(standing, host)
        _initialise(request, host)
    return _complete(request, host, outcome)


def _initialise(request: Request, host: NodeHost) -> None:
    joining = request.joining
    if request.joins and joining is None:
        step = "Pass what vmstation.cluster.kubeadm_join_token and vmstation.cluster.kubeadm_control_plane_info returned for another host."
        raise Refusal("join.token", "none", "a token, to join this host to the cluster", step)
    try:
        if joining is not None:
            host.detached(lambda: join(request.wanted, joining, host, request.timeout))
        else:
            host.detached(lambda: initialise(request.wanted, host, request.timeout))
    except Refusal as refusal:
        output = (host.files.read(LOG) or "").splitlines() if refusal.subject in ("kubeadm init", "kubeadm join") else []
        # failed preflight checks explain themselves; after the kubelet has started, the host may show more
        started = not output or any("[kubelet-start]" in line for line in output)
        raise Stuck(refusal, {"kubeadm_output": output, "diagnosis": diagnose(host.commands, host.files) if started else []}) from refusal


def _complete(request: Request, host: NodeHost, outcome: Outcome) -> Outcome:
    """Repair what is missing, renew certificates, then check the API server, extra service ranges, and drift."""
    api = Api(host.commands, request.wanted.address, host.sleep)
    # what is created again must not verify kubelets before they have certificates: the module kubelet_certificates changes it
    kept = request.wanted if request.unverified is None or verifies_kubelets(host.files) else request.unverified
    is_one_of_several = request.joins or bool(request.peers)
    repair = Repair(kept, host, read_node_files(host.files), check=request.check, is_one_of_several=is_one_of_several)
    before = host.files.read(CONFIGURATION) or ""
    repair.host_side()
    outcome.repaired = repair.done
    outcome.certificates = _renewed(request, host, repair)
    if any(CONFIGURATION in line for line in repair.done):
        outcome.before, outcome.after = before, kept.text
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
    outcome.findings += findings(outcome.certificates, request.certificate_days)
    outcome.findings += unneeded(request.wanted.cluster, host.files)
    return outcome


def _renewed(request: Request, host: NodeHost, repair: Repair) -> list[Certificate]:
    """Renew the certificates that expire soon; return all of them."""
    kubeadm = Kubeadm(host.commands)
    certificates = read_expirations(kubeadm.certificates().stdout)
    lifetime = _seconds(request.wanted.cluster.get("certificateValidityPeriod"))
    # short-lived ones are renewed in the last third, and those of kubeadm's year not in every run
    most = LONGEST_NOTICE if lifetime is None else lifetime // SECONDS_A_DAY // 3
    days = min(request.certificate_days, most)
    expiring = due(certificates, days)
    repair.done += renewals(expiring)
    if not expiring or request.check:
        return certificates
    socket = str(request.wanted.init["nodeRegistration"].get("criSocket", CRI_SOCKET)).removeprefix("unix://")
    host.detached(lambda: renew_and_restart([one.name for one in expiring], host, socket))
    return read_expirations(kubeadm.certificates().stdout)


def wait_until_ready(api: Api, host: NodeHost, timeout: float) -> None:
    why = look_until(api.why_not_ready, lambda seen: not seen, host, timeout, POLL)
    if why:
        refusal = Refusal(
            "the API server of this host",
            f"not ready after {timeout:g} s: {why}",
            "an answer ok on /readyz",
            "Correct what the diagnosis shows, then run again.",
        )
        raise Stuck(refusal, {"diagnosis": diagnose(host.commands, host.files)})


def _service_ranges(request: Request, host: NodeHost, api: Api, outcome: Outcome) -> list[str]:
    """Create missing ranges and wait until all are ready; return those that were missing."""
    standing = _ranges(request.service_cidrs, api)
    outcome.findings += standing.findings
    missing = list(standing.missing)
    if request.check:
        return missing
    for cidr in missing:
        api.create(SERVICE_RANGES_PATH, ranges_manifest(cidr))
    if missing or standing.waiting:
        _wait_for_ranges(request, host, api)
    return missing


def _wait_for_ranges(request: Request, host: NodeHost, api: Api) -> None:
    standing = look_until(
        lambda: _ranges(request.service_cidrs, api), lambda seen: not (seen.missing or seen.waiting), host, RANGE_WAIT, POLL
    )
    if standing.missing or standing.waiting:
        why = [*(f"{cidr} is not there" for cidr in standing.missing), *(f"{one}: {why}" for one, why in standing.waiting.items())]
        raise Refusal(
            "ServiceCIDR",
            f"{'; '.join(why)}, after {RANGE_WAIT:g} s",
            "condition Ready",
            "See `kubectl describe servicecidr` and the log of kube-controller-manager.",
        )


def _ranges(wanted: Sequence[str], api: Api) -> ServiceRanges:
    listed: Optional[dict[str, Any]] = api.get(SERVICE_RANGES_PATH)
    if listed is None and wanted:
        raise Refusal(
            "Kubernetes API",
            "no networking.k8s.io/v1 ServiceCIDR",
            f"the ServiceCIDR API, for {', '.join(wanted)}",
            "Use Kubernetes 1.33 or newer, or a dns_service_ip inside service_cidr.",
        )
    return judge_ranges(wanted, (listed or {}).get("items", []))


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
    return in_one(found)


def _not_looked_at(why: str) -> Finding:
    return Finding(
        "the_api_server_answers",
        "warning",
        "the API server of this host",
        f"not ready: {why}",
        "a ready API server, to check the cluster too",
        "Run without check mode: that repairs what is missing, waits for the API server, and reports why if it does not start.",
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
