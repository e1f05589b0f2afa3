#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: installation_source_check
short_description: Judge where Kubernetes is installed from, before any host is touched
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Judges an installation source on the controller, and returns what roles need of it. All problems are named in one run.
  - A source is either the community's package repository or a directory with programs, image archives, Calico's manifest and their
    checksums, for hosts without a network. The documentation's page on installation sources shows how to make such a directory.
  - All files of a directory are read once and compared with their checksums, and every archive is looked into.
attributes:
  platform:
    platforms: posix
options:
  source:
    description:
      - C(kind) is V(packages) or V(directory).
      - With V(packages), C(repository) and C(key_url) may name another repository, as URLs in which C({minor}) and C({format}) stand for
        the minor version and V(deb) or V(rpm), and C(key_fingerprint) the fingerprint of its key.
      - With V(directory), C(path) is an absolute path on the controller.
    type: dict
    required: true
  kubernetes_version:
    description:
      - The minor version that the network plan asks for.
    type: str
    required: true
  release:
    description:
      - The release that is pinned. A directory without it is judged against O(kubernetes_version) alone.
    type: str
    default: ""
  pause_image:
    description:
      - The image that containerd is configured to start pods with. Empty means that it is not judged.
    type: str
    default: ""
seealso:
  - module: vmstation.cluster.container_images
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
  - vmstation.cluster.findings
"""

EXAMPLES = r"""
- name: Judge a directory on the controller
  vmstation.cluster.installation_source_check:
    source:
      kind: directory
      path: /srv/kubernetes-1.36.4
    kubernetes_version: "1.36"
    release: 1.36.4
  delegate_to: localhost
  run_once: true
  register: source

- name: Judge a mirror of the community's packages
  vmstation.cluster.installation_source_check:
    source:
      kind: packages
      repository: "https://mirror.example.org/kubernetes/v{minor}/{format}/"
      key_fingerprint: DE15 B144 86CD 377B 9E87 6E1A 2346 54DA 9A29 6436
    kubernetes_version: "1.36"
    release: 1.36.4
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
findings:
  description: What stands against the source.
  returned: always
  type: list
  elements: dict
  contains:
    rule:
      description: The truth that does not hold.
      type: str
      returned: always
      sample: files_match_their_checksums
    severity:
      description: C(error), C(warning) or C(info).
      type: str
      returned: always
      sample: error
    subject:
      description: The thing that was judged.
      type: str
      returned: always
      sample: /srv/kubernetes-1.36.4/bin/kubelet
    found:
      description: What it is.
      type: str
      returned: always
      sample: sha256 6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19
    expected:
      description: What it must be.
      type: str
      returned: always
      sample: sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855, as in SHA256SUMS
    fix:
      description: The next step.
      type: str
      returned: always
      sample: Copy the file again; if it was changed on purpose, write its checksum anew where that was done.
installation:
  description: What roles need of the source.
  returned: when there is no finding of severity C(error)
  type: dict
  contains:
    kind:
      description: V(packages) or V(directory).
      type: str
      returned: always
      sample: directory
    kubernetes:
      description: The release.
      type: str
      returned: always
      sample: 1.36.4
    repositories:
      description: The repository and its key under C(deb) and C(rpm), each with C(url) and C(key_url).
      type: dict
      returned: with the kind packages
      sample:
        deb:
          url: https://pkgs.k8s.io/core:/stable:/v1.36/deb/
          key_url: https://pkgs.k8s.io/core:/stable:/v1.36/deb/Release.key
    key_fingerprint:
      description: The fingerprint of that key, without spaces.
      type: str
      returned: with the kind packages
      sample: DE15B14486CD377B9E876E1A234654DA9A296436
    packages:
      description: The names of the packages.
      type: list
      elements: str
      returned: with the kind packages
      sample: [kubeadm, kubelet, kubectl]
    architecture:
      description: What processors the programs are for.
      type: str
      returned: with the kind directory
      sample: amd64
    calico:
      description: The release of Calico.
      type: str
      returned: with the kind directory
      sample: 3.32.1
    programs:
      description: The programs, each with C(name), C(path) on the controller and C(sha256).
      type: list
      elements: dict
      returned: with the kind directory
      sample:
        - name: kubeadm
          path: /srv/kubernetes-1.36.4/bin/kubeadm
          sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
    image_directory:
      description: Where on the controller the archives are.
      type: str
      returned: with the kind directory
      sample: /srv/kubernetes-1.36.4/images
    images:
      description: Under C(control_plane) and C(worker) the images of these hosts, as M(vmstation.cluster.container_images) takes them.
      type: dict
      returned: with the kind directory
      sample:
        worker:
          - name: registry.k8s.io/pause:3.10.2
            digest: sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
            archive: pause.tar
    calico_manifest:
      description: Calico's manifest, with C(path) on the controller and C(sha256).
      type: dict
      returned: with the kind directory
      sample:
        path: /srv/kubernetes-1.36.4/manifests/calico.yaml
        sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_dicts, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.check import judge
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.model import Expected
from ansible_collections.vmstation.cluster.plugins.module_utils._io.source_directory import LocalDirectory

ARGUMENTS = {
    "source": {"type": "dict", "required": True},
    "kubernetes_version": {"type": "str", "required": True},
    "release": {"type": "str", "default": ""},
    "pause_image": {"type": "str", "default": ""},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    expected = Expected(*(module.params[key] for key in ("kubernetes_version", "release", "pause_image")))
    verdict = judge(module.params["source"], expected, LocalDirectory)
    result = {"changed": False, "findings": as_dicts(verdict.findings)}
    if verdict.installation:
        result["installation"] = verdict.installation.as_dict()
    failing = failures(verdict.findings, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
