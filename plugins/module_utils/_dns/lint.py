# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check a Corefile: its syntax, its plugins (of CoreDNS 1.14), and all rules."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Callable, Optional

from .._findings import Finding, LookedAt, Severity, state_of
from . import corefile as meaning
from .corefile import Corefile, Option, Plugin, Server, Unreadable, is_variable, parse
from .model import DnsPlan, Fault

# The plugins of CoreDNS 1.14, and the syntax of those that a cluster's DNS uses: https://coredns.io/plugins/
#
# A pattern matches all arguments, joined by single spaces.

PLUGINS = frozenset(
    {
        "acl", "any", "auto", "autopath", "azure", "bind", "bufsize", "cache", "cancel", "chaos", "clouddns", "debug",
        "dns64", "dnssec", "dnstap", "erratic", "errors", "etcd", "file", "forward", "geoip", "grpc", "grpc_server",
        "header", "health", "hosts", "https", "https3", "k8s_external", "kubernetes", "loadbalance", "local", "log",
        "loop", "metadata", "minimal", "multisocket", "nomad", "nsid", "on", "pprof", "prometheus", "proxyproto",
        "quic", "ready", "reload", "rewrite", "root", "route53", "secondary", "sign", "template", "timeouts", "tls",
        "trace", "transfer", "tsig", "view", "whoami",
    }
)  # fmt: skip

_DURATION = r"\+?(?:0|(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|ms|s|m|h))+)"
_LISTEN = r"\S*:[0-9]{1,5}"
_COUNT = r"[0-9]{1,9}"
_POSITIVE = r"0*[1-9][0-9]{0,8}"
_CAPACITY = rf"-?{_COUNT}(?: {_POSITIVE}(?: {_COUNT})?)?"
_CLASS = "(?:all|success|denial|error)"
_WORD = r"\S+"
_WORDS = r"\S+(?: \S+)*"
_SECONDS_OF = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_RCODES = r"(?i:[a-z]+)(?: (?i:[a-z]+))*"


@dataclass(frozen=True)
class Form:
    """The syntax of arguments. form: the pattern in words, for messages.

    least, most: limits in seconds of the durations among the arguments, in order; a jitter of 0 means none.
    """

    pattern: str
    form: str
    least: tuple[float, ...] = ()
    most: float = math.inf

    def fits(self, arguments: tuple[str, ...]) -> bool:
        if re.fullmatch(self.pattern, " ".join(arguments)) is None:
            return False
        durations = [seconds(one) for one in arguments if re.fullmatch(_DURATION, one)]
        too_short = any(given < least and not (at and given == 0) for at, (given, least) in enumerate(zip(durations, self.least)))
        return not too_short and all(given <= self.most for given in durations)


def seconds(duration: str) -> float:
    """Parse a duration as Go writes it: ``1m30s``."""
    return sum(float(number) * _SECONDS_OF[unit] for number, unit in re.findall(r"([0-9.]+)(ns|us|µs|ms|s|m|h)", duration))


@dataclass(frozen=True)
class PluginForm(Form):
    """The syntax of a plugin. may_repeat: whether a server block may contain it more than once."""

    options: dict[str, Form] = field(default_factory=dict)
    may_repeat: bool = False


_NONE = Form("", "no arguments")
_SECONDS = Form(_DURATION, "a duration such as 5s")
_NUMBER = Form(_COUNT, "a whole number")
_PORT = Form(rf"(?:{_LISTEN})?", "an address such as :8181, or no arguments")
_NAMES = Form(_WORDS, "at least one argument")
_ANY = Form(rf"(?:{_WORDS})?", "any arguments")
_ONE = Form(_WORD, "one argument")

