#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: calico_preflight_check
short_description: Check whether Calico can be installed or changed to match the network plan
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Compares the IP pools of a cluster with its network plan before anything is applied, and looks for another pod network.
  - A pool with another network, block size or encapsulation is an error that describes the migration. Calico cannot change these settings
    of a pool while pods use its addresses.
  - The encapsulation scope (always, or only across subnets) and outgoing NAT are changed in place. Such a difference is a finding of
    severity C(info).
  - Returns the pools to apply. An existing pool with the planned network keeps its name, for example after a migration.
  - With O(manifest), it also reads Calico's manifest, as P(vmstation.cluster.calico_manifest#filter) does, and returns in RV(pending) which
    of its objects and of the pools are still to be applied. The API server compares them with dry runs of server-side apply. These require
    the permission to patch the objects, and change nothing.
attributes:
  platform:
    platforms: posix
options:
  plan:
    description:
      - The network plan.
    type: dict
    required: true
  version:
    description:
      - The version of Calico to install. The default is the version of O(manifest).
    type: str
  manifest:
    description:
      - Calico's manifest and the changes to make to it. Either this or O(version) is required.
    type: dict
    suboptions:
      path:
        description:
          - The path of the manifest.
        type: path
        required: true
      sums:
        description:
          - The C(SHA256SUMS) of the installation source's directory, which must list C(manifests/calico.yaml).
        type: path
      sha256:
        description:
          - The required SHA-256 of the file. Required without O(manifest.sums).
        type: str
      known:
        description:
          - The SHA-256 of upstream's manifest for each known version. With O(manifest.sums), a manifest of one of these versions must match
            it.
        type: dict
      version:
        description:
          - The required version of the manifest. Without it, any version is accepted.
        type: str
      typha:
        description:
          - Calico's C(calico-typha.yaml), which is used instead of O(manifest.path) if the cluster uses Typha. The key C(typha) of
            O(plan), the number of O(manifest.hosts), and whether the cluster has Typha decide this.
        type: dict
        version_added: 0.3.0
        suboptions:
          path:
            description:
              - The path of this manifest. It is read only if the cluster uses Typha. With O(manifest.sums), C(manifests/calico-typha.yaml)
                must be listed there.
            type: path
            required: true
          sha256:
            description:
              - The required SHA-256 of the file. Required without O(manifest.sums).
            type: str
          known:
            description:
              - The SHA-256 of upstream's C(calico-typha.yaml) for each known version, as in O(manifest.known).
            type: dict
      hosts:
        description:
          - The hosts of the cluster, as P(vmstation.cluster.cluster_hosts#filter) returns them.
        type: list
        elements: dict
      mtu:
        description:
          - The MTU in bytes, V(plan) for the value that follows from the plan, or V(auto) for the value that Calico detects on each host.
        type: raw
      images:
        description:
          - Images to use instead of upstream's, by the last part of the image name, such as C(node).
        type: dict
      felix:
        description:
          - Additional fields of FelixConfiguration.
        type: dict
      node_env:
        description:
          - Additional environment variables of calico-node, other than those that follow from the plan.
        type: dict
  field_manager:
    description:
      - The field manager for applying the objects of O(manifest).
    type: str
    default: vmstation.cluster
  nat_outgoing:
    description:
      - Whether traffic of pods to addresses outside the cluster uses the address of their node. This never applies to IPv6 pods with global
        addresses.
    type: bool
    default: true
seealso:
  - plugin: vmstation.cluster.calico_manifest
    plugin_type: filter
  - module: vmstation.cluster.network_plan_check
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
  - vmstation.cluster.findings
  - vmstation.cluster.kubeconfig
"""

EXAMPLES = r"""
- name: Check whether the pools match the plan
  vmstation.cluster.calico_preflight_check:
    kubeconfig: ~/.kube/vmstation.config
    plan: "{{ network_plan }}"
    version: 3.32.1
  delegate_to: localhost
  run_once: true
  register: calico

- name: Show the pools of the plan
  ansible.builtin.debug:
    var: calico.pools

- name: Find the objects of Calico that differ
  vmstation.cluster.calico_preflight_check:
    kubeconfig: ~/.kube/vmstation.config
    plan: "{{ network_plan }}"
    manifest:
      path: calico.yaml
      sha256: "{{ checksum }}"
      hosts: "{{ hostvars | vmstation.cluster.cluster_hosts(groups) }}"
  delegate_to: localhost
  run_once: true
  register: calico

- name: Show the names of these objects
  ansible.builtin.debug:
    msg: "{{ calico.pending.objects | map(attribute='metadata.name') }}"
"""

RETURN = r"""
findings:
  description: The problems that were found, errors first.
  returned: when the cluster could be read
  type: list
  elements: dict
  contains:
    rule:
      description: The rule that is violated.
      type: str
      returned: always
      sample: pools_have_the_planned_block_size
    severity:
      description: C(error), C(warning) or C(info).
      type: str
      returned: always
      sample: error
    subject:
      description: The object that was checked.
      type: str
      returned: always
      sample: IPPool default-ipv4-ippool
    found:
      description: What was found.
      type: str
      returned: always
      sample: blockSize 26
    expected:
      description: What is required.
      type: str
      returned: always
      sample: 24, as in network_plan.block_size
    fix:
      description: The next step.
      type: str
      returned: always
      sample: Set block_size to 26, or change the IP pool block size with a new pool.
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
  returned: when the cluster could be read
  type: list
  elements: dict
  contains:
    subject:
      description: The object that was checked.
      type: str
      returned: always
      sample: Calico
    facts:
      description: What was seen, in a few words.
      type: str
      returned: always
      sample: "release 3.32.1; 1 IPPools in the cluster"
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
failure:
  description: The parts of the error message, with the keys C(subject), C(found), C(expected) and C(fix).
  returned: when the task fails before it has a result
  type: dict
  sample:
    subject: kubeconfig ~/.kube/config
    found: no file of this name that can be read
    expected: a kubeconfig
    fix: Name the right file.
pools:
  description: The IPPool objects of the plan to apply.
  returned: when the cluster could be read
  type: list
  elements: dict
  sample:
    - apiVersion: crd.projectcalico.org/v1
      kind: IPPool
      metadata:
        name: default-ipv4-ippool
      spec:
        allowedUses: [Workload, Tunnel]
        blockSize: 26
        cidr: 10.244.0.0/16
        ipipMode: Always
        natOutgoing: true
        nodeSelector: all()
        vxlanMode: Never
serves_pools:
  description: Whether the cluster already serves IPPools, that is, whether Calico's definitions are installed.
  returned: when the cluster could be read
  type: bool
  sample: false
version:
  description: The version of Calico to install.
  returned: when the cluster could be read
  type: str
  sample: 3.32.1
typha:
  description: Whether the cluster uses Typha when the objects in RV(pending) are applied.
  returned: with O(manifest), when the module does not fail
  type: bool
  version_added: 0.3.0
  sample: false
pending:
  description: The objects that are still to be applied. Empty if the cluster matches the manifest and the plan.
  returned: with O(manifest), when the module does not fail
  type: dict
  contains:
    definitions:
      description:
        - The CustomResourceDefinitions that do not exist, that differ, or that the API server does not serve yet. Apply them first.
      type: list
      elements: dict
      returned: always
      sample: []
    objects:
      description: All other objects that do not exist or that differ, in the order in which to apply them.
      type: list
      elements: dict
      returned: always
      sample: []
    removals:
      description:
        - The objects of Typha to delete, in this order, if the cluster has it and does not use it any more. Delete them after calico-node
          has been rolled out without it.
      type: list
      elements: dict
      returned: always
      version_added: 0.3.0
      sample: []
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.documents import API_VERSION, pool_documents
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.io import read_documents, read_text
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.manifest import outstanding, read_manifest
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.preflight import judge, look, looked_at
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.typha import installed
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.api import (
    KUBECONFIG_ARGUMENTS,
    KUBERNETES_IMPORT_ERROR,
    PreviewingApi,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_result, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    "plan": {"type": "dict", "required": True},
    "version": {"type": "str"},
    "manifest": {
        "type": "dict",
        "options": {
            "path": {"type": "path", "required": True},
            "sums": {"type": "path"},
            "sha256": {"type": "str"},
            "known": {"type": "dict"},
            "version": {"type": "str"},
            "typha": {
                "type": "dict",
                "options": {"path": {"type": "path", "required": True}, "sha256": {"type": "str"}, "known": {"type": "dict"}},
            },
            "hosts": {"type": "list", "elements": "dict"},
            "mtu": {"type": "raw"},
            "images": {"type": "dict"},
            "felix": {"type": "dict"},
            "node_env": {"type": "dict"},
        },
    },
    "field_manager": {"type": "str", "default": "vmstation.cluster"},
    "nat_outgoing": {"type": "bool", "default": True},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
    **KUBECONFIG_ARGUMENTS,
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, required_one_of=[("version", "manifest")], supports_check_mode=True)
    if KUBERNETES_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=KUBERNETES_IMPORT_ERROR)
    params = module.params
    try:
        api = PreviewingApi(params["kubeconfig"], params["context"])
        typha = installed(api) if params["manifest"] else []
        manifest = read_manifest(params, bool(typha), read_text, read_documents)
        case = look({**params, "version": params["version"] or manifest["version"]}, api, bool(typha))
        findings, pools = judge(case), pool_documents(case.plan, case.live, case.nat_outgoing)
        result = {
            "changed": False,
            **as_result(findings, looked_at(case, findings)),
            "pools": pools,
            "serves_pools": api.serves(API_VERSION, "IPPool"),
            "version": case.version,
        }
        failing = failures(findings, params["fail_on"])
        if failing:
            module.fail_json(msg=failure_message(failing), **result)
        if manifest:
            result["typha"] = manifest["typha"]
            result["pending"] = outstanding(manifest, pools, typha, api, params["field_manager"])
    except Refusal as refusal:
        module.fail_json(**refusal.as_result())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
