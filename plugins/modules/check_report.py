#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: check_report
short_description: Tell what checks returned as one report
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Makes one report of the results of many checks. A line for each thing that was looked at has a mark, what was found, and the next step.
  - With O(directory) it also writes the report as JSON, as JUnit XML, and as one HTML page that shows the hosts and the links between them.
    The page needs no network and no script. C(docs/check-report.md) describes all three.
  - A check that came to no judgement is an error, and what could not be read is unknown. Neither is ever taken for well.
  - It asks no host and no cluster. All that it knows stands in its options.
attributes:
  platform:
    platforms: posix
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  results:
    description:
      - The results, as P(vmstation.cluster.check_results#filter) collects them.
    type: list
    elements: dict
    required: true
    suboptions:
      group:
        description:
          - The group of the report that it belongs to.
        type: str
        required: true
        choices: [plan, hosts, firewall, nodes, calico, dns, services, pod_network, drift]
      check:
        description:
          - The name of the module that made it, without its collection.
        type: str
        required: true
      host:
        description:
          - The host that it is about, or an empty string.
        type: str
        default: ""
      result:
        description:
          - What the module returned, that of a failed or unreachable task too. An empty one stands for a check that did not run.
        type: dict
        required: true
  plan:
    description:
      - The network plan.
    type: dict
    required: true
  nodes:
    description:
      - The hosts of the cluster, as P(vmstation.cluster.cluster_hosts#filter) returns them.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The host's name.
        type: str
        required: true
      address:
        description:
          - Its address, or a list of them.
        type: raw
      mac:
        description:
          - Not used.
        type: str
      role:
        description:
          - V(control_plane) or V(worker).
        type: str
      sleeps:
        description:
          - Not used.
        type: bool
  asleep:
    description:
      - Names of O(nodes) that are asleep.
    type: list
    elements: str
    default: []
  ports:
    description:
      - The openings of each role, as RV(vmstation.cluster.network_plan_check#module:derived.ports) has them.
      - Without them, those of a result of M(vmstation.cluster.network_plan_check) in O(results).
    type: dict
  cluster:
    description:
      - The name of the cluster.
    type: str
    default: cluster
  generated_at:
    description:
      - When the checks ran, as the report is to say it, such as V(2026-11-23T22:00:00Z).
    type: str
    required: true
  directory:
    description:
      - Where to write C(report.json), C(report.xml) and C(report.html). It is made if it is missing.
      - Each file is replaced whole. Without this option nothing is written.
    type: path
extends_documentation_fragment:
  - vmstation.cluster.attributes
"""

EXAMPLES = r"""
- name: Tell what the checks saw
  vmstation.cluster.check_report:
    results: "{{ hostvars | vmstation.cluster.check_results(ansible_play_hosts_all, ['calico', 'dns']) }}"
    plan: "{{ network_plan }}"
    nodes: "{{ hostvars | vmstation.cluster.cluster_hosts(groups) }}"
    asleep: "{{ hostvars | vmstation.cluster.asleep_hosts }}"
    generated_at: "{{ now(utc=true, fmt='%Y-%m-%dT%H:%M:%SZ') }}"
    directory: ~/check
  delegate_to: localhost
  run_once: true
  register: told

- name: Tell what one check saw
  vmstation.cluster.check_report:
    results:
      - {group: plan, check: network_plan_check, result: "{{ network }}"}
    plan: "{{ network_plan }}"
    nodes: []
    generated_at: "{{ now(utc=true, fmt='%Y-%m-%dT%H:%M:%SZ') }}"
"""

RETURN = r"""
report:
  description: The report. C(docs/check-report.schema.json) describes it.
  returned: success
  type: dict
  sample: {schema: vmstation.cluster/check-report/1, worst: ok, verdict: 26 as planned, lines: []}
lines:
  description: The report as lines of text, the verdict last.
  returned: success
  type: list
  elements: str
  sample:
    - "ok  Nodes  node homelab  ready, and takes Pods"
    - "vmstation: 26 as planned"
worst:
  description: The worst mark, V(ok), V(asleep), V(warning), V(unknown) or V(error).
  returned: success
  type: str
  sample: warning
files:
  description: The files that were written, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/root/check/report.json, /root/check/report.xml, /root/check/report.html]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._io.report_files import write_reports
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._report import build
from ansible_collections.vmstation.cluster.plugins.module_utils._report.document import document
from ansible_collections.vmstation.cluster.plugins.module_utils._report.forms import forms
from ansible_collections.vmstation.cluster.plugins.module_utils._report.groups import TITLES
from ansible_collections.vmstation.cluster.plugins.module_utils._report.table import table

ARGUMENTS = {
    "results": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "group": {"type": "str", "required": True, "choices": list(TITLES)},
            "check": {"type": "str", "required": True},
            "host": {"type": "str", "default": ""},
            "result": {"type": "dict", "required": True},
        },
    },
    "plan": {"type": "dict", "required": True},
    "nodes": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "address": {"type": "raw"},
            "mac": {"type": "str"},
            "role": {"type": "str"},
            "sleeps": {"type": "bool"},
        },
    },
    "asleep": {"type": "list", "elements": "str", "default": []},
    "ports": {"type": "dict"},
    "cluster": {"type": "str", "default": "cluster"},
    "generated_at": {"type": "str", "required": True},
    "directory": {"type": "path"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    report = build.report(module.params)
    directory = module.params["directory"]
    try:
        diffs = write_reports(directory, forms(report), predict=module.check_mode) if directory else []
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(
        changed=bool(diffs),
        report=document(report),
        lines=table(report),
        worst=report.worst,
        files=[one["after_header"] for one in diffs],
        diff=diffs,
    )


if __name__ == "__main__":
    main()
