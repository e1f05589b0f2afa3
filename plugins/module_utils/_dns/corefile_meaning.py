# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for what a Corefile does in this cluster, and where it forwards queries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, collapse_addresses, ip_address, ip_network
from typing import Optional, Union

from .model import HEALTH_PORT, METRICS_PORT, PORT, READY_PORT, DnsPlan, Fault, Network
from .syntax import Corefile, Option, Plugin, Server, is_variable

# Upstreams of `forward`

RESOLV_CONF = "/etc/resolv.conf"


@dataclass(frozen=True)
class Upstream:
    """address: None for a file, or for what CoreDNS takes for one. transport: dns, tls, ..."""

    written: str
    transport: str
    address: Optional[Union[IPv4Address, IPv6Address]]

    @property
    def is_resolv_conf(self) -> bool:
        return self.address is None and self.written == RESOLV_CONF


def upstream(written: str) -> Upstream:
    transport, separator, rest = written.partition("://")
    if not separator:
        transport, rest = "dns", written
    found = re.fullmatch(
        r"\[(?P<bracketed>[^]]*)\](?::[0-9]+)?|(?P<v4>[0-9.]+)(?::[0-9]+)?|(?P<bare>[0-9A-Fa-f:.]+)", rest.partition("%")[0]
    )
    text = next((group for group in found.groups() if group), "") if found else ""
    try:
        return Upstream(written, transport, ip_address(text))
    except ValueError:
        return Upstream(written, transport, None)


# Rules for what a Corefile does in this cluster

_OCTETS, _NIBBLES = 4, 32


def _line(option: Option) -> str:
    return f"line {option.line}"


def the_cluster_domain_is_served(corefile: Corefile, plan: DnsPlan) -> Iterator[Fault]:
    server = _server_of(corefile, plan.domain)
    if server is None:
        yield Fault(
            "",
            f"no server block for {plan.domain} on port {PORT}",
            f"a server block for it or for the root zone, such as .:{PORT}",
            "Add it: the DNS Service sends queries to this port.",
        )
        return
    served = [name for plugin in server.every("kubernetes") for name in _zones_of(plugin, server)]
    if not any(_covers(name, plan.domain) for name in served):
        yield Fault(
            f"{server}",
            f"kubernetes for {' '.join(served)}" if served else "no plugin kubernetes",
            f"kubernetes for {plan.domain}, the domain of the plan",
            f"Write `kubernetes {plan.domain} in-addr.arpa ip6.arpa`.",
        )


def reverse_zones_are_served(corefile: Corefile, plan: DnsPlan) -> Iterator[Fault]:
    names = [name for server in corefile.servers for plugin in server.every("kubernetes") for name in _zones_of(plugin, server)]
    if not names:
        return
    served = [network for network in map(_reverse_network, names) if network is not None]
    for network in plan.networks:
        same = [one for one in served if one.version == network.version]
        merged = list(collapse_addresses(same))  # type: ignore[type-var]
        if not any(network.subnet_of(one) for one in merged):  # type: ignore[arg-type]
            yield Fault(
                "",
                f"no reverse zone for {network}",
                "the reverse zones of pods and Services in kubernetes",
                f"Add {'in-addr.arpa' if network.version == 4 else 'ip6.arpa'} to the zones of kubernetes, with a fallthrough for it.",
            )


def reverse_zones_fall_through(corefile: Corefile, _plan: DnsPlan) -> Iterator[Fault]:
    """Queries for addresses outside of pods and Services must reach the upstream."""
    for server in corefile.servers:
        for plugin in server.every("kubernetes"):
            passed = [argument for option in plugin.every("fallthrough") for argument in option.arguments or (".",)]
            for name in _zones_of(plugin, server):
                if name in {"in-addr.arpa", "ip6.arpa"} and not any(_covers(_bare(one), name) for one in passed):
                    yield Fault(
                        _line(plugin),
                        f"all of {name} without fallthrough",
                        "names of addresses outside the cluster to reach the upstream",
                        f"Add `fallthrough {name}` to the block of kubernetes.",
                    )


