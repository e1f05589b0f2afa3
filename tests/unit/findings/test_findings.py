# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The voice of all checks, and that every check speaks with it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import (
    Finding,
    LookedAt,
    Verdict,
    as_dicts,
    as_result,
    as_result_of_groups,
    failure_message,
    failures,
    state_of,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

MODULES = Path(__file__).resolve().parents[3] / "plugins" / "modules"
CHECKS = [path for path in sorted(MODULES.glob("*_check.py")) if "vmstation.cluster.findings" in path.read_text()]


def finding(severity, subject="network_plan.pod_cidr"):
    return Finding("pods_are_apart_from_nodes", severity, subject, "10.0.0.0/8", "a network apart", "Move it.")


ERROR, WARNING, INFO, UNKNOWN = finding("error"), finding("warning", "hosts"), finding("info"), finding("unknown")


@pytest.mark.parametrize(
    ("fail_on", "failing"),
    [("error", [ERROR]), ("warning", [ERROR, WARNING, UNKNOWN]), ("never", [])],
)
def test_fail_on_says_from_which_severity_on_a_check_fails(fail_on, failing):
    assert failures([ERROR, WARNING, INFO, UNKNOWN], fail_on) == failing


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
            "hosts": [],
        }
    ]


@pytest.mark.parametrize("path", CHECKS, ids=lambda path: path.stem)
def test_every_check_documents_all_that_a_finding_has(path):
    text = path.read_text().split('RETURN = r"""', 1)[1].split('"""', 1)[0]
    documented = yaml.safe_load(text)["findings"]["contains"]
    # a check of several groups also says which one found it
    assert [name for name in documented if name != "group"] == [field.name for field in fields(Finding)]


@pytest.mark.parametrize(
    ("found", "state"),
    [([], "ok"), ([INFO], "ok"), ([INFO, WARNING], "warning"), ([WARNING, UNKNOWN], "unknown"), ([ERROR, UNKNOWN], "error")],
)
def test_the_state_of_a_thing_is_the_worst_severity_of_its_findings(found, state):
    assert state_of(found) == state


def test_a_result_has_lists_of_plain_data():
    looked_at = [LookedAt("node a", "ready", hosts=("a",)), LookedAt("API", "ready", "warning")]
    assert as_result([WARNING], looked_at) == {
        "findings": as_dicts([WARNING]),
        "looked_at": [
            {"subject": "node a", "facts": "ready", "state": "ok", "hosts": ["a"]},
            {"subject": "API", "facts": "ready", "state": "warning", "hosts": []},
        ],
    }


def test_each_entry_of_a_check_of_several_groups_has_its_group():
    verdicts = {"api": Verdict([WARNING], [LookedAt("API", "ready", "warning")]), "nodes": Verdict([], [LookedAt("node a", "ready")])}
    assert as_result_of_groups(verdicts) == {
        "findings": [{"group": "api", **one} for one in as_dicts([WARNING])],
        "looked_at": [
            {"group": "api", "subject": "API", "facts": "ready", "state": "warning", "hosts": []},
            {"group": "nodes", "subject": "node a", "facts": "ready", "state": "ok", "hosts": []},
        ],
    }


def test_a_refusal_is_returned_as_text_and_as_data():
    refusal = Refusal("kubeconfig", "no file", "a kubeconfig", "Name it.")
    assert refusal.as_result() == {
        "msg": "kubeconfig: found no file; required: a kubeconfig. Name it.",
        "failure": {"subject": "kubeconfig", "found": "no file", "expected": "a kubeconfig", "fix": "Name it."},
    }


def reported():
    """The modules whose results check.yml reports."""
    plays = yaml.safe_load((MODULES.parents[1] / "playbooks/check.yml").read_text())
    return [one["check"] for play in plays for one in play.get("vars", {}).get("checks_to_report", ())]


# they are no checks: one shows that Ansible reaches a host, the other which hosts are asleep
@pytest.mark.parametrize("name", sorted({*reported(), *(path.stem for path in CHECKS)} - {"ping", "wake_on_lan"}))
def test_every_check_documents_what_it_looked_at(name):
    text = (MODULES / f"{name}.py").read_text().split('RETURN = r"""', 1)[1].split('"""', 1)[0]
    returned = yaml.safe_load(text)
    assert [key for key in returned["looked_at"]["contains"] if key != "group"] == ["subject", "facts", "state", "hosts"]
    assert set(returned["findings"]["contains"]) >= {field.name for field in fields(Finding)}


def test_there_are_checks():
    assert "network_plan_check" in {path.stem for path in CHECKS}