FORMS: dict[str, PluginForm] = {
    "errors": PluginForm(
        "(?:stdout)?",
        "stdout, or nothing",
        options={
            "stacktrace": _ANY,
            "consolidate": Form(rf"{_DURATION} \S+(?: (?:warning|error|info|debug))?(?: show_first)?", "a duration and a pattern"),
        },
    ),
    "health": PluginForm(_PORT.pattern, _PORT.form, options={"lameduck": _SECONDS}, may_repeat=True),
    "ready": PluginForm(_PORT.pattern, _PORT.form, options={"monitor": Form("until-ready|continuously", "until-ready or continuously")}),
    "prometheus": PluginForm(_PORT.pattern, _PORT.form),
    "kubernetes": PluginForm(
        _ANY.pattern,
        "zones",
        options={
            "apiserver_burst": _NUMBER,
            "apiserver_max_inflight": _NUMBER,
            "apiserver_qps": Form(r"[0-9]+(?:\.[0-9]+)?", "a number"),
            "endpoint": _NAMES,
            "endpoint_pod_names": _NONE,
            "fallthrough": _ANY,
            "ignore": Form("empty_service", "empty_service"),
            "kubeconfig": Form(r"\S+(?: \S+)?", "a file, and a context or nothing"),
            "labels": _NAMES,
            "multicluster": _NAMES,
            "namespace_labels": _NAMES,
            "namespaces": _NAMES,
            "noendpoints": _NONE,
            "pods": Form("disabled|insecure|verified", "disabled, insecure or verified"),
            "startup_timeout": _SECONDS,
            "tls": Form(r"\S+ \S+ \S+", "a certificate, a key and a CA"),
            "ttl": Form("0*(?:[0-9]{1,3}|[12][0-9]{3}|3[0-5][0-9]{2}|3600)", "seconds from 0 to 3600"),
        },
    ),
    "cache": PluginForm(
        rf"(?:{_POSITIVE}(?: .*)?|(?!-?[0-9]+(?: |$)).*)",
        "seconds, more than 0, and zones",
        options={
            "success": Form(_CAPACITY, "a capacity, then seconds at most and at least"),
            "denial": Form(_CAPACITY, "a capacity, then seconds at most and at least"),
            "prefetch": Form(rf"{_COUNT}(?: {_DURATION}(?: [1-8][0-9]%| 90%)?)?", "a number, a duration and a percentage from 10% to 90%"),
            "serve_stale": Form(rf"(?:{_DURATION}(?: (?i:immediate|verify))?)?", "a duration, and immediate or verify"),
            "servfail": Form(_DURATION, "a duration up to 5m", most=300),
            "disable": Form(rf"(?:success|denial)(?: {_WORDS})?", "success or denial, and zones"),
            "keepttl": _NONE,
        },
    ),
    "forward": PluginForm(
        r"\S+(?: \S+){1,15}",
        "a zone and 1 to 15 upstreams",
        options={
            "except": _NAMES,
            "max_fails": _NUMBER,
            "max_connect_attempts": _NUMBER,
            "health_check": Form(rf"{_DURATION}(?: no_rec| domain \S+)*", "a duration, and no_rec or domain"),
            "force_tcp": _NONE,
            "prefer_udp": _NONE,
            "tls": Form(r"(?:\S+(?: \S+){0,2})?", "up to 3 files"),
            "tls_servername": _ONE,
            "expire": _SECONDS,
            "max_idle_conns": _NUMBER,
            "policy": Form("random|round_robin|sequential", "random, round_robin or sequential"),
            "max_concurrent": _NUMBER,
            "next": Form(_RCODES, "response codes such as NXDOMAIN"),
            "failfast_all_unhealthy_upstreams": _NONE,
            "failover": Form(rf"(?!(?:.* )?(?i:noerror)(?: |$)){_RCODES}", "response codes such as SERVFAIL"),
        },
        may_repeat=True,
    ),
    "loop": PluginForm("", "no arguments"),
    "reload": PluginForm(
        rf"(?:{_DURATION}(?: {_DURATION})?)?", "an interval of 2s or more and a jitter of 1s or more, or nothing", least=(2, 1)
    ),
    "loadbalance": PluginForm(
        r"(?:round_robin|weighted \S+)?",
        "round_robin, or weighted and a file",
        options={"reload": _SECONDS, "prefer": _NAMES},
        may_repeat=True,
    ),
    "log": PluginForm(
        _ANY.pattern, "a zone and a format", options={"class": Form(rf"{_CLASS}(?: {_CLASS})*", "classes of answers")}, may_repeat=True
    ),
    "whoami": PluginForm("", "no arguments", may_repeat=True),
}


# Rules for the notation of a Corefile, for any cluster


def _line(option: Option) -> str:
    return f"line {option.line}"


def imports_and_variables_can_be_judged(corefile: Corefile, _plan: DnsPlan) -> Iterator[Fault]:
    for name in corefile.imported:
        yield Fault("", f"import {name}", "no imported file", "Check that file separately, or insert its text here.")
    for server in corefile.servers:
        for plugin in server.plugins:
            for option in (plugin, *plugin.options):
                if any(is_variable(word) for word in (option.name, *option.arguments)):
                    yield Fault(_line(option), str(option), "no variable", "Write its value here.")


