# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Malformed plans and hosts, one fault each: the one rule that names it, a next step, and never a traceback."""

from __future__ import annotations

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.check import judge
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.reading import SYNTAX_RULES

from tests.unit.network_plan.plans import (
    ABSENT,
    DUAL,
    FLAWLESS,
    HOSTS,
    IPV6,
    IPV6_HOSTS,
    SERVICES,
    extra,
    hosts,
    plan,
    rules_broken,
    service,
)

HUGE = "9" * 100_000
NOT_TEXT = [True, 7, -1, 4.5, float("nan"), {}, {"a": 1}, 10**400]


def faults(key, rule, *values):
    return [(rule, plan(**{key: value}), HOSTS) for value in values]


def service_faults(key, rule, *values):
    return [(rule, plan(services=service(**{key: value})), HOSTS) for value in values]


def extra_faults(key, rule, *values):
    return [(rule, plan(extra_ports=extra(**{key: value})), HOSTS) for value in values]


def host_faults(key, rule, *values):
    return [(rule, plan(), hosts(**{key: value})) for value in values]


NETWORK_SPELLINGS = [
    "10.244.0.0",
    "10.244.0.0/",
    "/16",
    "10.244.0.0/33",
    "10.244.0/16",
    "10.244.0.0.0/16",
    "10.256.0.0/16",
    "10.244.0.0/-1",
]
NETWORK_SPELLINGS += [
    "10.244.0.0/255.255.0.0",
    "10.244.0.0 /16",
    " 10.244.0.0/16",
    "10.244.0.0/16 ",
    "010.244.0.0/16",
    "10.244.0.0/1\uff16",
    "\uff110.244.0.0/16",
]
NETWORK_SPELLINGS += [
    "10.244.0.0/16,fd00::/48",
    "fd00:::/48",
    "fd00::%eth0/64",
    "fd00::/129",
    "pods",
    "",
    "10.244.0.0//16",
    "10.244.0.0/16\n",
    HUGE,
]
ADDRESS_SPELLINGS = [
    "192.168.4",
    "192.168.4.1/24",
    "192.168.4.256",
    "192.168.4.01",
    " 192.168.4.1",
    "192.168.4.1\n",
    "router",
    "",
    "192,168,4,1",
]
ADDRESS_SPELLINGS += ["fe80::1%eth0", "fd00:::1", "\u0661\u0669\u0662.168.4.1", "0xc0a80401", "3232236545", HUGE]

