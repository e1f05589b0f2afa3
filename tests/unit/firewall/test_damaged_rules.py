# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that nobody can read are an error that shows them, or count as rules of others. Fuzzing found these."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall import firewalld_zones
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.iptables_rules import Tables, effects
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import parse
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.nftables_rules import Ruleset, read_rule
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.ufw_rules import parse_rule
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

PORTS = parse([{"port": 22}], [])
PATH = "/etc/firewalld/services/x.xml"


@pytest.mark.parametrize("line", [":INPUT", "-A ", "-I "])
def test_a_line_of_iptables_without_its_words_is_shown(line: str) -> None:
    with pytest.raises(Refusal, match="rules of iptables: found"):
        Tables(f"*filter\n{line}\nCOMMIT\n")


@pytest.mark.parametrize("port", ["²", "9" * 5000, "1:²"])
def test_a_port_of_iptables_that_is_no_number_is_any_port(port: str) -> None:
    tables = Tables(f"*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp --dport {port} -j DROP\nCOMMIT\n")
    assert effects(tables, PORTS.openings)["INPUT"]


@pytest.mark.parametrize("ports", ["22,", "22::23", "²", "9" * 5000])
def test_ports_of_ufw_that_are_no_numbers_are_a_condition(ports: str) -> None:
    rule = parse_rule(f"-A ufw-user-input -p tcp --dports {ports} -j ACCEPT")
    assert (rule.ports, ports in rule.conditions) == ((), True)
    assert parse_rule("-A ").chain == ""


@pytest.mark.parametrize(
    "text", ['<?xml version="1.0" encoding="utf-88"?>\n<service/>\n', '<service><port port="x" protocol="tcp"/></service>']
)
def test_a_file_of_firewalld_that_cannot_be_read_is_named(text: str) -> None:
    with pytest.raises(Refusal, match=PATH):
        firewalld_zones.parse_service(PATH, text)


@pytest.mark.parametrize("ports", ["-", "1-2-3", "9" * 5000])
def test_a_rich_rule_without_ports_is_none_of_ours(ports: str) -> None:
    assert firewalld_zones.parse(f'rule port port="{ports}" protocol="tcp" accept') is None


CHAIN = {"chain": {"family": "inet", "table": "filter", "name": "input", "type": "filter", "hook": "input", "prio": 0, "policy": "accept"}}
RULE = {"family": "inet", "table": "filter", "chain": "input", "handle": 4}


@pytest.mark.parametrize(
    "objects", ["x", [7], [{"rule": {**RULE, "expr": [None]}}], [{"chain": {"family": "inet"}}], [{"rule": {**RULE, "expr": 7}}]]
)
def test_a_ruleset_of_another_form_is_refused(objects: Any) -> None:
    with pytest.raises(Refusal, match="`nft -j list ruleset`: found JSON of another form"):
        Ruleset(json.dumps({"nftables": objects}))


@pytest.mark.parametrize("expression", [{"match": 7}, {"jump": "x"}])
def test_an_expression_of_an_unknown_form_is_named_with_its_rule(expression: dict[str, Any]) -> None:
    rule = {"rule": {**RULE, "expr": [expression, {"drop": None}]}}
    with pytest.raises(Refusal, match=r"inet filter input handle 4|JSON of another form"):
        Ruleset(json.dumps({"nftables": [CHAIN, rule]})).refusing("input", "")


INFINITE_PORT = {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": float("inf")}}


@pytest.mark.parametrize(
    "expressions",
    [
        [{}], [], [{"match": 7}, {"accept": None}], [{"match": {"left": 7, "right": 1, "op": "=="}}, {"drop": None}],
        [INFINITE_PORT, {"accept": None}],
    ],
)  # fmt: skip
def test_an_unknown_rule_of_nftables_is_none_of_ours(expressions: list[dict[str, Any]]) -> None:
    assert read_rule(expressions, "") is None
