# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judges a Corefile: first whether it is one, then every rule."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Callable, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._dns import corefile_form as form
from ansible_collections.vmstation.cluster.plugins.module_utils._dns import corefile_meaning as meaning
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.model import DnsPlan, Fault
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.plugin_facts import FORMS, PLUGINS
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.syntax import Corefile, Unreadable, parse
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding, Severity

SUBJECT = "Corefile"


@dataclass(frozen=True)
class Rule:
    """holds: named like the truth that it asserts; yields what contradicts it."""

    holds: Callable[[Corefile, DnsPlan], Iterator[Fault]]
    severity: Severity


READABLE = "the_text_is_a_corefile"
RULES: dict[str, Rule] = {
    rule.holds.__name__: rule
    for rule in (
        Rule(form.imports_and_variables_can_be_judged, "warning"),
        Rule(form.plugins_are_known, "error"),
        Rule(form.plugins_stand_once, "error"),
        Rule(form.plugins_are_written_as_they_should, "error"),
        Rule(form.server_blocks_have_plugins, "warning"),
        Rule(form.zones_are_served_once, "error"),
        Rule(meaning.the_cluster_domain_is_served, "error"),
        Rule(meaning.reverse_zones_are_served, "warning"),
        Rule(meaning.reverse_zones_fall_through, "warning"),
        Rule(meaning.the_readiness_probe_is_answered, "error"),
        Rule(meaning.the_liveness_probe_is_answered, "error"),
        Rule(meaning.a_pod_that_ends_still_answers, "warning"),
        Rule(meaning.metrics_are_served, "warning"),
        Rule(meaning.upstreams_are_addresses, "error"),
        Rule(meaning.upstreams_do_not_depend_on_the_node, "warning"),
        Rule(meaning.upstreams_are_not_the_cluster_itself, "error"),
        Rule(meaning.names_outside_are_forwarded, "warning"),
        Rule(meaning.loops_are_detected, "warning"),
        Rule(meaning.answers_are_cached, "warning"),
        Rule(meaning.errors_are_logged, "warning"),
        Rule(meaning.changes_are_taken_up, "info"),
    )
}


def lint(text: str, plan: DnsPlan, accept: Collection[str] = ()) -> list[Finding]:
    """The findings of all rules but those that are accepted."""
    try:
        corefile = parse(text)
    except Unreadable as unreadable:
        return [_finding(READABLE, "error", _swallowed(text) or _place(unreadable))]
    return [
        _finding(name, rule.severity, fault) for name, rule in RULES.items() if name not in accept for fault in rule.holds(corefile, plan)
    ]


def _place(unreadable: Unreadable) -> Fault:
    return Fault(f"line {unreadable.line}", unreadable.found, unreadable.expected, "Correct it there or just above.")


def _swallowed(text: str) -> Optional[Fault]:
    """A text that one more } makes readable: the first plugin that stands in the block of another, where the } is missing."""
    try:
        corefile = parse(f"{text}\n}}")
    except Unreadable:
        return None
    for server in corefile.servers:
        for plugin in server.plugins:
            for option in plugin.options:
                if option.name in PLUGINS and plugin.name in FORMS and option.name not in FORMS[plugin.name].options:
                    found = f"{option.name} in the block of {plugin.name}, which line {plugin.line} opens"
                    return Fault(f"line {option.line}", found, "a } for each {", f"Close the block of {plugin.name} before this line.")
    return None


def _finding(rule: str, severity: Severity, fault: Fault) -> Finding:
    return Finding(rule, severity, f"{SUBJECT}, {fault.where}" if fault.where else SUBJECT, fault.found, fault.expected, fault.fix)
