# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What package managers say of updates, as apt 2.6 and dnf 4.23 have printed it, and when a reboot is required."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import Completed
from ansible_collections.vmstation.cluster.plugins.module_utils._host.files import LocalFiles
from ansible_collections.vmstation.cluster.plugins.module_utils._patch import host
from ansible_collections.vmstation.cluster.plugins.module_utils._patch.host import look, reboot_of, system_of
from ansible_collections.vmstation.cluster.plugins.module_utils._patch.packages import (
    Request,
    parse_apt,
    parse_dnf,
    read_request,
    started_at,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.clock import START, Clock

APT = """\
Reading package lists...
Building dependency tree...
Reading state information...
Calculating upgrade...
The following NEW packages will be installed:
  linux-image-6.1.0-30-amd64
The following packages have been kept back:
  kubelet libssl-dev
The following packages will be upgraded:
  libssl3 linux-image-amd64
2 upgraded, 1 newly installed, 0 to remove and 2 not upgraded.
1 not fully installed or removed.
Inst linux-image-6.1.0-30-amd64 (6.1.124-1 Debian-Security:12/oldstable-security [amd64])
Inst libssl3 [3.0.19-1~deb12u2] (3.0.22-1~deb12u2 Debian-Security:12/oldstable-security [amd64]) []
Inst linux-image-amd64 [6.1.119-1] (6.1.124-1 Debian:12.15/oldstable, Debian-Security:12/oldstable-security [amd64])
Conf tzdata (2026a-0+deb12u1 Debian:12.15/oldstable [all])
Conf libssl3 (3.0.22-1~deb12u2 Debian-Security:12/oldstable-security [amd64])
"""
APT_PHASED = """\
Calculating upgrade...
The following upgrades have been deferred due to phasing:
  python3-distupgrade ubuntu-release-upgrader-core
0 upgraded, 0 newly installed, 0 to remove and 2 not upgraded.
"""
# it prints the columns of a long name over several lines
DNF = """\
Offered                                         467 kB/s | 1.6 kB     00:00
Dependencies resolved.
================================================================================
 Package         Arch    Version                                 Repo      Size
================================================================================
Installing:
 newname         noarch  1-1.1                                   offered  6.6 k
     replacing  oldname.noarch 8-1.1
Upgrading:
 a-package-whose-name-is-longer-than-a-line-of-the-table-of-dnf
                 noarch  1:9-1.1
                                                                 offered  7.0 k
 tool            noarch  9-1.1                                   offered  6.5 k
Installing dependencies:
 helper          noarch  1-1.1                                   offered  6.5 k
Skipping packages with broken dependencies:
 broken          noarch  9-1.1                                   offered  6.5 k

Transaction Summary
================================================================================
Install  2 Packages
Upgrade  2 Packages
Skip     1 Package

Total download size: 33 k
"""
DNF_ERRORS = """\
Errors during downloading metadata for repository 'away':
  - Curl error (7): Could not connect to server for http://127.0.0.1:9/repodata/repomd.xml
Error: Failed to download metadata for repo 'away': Cannot download repomd.xml: All mirrors were tried
"""
DEBIAN, ROCKY = 'ID=debian\nVERSION_ID="12"\n', 'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="10.1"\n'


def test_apts_updates_are_what_it_installs_or_configures() -> None:
    found = parse_apt(APT)
    assert found.versions == {
        "linux-image-6.1.0-30-amd64": "6.1.124-1",
        "libssl3": "3.0.22-1~deb12u2",
        "linux-image-amd64": "6.1.124-1",
        "tzdata": "2026a-0+deb12u1",
    }
    assert found.kept_back == ("kubelet", "libssl-dev")


def test_what_apt_defers_is_kept_back() -> None:
    found = parse_apt(APT_PHASED)
    assert (found.versions, found.kept_back) == ({}, ("python3-distupgrade", "ubuntu-release-upgrader-core"))


def test_dnfs_updates_are_what_it_installs() -> None:
    found = parse_dnf(DNF)
    assert found.versions == {
        "newname": "1-1.1",
        "a-package-whose-name-is-longer-than-a-line-of-the-table-of-dnf": "1:9-1.1",
        "tool": "9-1.1",
        "helper": "1-1.1",
    }
    assert found.kept_back == ("broken",)


class HostPrograms:
    """A host's programs, each with its status, output and errors, or a list of them for one call after the other."""

    def __init__(self, **answers: Any) -> None:
        self.answers, self.ran = answers, []

    def has(self, program: str) -> bool:
        return program.replace("-", "_") in self.answers

    def run(self, argv: Sequence[str], *, stdin: str = "", timeout: float = 60.0, check: bool = True) -> Completed:
        self.ran.append(list(argv))
        if argv[0] == "apt-get" and argv[-1] == "upgrade":
            (option,) = (one for one in argv if one.startswith("--option=Dir::Etc::Preferences="))
            self.preferences = Path(option.rpartition("=")[2]).read_text()
            return Completed(tuple(argv), *self.answers["apt_get_upgrade"])
        answer = self.answers[argv[0].replace("-", "_")]
        return Completed(tuple(argv), *(answer.pop(0) if isinstance(answer, list) else answer))


class Files(dict[str, str]):
    """A host's files by path."""

    def read(self, path: str) -> str | None:
        return self.get(path)

    def exists(self, path: str) -> bool:
        return path in self


def debian(**files: str) -> Files:
    return Files({"/etc/os-release": DEBIAN, **files})


def unlocked(_path: str) -> None:
    """The process that has the lock."""


LOCKED = (100, "", "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)\n")
AWAY = "W: x\nE: Failed to fetch http://127.0.0.1:9/Packages  Could not connect\nE: Some index files failed to download.\n"


@pytest.mark.parametrize(
    ("hold", "names"),
    [
        (["containerd", "kubelet"], ("containerd", "kubelet")),
        # as Ansible splits `-e patch_hold=containerd, kubelet`, and an empty text
        (["containerd", " kubelet"], ("containerd", "kubelet")),
        (["", " "], ()),
        (["docker*"], ("docker*",)),
        (None, "found null"),
        (["containerd kubelet"], "found 'containerd kubelet'"),
        (["containerd,kubelet"], "found 'containerd,kubelet'"),
        (["kubelet\nPin: version 1"], r"found 'kubelet\nPin: version 1'"),
    ],
)
def test_what_may_be_held(hold: Any, names: tuple[str, ...] | str) -> None:
    options = {"hold": hold, "refresh": True, "timeout": 5.0}
    if isinstance(names, tuple):
        assert read_request(options) == Request(names, True, 5.0)
        return
    with pytest.raises(Refusal) as refused:
        read_request(options)
    assert f"hold: {names}; required: a list of package names. Write it as in [containerd, kubelet]." in str(refused.value)


def test_apt_keeps_what_is_held_beside_the_preferences_of_the_host() -> None:
    programs = HostPrograms(apt_get=[LOCKED, (0, "", "")], apt_get_upgrade=(0, APT, ""))
    own = "# M\udcfcller\nPackage: tzdata\nPin: version 1\nPin-Priority: 9"
    found = look(Request(("containerd", "kubelet")), programs, debian(**{"/etc/apt/preferences": own}), Clock(), unlocked)
    assert found == replace(parse_apt(APT), preferences=programs.preferences)
    assert (
        found.as_data()["preferences"]
        == f"Package: containerd kubelet\nPin: version *\nPin-Priority: -1\n\n{own.replace(chr(0xDCFC), '?')}"
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (LOCKED, "It is held by process 7 (apt-get), after 300 s; required: lists from all repositories."),
        (
            (100, "", AWAY),
            "package lists: found E: Failed to fetch http://127.0.0.1:9/Packages  Could not connect E: Some index files failed",
        ),
    ],
)
def test_lists_that_cannot_be_fetched_are_named(answer: tuple[int, str, str], words: str) -> None:
    with pytest.raises(Refusal) as refused:
        look(Request(), HostPrograms(apt_get=answer), debian(), Clock(), unlocked)
    assert words in str(refused.value)