def plugins_are_known(corefile: Corefile, _plan: DnsPlan) -> Iterator[Fault]:
    for server in corefile.servers:
        for plugin in server.plugins:
            if plugin.name not in PLUGINS and not is_variable(plugin.name):
                yield Fault(
                    _line(plugin),
                    f"plugin {plugin.name}",
                    "a plugin of CoreDNS",
                    "Correct its name (https://coredns.io/plugins/), or close the block before it.",
                )


def plugins_stand_once(corefile: Corefile, _plan: DnsPlan) -> Iterator[Fault]:
    for server in corefile.servers:
        seen: dict[str, Plugin] = {}
        for plugin in server.plugins:
            first = seen.setdefault(plugin.name, plugin)
            if first is not plugin and plugin.name in FORMS and not FORMS[plugin.name].may_repeat:
                yield Fault(
                    _line(plugin),
                    f"{plugin.name} for the second time in this server block",
                    f"{plugin.name} once, as in line {first.line}",
                    "Merge the two.",
                )


def plugins_are_written_as_they_should(corefile: Corefile, _plan: DnsPlan) -> Iterator[Fault]:
    for server in corefile.servers:
        for plugin in server.plugins:
            form = FORMS.get(plugin.name)
            if form is None or any(is_variable(word) for word in plugin.arguments):
                continue
            if not form.fits(plugin.arguments):
                yield Fault(_line(plugin), str(plugin), f"{plugin.name} with {form.form}", "Correct its arguments.")
            for option in plugin.options:
                known = form.options.get(option.name)
                if known is None:
                    choice = ", ".join(form.options) or "no options"
                    yield Fault(
                        _line(option),
                        f"{option.name} in the block of {plugin.name}",
                        f"for {plugin.name}: {choice}",
                        "Correct its name, or close the block before it.",
                    )
                elif not any(is_variable(word) for word in option.arguments) and not known.fits(option.arguments):
                    yield Fault(_line(option), str(option), f"{option.name} with {known.form}", "Correct its arguments.")


def server_blocks_have_plugins(corefile: Corefile, _plan: DnsPlan) -> Iterator[Fault]:
    """A line after the last } starts a new server block."""
    for server in corefile.servers:
        if not server.plugins and not corefile.imported:
            yield Fault(f"{server}", "no plugins", "plugins that answer for the zone", "Move the line above the last }, or remove it.")


def zones_are_served_once(corefile: Corefile, _plan: DnsPlan) -> Iterator[Fault]:
    seen: dict[tuple[str, int, str, frozenset[str]], Server] = {}
    for server in corefile.servers:
        if server.every("view"):
            continue
        bound = frozenset(address for plugin in server.every("bind") for address in plugin.arguments)
        for zone in server.zones:
            key = (zone.name, zone.port, zone.transport, bound)
            if key in seen:
                yield Fault(
                    f"line {server.line}",
                    f"zone {zone.name or '.'} on port {zone.port}, which line {seen[key].line} serves",
                    "each zone and port in one server block",
                    "Merge the two server blocks.",
                )
            seen.setdefault(key, server)


# Check a Corefile: first whether it can be parsed, then every rule

SUBJECT = "Corefile"


@dataclass(frozen=True)
class Rule:
    """holds: named after what it asserts; yields violations."""

    holds: Callable[[Corefile, DnsPlan], Iterator[Fault]]
    severity: Severity


READABLE = "the_text_is_a_corefile"
RULES: dict[str, Rule] = {
    rule.holds.__name__: rule
    for rule in (
        Rule(imports_and_variables_can_be_judged, "warning"),
        Rule(plugins_are_known, "error"),
        Rule(plugins_stand_once, "error"),
        Rule(plugins_are_written_as_they_should, "error"),
        Rule(server_blocks_have_plugins, "warning"),
        Rule(zones_are_served_once, "error"),
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
    """Return the findings of all rules except accepted ones."""
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
    """If one more } makes the text valid, return the first plugin that is inside another's block because a } is missing."""
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


def looked_at(text: str, found: Iterable[Finding]) -> list[LookedAt]:
    return [LookedAt(SUBJECT, f"{len(text.splitlines())} lines", state_of(found))]
