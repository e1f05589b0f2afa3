# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The voice of all checks, and that every check speaks with it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding, as_dicts, failure_message, failures

MODULES = Path(__file__).resolve().parents[3] / "plugins" / "modules"
CHECKS = [path for path in sorted(MODULES.glob("*_check.py")) if "vmstation.cluster.findings" in path.read_text()]


def finding(severity, subject="network_plan.pod_cidr"):
    return Finding("pods_are_apart_from_nodes", severity, subject, "10.0.0.0/8", "a network apart", "Move it.")


ERROR, WARNING, INFO = finding("error"), finding("warning", "hosts"), finding("info")


@pytest.mark.parametrize(
    ("fail_on", "failing"),
    [("error", [ERROR]), ("warning", [ERROR, WARNING]), ("never", [])],
)
def test_fail_on_says_from_which_severity_on_a_check_fails(fail_on, failing):
    assert failures([ERROR, WARNING, INFO], fail_on) == failing


def test_a_failure_lists_every_finding_that_made_it():
    assert failure_message([ERROR, WARNING]) == (
        "2 findings must be fixed first:\n"
        "- error: network_plan.pod_cidr: found 10.0.0.0/8; expected a network apart. Move it.\n"
        "- warning: hosts: found 10.0.0.0/8; expected a network apart. Move it."
    )
    assert failure_message([ERROR]).startswith("1 finding must be fixed first:")


def test_findings_are_returned_as_plain_data():
    assert as_dicts([INFO]) == [
        {
            "rule": "pods_are_apart_from_nodes",
            "severity": "info",
            "subject": "network_plan.pod_cidr",
            "found": "10.0.0.0/8",
            "expected": "a network apart",
            "fix": "Move it.",
        }
    ]


@pytest.mark.parametrize("path", CHECKS, ids=lambda path: path.stem)
def test_every_check_documents_all_that_a_finding_has(path):
    text = path.read_text().split('RETURN = r"""', 1)[1].split('"""', 1)[0]
    documented = yaml.safe_load(text)["findings"]["contains"]
    assert list(documented) == [field.name for field in fields(Finding)]


def test_there_are_checks():
    assert "network_plan_check" in {path.stem for path in CHECKS}
