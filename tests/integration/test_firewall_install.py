# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""firewall_ports on a host that has no firewall: what it names, and the firewall that it sets up on request."""

from __future__ import annotations

import pytest

from tests.integration import firewall_direct
from tests.integration.firewall_wire import listening, reached

SET = {"name": "worker", "ports": [{"port": 9100}], "trusted": ["10.244.0.0/16"], "install": "nftables", "confirm_within": 60}
ABSENT = {"name": "worker", "state": "absent", "install": "nftables"}
# what Docker or kube-proxy have made, in a table of their own
FOREIGN = "table ip theirs {\nchain forward {\ntype filter hook forward priority filter; policy accept;\ncounter\n}\n}\n"
BASE = "table inet host_firewall"


@pytest.fixture
def host(lab):
    host = lab.start("bare", address="192.168.4.97", mac="02:00:c0:a8:04:61")
    firewall_direct.install(host)
    yield host
    lab.remove(host)


def test_a_host_without_a_firewall_gets_one_that_keeps_ssh(lab, host, friend):
    host.run(["nft", "-f", "-"], stdin=FOREIGN)
    conf = host.read("/etc/nftables.conf")
    ports = [("tcp", host.address, port) for port in (22, 9100, 9101)]
    with listening(host, ("tcp", 9100), ("tcp", 9101)):
        shown = lab.module(host, "firewall_ports", {**SET, "install": "none"})
        assert (shown["changed"], shown["backend"]) == (False, "none")
        assert {"22/tcp", "9100/tcp", "9101/tcp"} <= set(shown["exposed"])
        assert reached(friend, *ports) == [True, True, True]

        foreseen = lab.module(host, "firewall_ports", SET, check=True)
        assert (foreseen["changed"], foreseen["installed"]) == (True, True)
        assert BASE not in host.run(["nft", "list", "ruleset"]).stdout

        applied = lab.module(host, "firewall_ports", SET)
        assert (applied["changed"], applied["installed"], applied["confirmed"]) == (True, True, True), applied
        assert applied["added"] == foreseen["added"]
        assert reached(friend, *ports) == [True, True, False]
        assert "table ip theirs" in host.run(["nft", "list", "ruleset"]).stdout
        for check in (True, False):
            assert lab.module(host, "firewall_ports", SET, check=check)["changed"] is False

    host.reboot()
    assert lab.module(host, "firewall_ports", SET)["changed"] is False
    with listening(host, ("tcp", 9100), ("tcp", 9101)):
        assert reached(friend, *ports) == [True, True, False]
        # the set goes, the host's firewall stays
        assert lab.module(host, "firewall_ports", ABSENT)["changed"] is True
        assert reached(friend, *ports) == [True, False, False]
    assert BASE in host.run(["nft", "list", "ruleset"]).stdout
    assert host.read("/etc/nftables.conf").startswith(conf)
