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
  - A file that has the right key already is left alone, without a look at the network, until 30 days before the key expires. From then on
    each run fetches the prolonged key. Where none can be had, the key stays and a warning says why.
  - What is published under the URL may be that one key only. A file with a second key in it is refused.
  - dnf and rpm work with copies of their own, which they never renew. With O(dnf_repository) the outdated ones are removed, and dnf imports
    the file again.
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
  state:
    description:
      - V(present) installs the key. V(absent) removes the file, and with O(dnf_repository) its keys from rpm's database and all that dnf
        has cached of the repository. dnf imports the key again if another repository names it.
    type: str
    choices: [present, absent]
    default: present
  url:
    description:
      - Where the key is published, with http, https or file. It may be armored or not. Required for V(present).
    type: str
  fingerprint:
    description:
      - The whole fingerprint of the primary key, with or without spaces. Required for V(present).
    type: str
  dnf_repository:
    description:
      - The repository's id in dnf's configuration. Hosts without dnf do not set it.
    type: str
  timeout:
    description:
      - Seconds to wait for an answer.
    type: int
    default: 30
notes:
  - It needs no gpg on the host. It compares; the package manager verifies signatures with the key.
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

- name: Trust it on a host with dnf
  vmstation.cluster.package_signing_key:
    path: /etc/pki/rpm-gpg/RPM-GPG-KEY-kubernetes
    url: https://pkgs.k8s.io/core:/stable:/v1.36/rpm/repodata/repomd.xml.key
    fingerprint: DE15 B144 86CD 377B 9E87 6E1A 2346 54DA 9A29 6436
    dnf_repository: kubernetes
  become: true
"""

RETURN = r"""
fingerprint:
  description: The fingerprint of the key that is there. Empty for V(absent).
  returned: success
  type: str
  sample: DE15B14486CD377B9E876E1A234654DA9A296436
removed_copies:
  description: Packages of rpm, and files and directories of dnf, that were removed or, in check mode, would be.
  returned: success
  type: list
  elements: str
  sample: [gpg-pubkey-9a296436-62fbe9f9, /var/cache/dnf/kubernetes-8e0b42217f36bb5d/pubring]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.key_copies import KeyCopies
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.signing_key import Plan, plan, wanted_key
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import HostCommands
from ansible_collections.vmstation.cluster.plugins.module_utils._io.download import fetch
from ansible_collections.vmstation.cluster.plugins.module_utils._io.files import modified, read_text, replace_all
from ansible_collections.vmstation.cluster.plugins.module_utils._io.host_state import LocalFiles, LocalMachine
from ansible_collections.vmstation.cluster.plugins.module_utils._io.trees import LocalTrees
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    "path": {"type": "path", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "url": {"type": "str"},
    "fingerprint": {"type": "str"},
    "dnf_repository": {"type": "str"},
    "timeout": {"type": "int", "default": 30},
}


def main() -> None:
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True, required_if=[("state", "present", ("url", "fingerprint"))])
    given, path, repository = module.params, module.params["path"], module.params["dnf_repository"]
    copies = KeyCopies(repository, HostCommands(), LocalFiles(), LocalTrees(), modified) if repository else None
    try:
        text = read_text(path)
        present = None if text is None else text.encode("utf-8", "surrogateescape")
        if given["state"] == "absent":
            planned, removed = Plan(None), copies.every(present) if copies else []
        else:
            key = wanted_key(path, given["url"], given["fingerprint"])
            planned = plan(key, present, lambda url: fetch(url, given["timeout"]), LocalMachine().clock())
            removed = copies.outdated(path, present, planned.content) if copies else []
        changed = planned.content != present or bool(removed)
        # first the copies: it is the file that tells which they are
        if copies and not module.check_mode:
            copies.remove(removed)
        if planned.content != present and not module.check_mode:
            replace_all({path: planned.text})
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    if planned.warning:
        module.warn(planned.warning)
    diff = [{"before": text or "", "after": planned.text or ""}, {"before": "".join(f"{copy}\n" for copy in removed), "after": ""}]
    module.exit_json(changed=changed, fingerprint=planned.fingerprint, removed_copies=removed, diff=diff)


if __name__ == "__main__":
    main()
