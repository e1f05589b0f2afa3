# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the installed software, the kernel modules and the images of Pods with what the cluster needs.

kubelet 1.38 and later will require a runtime with the CRI method RuntimeConfig (KEP 4033), which containerd has since 2.0; 1.36 and 1.37
still fall back to their own cgroupDriver (``getCgroupDriverFromCRI`` in ``cmd/kubelet/app/server.go`` of 1.37.2). A kubelet may be three
minor versions older than the API server and never newer, and kubeadm upgrades one minor version at a time (Kubernetes' version skew
policy).

RHEL 10 has br_netfilter, and since 10.2 also nft_compat, the xt modules and ip_set, in kernel-modules-extra, which is not installed by
default. Without nft_compat, a rule of iptables with a match is dropped without an error. kube-proxy's modes are described in
https://kubernetes.io/docs/reference/networking/virtual-ips/, Calico's dataplanes in
https://docs.tigera.io/calico/latest/reference/resources/felixconfig (``nftablesMode``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Callable, Optional, Union
from urllib.parse import urlsplit

from .._ctr import ctr
from .._findings import Finding, Severity
from .._host.commands import Commands
from .._host.files import HostFiles
from .._host.web import Answer
from .._json import read_json
from .._refusal import Refusal
from .._versions import OLDEST_KUBELET, minor_at_start, minor_of, minor_text
from .model import Distribution, Expectations, HostState, Images, Packages

SUPPORTED: Mapping[str, tuple[str, ...]] = {"debian": ("12", "13"), "rhel": ("9", "10")}
REBUILDS = frozenset({"rhel", "centos", "rocky", "almalinux", "ol"})
SUPPORTED_WORDS = "Debian 12 or 13, or RHEL 9 or 10 or a rebuild of it"
ARCHITECTURES: Mapping[str, str] = {"x86_64": "amd64", "aarch64": "arm64"}

CONTAINERD_CONFIGURATION = "/etc/containerd/config.toml"
CONTAINERD_DIRECTORIES: Mapping[str, str] = {"root": "/var/lib/containerd", "state": "/run/containerd"}
CONTAINERD_WITH_RUNTIME_CONFIG = (2, 0)
KUBELET_WARNS, KUBELET_REFUSES = (1, 36), (1, 38)


def distribution_is_supported(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    rule, subject = "distribution_is_supported", "distribution"
    known = state.software.distribution
    if known is None:
        fix = "Check /etc/os-release."
        yield Finding(rule, "unknown", subject, "no os-release file", SUPPORTED_WORDS, fix)
    elif known.version.partition(".")[0] not in SUPPORTED.get(family(known), ()):
        fix = "Install one of these, or accept this rule and set the package names of your distribution."
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
            f"{expected.architecture}, the architecture of the installation source"
            if expected.architecture
            else " or ".join(ARCHITECTURES.values()),
            "Use an installation source for this architecture, or another host." if architecture else "Use another host.",
        )


def platform_of(machine: str) -> str:
    """Return the platform of images for the kernel's name of a processor architecture; empty if it is not supported."""
    return f"linux/{ARCHITECTURES[machine]}" if machine in ARCHITECTURES else ""


def containerd_suits_the_kubelet(state: HostState, expected: Expectations) -> Iterator[Finding]:
    wanted, containerd = minor_of(expected.kubernetes_release), minor_at_start(state.software.containerd or "")
    if wanted is None or containerd is None or containerd >= CONTAINERD_WITH_RUNTIME_CONFIG or wanted < KUBELET_WARNS:
        return
    refused = wanted >= KUBELET_REFUSES
    yield Finding(
        "containerd_suits_the_kubelet",
        "error" if refused else "warning",
        "containerd",
        state.software.containerd or "",
        f"2.0 or later: kubelet {minor_text(wanted)} does not start with an older one"
        if refused
        else f"2.0 or later: kubelet {minor_text(wanted)} warns about an older one, {minor_text(KUBELET_REFUSES)} does not start with it",
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
                f"{usual}, as in the role's configuration; with it, the containers in {directory} would be lost to containerd",
                f"Stop Docker and containerd, bind-mount {directory} on {usual} (with a line in /etc/fstab), remove the setting, and start "
                "them again.",
            )


def _newer_containerd(packages: Packages) -> str:
    if packages.installed_containerd == "containerd.io":
        tool = "dnf upgrade" if packages.manager == "dnf" else "apt-get install --only-upgrade"
        return f"Run `{tool} containerd.io` on the host."
    first = "Set node_containerd_source to docker, which adds Docker's package repository."
    if not packages.installed_containerd:
        return first
    installed = packages.installed_containerd
    old = " ".join(dict.fromkeys((installed, "runc")))
    return f"{first} containerd.io replaces {installed} and runc: drain a node, then run `{packages.manager} remove {old}` on it."


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
            f"a release of {minor_text(wanted)}, to install {expected.kubernetes_release}",
            "Upgrade the cluster with playbooks/upgrade.yml, one minor version at a time, or set node_kubernetes_release to a release of "
            "the installed version; installing does not upgrade."
            if state.has_a_node or state.cluster_files
            else "Nothing to do if this host has no cluster yet: the program is replaced.",
        )


