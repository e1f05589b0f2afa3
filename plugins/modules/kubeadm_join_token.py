#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_join_token
short_description: Create a bootstrap token that lets workers join during one run
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Runs on a control plane. Creates a bootstrap token with a short lifetime, or removes the tokens that this module created.
  - Its tokens are recognized by their description. Other tokens are not changed.
  - In both cases it returns the address of the cluster and the pins of its CA.
attributes:
  check_mode:
    support: full
    details:
      - On a host that is not a control plane yet, check mode predicts, with an empty RV(api_server_endpoint).
  diff_mode:
    support: none
    details:
      - There is no diff, because it would show a secret.
  idempotent:
    support: partial
    details:
      - O(state=absent) is idempotent. O(state=present) creates a new token each time, because the secret of an earlier one is not stored.
  platform:
    platforms: linux
options:
  state:
    description:
      - V(present) removes the tokens of earlier runs and creates a new one.
      - V(absent) removes all tokens that this module created, including those of killed runs.
    type: str
    choices: [present, absent]
    default: present
  ttl:
    description:
      - The lifetime of the token in hours, minutes and seconds, such as V(30m) or V(1h30m), up to V(24h).
    type: str
    default: 30m
  kubeconfig:
    description:
      - The path of an administrator's kubeconfig on the host that the module runs on.
    type: path
    default: /etc/kubernetes/admin.conf
notes:
  - The result contains a secret. Set C(no_log) for a task that creates a token.
  - Two simultaneous runs for one cluster remove each other's tokens.
seealso:
  - module: vmstation.cluster.kubeadm_worker
extends_documentation_fragment:
  - vmstation.cluster.attributes
"""

EXAMPLES = r"""
- name: Create a token for this run
  vmstation.cluster.kubeadm_join_token:
  become: true
  no_log: true
  register: join_token

- name: Remove the token and those of killed runs
  vmstation.cluster.kubeadm_join_token:
    state: absent
  become: true
"""

RETURN = r"""
token:
  description: The token, a secret. Empty in check mode and with O(state=absent).
  returned: success
  type: str
api_server_endpoint:
  description: The host and port of the API server. Empty if unknown in check mode.
  returned: success
  type: str
  sample: 192.168.4.63:6443
ca_cert_hashes:
  description: The pins of the cluster's CA, as kubeadm takes them.
  returned: success
  type: list
  elements: str
  sample: ["sha256:6ae249b453b1aaffcc317dec1320d923124e59c3ac979eabcf37672b521e0498"]
removed:
  description: The IDs of the tokens that were removed, or would be in check mode. They are not secret.
  returned: success
  type: list
  elements: str
  sample: [x4kq0v]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import HostCommands
from ansible_collections.vmstation.cluster.plugins.module_utils._host.files import LocalFiles
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.join import Host, Wish, ensure_tokens
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._timing import SystemClock

ARGUMENTS = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "ttl": {"type": "str", "default": "30m"},
    "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    host = Host(HostCommands(), LocalFiles(), SystemClock())
    try:
        outcome = ensure_tokens(host, Wish(**module.params), module.check_mode)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(
        changed=outcome.changed,
        token=outcome.token,
        api_server_endpoint=outcome.endpoint,
        ca_cert_hashes=list(outcome.ca_cert_hashes),
        removed=list(outcome.removed),
    )


if __name__ == "__main__":
    main()
