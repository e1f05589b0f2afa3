# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find volumes and claims that Pods cannot use, or will lose. local_storage_check looks at their directories on the hosts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from .._findings import Finding, Severity
from .model import Object, Sight, Wanted, name_of, place_of, seconds
from .workloads import PATIENCE, Pods, finding_about, pods_of

# the label that the roles monitoring and jellyfin give to their volumes, with their namespace
PART_OF = "app.kubernetes.io/part-of"


def findings(wanted: Wanted, seen: Sight) -> Iterator[Finding]:
    pods = pods_of(wanted, seen)
    users: dict[tuple[str, str], list[Object]] = defaultdict(list)
    for pod in seen.all("Pod"):
        for volume in pod["spec"].get("volumes") or ():
            users[place_of(pod)[0], (volume.get("persistentVolumeClaim") or {}).get("claimName", "")].append(pod)
    for one in seen.all("PersistentVolumeClaim"):
        yield from _of_claim(pods, one, users)
    for one in seen.all("PersistentVolume"):
        yield from _of_volume(wanted, seen, one)


def _of_claim(pods: Pods, one: Object, users: Mapping[tuple[str, str], list[Object]]) -> Iterator[Finding]:
    key, phase, of_it = ("PersistentVolumeClaim", *place_of(one)), (one.get("status") or {}).get("phase"), users.get(place_of(one), [])
    patient = {
        each["metadata"]["name"] for each in pods.seen.all("StorageClass") if each.get("volumeBindingMode") == "WaitForFirstConsumer"
    }
    waits = (not of_it and one["spec"].get("storageClassName") in patient) or (of_it and all(map(pods.excused, of_it)))
    young = pods.seen.age(one["metadata"].get("creationTimestamp")) < PATIENCE
    leaving = _leaving(pods.seen, one)
    if phase == "Lost" or (phase == "Pending" and not young and not waits):
        wants = f"storage class {one['spec'].get('storageClassName') or 'none'}"
        yield finding_about(pods, "claims_are_bound", key, [f"{phase}; {wants}", pods.warning(one)], "Bound")
    elif leaving > PATIENCE:
        names = ", ".join(sorted(pod["metadata"]["name"] for pod in of_it)) or "none"
        found = f"deleted {seconds(leaving)} ago, and removed as soon as no Pod uses it; Pods that do: {names}"
        fix = (
            f"Delete these Pods (`kubectl --namespace {key[1]} delete pod NAME`), then create the claim again; `ansible-playbook site.yml` "
            "does so for monitoring and Jellyfin, whose data stay on the host."
        )
        yield finding_about(pods, "volumes_stay", key, [found], "not being deleted: a Pod that starts later finds no volume", fix=fix)


def _of_volume(wanted: Wanted, seen: Sight, one: Object) -> Iterator[Finding]:
    name, status, claim = name_of(one), one.get("status") or {}, one["spec"].get("claimRef") or {}
    severity: Severity = "error" if claim.get("namespace") in wanted.namespaces else "warning"
    subject, of_claim, leaving = f"PersistentVolume {name}", f"{claim.get('namespace')}/{claim.get('name')}", _leaving(seen, one)
    if status.get("phase") == "Failed":
        said = status.get("message") or status.get("reason") or "no reason given"
        fix = f"See `kubectl describe persistentvolume {name}`. If its data are not needed, `kubectl delete persistentvolume {name}`."
        yield Finding("volumes_can_be_used", severity, subject, f"Failed: {said}", "Bound or Available", fix)
    elif status.get("phase") == "Released" and severity == "error":
        yield _released(seen, one)
    elif leaving > PATIENCE:
        found = f"deleted {seconds(leaving)} ago, and removed with its claim {of_claim}"
        fix = f"Delete the claim's Pods and the claim, then create both again: `kubectl describe persistentvolume {name}` shows the path."
        yield Finding("volumes_stay", severity, subject, found, "not being deleted", fix)


def _released(seen: Sight, one: Object) -> Finding:
    """Only for volumes that the roles made, a run of site.yml clears the reference to the deleted claim."""
    name, place = name_of(one), (one["spec"]["claimRef"]["namespace"], one["spec"]["claimRef"]["name"])
    now = next((claim["spec"].get("volumeName") for claim in seen.all("PersistentVolumeClaim") if place_of(claim) == place), None)
    found = f"Released: its claim {'/'.join(place)} was deleted"
    if (one["metadata"].get("labels") or {}).get(PART_OF) == place[0] and now in (None, name):
        fix = "Run `ansible-playbook site.yml`, which creates the claim again; the data stay on the host."
        return Finding("volumes_can_be_used", "error", f"PersistentVolume {name}", found, "Bound to its claim", fix)
    found += f", and the claim of that name has the volume {now}" if now and now != name else ""
    fix = f"If its data are not needed, `kubectl delete persistentvolume {name}`."
    return Finding("volumes_can_be_used", "warning", f"PersistentVolume {name}", found, "Bound to its claim, or deleted", fix)


def _leaving(seen: Sight, one: Object) -> float:
    """Return the seconds since its deletion, which waits for what uses it; 0 if it was not deleted."""
    at = one["metadata"].get("deletionTimestamp")
    return seen.age(at) if at else 0.0


def looked_at(seen: Sight) -> str:
    return f"{len(seen.all('PersistentVolume'))} volumes and {len(seen.all('PersistentVolumeClaim'))} claims"
