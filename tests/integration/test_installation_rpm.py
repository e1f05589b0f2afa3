# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes from rpm packages: a host with RHEL's dnf and rpm, signed repositories on the controller, and a key that expires."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.playbook_output import flat, recap
from tests.integration.rpm_repository import RpmRepositories
from tests.integration.test_installation_packages import PORT, Site
from tests.lab import Lab
from tests.lab.hosts import Host

# it needs an image of its own
pytestmark = pytest.mark.thorough

PARTS = """
- name: Install
  hosts: workers
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: vmstation.cluster.node, tasks_from: "{{ item }}"}
      loop: [preflight, runtime, kubernetes]
"""
KUBERNETES, DOCKER = "v1.36/rpm", "docker/rhel/10/x86_64/stable"
PROGRAMS = {"kubeadm": "v%s", "kubelet": "Kubernetes v%s", "kubectl": "Client Version: v%s"}
PINNED, NEWER = "1.36.4", "1.36.5"
KEY = "/etc/pki/rpm-gpg/RPM-GPG-KEY-kubernetes"
# as the owner has it: no word of what to do when it is out of reach
DOCKER_REPO = f"""\
[docker]
name=Docker
baseurl=http://192.168.4.1:{PORT}/{DOCKER}/
gpgcheck=1
gpgkey=http://192.168.4.1:{PORT}/{DOCKER}/repodata/repomd.xml.key
"""
# each place that keeps the key gets it in one state: its file, rpm's database, and, when it reads the metadata next, dnf's cache
GIVE_KEY = f"""
cp /root/$1.asc {KEY}
rpm --query gpg-pubkey | xargs rpm --erase
rpmkeys --import {KEY}
rm -rf /var/cache/dnf/kubernetes-*/pubring
dnf --assumeyes --quiet --refresh --repo=kubernetes makecache || true
"""


def add_release(repositories: RpmRepositories, release: str) -> None:
    for name, says in PROGRAMS.items():
        repositories.add(KUBERNETES, name, release, says % release, header="Requires: iptables" if name == "kubelet" else "")
    repositories.add(KUBERNETES, "crictl", release, f"crictl version v{release}", package="cri-tools")
    repositories.publish(KUBERNETES)
    repositories.show_key(KUBERNETES, "prolonged")


@pytest.fixture(scope="module")
def repositories(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RpmRepositories]:
    root = tmp_path_factory.mktemp("rpms")
    made = RpmRepositories(lab, root)
    add_release(made, PINNED)
    made.add(DOCKER, "containerd", "2.2.1", "containerd github.com/containerd/containerd/v2 v2.2.1 x", package="containerd.io")
    made.add(DOCKER, "k9s", "1", "x", header="Requires: kubectl")
    made.publish(DOCKER)
    made.show_key(DOCKER, "prolonged")
    (root / "docker" / "rhel" / "gpg").write_text((root / "prolonged.asc").read_text())
    server = lab.start_process(["python3", "-m", "http.server", str(PORT), "--bind", "192.168.4.1", "--directory", str(root)])
    yield made
    server.kill()
    server.wait(timeout=20)


