# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Approve certificate requests of kubelets, between the runs of a playbook: kubelets renew their certificates when they like.

A request that does not match the inventory is not denied but left: the inventory may be changed after it, and Kubernetes removes it after a
day.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._kubeadm.state import ADMIN_CONF, Api
from .._programs import Host, Timed, ensure_timed, remove_timed
from .requests import SIGNER, Nodes, is_pending, nodes_of, objection

PROGRAM = "/usr/local/lib/vmstation/kubelet-approver.pyz"
CONFIGURATION = "/etc/vmstation/kubelet-approver.json"
REPORTED = "/run/vmstation-kubelet-approver"
TIMED = Timed("vmstation-kubelet-approver", "", REPORTED, (PROGRAM, CONFIGURATION), frozenset({CONFIGURATION}))

REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
REASON = "InventoryMatch"

_SERVICE = """\
[Unit]
Description=Approve certificate requests of the kubelets in the inventory
After=network-online.target
ConditionPathExists={configuration}
ConditionPathExists={kubeconfig}

[Service]
Type=oneshot
ExecStart={python} -I {program}
TimeoutStartSec=120
"""
_TIMER = f"""\
[Unit]
Description=Start {TIMED.service} twice a minute

[Timer]
OnCalendar=*:*:0/30
AccuracySec=1s

[Install]
WantedBy=timers.target
"""


@dataclass
class Round:
    """What was done. approved: names of requests. rejected: name -> the node's user and the reason."""

    approved: list[str] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)


def approve(api: Api, nodes: Nodes) -> Round:
    """Approve the pending requests that match; return those and the others. A request that changed meanwhile is left for the next round."""
    done = Round()
    listed = api.get(f"{REQUESTS}?fieldSelector=spec.signerName%3D{SIGNER.replace('/', '%2F')}") or {}
    for request in listed.get("items") or ():
        if not is_pending(request):
            continue
        name, user = request["metadata"]["name"], request["spec"].get("username", "")
        why = objection(request, nodes)
        if why:
            done.rejected[name] = f"{user}: {why}"
        elif api.replace(f"{REQUESTS}/{name}/approval", _approved(request)):
            done.approved.append(name)
    return done


def _approved(request: Mapping[str, Any]) -> dict[str, Any]:
    status = request.get("status") or {}
    approval = {
        "type": "Approved",
        "status": "True",
        "reason": REASON,
        "message": "Name and addresses are those of the inventory (vmstation.cluster).",
    }
    return {**request, "status": {**status, "conditions": [*(status.get("conditions") or ()), approval]}}


# The program, its files and its timer


def lines_of(done: Round, reported: Iterable[str]) -> list[str]:
    """Return a line for each approved request, and for each other one that was not reported yet."""
    known = set(reported)
    new = {name: why for name, why in done.rejected.items() if name not in known}
    return [*(f"approved {name}" for name in done.approved), *(ascii(f"not approved: {name} of {why}")[1:-1] for name, why in new.items())]


def ensure(host: Host, options: Mapping[str, Any], entry: str, *, check_mode: bool) -> dict[str, Any]:
    """The module's result."""
    if options["state"] == "absent":
        return remove_timed(host, TIMED, check_mode=check_mode)
    configuration = {"address": options["address"], "nodes": nodes_of(options["nodes"])}
    service = _SERVICE.format(configuration=CONFIGURATION, kubeconfig=ADMIN_CONF, python=host.python, program=PROGRAM)
    wanted = {
        PROGRAM: host.program(entry),
        CONFIGURATION: json.dumps(configuration, indent=2, sort_keys=True) + "\n",
        **dict(zip(TIMED.units, (service, _TIMER))),
    }
    return ensure_timed(host, TIMED, wanted, check_mode=check_mode)
