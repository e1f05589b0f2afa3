# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When kubeadm's certificates expire."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding

SECONDS_A_DAY = 86400
RULE = "certificates_last_a_while"


def read_expirations(text: str) -> list[dict[str, Any]]:
    """What `kubeadm certs check-expiration -o json` says: name, date and days of every certificate and authority that is there."""
    try:
        read = json.loads(text[text.index("{") :])
    except ValueError:
        return []
    entries = [*(read.get("certificates") or []), *(read.get("certificateAuthorities") or [])]
    return [
        {"name": entry["name"], "expires": entry["expirationDate"], "days": entry["residualTime"] // SECONDS_A_DAY}
        for entry in entries
        if entry.get("expirationDate") and not entry.get("missing")
    ]


def findings(certificates: Sequence[dict[str, Any]], least_days: int) -> list[Finding]:
    """Those that expire soon or have expired. None at all is unknown, never fine."""
    if not certificates:
        return [
            Finding(
                RULE,
                "warning",
                "kubeadm's certificates",
                "unknown: kubeadm named none",
                f"at least {least_days} days each",
                "See what `kubeadm certs check-expiration` says on the host.",
            )
        ]
    return [
        Finding(
            RULE,
            "error" if one["days"] < 0 else "warning",
            f"certificate {one['name']}",
            f"expired on {one['expires']}" if one["days"] < 0 else f"expires in {one['days']} days, on {one['expires']}",
            f"at least {least_days} days",
            "Renew it with `kubeadm certs renew all`, then restart the control plane's Pods; an upgrade renews all of them too.",
        )
        for one in certificates
        if one["days"] < least_days
    ]
