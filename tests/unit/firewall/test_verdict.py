# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a result of firewall_ports says about a host's firewall."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.ensure import findings, looked_at

UFW: dict[str, Any] = {"backend": "ufw", "ports": [{"port": "10250"}], "added": [], "removed": []}
SITE = "`ansible-playbook site.yml --limit homelab`"
DIFFERENCES = {
    "added": (["179/tcp"], "error", "closed: 179/tcp", SITE),
    "removed": (["1/tcp"], "warning", "open, but not needed by the plan: 1/tcp", SITE),
    "unsaved": (["22/tcp", "not 80/tcp"], "error", "a reboot or reload would change 22/tcp, not 80/tcp", SITE),
    "repaired": (["a rule in front denies 10250/tcp"], "error", "altered: a rule in front denies 10250/tcp", SITE),
}
LOOSE, TIGHT = "node ports 31100/tcp only from 192.168.4.63/32", "network 10.9.0.0/16 only from trusted networks"
RESTRICTED = {
    "missing": ({"added": [LOOSE]}, f"open to more than these: {LOOSE}"),
    "superfluous": ({"removed": [TIGHT]}, f"restricted, but not by the plan: {TIGHT}"),
    "of other sources": ({"added": [LOOSE], "removed": [TIGHT]}, f"open to more than these: {LOOSE}"),
}
OF_THE_HOST = {
    "not enabled": ({**UFW, "limits": ["ufw.service is not enabled"]}, "error", "ufw.service is not enabled", "`systemctl enable UNIT`"),
    "switched off": (
        {**UFW, "backend": "none", "inactive": "ufw", "exposed": ["22/tcp", "9100/tcp"]}, "error",
        "not active, so every device reaches 22/tcp, 9100/tcp; ufw has the rules of the plan", "Run `ufw enable` on homelab.",
    ),
    "not installed yet": (
        {**UFW, "backend": "nftables", "installed": True, "added": ["6443/tcp"], "exposed": ["22/tcp"]}, "warning",
        "none is active, so every device reaches 22/tcp", SITE,
    ),
    "none": ({**UFW, "backend": "none", "inactive": ""}, "warning", "none is active, so every device reaches every port", SITE),
}  # fmt: skip


@pytest.mark.parametrize("key", DIFFERENCES)
def test_what_check_mode_would_correct_is_a_finding_and_what_a_run_corrected_is_none(key: str) -> None:
    value, severity, found, fix = DIFFERENCES[key]
    result = {**UFW, key: value}
    (finding,) = told = findings(result, "homelab", check=True)
    assert (finding.severity, finding.subject, finding.found) == (severity, "firewall of homelab (ufw)", found)
    assert fix in finding.fix
    assert [(one.subject, one.state) for one in looked_at(result, "homelab", told)] == [(finding.subject, severity)]
    assert findings(result, "homelab", check=False) == []


@pytest.mark.parametrize("name", RESTRICTED)
def test_sources_are_no_ports(name: str) -> None:
    differing, found = RESTRICTED[name]
    (finding,) = findings({**UFW, **differing}, "homelab", check=True)
    assert (finding.rule, finding.severity, finding.found) == ("sources_are_restricted", "warning", found)


@pytest.mark.parametrize("name", OF_THE_HOST)
@pytest.mark.parametrize("check", [True, False])
def test_what_a_run_does_not_correct_is_a_finding_of_each_run(name: str, check: bool) -> None:
    result, severity, found, fix = OF_THE_HOST[name]
    (finding,) = findings(result, "homelab", check=check)
    assert (finding.severity, finding.found) == (severity, found)
    assert fix in finding.fix


def test_a_firewall_as_planned_is_ok_and_a_host_without_a_name_has_none_in_the_text() -> None:
    assert findings(UFW, "", check=True) == []
    (item,) = looked_at(UFW, "", [])
    assert (item.subject, item.facts, item.state) == ("firewall (ufw)", "1 open ports, as in the plan", "ok")
    (finding,) = findings({**UFW, "added": ["179/tcp"]}, "", check=True)
    assert finding.fix == "`ansible-playbook site.yml` corrects it."
