# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The zone that all sets share on firewalld 2: who trusts what, and what of it is left when others go."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall import firewalld as trusted
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.firewalld import Seen

PODS, MORE_PODS, PODS_6 = "10.244.0.0/16", "10.245.0.0/16", "fd00:10:244::/56"
NOBODY: frozenset[str] = frozenset()


def sources_in(text):
    return [part.get("address") for part in ElementTree.fromstring(text.encode()).iter("source")]


@pytest.mark.parametrize(
    ("claims", "foreign", "sources"),
    [
        ({"worker": (PODS, PODS_6)}, NOBODY, [PODS, PODS_6]),
        ({"worker": (PODS,), "monitoring": (PODS, MORE_PODS)}, NOBODY, [PODS, MORE_PODS]),
        ({"worker": (PODS, MORE_PODS)}, frozenset({PODS}), [MORE_PODS]),
        ({"worker": (PODS,)}, frozenset({PODS}), []),
    ],
    ids=["one owner", "two that overlap", "a source of another zone", "nothing but sources of other zones"],
)
def test_the_file_holds_the_claims_and_the_sources(claims, foreign, sources):
    text = trusted.trusted_zone_file(claims, foreign)
    assert trusted.claims_in(text) == claims
    assert sources_in(text) == sources


@pytest.mark.parametrize("text", [None, "", "<zone/>", "<zone>\n  <description>worker (10.0.0.0/8)</description>\n</zone>\n"])
def test_a_file_that_is_not_ours_claims_nothing(text):
    assert trusted.claims_in(text) == {}


def test_nobodys_zone_is_no_file():
    assert trusted.trusted_zone_file({}, NOBODY) is None
    assert trusted.trusted_zone_file({"worker": ()}, NOBODY) is None


def test_the_last_owner_takes_the_zone_away_and_no_other():
    both = Seen(trusted.trusted_zone_file({"worker": (PODS,), "monitoring": (PODS,)}, NOBODY), (PODS,), NOBODY)
    left = trusted.trusted_zone_file(both.claims("worker", ()), NOBODY)
    assert sources_in(left) == [PODS]
    assert trusted.trusted_zone_file(Seen(left, (PODS,), NOBODY).claims("monitoring", ()), NOBODY) is None


@pytest.mark.parametrize(
    ("text", "running", "damage"),
    [
        (trusted.trusted_zone_file({"worker": (PODS,)}, NOBODY), (PODS,), 0),
        (trusted.trusted_zone_file({"worker": (PODS,)}, NOBODY), (), 1),
        (trusted.trusted_zone_file({"worker": (PODS,)}, NOBODY), None, 1),
        (trusted.trusted_zone_file({"worker": (PODS,)}, NOBODY), (MORE_PODS, PODS), 1),
        (trusted.trusted_zone_file({"worker": (PODS_6,)}, NOBODY), (PODS,), 1),
        (trusted.trusted_zone_file({"worker": (PODS,)}, NOBODY).replace("/>", " />"), (PODS,), 1),
        (None, None, 2),
    ],
)
def test_damage_is_seen(text, running, damage):
    assert len(Seen(text, running, NOBODY).damage("worker", (PODS,), (PODS,))) == damage


def test_only_networks_are_compared():
    assert trusted.networks_among(["10.244.0.0/255.255.0.0", "10.0.0.1", "ipset:x", "00:11:22:33:44:55"]) == {PODS, "10.0.0.1/32"}
