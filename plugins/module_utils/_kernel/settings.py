# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings in force and in a file for every boot, beside a record of what they were; and all of that back.

What others change while a cluster runs is recorded, too, so that it can be taken back: kubelet's settings are those of
kubernetes/pkg/kubelet/cm/container_manager_linux.go (setupKernelTunables), kube-proxy's those of cmd/kube-proxy/app/conntrack.go and
pkg/proxy/iptables. The kernel itself switches accept_redirects with ip_forward (Documentation/networking/ip-sysctl.rst, "ip_forward").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from .._refusal import Refusal
from .io import Kernel

OF_OTHERS = (
    "net.ipv4.conf.all.accept_redirects",
    "vm.overcommit_memory",
    "vm.panic_on_oom",
    "kernel.panic",
    "kernel.panic_on_oops",
    "kernel.keys.root_maxkeys",
    "kernel.keys.root_maxbytes",
    "net.ipv4.conf.all.route_localnet",
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_tcp_timeout_established",
    "net.netfilter.nf_conntrack_tcp_timeout_close_wait",
    "net.netfilter.nf_conntrack_tcp_be_liberal",
)
# beside the file, and not read at boot, as its name does not end in .conf
RECORD = ".former"
_NAME = re.compile(r"[a-z][\w-]*([./][\w-]+)+")

ReadText = Callable[[str], Optional[str]]
ReplaceAll = Callable[[Mapping[str, Optional[str]]], None]


@dataclass(frozen=True)
class Wish:
    """path: the file of sysctl.d. settings: name -> value; none: everything goes back."""

    path: str
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Change:
    """wanted: all settings. before, after: of those that differ. files: new contents in the order to write them; None: it goes."""

    wanted: Mapping[str, str] = field(default_factory=dict)
    before: Mapping[str, str] = field(default_factory=dict)
    after: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Optional[str]] = field(default_factory=dict)

    def as_result(self) -> dict[str, Any]:
        return {
            "changed": bool(self.after or self.files),
            "changes": [f"{name}: {self.before[name]} -> {value}" for name, value in self.after.items()],
            "files": sorted(self.files),
            "diff": {"before": _text(self.before), "after": _text(self.after)},
        }


def read_wish(params: Mapping[str, Any]) -> Wish:
    """The module's options, checked."""
    settings = {} if params["state"] == "absent" else {name: " ".join(str(value).split()) for name, value in params["settings"].items()}
    for name, value in settings.items():
        if not _NAME.fullmatch(name) or not value:
            raise Refusal("settings", f"{name}: {value!r}", "a name such as net.ipv4.ip_forward, and a value", "Correct it.")
    if not params["path"].startswith("/") or not params["path"].endswith(".conf"):
        raise Refusal("path", repr(params["path"]), "a path in full that ends in .conf", "Use a file of /etc/sysctl.d.")
    return Wish(params["path"], settings)


def plan(wish: Wish, kernel: Kernel, read_text: ReadText) -> Change:
    return _plan_settings(wish, kernel, read_text) if wish.settings else _plan_return(wish, kernel, read_text)


def carry_out(wish: Wish, change: Change, kernel: Kernel, replace_all: ReplaceAll) -> None:
    """The record is written before anything changes, and goes when all has changed back."""
    if wish.settings:
        replace_all(change.files)
    for name, value in change.wanted.items():
        # looked at one by one, as one may switch another that comes after it
        if kernel.read(name) not in (value, None):
            kernel.write(name, value)
    if not wish.settings:
        replace_all(change.files)
    for name, value in change.wanted.items():
        now = kernel.read(name)
        if now not in (value, None):
            raise Refusal(f"kernel setting {name}", f"{now} after it was set", value, "Find out which other program sets it.")


def _plan_settings(wish: Wish, kernel: Kernel, read_text: ReadText) -> Change:
    now = {name: kernel.read(name) for name in wish.settings}
    for name, value in now.items():
        if value is None:
            step = "Load the kernel module that it belongs to; for net.bridge it is br_netfilter."
            raise Refusal(f"kernel setting {name}", "not there", f"to be {wish.settings[name]}", step)
    differing = [name for name, value in now.items() if value != wish.settings[name]]
    files: dict[str, Optional[str]] = {}
    if read_text(wish.path + RECORD) is None:
        files[wish.path + RECORD] = _text(_present(kernel, (*wish.settings, *OF_OTHERS)))
    if read_text(wish.path) != _text(wish.settings):
        files[wish.path] = _text(wish.settings)
    return Change(wish.settings, {name: str(now[name]) for name in differing}, {name: wish.settings[name] for name in differing}, files)


def _plan_return(wish: Wish, kernel: Kernel, read_text: ReadText) -> Change:
    record = read_text(wish.path + RECORD) or ""
    former = dict(line.split("=", 1) for line in record.splitlines() if "=" in line)
    now = _present(kernel, former)
    differing = [name for name, value in former.items() if now.get(name, value) != value]
    files: dict[str, Optional[str]] = {path: None for path in (wish.path, wish.path + RECORD) if read_text(path) is not None}
    return Change(former, {name: now[name] for name in differing}, {name: former[name] for name in differing}, files)


def _present(kernel: Kernel, names: Iterable[str]) -> dict[str, str]:
    read = {name: kernel.read(name) for name in names}
    return {name: value for name, value in read.items() if value is not None}


def _text(settings: Mapping[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in settings.items())
