# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of packages: the community's repository, or another one of the same build.

Facts: pkgs.k8s.io has one repository for each minor version and package format, signed by one key of the project's build service
(fingerprint below, https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/install-kubeadm/).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.model import PROGRAMS, Expected, Installation
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.release import minor_of, minor_text, release_of

REPOSITORY = "https://pkgs.k8s.io/core:/stable:/v{minor}/{format}/"
FINGERPRINT = "DE15B14486CD377B9E876E1A234654DA9A296436"
KEYS: Mapping[str, str] = {"deb": "Release.key", "rpm": "repodata/repomd.xml.key"}
"""Package format -> where its repository has the key."""

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
URL = re.compile(r"(https?://[^\s/]+|file://)/\S*")
HEXADECIMAL = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}", re.ASCII)


def fingerprint_of(text: str) -> str:
    """A fingerprint without the spaces that tools print it with, in capitals."""
    return "".join(text.split()).upper()


def judge_packages(source: Mapping[str, Any], expected: Expected) -> Iterator[Finding]:
    yield from _templates_are_urls(source)
    fingerprint = source.get("key_fingerprint", FINGERPRINT)
    if not isinstance(fingerprint, str) or not HEXADECIMAL.fullmatch(fingerprint_of(fingerprint)):
        yield Finding(
            "key_fingerprint_is_whole",
            "error",
            "installation_source.key_fingerprint",
            repr(fingerprint),
            "40 hexadecimal digits, or 64 of a version 6 key; a short key id can be forged",
            "Take it from whoever publishes the repository; in YAML put it in quotes.",
        )
    if "repository" in source and "key_fingerprint" not in source:
        yield Finding(
            "key_fingerprint_belongs_to_the_repository",
            "warning",
            "installation_source.key_fingerprint",
            f"not set, while repository is {source['repository']!r}",
            "the fingerprint of that repository's key, unless it mirrors the community's with its signatures",
            "Set key_fingerprint.",
        )
    if not release_of(expected.release):
        yield Finding(
            "release_is_pinned",
            "error",
            "node_kubernetes_release",
            repr(expected.release),
            "a whole release such as 1.36.4: packages are pinned to it",
            "Set it to a release of network_plan.kubernetes_version.",
        )


def release_is_of_the_planned_version(expected: Expected) -> Iterator[Finding]:
    """Of both kinds of sources."""
    pinned, planned = minor_of(expected.release), minor_of(expected.version)
    if planned is None:
        yield Finding(
            "release_is_of_the_planned_version",
            "error",
            "network_plan.kubernetes_version",
            repr(expected.version),
            'a version such as "1.36"',
            "Put it in quotes.",
        )
    elif expected.release and pinned and pinned != planned:
        yield Finding(
            "release_is_of_the_planned_version",
            "error",
            "node_kubernetes_release",
            expected.release,
            f"a release of {expected.version}, as network_plan.kubernetes_version says",
            "Change one of the two; on a running cluster upgrade with kubeadm first.",
        )


def packages(source: Mapping[str, Any], expected: Expected) -> Installation:
    """What roles need, of a source that has been judged."""
    minor = minor_of(expected.release)
    repositories = {}
    for format_name, key in KEYS.items():
        values = {"minor": minor_text(minor) if minor else "", "format": format_name}
        url = _filled(source.get("repository", REPOSITORY), values).rstrip("/") + "/"
        repositories[format_name] = {"url": url, "key_url": _filled(source["key_url"], values) if "key_url" in source else url + key}
    return Installation(
        "packages",
        expected.release,
        {
            "repositories": repositories,
            "key_fingerprint": fingerprint_of(source.get("key_fingerprint", FINGERPRINT)),
            "packages": list(PROGRAMS),
        },
    )


def _templates_are_urls(source: Mapping[str, Any]) -> Iterator[Finding]:
    for key in ("repository", "key_url"):
        value = source.get(key, REPOSITORY)
        if not isinstance(value, str) or not URL.fullmatch(value) or set(PLACEHOLDER.findall(value)) - {"minor", "format"}:
            yield Finding(
                "repository_is_a_url_template",
                "error",
                f"installation_source.{key}",
                repr(value),
                "a URL of http, https or file, in which {minor} and {format} (deb or rpm) may stand",
                f"Write it like {REPOSITORY}",
            )


def _filled(template: str, values: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda match: values[match[1]], template)
