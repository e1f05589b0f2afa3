#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: calico_info
short_description: Read the state of Calico in a cluster
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Reads the state of Calico from the Kubernetes API, without checking it. To check it, use M(vmstation.cluster.calico_check).
  - Reads one list each of Nodes, Pods of calico-node, DaemonSets, IPPools, BlockAffinities, FelixConfigurations, BGPConfigurations,
    BGPPeers and CalicoNodeStatuses, however many nodes there are.
  - Calico's own kinds are read as C(projectcalico.org/v3) if the API server serves them, otherwise as C(crd.projectcalico.org/v1).
  - A list that the API server denies is V(null), and RV(unknown) names the missing permission.
attributes:
  platform:
    platforms: posix
seealso:
  - module: vmstation.cluster.calico_check
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
  - vmstation.cluster.kubeconfig
"""

EXAMPLES = r"""
- name: Read the state of Calico
  vmstation.cluster.calico_info:
    kubeconfig: ~/.kube/vmstation.config
  delegate_to: localhost
  run_once: true
  register: calico

- name: Show the BGP sessions of each node
  ansible.builtin.debug:
    msg: "{{ item.name }}: {{ item.bgp.established | default([]) | join(' ') }}"
  loop: "{{ calico.nodes }}"
  loop_control:
    label: "{{ item.name }}"
"""

RETURN = r"""
api_calls:
  description: The number of requests to the API server.
  returned: when the API server answered
  type: int
  sample: 13
api_version:
  description: The API version in which Calico's kinds are served. Empty if Calico is not installed.
  returned: when the API server answered
  type: str
  sample: crd.projectcalico.org/v1
daemon_set:
  description: The DaemonSet calico-node. V(null) if it does not exist.
  returned: when the API server answered
  type: dict
  contains:
    namespace:
      description: The namespace of the DaemonSet.
      type: str
      returned: always
    name:
      description: The name of the DaemonSet.
      type: str
      returned: always
    image:
      description: The image of the container calico-node.
      type: str
      returned: always
    readiness:
      description: The command of the readiness probe, as a list of words.
      type: list
      elements: str
      returned: always
    desired:
      description: The desired number of Pods.
      type: int
      returned: always
    ready:
      description: The number of ready Pods.
      type: int
      returned: always
    uses_typha:
      description: Whether calico-node connects to Typha instead of the API server.
      type: bool
      returned: always
      version_added: 0.3.0
  sample:
    namespace: kube-system
    name: calico-node
    image: quay.io/calico/node:v3.32.1
    readiness: [/bin/calico-node, -felix-ready, -bird-ready]
    desired: 3
    ready: 3
    uses_typha: false
nodes:
  description: All Nodes.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    name:
      description: The name of the Node.
      type: str
      returned: always
    ready:
      description: The status of the condition Ready, C(True), C(False) or C(Unknown).
      type: str
      returned: always
    network_unavailable:
      description: The status of the condition NetworkUnavailable. calico-node sets it to C(False) only once, so it does not show that
        calico-node is running.
      type: str
      returned: always
    addresses:
      description: The addresses that calico-node has detected and uses.
      type: list
      elements: str
      returned: always
    tunnels:
      description: The addresses of the Node's tunnels, by kind and IP version.
      type: dict
      returned: always
    is_route_reflector:
      description: Whether the Node is a route reflector, and therefore not in the mesh.
      type: bool
      returned: always
    calico_node:
      description: The Node's Pod of calico-node with C(name), C(namespace), C(ready), C(trouble) and C(restarts). V(null) if there is none.
      type: dict
      returned: always
    bgp:
      description: The content of the Node's CalicoNodeStatus. V(null) if there is none. C(updated) is the time of the last change, not of
        the last check.
      type: dict
      returned: always
  sample:
    - name: homelab
      ready: "True"
      network_unavailable: "False"
      addresses: [192.168.4.62]
      tunnels: {IPIPv4: 10.244.12.64}
      is_route_reflector: false
      calico_node: {name: calico-node-x7k2p, namespace: kube-system, ready: true, trouble: "", restarts: 0}
      bgp:
        updated: "2026-11-23T06:41:00+00:00"
        bird: {v4: Ready, v6: NotReady}
        established: [192.168.4.61, 192.168.4.63]
        not_established: []
pools:
  description: The IPPools, with Calico's defaults for omitted fields.
  returned: when the API server answered
  type: list
  elements: dict
  sample:
    - name: default-ipv4-ippool
      cidr: 10.244.0.0/16
      block_size: 26
      ipip_mode: Always
      vxlan_mode: Never
      nat_outgoing: true
      disabled: false
      node_selector: all()
      allowed_uses: [Workload, Tunnel]
blocks:
  description: The address blocks of nodes, without released blocks.
  returned: when the API server answered
  type: list
  elements: dict
  sample: [{cidr: 10.244.12.64/26, node: homelab, state: confirmed}]
felix:
  description: The FelixConfiguration C(default).
  returned: when the API server answered
  type: dict
  sample: {prometheusMetricsEnabled: true, prometheusMetricsPort: 9091}
bgp:
  description: The BGPConfiguration C(default).
  returned: when the API server answered
  type: dict
  sample: {nodeToNodeMeshEnabled: true}
bgp_peers:
  description: The BGPPeers. C(is_derivable) is true if node and address alone define the sessions.
  returned: when the API server answered
  type: list
  elements: dict
  sample: [{name: router, node: "", address: 192.168.4.1, is_derivable: true}]
unknown:
  description: What could not be read, and the missing permission.
  returned: when the API server answered
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmstation.cluster.plugins.module_utils._calico import survey
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.api import (
    KUBECONFIG_ARGUMENTS,
    KUBERNETES_IMPORT_ERROR,
    KubernetesApi,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal


def main() -> None:
    module = AnsibleModule(argument_spec=KUBECONFIG_ARGUMENTS, supports_check_mode=True)
    if KUBERNETES_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=KUBERNETES_IMPORT_ERROR)
    try:
        api = KubernetesApi(module.params["kubeconfig"], module.params["context"])
        facts = survey.look(api)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(changed=False, api_calls=api.calls, **survey.as_data(facts))


if __name__ == "__main__":
    main()
