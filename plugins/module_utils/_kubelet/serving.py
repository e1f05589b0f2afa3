# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let kubelets request their server certificates from the cluster, and let the control plane verify them.

In this order, so that no connection fails meanwhile: requests are approved, each kubelet serves a certificate of the cluster's CA, then the
API server verifies kubelets. Back again: first the API server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable

from .._conditions import is_true
from .._findings import Finding
from .._json import read_json
from .._kubeadm.configuration import as_text, document_of
from .._kubeadm.hardening import SERVING, SERVING_SETTING, with_verification
from .._kubeadm.host import NodeHost
from .._kubeadm.state import ADMIN_CONF, CONFIGURATION, MANIFESTS, PHASE_TIMEOUT, Api, Kubelet
from .._refusal import Refusal
from .._waiting import look_until
from .requests import approve, as_nodes, nodes_of

KUBELET_FILE = "/var/lib/kubelet/config.yaml"
POLL = 2.0
RESTART_SECONDS = 300.0
_SYSTEM = "/api/v1/namespaces/kube-system"
_LINE = re.compile(rf"^{SERVING_SETTING}:.*\n?", re.MULTILINE)
_SET = f"{SERVING_SETTING}: true\n"


def with_bootstrap(text: str, *, is_on: bool) -> str:
    """Return a KubeletConfiguration in YAML, with or without the setting; its other lines stay as they are."""
    without = _LINE.sub("", text)
    if not is_on:
        return without
    return text if _has_bootstrap(text) else f"{without.rstrip()}\n{_SET}"


def _has_bootstrap(text: str) -> bool:
    return _SET in _LINE.findall(text)


# Each host: its kubelet's file


def bootstrap(host: NodeHost, *, is_on: bool, check: bool) -> dict[str, Any]:
    """Set the kubelet's own file, and restart the kubelet if it has changed. Pods keep running."""
    before = host.files.read(KUBELET_FILE)
    after = before if before is None else with_bootstrap(before, is_on=is_on)
    if before is not None and after is not None and before != after and not check:
        text = after

        def change() -> None:
            host.write({KUBELET_FILE: text})
            Kubelet(host.commands).restart()

        host.detached(change)
    named = {"before_header": KUBELET_FILE, "after_header": KUBELET_FILE}
    return {"changed": before != after, "diff": {"before": before or "", "after": after or "", **named}}


# The kubelets, seen from the control plane

ASLEEP = "no answer"


# node name -> address, to node name -> what is wrong with the certificate that its kubelet serves there; empty if nothing is
LookAtAll = Callable[[Mapping[str, str]], Mapping[str, str]]


@dataclass(frozen=True)
class Request:
    """What a task asks for.

    state: present, absent, or kept: as the cluster is. nodes: name -> addresses of the inventory. documents: of kubeadm, for this host.
    verify: whether to look at the kubelets. wait_for: nodes that must serve a certificate. timeout: seconds for that.
    """

    state: str
    nodes: Mapping[str, Sequence[str]]
    documents: Sequence[Mapping[str, Any]]
    verify: bool = True
    wait_for: Sequence[str] = ()
    timeout: float = 120.0
    check: bool = False

    @property
    def own(self) -> dict[str, Any]:
        """Return the ClusterConfiguration whose arguments are the owner's; empty if the documents have all of ours."""
        cluster = document_of(self.documents, "ClusterConfiguration")
        return {} if cluster == with_verification(cluster, is_on=True) else cluster

    @property
    def init(self) -> dict[str, Any]:
        return document_of(self.documents, "InitConfiguration")

    @property
    def name(self) -> str:
        return str(self.init["nodeRegistration"]["name"])

    @property
    def address(self) -> str:
        return str(self.init["localAPIEndpoint"]["advertiseAddress"])


@dataclass
class Outcome:
    """What a task reports. active: kubelets request certificates. verified: the API server verifies kubelets. nodes: what is wrong."""

    active: bool
    verified: bool = False
    nodes: Mapping[str, str] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def as_result(self) -> dict[str, Any]:
        return {"changed": bool(self.done), "active": self.active, "verified": self.verified, "nodes": dict(self.nodes), "done": self.done}


def read_request(options: Mapping[str, Any], *, check: bool) -> Request:
    """Validate the module's options."""
    wait_for = [str(name).lower() for name in options["wait_for"]]
    nodes = nodes_of(options["nodes"])
    return Request(options["state"], nodes, options["configuration"], options["verify"], wait_for, float(options["timeout"]), check)


