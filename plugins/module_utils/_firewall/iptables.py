# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Being written."""

from __future__ import annotations

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.backend import Backend, Standing, Transaction
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import PortSet


class Iptables(Backend):
    name = "iptables"

    def is_in_force(self) -> bool:
        return False

    def read(self, owner: str) -> Standing:
        return Standing()

    def transaction(self, owner: str, wanted: PortSet) -> Transaction:
        return Transaction()
