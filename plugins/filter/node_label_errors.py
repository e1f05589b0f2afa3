# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: node_label_errors
short_description: List what is wrong with the labels and taints that an inventory names for a node
version_added: 0.2.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Checks the syntax of keys and values, and the effects of taints.
  - Keys of C(kubernetes.io) and C(k8s.io) are errors, except labels of C(node-role.kubernetes.io), C(node-restriction.kubernetes.io),
    C(topology.kubernetes.io) and C(node.kubernetes.io), and taints of C(node-role.kubernetes.io). The label and the taint of the control
    plane, the label C(node-role.kubernetes.io/worker), and keys of C(vmstation.cluster) are errors, too.
positional: taints, prefix
options:
  _input:
    description: The labels.
    type: dict
    required: true
  taints:
    description: The taints, each with C(key), C(effect) and, optionally, C(value).
    type: list
    elements: dict
    required: true
  prefix:
    description: The first part of the names of both variables, which the errors begin with.
    type: str
    default: node_
seealso:
  - name: Labels, syntax and character set
    link: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
    description: The rules for keys and values.
"""

EXAMPLES = r"""
- name: Check the labels and taints of the node
  ansible.builtin.assert:
    that: errors | length == 0
    fail_msg: "{{ errors | join(' ') }}"
  vars:
    errors: "{{ node_labels | vmstation.cluster.node_label_errors(node_taints) }}"
"""

RETURN = r"""
_value:
  description: The errors, one line each. Empty if there are none.
  type: list
  elements: str
  sample:
    - "node_labels, value of fast: found True; required: a string. Put it in quotes."
"""

from collections.abc import Callable

from ansible_collections.vmstation.cluster.plugins.module_utils._cluster import node_labels


def node_label_errors(labels: object, taints: object, prefix: str = "node_") -> list[str]:
    return [str(error) for error in node_labels.inventory_errors(labels, taints, prefix)]


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"node_label_errors": node_label_errors}
