# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parse kernel files, the package database, and simulated installations. Nothing is installed."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Optional

from .._findings import Finding
from .._host.commands import Commands
from .._host.files import HostFiles
from .._json import read_json
from .._refusal import Refusal
from .model import CniConfiguration, Distribution, Expectations, HostState, Packages, Simulation

# Installed packages, and packages that an installation would remove
#
# Docker's containerd.io contains runc. Its Debian package conflicts with, replaces and provides Debian's packages containerd and runc,
# and docker-ce depends on it; Debian's containerd and docker.io depend on runc. apt-get removes what conflicts with a requested package,
# and what depends on that.

DOCKERS_CONTAINERD = "containerd.io"
CONTAINERD = {"apt-get": "containerd", "dnf": DOCKERS_CONTAINERD}
"""The package to install on a host without containerd."""
VERSION_SEPARATOR = {"apt-get": "=", "dnf": "-"}

APT_CHANGES_NOTHING = "0 upgraded, 0 newly installed, 0 to remove"
# not counted by apt: packages to configure, and those set to manually installed, which are no longer autoremoved
APT_CONFIGURES = re.compile(r"^Conf |set to manually installed", re.MULTILINE)
APT_REMOVES = re.compile(r"^(?:Remv|Purg) (\S+)", re.MULTILINE)
# rows have one space before the name; a long row continues in the next line after more spaces
DNF_SECTION = re.compile(r"^(?P<title>[A-Z][\w ]*):$|^ (?P<row>\S+)|^ +replacing +(?P<replaced>\S+)", re.MULTILINE)
MISSING = re.compile(
    r"Unable to locate package|has no installation candidate|Version '.*' for '.*' was not found|Couldn't find any package"
    r"|Unable to find a match|no cache for|Failed to download metadata|There are no enabled repositories"
)
# warnings of apt-get update and dnf about a repository that was left out
NOT_UPDATED = re.compile(
    r"Failed to fetch|Some index files failed|Failed to download metadata|Errors during downloading|Ignoring repositories"
)


def apt_simulation(status: int, stdout: str, stderr: str) -> Simulation:
    """Parse the output of ``apt-get --simulate install``."""
    removed = tuple(dict.fromkeys(APT_REMOVES.findall(stdout)))
    errors = [line for line in stderr.splitlines() if line.startswith("E: ")]
    if status != 0:
        return _failed(" ".join(errors) or stderr)
    return Simulation(removed, nothing_to_do=APT_CHANGES_NOTHING in stdout and not APT_CONFIGURES.search(stdout))


def dnf_simulation(status: int, stdout: str, stderr: str) -> Simulation:
    """Parse the output of ``dnf --assumeno install``; its status is 1 if there is something to do."""
    removed, title = [], ""
    for match in DNF_SECTION.finditer(stdout):
        title = match["title"] or title
        if match["replaced"] or (match["row"] and title.startswith("Removing")):
            removed.append(match["replaced"] or match["row"])
    has_answer = status == 0 or "Operation aborted" in stdout + stderr
    # warnings come before it
    error = stderr[max(stderr.find("Error: "), 0) :]
    return Simulation(tuple(dict.fromkeys(removed))) if has_answer else _failed(error)


def _failed(text: str) -> Simulation:
    words = " ".join(text.split()) or "it reports no reason"
    return Simulation(missing=words) if MISSING.search(text) else Simulation(problem=words)


def wanted_packages(expected: Expectations, manager: str, installed: str) -> Packages:
    """Return the packages to install. manager: apt-get, dnf or empty. installed: containerd's installed package; empty: none."""
    of_the_host = DOCKERS_CONTAINERD if expected.containerd_source == "docker" else installed or CONTAINERD.get(manager, "")
    containerd = expected.containerd_package or of_the_host
    version = VERSION_SEPARATOR.get(manager, "=") + expected.containerd_version if expected.containerd_version else ""
    first = (containerd + version,) if containerd else ()
    return Packages(manager, installed, containerd, (*first, *expected.packages))


