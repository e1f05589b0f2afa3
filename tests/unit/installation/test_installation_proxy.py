# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment for a proxy: what goes through it, what does not, and what is refused."""

from __future__ import annotations

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.proxy import proxy_environment
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.network_plan.plans import DUAL, HOSTS, plan

HTTP = "http://proxy.lan:3128"


def test_the_cluster_and_the_lan_do_not_go_through_the_proxy() -> None:
    given = {"http": HTTP, "no_proxy": [".lan", "mirror"]}
    found = proxy_environment(plan(dns_service_ip="10.233.0.3"), given, [{"name": "homelab", "address": "192.168.4.62"}])
    assert (found["HTTP_PROXY"], found["HTTPS_PROXY"], found["https_proxy"]) == (HTTP, HTTP, HTTP)
    assert found["NO_PROXY"] == found["no_proxy"]
    assert found["NO_PROXY"].split(",") == [
        *("localhost", "127.0.0.0/8", "::1", "192.168.4.0/24", "10.244.0.0/16", "10.96.0.0/12", "10.233.0.0/24"),
        *(".svc", ".cluster.local", "homelab", "192.168.4.62", ".lan", "mirror"),
    ]


def test_both_families_and_both_proxies() -> None:
    found = proxy_environment(DUAL, {"https": "https://secure.lan", "http": HTTP, "no_proxy": "a, b,"}, HOSTS)
    assert (found["http_proxy"], found["HTTPS_PROXY"]) == (HTTP, "https://secure.lan")
    assert {"fd00:10:244::/56", "a", "b", *(host["name"] for host in HOSTS)} <= set(found["NO_PROXY"].split(","))


@pytest.mark.parametrize("proxy", [{}, {"http": "", "https": None}, {"no_proxy": [".lan"]}])
def test_without_a_proxy_there_is_nothing(proxy: dict[str, object]) -> None:
    assert proxy_environment(plan(), proxy, HOSTS) == {}


@pytest.mark.parametrize(
    ("proxy", "subject"),
    [
        ({"http": "http://me:hidden@proxy.lan"}, "node_proxy.http"),
        ({"https": "proxy.lan:3128"}, "node_proxy.https"),
        ({"http": 'http://proxy.lan" x'}, "node_proxy.http"),
        ({"htpp": HTTP}, "node_proxy.htpp"),
        ({"http": HTTP, "no_proxy": ['a" b']}, "node_proxy.no_proxy"),
        ("http://me:hidden@proxy.lan", "node_proxy"),
        (HTTP, "node_proxy"),
    ],
)
def test_what_is_no_proxy_is_refused_and_no_password_is_shown(proxy: object, subject: str) -> None:
    with pytest.raises(Refusal) as refused:
        proxy_environment(plan(), proxy, HOSTS)
    assert refused.value.subject == subject
    assert "hidden" not in str(refused.value)
