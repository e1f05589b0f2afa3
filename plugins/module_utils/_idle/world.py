# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the watch needs of the control plane, so that a test can give its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Callable, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._io.clock import Clock
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.request import Request
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.wake import Lan


@dataclass(frozen=True)
class World:
    """lan: the network that reaches a request's broadcast address. now: seconds since the epoch. say: a line for the journal.

    write: replaces files whole.
    """

    commands: Commands
    lan: Callable[[Request], Lan]
    clock: Clock
    now: Callable[[], float]
    say: Callable[[str], None]
    read_text: Callable[[str], Optional[str]]
    write: Callable[[Mapping[str, Optional[str]]], None]