CASES = [
    *[("the_plan_is_a_mapping", value, HOSTS) for value in (None, [], [FLAWLESS], "plan", 7, True, 4.5, "")],
    *[("keys_are_known", plan(**{key: "x"}), HOSTS) for key in ("pod_cidrs", "podCIDR", "mtu", "colour", "node_cidr ", "Gateway")],
    ("keys_are_known", {**FLAWLESS, 7: 1}, HOSTS),
    ("keys_are_known", {**FLAWLESS, None: 1}, HOSTS),
    ("keys_are_known", {**FLAWLESS, ("a", "b"): 1}, HOSTS),
    *[
        ("required_keys_are_present", plan(**{key: value}), HOSTS)
        for key in ("node_cidr", "gateway", "pod_cidr", "service_cidr", "dns_service_ip", "kubernetes_version", "encapsulation")
        for value in (None, ABSENT)
    ],
    # networks
    *faults("pod_cidr", "networks_are_written_as_cidr", *NETWORK_SPELLINGS, *NOT_TEXT),
    *faults("service_cidr", "networks_are_written_as_cidr", "10.96.0.0", "10.96.0.0/255.240.0.0", 10, False),
    *faults("node_cidr", "networks_are_written_as_cidr", "192.168.4.*", "192.168.4.0-255", "192.168.4.0", 192.168),
    *faults("pod_cidr", "networks_have_no_host_bits", "10.244.0.1/16", "10.244.4.0/16", "fd00:10:244::1/56"),
    *faults("service_cidr", "networks_have_no_host_bits", "10.97.0.0/12"),
    *faults("node_cidr", "networks_have_no_host_bits", "192.168.4.63/24"),
    *faults(
        "pod_cidr", "two_entries_are_one_of_each_family", [], ["10.244.0.0/16"], ["10.244.0.0/16"] * 3, ["10.244.0.0/16", "10.245.0.0/16"]
    ),
    *faults("service_cidr", "two_entries_are_one_of_each_family", ["fd00:1::/112", "fd00:2::/112"]),
    *faults("pod_cidr", "networks_are_written_as_cidr", ["10.244.0.0/16", None], ["10.244.0.0/16", ["fd00::/56"]]),
    # addresses
    *faults("gateway", "addresses_are_well_formed", *ADDRESS_SPELLINGS, *NOT_TEXT),
    *faults("dns_service_ip", "addresses_are_well_formed", "10.96.0", "10.96.0.10/12", "kube-dns", 10.96, 170917898),
    *faults("gateway", "two_entries_are_one_of_each_family", ["192.168.4.1", "192.168.4.2"], []),
    *faults("upstream_dns", "lists_are_lists", "192.168.4.1", 9, True, {"a": 1}, ["9.9.9.9"] * 1001),
    *faults("upstream_dns", "addresses_are_well_formed", ["dns.example"], [None], [["9.9.9.9"]], [8], ["9.9.9.9", "1.1.1"]),
    # names
    *faults(
        "dns_domain",
        "names_are_dns_names",
        "",
        "Cluster.Local",
        "cluster..local",
        ".cluster.local",
        "cluster.local.",
        "a_b",
        "\u00e4.local",
        "a b",
        7,
        HUGE,
    ),
    # port ranges
    *faults(
        "node_port_range",
        "port_ranges_are_well_formed",
        "30000:32767",
        "30000..32767",
        "30000 - 32767",
        "32767-30000",
        "0-32767",
        "30000-65536",
    ),
    *faults(
        "node_port_range",
        "port_ranges_are_well_formed",
        "",
        "-",
        "30000-",
        "-32767",
        "abc",
        "\uff130000-32767",
        30000,
        [30000, 32767],
        -2767,
        True,
        HUGE,
    ),
    *faults("local_port_range", "port_ranges_are_well_formed", "32768 60999", "32768\t60999", [32768, 60999], 32768, "60999-32768"),
    # version
    *faults(
        "kubernetes_version",
        "kubernetes_version_is_a_quoted_string",
        1.3,
        1.36,
        1,
        "v1.36",
        "1",
        "1.",
        "1.36.",
        "2.0",
        "1.3\uff16",
        "latest",
        "",
        True,
        [],
    ),
    *faults("kubernetes_version", "kubernetes_version_is_a_quoted_string", "1.36.4-rc.1", " 1.36", "1.036.1.1", {}, HUGE),
    # encapsulation
    *faults(
        "encapsulation",
        "encapsulation_is_calicos_word",
        "ipip",
        "IP-in-IP",
        "vxlan",
        "Always",
        "none",
        "",
        "IPIP ",
        "VXLANCrosssubnet",
        "flannel",
        "Never",
    ),
    *faults("encapsulation", "encapsulation_is_calicos_word", 4, True, ["IPIP"], {"IPIP": True}, HUGE),
    # block size
    *faults("block_size", "block_sizes_are_numbers", "26", "/26", 26.0, True, -1, 129, 10**400, "", {}, ["26"], [None]),
    *faults("block_size", "two_entries_are_one_of_each_family", [26, 122, 26]),
    # services
    *faults("services", "lists_are_lists", {}, "grafana", 7, True, SERVICES * 300),
    *faults("services", "entries_are_mappings", [None], ["grafana"], [7], [[]], [SERVICES[0], True]),
    *[
        ("required_keys_are_present", plan(services=service(**{key: value})), HOSTS)
        for key in ("name", "namespace", "port", "node_port")
        for value in (None, ABSENT)
    ],
    *service_faults("nodeport", "keys_are_known", 30300),
    *service_faults(
        "name", "names_are_dns_names", "Grafana", "gra_fana", "-grafana", "grafana-", "a" * 64, "", "a.b", 7, True, [], "gr\u00e4fana"
    ),
    *service_faults("namespace", "names_are_dns_names", "Monitoring", "", 7, {}),
    *service_faults("port", "ports_are_numbers", "3000", 0, -1, 65536, 3000.0, True, "http", [], 10**400),
    *service_faults("node_port", "ports_are_numbers", "30300", 0, 65536, "auto", 30300.5, False),
    *service_faults("protocol", "transports_are_known", "TCP", "icmp", "", 6, True, ["tcp", "udp"]),
    *service_faults("type", "service_types_are_known", "nodeport", "Nodeport", "ExternalName", "", 1),
    *service_faults(
        "health", "health_is_a_path", "api/health", "", "http://x/health", "/a b", "/\u00e4", "/a\n", 7, True, ["/a"], "/" + HUGE
    ),
    # extra ports
    *faults("extra_ports", "lists_are_lists", {}, "22000/tcp", 22000, True, extra() * 1001),
    *faults("extra_ports", "entries_are_mappings", ["22000/tcp"], [22000], [None], [[]], [True]),
    *extra_faults("ports", "keys_are_known", 22001),
    *[("required_keys_are_present", plan(extra_ports=extra(**{key: None})), HOSTS) for key in ("name", "port", "reason")],
    *extra_faults("name", "names_are_dns_names", "Sync Thing", "sync_thing", "", "a.b", 7, True, HUGE),
    *extra_faults("port", "ports_are_numbers", 0, -1, 65536, 3000.0, True, [22000], {}, 10**400),
    *extra_faults("port", "port_ranges_are_well_formed", "http", "", "22010-22000", "22000:22010", "22000/tcp", "70000", HUGE),
    *extra_faults("protocol", "transports_are_known", "TCP", "icmp", "", 4, True, ["tcp", "udp"]),
    *extra_faults("roles", "lists_are_lists", "worker", 7, {}),
    *extra_faults("roles", "roles_are_known", [], ["workers"], ["worker", None], [7], ["all"]),
    *extra_faults("sources", "sources_are_networks_or_a_word", [], "192.168.4.0/24", "host", "Anyone", "control_plane", "", 7, True, {}),
    *extra_faults("sources", "networks_are_written_as_cidr", ["192.168.4.7"], ["anyone"], [None], ["192.168.4.0/24", 7]),
    *extra_faults("sources", "networks_have_no_host_bits", ["192.168.4.7/24"]),
    *extra_faults("reason", "reasons_are_one_line", "", " ", 'a "b"', "a\\b", "a\nb", "\u00e4", 7, True, [], "x" * 90, HUGE),
    *service_faults("sources", "lists_are_lists", "192.168.4.0/24", {}, 7, True),
    *service_faults("sources", "networks_are_written_as_cidr", ["192.168.4.20"], ["hosts"], [None], [7]),
    *service_faults("sources", "networks_have_no_host_bits", ["192.168.4.20/24"]),
    *faults("admin_sources", "lists_are_lists", "192.168.4.20/32", {}, 7),
    *faults("admin_sources", "networks_are_written_as_cidr", ["192.168.4.20"], ["laptop"], [None]),
    *faults("host_sources", "networks_are_written_as_cidr", ["192.168.4.20"], ["laptop"], [None]),
    *faults("admin_sources", "networks_have_no_host_bits", ["192.168.4.20/24"]),
    *faults("unlisted_node_ports", "unlisted_node_ports_are_open_or_closed", "Open", "shut", True, [], 7),
    *faults("typha", "typha_is_auto_present_or_absent", "Auto", "enabled", "", True, False, [], 7),
    # the address of the API
    *faults("api_vip", "addresses_are_well_formed", "192.168.4.60/24", "api", "", 7, True, [], ["192.168.4.60"]),
    *faults("dhcp_range", "address_ranges_are_well_formed", "192.168.4.0/24", "192.168.4.200-192.168.4.100", "", "a-b", 7, True, []),
    *faults("dhcp_range", "address_ranges_are_well_formed", "192.168.4.100-fd00::1", "192.168.4.100-", "-", "100-199", HUGE),
    # declared ports
    *faults("declared_ports", "entries_are_mappings", [], ["6443/tcp"], "6443/tcp", 7, True),
    *faults("declared_ports", "keys_are_known", {"worker": []}, {"masters": []}),
    *faults("declared_ports", "lists_are_lists", {"workers": "10250/tcp"}, {"workers": None}, {"control_plane": 7}),
    *[
        ("declared_ports_are_well_formed", plan(declared_ports={"workers": [spec]}), HOSTS)
        for spec in (
            "30000:32767/tcp",
            "abc/tcp",
            "6443",
            6443,
            "6443/",
            "/tcp",
            "6443/TCP",
            "0/tcp",
            "65536/tcp",
            "32767-30000/tcp",
            "tcp/6443",
            "",
            None,
        )
    ],
    *[
        ("declared_ports_are_well_formed", plan(declared_ports={"workers": [spec]}), HOSTS)
        for spec in (
            "ipip",
            "4",
            "protocol ipip",
            "protocol 256",
            "protocol",
            "80,443/tcp",
            "\uff16443/tcp",
            " 22/tcp",
            "22/tcp ",
            True,
            [],
            {},
            1e9,
            HUGE,
        )
    ],
    # hosts
    *[("lists_are_lists", plan(), value) for value in ("homelab", {}, 7, True, HOSTS * 400)],
    *[("entries_are_mappings", plan(), [*HOSTS, value]) for value in (None, "homelab", 7, [], True)],
    *[("required_keys_are_present", plan(), hosts(**{key: value})) for key in ("name", "address", "role") for value in (None, ABSENT)],
    *host_faults("ip", "keys_are_known", "192.168.4.62"),
    *host_faults(
        "name", "names_are_dns_names", "Homelab", "home_lab", "", "-homelab", "homelab.", "a" * 300, 7, True, ["homelab"], "h\u00f6melab"
    ),
    *host_faults("address", "addresses_are_well_formed", "192.168.4.62/24", "homelab", "192.168.4", "", 7, True, {}),
    *host_faults("address", "two_entries_are_one_of_each_family", ["192.168.4.62"], ["192.168.4.62", "192.168.4.64"], []),
    *host_faults("role", "roles_are_known", "worker ", "workers", "Worker", "master", "", 7, True, ["worker"]),
    *host_faults("sleeps", "yes_or_no_is_true_or_false", "true", "yes", 1, 0, "", [], {}),
    *host_faults(
        "mac",
        "macs_are_well_formed",
        "-",
        "",
        "d0:94:66:30:d6",
        "d0:94:66:30:d6:63:00",
        "d0:94-66:30:d6:63",
        "g0:94:66:30:d6:63",
        "d0 94 66 30 d6 63",
    ),
    *host_faults(
        "mac",
        "macs_are_well_formed",
        "d0:94:66:30:d6:6\uff13",
        " d0:94:66:30:d6:63",
        "d0:94:66:30:d6:63\n",
        886612345678,
        5.5,
        True,
        [],
        {},
        HUGE,
    ),
    *host_faults("mac", "macs_name_one_network_card", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "33:33:00:00:00:01"),
    # dual stack and IPv6
    *[
        ("networks_are_written_as_cidr", plan(DUAL, pod_cidr=["10.244.0.0/16", value]), HOSTS)
        for value in ("fd00:10:244::", "fd00::g/56", "", 7)
    ],
    *[("networks_have_no_host_bits", plan(IPV6, pod_cidr=value), IPV6_HOSTS) for value in ("fd00:10:244::1/56", "fd00:10:244:1::/56")],
]


