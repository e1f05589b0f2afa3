# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tells a node from every other one, and where the network finds it.

Facts: node names are DNS subdomains of RFC 1123 (``k8s.io/apimachinery/pkg/util/validation``), kubelet lowers the hostname's case;
kubeadm's installation guide requires a unique hostname, MAC address and product_uuid of every node.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.model import Expectations, HostState

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
MAXIMUM_NAME = 253
ONE_OF_ITS_OWN = "one of its own on every host"


def hostname_is_a_node_name(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    hostname = state.identity.hostname or ""
    labels = hostname.lower().split(".")
    valid = len(hostname) <= MAXIMUM_NAME and all(DNS_LABEL.fullmatch(label) for label in labels)
    if not valid or labels[0] == "localhost":
        yield Finding(
            "hostname_is_a_node_name",
            "error",
            "hostname",
            repr(hostname),
            "a DNS name of letters, digits and hyphens that is not localhost",
            "Set it with `hostnamectl set-hostname NAME`.",
        )


def hostname_is_the_inventory_name(state: HostState, expected: Expectations) -> Iterator[Finding]:
    hostname = state.identity.hostname or ""
    if expected.name not in (hostname.lower(), hostname.lower().split(".")[0]):
        yield Finding(
            "hostname_is_the_inventory_name",
            "warning",
            "hostname",
            repr(hostname),
            f"{expected.name}, its name in the inventory: the node will be called by its hostname",
            f"Set it with `hostnamectl set-hostname {expected.name}`, or rename the host in the inventory.",
        )


def hostname_is_unique(state: HostState, expected: Expectations) -> Iterator[Finding]:
    for found in _shared("hostname", state, expected):
        fix = "Set another one with `hostnamectl set-hostname NAME`: the second host to join would take the first one's place."
        yield Finding("hostname_is_unique", "error", "hostname", found, ONE_OF_ITS_OWN, fix)


def machine_id_is_unique(state: HostState, expected: Expectations) -> Iterator[Finding]:
    for found in _shared("machine_id", state, expected):
        fix = "This host is a clone: run `rm /etc/machine-id && systemd-machine-id-setup`, then reboot it."
        yield Finding("machine_id_is_unique", "error", "machine id", found, ONE_OF_ITS_OWN, fix)


def product_uuid_is_unique(state: HostState, expected: Expectations) -> Iterator[Finding]:
    if state.in_container:
        return  # it is the machine's, the same in all its containers
    for found in _shared("product_uuid", state, expected):
        # some boards leave the factory with the same one, and clusters of them work
        fix = "Give a virtual machine a UUID of its own; for a board, see its vendor's tool."
        yield Finding("product_uuid_is_unique", "warning", "product UUID", found, ONE_OF_ITS_OWN, fix)


def _shared(attribute: str, state: HostState, expected: Expectations) -> Iterator[str]:
    """What is shared, and with whom; nothing if it is this host's own or unknown."""
    own: Optional[str] = getattr(state.identity, attribute)
    if not own:
        return
    same = [peer.name for peer in expected.peers if peer.name != expected.name and (getattr(peer, attribute) or "").lower() == own.lower()]
    if same:
        yield f"{own}, as on {', '.join(same)}"


def address_is_on_the_host(state: HostState, expected: Expectations) -> Iterator[Finding]:
    required = "to be on an interface of this host, as the plan says"
    for address in expected.addresses:
        subject = f"address {address}"
        if state.addresses is None:
            yield Finding(
                "address_is_on_the_host",
                "warning",
                subject,
                "unknown: `ip -json` does not say",
                required,
                "Install iproute2 (RHEL: iproute).",
            )
        elif address not in state.addresses:
            others = ", ".join(other for other in state.addresses if not ipaddress.ip_address(other).is_loopback) or "no address at all"
            yield Finding(
                "address_is_on_the_host",
                "error",
                subject,
                f"not on this host, which has {others}",
                required,
                "Correct the host's address in the inventory, or its network settings or DHCP lease.",
            )


def default_route_is_there(state: HostState, expected: Expectations) -> Iterator[Finding]:
    families = {ipaddress.ip_address(address).version for address in expected.addresses} or {4}
    for family in sorted(families - state.default_routes):
        yield Finding(
            "default_route_is_there",
            "error",
            f"default route (IPv{family})",
            "none",
            "one: without it the kernel refuses Service addresses before kube-proxy can translate them",
            "Set the host's gateway; on a network without one, `ip route add default dev INTERFACE` is enough.",
        )
