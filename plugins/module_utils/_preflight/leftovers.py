# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an earlier cluster left on a host. A host whose kubelet serves has no leftovers, and what an interrupted run of ours left is ours.

Facts: the preflight checks of kubeadm 1.36 (``cmd/kubeadm/app/preflight/checks.go``) refuse existing kubelet configurations, static pods,
etcd data and bound ports; libcni takes the file of /etc/cni/net.d that sorts first.
"""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.mark import MARKER
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.model import (
    CniConfiguration,
    Expectations,
    HostState,
    Listener,
)

KUBELET_FILES = (
    "/etc/kubernetes/kubelet.conf",
    "/etc/kubernetes/bootstrap-kubelet.conf",
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/super-admin.conf",
    "/etc/kubernetes/controller-manager.conf",
    "/etc/kubernetes/scheduler.conf",
)
CERTIFICATES = (
    "/etc/kubernetes/pki/ca.crt",
    "/etc/kubernetes/pki/etcd/ca.crt",
    "/etc/kubernetes/pki/front-proxy-ca.crt",
)
CLUSTER_FILES = KUBELET_FILES + CERTIFICATES
OUR_MARK = MARKER

CALICO_FILE = "10-calico.conflist"
INTERFACE_OWNERS = {
    "cni0": "the bridge plugin (Flannel's)",
    "flannel.1": "Flannel",
    "flannel-v6.1": "Flannel",
    "cilium_host": "Cilium",
    "cilium_net": "Cilium",
    "cilium_vxlan": "Cilium",
    "weave": "Weave Net",
    "kube-bridge": "kube-router",
    "antrea-gw0": "Antrea",
}

NODE_PORTS = {
    179: ("bird",),
    9091: ("calico-node", "calico"),
    9099: ("calico-node", "calico"),
    10248: ("kubelet",),
    10249: ("kube-proxy",),
    10250: ("kubelet",),
    10256: ("kube-proxy",),
}
CONTROL_PLANE_PORTS = {
    2379: ("etcd",),
    2380: ("etcd",),
    2381: ("etcd",),
    6443: ("kube-apiserver",),
    10257: ("kube-controller",),
    10259: ("kube-scheduler",),
}
"""Port -> the command names that may hold it, cut to the kernel's 15 characters."""

START_OR_RESET = "Start the kubelet if this host is a node of a running cluster; else remove it with `kubeadm reset`"


def watched_ports(role: str) -> dict[int, tuple[str, ...]]:
    return {**NODE_PORTS, **CONTROL_PLANE_PORTS} if role == "control_plane" else dict(NODE_PORTS)


def kubelet_files_belong_to_a_running_kubelet(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    if state.has_a_node:
        return
    for file in KUBELET_FILES:
        if file in state.cluster_files:
            yield Finding(
                "kubelet_files_belong_to_a_running_kubelet",
                "error",
                file,
                "left by an earlier cluster: no kubelet serves on this host",
                "no such file, or a running kubelet",
                f"{START_OR_RESET}, or `rm {file}`.",
            )


def certificates_belong_to_a_running_kubelet(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    if state.has_a_node:
        return
    for file in CERTIFICATES:
        if file in state.cluster_files:
            # kubeadm takes a prepared authority, so this may be meant
            yield Finding(
                "certificates_belong_to_a_running_kubelet",
                "warning",
                file,
                "a certificate authority, and no kubelet serves on this host",
                "no such file, unless you prepared an authority for this cluster",
                f"Remove it with `rm {file}` if an earlier cluster left it; a join refuses it.",
            )


def static_pods_belong_to_a_running_kubelet(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    if state.manifests and not state.has_a_node:
        yield Finding(
            "static_pods_belong_to_a_running_kubelet",
            "error",
            "/etc/kubernetes/manifests",
            f"{', '.join(state.manifests)}, and no kubelet serves on this host",
            "an empty directory, or a running kubelet",
            f"{START_OR_RESET}: these pods would start with the next kubelet.",
        )


def etcd_data_belongs_to_a_running_etcd(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    if state.etcd_entries and "etcd" not in state.processes and not state.has_a_node:
        yield Finding(
            "etcd_data_belongs_to_a_running_etcd",
            "error",
            "/var/lib/etcd",
            f"{', '.join(state.etcd_entries)}, and no etcd runs on this host",
            "an empty directory, or a running etcd",
            "Save it if it is the only copy of a cluster's state, then remove what is in /var/lib/etcd.",
        )


def interfaces_belong_to_no_other_cni(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    if state.kubelet_is_live:
        return
    for interface in state.interfaces:
        if interface in INTERFACE_OWNERS:
            yield Finding(
                "interfaces_belong_to_no_other_cni",
                "error",
                f"network interface {interface}",
                f"left by {INTERFACE_OWNERS[interface]}; its routes draw pod traffic away from Calico",
                "no such interface",
                f"Remove it with `ip link delete {interface}`.",
            )


def cni_configuration_is_calicos(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    if state.kubelet_is_live:
        return
    for configuration in state.cni_configurations:
        path = f"/etc/cni/net.d/{configuration.file}"
        if "calico" in configuration.types:
            if state.is_ours:
                continue
            yield Finding(
                "cni_configuration_is_calicos",
                "warning",
                path,
                "Calico's, of an earlier cluster: its credentials are no longer valid",
                "no such file before Calico writes it",
                f"Remove it with `rm {path}`; until Calico replaces it, pods fail to start on this host.",
            )
        else:
            first = configuration.file < CALICO_FILE
            yield Finding(
                "cni_configuration_is_calicos",
                "error" if first else "warning",
                path,
                f"{_kind(configuration)}, which sorts {'before' if first else 'after'} Calico's {CALICO_FILE}",
                "Calico's configuration alone",
                f"Remove it with `rm {path}`; "
                + (
                    "pods would get that network instead of Calico's." if first else "pods that start before Calico would get that network."
                ),
            )


def ports_are_free(state: HostState, expected: Expectations) -> Iterator[Finding]:
    owners = watched_ports(expected.role)
    for listener in state.listeners:
        component = owners.get(listener.port)
        if component is None or (state.has_a_node and listener.process in component):
            continue
        yield Finding(
            "ports_are_free",
            "error",
            f"port {listener.port}/tcp",
            f"bound by {_holder(listener)}",
            f"free for {component[0]}",
            f"Stop it (`ss -Hltnp sport = :{listener.port}` shows it), or move it to another port.",
        )


def _kind(configuration: CniConfiguration) -> str:
    return f"a configuration of {', '.join(configuration.types)}" if configuration.types else "a file that is no CNI configuration"


def _holder(listener: Listener) -> str:
    return f"{listener.process} (pid {listener.pid})" if listener.process else "a process that cannot be seen from here"
