# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses in URLs."""

from __future__ import annotations


def in_url(address: str) -> str:
    """Return a host name or an address as the host of a URL: IPv6 addresses are in brackets (RFC 3986, 3.2.2)."""
    return f"[{address}]" if ":" in address else address
