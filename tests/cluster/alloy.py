# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alloy, which cannot be had here: the labels that it gives to a line, worked out from the role's configuration."""

from __future__ import annotations

import json
import re

from tests.cluster.configuration import configuration
from tests.lab.say import LabError

# labels that come with the reading of a file, and with each stage, as Alloy's reference has them
OF_THE_FILE = {"filename": "/var/log/pods/0.log"}
OF_STAGES = {"cri": {"stream": "stdout"}, "label_drop": {}}


def labels(namespace: str, pod: str, container: str, node: str) -> dict[str, str]:
    """Those of a line of that container; raises if the configuration says something that is not understood here."""
    told = configuration("config.alloy")
    found = {
        "__meta_kubernetes_namespace": namespace,
        "__meta_kubernetes_pod_name": pod,
        "__meta_kubernetes_pod_container_name": container,
        "__meta_kubernetes_pod_node_name": node,
    }
    for rule in re.findall(r"^  rule \{\n(.*?)^  \}", told, re.MULTILINE | re.DOTALL):
        _relabel(found, **{name: json.loads(value) for name, value in re.findall(r"^ +(\w+) += (.+)$", rule, re.MULTILINE)})
    found = {name: value for name, value in found.items() if not name.startswith("__")} | OF_THE_FILE
    for stage, content in re.findall(r"^  stage\.(\w+) \{(.*?)\}", told, re.MULTILINE | re.DOTALL):
        if stage not in OF_STAGES:
            raise LabError(f"config.alloy: no labels of stage.{stage} are known to {__name__}")
        found |= OF_STAGES[stage]
        for name in re.findall(r'"(\w+)"', content):
            del found[name]
    return found


def _relabel(found: dict[str, str], source_labels: list[str], target_label: str, regex: str = "(.*)", replacement: str = "$1") -> None:
    """As Prometheus does with ``action: replace``."""
    matched = re.fullmatch(regex, ";".join(found.get(name, "") for name in source_labels))
    if matched:
        found[target_label] = matched.expand(re.sub(r"\$\{?(\d+)\}?", r"\\g<\1>", replacement))