def test_another_installation_is_waited_for_and_named() -> None:
    programs = HostPrograms(apt_get_upgrade=(0, APT, ""), apt_get=(0, "", ""))
    holders = {"/var/lib/dpkg/lock-frontend": [7, None, None], "/var/lib/dpkg/lock": [None, 7, None]}
    clock = Clock()
    look(Request(refresh=False), programs, debian(), clock, lambda path: holders[path].pop(0))
    assert holders == {"/var/lib/dpkg/lock-frontend": [], "/var/lib/dpkg/lock": []} and clock.now() == START + 6
    words = r"dpkg: found locked by unattended-upgr \(process 7\), after 300 s; required: no other process that installs packages."
    with pytest.raises(Refusal, match=words):
        look(Request(refresh=False), programs, debian(**{"/proc/7/comm": "unattended-upgr\n"}), Clock(), lambda _path: 7)


def test_lists_are_left_as_they_are() -> None:
    programs = HostPrograms(apt_get=LOCKED, apt_get_upgrade=(0, APT, ""))
    look(Request(refresh=False), programs, debian(), Clock(), unlocked)
    assert [argv[-1] for argv in programs.ran] == ["upgrade"]


def test_dnf_keeps_what_is_held_and_names_repositories_that_it_left_out() -> None:
    programs = HostPrograms(dnf=(1, DNF, f"{DNF_ERRORS}Ignoring repositories: away\nOperation aborted.\n"))
    found = look(Request(("containerd.io", "kubelet")), programs, Files({"/etc/os-release": ROCKY}), Clock(), unlocked)
    assert (found.versions, found.warnings) == (parse_dnf(DNF).versions, ["Ignoring repositories: away"])
    assert programs.ran == [["dnf", "--assumeno", "--nobest", "--refresh", "--exclude=containerd.io,kubelet", "upgrade"]]