def the_readiness_probe_is_answered(corefile: Corefile, _plan: DnsPlan) -> Iterator[Fault]:
    yield from _probe(corefile, "ready", READY_PORT, "no Pod is ever Ready without it")


def the_liveness_probe_is_answered(corefile: Corefile, _plan: DnsPlan) -> Iterator[Fault]:
    yield from _probe(corefile, "health", HEALTH_PORT, "kubelet kills Pods without it")


def metrics_are_served(corefile: Corefile, _plan: DnsPlan) -> Iterator[Fault]:
    plugins = corefile.every("prometheus")
    if not plugins and not corefile.imported:
        yield Fault("", "no plugin prometheus", f"prometheus :{METRICS_PORT}", f"Add `prometheus :{METRICS_PORT}`.")
    for plugin in plugins:
        address = "".join(plugin.arguments) or f"localhost:{METRICS_PORT}"
        if address.rpartition(":")[0] in {"localhost", "127.0.0.1", "[::1]"} or not address.endswith(f":{METRICS_PORT}"):
            yield Fault(
                _line(plugin),
                f"metrics at {address}",
                f"on port {METRICS_PORT} of the Pod",
                f"Write `prometheus :{METRICS_PORT}`.",
            )


def a_pod_that_ends_still_answers(corefile: Corefile, _plan: DnsPlan) -> Iterator[Fault]:
    for plugin in corefile.every("health"):
        if not plugin.every("lameduck"):
            yield Fault(
                _line(plugin),
                "health without lameduck",
                "a Pod that answers until all nodes have stopped sending it queries",
                "Write `health {`, `lameduck 5s`, `}` in three lines.",
            )


def upstreams_are_addresses(corefile: Corefile, _plan: DnsPlan) -> Iterator[Fault]:
    for plugin, one in _upstreams(corefile):
        if one.transport not in {"dns", "tls"}:
            yield Fault(
                _line(plugin),
                f"upstream {one.written}",
                "plain DNS or DNS over TLS",
                "Write an address, or tls:// and an address.",
            )
        elif one.address is None and not one.is_resolv_conf:
            yield Fault(
                _line(plugin),
                f"upstream {one.written}",
                "an IP address",
                "Write its address: CoreDNS resolves no names here and treats this one as a file.",
            )


def upstreams_do_not_depend_on_the_node(corefile: Corefile, plan: DnsPlan) -> Iterator[Fault]:
    """A node's resolv.conf may differ from other nodes', and may name 127.0.0.53, which is the Pod itself in a Pod."""
    for plugin, one in _upstreams(corefile):
        if one.is_resolv_conf:
            yield Fault(
                _line(plugin),
                f"upstream {one.written}, the node's own file",
                "the plan's upstream_dns",
                f"Write {' '.join(plan.upstreams)}.",
            )


def upstreams_are_not_the_cluster_itself(corefile: Corefile, plan: DnsPlan) -> Iterator[Fault]:
    for plugin, one in _upstreams(corefile):
        if one.address is None:
            continue
        itself = ""
        if one.address.is_loopback or one.address.is_unspecified:
            itself = "the Pod itself"
        elif str(one.address) in plan.addresses:
            itself = "the DNS Service, which leads back here"
        elif any(one.address in network for network in plan.networks):
            itself = "an address of the cluster, which may lead back here"
        if itself:
            yield Fault(
                _line(plugin),
                f"upstream {one.written}: {itself}",
                "a resolver outside the cluster",
                f"Forward to {' '.join(plan.upstreams)}, the plan's upstream_dns.",
            )


def names_outside_are_forwarded(corefile: Corefile, plan: DnsPlan) -> Iterator[Fault]:
    server = _server_of(corefile, "")
    known = {"forward", "grpc", "file", "hosts", "template", "auto", "secondary", "erratic", "whoami"}
    if server is None or not any(plugin.name in known for plugin in server.plugins):
        yield Fault(
            f"{server or ''}",
            "no forward for the root zone",
            "names outside the cluster to be forwarded to an upstream",
            f"Add `forward . {' '.join(plan.upstreams)}` to the server block of the root zone.",
        )


