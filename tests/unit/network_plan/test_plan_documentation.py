# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of the network plan says what the code does."""

from __future__ import annotations

import re

import yaml
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.check import RULES, judge
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.reading import PLAN_KEYS

from tests.unit.network_plan.plans import HOSTS
from tests.unit.network_plan.tables import MEANINGS, PAGE, renewed


def test_the_tables_of_the_page_are_those_of_the_code():
    page = PAGE.read_text()
    assert page == renewed(page), "run: PYTHONPATH=collections python -m tests.unit.network_plan.tables"


def test_every_key_is_explained():
    assert list(MEANINGS) == list(PLAN_KEYS)


def test_every_plan_of_the_page_has_no_errors():
    plans = [yaml.safe_load(block)["network_plan"] for block in re.findall(r"```yaml\n(network_plan:.*?)```", PAGE.read_text(), re.DOTALL)]
    assert len(plans) == 2
    for plan in plans:
        assert judge(plan, HOSTS).findings == []


def test_every_rule_is_a_sentence_with_one_name():
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)
    for rule in RULES:
        assert rule.truth.endswith(".")
        assert rule.fix.endswith(".")
