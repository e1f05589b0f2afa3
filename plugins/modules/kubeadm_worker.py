#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_worker
short_description: Make a host a worker of a cluster, and repair its membership
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Runs on the worker. Looks at what stands of its membership and does what is missing, nothing if it is a healthy member.
  - A host without a membership joins with C(kubeadm join). So does one that was reset, whose join was interrupted, whose credentials the
    API server rejects, or that belonged to an earlier cluster at the same address; what is left of that is cleaned up first.
  - A stopped kubelet is started. A kubelet whose Node object was deleted is restarted, upon which it registers again.
  - A member of another cluster, and a control plane, are refused. So are an API server that does not answer from this host or is another
    one, a token that is not valid (any more), and versions of kubelet and kubeadm that do not suit the API server, each before anything
    is changed.
attributes:
  check_mode:
    support: full
    details:
      - It tells what would be done. That needs no token.
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    platforms: linux
options:
  cluster_name:
    description:
      - What the cluster is called, in messages and in the file that marks the host as its member.
    type: str
    required: true
  api_server_endpoint:
    description:
      - Host and port of the API server, as M(vmstation.cluster.kubeadm_join_token) returns it. May be empty in check mode alone.
    type: str
    default: ""
  ca_cert_hashes:
    description:
      - The pins of the cluster's authority, as M(vmstation.cluster.kubeadm_join_token) returns them. May be empty in check mode alone.
    type: list
    elements: str
    default: []
  token:
    description:
      - The bootstrap token. It is needed only if the host has to join. kubeadm gets it through a pipe.
    type: str
  plan:
    description:
      - The network plan. The families of its networks decide which addresses the kubelet announces.
    type: dict
    required: true
  name:
    description:
      - The name of the node.
    type: str
    required: true
  addresses:
    description:
      - The host's addresses in the plan, one or one of each family.
    type: list
    elements: str
    required: true
  cri_socket:
    description:
      - Where the container runtime answers.
    type: str
    default: unix:///run/containerd/containerd.sock
  kubelet_extra_args:
    description:
      - Arguments for the kubelet of this host, without dashes.
    type: dict
    default: {}
  ignore_preflight_errors:
    description:
      - kubeadm's preflight checks whose errors are warnings.
    type: list
    elements: str
    default: []
  timeout:
    description:
      - Seconds that C(kubeadm join) may take.
    type: int
    default: 180
notes:
  - A join that has begun goes on when the connection to the host is lost. The next run waits for its end.
seealso:
  - module: vmstation.cluster.kubeadm_join_token
  - module: vmstation.cluster.node_ready_check
extends_documentation_fragment:
  - vmstation.cluster.attributes
"""

EXAMPLES = r"""
- name: Make the host a worker
  vmstation.cluster.kubeadm_worker:
    cluster_name: vmstation
    api_server_endpoint: "{{ join_token.api_server_endpoint }}"
    ca_cert_hashes: "{{ join_token.ca_cert_hashes }}"
    token: "{{ join_token.token }}"
    plan: "{{ network_plan }}"
    name: "{{ inventory_hostname }}"
    addresses: ["{{ ansible_host }}"]
  become: true

- name: See what stands of the membership
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
    - What was done, or would be done. V(none), V(enable) the kubelet at boot, V(start) or V(restart) it, V(join), or V(rejoin) after
      cleaning up.
  returned: success
  type: str
  sample: join
reason:
  description: What was found.
  returned: success
  type: str
  sample: homelab was no member
needs_token:
  description: Whether that needs a token.
  returned: success
  type: bool
  sample: true
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._io.clock import SystemClock
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import HostCommands
from ansible_collections.vmstation.cluster.plugins.module_utils._io.detached import run_detached
from ansible_collections.vmstation.cluster.plugins.module_utils._io.files import replace_all
from ansible_collections.vmstation.cluster.plugins.module_utils._io.host_state import LocalFiles
from ansible_collections.vmstation.cluster.plugins.module_utils._io.lock import exclusive
from ansible_collections.vmstation.cluster.plugins.module_utils._io.web_client import HostWebClient
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.join_ensure import Ways, ensure_membership, read_wish, result
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.join_steps import Host
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

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
