# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables that send programs of a host through a proxy, but not what stays in the LAN or in the cluster.

containerd is written in Go, which reads names, domains with a leading dot, addresses and networks of NO_PROXY
(golang.org/x/net/http/httpproxy). apt, dnf and Python read names and domains.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from .._network_plan.ranges import extra_service_ranges
from .._network_plan.reading import read_needed
from .._refusal import Refusal

KEYS = ("http", "https", "no_proxy")
ALWAYS = ("localhost", "127.0.0.0/8", "::1")
_EXCEPTION = re.compile(r"[\w.:/*-]+", re.ASCII)
_FIELDS = ("node_cidr", "pod_cidr", "service_cidr", "dns_service_ip", "dns_domain")


def proxy_environment(plan: object, proxy: object, hosts: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the environment for ``proxy``, a mapping with http, https and no_proxy; empty without a proxy. hosts: of the cluster."""
    if not isinstance(proxy, Mapping):
        raise Refusal(
            "node_proxy", f"a value of type {type(proxy).__name__}", f"a mapping of {', '.join(KEYS)}", "Write `http: URL` below it."
        )
    for unknown in sorted(set(map(str, proxy)) - set(KEYS)):
        raise Refusal(f"node_proxy.{unknown}", "an unknown key", f"one of {', '.join(KEYS)}", "Correct or remove it.")
    http, https = (_url(key, str(proxy[key])) if proxy.get(key) else "" for key in ("http", "https"))
    if not http and not https:
        return {}
    excepted = dict.fromkeys([*ALWAYS, *_of_the_cluster(plan, hosts), *_exceptions(proxy.get("no_proxy") or [])])
    upper = {"HTTP_PROXY": http or https, "HTTPS_PROXY": https or http, "NO_PROXY": ",".join(excepted)}
    # programs differ in which spelling they read
    return {**upper, **{name.lower(): value for name, value in upper.items()}}


def _exceptions(given: object) -> list[str]:
    entries = given.split(",") if isinstance(given, str) else [str(one) for one in given] if isinstance(given, Iterable) else [str(given)]
    names = [name for one in entries if (name := one.strip())]
    for name in names:
        if not _EXCEPTION.fullmatch(name):
            raise Refusal(
                "node_proxy.no_proxy", repr(name), "names, domains, addresses or networks", "Write .lan or 192.168.5.0/24, for example."
            )
    return names


def _of_the_cluster(plan: object, hosts: Iterable[Mapping[str, Any]]) -> list[str]:
    known = read_needed(plan, _FIELDS).plan
    networks = [*(known.node_cidr or ()), *(known.pod_cidr or ()), *(known.service_cidr or ()), *extra_service_ranges(known)]
    names = []
    for host in hosts:
        address = host["address"]
        names += [str(host["name"]), *map(str, [address] if isinstance(address, str) else address)]
    return [*map(str, networks), ".svc", f".{known.dns_domain}", *names]


def _url(key: str, text: str) -> str:
    parts = urlsplit(text)
    if parts.username or parts.password:
        # environments are shown by ps and by the highest verbosity of Ansible
        raise Refusal(
            f"node_proxy.{key}",
            "a URL with a user name or password",
            "a URL without them, which would be readable on the hosts and in logs",
            "Let the proxy admit the hosts by their addresses, or run a local proxy that adds the credentials.",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or any(character in text for character in " \"'\\%\n"):
        raise Refusal(f"node_proxy.{key}", repr(text), "the URL of a proxy", "Write http://proxy.lan:3128, for example.")
    return text
