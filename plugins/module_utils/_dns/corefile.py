# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parse a Corefile into its server blocks, as CoreDNS does; what it does in this cluster, and where it forwards queries.

https://coredns.io/manual/toc/#configuration. A word ends at white space or `#`, or is in double quotes. `{` and `}` are words of their
own. A plugin ends with its line, or with the block that it opens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, collapse_addresses, ip_address, ip_network
from typing import NoReturn, Optional, Union

from .model import HEALTH_PORT, METRICS_PORT, PORT, READY_PORT, DnsPlan, Fault, Network

DEFAULT_PORTS = {"dns": 53, "tls": 853, "quic": 853, "grpc": 443, "https": 443, "https3": 443}
IMPORT = "import"
MOST_WORDS = 100_000


@dataclass(frozen=True)
class Word:
    """last_line differs from line if a quoted word contains line breaks."""

    text: str
    line: int
    last_line: int


@dataclass(frozen=True)
class Option:
    """A line in the block of a plugin."""

    name: str
    arguments: tuple[str, ...]
    line: int

    def __str__(self) -> str:
        return " ".join((self.name, *self.arguments))


@dataclass(frozen=True)
class Plugin(Option):
    """A plugin of a server block, with the options in its own block."""

    options: tuple[Option, ...] = ()

    def __str__(self) -> str:
        return super().__str__()

    def every(self, name: str) -> tuple[Option, ...]:
        return tuple(option for option in self.options if option.name == name)


@dataclass(frozen=True)
class Zone:
    """A zone of a server block. name: without the final dot, so the root is empty; or a network in CIDR notation."""

    written: str
    name: str
    port: int
    transport: str


@dataclass(frozen=True)
class Server:
    """A server block."""

    zones: tuple[Zone, ...]
    plugins: tuple[Plugin, ...]
    line: int

    def every(self, name: str) -> tuple[Plugin, ...]:
        return tuple(plugin for plugin in self.plugins if plugin.name == name)

    def __str__(self) -> str:
        return f"server block {' '.join(zone.written for zone in self.zones)} (line {self.line})"


@dataclass(frozen=True)
class Corefile:
    """imported: files that it imports and that cannot be read here."""

    servers: tuple[Server, ...]
    imported: tuple[str, ...] = ()

    def every(self, name: str) -> tuple[Plugin, ...]:
        return tuple(plugin for server in self.servers for plugin in server.every(name))


class Unreadable(Exception):
    """The position where the text is not a valid Corefile."""

    def __init__(self, line: int, found: str, expected: str) -> None:
        super().__init__(f"line {line}: {found}")
        self.line = line
        self.found = found
        self.expected = expected


def is_variable(text: str) -> bool:
    """Return whether CoreDNS inserts an environment variable here, so that the value is unknown."""
    return "{$" in text or "{%" in text


def parse(text: str) -> Corefile:
    return _Parser(list(words(text))).corefile()


def words(text: str) -> Iterator[Word]:
    line, position, end = 1, 0, len(text)
    if text.startswith("\ufeff"):
        position = 1
    while position < end:
        char = text[position]
        if char == "#":
            position = _line_end(text, position)
        elif char.isspace():
            line += char == "\n"
            position += 1
        elif char == '"':
            value, position = _quoted(text, position + 1, line)
            yield Word(value, line, line + value.count("\n"))
            line += value.count("\n")
        else:
            start = position
            while position < end and not text[position].isspace() and text[position] != "#":
                position += 1
            yield Word(text[start:position], line, line)


def _line_end(text: str, position: int) -> int:
    found = text.find("\n", position)
    return len(text) if found < 0 else found


def _quoted(text: str, position: int, line: int) -> tuple[str, int]:
    """Return the value of a quoted word and the position after it. Only quotation marks can be escaped."""
    value = []
    while position < len(text):
        char = text[position]
        if text.startswith('\\"', position):
            value.append('"')
            position += 2
        elif text.startswith("\\", position) and position + 1 < len(text):
            value.append(text[position : position + 2])
            position += 2
        elif char == '"':
            return "".join(value), position + 1
        else:
            value.append(char)
            position += 1
    raise Unreadable(line, "an unclosed quotation mark", 'a second "')


