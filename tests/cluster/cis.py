# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the CIS Kubernetes Benchmark 1.12 about what kubeadm and the roles write on a host, and the table of docs/cis-benchmark.md.

`PYTHONPATH=collections python -m tests.cluster.cis` writes the table again.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cis-benchmark.md"
BEGIN, END = "<!-- table: checks -->\n", "<!-- end -->"
PKI = "/etc/kubernetes/pki"


class HostFiles:
    """What kubeadm has written below a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def mode(self, path: str) -> int:
        return stat.S_IMODE((self.root / path.lstrip("/")).stat().st_mode)

    def is_roots(self, path: str) -> bool:
        found = (self.root / path.lstrip("/")).stat()
        return (found.st_uid, found.st_gid) == (0, 0)

    def below(self, path: str, pattern: str) -> list[str]:
        return [f"/{one.relative_to(self.root)}" for one in sorted((self.root / path.lstrip("/")).rglob(pattern))]

    def flags(self, component: str) -> dict[str, str]:
        """The last value of each argument of a static Pod."""
        pod = yaml.safe_load((self.root / f"etc/kubernetes/manifests/{component}.yaml").read_text())
        words = [word[2:].partition("=") for word in pod["spec"]["containers"][0]["command"] if word.startswith("--")]
        return {name: value for name, _equals, value in words}

    def listed(self, component: str, flag: str) -> set[str]:
        return set(self.flags(component).get(flag, "").split(",")) - {""}

    @property
    def kubelet(self) -> dict[str, Any]:
        return dict(yaml.safe_load((self.root / "var/lib/kubelet/config.yaml").read_text()))

    @property
    def proxy(self) -> dict[str, Any]:
        documents = yaml.safe_load_all((self.root / "kubeadm.yaml").read_text())
        return next(one for one in documents if one["kind"] == "KubeProxyConfiguration")


@dataclass(frozen=True)
class Check:
    """number, title: of the benchmark. holds: whether a host passes. reason: why it may fail; empty for a check that passes."""

    number: str
    title: str
    holds: Callable[[HostFiles], bool]
    reason: str = ""


def _private(*paths: str) -> Callable[[HostFiles], bool]:
    return lambda host: all(not host.mode(path) & 0o177 for path in paths)


def _root(*paths: str) -> Callable[[HostFiles], bool]:
    return lambda host: all(host.is_roots(path) for path in paths)


def _is(component: str, flag: str, value: str) -> Callable[[HostFiles], bool]:
    return lambda host: host.flags(component).get(flag) == value


def _set(component: str, *flags: str) -> Callable[[HostFiles], bool]:
    return lambda host: all(host.flags(component).get(flag) for flag in flags)


def _unset(component: str, flag: str, but: str = "") -> Callable[[HostFiles], bool]:
    return lambda host: host.flags(component).get(flag, but) == but


def _at_least(component: str, flag: str, number: int) -> Callable[[HostFiles], bool]:
    return lambda host: int(host.flags(component).get(flag, "0")) >= number


API, MANAGER, SCHEDULER, ETCD = "kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"
_ADMISSION = "enable-admission-plugins"
_FILES = [
    (f"1.1.{number}", f"1.1.{number + 1}", path)
    for number, path in [
        *((1 + 2 * at, f"/etc/kubernetes/manifests/{name}.yaml") for at, name in enumerate((API, MANAGER, SCHEDULER, ETCD))),
        *((13 + 2 * at, f"/etc/kubernetes/{name}.conf") for at, name in enumerate(("admin", "scheduler", "controller-manager"))),
    ]
]
NO_SECRET = "It is kubeadm's file and has no secret."
SCRAPED = "Prometheus scrapes it. Requests need a token, and the firewall admits only the hosts and Pods."
GO_CIPHERS = "Go's defaults have no weak cipher suite, and follow its releases."
CHECKS = [
    *(
        check
        for mode, owner, path in _FILES
        for check in (
            Check(mode, f"{path} has mode 600 or stricter", _private(path)),
            Check(owner, f"{path} belongs to root:root", _root(path)),
        )
    ),
    Check("1.1.11", "The etcd data directory has mode 700", lambda host: host.mode("/var/lib/etcd") == 0o700),
    Check(
        "1.1.12",
        "The etcd data directory belongs to etcd:etcd",
        lambda host: not host.is_roots("/var/lib/etcd"),
        "kubeadm runs etcd as root, which owns the directory.",
    ),
    Check("1.1.19", f"{PKI} belongs to root:root", lambda host: all(map(host.is_roots, [PKI, *host.below(PKI, "*")]))),
    Check(
        "1.1.20", "Certificates have mode 644 or stricter", lambda host: all(not host.mode(one) & 0o133 for one in host.below(PKI, "*.crt"))
    ),
    Check("1.1.21", "Keys have mode 600", lambda host: all(host.mode(one) == 0o600 for one in host.below(PKI, "*.key"))),
    Check(
        "1.2.1",
        "API server: anonymous-auth is false",
        _is(API, "anonymous-auth", "false"),
        "kubeadm join reads cluster-info, and the kubelet's probes read /livez without an account. RBAC grants no more.",
    ),
    Check("1.2.2", "API server: token-auth-file is not set", _unset(API, "token-auth-file")),
    Check(
        "1.2.3",
        "API server: DenyServiceExternalIPs is set",
        lambda host: "DenyServiceExternalIPs" in host.listed(API, _ADMISSION),
        "Only administrators may create Services. Add it to control_plane_apiserver_extra_args if you give others this right.",
    ),
    Check("1.2.4", "API server: kubelet-client-certificate and key are set", _set(API, "kubelet-client-certificate", "kubelet-client-key")),
    Check("1.2.5", "API server: kubelet-certificate-authority is set", _is(API, "kubelet-certificate-authority", f"{PKI}/ca.crt")),
    Check(
        "1.2.6",
        "API server: authorization-mode is not AlwaysAllow",
        lambda host: "AlwaysAllow" not in host.listed(API, "authorization-mode"),
    ),
    Check("1.2.7", "API server: authorization-mode includes Node", lambda host: "Node" in host.listed(API, "authorization-mode")),
    Check("1.2.8", "API server: authorization-mode includes RBAC", lambda host: "RBAC" in host.listed(API, "authorization-mode")),
    Check(
        "1.2.9",
        "API server: EventRateLimit is set",
        lambda host: "EventRateLimit" in host.listed(API, _ADMISSION),
        "It is an alpha feature of Kubernetes. API priority and fairness limits clients.",
    ),
    Check("1.2.10", "API server: AlwaysAdmit is not set", lambda host: "AlwaysAdmit" not in host.listed(API, _ADMISSION)),
    Check(
        "1.2.11",
        "API server: AlwaysPullImages is set",
        lambda host: "AlwaysPullImages" in host.listed(API, _ADMISSION),
        "Pods could not start while the registry cannot be reached, or with images from a directory.",
    ),
    Check("1.2.12", "API server: ServiceAccount is not disabled", _unset(API, "disable-admission-plugins")),
    Check("1.2.13", "API server: NamespaceLifecycle is not disabled", _unset(API, "disable-admission-plugins")),
    Check("1.2.14", "API server: NodeRestriction is set", lambda host: "NodeRestriction" in host.listed(API, _ADMISSION)),
    Check("1.2.15", "API server: profiling is false", _is(API, "profiling", "false")),
    Check("1.2.16", "API server: audit-log-path is set", _set(API, "audit-log-path")),
    Check("1.2.17", "API server: audit-log-maxage is 30 or more", _at_least(API, "audit-log-maxage", 30)),
    Check(
        "1.2.18",
        "API server: audit-log-maxbackup is 10 or more",
        _at_least(API, "audit-log-maxbackup", 10),
        "5 files of 50 MB bound the log to 300 MB on the file system of etcd.",
    ),
    Check(
        "1.2.19",
        "API server: audit-log-maxsize is 100 or more",
        _at_least(API, "audit-log-maxsize", 100),
        "5 files of 50 MB bound the log to 300 MB on the file system of etcd.",
    ),
    Check("1.2.20", "API server: request-timeout is the default", _unset(API, "request-timeout")),
    Check("1.2.21", "API server: service-account-lookup is not false", _unset(API, "service-account-lookup", "true")),
    Check("1.2.22", "API server: service-account-key-file is set", _set(API, "service-account-key-file")),
    Check("1.2.23", "API server: etcd-certfile and etcd-keyfile are set", _set(API, "etcd-certfile", "etcd-keyfile")),
    Check("1.2.24", "API server: tls-cert-file and tls-private-key-file are set", _set(API, "tls-cert-file", "tls-private-key-file")),
    Check("1.2.25", "API server: client-ca-file is set", _set(API, "client-ca-file")),
    Check("1.2.26", "API server: etcd-cafile is set", _set(API, "etcd-cafile")),
    Check("1.2.27", "API server: encryption-provider-config is set", _set(API, "encryption-provider-config")),
    Check("1.2.29", "API server: strong cipher suites only", _set(API, "tls-cipher-suites"), GO_CIPHERS),
    Check(
        "1.2.30",
        "API server: service-account-extend-token-expiration is false",
        _is(API, "service-account-extend-token-expiration", "false"),
    ),
    Check(
        "1.3.1",
        "Controller manager: terminated-pod-gc-threshold is set",
        _set(MANAGER, "terminated-pod-gc-threshold"),
        "The default of 12500 is far from what a cluster of this size has.",
    ),
    Check("1.3.2", "Controller manager: profiling is false", _is(MANAGER, "profiling", "false")),
    Check("1.3.3", "Controller manager: use-service-account-credentials is true", _is(MANAGER, "use-service-account-credentials", "true")),
    Check("1.3.4", "Controller manager: service-account-private-key-file is set", _set(MANAGER, "service-account-private-key-file")),
    Check("1.3.5", "Controller manager: root-ca-file is set", _set(MANAGER, "root-ca-file")),
    Check(
        "1.3.6",
        "Controller manager: RotateKubeletServerCertificate is not false",
        lambda host: "RotateKubeletServerCertificate=false" not in host.listed(MANAGER, "feature-gates"),
    ),
    Check("1.3.7", "Controller manager: bind-address is 127.0.0.1", _is(MANAGER, "bind-address", "127.0.0.1"), SCRAPED),
    Check("1.4.1", "Scheduler: profiling is false", _is(SCHEDULER, "profiling", "false")),
    Check("1.4.2", "Scheduler: bind-address is 127.0.0.1", _is(SCHEDULER, "bind-address", "127.0.0.1"), SCRAPED),
    Check("2.1", "etcd: cert-file and key-file are set", _set(ETCD, "cert-file", "key-file")),
    Check("2.2", "etcd: client-cert-auth is true", _is(ETCD, "client-cert-auth", "true")),
    Check("2.3", "etcd: auto-tls is not true", _unset(ETCD, "auto-tls", "false")),
    Check("2.4", "etcd: peer-cert-file and peer-key-file are set", _set(ETCD, "peer-cert-file", "peer-key-file")),
    Check("2.5", "etcd: peer-client-cert-auth is true", _is(ETCD, "peer-client-cert-auth", "true")),
    Check("2.6", "etcd: peer-auto-tls is not true", _unset(ETCD, "peer-auto-tls", "false")),
    Check("2.7", "etcd has a CA of its own", lambda host: host.flags(ETCD)["trusted-ca-file"] != host.flags(API)["client-ca-file"]),
    Check("3.2.1", "There is an audit policy", _set(API, "audit-policy-file")),
    Check("4.1.5", "/etc/kubernetes/kubelet.conf has mode 600 or stricter", _private("/etc/kubernetes/kubelet.conf")),
    Check("4.1.6", "/etc/kubernetes/kubelet.conf belongs to root:root", _root("/etc/kubernetes/kubelet.conf")),
    Check("4.1.7", "The clients' CA file has mode 644 or stricter", lambda host: not host.mode(f"{PKI}/ca.crt") & 0o133),
    Check("4.1.8", "The clients' CA file belongs to root:root", _root(f"{PKI}/ca.crt")),
    Check("4.1.9", "The kubelet's configuration has mode 600 or stricter", _private("/var/lib/kubelet/config.yaml"), NO_SECRET),
    Check("4.1.10", "The kubelet's configuration belongs to root:root", _root("/var/lib/kubelet/config.yaml")),
    Check("4.2.1", "Kubelet: anonymous access is off", lambda host: host.kubelet["authentication"]["anonymous"]["enabled"] is False),
    Check("4.2.2", "Kubelet: authorization is not AlwaysAllow", lambda host: host.kubelet["authorization"]["mode"] == "Webhook"),
    Check("4.2.3", "Kubelet: the clients' CA is set", lambda host: bool(host.kubelet["authentication"]["x509"]["clientCAFile"])),
    Check("4.2.4", "Kubelet: the read-only port is off", lambda host: host.kubelet.get("readOnlyPort", 0) == 0),
    # 0 stands for the default of four hours in what kubeadm writes
    Check(
        "4.2.5", "Kubelet: streamingConnectionIdleTimeout is not off", lambda host: host.kubelet["streamingConnectionIdleTimeout"] == "0s"
    ),
    Check("4.2.6", "Kubelet: makeIPTablesUtilChains is true", lambda host: host.kubelet.get("makeIPTablesUtilChains", True) is True),
    Check(
        "4.2.7",
        "Kubelet: hostname-override is not set",
        lambda host: "--hostname-override" not in (host.root / "var/lib/kubelet/kubeadm-flags.env").read_text(),
        "kubeadm sets it if the node's name in the inventory is not the hostname.",
    ),
    Check("4.2.8", "Kubelet: eventRecordQPS is the default or more", lambda host: host.kubelet.get("eventRecordQPS", 50) >= 50),
    Check(
        "4.2.9",
        "Kubelet: it serves a certificate that clients can verify",
        lambda host: host.kubelet.get("serverTLSBootstrap") is True,
    ),
    Check("4.2.10", "Kubelet: rotateCertificates is true", lambda host: host.kubelet["rotateCertificates"] is True),
    Check("4.2.11", "Kubelet: RotateKubeletServerCertificate is not false", lambda host: not host.kubelet.get("featureGates")),
    Check("4.2.12", "Kubelet: strong cipher suites only", lambda host: bool(host.kubelet.get("tlsCipherSuites")), GO_CIPHERS),
    Check("4.2.13", "Kubelet: podPidsLimit is set", lambda host: host.kubelet.get("podPidsLimit", 0) > 0),
    Check("4.2.14", "Kubelet: seccompDefault is true", lambda host: host.kubelet.get("seccompDefault") is True),
    Check(
        "earlier",
        "Kubelet: protectKernelDefaults is true",
        lambda host: host.kubelet.get("protectKernelDefaults") is True,
        "Release 1.12 does not have it. It would stop kubelets on hosts whose kernel settings differ, instead of setting them.",
    ),
    Check(
        "4.3.1",
        "kube-proxy: metrics on localhost only",
        lambda host: host.proxy.get("metricsBindAddress", "127.0.0.1").startswith("127."),
        "Prometheus scrapes it. The firewall admits only the hosts and Pods; there is nothing but metrics.",
    ),
    Check(
        "5.1.7",
        "super-admin.conf, of the group system:masters, is not on the host",
        lambda host: not (host.root / "etc/kubernetes/super-admin.conf").exists(),
    ),
]


def table() -> str:
    rows = [f"| {one.number} | {one.title} | {'FAIL' if one.reason else 'PASS'} | {one.reason} |" for one in CHECKS]
    return "\n".join(["| Check | Requirement | Result | Reason |", "| --- | --- | --- | --- |", *rows, ""])


def renewed(page: str) -> str:
    head, _begin, rest = page.partition(BEGIN)
    return head + BEGIN + table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text()))
