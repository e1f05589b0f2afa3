# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a site run: the state of each host, in lines that a person reads."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any, Optional

from .._cluster.nodes import IN_INVENTORY
from .._findings import Finding
from .._refusal import Refusal
from .hosts import distinct, registered

NETWORK, WAKE, FAILURE, NODES, DNS = "site_network", "site_wake", "site_failure", "site_nodes", "site_dns"
PREFLIGHT, FIREWALL, NIC, RUNTIME = "_node_preflight", "_node_firewall", "_node_nic", "_node_runtime"
"""The variables in which the plays before have registered what they saw."""
SHOWN = 8  # sources of an open port
HIDDEN = "the message is hidden, because the task has no_log; to read it, set no_log to false in this task and run again"


def site_verdict(
    hostvars: object, hosts: object, predicted: bool = False, *, reached: Container[str] = (), skipped: Sequence[str] = ()
) -> list[str]:
    """A headline for each host of the cluster, its open ports and its problems below. A host without results did not get far.
    Nodes that the inventory does not name come last.

    predicted: the run was in check mode. reached: hosts that did answer if they were asked; the run has
    left out the preparation of those of which nothing is known. skipped: stages that the run has left out.
    """
    if not isinstance(hostvars, Mapping) or not isinstance(hosts, (list, tuple)):
        raise Refusal(
            "site_verdict", repr(hosts), "hostvars and a list of hosts", "Write `hostvars | vmstation.cluster.site_verdict(hosts)`."
        )
    seen = {host["name"]: registered(hostvars, host["name"]) for host in hosts}
    asleep = {entry["name"] for wake in distinct(seen.values(), WAKE) for entry in wake.get("hosts") or () if not entry["is_up"]}
    lines = []
    for host in hosts:
        name = host["name"]
        lines += _of_host(host, seen[name], name in asleep, predicted, name in reached)
    lines += [f"{stage}: skipped, as site_skip names it; what exists of it in the cluster was not changed" for stage in skipped]
    return [*lines, *_strangers(seen.values())]


def finding_lines(findings: object) -> list[str]:
    """What checks have returned as ``findings``, a line each."""
    if not isinstance(findings, (list, tuple)) or not all(isinstance(finding, Mapping) for finding in findings):
        raise Refusal("finding_lines", repr(findings), "a list of findings", "Pass `findings` of a check's result.")
    return [str(Finding(**finding)) for finding in findings]


def _of_host(host: Mapping[str, Any], seen: Mapping[str, Any], asleep: bool, predicted: bool, reached: bool) -> list[str]:
    name = f"{host['name']} ({host.get('role')}, {_joined(host.get('address'))})"
    if asleep:
        planned = (((seen.get(NETWORK) or {}).get("derived") or {}).get("ports") or {}).get(host.get("role")) or ()
        # its firewall accepts pod traffic from the hosts that it knows only
        headline = f"{name}: asleep, skipped. When awake, run site.yml for it: hosts added since do not reach its Pods. It opens"
        return [headline, *(f"  {_opening(entry)}" for entry in planned)]
    preflight, firewall, runtime = (seen.get(key) or {} for key in (PREFLIGHT, FIREWALL, RUNTIME))
    against = [finding for key in (PREFLIGHT, NIC, DNS) for finding in (seen.get(key) or {}).get("findings") or ()]
    findings = [f"  {finding['severity']}: {finding['subject']}: {finding['found']}" for finding in against]
    accepted = [f"  accepted: {finding['subject']}: {finding['found']}" for finding in preflight.get("accepted") or ()]
    if not preflight and not seen.get(FAILURE):
        return [
            f"{name}: {'; '.join(['not prepared in this run', *_membership(host['name'], seen)]) if reached else 'not reached'}",
            *findings,
        ]
    failure = seen.get(FAILURE)
    if "backend" not in firewall or ("stdout" not in runtime and failure):
        at = f", ended at: {failure['task']}" if failure else ", see its failed task above"
        return [f"{name}: NOT prepared{at}", *findings, *accepted]
    if firewall["backend"] == "none":
        headline = f"NO firewall is active, every device reaches {', '.join(firewall.get('exposed') or ['every port'])}"
        openings: Sequence[str] = ()
    else:
        openings = [f"  {_opening(entry)}" for entry in firewall.get("ports") or ()]
        headline = f"{firewall['backend']}, {len(openings)} open ports{', predicted' if predicted else ''}"
    state = "; ".join([headline, _runtime(runtime), *_membership(host["name"], seen)])
    return [f"{name}: {state}", *openings, *_trusted(firewall), *findings, *accepted]


def _strangers(seen: Iterable[Mapping[str, Any]]) -> list[str]:
    """Nodes that the inventory does not name."""
    findings = [finding for nodes in distinct(seen, NODES) for finding in nodes.get("findings") or ()]
    return list(dict.fromkeys(str(Finding(**finding)) for finding in findings if finding["rule"] == IN_INVENTORY))


def _membership(name: str, seen: Mapping[str, Any]) -> list[str]:
    """What the host is to the cluster; nothing in a run that did not ask."""
    failure, node = seen.get(FAILURE), ((seen.get(NODES) or {}).get("nodes") or {}).get(name)
    words = [f"NOT in order, ended at: {failure['task']}"] if failure else []
    if node:
        words.append("node ready" if node["ready"] else f"node NOT ready: {node['reason']}")
    if (seen.get(DNS) or {}).get("answers"):
        words.append("DNS answers" if not seen[DNS].get("findings") else "DNS does NOT answer as it should")
    return words


def _runtime(runtime: Mapping[str, Any]) -> str:
    """``ctr version`` prints a paragraph for the client and one for the server: the server's is the daemon that runs."""
    server = str(runtime.get("stdout") or "").partition("Server:")[2]
    for line in server.splitlines():
        key, _colon, version = line.strip().partition(":")
        if key == "Version":
            return f"containerd {version.strip()}"
    return "containerd not running"


def _opening(entry: Mapping[str, Any]) -> str:
    what = f"{entry['port']}/{entry['protocol']}" if entry.get("port") else f"protocol {entry['protocol']}"
    sources = entry.get("sources") or ["anywhere"]
    # the addresses of all hosts, for each host
    others = f" and {len(sources) - SHOWN} more" if len(sources) > SHOWN else ""
    return f"{what} from {', '.join(sources[:SHOWN])}{others}"


def _trusted(firewall: Mapping[str, Any]) -> list[str]:
    networks = firewall.get("trusted") or ()
    what = "everything forwarded" if firewall.get("trusted_ports") == "listed" else "everything"
    return [f"  {what} from and to {', '.join(networks)}"] if networks else []


def _joined(address: object) -> str:
    parts: Iterable[object] = address if isinstance(address, (list, tuple)) else [address]
    return ", ".join(str(part) for part in parts)


def failure_message(result: Optional[Mapping[str, Any]], task: Optional[Mapping[str, Any]], otherwise: str = "") -> str:
    """Return a failure's message and the packages that dnf names, or HIDDEN.

    Ansible hides the output of a task with no_log in its callbacks, but not in ansible_failed_result. A no_log that is a template is not
    evaluated in ansible_failed_task, so it hides the message.
    """
    if (task or {}).get("no_log") not in (None, False):
        return HIDDEN
    failed = result or {}
    words = [failed.get("msg", otherwise), *(failed.get("failures") or [])]
    return " ".join(dict.fromkeys(str(word) for word in words if word))
