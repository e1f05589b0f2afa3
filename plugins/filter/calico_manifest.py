# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: calico_manifest
short_description: Adapt Calico's upstream manifest to a network plan
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Takes the text of Calico's C(calico.yaml), verifies its checksum, and returns the objects to apply instead.
  - The plan decides the backend, the MTU, the probes, the IP versions and the interface of a node. The IP pools are separate objects, which
    M(vmstation.cluster.calico_preflight_check) returns, so that no pool depends on how a node was started.
  - C(calico-typha.yaml) is accepted, too. The hosts decide how many replicas of Typha there are, and where they run.
  - If something that must be edited is not found, the filter fails and names it. It does not guess.
options:
  _input:
    description: The text of the manifest.
    type: str
    required: true
  plan:
    description: The network plan.
    type: dict
    required: true
  hosts:
    description:
      - The hosts of the cluster, as M(vmstation.cluster.network_plan_check) takes them. The controllers of Calico prefer hosts that never
        sleep, and a rollout continues while other hosts are asleep.
    type: list
    elements: dict
    default: []
  sha256:
    description: The required SHA-256 of the text. Required without O(sums).
    type: str
    default: ""
  sums:
    description: The text of the C(SHA256SUMS) of an installation source's directory, which must list O(file).
    type: str
  file:
    description: The path of the manifest in O(sums).
    type: str
    default: manifests/calico.yaml
    version_added: 0.3.0
  known:
    description: The SHA-256 of upstream's manifest for each known version. With O(sums), the text of one of these versions must match it.
    type: dict
    default: {}
  version:
    description: The required version of the manifest. Without it, any version is accepted.
    type: str
    default: ""
  mtu:
    description: The MTU in bytes, V(plan) for the value that follows from the plan, or V(auto) for the value that Calico detects on each
      host.
    type: str
    default: plan
  images:
    description: Images to use instead of upstream's, by the last part of the image name, such as C(node).
    type: dict
    default: {}
  felix:
    description: Additional fields of FelixConfiguration.
    type: dict
    default: {}
  node_env:
    description: Additional environment variables of calico-node, other than those that follow from the plan.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show the images that Calico will use
  ansible.builtin.debug:
    msg: >-
      {{ (lookup('ansible.builtin.file', 'calico.yaml', rstrip=false)
          | vmstation.cluster.calico_manifest(plan=network_plan, sha256=checksum)).images }}
"""

RETURN = r"""
_value:
  description:
    - C(version), the version of Calico; C(images), the images of the objects; and the objects in the order in which to apply them,
      C(definitions), a list of custom resource definitions; C(felix), the FelixConfiguration; and C(rest), a list of all other objects.
    - C(typha), whether the manifest has Typha.
  type: dict
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.io import read_documents
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.manifest import planned
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal


def calico_manifest(text: str, **options: object) -> dict[str, object]:
    try:
        return planned(text, options, read_documents)
    except Refusal as refusal:
        raise AnsibleFilterError(str(refusal)) from refusal


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"calico_manifest": calico_manifest}