def _is_next(found: Optional[tuple[int, int]], wanted: tuple[int, int], expected: Expectations) -> bool:
    """Return whether this is an upgrade by one minor version."""
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
            yield Finding(rule, "unknown", subject, "no release in its answer", must_be, "Ask it with `kubectl version`.")
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
            "of no package: the installation source is a directory, and the package manager would restore its own program",
            "Remove the packages kubeadm, kubelet and kubectl from the host, or set installation_source to {kind: packages}.",
        )


FIRST_RHEL_WITHOUT_THEM = 10
SHARED_TABLES = frozenset({"filter", "nat", "mangle", "raw"})
"""Of the families ip and ip6; Calico's releases before 3.33 end if iptables-save calls one incompatible (projectcalico/calico 13263)."""
NATIVE = frozenset({"masquerade", "snat", "dnat", "redirect", "reject", "tproxy", "vmap", "ct", "fib", "numgen", "socket", "rt"})
"""Statements and expressions that iptables-nft stores as ``xt`` if it has made them."""


def package_of_modules(state: HostState) -> str:
    """Return the exact package with the missing modules of the running kernel; empty if the distribution has no such package.

    Without a version, dnf may install the package of another kernel. A variant of the kernel is named after a plus sign.
    """
    distribution = state.software.distribution
    if distribution is None or family(distribution) != "rhel" or not state.kernel:
        return ""
    major = distribution.version.partition(".")[0]
    if not major.isdigit() or int(major) < FIRST_RHEL_WITHOUT_THEM:
        return ""
    release, _plus, variant = state.kernel.partition("+")
    return f"kernel-{variant}-modules-extra-{release}" if variant else f"kernel-modules-extra-{release}"


def package_to_install(state: HostState, expected: Expectations) -> str:
    """Return the package to install for missing modules; empty if none is missing, or if the user does not allow it."""
    wanted = (*expected.modules, *expected.encapsulation_modules, *expected.netfilter_modules)
    is_missing = any(state.modules.get(name) == "absent" for name in wanted)
    return package_of_modules(state) if expected.installs_modules and is_missing else ""


def modules_to_load(state: HostState, expected: Expectations) -> list[str]:
    """Return the modules that the host has, or gets with the package, and that are not loaded yet."""
    unloaded = ("loadable", "absent") if package_to_install(state, expected) else ("loadable",)
    return [name for name in expected.modules if state.modules.get(name) in unloaded]


def kernel_modules_can_be_loaded(state: HostState, expected: Expectations) -> Iterator[Finding]:
    yield from _unloadable("kernel_modules_can_be_loaded", expected.modules, "Kubernetes", state, expected)


def encapsulation_modules_can_be_loaded(state: HostState, expected: Expectations) -> Iterator[Finding]:
    yield from _unloadable("encapsulation_modules_can_be_loaded", expected.encapsulation_modules, "Calico's encapsulation", state, expected)


def netfilter_modules_can_be_loaded(state: HostState, expected: Expectations) -> Iterator[Finding]:
    rules = "the rules of kube-proxy and Calico"
    # a container host may not see its kernel's modules: on a node that runs, they are there or not missed
    severity: Severity = "warning" if state.kubelet_is_live else "error"
    yield from _unloadable("netfilter_modules_can_be_loaded", expected.netfilter_modules, rules, state, expected, severity=severity)


