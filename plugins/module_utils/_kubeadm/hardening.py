# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hardens a control plane: settings in kubeadm's documents, and the files that the API server reads for them."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Optional

from .._findings import Finding
from .._host.files import HostFiles
from .._refusal import Refusal
from .state import AUDIT_POLICY, CA, CA_KEY, ENCRYPTION, MANIFESTS, PKI, SUPER_ADMIN_CONF, VERIFICATION, encrypts

AUDIT_LOGS = "/var/log/kubernetes/audit"
# the numbers bound the log to 300 MB and 30 days
APISERVER = {
    "audit-log-path": f"{AUDIT_LOGS}/audit.log",
    "audit-log-maxage": "30",
    "audit-log-maxbackup": "5",
    "audit-log-maxsize": "50",
    "audit-policy-file": AUDIT_POLICY,
    "encryption-provider-config": ENCRYPTION,
    "profiling": "false",
}
# of the controller manager and the scheduler
OTHERS = {"profiling": "false"}
KUBELET = {"podPidsLimit": 4096, "seccompDefault": True}
# /etc/kubernetes/pki is mounted by kubeadm
VOLUMES = ({"name": "audit-logs", "hostPath": AUDIT_LOGS, "mountPath": AUDIT_LOGS, "pathType": "DirectoryOrCreate"},)

# the kubelet requests its server certificate from the cluster, instead of signing one itself
SERVING_SETTING = "serverTLSBootstrap"
_SERVED = {"tls-cert-file": f"{PKI}/apiserver.crt", "tls-private-key-file": f"{PKI}/apiserver.key"}
# the API server verifies kubelets, and Prometheus verifies the two others: they serve the API server's certificate, which has the addresses
# of the host
SERVING: Mapping[str, Mapping[str, str]] = {
    "apiServer": {VERIFICATION: CA},
    "controllerManager": _SERVED,
    "scheduler": _SERVED,
}
# kubeadm mounts /etc/kubernetes/pki in the two others
_SCHEDULER_VOLUMES = tuple(
    {"name": name, "hostPath": path, "mountPath": path, "readOnly": True, "pathType": "File"}
    for name, path in zip(("serving-certificate", "serving-key"), _SERVED.values())
)