def ensure(request: Request, host: NodeHost, look: LookAtAll) -> Outcome:
    """Bring the cluster into the state. Raises Refusal if a kubelet that is waited for serves no certificate."""
    api = Api(host.commands, request.address, host.sleep)
    if request.check and (not host.files.exists(ADMIN_CONF) or api.why_not_ready()):
        return Outcome(request.state != "absent")  # the control plane does not exist yet, or its own check reports why it is not ready
    text = _of_kubelets(api)
    has_setting = _has_bootstrap(text) or _is_verified(host, SERVING)
    outcome = Outcome({"present": True, "absent": False}.get(request.state, has_setting))
    if request.state == "kept" and not outcome.active:
        return outcome
    if not outcome.active:
        _verify(request, host, api, outcome, is_on=False)
    wanted = with_bootstrap(text, is_on=outcome.active)
    if text and wanted != text:
        outcome.done.append(f"ConfigMap kube-system/kubelet-config: {SERVING_SETTING} {'set' if outcome.active else 'removed'}")
        if not request.check:
            api.set_data("kubelet-config", {"kubelet": wanted})
    if outcome.active and request.verify:
        _certify(request, host, api, look, outcome)
        outcome.verified = _is_verified(host, SERVING)
        if outcome.nodes and not any(outcome.nodes.values()):
            _verify(request, host, api, outcome, is_on=True)
            outcome.verified = True
        elif not outcome.verified:
            outcome.findings.append(_not_verified(outcome.nodes))
        elif any(why not in ("", ASLEEP) for why in outcome.nodes.values()):
            outcome.findings.append(_rejected(outcome.nodes))
    return outcome


def _of_kubelets(api: Api) -> str:
    return str(((api.get(f"{_SYSTEM}/configmaps/kubelet-config") or {}).get("data") or {}).get("kubelet", ""))


def _certify(request: Request, host: NodeHost, api: Api, look: LookAtAll, outcome: Outcome) -> None:
    """Approve requests until the kubelets that are waited for serve certificates; note what each node of the cluster serves."""
    rejected: dict[str, str] = {}

    def round_() -> Mapping[str, str]:
        if not request.check:
            rejected.clear()
            rejected.update(approve(api, as_nodes(request.nodes)).rejected)
        return look(_addresses(api, request.nodes))

    def waiting(seen: Mapping[str, str]) -> list[str]:
        return [name for name in request.wait_for if seen.get(name, "") not in ("", ASLEEP)]

    outcome.nodes = look_until(round_, lambda seen: not waiting(seen), host, 0.0 if request.check else request.timeout, POLL)
    late = waiting(outcome.nodes)
    if late and not request.check:
        whys = [why for why in rejected.values() if why.startswith(tuple(f"system:node:{name}:" for name in late))]
        raise Refusal(
            f"kubelet of {', '.join(late)}",
            "; ".join([*dict.fromkeys(outcome.nodes[name] for name in late), *(f"request of {why}" for why in whys)]),
            f"a certificate of the cluster's CA within {request.timeout:g} s",
            "Correct the name or the addresses in the inventory, then run again."
            if whys
            else f"See `journalctl --unit kubelet` on {late[0]} and `kubectl get csr`, then run again.",
        )


