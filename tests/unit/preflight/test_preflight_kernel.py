# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel modules: which ones are needed, which package has them, and what is loaded."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.io import look_at_host
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.judge import judge
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.model import Distribution, HostState, Listener, expectations
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.software import modules_to_load, package_to_install

from tests.unit.fakes import AnsweringHost
from tests.unit.preflight.test_preflight_reading import Files, Machine
from tests.unit.preflight.test_preflight_rules import LIVE, OPTIONS, READY, WORKER

RHEL10 = Distribution("rhel", "10.2", "Red Hat Enterprise Linux 10.2 (Coughlan)")
KERNEL = "6.12.0-211.34.1.el10_2.x86_64"
PACKAGE = f"kernel-modules-extra-{KERNEL}"


def host(distribution: Distribution = RHEL10, kernel: str = KERNEL, **modules: str | None) -> HostState:
    software = replace(READY.software, distribution=distribution)
    return replace(READY, software=software, kernel=kernel, modules={**READY.modules, **modules})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("distribution", "kernel", "package"),
    [
        (RHEL10, KERNEL, PACKAGE),
        (Distribution("rocky", "10.0", "Rocky Linux 10.0", frozenset({"rhel", "centos", "fedora"})), KERNEL, PACKAGE),
        (RHEL10, "6.12.0-55.el10.aarch64+64k", "kernel-64k-modules-extra-6.12.0-55.el10.aarch64"),
        (RHEL10, "", ""),
        (Distribution("rhel", "9.5", "Red Hat Enterprise Linux 9.5"), "5.14.0-503.el9.x86_64", ""),
        (Distribution("rhel", "10b.1", "Red Hat Enterprise Linux"), KERNEL, ""),
        (Distribution("debian", "13", "Debian GNU/Linux 13 (trixie)"), "6.12.41+deb13-amd64", ""),
    ],
)
def test_the_package_of_a_missing_module_is_that_of_the_running_kernel(distribution: Distribution, kernel: str, package: str) -> None:
    findings = judge(host(distribution, kernel, br_netfilter="absent"), WORKER).findings
    (finding,) = [one for one in findings if one.rule == "kernel_modules_can_be_loaded"]
    assert (finding.severity, finding.subject) == ("error", "kernel module br_netfilter")
    assert (f"Run `dnf install {package}` on the host" in finding.fix) is bool(package)
    assert ("full set of modules" in finding.fix) is not package


def test_all_missing_modules_of_a_rule_are_one_finding() -> None:
    expected = expectations({**OPTIONS, "kernel_modules": [], "encapsulation": "None", "kube_proxy_mode": "iptables"})
    absent = dict.fromkeys(expected.netfilter_modules, "absent")
    findings = [one for one in judge(host(**absent), expected).findings if one.rule == "netfilter_modules_can_be_loaded"]
    assert [one.severity for one in findings] == ["error"]
    assert "nft_compat" in findings[0].subject
    assert "ip_set_hash_net" in findings[0].subject
    running = replace(host(**absent), listeners=(Listener(10250, "kubelet", 1),))
    (finding,) = [one for one in judge(running, expected).findings if one.rule == "netfilter_modules_can_be_loaded"]
    assert finding.severity == "warning"
    (unknown,) = [one for one in judge(host(), expected).findings if one.rule == "netfilter_modules_can_be_loaded"]
    assert (unknown.severity, unknown.found) == ("unknown", "no modprobe on this host")


@pytest.mark.parametrize(
    ("mode", "felix", "needed", "unneeded"),
    [
        ("", {}, set(), {"nft_compat", "nf_tables"}),
        ("iptables", {}, {"nft_compat", "xt_statistic", "xt_set", "ip_set"}, {"nft_masq"}),
        ("nftables", {}, {"nft_masq", "nft_compat", "xt_set"}, {"xt_statistic"}),
        ("nftables", {"nftablesMode": "Auto"}, {"nft_masq", "nft_compat"}, {"xt_statistic"}),
        ("nftables", {"nftablesMode": "Enabled"}, {"nft_masq"}, {"nft_compat", "xt_set", "ip_set"}),
    ],
)
def test_the_modules_follow_from_the_rules_that_kube_proxy_and_calico_write(
    mode: str, felix: dict[str, str], needed: set[str], unneeded: set[str]
) -> None:
    found = set(expectations({**OPTIONS, "kube_proxy_mode": mode, "calico_felix": felix}).netfilter_modules)
    assert needed <= found
    assert not unneeded & found


