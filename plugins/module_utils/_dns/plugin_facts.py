# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plugins of CoreDNS 1.14, and how those of a cluster's DNS are written: https://coredns.io/plugins/.

A pattern stands for all arguments, with one space between them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

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
    """How something is written. form: in a user's words, for what the pattern says.

    least, most: bounds in seconds of the durations among the arguments, in their order; a jitter of 0 is none.
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
    """A duration as Go writes it: ``1m30s``."""
    return sum(float(number) * _SECONDS_OF[unit] for number, unit in re.findall(r"([0-9.]+)(ns|us|µs|ms|s|m|h)", duration))


@dataclass(frozen=True)
class PluginForm(Form):
    """may_repeat: whether it may stand more than once in a server block."""

    options: dict[str, Form] = field(default_factory=dict)
    may_repeat: bool = False


_NONE = Form("", "nothing behind it")
_SECONDS = Form(_DURATION, "a duration such as 5s")
_NUMBER = Form(_COUNT, "a whole number")
_PORT = Form(rf"(?:{_LISTEN})?", "an address such as :8181, or nothing")
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
            "tls": Form(r"\S+ \S+ \S+", "a certificate, a key and an authority"),
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
    "loop": PluginForm("", "nothing behind it"),
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
    "whoami": PluginForm("", "nothing behind it", may_repeat=True),
}