class _Parser:
    def __init__(self, tokens: list[Word]) -> None:
        self._words = tokens
        self._at = 0
        self._snippets: dict[str, list[Word]] = {}
        self._imported: list[str] = []

    def corefile(self) -> Corefile:
        servers = []
        while self._at < len(self._words):
            server = self._server()
            if server:
                servers.append(server)
        return Corefile(tuple(servers), tuple(dict.fromkeys(self._imported)))

    def _server(self) -> Optional[Server]:
        if self._word().text == IMPORT:
            self._expand()
            return None
        first = self._word()
        keys = self._keys()
        if len(keys) == 1 and keys[0].startswith("(") and keys[0].endswith(")"):
            self._snippet(keys[0][1:-1], first.line)
            return None
        zones = tuple(zone(key, first.line) for key in keys)
        if self._is("{"):
            self._at += 1
            return Server(zones, tuple(self._plugins(first)), first.line)
        return Server(zones, tuple(self._plugins(None)), first.line)

    def _keys(self) -> list[str]:
        keys: list[str] = []
        goes_on = True
        while self._at < len(self._words) and not self._is("{"):
            if keys and not goes_on and self._is_first_of_line():
                break
            word = self._word()
            if word.text == "}":
                self._fail(word.line, "a } that closes nothing", "a server block before it")
            goes_on = word.text.endswith(",")
            keys.append(word.text.rstrip(","))
            self._at += 1
        line = self._words[self._at - 1].line if self._at else 1
        if goes_on:
            self._fail(line, "no zone before {" if not keys else "a comma without a zone after it", "a zone such as .:53")
        return keys

    def _snippet(self, name: str, line: int) -> None:
        if not self._is("{"):
            self._fail(line, f"snippet ({name}) without a block", "{ after its name")
        start, depth = self._at + 1, 0
        while self._at < len(self._words):
            depth += self._is("{") - self._is("}")
            self._at += 1
            if depth == 0:
                if name in self._snippets:
                    self._fail(line, f"a second snippet ({name})", "unique snippet names")
                self._snippets[name] = self._words[start : self._at - 1]
                return
        self._fail(line, f"the block of snippet ({name}), opened here, is not closed", "a } for each {")

    def _plugins(self, opened: Optional[Word]) -> Iterator[Plugin]:
        """Yield the plugins of a server block; opened: None for a block without braces, which ends with the text."""
        while self._at < len(self._words):
            if self._is("}"):
                if opened is None:
                    self._fail(self._word().line, "a } that closes nothing", "a { for each }")
                self._at += 1
                return
            if self._word().text == IMPORT:
                self._expand()
                continue
            yield self._plugin()
        if opened:
            self._fail(opened.line, f"the block of {opened.text}, opened here, is not closed", "a } for each {")

    def _plugin(self) -> Plugin:
        head = self._word()
        self._at += 1
        if head.text == "{":
            self._fail(head.line, "a { without a plugin before it", "the name of a plugin")
        arguments: list[str] = []
        lines: list[list[Word]] = []
        depth = 0
        while self._at < len(self._words):
            word = self._word()
            first = self._is_first_of_line()
            if word.text == "{" and depth and (first or not lines):
                self._fail(word.line, f"a {{ without an option before it, in the block of {head.text}", "one { after the plugin")
            elif word.text == "{":
                depth += 1
            elif first and depth == 0:
                break
            elif word.text == "}" and depth == 0:
                self._fail(word.line, f"a }} in the line of {head.text}", "a } on its own line, and a { for each }")
            elif word.text == "}":
                depth -= 1
            elif word.text == IMPORT and first:
                self._expand()
                continue
            elif depth == 0:
                arguments.append(word.text)
            elif depth == 1 and (first or not lines):
                lines.append([word])
            else:
                lines[-1].append(word)
            self._at += 1
        if depth:
            self._fail(head.line, f"the block of {head.text}, opened here, is not closed", "a } for each {")
        options = tuple(Option(one[0].text, tuple(word.text for word in one[1:]), one[0].line) for one in lines)
        return Plugin(head.text, tuple(arguments), head.line, options)

    def _expand(self) -> None:
        """Replace an import by its snippet; record the name of an imported file."""
        line = self._word().line
        if self._at + 1 >= len(self._words) or self._words[self._at + 1].line != line:
            self._fail(line, "import without a name", "the name of a snippet or of a file")
        name = self._words[self._at + 1].text
        if name in self._imports_of(name):
            self._fail(line, f"import of {name} within itself", "snippets that do not import each other in a circle")
        # the snippet's words keep their own line numbers
        body = self._snippets.get(name, [])
        if name not in self._snippets:
            self._imported.append(name)
        self._words[self._at : self._at + 2] = body
        if len(self._words) > MOST_WORDS:
            self._fail(line, f"more than {MOST_WORDS} words, with the import of {name}", "fewer imports of snippets in snippets")

    def _imports_of(self, name: str) -> set[str]:
        """The snippets that a snippet imports, and those that they import."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            body = self._snippets.get(waiting.pop(), [])
            imported = {after.text for word, after in zip(body, body[1:]) if word.text == IMPORT} - found
            found |= imported
            waiting += imported
        return found

    def _is(self, text: str) -> bool:
        return self._at < len(self._words) and self._words[self._at].text == text

    def _word(self) -> Word:
        return self._words[self._at]

    def _is_first_of_line(self) -> bool:
        # after an import, line numbers may decrease
        return self._at == 0 or self._words[self._at - 1].last_line != self._words[self._at].line

    def _fail(self, line: int, found: str, expected: str) -> NoReturn:
        raise Unreadable(line, found, expected)


def zone(written: str, line: int) -> Zone:
    """Parse a key of a server block: `[SCHEME://]ZONE[:PORT]`."""
    transport, separator, rest = written.partition("://")
    if not separator:
        transport, rest = "dns", written
    if transport not in DEFAULT_PORTS:
        raise Unreadable(line, f"{written}, of the unknown scheme {transport}", f"one of {', '.join(DEFAULT_PORTS)}")
    name, colon, port = rest.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()):
        name, port = rest, ""
    labels = name.rstrip(".").split(".") if name != "." else ["root"]
    if name.endswith(":") or not all(0 < len(label) < 64 for label in labels) or len(port) > 5 or int(port or 0) > 65535:
        raise Unreadable(line, f"{written} instead of a zone", "a zone with an optional colon and port, such as .:53")
    return Zone(written, name.rstrip(".").lower(), int(port) if port else DEFAULT_PORTS[transport], transport)


# Meaning: upstreams of `forward`

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
