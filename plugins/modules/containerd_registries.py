#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: containerd_registries
short_description: Configure mirrors of image registries for containerd
version_added: 0.2.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Writes C(hosts.toml) of each registry, from which containerd learns where to pull images. containerd reads it at each pull and is not
    restarted.
  - Registries that this module configured earlier and that are not in O(registries) are removed. Those that you configured stay. A registry
    of O(registries) that you configured yourself is an error.
  - The files have mode 0600, because they contain credentials.
options:
  registries:
    description:
      - The registries with mirrors. An empty list removes all that this module configured.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The registry as it appears in image names, such as V(docker.io), or V(_default) for all that have no entry of their own.
        type: str
        required: true
      server:
        description:
          - The URL of the registry itself, which containerd asks if no mirror has the image. Empty means C(https://) and the name.
        type: str
        default: ""
      mirrors:
        description:
          - The mirrors, in the order in which containerd asks them.
        type: list
        elements: dict
        required: true
        suboptions:
          url:
            description:
              - The URL of the mirror, with http or https, without user name and password.
            type: str
            required: true
          ca:
            description:
              - Certificates in PEM form that the mirror's certificate must be signed by. Empty means those of the host.
            type: str
            default: ""
          skip_verify:
            description:
              - Whether to accept any certificate of the mirror.
            type: bool
            default: false
          override_path:
            description:
              - Whether O(registries[].mirrors[].url) contains the whole path of the API, so that containerd does not append C(/v2).
            type: bool
            default: false
          username:
            description:
              - The user name for HTTP basic authentication.
            type: str
            default: ""
          password:
            description:
              - The password for HTTP basic authentication.
            type: str
            default: ""
  directory:
    description:
      - The directory that is C(config_path) in containerd's configuration.
    type: path
    default: /etc/containerd/certs.d
seealso:
  - name: containerd's registry configuration
    description: The format of the files.
    link: https://github.com/containerd/containerd/blob/main/docs/hosts.md
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.host_change
"""

EXAMPLES = r"""
- name: Pull images of Docker Hub through a mirror in the LAN
  vmstation.cluster.containerd_registries:
    registries:
      - name: docker.io
        server: https://registry-1.docker.io
        mirrors:
          - url: https://mirror.lan:5000
            ca: "{{ lookup('ansible.builtin.file', 'mirror-ca.crt') }}"
            username: node
            password: "{{ mirror_password }}"
  become: true

- name: Remove all mirrors
  vmstation.cluster.containerd_registries:
    registries: []
  become: true
"""

RETURN = r"""
files:
  description: The files that were written or removed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/etc/containerd/certs.d/docker.io/hosts.toml]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._host.files import read_text
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.io import write_registries
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.registries import plan, read_registries
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

MIRROR = {
    "url": {"type": "str", "required": True},
    "ca": {"type": "str", "default": ""},
    "skip_verify": {"type": "bool", "default": False},
    "override_path": {"type": "bool", "default": False},
    "username": {"type": "str", "default": ""},
    "password": {"type": "str", "default": "", "no_log": True},
}
REGISTRY = {
    "name": {"type": "str", "required": True},
    "server": {"type": "str", "default": ""},
    "mirrors": {"type": "list", "elements": "dict", "required": True, "options": MIRROR},
}
ARGUMENTS = {
    "registries": {"type": "list", "elements": "dict", "required": True, "options": REGISTRY},
    "directory": {"type": "path", "default": "/etc/containerd/certs.d"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        change = plan(read_registries(module.params["registries"]), module.params["directory"], read_text)
        if change.files and not module.check_mode:
            write_registries(change)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(changed=bool(change.files), files=list(change.files), diff={"before": change.before, "after": change.after})


if __name__ == "__main__":
    main()
