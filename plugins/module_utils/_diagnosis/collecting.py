# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the plays of diagnose.yml have registered what host and cluster said."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.redaction import redact
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

CLUSTER, HOST = "diagnosis_cluster", "diagnosis_host"
"""The variables of diagnose.yml: of the one host that asked for all, and of each."""


def entries_of(hostvars: object, hosts: Iterable[str], asleep: Collection[str], versions: Mapping[str, str]) -> list[dict[str, Any]]:
    """All entries, below a directory for the cluster and one for each host. Who has said nothing is an entry that says why."""
    names = list(hosts)
    if not isinstance(hostvars, Mapping):
        raise Refusal(
            "diagnosis_entries", repr(hostvars), "the variable hostvars", "Write `hostvars | vmstation.cluster.diagnosis_entries(...)`."
        )
    seen = {name: hostvars.get(name) or {} for name in names}
    cluster: Mapping[str, Any] = next((seen[name][CLUSTER] for name in names if CLUSTER in seen[name]), {})
    entries = [_of_versions(versions), *_below("cluster", "the Kubernetes API", cluster)]
    for name in names:
        if name in asleep:
            entries.append({"name": f"hosts/{name}", "status": "asleep", "asked": f"host {name}", "note": "asleep, and left so"})
        else:
            entries += _below(f"hosts/{name}", f"host {name}", seen[name].get(HOST) or {})
    return entries


def _of_versions(versions: Mapping[str, str]) -> dict[str, Any]:
    text = "".join(f"{program} {version}\n" for program, version in versions.items())
    return {"name": "controller/versions.txt", "status": "complete", "asked": "the controller", "text": text}


def _below(directory: str, asked: str, result: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "entries" in result:
        return [{**entry, "name": f"{directory}/{entry['name']}"} for entry in result["entries"]]
    # what a program has said on its way down may quote anything
    note, redactions = redact(" ".join(str(result.get("msg") or "it was not asked").split()))
    return [{"name": directory, "status": "failed", "asked": asked, "note": note, "redactions": redactions}]