def packets_are_filtered_by_their_route(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    if state.rp_filter is not None and state.rp_filter > 1:
        yield Finding(
            "packets_are_filtered_by_their_route",
            "warning",
            "net.ipv4.conf.all.rp_filter",
            str(state.rp_filter),
            "0 or 1: with 2, releases of Calico that check it do not start, and a Pod can send packets with another Pod's address",
            "Find the file that sets it with `grep -r rp_filter /etc/sysctl.conf /etc/sysctl.d /usr/lib/sysctl.d`, write "
            "`net.ipv4.conf.all.rp_filter = 1` into /etc/sysctl.d/99-zz-rp-filter.conf, and run `sysctl --system`.",
        )


def tables_are_readable_by_iptables(state: HostState, expected: Expectations) -> Iterator[Finding]:
    if "nft_compat" not in expected.netfilter_modules:
        return  # kube-proxy and Calico write rules of nftables
    for table, reason in state.foreign_tables.items():
        yield Finding(
            "tables_are_readable_by_iptables",
            # Calico has managed on a running node
            "warning" if state.kubelet_is_live else "error",
            f"table {table} of nftables",
            f"rules that iptables cannot read: {reason}",
            "only rules of iptables in the tables filter, nat, mangle and raw: calico-node ends at others",
            "Move these rules to a table of another name (Tailscale: install iptables and restart tailscaled), or let kube-proxy and "
            "Calico use nftables (control_plane_kube_proxy_mode: nftables and calico_felix: {nftablesMode: Enabled}).",
        )


def shared_tables(nft_json: str) -> list[tuple[str, str]]:
    """Return family and name of the tables that iptables-nft shares, from `nft --json list tables`."""
    tables = [entry["table"] for entry in _entries(nft_json) if "table" in entry]
    return [(one["family"], one["name"]) for one in tables if one["family"] in ("ip", "ip6") and one["name"] in SHARED_TABLES]


def foreign_rules(nft_json: str) -> dict[str, str]:
    """Return the table with a rule that iptables-nft cannot read, from `nft --json list table`; empty if there is none.

    iptables-nft stores its own matches and targets as ``xt``, and reads few statements of nftables itself.
    """
    for rule in (entry["rule"] for entry in _entries(nft_json) if "rule" in entry):
        natives = [name for statement in rule.get("expr", ()) for name in sorted(_natives(statement))]
        if natives:
            return {f"{rule['family']} {rule['table']}": f"{natives[0]} in chain {rule['chain']}"}
    return {}


def _natives(statement: Mapping[str, Any]) -> frozenset[str]:
    match = statement.get("match")
    left = match.get("left") if isinstance(match, Mapping) else None
    return NATIVE & (set(statement) | (set(left) if isinstance(left, Mapping) else set()))


def _entries(nft_json: str) -> list[dict[str, Any]]:
    try:
        return list(read_json(nft_json)["nftables"])
    except (ValueError, KeyError, TypeError):
        return []


def selinux_permits_the_cluster(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    if state.selinux == "enforcing":
        yield Finding(
            "selinux_permits_the_cluster",
            "info",
            "SELinux",
            "enforcing",
            "a policy that permits containerd, kubelet and Calico (package container-selinux)",
            "Nothing to do unless Pods fail: then run `ausearch -m avc -ts boot` on the host, which shows what was denied.",
        )


def _unloadable(
    rule: str, names: Iterable[str], purpose: str, state: HostState, expected: Expectations, *, severity: Severity = "error"
) -> Iterator[Finding]:
    wanted = list(names)
    unknown = [name for name in wanted if state.modules.get(name) is None]
    absent = [name for name in wanted if state.modules.get(name) == "absent"]
    if unknown:
        found = "no modprobe on this host"
        yield Finding(rule, "unknown", _subject(unknown), found, f"present: {purpose} needs it", "Install kmod.")
    if absent:
        package, will_be_installed = package_of_modules(state), bool(package_to_install(state, expected))
        fix = f"Install the kernel's full set of modules, and see the output of `modprobe {absent[0]}`."
        if will_be_installed:
            fix = f"Nothing to do: the role installs {package}."
        elif package:
            fix = (
                f"Run `dnf install {package}` on the host, or set node_install_kernel_modules to true. If no repository has that version, "
                "run `dnf upgrade`, reboot, and run again."
            )
        yield Finding(
            rule,
            "info" if will_be_installed else severity,
            _subject(absent),
            "neither built in nor loadable",
            f"present: {purpose} needs it",
            fix,
        )


def _subject(names: list[str]) -> str:
    return f"kernel module{'s' if len(names) > 1 else ''} {', '.join(names)}"


# Images that the host's Pods use and that neither containerd nor a registry has: such a Pod does not start again.
# Kubelet deletes unused images when the disk fills. containerd before 1.6.25 does not report the pause image as pinned: it goes, too.

CERTIFICATES, MANIFESTS = "/etc/containerd/certs.d", "/etc/kubernetes/manifests"
SECONDS = 20.0
# the answer to each URL, None if it did not come in time
Ask = Callable[[Sequence[str]], Sequence[Optional[Union[Answer, Refusal]]]]
_SANDBOX = re.compile(r"""^\s*sandbox(?:_image)?\s*=\s*["']([^"']+)["']""", re.MULTILINE)
# kubelet starts static Pods without the API server
_IMAGE = re.compile(r"""^\s*(?:-\s*)?image:\s*["']?([^\s"']+)""", re.MULTILINE)
# the format of hosts.toml: https://github.com/containerd/containerd/blob/main/docs/hosts.md
_MIRROR = re.compile(r"""^\s*(?:\[host\.|server\s*=\s*)["']([^"']+)["']""", re.MULTILINE)
_PROXY = re.compile(r"(?:^|[\s\"=])HTTPS_PROXY=(\S+)", re.IGNORECASE)
# the registry of docker.io, whose name is another one
_SERVERS = {"docker.io": "https://registry-1.docker.io"}


def look_at_images(files: HostFiles, commands: Commands, ask: Ask, socket: str, configuration: str) -> Images:
    """Read what runs and what containerd has. Registries are asked only if something is missing."""
    if not commands.has("ctr") or not files.exists(socket):
        return Images()
    listed = [_rows(commands, socket, *words) for words in (("images", "list", "--quiet"), ("containers", "list"), ("tasks", "list"))]
    if any(rows is None for rows in listed):
        return Images()
    stored, containers, tasks = ([*(rows or ())] for rows in listed)
    running = {row[0] for row in tasks if row[-1] == "RUNNING"}
    # containerd names some of them by their digest only
    used = [row[1] for row in containers if len(row) > 1 and row[0] in running and "/" in row[1]]
    used += _SANDBOX.findall(files.read(configuration) or "")
    used += [name for file in files.entries(MANIFESTS) for name in _IMAGE.findall(files.read(f"{MANIFESTS}/{file}") or "")]
    missing = sorted({_as_stored(name) for name in used} - {row[0] for row in stored})
    if not missing:
        return Images()
    proxy = _PROXY.search(commands.run(["systemctl", "show", "--property=Environment", "containerd"], timeout=SECONDS, check=False).stdout)
    registries = {name: _registry(name) for name in missing}
    silent = set() if proxy else _silent(set(registries.values()), files, ask)
    lost = tuple(name for name in missing if proxy or registries[name] in silent)
    return Images(lost, tuple(sorted(silent)), _without_login(proxy[1].strip('"')) if proxy else "")


def images_can_be_had(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    images = state.images
    if not images.lost:
        return
    name = images.lost[0]
    why = f"; not asked, because of the proxy {images.proxy}" if images.proxy else f"; no answer from {', '.join(images.silent)}"
    yield Finding(
        "images_can_be_had",
        "unknown" if images.proxy else "error",
        "images",
        f"not in containerd: {', '.join(images.lost)}{why}",
        "in containerd, or in a registry that answers: Pods that use them do not start again",
        f"Pull it if the registry answers again: `ctr --namespace k8s.io images pull {name}`. Otherwise, on a host that has it, `ctr "
        f"--namespace k8s.io images export image.tar {name}`; copy the file here, and `ctr --namespace k8s.io images import image.tar`.",
    )


def _rows(commands: Commands, socket: str, *words: str) -> Optional[list[list[str]]]:
    """Return the words of each line; None if containerd does not answer."""
    completed = commands.run(ctr(socket, *words), timeout=SECONDS, check=False)
    if completed.status:
        return None
    return [line.split() for line in completed.stdout.splitlines() if line.strip()]


def _as_stored(image: str) -> str:
    """Return the name as containerd lists it: https://github.com/distribution/reference/blob/main/normalize.go."""
    first, slash, _rest = image.partition("/")
    if not slash:
        image = f"docker.io/library/{image}"
    elif not ("." in first or ":" in first or first == "localhost"):
        image = f"docker.io/{image}"
    elif first == "docker.io" and image.count("/") == 1:
        image = image.replace("/", "/library/")
    name, at, digest = image.partition("@")
    directory, _slash, last = name.rpartition("/")
    if at:
        return f"{directory}/{last.partition(':')[0]}@{digest}"
    return name if ":" in last else f"{name}:latest"


def _without_login(proxy: str) -> str:
    """Return the host and port of a proxy's URL, which may contain a password."""
    return proxy.rpartition("@")[2].rpartition("://")[2].partition("/")[0]


def _registry(image: str) -> str:
    return image.partition("/")[0]


def _silent(registries: Iterable[str], files: HostFiles, ask: Ask) -> set[str]:
    """Return the registries of which neither a mirror nor the registry itself answers."""
    servers = [(name, server) for name in sorted(registries) for server in _servers(name, files)]
    answers = ask([f"{server}/v2/" for _name, server in servers])
    heard = {name for (name, _server), answer in zip(servers, answers) if answer and not isinstance(answer, Refusal) and answer.status}
    return set(registries) - heard


def _servers(registry: str, files: HostFiles) -> list[str]:
    found = [_SERVERS.get(registry, f"https://{registry}")]
    for name in (registry, "_default"):
        found += _MIRROR.findall(files.read(f"{CERTIFICATES}/{name}/hosts.toml") or "")
    parts = [urlsplit(url) for url in found]
    return list(dict.fromkeys(f"{one.scheme}://{one.netloc}" for one in parts if one.netloc))
