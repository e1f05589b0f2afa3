# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the control plane: the API server, etcd, the scheduler, the controller manager, certificates, and what blocks a running API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from .._conditions import condition
from .._findings import Finding
from .._kubelet.requests import SIGNER, is_pending, objection
from .._refusal import Refusal
from .._rollout.pods import stuck
from .._x509 import not_after
from .model import KUBE_SYSTEM, LATE, PATHS, Object, Seen, Sight, Wanted, name_of, seconds

SCHEDULER, MANAGER = "kube-scheduler", "kube-controller-manager"
# the effect if a component does not run
COMPONENTS = {
    "etcd": "nothing is stored",
    "kube-apiserver": "nothing answers",
    MANAGER: "nothing is scaled, repaired or removed, and silent nodes are not marked",
    SCHEDULER: "no Pod is scheduled",
}
LEADERS = (SCHEDULER, MANAGER)
# https://etcd.io/docs/latest/op-guide/maintenance/#space-quota
QUOTA = 2 * 1024**3
_QUOTA_FLAG = re.compile(r"--quota-backend-bytes=(\d+)$")
FULL, NEARLY_FULL = 0.95, 0.8
_ETCDCTL = (
    "kubectl --namespace kube-system exec {pod} -- etcdctl --cacert=/etc/kubernetes/pki/etcd/ca.crt "
    "--cert=/etc/kubernetes/pki/etcd/server.crt --key=/etc/kubernetes/pki/etcd/server.key"
)


def control_plane_findings(wanted: Wanted, seen: Sight) -> Iterator[Finding]:
    yield from _health(wanted, seen)
    if not seen.takes_writes:
        tool = _etcdctl(wanted, seen)
        found = f"no Lease renewed for {seconds(min(seen.leases.values()))}: neither kubelets nor the control plane can write"
        fix = f"Check for an alarm: `{tool} alarm list`. To clear NOSPACE, run `{tool} defrag`, then `{tool} alarm disarm`."
        yield Finding("the_cluster_takes_writes", "error", "etcd", found, f"a Lease renewed within {LATE:.0f} s", fix)
    yield from _components(wanted, seen)
    yield from _size(wanted, seen)


def _health(wanted: Wanted, seen: Sight) -> Iterator[Finding]:
    text = "\n".join(seen.read[path] for path in PATHS if isinstance(seen.read.get(path), str))
    failed = sorted({line[3:].split(" ")[0] for line in text.splitlines() if line.startswith("[-]")})
    if failed:
        pods = [f"kubectl --namespace {KUBE_SYSTEM} logs kube-apiserver-{name}" for name in wanted.control_plane[:1]]
        fix = " ".join(["See `kubectl get --raw '/readyz?verbose'`", *(f"and `{one}`" for one in pods)]) + "."
        found = f"failing checks: {', '.join(failed)}"
        yield Finding("the_api_server_is_ready", "error", "API server", found, "no failing check at /livez and /readyz", fix)


def _components(wanted: Wanted, seen: Sight) -> Iterator[Finding]:
    pods = {one["metadata"]["name"]: one for one in seen.all("Pod") if one["metadata"]["namespace"] == KUBE_SYSTEM}
    known = not isinstance(seen.read.get("Pod"), Refusal)
    outside = run_outside_pods(seen)
    for component, effect in COMPONENTS.items():
        faults, fix = [], f"Read its log: `kubectl --namespace {KUBE_SYSTEM} logs --selector component={component}`."
        for host in wanted.control_plane if known and component not in outside else ():
            pod = pods.get(f"{component}-{host}")
            obstacle = stuck(dict(pod)) if pod else None
            if pod is None:
                faults.append(f"no Pod {component}-{host}")
                fix = f"On {host}, check its manifest /etc/kubernetes/manifests/{component}.yaml and `journalctl -u kubelet`."
            elif obstacle:
                faults.append(f"Pod {obstacle.name}: {obstacle.state}")
                fix = obstacle.next_step
        faults += _lateness(component, seen) if component not in outside or (KUBE_SYSTEM, component) in seen.leases else ()
        if faults:
            expected = f"ready on {', '.join(wanted.control_plane)}" + (", with a renewed Lease" if component in LEADERS else "")
            yield Finding("control_plane_components_run", "error", component, f"{'; '.join(faults)}: {effect}", expected, fix)


