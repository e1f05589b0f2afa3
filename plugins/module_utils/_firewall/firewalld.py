# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewalld backend: a service in one zone, policies for what a service cannot express, and one reload."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Optional

from .._host.commands import Commands
from .._json import read_json
from .._refusal import Refusal
from . import firewalld_zones as rates
from . import firewalld_zones as rich
from . import firewalld_zones as xml
from . import guard_table
from .backend import Backend, ReadText, Standing, Step, Transaction
from .firewalld_zones import CONFIG, ETC, HEAD, Bus, call, is_runtime_rule, marked, service_name, settings_call, sources_of, zone_path
from .model import Network, Opening, PortSet, canonical_networks, merge, networks

# firewalld 2: one zone without rules of its own for the trusted networks of all sets
#
# firewalld 2 applies no policy to a packet between two interfaces that are in no zone, so none to pod-to-pod packets. For a packet whose
# source is in a zone, it applies the policies: a zone with the trusted networks as sources is enough for ours.

TRUSTED_ZONE = "vmstation_trusted"
TRUSTED_PATH = f"{ETC}/zones/{TRUSTED_ZONE}.xml"
NEEDED_FROM = 2  # firewalld's major version
# after every zone that names an interface or has another source, before the default zone
PRIORITY = 32767
CLAIMS = re.compile(r"<description>[^<]*?: trusted by (?P<claims>[^<]*)\. Written whole, changes are lost\.</description>")
CLAIM = re.compile(r"(?P<owner>[a-z][a-z0-9-]*) \((?P<networks>[^)]*)\)")

Claims = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Seen:
    """The current state of the zone.

    text: its file. running: its running sources (None: it is not running). foreign: the sources of all other zones.
    """

    text: Optional[str]
    running: Optional[tuple[str, ...]]
    foreign: frozenset[str]

    def claims(self, owner: str, networks: tuple[str, ...]) -> Claims:
        """Return the networks per owner, with this owner's replaced by ``networks``."""
        others = {name: named for name, named in claims_in(self.text).items() if name != owner}
        return {**others, owner: networks} if networks else others

    def runs(self, owner: str, networks: tuple[str, ...]) -> bool:
        """Return whether the running zone has the sources that it needs if this owner trusts these networks."""
        return sorted(self.running or ()) == trusted_sources(self.claims(owner, networks), self.foreign)

    def damage(self, owner: str, runtime: tuple[str, ...], permanent: tuple[str, ...]) -> list[str]:
        """Return where the zone differs from what the owner's set needs, now (runtime) and after a reload (permanent)."""
        found = []
        if self.text != trusted_zone_file(self.claims(owner, permanent), self.foreign):
            found.append(f"{TRUSTED_PATH} is not as it was written")
        if not self.runs(owner, runtime):
            found.append(f"the running zone {TRUSTED_ZONE} has other sources than the networks that are trusted")
        return found


def look_at_trusted(bus: Bus, read_text: ReadText) -> Optional[Seen]:
    """Read the state of the zone; None if this firewalld does not need it."""
    if bus.major_version() < NEEDED_FROM:
        return None
    known = bus.ask("zone", "getZones")
    texts = {name: read_text(zone_path(name)) or "" for name in known if name != TRUSTED_ZONE}
    written = [address for name, text in texts.items() if "<source" in text for address in sources_of(zone_path(name), text)]
    active = bus.ask("zone", "getActiveZones")
    loaded = [address for name, members in active.items() if name != TRUSTED_ZONE for address in members.get("sources", [])]
    running = tuple(active.get(TRUSTED_ZONE, {}).get("sources", [])) if TRUSTED_ZONE in known else None
    return Seen(read_text(TRUSTED_PATH), running, networks_among([*written, *loaded]))


def trusted_zone_file(claims: Claims, foreign: frozenset[str]) -> Optional[str]:
    """Return the zone's file with the owners' networks, except sources of other zones; None if there are no networks."""
    trusting = ", ".join(f"{owner} ({', '.join(networks)})" for owner, networks in sorted(claims.items()) if networks)
    if not trusting:
        return None
    return "".join(
        [
            HEAD,
            f'<zone ingress-priority="{PRIORITY}" egress-priority="{PRIORITY}">\n',
            "  <short>vmstation trusted</short>\n",
            f"  <description>vmstation.cluster.firewall_ports: trusted by {trusting}. Written whole, changes are lost.</description>\n",
            *(f'  <source address="{network}"/>\n' for network in trusted_sources(claims, foreign)),
            "</zone>\n",
        ]
    )


