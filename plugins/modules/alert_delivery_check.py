#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: alert_delivery_check
short_description: Check with a test alert that alerts arrive
version_added: 0.2.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Sends the alert C(TestAlert) to Alertmanager, as Prometheus sends alerts, and waits until Alertmanager has delivered it to each receiver
    or has stopped retrying. Then it ends the alert. Receivers are notified of the end within some minutes.
  - Whether it was delivered is read from Alertmanager's counters of each receiver, so another alert at the same time may be mistaken for
    the test. Alertmanager must run with C(--enable-feature=receiver-name-in-metrics), as the role monitoring starts it.
  - The dead man's switch gets no test alert.
  - Run it on a host that reaches Alertmanager. NetworkPolicies of the role monitoring allow this to the host of its Pod.
  - In check mode, it sends nothing and returns no finding.
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Each run sends an alert.
  platform:
    platforms: all
options:
  address:
    description:
      - The address of Alertmanager, or its host name.
    type: str
    required: true
  port:
    description:
      - The port of Alertmanager.
    type: int
    default: 9093
  timeout:
    description:
      - The maximum number of seconds to wait for all receivers, above 0. Alertmanager sends a new alert after 10 seconds, and repeats a
        failed attempt for 2 minutes before it stops.
    type: float
    default: 60
  namespace:
    description:
      - The namespace of the Deployment C(alertmanager), for the commands in findings.
    type: str
    default: monitoring
seealso:
  - module: vmstation.cluster.cluster_health_check
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.findings
"""

EXAMPLES = r"""
- name: Send a test alert
  vmstation.cluster.alert_delivery_check:
    address: 10.96.12.7
"""

RETURN = r"""
findings:
  description: The receivers that did not get the test alert.
  returned: when Alertmanager answered
  type: list
  elements: dict
  contains:
    rule:
      description: The rule that is violated.
      type: str
      returned: always
      sample: alerts_are_delivered
    severity:
      description: C(error).
      type: str
      returned: always
      sample: error
    subject:
      description: The receiver.
      type: str
      returned: always
      sample: receiver phone (webhook)
    found:
      description: What was found, with the reason that Alertmanager reports.
      type: str
      returned: always
      sample: "1 failed attempt: the receiver rejected it (HTTP status 4xx): its URL, topic or chat may be wrong"
    expected:
      description: What is required.
      type: str
      returned: always
      sample: the test alert is delivered
    fix:
      description: The next step.
      type: str
      returned: always
      sample: "`kubectl --namespace monitoring logs deployment/alertmanager` shows the error."
    hosts:
      description:
        - The hosts that the finding is about, two for the connection between them. Empty for the cluster, and for the host that the
          module runs on.
      type: list
      elements: str
      returned: always
      sample: []
looked_at:
  description: The receivers.
  returned: when Alertmanager answered
  type: list
  elements: dict
  contains:
    subject:
      description: The receiver.
      type: str
      returned: always
      sample: receiver phone (webhook)
    facts:
      description: Whether it has the test alert.
      type: str
      returned: always
      sample: has the test alert
    state:
      description: V(ok) or V(error).
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
    subject: Alertmanager
    found: no receiver of alerts
    expected: one or more
    fix: Set monitoring_alert_receivers, and run the role monitoring.
"""

from datetime import datetime, timezone

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._alerts.io import HttpAlertmanager
from ansible_collections.vmstation.cluster.plugins.module_utils._alerts.receivers import deliver, findings, looked_at
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_result, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._timing import SystemClock

ARGUMENTS = {
    "address": {"type": "str", "required": True},
    "port": {"type": "int", "default": 9093},
    "timeout": {"type": "float", "default": 60},
    "namespace": {"type": "str", "default": "monitoring"},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    seconds = module.params["timeout"]
    try:
        alertmanager = HttpAlertmanager(module.params["address"], module.params["port"])
        now = datetime.now(timezone.utc)
        deliveries = [] if module.check_mode else deliver(alertmanager, now, SystemClock(), seconds)
    except Refusal as refusal:
        module.fail_json(**refusal.as_result())
    found = list(findings(deliveries, module.params["namespace"], seconds))
    result = {"changed": False, **as_result(found, looked_at(deliveries, found))}
    failing = failures(found, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
