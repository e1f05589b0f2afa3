# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find what blocks a running API: webhooks and API services without a server, and namespaces that stay in deletion."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .._conditions import condition
from .._findings import Finding
from .._refusal import Refusal
from .model import Object, Sight, Wanted, name_of, seconds

WEBHOOKS = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
# read only if a webhook uses a Service
BEHIND_WEBHOOKS = {"Service": ("v1", "Service"), "EndpointSlice": ("discovery.k8s.io/v1", "EndpointSlice")}
PATIENCE = 120.0  # seconds that the deletion of a namespace may take
_REMAINS = re.compile(r"([a-z][\w.-]*?)\.? has \d+ resource instances")


def needs_services(seen: Sight) -> bool:
    return any(True for _one in _fatal(seen))


def findings(_wanted: Wanted, seen: Sight) -> Iterator[Finding]:
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