def run_outside_pods(seen: Sight) -> tuple[str, ...]:
    """Return the components without a Pod on any host. As the API server and etcd answer, they run otherwise: in k3s, or as services."""
    pods = [one["metadata"] for one in seen.all("Pod") if (one["metadata"].get("labels") or {}).get("tier") == "control-plane"]
    shown = {component for component in COMPONENTS for one in pods if one["name"].startswith(f"{component}-")}
    if isinstance(seen.read.get("Pod", ()), Refusal):
        return ()
    # in a cluster of kubeadm, all but etcd are static Pods
    return tuple(one for one in COMPONENTS if one not in shown and (one == "etcd" or not shown))


def _lateness(component: str, seen: Sight) -> Iterator[str]:
    # without any Lease, nothing is known
    if component in LEADERS and seen.leases and seen.takes_writes:
        age = seen.leases.get((KUBE_SYSTEM, component))
        if age is None:
            yield f"no Lease {KUBE_SYSTEM}/{component}"
        elif age > LATE:
            yield f"its Lease was last renewed {seconds(age)} ago"


def _size(wanted: Wanted, seen: Sight) -> Iterator[Finding]:
    size = seen.storage_bytes
    if isinstance(size, Refusal):
        yield Finding("etcd_size_is_known", "unknown", "etcd's database", size.found, size.required, size.next_step)
        return
    words = [
        word
        for pod in seen.all("Pod")
        if (pod["metadata"].get("labels") or {}).get("component") == "etcd"
        for container in pod["spec"].get("containers") or ()
        for word in (*(container.get("command") or ()), *(container.get("args") or ()))
    ]
    quota = next((int(found.group(1)) for found in map(_QUOTA_FLAG.match, words) if found), 0) or QUOTA
    if size and size > NEARLY_FULL * quota:
        tool = _etcdctl(wanted, seen)
        yield Finding(
            "etcd_has_room",
            "error" if size > FULL * quota else "warning",
            "etcd's database",
            f"{size / 1024**2:.0f} MiB of {quota / 1024**2:.0f}: etcd rejects writes at its quota",
            f"less than {NEARLY_FULL:.0%}",
            f"Release the space of deleted objects: `{tool} defrag`. If that does not help, raise --quota-backend-bytes.",
        )


def _etcdctl(wanted: Wanted, seen: Sight) -> str:
    names = [one["metadata"]["name"] for one in seen.all("Pod") if (one["metadata"].get("labels") or {}).get("component") == "etcd"]
    return _ETCDCTL.format(pod=next(iter(names), f"etcd-{next(iter(wanted.control_plane), 'HOST')}"))


# What blocks a running API

WEBHOOKS = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
# read only if a webhook uses a Service
BEHIND_WEBHOOKS = {"Service": ("v1", "Service"), "EndpointSlice": ("discovery.k8s.io/v1", "EndpointSlice")}
PATIENCE = 120.0  # seconds that the deletion of a namespace may take
_REMAINS = re.compile(r"([a-z][\w.-]*?)\.? has \d+ resource instances")


def needs_services(seen: Sight) -> bool:
    return any(True for _one in _fatal(seen))