_POLICY: Mapping[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        # what every component does every few seconds
        {"level": "None", "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}]},
        {"level": "None", "resources": [{"group": group, "resources": ["events"]} for group in ("", "events.k8s.io")]},
        {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*", "/metrics", "/version", "/openapi/*"]},
        {"level": "Metadata"},
    ],
}


def missing_files(cluster: Mapping[str, Any], files: HostFiles) -> dict[str, str]:
    """Return the files that a ClusterConfiguration makes the API server read and that are not there: a new key for Secrets among them."""
    wanted = {argument["value"] for argument in cluster["apiServer"].get("extraArgs", ())}
    made = {AUDIT_POLICY: lambda: _POLICY, ENCRYPTION: _encryption}
    return {path: json.dumps(make(), indent=2) + "\n" for path, make in made.items() if path in wanted and not files.exists(path)}


def is_hardened(cluster: Mapping[str, Any]) -> bool:
    """Return whether a ClusterConfiguration has the settings of `control_plane_hardened`."""
    return any(argument["value"] == ENCRYPTION for argument in cluster["apiServer"].get("extraArgs", ()))


def unneeded_files(cluster: Mapping[str, Any], files: HostFiles) -> list[str]:
    """Return the kubeconfig with which init grants admin.conf its rights, if the host can issue another one.

    It is of the group system:masters, which RBAC cannot limit, and kubeadm needs it only for that (EnsureAdminClusterRoleBinding in
    cmd/kubeadm/app/phases/kubeconfig/kubeconfig.go); certs renew and upgrade do without it.
    """
    return [SUPER_ADMIN_CONF] if is_hardened(cluster) and files.exists(CA_KEY) and files.exists(SUPER_ADMIN_CONF) else []


def unneeded(cluster: Mapping[str, Any], files: HostFiles) -> list[Finding]:
    """Return a finding for each of these files, on a control plane that this run did not create."""
    expected = "none after init, as it bypasses RBAC"
    fix = (
        "Remove it, or move it to where you keep the passphrase of your backups. If you need it again, run "
        "`kubeadm init phase kubeconfig super-admin` on this host."
    )
    return [
        Finding("no_kubeconfig_bypasses_rbac", "warning", path, "a kubeconfig of the group system:masters", expected, fix)
        for path in unneeded_files(cluster, files)
    ]


def refuse_unreadable_secrets(cluster: Mapping[str, Any], files: HostFiles) -> None:
    """Without the key, the API server could no longer read the Secrets that it has encrypted."""
    wanted = {argument["value"] for argument in cluster["apiServer"].get("extraArgs", ())}
    is_used = encrypts(files) or (files.exists(ENCRYPTION) and not files.exists(f"{MANIFESTS}/kube-apiserver.yaml"))
    if is_used and ENCRYPTION not in wanted:
        raise Refusal(
            "encryption-provider-config of the API server",
            f"no {ENCRYPTION} in the configuration, but it is in use",
            "the key that Secrets are encrypted with",
            "Set `control_plane_hardened: true`, and do not set this argument in control_plane_apiserver_extra_args.",
        )


def with_verification(cluster: Mapping[str, Any], *, is_on: bool, own: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """Return a ClusterConfiguration with which clients verify kubelets, scheduler and controller manager, or without it.

    An argument that has another value stays, and all others stay in their order. own: a ClusterConfiguration whose arguments stay, too.
    """
    changed = dict(cluster)
    for component, arguments in SERVING.items():
        part = dict(changed.get(component) or {})
        ours = [{"name": name, "value": value} for name, value in arguments.items()]
        _set(part, "extraArgs", _with(part, ours) if is_on else _without(part, "extraArgs", ours, own.get(component)))
        if component == "scheduler":
            volumes = list(part.get("extraVolumes") or ())
            added = [dict(one) for one in _SCHEDULER_VOLUMES if one not in volumes]
            rest = _without(part, "extraVolumes", _SCHEDULER_VOLUMES, own.get(component))
            _set(part, "extraVolumes", [*volumes, *added] if is_on else rest)
        if part or component in changed:  # kubeadm stores an empty one
            changed[component] = part
    return changed


def _with(part: Mapping[str, Any], ours: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Return the arguments with those of ours whose names are not there, each before the first with a later name."""
    arguments = list(part.get("extraArgs") or ())
    names = {one["name"] for one in arguments}
    for new in ours:
        if new["name"] not in names:
            later = (index for index, one in enumerate(arguments) if one["name"] > new["name"])
            arguments.insert(next(later, len(arguments)), new)
    return arguments


def _without(part: Mapping[str, Any], key: str, ours: Sequence[Mapping[str, Any]], own: Optional[Mapping[str, Any]]) -> list[Any]:
    kept = (own or {}).get(key) or ()
    return [one for one in part.get(key) or () if one not in ours or one in kept]


def _set(thing: dict[str, Any], key: str, value: list[Any]) -> None:
    """Set a list as kubeadm writes it: an empty one is left out."""
    if value == thing.get(key):
        return
    if value:
        thing[key] = value
    else:
        thing.pop(key, None)


def in_one(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings about settings of a running cluster, with those about hardening in one, as they have one next step."""
    others = list(findings)
    merged = []
    for rule, paths, expected, fix in _TOGETHER:
        ours = [one for one in others if one.subject.endswith(paths)]
        others = [one for one in others if one not in ours]
        if ours:
            settings = ", ".join(one.subject.rpartition(": ")[2] for one in ours)
            merged.append(Finding(rule, "warning", "this control plane", f"other values of {settings}", expected, fix))
    return [*others, *merged]


_PATHS = (
    *(f".apiServer.extraArgs.{name}" for name in APISERVER),
    *(f".{component}.extraArgs.{name}" for component in ("controllerManager", "scheduler") for name in OTHERS),
    *(f"KubeletConfiguration.{name}" for name in KUBELET),
    ".apiServer.extraVolumes",
)
_SERVING_PATHS = (
    *(f".{component}.extraArgs.{name}" for component, arguments in SERVING.items() for name in arguments),
    ".scheduler.extraVolumes",
    f"KubeletConfiguration.{SERVING_SETTING}",
)
_TOGETHER = (
    (
        "the_control_plane_is_hardened",
        _PATHS,
        "the settings of `control_plane_hardened`",
        "Follow `Harden an existing cluster` in the README of the role control_plane, or set `control_plane_hardened: false`.",
    ),
    (
        "kubelets_are_verified",
        _SERVING_PATHS,
        "kubelets that serve certificates of the cluster's CA",
        "Set `control_plane_kubelet_certificates: cluster`, and run site.yml while all hosts are awake; or set `self_signed`.",
    ),
)


def _encryption() -> Mapping[str, Any]:
    key = {"name": "key1", "secret": base64.b64encode(secrets.token_bytes(32)).decode()}
    # the last provider reads what was stored before encryption was turned on
    providers = [{"secretbox": {"keys": [key]}}, {"identity": {}}]
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": ["secrets"], "providers": providers}],
    }
