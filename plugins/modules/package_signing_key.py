#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: package_signing_key
short_description: Bring a package repository's signing key, if it is the right one
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Downloads a repository's OpenPGP public key, compares its fingerprint, and writes it where a package manager may be told to look.
  - A file that has the right key already is left alone, without a look at the network, until the key has expired. Then the prolonged
    one is fetched.
  - What is published under the URL may be that one key only. A file with a second key in it is refused.
attributes:
  check_mode:
    support: full
    details:
      - A key that would be written is downloaded and judged in check mode too.
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    platforms: linux
options:
  path:
    description:
      - The file, which is written armored. apt wants it to end in C(.asc).
    type: path
    required: true
  url:
    description:
      - Where the key is published, with http, https or file. It may be armored or not.
    type: str
    required: true
  fingerprint:
    description:
      - The whole fingerprint of the primary key, with or without spaces.
    type: str
    required: true
  timeout:
    description:
      - Seconds to wait for an answer.
    type: int
    default: 30
notes:
  - It needs neither gpg nor any other program on the host. It compares; the package manager verifies signatures with the key.
extends_documentation_fragment:
  - vmstation.cluster.attributes
"""

EXAMPLES = r"""
- name: Trust the key of the community's packages
  vmstation.cluster.package_signing_key:
    path: /etc/apt/keyrings/kubernetes.asc
    url: https://pkgs.k8s.io/core:/stable:/v1.36/deb/Release.key
    fingerprint: DE15 B144 86CD 377B 9E87 6E1A 2346 54DA 9A29 6436
  become: true
"""

RETURN = r"""
fingerprint:
  description: The fingerprint of the key that is there.
  returned: success
  type: str
  sample: DE15B14486CD377B9E876E1A234654DA9A296436
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.signing_key import plan, wanted_key
from ansible_collections.vmstation.cluster.plugins.module_utils._io.download import fetch
from ansible_collections.vmstation.cluster.plugins.module_utils._io.files import read_text, replace_all
from ansible_collections.vmstation.cluster.plugins.module_utils._io.host_state import LocalMachine
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    "path": {"type": "path", "required": True},
    "url": {"type": "str", "required": True},
    "fingerprint": {"type": "str", "required": True},
    "timeout": {"type": "int", "default": 30},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        wanted = wanted_key(*(module.params[key] for key in ("path", "url", "fingerprint")))
        present = read_text(wanted.path)
        found = None if present is None else present.encode("utf-8", "surrogateescape")
        text = plan(wanted, found, lambda url: fetch(url, module.params["timeout"]), LocalMachine().clock())
        if text is not None and not module.check_mode:
            replace_all({wanted.path: text})
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    diff = {"before": present or "", "after": (present or "") if text is None else text}
    module.exit_json(changed=text is not None, fingerprint=wanted.fingerprint, diff=diff)


if __name__ == "__main__":
    main()
