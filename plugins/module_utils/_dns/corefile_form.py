# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of how a Corefile is written, whatever cluster it is for."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.vmstation.cluster.plugins.module_utils._dns.model import DnsPlan, Fault
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.plugin_facts import FORMS, PLUGINS
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.syntax import Corefile, Option, Plugin, Server, is_variable


def _line(option: Option) -> str:
    return f"line {option.line}"


def imports_and_variables_can_be_judged(corefile: Corefile, _plan: DnsPlan) -> Iterator[Fault]:
    for name in corefile.imported:
        yield Fault("", f"import {name}", "no file but this one", "Judge that file by itself, or put its text here.")
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
    """A line below the last } is a server block of its own."""
    for server in corefile.servers:
        if not server.plugins and not corefile.imported:
            yield Fault(f"{server}", "no plugins", "what is to answer for the zone", "Move the line above the last }, or take it out.")


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
