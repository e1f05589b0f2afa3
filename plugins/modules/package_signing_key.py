#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: package_signing_key
short_description: Install a package repository's signing key after checking its fingerprint
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Downloads the OpenPGP public key of a repository, compares its fingerprint, and writes it to a file for the package manager.
  - A file that already contains the right key is not changed, and no download is made, until 30 days before the key expires. After that,
    each run downloads the key to get one with a later expiry date. If the download fails, the key is kept and a warning gives the reason.
  - The URL must provide only this key. A file with a second key is rejected.
  - The package managers dnf and rpm use their own copies of the key and never update them. With O(dnf_repository), outdated copies are
    removed, and dnf imports the file again.
attributes:
  check_mode:
    support: full
    details:
      - A key that would be written is also downloaded and checked in check mode.
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    platforms: linux
options:
  path:
    description:
      - The path of the key file, which is written ASCII-armored. apt requires a name that ends in C(.asc).
    type: path
    required: true
  state:
    description:
      - V(present) installs the key. V(absent) removes the file. With O(dnf_repository), it also removes the keys of the file from rpm's
        database and everything that dnf has cached of the repository. dnf imports the key again if another repository uses it.
    type: str
    choices: [present, absent]
    default: present
  url:
    description:
      - The URL of the key, with http, https or file. The key may be ASCII-armored or binary. Required for V(present).
    type: str
  fingerprint:
    description:
      - The full fingerprint of the primary key, with or without spaces. Required for V(present).
    type: str
  dnf_repository:
    description:
      - The ID of the repository in dnf's configuration. Do not set it on hosts without dnf.
    type: str
  timeout:
    description:
      - The maximum time in seconds to wait for an answer.
    type: int
    default: 30
notes:
  - It needs no gpg on the host. It compares the fingerprint. The package manager verifies signatures with the key.
extends_documentation_fragment:
  - vmstation.cluster.attributes
"""

EXAMPLES = r"""
- name: Install the signing key of the community's packages
  vmstation.cluster.package_signing_key:
    path: /etc/apt/keyrings/kubernetes.asc
    url: https://pkgs.k8s.io/core:/stable:/v1.36/deb/Release.key
    fingerprint: DE15 B144 86CD 377B 9E87 6E1A 2346 54DA 9A29 6436
  become: true

- name: Install the signing key on a host with dnf
  vmstation.cluster.package_signing_key:
    path: /etc/pki/rpm-gpg/RPM-GPG-KEY-kubernetes
    url: https://pkgs.k8s.io/core:/stable:/v1.36/rpm/repodata/repomd.xml.key
    fingerprint: DE15 B144 86CD 377B 9E87 6E1A 2346 54DA 9A29 6436
    dnf_repository: kubernetes
  become: true
"""

RETURN = r"""
fingerprint:
  description: The fingerprint of the installed key. Empty for V(absent).
  returned: success
  type: str
  sample: DE15B14486CD377B9E876E1A234654DA9A296436
removed_copies:
  description: The rpm packages, files and directories of dnf that were removed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [gpg-pubkey-9a296436-62fbe9f9, /var/cache/dnf/kubernetes-8e0b42217f36bb5d/pubring]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import HostCommands
from ansible_collections.vmstation.cluster.plugins.module_utils._host.files import LocalFiles, LocalTrees, modified, read_text, replace_all
from ansible_collections.vmstation.cluster.plugins.module_utils._host.web import fetch
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.signing_key import KeyCopies, Plan, plan, wanted_key
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.io import LocalMachine
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
        # first the copies, because the file identifies them
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
