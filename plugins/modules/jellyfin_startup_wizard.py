#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: jellyfin_startup_wizard
short_description: Complete the startup wizard of Jellyfin
version_added: 0.2.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - A new Jellyfin has no administrator. The first client that completes its startup wizard becomes the administrator. This module completes
    it with a name and a password.
  - It waits until Jellyfin answers. If the wizard is already complete, nothing is changed, and O(name) and O(password) are not compared.
  - A wizard that another client has begun and not completed is completed with O(name) and O(password). Jellyfin 12 and newer does not allow
    this after a password was set, and the task fails.
  - Requests go through the API server's proxy for Services (C(services/proxy)), so no NodePort is needed.
options:
  namespace:
    description:
      - The namespace of Jellyfin's Service.
    type: str
    default: jellyfin
  service:
    description:
      - The name of the Service. Its port must have the name C(http).
    type: str
    default: jellyfin
  name:
    description:
      - The name of the administrator.
    type: str
    default: admin
  password:
    description:
      - The password of the administrator.
      - Without it, the module only reports whether the wizard is complete. An empty one is an error.
    type: str
  timeout:
    description:
      - The maximum time in seconds to wait until Jellyfin answers.
    type: float
    default: 300
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - The only change is that RV(completed) becomes C(true).
  idempotent:
    support: full
  platform:
    platforms: all
seealso:
  - name: Jellyfin's API
    description: Startup, System
    link: https://api.jellyfin.org
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.kubeconfig
"""

EXAMPLES = r"""
- name: Check whether Jellyfin has an administrator
  vmstation.cluster.jellyfin_startup_wizard:
    kubeconfig: ~/.kube/vmstation.config
  delegate_to: localhost
  register: wizard

- name: Complete the startup wizard
  vmstation.cluster.jellyfin_startup_wizard:
    kubeconfig: ~/.kube/vmstation.config
    name: admin
    password: "{{ vault_jellyfin_password }}"
  delegate_to: localhost
"""

RETURN = r"""
completed:
  description: Whether the wizard is complete. In check mode, whether it would be.
  returned: success
  type: bool
  sample: true
failure:
  description: The parts of the error message, with the keys C(subject), C(found), C(expected) and C(fix).
  returned: when the task fails
  type: dict
  sample:
    subject: Service jellyfin/jellyfin
    found: "no answer of Jellyfin within 300 s (HTTP status 503: no endpoints available for service)"
    expected: an answer to /System/Info/Public
    fix: "See its log: `kubectl logs --namespace jellyfin deployment/jellyfin`."
api_calls:
  description: The number of requests to the API server.
  returned: success
  type: int
  sample: 5
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.api import KUBECONFIG_ARGUMENTS, KUBERNETES_IMPORT_ERROR
from ansible_collections.vmstation.cluster.plugins.module_utils._jellyfin import wizard
from ansible_collections.vmstation.cluster.plugins.module_utils._jellyfin.io import JellyfinService
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._timing import SystemClock

ARGUMENTS = {
    **KUBECONFIG_ARGUMENTS,
    "namespace": {"type": "str", "default": "jellyfin"},
    "service": {"type": "str", "default": "jellyfin"},
    "name": {"type": "str", "default": "admin"},
    "password": {"type": "str", "no_log": True},
    "timeout": {"type": "float", "default": 300},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if KUBERNETES_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=KUBERNETES_IMPORT_ERROR)
    given = module.params
    try:
        account = wizard.read_account(given["name"], given["password"])
        jellyfin = JellyfinService(given["kubeconfig"], given["context"], given["namespace"], given["service"])
        was_complete = wizard.is_complete(jellyfin, SystemClock(), given["timeout"])
        changed = not was_complete and account is not None
        if account is not None and changed and not module.check_mode:
            wizard.complete(jellyfin, account)
    except Refusal as refusal:
        module.fail_json(**refusal.as_result())
    module.exit_json(changed=changed, completed=was_complete or changed, api_calls=jellyfin.calls)


if __name__ == "__main__":
    main()
