#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: check_report
short_description: Combine the results of checks into one report
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Combines the results of many checks into one report. The line for each checked object has its status, what was found, and the next step.
  - With O(directory), it also writes the report as JSON, as JUnit XML, and as one HTML page that shows the hosts and the links between
    them. The page needs no network and no script. C(docs/check-report.md) describes these formats.
  - A check that could not complete is an error, and what could not be read is unknown. Neither counts as ok.
  - It connects to no host and no cluster. It uses only its options.
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
          - The group of the report for this result.
        type: str
        required: true
        choices: [plan, hosts, firewall, nodes, control_plane, certificates, api, workloads, storage, monitoring, calico, dns, services,
          pod_network, drift]
      check:
        description:
          - The name of the module that returned the result, without its collection.
        type: str
        required: true
      host:
        description:
          - The host that the result is about, or an empty string.
        type: str
        default: ""
      result:
        description:
          - What the module returned, also if the task failed or the host was unreachable. An empty result means that the check did not run.
        type: dict
        required: true
  plan:
    description:
      - The network plan. Without it, the report shows no networks and no planned Services.
    type: dict
    default: {}
  unchecked:
    description:
      - The groups that were selected but need a network plan, if there is none. If the list is not empty, the report has one error that
        names them.
    type: list
    elements: str
    default: []
    choices: [plan, hosts, firewall, nodes, control_plane, certificates, api, workloads, storage, monitoring, calico, dns,
      services, pod_network, drift]
    version_added: 0.2.0
  nodes:
    description:
      - The hosts of the cluster, as P(vmstation.cluster.cluster_hosts#filter) returns them.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The name of the host.
        type: str
        required: true
      address:
        description:
          - The address of the host, or a list of addresses.
        type: raw
      mac:
        description:
          - The MAC address of the host's network card. Since release 0.3.0, the report shows it for a host that is asleep.
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
      - The names of the hosts in O(nodes) that are asleep.
    type: list
    elements: str
    default: []
  derived:
    description:
      - What follows from the plan, as in RV(vmstation.cluster.network_plan_check#module:derived). The report shows its ports.
    type: dict
  cluster:
    description:
      - The name of the cluster.
    type: str
    default: cluster
  generated_at:
    description:
      - The time of the checks, for the report, such as V(2026-11-23T22:00:00Z).
    type: str
    required: true
  directory:
    description:
      - The directory for C(report.json), C(report.xml), C(report.html) and, since release 0.2.0, C(report.prom), which node_exporter reads.
        It is created if it is missing.
      - Each file is replaced atomically. Without this option, nothing is written.
    type: path
  verbose:
    description:
      - Whether RV(lines) has a line for each object. If V(false), everything that is ok is one line for each group, and many warnings about
        one list are one line.
    type: bool
    default: false
  page:
    description:
      - The report as HTML. Do not set it. The action plugin renders it on the controller, where Jinja2 is.
    type: str
    default: ""
requirements:
  - netaddr >= 0.8.0, for the vendor of the network card of a host that is asleep; without it, it is left out
extends_documentation_fragment:
  - vmstation.cluster.attributes
"""

EXAMPLES = r"""
- name: Report the results of all checks
  vmstation.cluster.check_report:
    results: "{{ hostvars | vmstation.cluster.check_results(ansible_play_hosts_all, ['calico'], checks) }}"
    plan: "{{ network_plan }}"
    nodes: "{{ hostvars | vmstation.cluster.cluster_hosts(groups) }}"
    asleep: "{{ hostvars | vmstation.cluster.asleep_hosts }}"
    generated_at: "{{ now(utc=true, fmt='%Y-%m-%dT%H:%M:%SZ') }}"
    directory: ~/check
  delegate_to: localhost
  run_once: true
  register: summary
  vars:
    checks:
      - {check: calico_check, groups: [calico], result: calico}

- name: Report the result of one check
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
  sample: {schema: vmstation.cluster/check-report/1, outcome: healthy, worst: ok, verdict: 26 match the plan, lines: []}
lines:
  description: The report as lines of text, with the verdict last.
  returned: success
  type: list
  elements: str
  sample:
    - "ok  Nodes  node homelab  ready, and accepts Pods"
    - "vmstation: 26 match the plan"
outcome:
  description:
    - V(broken) if anything is an error. V(unknown) if there is no error, and something essential could not be read. Otherwise V(healthy).
  returned: success
  type: str
  sample: healthy
message:
  description: The outcome and the number of lines with each status, in one sentence.
  returned: success
  type: str
  sample: "vmstation is healthy: 1 warning, 25 match the plan"
worst:
  description: The worst status, V(ok), V(asleep), V(warning), V(unknown) or V(error).
  returned: success
  type: str
  sample: warning
files:
  description: The files that were written, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/root/check/report.json, /root/check/report.xml, /root/check/report.html, /root/check/report.prom]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._report import build
from ansible_collections.vmstation.cluster.plugins.module_utils._report.forms import document, forms, table
from ansible_collections.vmstation.cluster.plugins.module_utils._report.io import write_reports
from ansible_collections.vmstation.cluster.plugins.module_utils._report.model import ARGUMENTS


def main() -> None:
    module = AnsibleModule(argument_spec={**ARGUMENTS, "page": {"type": "str", "default": ""}}, supports_check_mode=True)
    report = build.report(module.params)
    directory = module.params["directory"]
    try:
        diffs = write_reports(directory, forms(report, module.params["page"]), predict=module.check_mode) if directory else []
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(
        changed=bool(diffs),
        report=document(report),
        lines=table(report, verbose=module.params["verbose"]),
        outcome=report.outcome,
        message=report.message,
        worst=report.worst,
        files=[one["after_header"] for one in diffs],
        diff=diffs,
    )


if __name__ == "__main__":
    main()
