# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the validity of certificates that are visible from the controller, and the requests of kubelets for theirs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from .._conditions import condition
from .._findings import Finding
from .._kubelet.requests import SIGNER, is_pending, objection
from .._refusal import Refusal
from .._x509 import not_after
from .model import Seen, Sight, Wanted, seconds

SERVER, CLIENT = "API server's certificate", "kubeconfig's client certificate"
LAST_DAYS = 7
# a request that is to be approved waits for half a minute
LATE_REQUEST = 180.0
_APPROVER = "vmstation-kubelet-approver"
_FIXES = {
    SERVER: "`ansible-playbook site.yml` renews it, and restarts what uses it.",
    CLIENT: "`ansible-playbook site.yml` renews it, and fetches the kubeconfig again.",
}
_WHEN = "%Y-%m-%d %H:%M UTC"


def findings(wanted: Wanted, seen: Sight) -> Iterator[Finding]:
    for subject, end in seen.certificates.items():
        if isinstance(end, Refusal):
            yield Finding("certificates_can_be_read", "unknown", subject, end.found, end.required, end.next_step)
            continue
        left = (end - seen.now).total_seconds() / 86400
        if left < max(wanted.certificate_days, LAST_DAYS):
            found = f"expired on {end:{_WHEN}}" if left <= 0 else f"expires in {left:.1f} days, on {end:{_WHEN}}"
            severity = "error" if left < LAST_DAYS else "warning"
            expected = f"valid for {wanted.certificate_days} days or more"
            yield Finding("certificates_stay_valid", severity, subject, found, expected, _FIXES[subject])  # type: ignore[arg-type]
    yield from _requests(wanted, seen)


def _requests(wanted: Wanted, seen: Sight) -> Iterator[Finding]:
    """Report requests of kubelets that nothing has approved. A kubelet repeats its request: the newest of each counts."""
    newest = {}
    for request in sorted(seen.all("CertificateSigningRequest"), key=lambda one: str(one["metadata"].get("creationTimestamp"))):
        if request["spec"].get("signerName") == SIGNER:
            newest[request["spec"].get("username")] = request
    for user, request in newest.items():
        name, age = request["metadata"]["name"], seen.age(request["metadata"].get("creationTimestamp"))
        denied = condition(request, "Denied") or condition(request, "Failed")
        if not denied and not (is_pending(request) and age > LATE_REQUEST):
            continue
        host = next(iter(wanted.control_plane), "the control plane")
        why = objection(request, wanted.addresses)
        if denied:
            found = f"{denied['type'].lower()} ({denied.get('message') or denied.get('reason') or 'no reason'})"
            fix = f"Find out who did it and why, then `kubectl delete csr {name}`: the kubelet makes another request."
        elif why:
            found = f"not approved for {seconds(age)}: {why}"
            fix = "Correct the host's name or `address` in the inventory, then run site.yml. If it is not the kubelet's request, "
            fix += f"`kubectl delete csr {name}`, and look at that host."
        else:
            found = f"not approved for {seconds(age)}, although it matches the inventory"
            fix = f"On {host}, see `systemctl status {_APPROVER}.timer` and `journalctl --unit {_APPROVER}`; site.yml installs it again."
        expected = "approved within a minute: without a certificate, nothing can verify the kubelet"
        yield Finding("kubelets_get_certificates", "error", f"certificate request {name} of {user}", found, expected, fix)


def has_expired(seen: Sight) -> bool:
    """Return whether a certificate has expired, so that the API server cannot be queried."""
    return any(not isinstance(end, Refusal) and end <= seen.now for end in seen.certificates.values())


def end_of(der: Seen[bytes]) -> Seen[datetime]:
    """Return the end of a certificate's validity."""
    if isinstance(der, Refusal):
        return der
    try:
        return not_after(der)
    except ValueError:
        return Refusal(
            "certificate", "not a readable X.509 certificate", "an X.509 certificate", "Check it with `openssl x509 -noout -enddate`."
        )