def test_the_table_is_as_long_as_promised():
    assert len(CASES) >= 150
    print(f"{len(CASES)} malformed plans and hosts")


@pytest.mark.parametrize(("rule", "bad_plan", "bad_hosts"), CASES)
def test_one_fault_is_told_by_one_rule_with_a_next_step(rule, bad_plan, bad_hosts):
    findings = [finding for finding in judge(bad_plan, bad_hosts).findings if finding.severity != "info"]
    assert {finding.rule for finding in findings} == {rule}
    for finding in findings:
        assert finding.fix.endswith((".", "`."))
        assert len(str(finding)) < 1000
        assert str(finding).isascii()


def test_every_rule_of_spelling_has_a_case():
    assert {rule.name for rule in SYNTAX_RULES} == {case[0] for case in CASES}


@pytest.mark.parametrize(
    ("bad_plan", "bad_hosts", "fix"),
    [
        (plan(pod_cidrs="x", pod_cidr=ABSENT), HOSTS, "Write pod_cidr."),
        (plan(node_ports="30000-32767"), HOSTS, "Write"),
        (plan(pod_cidr="10.244.0.1/16"), HOSTS, "Write 10.244.0.0/16, or correct the prefix length."),
        (plan(pod_cidr="10.244.0.0/255.255.0.0"), HOSTS, "Write 10.244.0.0/16."),
        (plan(kubernetes_version=1.3), HOSTS, 'Put it in quotes, like "1.30": without them YAML reads a number, and 1.30 becomes 1.3.'),
        (plan(kubernetes_version="v1.36"), HOSTS, 'Write "1.36".'),
        (plan(encapsulation="ipip"), HOSTS, "Write IPIP."),
        (plan(encapsulation="vxlan-crosssubnet"), HOSTS, "Write VXLANCrossSubnet."),
        (plan(block_size="26"), HOSTS, "Write 26 without quotes."),
        (plan(node_port_range="30000:32767"), HOSTS, "Write 30000-32767."),
        (plan(local_port_range="32768\t60999"), HOSTS, "Write 32768-60999."),
        (plan(declared_ports={"workers": ["30000:32767/tcp"]}), HOSTS, "Write 30000-32767/tcp."),
        (plan(declared_ports={"workers": ["6443/TCP"]}), HOSTS, "Write 6443/tcp."),
        (plan(declared_ports={"workers": [1]}), HOSTS, "Write 1/tcp, or 1/udp."),
        (plan(declared_ports={"workers": [65535]}), HOSTS, "Write 65535/tcp, or 65535/udp."),
        (plan(declared_ports={"workers": ["abc/tcp"]}), HOSTS, "Write it like 6443/tcp, 30000-32767/tcp or protocol 4."),
        (plan(declared_ports={"workers": ["ipip"]}), HOSTS, "Write 'protocol 4': on Debian, ipip is the name of another protocol, 94."),
        (plan(extra_ports=extra(sources="host")), HOSTS, "Write hosts."),
        (plan(extra_ports=extra(roles=["workers"])), HOSTS, "Write worker."),
        (plan(), hosts(mac=886612345678), "Put the MAC in quotes: YAML reads some of them as a number."),
        (plan(), hosts(name="Home_Lab"), "Write home-lab."),
        (plan(services=service(health="health")), HOSTS, "Write /health."),
    ],
)
def test_a_fix_gives_the_right_spelling_where_it_can_be_known(bad_plan, bad_hosts, fix):
    assert any(finding.fix.startswith(fix) for finding in judge(bad_plan, bad_hosts).findings)


def test_what_reads_is_judged_in_spite_of_what_does_not():
    assert rules_broken(plan(gateway="nonsense", pod_cidr="192.168.0.0/16", kubernetes_version=1.36), HOSTS) == {
        "addresses_are_well_formed",
        "kubernetes_version_is_a_quoted_string",
        "pods_are_apart_from_nodes",
    }