def trusted_sources(claims: Claims, foreign: frozenset[str]) -> list[str]:
    """Return the zone's sources. A source can be in one zone only; if it is in another, that zone serves our policies too."""
    return sorted({network for networks in claims.values() for network in networks} - foreign)


def claims_in(text: Optional[str]) -> dict[str, tuple[str, ...]]:
    """Return the networks per owner from the zone's file; empty if there is no file."""
    found = CLAIMS.search(text or "")
    if found is None:
        return {}
    return {claim["owner"]: tuple(claim["networks"].split(", ")) for claim in CLAIM.finditer(found["claims"])}


def networks_among(addresses: Iterable[str]) -> frozenset[str]:
    """Return the sources that are networks, in canonical form, without ipsets and MAC addresses."""
    return frozenset(str(network) for address in addresses if (network := _network(address)) is not None)


def _network(address: str) -> Optional[Network]:
    try:
        return ip_network(address, strict=False)
    except ValueError:
        return None


# What a firewalld reload would remove: runtime-only settings, and all iptables rules
#
# firewalld 1 flushes all iptables tables when it reloads, even if it keeps its own rules in nftables; the rules of kube-proxy, Calico and
# Docker are then lost. firewalld 2 does so only if it has direct rules or itself uses iptables.

# an interface stays in its zone during a reload; the others cannot differ at runtime
INDIFFERENT = frozenset({"interfaces", "short", "description", "version", "UNUSED", "target", "priority"})

KEEPS_IPTABLES = 2  # firewalld's major version
OUR_SERVICE, OUR_POLICY = "vmstation-", "vm-"
TOOLS = ("iptables", "ip6tables")
RULE_OR_CHAIN = re.compile(r"^(?:\[\d+:\d+\] )?(?:-A |:(?P<chain>\S+) - )", re.MULTILINE)
OWN_CHAIN = re.compile(r"(?:INPUT|FORWARD|OUTPUT|PREROUTING|POSTROUTING|IN|OUT|FWD|FWDI|FWDO|PRE|POST)_\S+")


def rules_a_reload_takes(commands: Commands, bus: Bus, configuration: Optional[str]) -> dict[str, str]:
    """Return per tool the `iptables-save` output with rules of other programs that a reload would remove.

    configuration: firewalld.conf. If firewalld uses iptables, only chain names distinguish its rules from others.
    """
    on_iptables = re.search(r"^FirewallBackend\s*=\s*iptables\s*$", configuration or "", re.MULTILINE) is not None
    if bus.major_version() >= KEEPS_IPTABLES and not on_iptables and not any(_direct(bus)):
        return {}
    found = {}
    for tool in TOOLS:
        if commands.has(f"{tool}-save"):
            saved = commands.run([f"{tool}-save", "--counters"]).stdout
            chains = [match["chain"] for match in RULE_OR_CHAIN.finditer(saved)]
            if any(chain and not OWN_CHAIN.fullmatch(chain) for chain in chains) or (chains and not on_iptables):
                found[tool] = saved
    return found


def holds_runtime_only_settings(bus: Bus, zones: Iterable[str]) -> bool:
    """Return whether zones, active policies or direct rules differ from their permanent settings, except ours."""
    for zone in zones:
        path = bus.ask("config", "getZoneByName", "s", zone, path=CONFIG)
        permanent = bus.ask("config.zone", "getSettings2", path=path)
        if _foreign(bus.ask("zone", "getZoneSettings2", "s", zone)) != _foreign(permanent):
            return True
    for policy in bus.ask("policy", "getActivePolicies"):
        if policy.startswith(OUR_POLICY):
            continue
        path = bus.ask("config", "getPolicyByName", "s", policy, path=CONFIG)
        if _foreign(bus.ask("policy", "getPolicySettings", "s", policy)) != _foreign(bus.ask("config.policy", "getSettings", path=path)):
            return True
    permanent = bus.ask("config.direct", "getSettings", path=CONFIG)
    return [sorted(map(repr, part)) for part in _direct(bus)] != [sorted(map(repr, part)) for part in permanent]


def running_beside(bus: Bus, owner: str, zones: Iterable[str]) -> list[str]:
    """Return other zones in use that run the owner's set. A change that was killed halfway can leave them."""
    judging = {bus.ask("", "getDefaultZone"), *bus.ask("zone", "getActiveZones")} - {*zones, TRUSTED_ZONE}
    settings = {name: bus.ask("zone", "getZoneSettings2", "s", name) for name in sorted(judging)}
    return [name for name, zone in settings.items() if service_name(owner) in zone.get("services", []) or marked(owner, zone)]


