# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is installed on a host, against what is to be installed.

Facts: kubelet from 1.38 on is to need a runtime with the CRI method RuntimeConfig (KEP 4033), which containerd has since 2.0; 1.36 and 1.37
still fall back to their own cgroupDriver (``getCgroupDriverFromCRI`` in ``cmd/kubelet/app/server.go`` of 1.37.2). A kubelet may be three
minor versions older than the API server and never newer, and kubeadm upgrades one minor version at a time (Kubernetes' version skew
policy).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.release import minor_of, minor_text
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.model import Distribution, Expectations, HostState, Packages

SUPPORTED: Mapping[str, tuple[str, ...]] = {"debian": ("12", "13"), "rhel": ("9", "10")}
REBUILDS = frozenset({"rhel", "centos", "rocky", "almalinux", "ol"})
SUPPORTED_WORDS = "Debian 12 or 13, or RHEL 9 or 10 or a rebuild of it"
ARCHITECTURES: Mapping[str, str] = {"x86_64": "amd64", "aarch64": "arm64"}

# packagers put more behind it, as in 1.6.20~ds1-1+deb12u3
PACKAGE_VERSION = re.compile(r"v?(\d+)\.(\d+)", re.ASCII)
CONTAINERD_CONFIGURATION = "/etc/containerd/config.toml"
CONTAINERD_DIRECTORIES: Mapping[str, str] = {"root": "/var/lib/containerd", "state": "/run/containerd"}
CONTAINERD_WITH_RUNTIME_CONFIG = (2, 0)
KUBELET_WARNS, KUBELET_REFUSES = (1, 36), (1, 38)
OLDEST_KUBELET = 3  # minor versions behind the API server


