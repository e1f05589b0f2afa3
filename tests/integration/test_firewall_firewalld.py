# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""firewall_ports on a real firewalld, over nftables and over iptables."""

from __future__ import annotations

import pytest

from tests.integration import firewall_direct
from tests.integration.firewall_managed import GONE, OTHER, POD_NETWORK, SET, Managed
from tests.integration.firewall_wire import listening, reached
from tests.integration.firewalld_hosts import HAND_WRITTEN, ZONE, OnFirewalld, hosts

__all__ = ["hosts"]


class TestFirewalld(OnFirewalld, Managed):
    def test_rules_of_iptables_survive_every_change(self, host):
        """firewalld 1.x empties the tables of iptables when it reloads."""
        saved = host.run(["sh", "-c", "iptables-save; ip6tables-save"]).stdout
        kept = [line for line in saved.splitlines() if line.startswith(("-A", ":cali", ":KUBE"))]
        assert len(kept) == 4
        for wanted in (SET, OTHER, SET, GONE):
            assert firewall_direct.run(host, wanted)["changed"] is True
            now = host.run(["sh", "-c", "iptables-save; ip6tables-save"]).stdout
            assert [line for line in now.splitlines() if line.startswith(("-A", ":cali", ":KUBE"))] == kept

    def test_firewalld_shows_it_and_goes_on_working(self, host):
        host.run(["firewall-cmd", "--reload"])
        firewall_direct.run(host, SET)
        assert "vmstation-worker" in host.run(["firewall-cmd", "--list-services"]).stdout
        assert "6443/tcp" in host.run(["firewall-cmd", "--info-service=vmstation-worker"]).stdout
        host.run(["firewall-cmd", "--check-config"])
        assert host.read(ZONE) == HAND_WRITTEN.replace("</zone>", '  <service name="vmstation-worker"/>\n</zone>')

    def test_runtime_only_settings_of_others_survive(self, host, peer):
        host.run(["firewall-cmd", "--add-port=8082/tcp"])
        without_trust = {**SET, "trusted": []}
        try:
            questions = [("tcp", host.address, port) for port in (6443, 6444, 8082)]
            with listening(host, ("tcp", 6443), ("tcp", 6444), ("tcp", 8082)):
                assert firewall_direct.run(host, without_trust)["changed"] is True
                assert firewall_direct.run(host, without_trust)["changed"] is False
                assert reached(peer, *questions) == [True, False, True]
                assert firewall_direct.run(host, OTHER)["changed"] is True
                assert reached(peer, *questions) == [False, True, True]
                # a reload by its owner drops 8082, and ours becomes the service that the files say
                host.run(["firewall-cmd", "--reload"])
                assert firewall_direct.run(host, OTHER, check=True)["changed"] is False
                assert reached(peer, *questions) == [False, True, False]
                host.run(["firewall-cmd", "--add-port=8082/tcp"])
                assert firewall_direct.run(host, GONE)["changed"] is True
                assert reached(peer, *questions) == [False, False, True]
        finally:
            host.run(["firewall-cmd", "--reload"])

    @pytest.mark.parametrize(
        ("ban", "unban"),
        [
            (
                ["--add-rich-rule=rule family=ipv4 source address={peer} reject"],
                ["--remove-rich-rule=rule family=ipv4 source address={peer} reject"],
            ),
            (["--zone=drop", "--add-source={peer}"], ["--zone=drop", "--remove-source={peer}"]),
            (["--zone=block", "--add-source=ipset:bans"], ["--zone=block", "--remove-source=ipset:bans"]),
            (
                ["--add-rich-rule=rule source ipset=bans drop"],
                ["--remove-rich-rule=rule source ipset=bans drop"],
            ),
            (["--zone=bans", "--add-source={peer}"], ["--zone=bans", "--remove-source={peer}"]),
        ],
        ids=[
            "a rich rule",
            "a source of the zone drop",
            "an ipset in the zone block",
            "a rich rule with an ipset",
            "a zone of the owner's",
        ],
    )
    def test_a_ban_keeps_its_effect_with_a_reload(self, lab, host, peer, ban, unban):
        host.run(["firewall-cmd", "-q", "--permanent", "--new-ipset=bans", "--type=hash:ip"])
        host.run(["firewall-cmd", "-q", "--permanent", "--ipset=bans", f"--add-entry={peer.address}"])
        host.write("/etc/firewalld/zones/bans.xml", '<zone target="DROP"><short>bans</short></zone>')
        ours = [{"port": 6443}, {"port": 10250, "sources": ["192.168.4.0/24"]}]
        wanted = {**SET, "ports": ours, "trusted": [POD_NETWORK, f"{peer.address}/32"]}
        questions = [("tcp", host.address, port) for port in (6443, 10250, 8099)]
        try:
            host.run(["firewall-cmd", "-q", "--reload"])
            with listening(host, ("tcp", 6443), ("tcp", 10250), ("tcp", 8099)):
                firewall_direct.run(host, wanted)
                assert reached(peer, *questions) == [True, True, True]
                host.run(["firewall-cmd", "-q", "--permanent", *(word.format(peer=peer.address) for word in ban)])
                host.run(["firewall-cmd", "-q", "--reload"])
                assert reached(peer, *questions) == [False, False, False]
                assert reached(lab, *questions) == [True, True, False]
                firewall_direct.run(host, {**wanted, "ports": [*ours, {"port": 6445}]})
                assert firewall_direct.run(host, {**wanted, "ports": [*ours, {"port": 6445}]})["changed"] is False
                assert reached(peer, *questions) == [False, False, False]
        finally:
            host.run(["firewall-cmd", "-q", "--permanent", *(word.format(peer=peer.address) for word in unban)])
            host.run(["firewall-cmd", "-q", "--permanent", "--delete-ipset=bans"])
            firewall_direct.run(host, GONE)
            host.write(ZONE, HAND_WRITTEN)
            host.run(["sh", "-c", "cd /etc/firewalld/zones && rm -f drop.xml* block.xml* bans.xml*; firewall-cmd -q --reload"])

    def test_a_limit_of_a_rich_rule_is_named_and_holds_as_the_warning_says(self, host, peer):
        limited = "port port=6443 protocol=tcp"
        question = ("tcp", host.address, 6443)

        def rules(option: str, *texts: str) -> None:
            host.run(["firewall-cmd", "-q", "--permanent", *(f"--{option}-rich-rule={text}" for text in texts)])
            host.run(["firewall-cmd", "-q", "--reload"])

        alone = f"rule {limited} accept limit value=1/m"
        in_front = f"rule priority=-2 {limited} accept limit value=1/m", f"rule priority=-1 {limited} drop"
        rules("add", alone)
        try:
            with listening(host, ("tcp", 6443)):
                firewall_direct.run(host, SET)
                assert "give that rule priority=-2" in str(firewall_direct.run(host, SET).get("warnings"))
                assert [reached(peer, question)[0] for _attempt in range(8)] == [True] * 8
                rules("remove", alone)
                rules("add", *in_front)
                firewall_direct.run(host, SET)
                assert "priority" not in str(firewall_direct.run(host, SET).get("warnings"))
                assert not all(reached(peer, question)[0] for _attempt in range(8))
        finally:
            rules("remove", *in_front)
            firewall_direct.run(host, GONE)
            host.write(ZONE, HAND_WRITTEN)
            host.run(["firewall-cmd", "-q", "--reload"])

    def test_a_trusted_network_that_would_cost_others_their_settings_is_refused(self, host):
        host.run(["firewall-cmd", "--add-port=8082/tcp"])
        before = self.standing(host)
        try:
            refused = firewall_direct.run(host, SET)
            assert refused["failed"] is True
            assert "firewall-cmd --runtime-to-permanent" in refused["msg"]
            assert self.standing(host) == before
        finally:
            host.run(["firewall-cmd", "--reload"])

    def test_an_unknown_zone_is_refused(self, host):
        refused = firewall_direct.run(host, {**SET, "zone": "nowhere"})
        assert refused["failed"] is True
        assert "nowhere" in refused["msg"]

    @pytest.mark.parametrize(
        "harm",
        [
            "firewall-cmd --remove-service=vmstation-worker",
            "firewall-cmd --permanent --remove-service=vmstation-worker",
            "firewall-cmd --permanent --service=vmstation-worker --remove-port=6443/tcp",
            "rm /etc/firewalld/policies/vm-worker_fw.xml",
            "firewall-cmd --policy=vm-worker_in --add-rich-rule='rule family=ipv4 source address=10.7.0.0/16 accept'",
        ],
    )
    def test_harm_is_put_right(self, host, harm):
        firewall_direct.run(host, SET)
        host.run(["firewall-cmd", "--reload"])
        host.run(["sh", "-c", harm])
        assert firewall_direct.run(host, SET)["changed"] is True
        assert firewall_direct.run(host, SET, check=True)["changed"] is False
        # firewall-cmd has written the zone in its own words: put the hand's back before the bytes are compared
        firewall_direct.run(host, GONE)
        host.write(ZONE, HAND_WRITTEN)
        host.run(["firewall-cmd", "--reload"])

    def test_a_broken_file_of_another_is_named_before_anything_is_touched(self, host):
        host.write("/etc/firewalld/zones/broken.xml", "<zone>")
        before = self.standing(host)
        try:
            refused = firewall_direct.run(host, SET)
            assert refused["failed"] is True
            assert self.standing(host) == before
        finally:
            host.run(["rm", "/etc/firewalld/zones/broken.xml"])

    def test_over_iptables(self, host, peer):
        configuration = "/etc/firewalld/firewalld.conf"
        switch = "sed -i 's/^FirewallBackend=.*/FirewallBackend={}/' {} && systemctl restart firewalld"
        host.run(["sh", "-c", switch.format("iptables", configuration)])
        try:
            with listening(host, ("tcp", 6443), ("tcp", 6444)):
                assert firewall_direct.run(host, SET)["changed"] is True
                assert firewall_direct.run(host, SET)["changed"] is False
                assert reached(peer, ("tcp", host.address, 6443), ("tcp", host.address, 6444)) == [True, False]
                firewall_direct.run(host, GONE)
        finally:
            host.run(["sh", "-c", switch.format("nftables", configuration)])
