# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Corefile that we write, how one is read, and each rule: what one change to ours brings."""

from __future__ import annotations

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.corefile import Unreadable, parse
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.lint import READABLE, RULES, lint, looked_at
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.model import corefile, dns_plan
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

NETWORK_PLAN = {
    "node_cidr": "192.168.4.0/24",
    "gateway": "192.168.4.1",
    "upstream_dns": ["192.168.4.1"],
    "pod_cidr": "10.244.0.0/16",
    "service_cidr": "10.96.0.0/12",
    "dns_service_ip": "10.233.0.3",
    "dns_domain": "cluster.local",
    "kubernetes_version": "1.36",
}
PLAN = dns_plan(NETWORK_PLAN)
OURS = corefile(PLAN)
SPECIFIED = """\
.:53 {
    errors
    health
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
    }
    forward . /etc/resolv.conf
    cache 30
    loop
    reload
    loadbalance
}
"""


def found(text: str) -> set[tuple[str, str]]:
    return {(one.rule, one.subject.removeprefix("Corefile").removeprefix(", ")) for one in lint(text, PLAN)}


def test_ours_says_what_the_plan_says() -> None:
    plan = dns_plan({**NETWORK_PLAN, "dns_domain": "home.arpa", "upstream_dns": ["192.168.4.1", "9.9.9.9"]})
    (server,) = parse(corefile(plan)).servers
    assert [zone.written for zone in server.zones] == [".:53"]
    assert server.every("kubernetes")[0].arguments == ("home.arpa", "in-addr.arpa", "ip6.arpa")
    assert server.every("forward")[0].arguments == (".", "192.168.4.1", "9.9.9.9")


def test_ours_has_no_findings() -> None:
    assert lint(OURS, PLAN) == []
    assert [(item.subject, item.state) for item in looked_at(OURS, [])] == [("Corefile", "ok")]


def test_ours_has_every_plugin_of_the_specification() -> None:
    (specified,), (ours,) = parse(SPECIFIED).servers, parse(OURS).servers
    assert {one.name for one in specified.plugins} <= {one.name for one in ours.plugins}


def test_what_the_specification_lacks_is_named() -> None:
    assert found(SPECIFIED) == {
        ("the_readiness_probe_is_answered", ""),
        ("a_pod_that_ends_still_answers", "line 3"),
        ("metrics_are_served", ""),
        ("upstreams_do_not_depend_on_the_node", "line 8"),
    }