def distribution_is_supported(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    rule, subject = "distribution_is_supported", "distribution"
    known = state.software.distribution
    if known is None:
        fix = "Look at /etc/os-release."
        yield Finding(rule, "warning", subject, "unknown: there is no os-release", SUPPORTED_WORDS, fix)
    elif known.version.partition(".")[0] not in SUPPORTED.get(family(known), ()):
        fix = "Install one of these; or accept this rule, and give the role the names of your distribution's packages."
        yield Finding(rule, "error", subject, known.name, SUPPORTED_WORDS, fix)


def family(distribution: Distribution) -> str:
    if distribution.id in REBUILDS or "rhel" in distribution.like:
        return "rhel"
    return distribution.id


def architecture_is_supported(state: HostState, expected: Expectations) -> Iterator[Finding]:
    machine = state.software.machine
    if machine is None:
        return
    architecture = ARCHITECTURES.get(machine)
    if architecture is None or expected.architecture not in ("", architecture):
        yield Finding(
            "architecture_is_supported",
            "error",
            "processor architecture",
            f"{machine} ({architecture})" if architecture else machine,
            f"{expected.architecture}, which the installation source is for"
            if expected.architecture
            else " or ".join(ARCHITECTURES.values()),
            "Use an installation source for this architecture, or another host." if architecture else "Use another host.",
        )


def containerd_suits_the_kubelet(state: HostState, expected: Expectations) -> Iterator[Finding]:
    wanted, written = minor_of(expected.kubernetes_release), PACKAGE_VERSION.match(state.software.containerd or "")
    containerd = (int(written[1]), int(written[2])) if written else None
    if wanted is None or containerd is None or containerd >= CONTAINERD_WITH_RUNTIME_CONFIG or wanted < KUBELET_WARNS:
        return
    refused = wanted >= KUBELET_REFUSES
    yield Finding(
        "containerd_suits_the_kubelet",
        "error" if refused else "warning",
        "containerd",
        state.software.containerd or "",
        f"2.0 or later: kubelet {minor_text(wanted)} refuses to start with an older one"
        if refused
        else f"2.0 or later: kubelet {minor_text(wanted)} warns of an older one, and {minor_text(KUBELET_REFUSES)} refuses it",
        _newer_containerd(state.software.packages),
    )


def containerd_keeps_its_directories(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    for name, directory in state.software.containerd_directories.items():
        usual = CONTAINERD_DIRECTORIES[name]
        if directory.rstrip("/") != usual:
            yield Finding(
                "containerd_keeps_its_directories",
                "error",
                f"{name} in {CONTAINERD_CONFIGURATION}",
                directory,
                f"{usual}, as in the role's configuration, with which the containers in {directory} would be out of reach",
                f"Stop Docker and containerd, bind-mount {directory} on {usual} (with a line in /etc/fstab), remove the setting, and start "
                "them again.",
            )


def _newer_containerd(packages: Packages) -> str:
    if packages.installed_containerd == "containerd.io":
        tool = "dnf upgrade" if packages.manager == "dnf" else "apt-get install --only-upgrade"
        return f"Run `{tool} containerd.io` on the host."
    first = "Add Docker's package repository to the host and set node_containerd_package to containerd.io."
    if not packages.installed_containerd:
        return first
    old = " ".join(dict.fromkeys((packages.installed_containerd, "runc")))
    return f"{first} It replaces {packages.installed_containerd} and runc: drain a node, then run `{packages.manager} remove {old}` on it."


def installed_release_is_of_the_wanted_version(state: HostState, expected: Expectations) -> Iterator[Finding]:
    wanted = minor_of(expected.kubernetes_release)
    for program, release in sorted(state.software.releases.items()):
        installed = minor_of(release)
        if wanted is None or installed in (None, wanted) or _is_next(installed, wanted, expected):
            continue
        yield Finding(
            "installed_release_is_of_the_wanted_version",
            "error" if state.has_a_node or state.cluster_files else "warning",
            f"installed {program}",
            release,
            f"a release of {minor_text(wanted)}, as {expected.kubernetes_release} is to be installed",
            "Upgrade the cluster with playbooks/upgrade.yml, one minor version after the other, or set node_kubernetes_release to one of "
            "the installed version; installing does not upgrade."
            if state.has_a_node or state.cluster_files
            else "Nothing, if no cluster is meant to run on this host yet: it is replaced.",
        )


def _is_next(found: Optional[tuple[int, int]], wanted: tuple[int, int], expected: Expectations) -> bool:
    """Whether an upgrade leads from one minor version to the other."""
    return expected.is_upgrade and found is not None and (found[0], found[1] + 1) == wanted


def kubelet_suits_the_api_server(state: HostState, expected: Expectations) -> Iterator[Finding]:
    rule, wanted = "kubelet_suits_the_api_server", minor_of(expected.kubernetes_release)
    if wanted is None:
        return
    for address, release in sorted(state.software.api_servers.items()):
        subject = f"API server {address}"
        serving = minor_of(release)
        if serving is None:
            must_be = f"a release that a kubelet {minor_text(wanted)} may join"
            yield Finding(rule, "warning", subject, "unknown: it does not tell its release", must_be, "Ask it with `kubectl version`.")
        elif _is_next(serving, wanted, expected):
            continue  # the API server is upgraded before the kubelet
        elif serving[0] != wanted[0] or not 0 <= serving[1] - wanted[1] <= OLDEST_KUBELET:
            newer = serving < wanted
            yield Finding(
                rule,
                "error",
                subject,
                release,
                f"{minor_text(wanted)}, or up to {OLDEST_KUBELET} minor versions later, for a kubelet {expected.kubernetes_release}",
                "Upgrade the control plane first, with playbooks/upgrade.yml."
                if newer
                else "Set node_kubernetes_release and network_plan.kubernetes_version to the API server's.",
            )


def programs_are_no_packages(state: HostState, expected: Expectations) -> Iterator[Finding]:
    if expected.installation_kind != "directory":
        return
    for path, package in sorted(state.software.owners.items()):
        yield Finding(
            "programs_are_no_packages",
            "error",
            path,
            f"of the package {package}",
            "of no package: the installation source is a directory, and the package manager would put its own program back",
            "Remove the packages kubeadm, kubelet and kubectl from the host, or set installation_source to {kind: packages}.",
        )