def _addresses(api: Api, known: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the address of each node at which the API server reaches its kubelet."""
    found = {}
    for node in (api.get("/api/v1/nodes") or {}).get("items") or ():
        name = node["metadata"]["name"]
        internal = [one["address"] for one in (node.get("status") or {}).get("addresses") or () if one.get("type") == "InternalIP"]
        found[name] = next(iter([*internal, *known.get(name, ())]), name)
    return found


def _not_verified(nodes: Mapping[str, str]) -> Finding:
    wrong = {name: why for name, why in nodes.items() if why}
    asleep = sorted(name for name, why in wrong.items() if why == ASLEEP)
    fix = f"Wake {', '.join(asleep)} with wake.yml, then run site.yml." if asleep else "Run site.yml for all hosts."
    return Finding(
        "the_api_server_verifies_kubelets",
        "warning",
        "API server",
        f"it does not verify kubelets yet: {'; '.join(f'{name}: {why}' for name, why in sorted(wrong.items()))}",
        "a certificate of the cluster's CA on each node",
        fix,
    )


def _rejected(nodes: Mapping[str, str]) -> Finding:
    wrong = {name: why for name, why in nodes.items() if why not in ("", ASLEEP)}
    return Finding(
        "kubelets_serve_certificates_of_the_cluster",
        "warning",
        f"kubelet of {', '.join(sorted(wrong))}",
        "; ".join(f"{name}: {why}" for name, why in sorted(wrong.items())),
        "a certificate of the cluster's CA, because the API server verifies it: `kubectl logs` and `kubectl exec` fail for its Pods",
        "Correct its name and addresses in the inventory if the node has others, then run site.yml for all hosts.",
    )


# The control plane's components on this host


def _is_verified(host: NodeHost, wanted: Mapping[str, Mapping[str, str]]) -> bool:
    return all(flag in (host.files.read(path) or "") for path, flags in _flags(wanted).items() for flag in flags)


def _flags(wanted: Mapping[str, Mapping[str, str]]) -> dict[str, list[str]]:
    """Return the manifest of each component, and its arguments."""
    return {f"{MANIFESTS}/{_PODS[name]}.yaml": [f"--{key}={value}" for key, value in several.items()] for name, several in wanted.items()}


_PODS = {"apiServer": "kube-apiserver", "controllerManager": "kube-controller-manager", "scheduler": "kube-scheduler"}


def _verify(request: Request, host: NodeHost, api: Api, outcome: Outcome, *, is_on: bool) -> None:
    """Change what kubeadm has stored of the cluster, and write the manifests from it: so an upgrade keeps the change."""
    text = str(((api.get(f"{_SYSTEM}/configmaps/kubeadm-config") or {}).get("data") or {}).get("ClusterConfiguration", ""))
    if not text:
        return
    (read,) = api.as_mappings([text])
    stored = {key: value for key, value in read.items() if key != "metadata"}  # of the program that reads it
    wanted = with_verification(stored, is_on=is_on, own=request.own)
    arguments = {
        name: {one["name"]: one["value"] for one in (wanted.get(name) or {}).get("extraArgs") or () if one["name"] in SERVING[name]}
        for name in SERVING
    }
    if stored == wanted and _is_verified(host, arguments) and not _has_any(host, _others(arguments)):
        return
    what = "verifies kubelets" if is_on else "does not verify kubelets any more"
    outcome.done.append(f"the API server {what}; the components of the control plane were restarted")
    if not request.check:
        host.detached(lambda: _apply(request, host, api, wanted, arguments))


def _has_any(host: NodeHost, unwanted: Mapping[str, Mapping[str, str]]) -> bool:
    return any(flag in (host.files.read(path) or "") for path, flags in _flags(unwanted).items() for flag in flags)


def _others(arguments: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Return the arguments of ours that are not among these."""
    return {name: {key: value for key, value in ours.items() if arguments[name].get(key) != value} for name, ours in SERVING.items()}


def _apply(request: Request, host: NodeHost, api: Api, wanted: Mapping[str, Any], arguments: Mapping[str, Mapping[str, str]]) -> None:
    # kubeadm stores it in the form that an upgrade and others read
    for phase in (("upload-config", "kubeadm"), ("control-plane", "all")):
        argv = ["kubeadm", "init", "phase", *phase, "--config=/dev/stdin"]
        host.commands.run(argv, stdin=as_text([request.init, wanted]), timeout=PHASE_TIMEOUT)
    if request.state != "absent" and not request.own:
        _write_configuration(request, host)
    late = look_until(lambda: _not_restarted(request, api, arguments), lambda seen: not seen, host, RESTART_SECONDS, POLL)
    if late:
        raise Refusal(
            f"static Pods {', '.join(late)}",
            f"not ready with their new arguments after {RESTART_SECONDS:g} s",
            "ready",
            "See `crictl ps -a` and `journalctl -u kubelet` on the control plane, then run again.",
        )


def _write_configuration(request: Request, host: NodeHost) -> None:
    """Write kubeadm's configuration file, from which what is missing is created again, if it differs in this only."""
    before = host.files.read(CONFIGURATION)
    try:
        documents = [read_json(part) for part in (before or "").split("---\n")]
    except ValueError:  # the module kubeadm_control_plane writes it again
        return
    if _without_ours(documents) == _without_ours(request.documents):
        host.write({CONFIGURATION: as_text(request.documents)}, new_mode=0o600)


def _without_ours(documents: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    bare = [{key: value for key, value in one.items() if key != SERVING_SETTING} for one in documents]
    return [with_verification(one, is_on=False) if one.get("kind") == "ClusterConfiguration" else one for one in bare]


def _not_restarted(request: Request, api: Api, arguments: Mapping[str, Mapping[str, str]]) -> list[str]:
    try:
        listed = (api.get(f"{_SYSTEM}/pods?labelSelector=tier%3Dcontrol-plane") or {}).get("items") or []
    except Refusal:  # the API server restarts
        listed = []
    pods = {pod["metadata"]["name"]: pod for pod in listed}
    late = []
    for name, component in _PODS.items():
        pod = pods.get(f"{component}-{request.name}")
        command = [word for one in (pod or {"spec": {}})["spec"].get("containers") or () for word in one.get("command") or ()]
        wanted, others = ({f"--{key}={value}" for key, value in several[name].items()} for several in (arguments, _others(arguments)))
        if not is_true(pod, "Ready") or not wanted <= set(command) or others & set(command):
            late.append(component)
    return late