def api_findings(_wanted: Wanted, seen: Sight) -> Iterator[Finding]:
    yield from _webhooks(seen)
    for one in seen.all("APIService"):
        available = condition(one, "Available")
        if (one.get("spec") or {}).get("service") and available.get("status") != "True":
            name, service = name_of(one), one["spec"]["service"]
            found = f"not available: {available.get('reason', 'no reason given')}: {available.get('message', 'no message')}"
            where = f"kubectl --namespace {service['namespace']} get service,endpointslices,pods"
            fix = f"Start its server: `{where}`. If it was uninstalled, `kubectl delete apiservice {name}`."
            yield Finding(
                "api_services_are_available",
                "error",
                f"APIService {name}",
                found,
                "available: namespaces cannot be deleted without it",
                fix,
            )
    for one in seen.all("Namespace"):
        age = seen.age(one["metadata"].get("deletionTimestamp")) if one["metadata"].get("deletionTimestamp") else 0.0
        if age > PATIENCE:
            yield _of_ending(one, age)


def _webhooks(seen: Sight) -> Iterator[Finding]:
    for kind in BEHIND_WEBHOOKS:
        refusal = seen.read.get(kind)
        if isinstance(refusal, Refusal):
            yield Finding("webhooks_are_known", "unknown", "admission webhooks", refusal.found, refusal.required, refusal.next_step)
            return
    services = {(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in seen.all("Service")}
    ready = {
        (one["metadata"]["namespace"], (one["metadata"].get("labels") or {}).get("kubernetes.io/service-name"))
        for one in seen.all("EndpointSlice")
        if any((endpoint.get("conditions") or {}).get("ready") is not False for endpoint in one.get("endpoints") or ())
    }
    for kind, configuration, webhook, service in _fatal(seen):
        at, name = (service["namespace"], service["name"]), configuration["metadata"]["name"]
        external = (services.get(at) or {}).get("spec", {}).get("type") == "ExternalName"
        if at in ready or external:
            continue
        lack = "no ready endpoint" if at in services else "does not exist"
        resources = sorted({str(one) for rule in webhook.get("rules") or () for one in rule.get("resources") or ()})
        yield Finding(
            "webhooks_have_a_server",
            "error",
            f"{kind} {name}",
            f"webhook {webhook['name']} with failurePolicy Fail, whose Service {'/'.join(at)} {'has ' if at in services else ''}{lack}: "
            f"the API server rejects requests for {', '.join(resources) or 'everything'}",
            "a Service with a ready endpoint",
            f"Start its server: `kubectl --namespace {at[0]} get service,endpointslices,pods`. If it was uninstalled, "
            f"`kubectl delete {kind.lower()} {name}`.",
        )


def _fatal(seen: Sight) -> Iterator[tuple[str, Object, Object, Object]]:
    """Yield webhooks with a Service without which the API server rejects requests."""
    for kind in WEBHOOKS:
        for configuration in seen.all(kind):
            for webhook in configuration.get("webhooks") or ():
                service = (webhook.get("clientConfig") or {}).get("service")
                if service and webhook.get("failurePolicy", "Fail") == "Fail":
                    yield kind, configuration, webhook, service


def _of_ending(namespace: Object, age: float) -> Finding:
    name = name_of(namespace)
    conditions = [one for one in (namespace.get("status") or {}).get("conditions") or () if one.get("status") == "True"]
    reasons = "; ".join(str(one.get("message")) for one in conditions) or "no controller reports why"
    remains = ",".join(dict.fromkeys(_REMAINS.findall(reasons)))
    fix = f"See `kubectl get namespace {name} --output=yaml`; kube-controller-manager deletes it."
    if any(one["type"] == "NamespaceDeletionDiscoveryFailure" for one in conditions):
        fix = (
            "`kubectl get apiservices` shows which API is not available: start its server, or delete the APIService if it was uninstalled."
        )
    elif remains:
        list_all = f"kubectl --namespace {name} get {remains} --output=custom-columns=NAME:.metadata.name,FINALIZERS:.metadata.finalizers"
        fix = f"Start the controllers of these finalizers: `{list_all}`. If one was uninstalled, remove its finalizer with `kubectl edit`."
    return Finding(
        "namespaces_end", "error", f"Namespace {name}", f"Terminating for {seconds(age)}: {reasons}", "deleted within seconds", fix
    )


# Certificates

SERVER, CLIENT = "API server's certificate", "kubeconfig's client certificate"
LAST_DAYS = 7
# a request that is to be approved waits for half a minute
LATE_REQUEST = 180.0
_APPROVER = "vmstation-kubelet-approver"
_FIXES = {
    SERVER: "`ansible-playbook site.yml` renews it, and restarts what uses it.",
    CLIENT: "`ansible-playbook site.yml` renews it, and fetches the kubeconfig again.",
}
_WHEN = "%Y-%m-%d %H:%M UTC"


def certificate_findings(wanted: Wanted, seen: Sight) -> Iterator[Finding]:
    for subject, end in seen.certificates.items():
        if isinstance(end, Refusal):
            yield Finding("certificates_can_be_read", "unknown", subject, end.found, end.required, end.next_step)
            continue
        left = (end - seen.now).total_seconds() / 86400
        if left < max(wanted.certificate_days, LAST_DAYS):
            found = f"expired on {end:{_WHEN}}" if left <= 0 else f"expires in {left:.1f} days, on {end:{_WHEN}}"
            severity = "error" if left < LAST_DAYS else "warning"
            expected = f"valid for {wanted.certificate_days} days or more"
            yield Finding("certificates_stay_valid", severity, subject, found, expected, _FIXES[subject])  # type: ignore[arg-type]
    yield from _requests(wanted, seen)


def _requests(wanted: Wanted, seen: Sight) -> Iterator[Finding]:
    """Report requests of kubelets that nothing has approved. A kubelet repeats its request: the newest of each counts."""
    newest = {}
    for request in sorted(seen.all("CertificateSigningRequest"), key=lambda one: str(one["metadata"].get("creationTimestamp"))):
        if request["spec"].get("signerName") == SIGNER:
            newest[request["spec"].get("username")] = request
    for user, request in newest.items():
        name, age = request["metadata"]["name"], seen.age(request["metadata"].get("creationTimestamp"))
        denied = condition(request, "Denied") or condition(request, "Failed")
        if not denied and not (is_pending(request) and age > LATE_REQUEST):
            continue
        host = next(iter(wanted.control_plane), "the control plane")
        why = objection(request, wanted.addresses)
        if denied:
            found = f"{denied['type'].lower()} ({denied.get('message') or denied.get('reason') or 'no reason'})"
            fix = f"Find out who did it and why, then `kubectl delete csr {name}`: the kubelet makes another request."
        elif why:
            found = f"not approved for {seconds(age)}: {why}"
            fix = "Correct the host's name or `address` in the inventory, then run site.yml. If it is not the kubelet's request, "
            fix += f"`kubectl delete csr {name}`, and look at that host."
        else:
            found = f"not approved for {seconds(age)}, although it matches the inventory"
            fix = f"On {host}, see `systemctl status {_APPROVER}.timer` and `journalctl --unit {_APPROVER}`; site.yml installs it again."
        expected = "approved within a minute: without a certificate, nothing can verify the kubelet"
        yield Finding("kubelets_get_certificates", "error", f"certificate request {name} of {user}", found, expected, fix)


def has_expired(seen: Sight) -> bool:
    """Return whether a certificate has expired, so that the API server cannot be queried."""
    return any(not isinstance(end, Refusal) and end <= seen.now for end in seen.certificates.values())


def end_of(der: Seen[bytes]) -> Seen[datetime]:
    """Return the end of a certificate's validity."""
    if isinstance(der, Refusal):
        return der
    try:
        return not_after(der)
    except ValueError:
        return Refusal(
            "certificate", "not a readable X.509 certificate", "an X.509 certificate", "Check it with `openssl x509 -noout -enddate`."
        )
