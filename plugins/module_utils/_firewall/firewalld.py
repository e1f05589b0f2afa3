# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""firewalld: a service in one zone, two policies for what a service cannot say, and one reload for all of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall import firewalld_files as xml
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall import firewalld_rich as rich
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall import firewalld_shut as shutting
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall import firewalld_trusted as trusted
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall import guard_table
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.backend import Backend, ReadText, Standing, Step, Transaction
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.firewalld_bus import CONFIG, Bus, call, settings_call
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.firewalld_drift import (
    holds_runtime_only_settings,
    rules_a_reload_takes,
    running_beside,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import Opening, PortSet, canonical_networks, networks
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.ports import merge
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

UNIT = "firewalld.service"
UNIT_AT_BOOT = f"/etc/systemd/system/multi-user.target.wants/{UNIT}"
CONFIGURATION = f"{xml.ETC}/firewalld.conf"
SERVICE_PARTS = frozenset({"short", "description", "version", "ports", "protocols"})
Client = Callable[[], str]


class Firewalld(Backend):
    """firewalld 0.9 and later, over nftables or iptables.

    zone: where the service goes; empty: where it stands already, else the zone of the interface on which the client of the running
    connection is reached, else the default zone. client: that client's address, or an empty text.
    """

    name = "firewalld"

    def __init__(self, commands: Commands, read_text: ReadText, zone: str = "", client: Client = lambda: "") -> None:
        super().__init__(commands, read_text)
        self._bus = Bus(commands)
        self._wanted_zone = zone
        self._client = client

    def is_in_force(self) -> bool:
        return self._bus.is_running()

    def limits(self, wanted: PortSet) -> tuple[str, ...]:
        seen = trusted.look(self._bus, self._read_text) if wanted.trusted else None
        return tuple(
            f"{network} is a source of another zone of firewalld already, and stays there: that zone's own denials hold for it."
            for network in wanted.trusted
            if seen is not None and network in seen.foreign
        )

    def removes(self, path: str) -> bool:
        return path != trusted.PATH and path.startswith((f"{xml.ETC}/services/", f"{xml.ETC}/zones/"))

    def read(self, owner: str) -> Standing:
        self._bus.forget()
        damage: list[str] = []
        zone, strays = self._zones(owner)
        damage += [f"{xml.service_name(owner)} stands in the zone {stray} too" for stray in strays]
        damage += [f"{xml.service_name(owner)} runs in the zone {stray} too" for stray in running_beside(self._bus, owner, {zone, *strays})]
        runtime = self._runtime(owner, zone, damage)
        permanent = self._permanent(owner, zone, damage)
        if seen := trusted.look(self._bus, self._read_text):
            damage += seen.damage(owner, runtime.trusted, permanent.trusted)
        drop_in = guard_table.drop_in_path(owner, UNIT)
        if self._read_text(drop_in) != guard_table.files(owner, UNIT, permanent)[drop_in]:
            damage.append(f"{drop_in} does not load the node ports' table")
        warnings = () if self._read_text(UNIT_AT_BOOT) else (f"{UNIT} is not enabled: after a reboot firewalld does not run",)
        return Standing(runtime, permanent, tuple(damage), warnings)

    def transaction(self, owner: str, wanted: PortSet) -> Transaction:
        try:
            return self._transaction(owner, wanted)
        finally:
            self._bus.forget()  # what `read` has asked is good for one change

    def _transaction(self, owner: str, wanted: PortSet) -> Transaction:
        if wanted.guarded and not self._commands.has("nft"):
            raise Refusal("node ports with sources", "no nft on this host", "nft, beside firewalld", "Install nftables, or leave them out.")
        zone, strays = self._zones(owner)
        running = running_beside(self._bus, owner, {zone})
        files = dict(self._files(owner, zone, strays, wanted))
        if seen := trusted.look(self._bus, self._read_text):
            zone_of_trusted = {trusted.PATH: trusted.zone_file(seen.claims(owner, wanted.trusted), seen.foreign)}
            # a zone with sources and no policy for them would shut what other zones open to them
            files = {**files, **zone_of_trusted} if wanted.trusted else {**zone_of_trusted, **files}
        guard_files = guard_table.files(owner, UNIT, wanted)
        changed = {path: text for path, text in files.items() if self._read_text(path) != text}
        guard_changed = {path: text for path, text in guard_files.items() if self._read_text(path) != text}
        damage: list[str] = []
        runtime = self._runtime(owner, zone, damage)
        leaving = {path: self._text_before_removal(path) for path, text in changed.items() if text is None and self.removes(path)}
        validate: list[Step] = []
        activate: list[Step] = []
        # a guarded port is shut to others before it is opened to some
        if wanted.guarded != runtime.guarded or wanted.guarded:
            activate += guard_table.steps(owner, wanted, drop_in_changes=guard_table.drop_in_path(owner, UNIT) in guard_changed)
        zone_runs = seen is None or seen.runs(owner, wanted.trusted)
        if changed or damage or running or not zone_runs or (runtime.openings, runtime.trusted) != (wanted.openings, wanted.trusted):
            validate.append(call("", "checkPermanentConfig"))
            activate += self._made_to_run(owner, zone, sorted({*strays, *running}), wanted, list(leaving))
        return Transaction(tuple(validate), {**guard_changed, **changed, **leaving}, tuple(activate))

    def _text_before_removal(self, path: str) -> Optional[str]:
        """What a file holds until its removal: a zone what firewalld ships, a service what it holds now."""
        return self._read_text(path.replace(xml.ETC, xml.SHIPPED, 1) if path.startswith(f"{xml.ETC}/zones/") else path)

    def _made_to_run(self, owner: str, zone: str, strays: list[str], wanted: PortSet, leaving: list[str]) -> list[Step]:
        """What makes the files run: a reload, if it costs nobody anything. leaving: the files that have to go.

        firewalld can make neither a service nor a policy nor a zone at runtime. Without a reload the openings are rich rules until the
        next one.
        """
        policies = [xml.policy_name(owner, side) for side in xml.SIDES]
        policies += shutting.names(owner) if shutting.zones(self._bus) else []
        lacks_policies = not set(policies) <= set(self._bus.ask("policy", "getPolicies"))
        seen = trusted.look(self._bus, self._read_text)
        needs_reload = bool(wanted.trusted) and (lacks_policies or (seen is not None and seen.running is None))
        zones = {zone, *self._bus.ask("zone", "getActiveZones")} - {trusted.ZONE}
        runtime_only = holds_runtime_only_settings(self._bus, sorted(zones))
        rules = rules_a_reload_takes(self._commands, self._bus, self._read_text(CONFIGURATION))
        if runtime_only and needs_reload:
            raise Refusal(
                "firewalld's runtime settings",
                f"some that are not permanent, and no policy {policies[0]} yet for the trusted networks",
                "a reload, which would drop them",
                shutting.ADVICE,
            )
        if (runtime_only or rules) and not needs_reload:
            return [*self._without_a_reload(owner, zone, strays, wanted), *self._removal(owner, [zone, *strays], leaving)]
        put_back = [Step((f"{tool}-restore", "--counters"), saved) for tool, saved in rules.items()]
        services = [path for path in leaving if path == xml.service_path(owner)]
        copies = [path for path in leaving if path not in services]
        # after the reload firewalld remembers no zone with the service any more
        return [*_gone(copies), call("", "reload"), *put_back, *_gone(services)]

    def _removal(self, owner: str, zones: list[str], leaving: list[str]) -> list[Step]:
        """Without a reload, the removal of our service, and of zones that we had copied.

        firewalld looks at a file 5 seconds after its last change. When it finds that a service is gone, it takes it out of each zone that
        it remembers with it, and writes that zone anew in its own words (removeService in server/config.py); that a zone's file is gone it
        never notices. So each of them stays until firewalld has read the zones without the service.
        """
        if not leaving:
            return []
        paths = [self._bus.ask("config", "getZoneByName", "s", zone, path=CONFIG) for zone in zones]
        remembered = [call("config.zone", "getSettings2", path=path).argv for path in paths]
        return [*(Step(argv, until_without=f'"{xml.service_name(owner)}"') for argv in remembered), *_gone(leaving)]

    def _zones(self, owner: str) -> tuple[str, list[str]]:
        """The zone of our service, and other zones that have it."""
        service = xml.service_name(owner)
        known: list[str] = self._bus.ask("zone", "getZones")
        carrying = []
        for name in known:
            path = xml.zone_path(name)
            text = self._read_text(path)
            if text and service in text and xml.has_service(path, text, service):
                carrying.append(name)
        zone = self._wanted_zone or (carrying[0] if carrying else "") or self._zone_of_connection() or self._bus.ask("", "getDefaultZone")
        if zone not in known:
            raise Refusal("zone", zone, f"one of {', '.join(sorted(known))}", "Name a zone that firewalld has.")
        return zone, [name for name in carrying if name != zone]

    def _zone_of_connection(self) -> str:
        client = self._client()
        if not client or not self._commands.has("ip"):
            return ""
        route = self._commands.run(["ip", "-json", "route", "get", client], check=False)
        if route.status != 0:
            return ""
        interfaces = [hop["dev"] for hop in json.loads(route.stdout or "[]") if "dev" in hop]
        return str(self._bus.ask("zone", "getZoneOfInterface", "s", interfaces[0])) if interfaces else ""

    def _files(self, owner: str, zone: str, strays: Iterable[str], wanted: PortSet) -> Mapping[str, Optional[str]]:
        """In an order in which a zone never names a service that is not there."""
        service = xml.service_name(owner)
        open_to_anyone = [opening for opening in wanted.openings if not opening.sources]
        files: dict[str, Optional[str]] = {}
        if open_to_anyone:
            files[xml.service_path(owner)] = xml.service_file(owner, open_to_anyone)
        for side, rules in (("in", rich.input_rules(wanted)), ("fw", rich.forward_rules(wanted))):
            files[xml.policy_path(owner, side)] = xml.policy_file(owner, side, rules) if rules else None
        opens = {"in": rich.input_rules(wanted), "fw": rich.forward_rules(wanted)}
        files = {**shutting.files(owner, shutting.zones(self._bus), opens), **files}
        for name in {*strays, zone} if not open_to_anyone else strays:
            files[xml.zone_path(name)] = self._zone_without(name, service)
        if open_to_anyone:
            path, text = self._zone_file(zone)
            files[path] = xml.with_service(path, text, service)
        else:
            files[xml.service_path(owner)] = None
        return files

    def _zone_file(self, zone: str) -> tuple[str, str]:
        path = xml.zone_path(zone)
        text = self._read_text(path) or self._read_text(f"{xml.SHIPPED}/zones/{zone}.xml")
        if text is None:
            raise Refusal(
                f"zone {zone}", f"neither {path} nor a shipped file", "a permanent zone", "Make it permanent, or name another zone."
            )
        return path, text

    def _zone_without(self, zone: str, service: str) -> Optional[str]:
        """The zone's file without our service; None where that leaves the shipped one, which our change had hidden."""
        path = xml.zone_path(zone)
        text = self._read_text(path)
        if text is None or not xml.has_service(path, text, service):
            return text
        left = xml.without_service(path, text, service)
        if xml.has_service(path, left, service):  # also raises if what is left were no XML
            raise Refusal(
                path, f"a service {service} that cannot be taken out", "a file that this can edit", f"Take {service} out by hand."
            )
        return None if left == self._read_text(f"{xml.SHIPPED}/zones/{zone}.xml") else left

    def _runtime(self, owner: str, zone: str, damage: list[str]) -> PortSet:
        settings = self._bus.ask("zone", "getZoneSettings2", "s", zone)
        openings: list[Opening] = []
        service = xml.service_name(owner)
        if service in settings.get("services", []):
            known = self._bus.ask_if_known("", "getServiceSettings2", service) or {}
            openings += [xml.port_opening(ports, protocol) for ports, protocol in known.get("ports", [])]
            openings += [Opening(protocol) for protocol in known.get("protocols", [])]
            if set(known) - SERVICE_PARTS:
                damage.append(f"the loaded service {service} says more than we wrote")
        existing = self._bus.ask("policy", "getPolicies")
        rules: dict[str, list[str]] = {}
        for side, egress in xml.SIDES.items():
            name = xml.policy_name(owner, side)
            policy = self._bus.ask("policy", "getPolicySettings", "s", name) if name in existing else {}
            rules[side] = policy.get("rich_rules", [])
            zones = (policy.get("ingress_zones", []), policy.get("egress_zones", []))
            if policy and (zones != (["ANY"], [egress]) or policy.get("target") != "CONTINUE"):
                damage.append(f"the loaded policy {name} is not as it was written")
        damage += shutting.damage(self._bus, owner, shutting.zones(self._bus), rules, existing)
        openings += [
            opening
            for rule in rich.marked(owner, settings)
            if (parsed := rich.parse(rule)) is not None and (opening := parsed.opens()) is not None
        ]
        guard = ""
        if self._commands.has("nft"):
            guard = self._commands.run(["nft", "list", "table", "inet", guard_table.table(owner)], check=False).stdout
        where = "firewalld's loaded rules"
        return guard_table.guarded(owner, where, _set_of(where, openings, rules, damage), guard, damage)

    def _permanent(self, owner: str, zone: str, damage: list[str]) -> PortSet:
        openings: list[Opening] = []
        service_text = self._read_text(xml.service_path(owner))
        zone_text = self._read_text(xml.zone_path(zone))
        if zone_text is not None and xml.has_service(xml.zone_path(zone), zone_text, xml.service_name(owner)):
            openings, plain = xml.parse_service(xml.service_path(owner), service_text) if service_text else ([], False)
            if not plain:
                damage.append(f"{xml.service_path(owner)} is not as it was written")
        elif service_text is not None:
            damage.append(f"{xml.service_path(owner)} is in no zone")
        rules: dict[str, list[str]] = {}
        for side, egress in xml.SIDES.items():
            path = xml.policy_path(owner, side)
            text = self._read_text(path)
            rules[side] = []
            if text is not None:
                rules[side], *frame = xml.parse_policy(path, text)
                if frame != [["ANY"], [egress], "CONTINUE", str(xml.POLICY_PRIORITY)]:
                    damage.append(f"{path} is not as it was written")
        for path, text in shutting.files(owner, shutting.zones(self._bus), rules).items():
            if self._read_text(path) != text:
                damage.append(f"{path} is not as it was written")
        guard = self._read_text(guard_table.file_path(owner)) or ""
        where = "firewalld's files"
        return guard_table.guarded(owner, where, _set_of(where, openings, rules, damage), guard, damage)

    def _without_a_reload(self, owner: str, zone: str, strays: list[str], wanted: PortSet) -> list[Step]:
        """Our set in the running zone and policies, beside what is only there."""
        existing = self._bus.ask("policy", "getPolicies")
        policies = {side: xml.policy_name(owner, side) for side in xml.SIDES}
        rules = [str(rule) for rule in rich.opening_rules(wanted.openings, rich.runtime_mark(owner))]
        services, foreign, marked = self._running(owner, zone)
        steps = [
            # first what is new, then what goes: a port of both sets is open throughout
            settings_call("zone", "setZoneSettings2", zone, {"rules_str": list(dict.fromkeys([*foreign, *marked, *rules]))}),
            settings_call("zone", "setZoneSettings2", zone, {"rules_str": [*foreign, *rules], "services": services}),
        ]
        for stray in strays:
            services, foreign, _rules = self._running(owner, stray)
            steps.append(settings_call("zone", "setZoneSettings2", stray, {"rules_str": foreign, "services": services}))
        passing = {
            "in": [str(rich.RichRule(source=network)) for network in wanted.trusted],
            "fw": [str(rule) for rule in rich.forward_rules(wanted)],
        }
        in_policies = [
            settings_call("policy", "setPolicySettings", name, {"rich_rules": passing[side]})
            for side, name in policies.items()
            if name in existing
        ]
        seen = trusted.look(self._bus, self._read_text)
        if seen is None or seen.running is None:
            return [*steps, *in_policies]
        networks_of_all = trusted.sources(seen.claims(owner, wanted.trusted), seen.foreign)
        in_zone = settings_call("zone", "setZoneSettings2", trusted.ZONE, {"sources": networks_of_all})
        return [*steps, *in_policies, in_zone] if wanted.trusted else [*steps, in_zone, *in_policies]

    def _running(self, owner: str, zone: str) -> tuple[list[str], list[str], list[str]]:
        """What runs in a zone: the services and the rich rules of others, and the rich rules of ours."""
        settings = self._bus.ask("zone", "getZoneSettings2", "s", zone)
        marked = rich.marked(owner, settings)
        services = [name for name in settings.get("services", []) if name != xml.service_name(owner)]
        return services, [rule for rule in settings.get("rules_str", []) if rule not in marked], marked


def _gone(paths: list[str]) -> list[Step]:
    return [Step(("rm", "-f", *paths))] if paths else []


def _set_of(where: str, openings: Iterable[Opening], rules: Mapping[str, list[str]], damage: list[str]) -> PortSet:
    """The set that a service and our policies let in; what is not as we write it goes into ``damage``."""
    found = list(openings)
    parsed = {side: [rich.parse(text) for text in texts] for side, texts in rules.items()}
    if any(rule is None for side in parsed.values() for rule in side):
        damage.append(f"{where} hold a rule in a policy of ours that is not as we write it")
    entering = [rule for rule in parsed["in"] if rule is not None]
    passing = [rule for rule in parsed["fw"] if rule is not None and rule.opening is None]
    found += [opening for rule in entering if (opening := rule.opens()) is not None]
    let_in = {rule.source for rule in entering if rule.opening is None and rule.source}
    both_ways = {rule.source for rule in passing if rule.source} & {rule.destination for rule in passing if rule.destination}
    if let_in != both_ways:
        damage.append(f"{where} let only one direction of a trusted network pass")
    return PortSet(merge(found), canonical_networks(networks(let_in & both_ways)))