# what of our Corefile is replaced, by what, and the finding's rule and place
CHANGES = [
    ("    ready\n", "", "the_readiness_probe_is_answered", ""),
    ("    ready\n", "    ready :8182\n", "the_readiness_probe_is_answered", ""),
    ("    health {\n        lameduck 5s\n    }\n", "", "the_liveness_probe_is_answered", ""),
    ("    health {\n        lameduck 5s\n    }\n", "    health\n", "a_pod_that_ends_still_answers", "line 3"),
    ("lameduck 5s", "lameduck 5", "plugins_are_written_as_they_should", "line 4"),
    ("    prometheus :9153\n", "", "metrics_are_served", ""),
    ("prometheus :9153", "prometheus", "metrics_are_served", "line 12"),
    ("cluster.local in-addr", "cluster.lcoal in-addr", "the_cluster_domain_is_served", "server block .:53 (line 1)"),
    (".:53", ".:5353", "the_cluster_domain_is_served", ""),
    (".:53", "tls://.:53", "the_cluster_domain_is_served", ""),
    ("cluster.local in-addr.arpa ip6.arpa", "cluster.local 10.244.0.0/16", "reverse_zones_are_served", ""),
    ("        fallthrough in-addr.arpa ip6.arpa\n", "", "reverse_zones_fall_through", "line 7"),
    ("192.168.4.1", "127.0.0.53", "upstreams_are_not_the_cluster_itself", "line 13"),
    ("192.168.4.1", "[::1]:53", "upstreams_are_not_the_cluster_itself", "line 13"),
    ("192.168.4.1", "10.233.0.3", "upstreams_are_not_the_cluster_itself", "line 13"),
    ("192.168.4.1", "192.168.4.1 10.96.0.10", "upstreams_are_not_the_cluster_itself", "line 13"),
    ("192.168.4.1", "/etc/resolv.conf", "upstreams_do_not_depend_on_the_node", "line 13"),
    ("192.168.4.1", "dns.google", "upstreams_are_addresses", "line 13"),
    ("192.168.4.1", "https://9.9.9.9", "upstreams_are_addresses", "line 13"),
    ("    loop\n", "", "loops_are_detected", "server block .:53 (line 1)"),
    ("    cache 30\n", "", "answers_are_cached", "server block .:53 (line 1)"),
    ("    errors\n", "", "errors_are_logged", "server block .:53 (line 1)"),
    ("    reload\n", "", "changes_are_taken_up", ""),
    ("    forward . 192.168.4.1 {\n        max_concurrent 1000\n    }\n", "", "names_outside_are_forwarded", "server block .:53 (line 1)"),
    ("    loop\n", "    loop\n    loop\n", "plugins_stand_once", "line 18"),
    ("    loop\n", "    lopp\n", "plugins_are_known", "line 17"),
    ("pods insecure", "pods secure", "plugins_are_written_as_they_should", "line 8"),
    ("pods insecure", "pod insecure", "plugins_are_written_as_they_should", "line 8"),
    ("ttl 30", "ttl 3601", "plugins_are_written_as_they_should", "line 10"),
    ("cache 30", "cache 0", "plugins_are_written_as_they_should", "line 16"),
    ("    reload\n", "    reload 1s\n", "plugins_are_written_as_they_should", "line 18"),
    ("max_concurrent 1000", "max_concurrent many", "plugins_are_written_as_they_should", "line 14"),
    ("loadbalance\n}\n", "loadbalance\n}\n.:53 {\n    whoami\n}\n", "zones_are_served_once", "line 21"),
    ("192.168.4.1", "{$UPSTREAM}", "imports_and_variables_can_be_judged", "line 13"),
    ("    loop\n", "    loop\n    import more\n", "imports_and_variables_can_be_judged", ""),
    ("    }\n    ready\n", "    ready\n", READABLE, "line 5"),
    ("loadbalance\n}\n", "loadbalance\n", READABLE, "line 1"),
    ("loadbalance\n}\n", "loadbalance\n}\n}\n", READABLE, "line 21"),
    ("errors\n", "errors }\n", READABLE, "line 2"),
    (".:53 {", "{", READABLE, "line 1"),
    (".:53 {", ".:53, {", READABLE, "line 1"),
    (".:53", ".:99999", READABLE, "line 1"),
    (".:53", ":53", READABLE, "line 1"),
    ("    loadbalance\n}\n", "}\n    loadbalance\n", "server_blocks_have_plugins", "server block loadbalance (line 20)"),
    (".:53", "dnsovercarrier://.", READABLE, "line 1"),
    ("    loop\n", '    log "{remote}\n', READABLE, "line 17"),
]


@pytest.mark.parametrize(
    ("old", "new", "rule", "where"), CHANGES, ids=[f"{rule}: {new.strip() or old.strip()}" for old, new, rule, _where in CHANGES]
)
def test_a_change_is_found_where_it_stands(old: str, new: str, rule: str, where: str) -> None:
    assert old in OURS
    assert (rule, where) in found(OURS.replace(old, new, 1))


def test_every_rule_is_tested() -> None:
    assert {rule for _old, _new, rule, _where in CHANGES} == {*RULES, READABLE}


@pytest.mark.parametrize(
    "text",
    [
        OURS.replace("in-addr.arpa ip6.arpa {", "244.10.in-addr.arpa 10.96.0.0/12 10.233.0.0/24 {"),
        OURS.replace("in-addr.arpa ip6.arpa {", "10.0.0.0/8 {"),
        OURS.replace("192.168.4.1", "tls://9.9.9.9 [2620:fe::fe]:53 fe80::1%eth0 192.168.4.1:5353"),
        "(shared) {\n    errors\n    cache 30\n    loop\n}\n"
        + OURS.replace("    errors\n", "    import shared\n").replace("    cache 30\n    loop\n", ""),
        "\ufeff# comment\n" + OURS.replace("errors", "errors # a brace }").replace("\n", "\r\n"),
        OURS.replace(".:53 {", ".:53\n{"),
        OURS + "consul.local:53 {\n    errors\n    cache\n    loop\n    forward . 192.168.4.9\n}\n",
        OURS.replace("    log\n", "").replace("errors\n", 'errors\n    log . "{remote} {name}"\n'),
    ],
    ids=[
        "reverse by network",
        "wider reverse",
        "upstreams",
        "snippet",
        "comments and line ends",
        "brace below",
        "another server",
        "quotes",
    ],
)
def test_other_ways_to_write_it_are_fine(text: str) -> None:
    assert lint(text, PLAN) == []