def test_dnf_has_nothing_to_do_or_fails() -> None:
    nothing = HostPrograms(dnf=(0, "Dependencies resolved.\nNothing to do.\nComplete!\n", ""))
    assert look(Request(refresh=False), nothing, Files({"/etc/os-release": ROCKY}), Clock(), unlocked).versions == {}
    with pytest.raises(Refusal, match="package lists: found Error: Failed to download metadata for repo 'away'"):
        look(Request(), HostPrograms(dnf=(1, "", DNF_ERRORS)), Files({"/etc/os-release": ROCKY}), Clock(), unlocked)


def test_a_host_without_a_known_package_manager_is_named() -> None:
    with pytest.raises(Refusal, match="package manager: found neither apt-get nor dnf"):
        look(Request(), HostPrograms(), Files(), Clock(), unlocked)


def test_the_system_of_this_process() -> None:
    found = system_of(LocalFiles())
    assert re.fullmatch(r"[0-9a-f-]{36}", found.boot_id) and re.fullmatch(r"pid:\[\d+\]", found.pid_namespace)


# When a reboot is required.

STAT = "cpu  1 2 3\nbtime 1000000000\nprocesses 9\n"
# started 500 s after the kernel, as in a container
FIRST = "1 (systemd (x)) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 50000 1 2 3"
PROCESSES = {"/proc/stat": STAT, "/proc/1/stat": FIRST}
STARTED = 1000000500.0


@pytest.mark.parametrize(
    ("stat", "first", "started"),
    [(STAT, FIRST, STARTED), ("", FIRST, None), (STAT, "", None), (STAT, "1 (x) S 0", None)],
)
def test_the_start_of_a_host(stat: str, first: str, started: float | None) -> None:
    assert started_at(stat, first, 100) == started


DPKG = (
    1,
    "installed libc6:amd64\ninstalled linux-image-6.1.0-30-amd64\nconfig-files linux-image-6.1.0-25-amd64\n",
    "dpkg-query: no packages",
)
RPM = "1000000499 glibc\n1000000501 kernel-core\n1000000400 kernel-core\npackage kernel-rt is not installed\n"


@pytest.mark.parametrize(
    ("files", "reboot", "reasons"),
    [
        (PROCESSES, "required", ["linux-image-6.1.0-30-amd64"]),
        ({**PROCESSES, "/run/reboot-required": "", "/run/reboot-required.pkgs": "dbus\ndbus\n"}, "required", ["dbus"]),
        ({"/run/reboot-required": ""}, "required", ["/run/reboot-required"]),
        ({}, "unknown", []),
        ({**PROCESSES, "/proc/stat": "btime 1000000100\n"}, "not_required", []),
    ],
)
def test_when_debian_must_be_rebooted(files: dict[str, str], reboot: str, reasons: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    written = {"libc6:amd64": STARTED - 1, "linux-image-6.1.0-30-amd64": STARTED + 1, "linux-image-6.1.0-25-amd64": STARTED + 999}
    monkeypatch.setattr(host, "modified", lambda path: written[Path(path).name.removesuffix(".list")])
    assert reboot_of("apt", HostPrograms(dpkg_query=DPKG), Files(files)) == (reboot, reasons)


def test_when_rhel_must_be_rebooted() -> None:
    assert reboot_of("dnf", HostPrograms(rpm=(1, RPM, "")), Files(PROCESSES)) == ("required", ["kernel-core"])
    older = {**PROCESSES, "/proc/stat": "btime 1000000100\n"}
    assert reboot_of("dnf", HostPrograms(rpm=(1, RPM, "")), Files(older)) == ("not_required", [])


def test_a_dpkg_that_fails_is_no_answer() -> None:
    with pytest.raises(Refusal, match="dpkg-query --show`: found it is broken"):
        reboot_of("apt", HostPrograms(dpkg_query=(2, "", "it is broken")), Files(PROCESSES))