def no_package_would_be_removed(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    packages = state.software.packages
    removed = packages.simulation.removed
    if not removed:
        return
    keep = []
    if packages.installed_containerd in removed:
        keep.append(f"set node_containerd_package to {packages.installed_containerd} (installed)")
    if "runc" in packages.wanted:
        keep.append("remove runc from node_packages")
    yield Finding(
        "no_package_would_be_removed",
        "error",
        "packages to install",
        f"{', '.join(packages.wanted)}, which would remove {', '.join(removed)}",
        "packages that remove no other",
        f"To keep {', '.join(removed)}, {' and '.join(keep) or 'change node_containerd_package or node_packages'}. "
        f"If you do not need them, remove them yourself with `{packages.manager} remove {' '.join(removed)}`.",
    )


def packages_can_be_installed(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    rule, subject, packages = "packages_can_be_installed", "packages to install", state.software.packages
    simulation = packages.simulation
    if simulation.problem:
        required = f"{packages.manager} can install {', '.join(packages.wanted)}"
        fix = f"Run `{simulation.command}` on the host and solve what it reports."
        yield Finding(rule, "error", subject, simulation.problem, required, fix)
    elif simulation.is_final:
        required = f"a repository that has {', '.join(packages.wanted)}"
        fix = "Add a repository that has it, or correct node_containerd_package, node_containerd_version or node_packages."
        if packages.containerd == DOCKERS_CONTAINERD and DOCKERS_CONTAINERD in simulation.missing:
            fix = "Set node_containerd_source to docker, which adds Docker's repository, or add a repository that has it."
        yield Finding(rule, "error", subject, simulation.missing, required, fix)
    elif simulation.missing:
        required = f"package lists that contain {', '.join(packages.wanted)}"
        update = "apt-get update" if packages.manager == "apt-get" else "dnf makecache"
        fix = f"Run `{update}` on the host; if a package is still missing, add a repository that has it."
        yield Finding(rule, "unknown", subject, simulation.missing, required, fix)


# Simulate the installation with the host's package manager. Nothing is installed, no package list is updated.

CONTAINERD_PACKAGES = "/usr/bin/containerd"
# where the role node adds Docker's repository
DOCKER_REPOSITORIES = ("/etc/apt/sources.list.d/vmstation-docker.sources", "/etc/yum.repos.d/vmstation-docker.repo")
TIMEOUT, DOWNLOAD_TIMEOUT = 60.0, 180.0
DPKG_STATUS = "${Package} ${db:Status-Status}\\n"
NOT_INSTALLED = re.compile(r"^package (\S+) is not installed$", re.MULTILINE)


def look_at_packages(expected: Expectations, is_rhel: bool, files: HostFiles, commands: Commands) -> Packages:
    """Read the package state. is_rhel: dnf is the host's own package manager."""
    has_containerd, has_repository = files.exists(CONTAINERD_PACKAGES), any(files.exists(path) for path in DOCKER_REPOSITORIES)
    manager = next((name for name in (("dnf",) if is_rhel else ("apt-get", "dnf")) if commands.has(name)), "")
    packages = wanted_packages(expected, manager, package_of(CONTAINERD_PACKAGES, commands) if manager and has_containerd else "")
    if not manager or not packages.wanted:
        return packages
    packages = replace(
        packages, adds_repository=expected.containerd_source == "docker" and (has_repository or not _is_known(packages, commands))
    )
    if packages.adds_repository and not has_repository:
        # the lists do not have it yet: simulate the others, and name what it conflicts with
        others = replace(packages, wanted=expected.packages)
        simulation = simulate_install(others, commands, upgrade=False) if expected.packages else Simulation()
        removed = (*simulation.removed, *_in_the_way(packages, commands))
        return replace(packages, simulation=replace(simulation, removed=removed, nothing_to_do=False))
    return replace(packages, simulation=simulate_install(packages, commands, upgrade=bool(expected.containerd_version)))


def _is_known(packages: Packages, commands: Commands) -> bool:
    """Return whether the host's package lists have containerd's package."""
    argv = ["dnf", "--cacheonly", "--quiet", "repoquery", packages.containerd]
    if packages.manager == "apt-get":
        return candidate(commands.run(["apt-cache", "policy", packages.containerd], timeout=TIMEOUT, check=False).stdout) is not None
    return packages.installed_containerd == packages.containerd or bool(commands.run(argv, timeout=TIMEOUT, check=False).stdout.strip())


def _in_the_way(packages: Packages, commands: Commands) -> list[str]:
    """Return the installed packages that Docker's containerd.io replaces."""
    if packages.installed_containerd == DOCKERS_CONTAINERD:
        return []
    query = ["dpkg-query", "--show", "--showformat", DPKG_STATUS]
    if packages.manager == "dnf":
        query = ["rpm", "--query", "--queryformat", "%{NAME} installed\\n"]
    lines = commands.run([*query, "containerd", "runc"], timeout=TIMEOUT, check=False).stdout.splitlines()
    return [line.split()[0] for line in lines if line.split()[1:] == ["installed"]]


def package_of(path: str, commands: Commands) -> str:
    """Return the package that owns a file; empty: none."""
    if commands.has("dpkg-query"):
        said = commands.run(["dpkg-query", "--search", path], timeout=TIMEOUT, check=False)
    elif commands.has("rpm"):
        said = commands.run(["rpm", "--query", "--file", "--queryformat", "%{NAME}: ", path], timeout=TIMEOUT, check=False)
    else:
        return ""
    return said.stdout.partition(":")[0].strip() if said.status == 0 else ""


def simulate_install(packages: Packages, commands: Commands, *, upgrade: bool) -> Simulation:
    """Simulate the installation. upgrade: an installed package with a version may be changed."""
    if packages.manager == "apt-get":
        # installed packages on the command line are kept, as with state: present
        options, wanted = (("--no-upgrade",), list(packages.wanted)) if not upgrade else ((), _changed_by_apt(packages.wanted, commands))
        argv = ["apt-get", "--simulate", "--no-install-recommends", *options, "install", *wanted]
        read = apt_simulation
    else:
        said = commands.run(["rpm", "--query", *packages.wanted], timeout=TIMEOUT, check=False)
        wanted = NOT_INSTALLED.findall(said.stdout)
        if not wanted:
            return Simulation(nothing_to_do=said.status == 0)
        argv = ["dnf", "--assumeno", "--cacheonly", "--setopt=install_weak_deps=False", "install", *wanted]
        read = dnf_simulation
    completed = commands.run(argv, timeout=TIMEOUT, check=False)
    simulation = read(completed.status, completed.stdout, completed.stderr)
    if simulation.missing:
        simulation = _with_new_lists(argv, simulation, commands)
    return replace(simulation, command=" ".join(argv))


def _with_new_lists(argv: Sequence[str], simulation: Simulation, commands: Commands) -> Simulation:
    """Simulate again with updated package lists; return ``simulation`` if they cannot be updated.

    dnf updates its own cache, as any command of it does. apt's lists are downloaded to a temporary directory.
    """
    try:
        if argv[0] == "dnf":
            completed = commands.run([word for word in argv if word != "--cacheonly"], timeout=DOWNLOAD_TIMEOUT, check=False)
            again = dnf_simulation(completed.status, completed.stdout, completed.stderr)
            return simulation if NOT_UPDATED.search(completed.stderr) else replace(again, is_final=bool(again.missing))
        return _with_new_lists_of_apt(argv, simulation, commands)
    except Refusal:
        return simulation


def _with_new_lists_of_apt(argv: Sequence[str], simulation: Simulation, commands: Commands) -> Simulation:
    directory = commands.run(["mktemp", "--directory"]).stdout.strip()
    options = [f"--option=Dir::State::Lists={directory}", "--option=Dir::Cache::pkgcache=", "--option=Dir::Cache::srcpkgcache="]
    try:
        updated = commands.run(["apt-get", *options, "update"], timeout=DOWNLOAD_TIMEOUT, check=False)
        if updated.status or NOT_UPDATED.search(updated.stderr):
            return simulation
        completed = commands.run([argv[0], *options, *argv[1:]], timeout=TIMEOUT, check=False)
        again = apt_simulation(completed.status, completed.stdout, completed.stderr)
        return replace(again, is_final=bool(again.missing))
    finally:
        commands.run(["rm", "--recursive", "--force", directory], check=False)


def _changed_by_apt(wanted: Sequence[str], commands: Commands) -> list[str]:
    """Return what the module apt passes on: packages with a version, and those that are not installed."""
    plain = [name for name in wanted if "=" not in name]
    said = commands.run(["dpkg-query", "--show", "--showformat", DPKG_STATUS, *plain], timeout=TIMEOUT, check=False)
    installed = [line.split()[0] for line in said.stdout.splitlines() if line.endswith(" installed")]
    return [name for name in wanted if name not in installed]


# Parsers of kernel and host texts; each takes the whole text of a file or a command

LISTENING = "0A"
ROUTE_IS_UP = 0x1
ROUTE_REJECTS = 0x200
ANY_IPV6 = "0" * 32
VERSION = re.compile(r"\bv?(\d+\.\d+(\.\d+)?\S*)", re.ASCII)


def listening_sockets(text: str) -> list[tuple[int, str]]:
    """Return (port, inode) of every listening socket in /proc/net/tcp or tcp6, each socket once."""
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == LISTENING:
            found.append((int(fields[1].rpartition(":")[2], 16), fields[9]))
    return found


def swaps(text: str) -> tuple[str, ...]:
    """Return the devices and files in /proc/swaps."""
    return tuple(line.split()[0] for line in text.splitlines()[1:] if line.strip())


def memory_mib(text: str) -> Optional[int]:
    """Return the total of /proc/meminfo in MiB."""
    for line in text.splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    return None


def enabled_controllers(text: str) -> frozenset[str]:
    """Return the enabled controllers of version 1 in /proc/cgroups."""
    rows = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return frozenset(row[0] for row in rows if len(row) == 4 and row[3] == "1")


def mounted_controllers(text: str) -> frozenset[str]:
    """Return the controllers of version 1 that /proc/self/mountinfo shows as mounted."""
    found: set[str] = set()
    for line in text.splitlines():
        _mount, separator, filesystem = line.partition(" - ")
        fields = filesystem.split()
        if separator and fields and fields[0] == "cgroup":
            found.update(option for option in fields[-1].split(",") if option not in ("rw", "ro") and "=" not in option)
    return frozenset(found)


def has_default_route_ipv4(text: str) -> bool:
    """Return whether /proc/net/route has a default route that is up and does not reject."""
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 7 and fields[1] == fields[7] == "00000000" and _passes(int(fields[3], 16)):
            return True
    return False


def has_default_route_ipv6(text: str) -> bool:
    """Return whether /proc/net/ipv6_route has a default route that is up; the kernel's own reject route is on ``lo``."""
    for line in text.splitlines():
        fields = line.split()
        if len(fields) > 9 and fields[0] == ANY_IPV6 and fields[1] == "00" and fields[9] != "lo" and _passes(int(fields[8], 16)):
            return True
    return False


def _passes(flags: int) -> bool:
    return bool(flags & ROUTE_IS_UP) and not flags & ROUTE_REJECTS


def addresses(text: str) -> Optional[tuple[str, ...]]:
    """Return all addresses of ``ip -json address show``, canonical; None if the text cannot be parsed."""
    try:
        interfaces = read_json(text)
        return tuple(
            str(ipaddress.ip_address(info["local"]))
            for interface in interfaces
            for info in interface.get("addr_info", ())
            if "local" in info
        )
    except (ValueError, KeyError, AttributeError, TypeError):
        return None


def links(text: str) -> tuple[dict[str, str], dict[str, int]]:
    """Return the interface of each address, and the MTU of each interface, of ``ip -json address show``."""
    try:
        found = read_json(text)
        interfaces = {
            str(ipaddress.ip_address(info["local"])): str(one["ifname"]) for one in found for info in one["addr_info"] if "local" in info
        }
        return interfaces, {str(one["ifname"]): int(one["mtu"]) for one in found}
    except (ValueError, KeyError, AttributeError, TypeError):
        return {}, {}


def hosts_file(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield address and names of each line of /etc/hosts; lines without an address mean nothing to the resolver."""
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        with contextlib.suppress(ValueError):
            if words:
                yield str(ipaddress.ip_address(words[0])), tuple(words[1:])


def cni_configuration(file: str, text: str) -> CniConfiguration:
    """Parse a file of /etc/cni/net.d: a single plugin (``.conf``) or a list of them (``.conflist``)."""
    try:
        content: Any = read_json(text)
        plugins: Iterable[Any] = content.get("plugins", [content])
        return CniConfiguration(file, tuple(str(plugin["type"]) for plugin in plugins))
    except (ValueError, KeyError, AttributeError, TypeError):
        return CniConfiguration(file)


def builtin_modules(text: str) -> frozenset[str]:
    """Return the names in a kernel's modules.builtin, which contains paths."""
    paths = (line.strip() for line in text.splitlines())
    return frozenset(path.rpartition("/")[2].partition(".ko")[0].replace("-", "_") for path in paths if path)


def loaded_modules(text: str) -> frozenset[str]:
    """Return the names in /proc/modules."""
    return frozenset(line.split()[0] for line in text.splitlines() if line.strip())


def distribution(text: str) -> Optional[Distribution]:
    """Parse os-release, which has shell syntax; None if it contains no ID."""
    fields = {}
    for line in text.splitlines():
        key, _equals, value = line.partition("=")
        try:
            fields[key.strip()] = " ".join(shlex.split(value))
        except ValueError:
            continue
    if not fields.get("ID"):
        return None
    version = fields.get("VERSION_ID", "")
    return Distribution(
        fields["ID"], version, fields.get("PRETTY_NAME") or f"{fields['ID']} {version}", frozenset(fields.get("ID_LIKE", "").split())
    )


def containerd_directories(text: str) -> dict[str, str]:
    """Return ``root`` and ``state`` of containerd's configuration: TOML keys before its first table."""
    settings = re.split(r"^\s*\[", text, maxsplit=1, flags=re.MULTILINE)[0]
    return {name: value for name, _quote, value in re.findall(r"""^\s*(root|state)\s*=\s*(["'])(.*?)\2""", settings, re.MULTILINE)}


def version(text: str) -> Optional[str]:
    """Return the first version number in a program's output."""
    found = VERSION.search(text)
    return found[1] if found else None


def candidate(text: str) -> Optional[str]:
    """Return the candidate version of ``apt-cache policy``."""
    found = re.search(r"^\s*Candidate:\s*(?:\d+:)?(\d\S*)", text, re.MULTILINE)
    return found[1] if found else None