def loops_are_detected(corefile: Corefile, _plan: DnsPlan) -> Iterator[Fault]:
    yield from _beside_forward(corefile, "loop", "loop detection at the start")


def answers_are_cached(corefile: Corefile, _plan: DnsPlan) -> Iterator[Fault]:
    yield from _beside_forward(corefile, "cache", "cached answers", "cache 30")


def errors_are_logged(corefile: Corefile, _plan: DnsPlan) -> Iterator[Fault]:
    yield from _beside_forward(corefile, "errors", "errors in the log")


def changes_are_taken_up(corefile: Corefile, _plan: DnsPlan) -> Iterator[Fault]:
    if corefile.servers and not corefile.every("reload") and not corefile.imported:
        yield Fault("", "no plugin reload", "automatic reload of a changed ConfigMap", "Add `reload`.")


def _probe(corefile: Corefile, name: str, port: int, why: str) -> Iterator[Fault]:
    plugins = corefile.every(name)
    if any(("".join(plugin.arguments) or f":{port}") in {f":{port}", f"0.0.0.0:{port}", f"[::]:{port}"} for plugin in plugins):
        return
    if corefile.imported or any(is_variable(word) for plugin in plugins for word in plugin.arguments):
        return
    found = f"{plugins[0]} in line {plugins[0].line}" if plugins else f"no plugin {name}"
    yield Fault("", found, f"{name} on port {port}: {why}", f"Write `{name}` without an address.")


def _beside_forward(corefile: Corefile, name: str, expected: str, text: str = "") -> Iterator[Fault]:
    for server in corefile.servers:
        if server.every("forward") and not server.every(name):
            yield Fault(f"{server}", f"forward without {name}", expected, f"Add `{text or name}`.")


def _upstreams(corefile: Corefile) -> Iterator[tuple[Plugin, Upstream]]:
    for plugin in corefile.every("forward"):
        for written in plugin.arguments[1:]:
            if not is_variable(written):
                yield plugin, upstream(written)


def _bare(name: str) -> str:
    return name.rstrip(".").lower()


def _covers(zone: str, name: str) -> bool:
    """Return whether a name is in a zone; both without the final dot."""
    return zone in {"", name} or name.endswith(f".{zone}")


def _server_of(corefile: Corefile, name: str) -> Optional[Server]:
    """Return the server block for a name: the one with the longest matching zone."""
    held = [
        (len(zone.name), -at, server)
        for at, server in enumerate(corefile.servers)
        for zone in server.zones
        if zone.port == PORT and zone.transport == "dns" and _covers(zone.name, name)
    ]
    return max(held, key=lambda one: one[:2])[2] if held else None


def _zones_of(plugin: Plugin, server: Server) -> list[str]:
    return [_bare(argument) for argument in plugin.arguments] or [zone.name for zone in server.zones]


def _reverse_network(name: str) -> Optional[Network]:
    """Return the network of a reverse zone: 10.244.0.0/16 for `244.10.in-addr.arpa`; a CIDR like `10.96.0.0/12` stays itself."""
    try:
        if "/" in name:
            return ip_network(name)
        if name == "in-addr.arpa" or name.endswith(".in-addr.arpa"):
            octets = name.split(".")[:-2][::-1]
            return ip_network(f"{'.'.join([*octets, *['0'] * (_OCTETS - len(octets))])}/{len(octets) * 8}")
        if name == "ip6.arpa" or name.endswith(".ip6.arpa"):
            nibbles = name.split(".")[:-2][::-1]
            digits = "".join(nibbles).ljust(_NIBBLES, "0")
            return ip_network(f"{':'.join(digits[at : at + 4] for at in range(0, _NIBBLES, 4))}/{len(nibbles) * 4}")
    except ValueError:
        return None
    return None
