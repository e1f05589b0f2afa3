# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of packages as a table, and the kinds of sources that are told apart."""

from __future__ import annotations

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.check import Verdict, judge
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.io import LocalDirectory
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.model import Expected

EXPECTED = Expected("1.36", "1.36.4", "registry.k8s.io/pause:3.10.2")
COMMUNITY = "DE15B14486CD377B9E876E1A234654DA9A296436"
MIRROR = "https://mirror.example.org/v{minor}/{format}"


def verdict(source: dict[str, object], expected: Expected = EXPECTED) -> Verdict:
    return judge(source, expected, LocalDirectory)


def found(source: dict[str, object], expected: Expected = EXPECTED) -> set[tuple[str, str]]:
    findings = verdict(source, expected).findings
    assert all(finding.fix for finding in findings)
    return {(finding.rule, finding.severity) for finding in findings}


def test_the_community_s_packages_need_no_more_than_their_kind() -> None:
    judged = verdict({"kind": "packages"})
    assert judged.findings == []
    assert judged.installation is not None
    assert judged.installation.as_dict() == {
        "kind": "packages",
        "kubernetes": "1.36.4",
        "repositories": {
            "deb": {
                "url": "https://pkgs.k8s.io/core:/stable:/v1.36/deb/",
                "key_url": "https://pkgs.k8s.io/core:/stable:/v1.36/deb/Release.key",
            },
            "rpm": {
                "url": "https://pkgs.k8s.io/core:/stable:/v1.36/rpm/",
                "key_url": "https://pkgs.k8s.io/core:/stable:/v1.36/rpm/repodata/repomd.xml.key",
            },
        },
        "key_fingerprint": COMMUNITY,
        "packages": ["kubeadm", "kubelet", "kubectl"],
    }


def test_a_mirror_has_its_own_urls_and_key() -> None:
    key = "https://keys.example.org/{format}.asc"
    spaced = "0123 4567 89ab cdef 0123  4567 89ab cdef 0123 4567"
    judged = verdict({"kind": "packages", "repository": MIRROR, "key_url": key, "key_fingerprint": spaced})
    assert judged.findings == []
    assert judged.installation is not None
    values = judged.installation.as_dict()
    assert values["repositories"]["deb"] == {
        "url": "https://mirror.example.org/v1.36/deb/",
        "key_url": "https://keys.example.org/deb.asc",
    }
    assert values["key_fingerprint"] == "0123456789ABCDEF" * 2 + "01234567"


FORGEABLE = ("key_fingerprint_is_whole", "error")
TEMPLATE = ("repository_is_a_url_template", "error")
MIXED = ("source_keys_belong_to_its_kind", "error")
KIND = ("source_kind_is_known", "error")


@pytest.mark.parametrize(
    ("source", "findings"),
    [
        ({}, {KIND}),
        ({"kind": None}, {KIND}),
        ({"kind": "registry", "path": "/srv"}, {KIND}),
        ({"kind": ["packages"]}, {KIND}),
        ({"kind": "packages", "path": "/srv/kubernetes"}, {MIXED}),
        ({"kind": "packages", "repositry": MIRROR}, {MIXED}),
        ({"kind": "packages", "path": "/srv", "key_fingerprint": "234654DA9A296436"}, {MIXED, FORGEABLE}),
        ({"kind": "packages", "key_fingerprint": "9A296436"}, {FORGEABLE}),
        ({"kind": "packages", "key_fingerprint": COMMUNITY[:-1]}, {FORGEABLE}),
        ({"kind": "packages", "key_fingerprint": COMMUNITY + "0"}, {FORGEABLE}),
        ({"kind": "packages", "key_fingerprint": 12}, {FORGEABLE}),
        ({"kind": "packages", "key_fingerprint": ""}, {FORGEABLE}),
        ({"kind": "packages", "key_fingerprint": COMMUNITY.replace("D", "O")}, {FORGEABLE}),
        ({"kind": "packages", "key_fingerprint": COMMUNITY.lower()}, set()),
        ({"kind": "packages", "key_fingerprint": "A" * 64}, set()),
        ({"kind": "packages", "repository": MIRROR}, {("key_fingerprint_belongs_to_the_repository", "warning")}),
        ({"kind": "packages", "repository": "pkgs.k8s.io/v{minor}", "key_fingerprint": COMMUNITY}, {TEMPLATE}),
        ({"kind": "packages", "repository": "https://x/{version}/", "key_fingerprint": COMMUNITY}, {TEMPLATE}),
        ({"kind": "packages", "repository": "ftp://x/", "key_fingerprint": COMMUNITY}, {TEMPLATE}),
        ({"kind": "packages", "repository": "https://x/a b", "key_fingerprint": COMMUNITY}, {TEMPLATE}),
        ({"kind": "packages", "repository": None, "key_fingerprint": COMMUNITY}, {TEMPLATE}),
        ({"kind": "packages", "repository": "file:///opt/kubernetes/", "key_fingerprint": COMMUNITY}, set()),
        ({"kind": "packages", "key_url": "Release.key"}, {TEMPLATE}),
        ({"kind": "directory", "repository": MIRROR}, {MIXED, ("source_directory_can_be_read", "error")}),
    ],
)
def test_what_is_wrong_is_named(source: dict[str, object], findings: set[tuple[str, str]]) -> None:
    assert found(source) == findings
    assert (verdict(source).installation is None) == any(severity == "error" for _rule, severity in findings)


@pytest.mark.parametrize(
    ("expected", "rules"),
    [
        (Expected("1.36", "1.35.2"), {"release_is_of_the_planned_version"}),
        (Expected("1.36", "1.36"), {"release_is_pinned"}),
        (Expected("1.36", ""), {"release_is_pinned"}),
        (Expected("1.36", "latest"), {"release_is_pinned"}),
        (Expected("latest", "1.36.4"), {"release_is_of_the_planned_version"}),
        (Expected("1.36.4", "1.36.4"), set()),
        (Expected("v1.36", "v1.36.4"), set()),
    ],
)
def test_packages_are_pinned_to_a_release_of_the_plan(expected: Expected, rules: set[str]) -> None:
    assert found({"kind": "packages"}, expected) == {(rule, "error") for rule in rules}