def test_a_rule_can_be_accepted() -> None:
    assert lint(OURS.replace("    cache 30\n", ""), PLAN, ["answers_are_cached"]) == []


def test_options_and_their_lines_are_read() -> None:
    (server,) = parse('a.example, b.example:1053\n{\n  file "a zone" {\n    reload 30s\n    upstream\n  }\n}').servers
    assert [(zone.name, zone.port) for zone in server.zones] == [("a.example", 53), ("b.example", 1053)]
    (plugin,) = server.plugins
    assert (plugin.arguments, plugin.line) == (("a zone",), 3)
    assert [(str(option), option.line) for option in plugin.options] == [("reload 30s", 4), ("upstream", 5)]


def test_a_snippet_may_be_imported_by_any_number_of_server_blocks() -> None:
    blocks = "".join(f"z{number}.example:53 {{\n  import common\n  forward . 1.1.1.1\n}}\n" for number in range(50))
    servers = parse(f"(inner) {{\n  log\n}}\n(common) {{\n  errors\n  import inner\n}}\n{blocks}").servers
    assert [[plugin.name for plugin in server.plugins] for server in servers] == [["errors", "log", "forward"]] * 50


def test_snippets_that_import_each_other_twice_end() -> None:
    snippets = "".join(f"(s{number}) {{\n  import s{number + 1}\n  import s{number + 1}\n}}\n" for number in range(40))
    with pytest.raises(Unreadable, match="more than 100000 words"):
        parse(f"{snippets}(s40) {{\n  log\n}}\n. {{\n  import s0\n}}\n")


def test_snippets_that_import_each_other_in_a_circle_end() -> None:
    with pytest.raises(Unreadable, match="import of one within itself"):
        parse("(one) {\n  import two\n}\n(two) {\n  import one\n}\n. {\n  import one\n}\n")


def test_a_port_of_any_length_is_refused() -> None:
    with pytest.raises(Unreadable, match="instead of a zone"):
        parse(f"example:{'9' * 5000} {{\n  log\n}}\n")


def test_a_snippet_that_imports_itself_ends() -> None:
    with pytest.raises(Unreadable, match="import of more within itself"):
        parse("(more) {\n  import more\n}\n. {\n  import more\n}\n")


@pytest.mark.parametrize(("field", "value"), [("dns_service_ip", None), ("dns_service_ip", "10.96.0"), ("dns_domain", "cluster..local")])
def test_a_plan_without_what_dns_needs_is_refused(field: str, value: object) -> None:
    changed = {name: one for name, one in {**NETWORK_PLAN, field: value}.items() if one is not None}
    with pytest.raises(Refusal, match=f"network_plan.{field}"):
        dns_plan(changed)


def test_dual_stack() -> None:
    plan = dns_plan(
        {
            **NETWORK_PLAN,
            "node_cidr": ["192.168.4.0/24", "fd00:4::/64"],
            "pod_cidr": ["10.244.0.0/16", "fd00:244::/56"],
            "service_cidr": ["10.96.0.0/12", "fd00:96::/112"],
            "dns_service_ip": ["10.233.0.3", "fd00:96::a"],
        }
    )
    assert plan.addresses == ("10.233.0.3", "fd00:96::a")
    assert [str(network) for network in plan.networks] == [
        "10.244.0.0/16",
        "fd00:244::/56",
        "10.96.0.0/12",
        "fd00:96::/112",
        "10.233.0.0/24",
    ]
    assert lint(corefile(plan), plan) == []
    (without,) = lint(corefile(plan).replace(" ip6.arpa {", " {"), plan)[:1]
    assert "fd00:244::/56" in without.found
