# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image of CoreDNS that belongs to the Kubernetes version of a plan."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.filter.dns_image import dns_image

from tests.unit.network_plan.plans import plan

NAME = "registry.k8s.io/coredns/coredns"


@pytest.mark.parametrize(("version", "tag"), [("1.36", "v1.14.2"), ("1.37", "v1.14.6"), ("1.99", "v1.14.6")])
def test_the_image_follows_the_version(version: str, tag: str) -> None:
    assert dns_image(plan(kubernetes_version=version)) == f"{NAME}:{tag}"


def test_a_version_that_is_none_is_an_error() -> None:
    with pytest.raises(AnsibleFilterError, match=r"vmstation.cluster.dns_image: network_plan.kubernetes_version: found"):
        dns_image(plan(kubernetes_version=1.36))
