#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_worker
short_description: Join a host to a cluster as a worker, and repair its membership
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Runs on the worker. Checks the state of its membership and does only what is missing. On a healthy member it changes nothing.
  - A host that is not a member joins with C(kubeadm join). So does a host that was reset, whose join was interrupted, whose credentials the
    API server rejects, or that belonged to an earlier cluster at the same address. Leftovers of these are removed first.
  - A stopped kubelet is started. A kubelet whose Node object was deleted is restarted, so that it registers again.
  - Rejected before anything is changed are a member of another cluster, a control plane, an API server that does not answer from this host
    or belongs to another cluster, a token that is invalid or expired, and versions of kubelet and kubeadm that the API server does not
    support.
attributes:
  check_mode:
    support: full
    details:
      - It returns what would be done. This needs no token.
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    platforms: linux
options:
  cluster_name:
    description:
      - The name of the cluster, in messages and in the file that marks the host as its member.
    type: str
    required: true
  api_server_endpoint:
    description:
      - The host and port of the API server, as M(vmstation.cluster.kubeadm_join_token) returns it. It may be empty only in check mode.
    type: str
    default: ""
  ca_cert_hashes:
    description:
      - The pins of the cluster's CA, as M(vmstation.cluster.kubeadm_join_token) returns them. It may be empty only in check mode.
    type: list
    elements: str
    default: []
  token:
    description:
      - The bootstrap token. It is needed only if the host must join. It is passed to kubeadm through a pipe.
    type: str
  plan:
    description:
      - The network plan. The IP versions of its networks decide which addresses the kubelet announces.
    type: dict
    required: true
  name:
    description:
      - The name of the node.
    type: str
    required: true
  addresses:
    description:
      - The addresses of the host in the plan, one or one of each IP version.
    type: list
    elements: str
    required: true
  cri_socket:
    description:
      - The socket of the container runtime, as a URL.
    type: str
    default: unix:///run/containerd/containerd.sock
  kubelet_extra_args:
    description:
      - Arguments for the kubelet of this host, without leading dashes.
    type: dict
    default: {}
  ignore_preflight_errors:
    description:
      - Preflight checks of kubeadm whose errors are treated as warnings.
    type: list
    elements: str
    default: []
  timeout:
    description:
      - The maximum time in seconds for C(kubeadm join).
    type: int
    default: 180
notes:
  - A running join continues if the connection to the host is lost. The next run waits until it has finished.
seealso:
  - module: vmstation.cluster.kubeadm_join_token
  - module: vmstation.cluster.node_ready_check
extends_documentation_fragment:
  - vmstation.cluster.attributes
"""

EXAMPLES = r"""
- name: Join the host as a worker
  vmstation.cluster.kubeadm_worker:
    cluster_name: vmstation
    api_server_endpoint: "{{ join_token.api_server_endpoint }}"
    ca_cert_hashes: "{{ join_token.ca_cert_hashes }}"
    token: "{{ join_token.token }}"
    plan: "{{ network_plan }}"
    name: "{{ inventory_hostname }}"
    addresses: ["{{ ansible_host }}"]
  become: true

- name: Check the state of the membership
  vmstation.cluster.kubeadm_worker:
    cluster_name: vmstation
    api_server_endpoint: 192.168.4.63:6443
    ca_cert_hashes: ["sha256:6ae249b453b1aaffcc317dec1320d923124e59c3ac979eabcf37672b521e0498"]
    plan: "{{ network_plan }}"
    name: "{{ inventory_hostname }}"
    addresses: ["{{ ansible_host }}"]
  become: true
  check_mode: true
"""

RETURN = r"""
node:
  description: The name of the Node object.
  returned: success
  type: str
  sample: homelab
action:
  description:
    - What was done, or would be done. V(none), V(enable) the kubelet at boot, V(start) or V(restart) it, V(reconfigure) it with the
      cluster's configuration, V(join), or V(rejoin) after leftovers are removed.
  returned: success
  type: str
  sample: join
reason:
  description: The reason for the step.
  returned: success
  type: str
  sample: homelab was no member
needs_token:
  description: Whether the step needs a token.
  returned: success
  type: bool
  sample: true
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import HostCommands
from ansible_collections.vmstation.cluster.plugins.module_utils._host.files import LocalFiles, replace_all
from ansible_collections.vmstation.cluster.plugins.module_utils._host.processes import exclusive, run_detached
from ansible_collections.vmstation.cluster.plugins.module_utils._host.web import HostWebClient
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.join_steps import Host, Ways, ensure_membership, read_wish, result
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._timing import SystemClock

ARGUMENTS = {
    "cluster_name": {"type": "str", "required": True},
    "api_server_endpoint": {"type": "str", "default": ""},
    "ca_cert_hashes": {"type": "list", "elements": "str", "default": []},
    "token": {"type": "str", "no_log": True},
    "plan": {"type": "dict", "required": True},
    "name": {"type": "str", "required": True},
    "addresses": {"type": "list", "elements": "str", "required": True},
    "cri_socket": {"type": "str", "default": "unix:///run/containerd/containerd.sock"},
    "kubelet_extra_args": {"type": "dict", "default": {}},
    "ignore_preflight_errors": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "int", "default": 180},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    host = Host(HostCommands(), LocalFiles(), HostWebClient(), SystemClock(), replace_all)
    try:
        wish = read_wish(module.params, module.check_mode)
        step = ensure_membership(host, wish, Ways(exclusive, run_detached), module.check_mode)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(**result(step, wish))


if __name__ == "__main__":
    main()
