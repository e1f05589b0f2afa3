# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where `forward` sends queries."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Optional, Union

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
