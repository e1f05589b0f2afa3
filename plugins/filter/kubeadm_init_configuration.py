# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: kubeadm_init_configuration
short_description: kubeadm's configuration of a control plane, from the network plan
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Renders the documents that C(kubeadm init) reads, C(InitConfiguration), C(ClusterConfiguration), C(KubeletConfiguration) and
    C(KubeProxyConfiguration), as the option O(vmstation.cluster.kubeadm_control_plane#module:configuration) takes them.
  - Addresses, ranges and ports come from the network plan. A setting of one's own that says something else is refused.
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
    description: The host's addresses in the plan, one or one of each family. The API server advertises that of the primary service network.
    type: list
    elements: str
    required: true
  release:
    description: The full version of Kubernetes, like V(1.36.4). It must belong to the minor version that the plan says.
    type: str
    required: true
  cluster_name:
    description: The name of the cluster, which kubeconfig files use.
    type: str
    default: kubernetes
  endpoint:
    description: Where nodes and people reach the API, a name or an address, with or without a port. Empty means the host's address.
    type: str
    default: ""
  cert_sans:
    description: More names and addresses for the API server's certificate.
    type: list
    elements: str
    default: []
  schedulable:
    description: Whether the node takes Pods that do not tolerate the control plane's taint.
    type: bool
    default: false
  cri_socket:
    description: Where the container runtime answers.
    type: str
    default: unix:///run/containerd/containerd.sock
  kube_proxy_mode:
    description: How kube-proxy leads packets to Services.
    type: str
    choices: [iptables, nftables]
    default: iptables
  kubelet_configuration:
    description: Fields of C(KubeletConfiguration) that are laid over the rendered ones.
    type: dict
    default: {}
  kube_proxy_configuration:
    description: Fields of C(KubeProxyConfiguration) that are laid over the rendered ones.
    type: dict
    default: {}
  apiserver_extra_args:
    description: Arguments of the API server, without dashes. A list of values repeats the argument.
    type: dict
    default: {}
  controller_manager_extra_args:
    description: Arguments of the controller manager.
    type: dict
    default: {}
  scheduler_extra_args:
    description: Arguments of the scheduler.
    type: dict
    default: {}
  ignore_preflight_errors:
    description: kubeadm's preflight checks whose errors are warnings.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds that C(kubeadm init) may take. kubeadm waits for the control plane's components for two minutes less.
    type: int
    default: 600
seealso:
  - module: vmstation.cluster.kubeadm_control_plane
"""

EXAMPLES = r"""
- name: Make the host a control plane
  vmstation.cluster.kubeadm_control_plane:
    configuration: "{{ network_plan | vmstation.cluster.kubeadm_init_configuration('masternode', ['192.168.4.63'], '1.36.4') }}"
  become: true

- name: Show the configuration with settings of one's own
  ansible.builtin.debug:
    msg: >-
      {{ network_plan | vmstation.cluster.kubeadm_init_configuration(
           'masternode', ['192.168.4.63'], '1.36.4', kubelet_configuration={'maxPods': 200}) }}
"""

RETURN = r"""
_value:
  description: The four documents.
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
    )
    host = ControlPlane(
        name, addresses, release, cluster_name, endpoint, schedulable, cri_socket, kube_proxy_mode, ignore_preflight_errors, extras, timeout
    )
    try:
        return init_documents(plan, host)
    except Refusal as refusal:
        raise AnsibleFilterError(f"kubeadm_init_configuration: {refusal}") from refusal


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"kubeadm_init_configuration": kubeadm_init_configuration}
