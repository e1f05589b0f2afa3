# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of images, also with a digest beside the tag."""

from __future__ import annotations

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.documents import version_of as calico_version
from ansible_collections.vmstation.cluster.plugins.module_utils._etcd.etcd import version_of
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.model import full_name, repository, tag
from ansible_collections.vmstation.cluster.plugins.module_utils._versions import image_name, image_tag

DIGEST = "@sha256:" + "0f" * 32


@pytest.mark.parametrize("digest", ["", DIGEST])
@pytest.mark.parametrize(
    ("name", "tagged"),
    [
        ("docker.io/prom/prometheus", "v3.16.0"),
        ("localhost:5000/prom/prometheus", "v3.16.0"),
        ("localhost:5000/prom/prometheus", ""),
        ("busybox", "1.37"),
        ("busybox", ""),
    ],
)
def test_a_name_has_a_tag_and_a_digest(name: str, tagged: str, digest: str) -> None:
    image = f"{name}:{tagged}{digest}" if tagged else f"{name}{digest}"
    assert (image_name(image), image_tag(image)) == (repository(image), tag(image)) == (name, tagged)


def test_versions_are_those_of_the_tags() -> None:
    assert version_of(f"registry.k8s.io/etcd:3.6.8-0{DIGEST}") == "3.6.8"
    assert calico_version({"name": "calico-node", "image": f"quay.io/calico/node:v3.32.1{DIGEST}"}) == "3.32.1"


def test_a_source_may_name_an_image_by_its_digest() -> None:
    assert full_name(f"docker.io/prom/prometheus{DIGEST}") == f"docker.io/prom/prometheus{DIGEST}"