@pytest.fixture(scope="module")
def site(lab: Lab, repositories: RpmRepositories, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(lab, tmp_path_factory.mktemp("rpm"), last=236, image="rhel10", parts=PARTS)
    for state in ("ended", "soon", "prolonged"):
        made.host.write(f"/root/{state}.asc", (repositories.root / f"{state}.asc").read_text())
    yield made
    lab.remove(made.host)


def changed(process: subprocess.CompletedProcess[str]) -> int:
    assert process.returncode == 0, process.stdout + process.stderr
    return recap(process)["packages"]["changed"]


def installed(host: Host) -> dict[str, str]:
    names = [*PROGRAMS, "containerd.io"]
    lines = host.run(["rpm", "--query", "--queryformat", "%{NAME} %{VERSION}\n", *names], check=False).stdout.splitlines()
    return dict(line.split() for line in lines if len(line.split()) == 2)


def dnf(host: Host, *arguments: str) -> subprocess.CompletedProcess[str]:
    return host.run(["dnf", "--assumeyes", *arguments], check=False, timeout=120)


@contextmanager
def without_network(site: Site, repositories: RpmRepositories) -> Iterator[None]:
    """No repository answers, and what dnf has read of them is three days old."""
    hidden = [(repositories.root / name, repositories.root / f"hidden-{name}") for name in ("v1.36", "docker")]
    for path, other in hidden:
        path.rename(other)
    site.host.run(["sh", "-c", "find /var/cache/dnf/*/repodata /var/cache/dnf/*.solv -exec touch -d '3 days ago' {} +"])
    try:
        yield
    finally:
        for path, other in hidden:
            other.rename(path)


ALL = {**dict.fromkeys(PROGRAMS, PINNED), "containerd.io": "2.2.1"}


def test_a_package_that_no_repository_has_is_named_before_anything_is_changed(site: Site, repositories: RpmRepositories) -> None:
    process = site.play(repositories.fingerprint)
    assert (recap(process)["packages"]["failed"], recap(process)["packages"]["changed"]) == (1, 0), process.stdout
    assert "Unable to find a match: containerd.io" in flat(process), process.stdout
    assert "Set node_containerd_source to docker" in flat(process)


def test_dockers_repository_is_added_with_its_key_and_no_other(site: Site, repositories: RpmRepositories) -> None:
    docker = {"node_containerd_source": "docker", "node_containerd_repository": f"http://192.168.4.1:{PORT}/docker"}
    wrong = site.play(repositories.fingerprint, **docker)
    assert recap(wrong)["packages"]["failed"] == 1
    assert "060A61C51B558A7F742B77AAC52FEB6B621E9F35" in flat(wrong).replace(" ", ""), wrong.stdout
    assert "vmstation" not in site.host.run(["ls", "/etc/yum.repos.d", "/etc/pki/rpm-gpg"]).stdout
    docker["node_containerd_key_fingerprint"] = repositories.fingerprint
    assert changed(site.play(repositories.fingerprint, "--check", **docker)) > 0
    assert changed(site.play(repositories.fingerprint, **docker)) > 0
    assert installed(site.host) == ALL
    assert site.host.run(["crictl", "--version"]).stdout.strip() == f"crictl version v{PINNED}"
    assert changed(site.play(repositories.fingerprint, **docker)) == 0
    assert dnf(site.host, "remove", "cri-tools", *ALL).returncode == 0
    site.host.run(
        ["sh", "-c", "rm /etc/yum.repos.d/*docker* /etc/yum.repos.d/kubernetes.repo /etc/pki/rpm-gpg/RPM-GPG-KEY-*; dnf clean all"]
    )
    site.host.run(["sh", "-c", "rpm --query gpg-pubkey | xargs rpm --erase"])
    site.host.write("/etc/yum.repos.d/docker.repo", DOCKER_REPO)


def test_check_mode_runs_to_its_end_on_a_bare_host(site: Site, repositories: RpmRepositories) -> None:
    assert changed(site.play(repositories.fingerprint, "--check")) > 0
    assert installed(site.host) == {}
    assert site.host.run(["ls", "/etc/yum.repos.d", "/etc/pki/rpm-gpg"]).stdout.split() == [
        *("/etc/pki/rpm-gpg:", "/etc/yum.repos.d:", "docker.repo", "redhat.repo"),
    ]


def test_the_pinned_release_is_installed_and_a_second_run_changes_nothing(site: Site, repositories: RpmRepositories) -> None:
    assert changed(site.play(repositories.fingerprint)) > 0
    assert installed(site.host) == ALL
    assert changed(site.play(repositories.fingerprint)) == 0


def test_a_package_is_held_and_a_host_without_a_network_keeps_working(site: Site, repositories: RpmRepositories) -> None:
    hold = ("-e", "node_hold_packages=true")
    assert changed(site.play(repositories.fingerprint, *hold)) > 0
    assert "containerd.io-0:2.2.1" in site.host.read("/etc/dnf/plugins/versionlock.list")
    with without_network(site, repositories):
        assert dnf(site.host, "install", "kubectl").returncode == 1, "it would show nothing otherwise"
        process = site.play(repositories.fingerprint, *hold)
    assert changed(process) == 0


def test_a_release_that_is_newer_than_the_metadata_is_found(site: Site, repositories: RpmRepositories) -> None:
    assert dnf(site.host, "makecache").returncode == 0
    add_release(repositories, NEWER)
    assert dnf(site.host, "--disableexcludes=all", "install", f"kubeadm-{NEWER}").returncode == 1, "it would show nothing otherwise"
    assert changed(site.play(repositories.fingerprint, node_kubernetes_release=NEWER)) > 0
    assert installed(site.host) == {**ALL, **dict.fromkeys(PROGRAMS, NEWER)}
    assert changed(site.play(repositories.fingerprint)) > 0
    assert installed(site.host) == ALL


def test_a_key_that_expires_soon_is_replaced_everywhere(site: Site, repositories: RpmRepositories) -> None:
    site.host.run(["sh", "-c", GIVE_KEY, "sh", "soon"])
    checked, process = site.play(repositories.fingerprint, "--check"), site.play(repositories.fingerprint)
    assert (changed(checked), changed(process)) == (1, 1)
    assert site.host.read(KEY) == site.host.read("/root/prolonged.asc")
    assert site.host.run(["rpm", "--query", "gpg-pubkey"], check=False).stdout == "package gpg-pubkey is not installed\n"
    ends = "gpg --with-colons $1 | awk -F: '/^pub/ { print $7 }'"
    read_again = site.host.run(["sh", "-c", ends, "sh", "--list-keys --homedir /var/cache/dnf/kubernetes-*/pubring"]).stdout
    assert read_again == site.host.run(["sh", "-c", ends, "sh", "--show-keys /root/prolonged.asc"]).stdout
    assert changed(site.play(repositories.fingerprint)) == 0


def test_a_key_that_has_expired_stops_no_other_package_and_is_replaced(site: Site, repositories: RpmRepositories) -> None:
    site.host.run(["sh", "-c", GIVE_KEY, "sh", "ended"])
    other = dnf(site.host, "install", "container-selinux")
    assert other.returncode == 0, other.stdout + other.stderr
    # as earlier releases of the role wrote it: the first package task meets a repository that stops dnf
    site.host.run(["sed", "-i", "/skip_if_unavailable/d", "/etc/yum.repos.d/kubernetes.repo"])
    site.host.run(["rpm", "--erase", "kubectl", "conntrack-tools"])
    assert "Bad GPG signature" in dnf(site.host, "install", "conntrack-tools").stderr
    # dnf has to verify the repository's metadata and a package of it
    assert changed(site.play(repositories.fingerprint)) > 0
    assert installed(site.host) == ALL


def test_a_key_that_nobody_has_prolonged_stops_nothing_that_is_installed(site: Site, repositories: RpmRepositories) -> None:
    site.host.run(["sh", "-c", GIVE_KEY, "sh", "ended"])
    repositories.show_key(KUBERNETES, "ended")
    process = site.play(repositories.fingerprint)
    site.host.run(["rpm", "--erase", "kubectl"])
    refused = site.play(repositories.fingerprint)
    repositories.show_key(KUBERNETES, "prolonged")
    assert changed(process) == 0
    warned = f"{KEY}: found a key that expired on 2025-05-31; required: a key that is valid for longer."
    assert warned in " ".join(f"{process.stdout} {process.stderr}".split())
    assert recap(refused)["packages"]["failed"] == 1
    assert "Bad GPG signature" in refused.stdout, "the reason is told"


def test_a_missing_key_file_stops_no_other_package_and_comes_back(site: Site, repositories: RpmRepositories) -> None:
    site.host.run(["sh", "-c", f"rm -r {KEY} /var/cache/dnf/*; rpm --erase conntrack-tools"])
    other = dnf(site.host, "install", "conntrack-tools")
    assert other.returncode == 0, other.stdout + other.stderr
    site.host.run(["rpm", "--erase", "conntrack-tools"])
    assert changed(site.play(repositories.fingerprint)) > 0
    assert installed(site.host) == ALL


def test_no_package_is_removed_for_depending_on_one_of_kubernetes(site: Site, repositories: RpmRepositories) -> None:
    assert dnf(site.host, "install", "k9s").returncode == 0
    process = site.play(repositories.fingerprint, playbook="absent.yml")
    assert recap(process)["packages"]["failed"] == 1
    assert "Kubernetes' packages: found k9s-1-1.1.noarch; required: no other package" in flat(process)
    assert installed(site.host) == ALL
    site.host.run(["rpm", "--erase", "k9s"])


def test_what_the_role_did_is_taken_back_and_dnf_forgets_the_repository(site: Site, repositories: RpmRepositories) -> None:
    assert "gpg-pubkey" in site.host.run(["rpm", "--query", "gpg-pubkey"]).stdout
    checked = site.play(repositories.fingerprint, "--check", playbook="absent.yml")
    assert installed(site.host) == ALL
    process = site.play(repositories.fingerprint, playbook="absent.yml")
    assert 0 < changed(checked) == changed(process)
    assert installed(site.host) == {"containerd.io": "2.2.1"}
    left = "rpm --query gpg-pubkey; ls -d /var/cache/dnf/*ubernetes* /etc/yum.repos.d/kubernetes* /etc/pki/rpm-gpg/* 2>/dev/null"
    assert site.host.run(["sh", "-c", left], check=False).stdout == "package gpg-pubkey is not installed\n"
