# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: calico_manifest
short_description: Calico's upstream manifest as a network plan wants it
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Takes the text of Calico's C(calico.yaml), verifies its checksum, and gives the objects to apply in its place.
  - From the plan follow the backend, the MTU, the probes, the address families and the interface of a node. The IP pools are objects of
    their own, which M(vmstation.cluster.calico_preflight_check) returns, so that no pool depends on how a node was started.
  - What it is to edit and does not find, it refuses and names. Nothing is replaced by guess.
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
        sleep, and the roll-out goes on beside those that do.
    type: list
    elements: dict
    default: []
  sha256:
    description: The SHA-256 that the text must have. Needed unless there are O(sums).
    type: str
    default: ""
  sums:
    description: The text of the C(SHA256SUMS) of an installation source's directory, in which C(manifests/calico.yaml) must have its line.
    type: str
  known:
    description: The SHA-256 of upstream's manifest of each known version. With O(sums), the text of such a version must have it.
    type: dict
    default: {}
  version:
    description: The version that the manifest must be of. Without it, any.
    type: str
    default: ""
  mtu:
    description: V(plan) for what the plan derives, V(auto) for what Calico finds on each host, or a number of bytes.
    type: str
    default: plan
  images:
    description: Images instead of upstream's, by the last part of their name, like C(node).
    type: dict
    default: {}
  felix:
    description: Fields of FelixConfiguration.
    type: dict
    default: {}
  node_env:
    description: Environment variables of calico-node that do not follow from the plan.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show which images Calico will use
  ansible.builtin.debug:
    msg: >-
      {{ (lookup('ansible.builtin.file', 'calico.yaml', rstrip=false)
          | vmstation.cluster.calico_manifest(plan=network_plan, sha256=checksum)).images }}
"""

RETURN = r"""
_value:
  description:
    - C(version), the version of Calico; C(images), those that the objects use; and the objects in the order in which they are applied,
      C(definitions) of custom resources, a list; C(felix), the FelixConfiguration; and the C(rest), a list.
  type: dict
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence

import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.applying import Order, to_apply
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

# the parser in C takes a tenth of the other's time
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def calico_manifest(text: str, **options: object) -> dict[str, object]:
    try:
        order = Order.of(options)
        digest = hashlib.sha256(text.encode()).hexdigest()
        order.verify(digest)
        return to_apply(_documents(text), order, digest)
    except Refusal as refusal:
        raise AnsibleFilterError(str(refusal)) from refusal


def _documents(text: str) -> Sequence[Mapping[str, object]]:
    try:
        return [document for document in yaml.load_all(text, Loader=_LOADER) if document is not None]
    except yaml.YAMLError as error:
        raise Refusal("Calico's manifest", str(error), "YAML", "Get it anew from its release.") from None


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"calico_manifest": calico_manifest}
