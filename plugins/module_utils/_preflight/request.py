# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's words for what is expected of a host, read into Expectations; all of them are checked before the host is looked at."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.model import Expectations, Identity
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ENCAPSULATION_MODULES: Mapping[str, tuple[str, ...]] = {
    "IPIP": ("ipip",),
    "IPIPCrossSubnet": ("ipip",),
    "VXLAN": ("vxlan",),
    "VXLANCrossSubnet": ("vxlan",),
    "None": (),
}
# setup writes NA where the firmware says nothing
UNKNOWN = frozenset({"", "NA", "None"})


def expectations(options: Mapping[str, Any]) -> Expectations:
    """Options of node_preflight_check, as Ansible has typed them. Refuses an address that is none, and a name or a drift of no sense."""
    if not options["name"].strip():
        raise Refusal("name", "an empty text", "the host's name in the inventory", "Pass `inventory_hostname`.")
    if options["max_clock_drift"] < 0:
        raise Refusal("max_clock_drift", f"{options['max_clock_drift']:g}", "0 or more seconds", "Pass 30, for example.")
    return Expectations(
        role=options["role"],
        name=options["name"],
        addresses=tuple(_address(index, text) for index, text in enumerate(options["addresses"])),
        modules=tuple(options["kernel_modules"]),
        encapsulation_modules=ENCAPSULATION_MODULES[options["encapsulation"]],
        peers=tuple(
            Identity(peer["name"], *(_known(peer[attribute]) for attribute in ("hostname", "machine_id", "product_uuid")))
            for peer in options["peers"]
        ),
        controller_clock=options["controller_time"],
        clock_drift=options["max_clock_drift"],
        kubernetes_release=options["kubernetes_release"],
        installation_kind=options["installation_kind"],
        architecture=options["architecture"],
        containerd_package=options["containerd_package"],
        containerd_version=options["containerd_version"],
        packages=tuple(options["packages"]),
        api_servers=tuple(_address(index, text, "api_servers") for index, text in enumerate(options["api_servers"])),
        is_upgrade=options["upgrade"],
        kubelet_configuration=options["kubelet_configuration"],
    )


def _address(index: int, text: str, option: str = "addresses") -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        fix = "Pass the host's address in the plan, without a prefix length."
        raise Refusal(f"{option}[{index}]", repr(text), "an IPv4 or IPv6 address", fix) from None


def _known(text: Optional[str]) -> Optional[str]:
    return None if text is None or text in UNKNOWN else text
