# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What wakes a sleeping host: six 0xff and sixteen times its address in a frame, and nothing else. Pure."""

from __future__ import annotations

import re

# the lookahead lets candidates overlap: a run of more than six 0xff may precede the address
_MAGIC = re.compile(rb"(?=\xff{6}(.{6})\1{15})", re.DOTALL)


def addresses_called(frame: bytes) -> list[str]:
    """The MAC addresses that a frame's magic packets name, in order, each once, as ``b8:ac:6f:7e:6c:9d``.

    frame: the whole Ethernet frame; a network card looks at all of it, so the packet's protocol, port and target do not matter.
    """
    return list(dict.fromkeys(match.group(1).hex(":") for match in _MAGIC.finditer(frame)))