def test_a_package_that_may_be_installed_is_no_error() -> None:
    allowed = replace(WORKER, installs_modules=True)
    state = host(br_netfilter="absent")
    (finding,) = judge(state, allowed).findings
    assert (finding.severity, finding.fix) == ("info", f"Nothing to do: the role installs {PACKAGE}.")
    assert package_to_install(state, allowed) == PACKAGE
    assert modules_to_load(state, allowed) == ["br_netfilter", "overlay"]
    assert (package_to_install(state, WORKER), modules_to_load(state, WORKER)) == ("", ["overlay"])
    assert package_to_install(host(), allowed) == ""


@pytest.mark.parametrize(("kubelet", "severity"), [(False, "error"), (True, "warning")])
def test_a_table_that_calico_cannot_read_is_named_unless_it_needs_none(kubelet: bool, severity: str) -> None:
    state = replace(LIVE if kubelet else READY, foreign_tables={"ip nat": "masquerade in chain ts-postrouting"})
    iptables = replace(WORKER, netfilter_modules=("nft_compat",))
    findings = [one for one in judge(state, iptables).findings if one.rule == "tables_are_readable_by_iptables"]
    assert [(one.severity, one.subject) for one in findings] == [(severity, "table ip nat of nftables")]
    assert judge(state, replace(WORKER, netfilter_modules=())).findings == []


class Nft(AnsweringHost):
    """A host with Tailscale's rules, and a table of its own."""

    def has(self, program: str) -> bool:
        return program == "nft"

    def answer(self, argv: list[str], _stdin: str) -> tuple[int, str, str]:
        rule = {"family": "ip", "table": "nat", "chain": "ts-postrouting", "expr": [{"counter": {}}, {"masquerade": None}]}
        tables = [{"table": {"family": family, "name": "nat"}} for family in ("ip", "inet")]
        entries = {"list tables": tables, "list table ip nat": [{"rule": rule}]}[" ".join(argv[2:])]
        return 0, json.dumps({"nftables": [{"metainfo": {}}, *entries]}), ""


def test_the_tables_of_iptables_are_read_where_calico_uses_them() -> None:
    iptables = replace(WORKER, netfilter_modules=("nft_compat",))
    assert look_at_host(iptables, Files({}), Nft(), Machine()).foreign_tables == {"ip nat": "masquerade in chain ts-postrouting"}
    assert look_at_host(WORKER, Files({}), Nft(), Machine()).foreign_tables == {}


class Modprobe(AnsweringHost):
    """A host whose modprobe finds some modules."""

    def __init__(self, *there: str) -> None:
        self.there, self.asked = there, 0

    def has(self, program: str) -> bool:
        return program == "modprobe"

    def answer(self, argv: list[str], _stdin: str) -> tuple[int, str, str]:
        self.asked += 1
        names = argv[argv.index("--all") + 1 :]
        return 0 if set(names) <= set(self.there) else 1, "", ""


@pytest.mark.parametrize(
    ("there", "asked", "states"),
    [
        (("br_netfilter", "overlay", "ipip"), 1, {"br_netfilter": "loadable", "overlay": "loadable", "ipip": "loadable"}),
        (("overlay",), 4, {"br_netfilter": "absent", "overlay": "loadable", "ipip": "absent"}),
    ],
)
def test_modprobe_is_asked_once_unless_a_module_is_missing(there: tuple[str, ...], asked: int, states: dict[str, str]) -> None:
    modprobe = Modprobe(*there)
    assert look_at_host(WORKER, Files({}), modprobe, Machine()).modules == states
    assert modprobe.asked == asked
