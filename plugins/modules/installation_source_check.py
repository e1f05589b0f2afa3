#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: installation_source_check
short_description: Check the installation source of Kubernetes before any host is changed
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Checks an installation source on the controller, and returns what roles need from it. All problems are reported in one run.
  - A source is either the community's package repository, or a directory with programs, image archives, Calico's manifest and their
    checksums, for hosts without internet access. The documentation page on installation sources describes how to create such a directory.
  - All files of a directory are read once and compared with their checksums, and every archive is inspected.
attributes:
  platform:
    platforms: posix
options:
  source:
    description:
      - C(kind) is V(packages) or V(directory).
      - With V(packages), C(repository) and C(key_url) may name a different repository, as URLs. C({minor}) and C({format}) in them are
        replaced by the minor version and V(deb) or V(rpm). C(key_fingerprint) is the fingerprint of its key.
      - With V(directory), C(path) is an absolute path on the controller.
    type: dict
    required: true
  kubernetes_version:
    description:
      - The minor version of Kubernetes in the network plan.
    type: str
    required: true
  release:
    description:
      - The pinned release. Without it, a directory is checked only against O(kubernetes_version).
    type: str
    default: ""
  pause_image:
    description:
      - The pause image in the configuration of containerd. If empty, it is not checked.
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
- name: Check a directory on the controller
  vmstation.cluster.installation_source_check:
    source:
      kind: directory
      path: /srv/kubernetes-1.36.4
    kubernetes_version: "1.36"
    release: 1.36.4
  delegate_to: localhost
  run_once: true
  register: source

- name: Check a mirror of the community's packages
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
  description: The problems of the source.
  returned: always
  type: list
  elements: dict
  contains:
    rule:
      description: The rule that is violated.
      type: str
      returned: always
      sample: files_match_their_checksums
    severity:
      description: C(error), C(warning) or C(info), or C(unknown) if the directory could not be read, which also fails the task.
      type: str
      returned: always
      sample: error
    subject:
      description: The object that was checked.
      type: str
      returned: always
      sample: /srv/kubernetes-1.36.4/bin/kubelet
    found:
      description: What was found.
      type: str
      returned: always
      sample: sha256 6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19
    expected:
      description: What is required.
      type: str
      returned: always
      sample: sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855, as in SHA256SUMS
    fix:
      description: The next step.
      type: str
      returned: always
      sample: Copy the file again; if it was changed on purpose, update its checksum where that was done.
    hosts:
      description:
        - The hosts that the finding is about, two for the connection between them. Empty for the cluster, and for the host that the
          module runs on.
      type: list
      elements: str
      returned: always
      sample: []
looked_at:
  description: What the check looked at, also where it found nothing.
  returned: always
  type: list
  elements: dict
  contains:
    subject:
      description: The object that was checked.
      type: str
      returned: always
      sample: installation source
    facts:
      description: What was seen, in a few words.
      type: str
      returned: always
      sample: "packages, Kubernetes 1.36.4"
    state:
      description: V(ok), V(asleep), or the worst severity of the findings about the object, V(warning), V(unknown) or V(error).
      type: str
      returned: always
      sample: ok
    hosts:
      description: The hosts that it is about, as in RV(findings).
      type: list
      elements: str
      returned: always
      sample: []
installation:
  description: What roles need from the source.
  returned: when there is no finding of severity C(error) or C(unknown)
  type: dict
  contains:
    kind:
      description: V(packages) or V(directory).
      type: str
      returned: always
      sample: directory
    kubernetes:
      description: The release of Kubernetes.
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
      description: The fingerprint of the repository's key, without spaces.
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
      description: The processor architecture of the programs.
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
      description: The directory on the controller that contains the image archives.
      type: str
      returned: with the kind directory
      sample: /srv/kubernetes-1.36.4/images
    images:
      description: The images of each role under C(control_plane) and C(worker), as M(vmstation.cluster.container_images) takes them.
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
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_result, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.check import judge
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.io import LocalDirectory
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.model import Expected

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
    result = {"changed": False, **as_result(verdict.findings, verdict.looked_at)}
    if verdict.installation:
        result["installation"] = verdict.installation.as_dict()
    failing = failures(verdict.findings, module.params["fail_on"])
    if not verdict.installation and module.params["fail_on"] != "never":
        # a source that could not be read is unknown, and installs nothing
        failing = failing or verdict.findings
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