def _direct(bus: Bus) -> list[list[Any]]:
    """Return the direct chains, rules and passthroughs in force."""
    return [bus.ask("direct", method) for method in ("getAllChains", "getAllRules", "getAllPassthroughs")]


def _foreign(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Remove our own settings: until a reload they may differ between runtime and permanent."""
    found = {}
    for key, value in settings.items():
        if key in INDIFFERENT:
            continue
        if isinstance(value, list):
            kept = [item for item in value if not str(item).startswith(OUR_SERVICE) and not is_runtime_rule(str(item))]
            if kept:
                found[key] = sorted(map(repr, kept))
        elif value:
            found[key] = value
    return found


# Zones that only deny sources: their denials must hold before our policies, which apply to any zone
#
# A zone's target is applied after all policies, so two policies of ours, one for each policy that opens ports, deny these zones first.

ZONES = ("block", "drop")
SHIPPED = frozenset({*ZONES, "dmz", "external", "home", "internal", "nm-shared", "public", "trusted", "work"})
TARGETS = frozenset({"DROP", "REJECT", "%%REJECT%%"})
ALLOWANCES = ("services", "ports", "protocols", "source_ports", "rules_str")
# per allowing policy: the side of the denying policy, and its egress zone
GUARDS = {"in": ("no", "HOST"), "fw": ("nf", "ANY")}
SHUT_ADVICE = (
    "Run `firewall-cmd --runtime-to-permanent` to keep them (bans of fail2ban would then never end), or `firewall-cmd --reload` to drop "
    "them (then `systemctl restart fail2ban`, if it bans by firewalld), then run again."
)
SHUT_PRIORITY = xml.POLICY_PRIORITY - 1


def shut_zones(bus: Bus) -> list[str]:
    """Return the zones that are only ban lists.

    A zone with an interface, or the default zone, is the host's main zone: it denies everyone. A zone that allows anything is no ban list
    either.
    """
    active: Mapping[str, Mapping[str, object]] = bus.ask("zone", "getActiveZones")
    default = bus.ask("", "getDefaultZone")
    # a zone without sources may get one at any time
    candidates = {*active, *bus.ask("zone", "getZones")} - SHIPPED
    found = sorted({*ZONES, *(name for name in candidates if _only_shuts(bus, name))})
    return [name for name in found if name != default and not active.get(name, {}).get("interfaces")]


def _only_shuts(bus: Bus, zone: str) -> bool:
    settings = bus.ask("zone", "getZoneSettings2", "s", zone)
    return settings.get("target") in TARGETS and not any(settings.get(key) for key in ALLOWANCES)


def shut_names(owner: str) -> list[str]:
    return [xml.policy_name(owner, side) for side, _egress in GUARDS.values()]


def shut_files(owner: str, shut: list[str], opens: Mapping[str, Sequence[object]]) -> dict[str, Optional[str]]:
    """Return the denying policies. opens: the rules of each allowing policy; one without rules opens nothing."""
    return {
        xml.policy_path(owner, side): _text(owner, egress, shut) if shut and opens[opening] else None
        for opening, (side, egress) in GUARDS.items()
    }


def shut_damage(bus: Bus, owner: str, shut: list[str], opens: Mapping[str, Sequence[object]], existing: list[str]) -> list[str]:
    """Return the denying policies that do not run as written. existing: the names of the running policies."""
    found = []
    for opening, (side, _egress) in GUARDS.items():
        name = xml.policy_name(owner, side)
        if shut and opens[opening]:
            settings = bus.ask("policy", "getPolicySettings", "s", name) if name in existing else {}
            if sorted(settings.get("ingress_zones", [])) != shut or settings.get("target") != "DROP":
                found.append(f"the policy {name} does not run as it was written")
    return found


def _text(owner: str, egress: str, shut: list[str]) -> str:
    lines = [
        f'<policy priority="{SHUT_PRIORITY}" target="DROP">',
        f"  <short>vmstation {owner}</short>",
        f"  <description>vmstation.cluster.firewall_ports, name {owner}: zones that shut. Written whole, changes are lost.</description>",
        *(f'  <ingress-zone name="{name}"/>' for name in shut),
        f'  <egress-zone name="{egress}"/>',
        "</policy>",
    ]
    return xml.HEAD + "".join(f"{line}\n" for line in lines)


# The backend: a service in one zone, two policies for what a service cannot express, and one reload for all of it

UNIT = "firewalld.service"
UNIT_AT_BOOT = f"/etc/systemd/system/multi-user.target.wants/{UNIT}"
CONFIGURATION = f"{xml.ETC}/firewalld.conf"
STRICT_FORWARD_PORTS = (
    f"{CONFIGURATION} has StrictForwardPorts=yes: firewalld rejects what kube-proxy forwards, so NodePorts of this host do not answer. "
    "Write StrictForwardPorts=no there, and run `firewall-cmd --reload`."
)
SERVICE_PARTS = frozenset({"short", "description", "version", "ports", "protocols"})
Client = Callable[[], str]


class Firewalld(Backend):
    """firewalld 0.9 and later, over nftables or iptables.

    zone: the service's zone. Empty: the zone that already has it, else the zone of the interface to the client of the running connection,
    else the default zone. client: that client's address, or an empty text.
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
        seen = look_at_trusted(self._bus, self._read_text) if wanted.trusted else None
        stay = [network for network in wanted.trusted if seen is not None and network in seen.foreign]
        text = "is already a source of another firewalld zone and stays there: that zone's own denials apply to it."
        strict = [STRICT_FORWARD_PORTS] if wanted.trusted and self._forwards_own_ports_only() else []
        return (*strict, *(f"{network} {text}" for network in stay), *rates.warnings(self._bus, wanted.openings))

    def _forwards_own_ports_only(self) -> bool:
        """Return whether firewalld (2.3 and later) rejects packets that another program, such as kube-proxy, has DNATed."""
        return bool(
            re.search(r"^\s*StrictForwardPorts\s*=\s*(yes|true)\s*$", self._read_text(CONFIGURATION) or "", re.MULTILINE | re.IGNORECASE)
        )

    def removes(self, path: str) -> bool:
        return path != TRUSTED_PATH and path.startswith((f"{xml.ETC}/services/", f"{xml.ETC}/zones/"))

    def read(self, owner: str) -> Standing:
        self._bus.forget()
        damage: list[str] = []
        zone, strays = self._zones(owner)
        damage += [f"{xml.service_name(owner)} is in the zone {stray} too" for stray in strays]
        damage += [
            f"{xml.service_name(owner)} is active in the zone {stray} too" for stray in running_beside(self._bus, owner, {zone, *strays})
        ]
        runtime = self._runtime(owner, zone, damage)
        permanent = self._permanent(owner, zone, damage)
        if seen := look_at_trusted(self._bus, self._read_text):
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
            self._bus.forget()  # what `read` has queried is valid for one change

    def _transaction(self, owner: str, wanted: PortSet) -> Transaction:
        if wanted.has_guard and not self._commands.has("nft"):
            raise Refusal("node ports with sources", "no nft on this host", "nft, beside firewalld", "Install nftables, or leave them out.")
        zone, strays = self._zones(owner)
        running = running_beside(self._bus, owner, {zone})
        files = dict(self._files(owner, zone, strays, wanted))
        if seen := look_at_trusted(self._bus, self._read_text):
            zone_of_trusted = {TRUSTED_PATH: trusted_zone_file(seen.claims(owner, wanted.trusted), seen.foreign)}
            # a zone with sources but without a policy would block what other zones allow for them
            files = {**files, **zone_of_trusted} if wanted.trusted else {**zone_of_trusted, **files}
        guard_files = guard_table.files(owner, UNIT, wanted)
        changed = {path: text for path, text in files.items() if self._read_text(path) != text}
        guard_changed = {path: text for path, text in guard_files.items() if self._read_text(path) != text}
        damage: list[str] = []
        runtime = self._runtime(owner, zone, damage)
        leaving = {path: self._text_before_removal(path) for path, text in changed.items() if text is None and self.removes(path)}
        validate: list[Step] = []
        activate: list[Step] = []
        # restrict a guarded port before it is opened
        if wanted.has_guard or runtime.has_guard:
            activate += guard_table.steps(owner, UNIT, wanted, drop_in_changes=guard_table.drop_in_path(owner, UNIT) in guard_changed)
        zone_runs = seen is None or seen.runs(owner, wanted.trusted)
        if changed or damage or running or not zone_runs or (runtime.openings, runtime.trusted) != (wanted.openings, wanted.trusted):
            validate.append(call("", "checkPermanentConfig"))
            activate += self._made_to_run(owner, zone, sorted({*strays, *running}), wanted, list(leaving))
        return Transaction(tuple(validate), {**guard_changed, **changed, **leaving}, tuple(activate))

    def _text_before_removal(self, path: str) -> Optional[str]:
        """Return the text until the removal: for a zone the file that firewalld ships, for a service the present one."""
        return self._read_text(path.replace(xml.ETC, xml.SHIPPED, 1) if path.startswith(f"{xml.ETC}/zones/") else path)

    def _made_to_run(self, owner: str, zone: str, strays: list[str], wanted: PortSet, leaving: list[str]) -> list[Step]:
        """Activate the files: by a reload, unless it would remove others' settings. leaving: the files to remove.

        firewalld cannot create a service, policy or zone at runtime. Without a reload, the open ports are rich rules until the next one.
        """
        policies = [xml.policy_name(owner, side) for side in xml.SIDES]
        policies += shut_names(owner) if shut_zones(self._bus) else []
        lacks_policies = not set(policies) <= set(self._bus.ask("policy", "getPolicies"))
        seen = look_at_trusted(self._bus, self._read_text)
        needs_reload = bool(wanted.trusted) and (lacks_policies or (seen is not None and seen.running is None))
        zones = {zone, *self._bus.ask("zone", "getActiveZones")} - {TRUSTED_ZONE}
        runtime_only = holds_runtime_only_settings(self._bus, sorted(zones))
        rules = rules_a_reload_takes(self._commands, self._bus, self._read_text(CONFIGURATION))
        if runtime_only and needs_reload:
            raise Refusal(
                "firewalld's runtime settings",
                f"some that are not permanent, and no policy {policies[0]} for the trusted networks",
                "only permanent settings, as the reload that creates the policy drops all others",
                SHUT_ADVICE,
            )
        if (runtime_only or rules) and not needs_reload:
            return [*self._without_a_reload(owner, zone, strays, wanted), *self._removal(owner, [zone, *strays], leaving)]
        put_back = [Step((f"{tool}-restore", "--counters"), saved) for tool, saved in rules.items()]
        services = [path for path in leaving if path == xml.service_path(owner)]
        copies = [path for path in leaving if path not in services]
        # after the reload, firewalld knows no zone with the service any more
        return [*_gone(copies), call("", "reload"), *put_back, *_gone(services)]

    def _removal(self, owner: str, zones: list[str], leaving: list[str]) -> list[Step]:
        """Remove our service, and zone files that we had copied, without a reload.

        firewalld handles a file change 5 seconds later. When a service is gone, it removes it from each zone that it remembers with it,
        and rewrites that zone's file (removeService in server/config.py). It never notices that a zone's file is gone. So keep each file
        until firewalld has read the zones without the service.
        """
        if not leaving:
            return []
        paths = [self._bus.ask("config", "getZoneByName", "s", zone, path=CONFIG) for zone in zones]
        remembered = [call("config.zone", "getSettings2", path=path).argv for path in paths]
        return [*(Step(argv, until_without=f'"{xml.service_name(owner)}"') for argv in remembered), *_gone(leaving)]

    def _zones(self, owner: str) -> tuple[str, list[str]]:
        """Return the zone of our service, and other zones that have it."""
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
            raise Refusal("zone", zone, f"one of {', '.join(sorted(known))}", "Set zone to one of these.")
        return zone, [name for name in carrying if name != zone]

    def _zone_of_connection(self) -> str:
        client = self._client()
        if not client or not self._commands.has("ip"):
            return ""
        route = self._commands.run(["ip", "-json", "route", "get", client], check=False)
        if route.status != 0:
            return ""
        interfaces = [hop["dev"] for hop in read_json(route.stdout or "[]") if "dev" in hop]
        return str(self._bus.ask("zone", "getZoneOfInterface", "s", interfaces[0])) if interfaces else ""

    def _files(self, owner: str, zone: str, strays: Iterable[str], wanted: PortSet) -> Mapping[str, Optional[str]]:
        """Return the files in an order in which a zone never names a missing service."""
        service = xml.service_name(owner)
        open_to_anyone = [opening for opening in wanted.openings if not opening.sources]
        files: dict[str, Optional[str]] = {}
        if open_to_anyone:
            files[xml.service_path(owner)] = xml.service_file(owner, open_to_anyone)
        for side, rules in (("in", rich.input_rules(wanted)), ("fw", rich.forward_rules(wanted))):
            files[xml.policy_path(owner, side)] = xml.policy_file(owner, side, rules) if rules else None
        opens = {"in": rich.input_rules(wanted), "fw": rich.forward_rules(wanted)}
        files = {**shut_files(owner, shut_zones(self._bus), opens), **files}
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
                f"zone {zone}", f"neither {path} nor a shipped file", "a permanent zone", "Make it permanent, or set another zone."
            )
        return path, text

    def _zone_without(self, zone: str, service: str) -> Optional[str]:
        """Return the zone's file without our service; None if this equals the shipped file, which ours had replaced."""
        path = xml.zone_path(zone)
        text = self._read_text(path)
        if text is None or not xml.has_service(path, text, service):
            return text
        left = xml.without_service(path, text, service)
        if xml.has_service(path, left, service):  # also raises if the rest is not valid XML
            raise Refusal(
                path, f"a service {service} that cannot be removed", "a file that this module can edit", f"Remove {service} from it."
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
                damage.append(f"the loaded service {service} contains more than we wrote")
        existing = self._bus.ask("policy", "getPolicies")
        rules: dict[str, list[str]] = {}
        for side, egress in xml.SIDES.items():
            name = xml.policy_name(owner, side)
            policy = self._bus.ask("policy", "getPolicySettings", "s", name) if name in existing else {}
            rules[side] = policy.get("rich_rules", [])
            zones = (policy.get("ingress_zones", []), policy.get("egress_zones", []))
            if policy and (zones != (["ANY"], [egress]) or policy.get("target") != "CONTINUE"):
                damage.append(f"the loaded policy {name} is not as it was written")
        damage += shut_damage(self._bus, owner, shut_zones(self._bus), rules, existing)
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
        for path, text in shut_files(owner, shut_zones(self._bus), rules).items():
            if self._read_text(path) != text:
                damage.append(f"{path} is not as it was written")
        guard = self._read_text(guard_table.file_path(owner)) or ""
        where = "firewalld's files"
        return guard_table.guarded(owner, where, _set_of(where, openings, rules, damage), guard, damage)

    def _without_a_reload(self, owner: str, zone: str, strays: list[str], wanted: PortSet) -> list[Step]:
        """Apply our set to the running zone and policies, and keep runtime-only settings."""
        existing = self._bus.ask("policy", "getPolicies")
        policies = {side: xml.policy_name(owner, side) for side in xml.SIDES}
        rules = [str(rule) for rule in rich.opening_rules(wanted.openings, rich.runtime_mark(owner))]
        services, foreign, marked = self._running(owner, zone)
        steps = [
            # first add, then remove: a port of both sets stays open
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
        seen = look_at_trusted(self._bus, self._read_text)
        if seen is None or seen.running is None:
            return [*steps, *in_policies]
        networks_of_all = trusted_sources(seen.claims(owner, wanted.trusted), seen.foreign)
        in_zone = settings_call("zone", "setZoneSettings2", TRUSTED_ZONE, {"sources": networks_of_all})
        return [*steps, *in_policies, in_zone] if wanted.trusted else [*steps, in_zone, *in_policies]

    def _running(self, owner: str, zone: str) -> tuple[list[str], list[str], list[str]]:
        """Return from a running zone the services and rich rules of others, and our rich rules."""
        settings = self._bus.ask("zone", "getZoneSettings2", "s", zone)
        marked = rich.marked(owner, settings)
        services = [name for name in settings.get("services", []) if name != xml.service_name(owner)]
        return services, [rule for rule in settings.get("rules_str", []) if rule not in marked], marked


def _gone(paths: list[str]) -> list[Step]:
    return [Step(("rm", "-f", *paths))] if paths else []


def _set_of(where: str, openings: Iterable[Opening], rules: Mapping[str, list[str]], damage: list[str]) -> PortSet:
    """Return the set that a service and our policies allow; differences from what we write go into ``damage``."""
    found = list(openings)
    parsed = {side: [rich.parse(text) for text in texts] for side, texts in rules.items()}
    if any(rule is None for side in parsed.values() for rule in side):
        damage.append(f"{where} contain a rule in one of our policies that we did not write")
    entering = [rule for rule in parsed["in"] if rule is not None]
    passing = [rule for rule in parsed["fw"] if rule is not None and rule.opening is None]
    found += [opening for rule in entering if (opening := rule.opens()) is not None]
    let_in = {rule.source for rule in entering if rule.opening is None and rule.source}
    both_ways = {rule.source for rule in passing if rule.source} & {rule.destination for rule in passing if rule.destination}
    if let_in != both_ways:
        damage.append(f"{where} accept only one direction of a trusted network")
    return PortSet(merge(found), canonical_networks(networks(let_in & both_ways)))
