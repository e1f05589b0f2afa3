# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: kubeadm_init_configuration
short_description: Render kubeadm's configuration of a control plane from the network plan
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Renders the documents that C(kubeadm init) reads, C(InitConfiguration), C(ClusterConfiguration), C(KubeletConfiguration) and
    C(KubeProxyConfiguration), in the form that O(vmstation.cluster.kubeadm_control_plane#module:configuration) takes.
  - Addresses, ranges and ports come from the network plan. A custom setting that contradicts the plan is rejected.
positional: name, addresses, release
options:
  _input:
    description: The network plan.
    type: dict
    required: true
  name:
    description: The name of the node.
    type: str
    required: true
  addresses:
    description: The addresses of the host in the plan, one or one of each IP version. The API server advertises the one of the primary
      service network.
    type: list
    elements: str
    required: true
  release:
    description: The full version of Kubernetes, for example V(1.36.4). It must belong to the minor version in the plan.
    type: str
    required: true
  cluster_name:
    description: The name of the cluster in kubeconfig files.
    type: str
    default: kubernetes
  endpoint:
    description: The address or name of the API server for nodes and users, with or without a port. Empty means the address of the host.
    type: str
    default: ""
  cert_sans:
    description: Additional names and addresses for the API server's certificate.
    type: list
    elements: str
    default: []
  schedulable:
    description: Whether the node accepts Pods that do not tolerate the control plane's taint.
    type: bool
    default: false
  cri_socket:
    description: The socket of the container runtime, as a URL.
    type: str
    default: unix:///run/containerd/containerd.sock
  kube_proxy_mode:
    description: The mode of kube-proxy.
    type: str
    choices: [iptables, nftables]
    default: iptables
  kubelet_configuration:
    description: Fields of C(KubeletConfiguration) that are merged into the rendered ones.
    type: dict
    default: {}
  kube_proxy_configuration:
    description: Fields of C(KubeProxyConfiguration) that are merged into the rendered ones.
    type: dict
    default: {}
  apiserver_extra_args:
    description: Arguments of the API server, without leading dashes. A list of values repeats the argument.
    type: dict
    default: {}
  controller_manager_extra_args:
    description: Arguments of the controller manager, in the same form.
    type: dict
    default: {}
  scheduler_extra_args:
    description: Arguments of the scheduler, in the same form.
    type: dict
    default: {}
  apiserver_extra_volumes:
    description: Directories and files of the host for the API server, each an entry of C(apiServer.extraVolumes).
    type: list
    elements: dict
    default: []
  hardened:
    description:
      - Whether to add an audit log, encryption of Secrets in etcd, and limits for Pods, and to turn profiling off.
      - M(vmstation.cluster.kubeadm_control_plane) writes the files that this needs, among them a new key.
    type: bool
    default: true
  kubelet_certificates:
    description:
      - Whether kubelets request certificates from the cluster, and the API server verifies them. Each request must be approved, as
        M(vmstation.cluster.kubelet_approver) does it.
    type: bool
    default: true
  ignore_preflight_errors:
    description: Preflight checks of kubeadm whose errors are treated as warnings.
    type: list
    elements: str
    default: []
  timeout:
    description: The maximum time in seconds for C(kubeadm init). kubeadm waits two minutes less for the control plane's components.
    type: int
    default: 600
seealso:
  - module: vmstation.cluster.kubeadm_control_plane
"""

EXAMPLES = r"""
- name: Create the control plane
  vmstation.cluster.kubeadm_control_plane:
    configuration: "{{ network_plan | vmstation.cluster.kubeadm_init_configuration('masternode', ['192.168.4.63'], '1.36.4') }}"
  become: true

- name: Show the configuration with custom settings
  ansible.builtin.debug:
    msg: >-
      {{ network_plan | vmstation.cluster.kubeadm_init_configuration(
           'masternode', ['192.168.4.63'], '1.36.4', kubelet_configuration={'maxPods': 200}) }}
"""

RETURN = r"""
_value:
  description: The four documents of the configuration.
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.configuration import (
    CRI_SOCKET,
    ControlPlane,
    Extras,
    init_documents,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal


def kubeadm_init_configuration(
    plan: object,
    name: str,
    addresses: Sequence[str],
    release: str,
    *,
    cluster_name: str = "kubernetes",
    endpoint: str = "",
    cert_sans: Sequence[str] = (),
    schedulable: bool = False,
    cri_socket: str = CRI_SOCKET,
    kube_proxy_mode: str = "iptables",
    kubelet_configuration: Mapping[str, Any] | None = None,
    kube_proxy_configuration: Mapping[str, Any] | None = None,
    apiserver_extra_args: Mapping[str, Any] | None = None,
    controller_manager_extra_args: Mapping[str, Any] | None = None,
    scheduler_extra_args: Mapping[str, Any] | None = None,
    apiserver_extra_volumes: Sequence[Mapping[str, Any]] = (),
    hardened: bool = True,
    kubelet_certificates: bool = True,
    ignore_preflight_errors: Sequence[str] = (),
    timeout: int = 600,
) -> list[dict[str, Any]]:
    extras = Extras(
        kubelet=kubelet_configuration or {},
        kube_proxy=kube_proxy_configuration or {},
        apiserver=apiserver_extra_args or {},
        controller_manager=controller_manager_extra_args or {},
        scheduler=scheduler_extra_args or {},
        cert_sans=cert_sans,
        apiserver_volumes=apiserver_extra_volumes,
    )
    host = ControlPlane(
        name,
        addresses,
        release,
        cluster_name,
        endpoint,
        schedulable,
        cri_socket,
        kube_proxy_mode,
        ignore_preflight_errors,
        extras,
        timeout,
        hardened,
        kubelet_certificates,
    )
    try:
        return init_documents(plan, host)
    except Refusal as refusal:
        raise AnsibleFilterError(f"kubeadm_init_configuration: {refusal}") from refusal


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"kubeadm_init_configuration": kubeadm_init_configuration}
