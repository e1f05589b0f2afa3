# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: alertmanager
short_description: Make Alertmanager's configuration from receivers of alerts
version_added: 0.2.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Validates the receivers, and makes Alertmanager's configuration for them, and the content of the files with their secrets.
  - Secrets are passwords, tokens and URLs. The configuration names only their files, below C(/etc/alertmanager-secrets).
  - An error contains no value, because it may be a secret.
  - Each receiver gets each alert, except those with the label C(severity="none") and, with C(critical_only), those that are not critical.
  - While the alert C(HostAsleep) fires, no alert with the same label C(node) is sent.
positional: heartbeat
options:
  _input:
    description: The receivers, as in C(monitoring_alert_receivers) of the role monitoring.
    type: list
    elements: dict
    required: true
  heartbeat:
    description: The webhook of the dead man's switch, as in C(monitoring_alert_heartbeat) of the role monitoring.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show the configuration
  ansible.builtin.debug:
    msg: "{{ (receivers | vmstation.cluster.alertmanager).configuration }}"
  vars:
    receivers:
      - name: phone
        ntfy: {url: https://ntfy.sh/my-topic}
"""

RETURN = r"""
_value:
  description: The errors, the configuration and the secrets.
  type: dict
  contains:
    wanted:
      description: Whether there is a receiver or a dead man's switch.
      type: bool
    errors:
      description: What is wrong with the variables, one line each. The other values are of no use if there are some.
      type: list
      elements: str
      sample: ["monitoring_alert_receivers[0].ntfy.url: found nothing; required: a URL with http or https. Set it."]
    configuration:
      description: The content of C(alertmanager.yml) as data. Empty if nothing is wanted.
      type: dict
    secrets:
      description: The content of each file with a secret by its name, in Base64.
      type: dict
"""

from collections.abc import Callable
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._alerts.receivers import configuration, read, secrets


def alertmanager(receivers: object, heartbeat: Optional[object] = None) -> dict[str, Any]:
    alerting = read(receivers, {} if heartbeat is None else heartbeat)
    if alerting.errors:
        return {"wanted": alerting.is_wanted, "errors": [str(one) for one in alerting.errors], "configuration": {}, "secrets": {}}
    return {"wanted": alerting.is_wanted, "errors": [], "configuration": configuration(alerting), "secrets": secrets(alerting)}


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"alertmanager": alertmanager}
