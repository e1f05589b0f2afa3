# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role node on a host with Docker or podman: real apt and dpkg, and packages with the relations of Docker's and Debian's own."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.integration.playbook_output import flat, recap
from tests.integration.test_installation_packages import Repository, Site, repository
from tests.lab import Lab
from tests.lab.hosts import Host

__all__ = ["repository"]

PARTS = """
- name: Install the container runtime
  hosts: workers
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: vmstation.cluster.node, tasks_from: "{{ item }}"}
      loop: [preflight, runtime]
"""
ABSENT = """
- name: Remove Kubernetes' programs
  hosts: workers
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: vmstation.cluster.node, tasks_from: programs_absent}
"""
DIRECTORY = "/opt/docker"
CONFIGURATION = "/etc/containerd/config.toml"
OWN_CONFIGURATION = 'disabled_plugins = ["cri"]\n# mine\n'
UNIT = "[Service]\nExecStart=/bin/sleep infinity\nKillMode=process\n[Install]\nWantedBy=multi-user.target\n"
# as Docker's and Debian's packages have them
DOCKER = {
    "containerd.io": "Provides: containerd, runc\nConflicts: containerd, runc\nReplaces: containerd, runc\n",
    "docker-ce": "Depends: containerd.io (>= 1.7.27)\nConflicts: docker.io\n",
}
DEBIAN = {
    "docker.io": "Depends: containerd (>= 1.4~), runc (>= 1.0.0~rc8~)\nConflicts: docker-ce\n",
    "podman": "Depends: crun | runc (>= 1.0.0~rc92~)\n",
}
KUBERNETES = {"kubectl": "", "kubeadm": "", "owners-tool": "Depends: kubectl\n"}
# adds to the repository inside the image
INDEX = (
    "for deb in containerd.io docker-ce; do dpkg-deb --field $deb.deb; "
    'printf "Filename: ./%s\\nSize: %s\\nSHA256: %s\\n\\n" $deb.deb $(stat -c %s $deb.deb) $(sha256sum $deb.deb | cut -d" " -f1); '
    "done >> Packages"
)
VERSIONS = {"containerd.io": "2.2.1-1~debian.12~bookworm", "docker-ce": "5:29.1.3-1~debian.12~bookworm"}


def make(host: Host, relations: dict[str, str]) -> None:
    """Make packages of these relations on the host."""
    for name, fields in relations.items():
        tree = f"{DIRECTORY}/{name}"
        version = VERSIONS.get(name, "4.0-1")
        control = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: x <x@example.org>\n{fields}Description: x\n"
        host.run(["mkdir", "-p", f"{tree}/DEBIAN"])
        host.write(f"{tree}/DEBIAN/control", control)
        if name == "containerd.io":
            host.run(["mkdir", "-p", f"{tree}/usr/bin", f"{tree}/lib/systemd/system", f"{tree}/etc/containerd"])
            host.write(f"{tree}/usr/bin/containerd", "#!/bin/sh\necho containerd containerd.io 2.2.1 x\n")
            host.run(["chmod", "755", f"{tree}/usr/bin/containerd"])
            host.write(f"{tree}/lib/systemd/system/containerd.service", UNIT)
        host.run(["dpkg-deb", "-Znone", "--root-owner-group", "--build", tree, f"{DIRECTORY}/{name}.deb"])


def install(host: Host, *names: str) -> None:
    host.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", *names], timeout=180)


def packages(host: Host) -> str:
    return host.run(["dpkg-query", "--show", "--showformat", "${Package} ${Version} ${db:Status-Abbrev}\n"]).stdout


class DockerHost(Site):
    """One host, and the parts of the role that install the container runtime. key: the fingerprint of the repository of Kubernetes."""

    key: str

    def play(self, *arguments: str, playbook: str = "parts.yml", **variables: object) -> subprocess.CompletedProcess[str]:  # type: ignore[override]
        return super().play(self.key, *arguments, playbook=playbook, **variables)


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory, repository: Repository) -> Iterator[DockerHost]:
    made = DockerHost(lab, tmp_path_factory.mktemp("docker"))
    made.key = repository.make_key("the repository")
    repository.show_key(made.key)
    (made.directory / "parts.yml").write_text(PARTS)
    (made.directory / "absent.yml").write_text(ABSENT)
    make(made.host, {**DOCKER, **DEBIAN, **KUBERNETES})
    yield made
    lab.remove(made.host)


def refused(site: DockerHost, *removed: str, **variables: object) -> str:
    """The command that the refusal names, of a run that has changed nothing."""
    before = packages(site.host)
    process = site.play(**variables)
    counts = recap(process)["packages"]
    assert (counts["failed"], counts["changed"]) == (1, 0), process.stdout + process.stderr
    assert packages(site.host) == before
    command = re.search(r"remove them yourself with `([^`]*)`", flat(process))
    assert command, process.stdout
    assert set(command[1].split()) == {"apt-get", "remove", *removed}
    return command[1]


def test_docker_engine_stays_and_its_containerd_is_used(site: DockerHost) -> None:
    host = site.host
    install(host, f"{DIRECTORY}/containerd.io.deb", f"{DIRECTORY}/docker-ce.deb")
    host.run(["mkdir", "-p", "/etc/containerd"])
    host.write(CONFIGURATION, OWN_CONFIGURATION)
    process = site.play()
    assert process.returncode == 0, process.stdout + process.stderr
    there = packages(host)
    assert f"docker-ce {VERSIONS['docker-ce']} ii" in there
    assert f"containerd.io {VERSIONS['containerd.io']} ii" in there
    assert "\nrunc " not in there
    assert "\nsocat " in there
    kept = host.run(["sh", "-c", f"cat {CONFIGURATION}.*~"]).stdout
    assert kept == OWN_CONFIGURATION
    assert "SystemdCgroup = true" in host.read(CONFIGURATION)
    again = site.play()
    assert (again.returncode, recap(again)["packages"]["changed"]) == (0, 0), again.stdout


def test_what_would_remove_docker_is_named_and_changes_nothing(site: DockerHost) -> None:
    refused(site, "containerd.io", "docker-ce", node_containerd_package="containerd")


def test_no_task_removes_a_package_where_the_preflight_is_accepted(site: DockerHost) -> None:
    before = packages(site.host)
    process = site.play(node_containerd_package="containerd", node_preflight_fail_on="never")
    assert recap(process)["packages"]["failed"] == 1
    assert "remove is disabled" in flat(process)
    assert packages(site.host) == before


def test_docker_and_podman_of_debian_stay(site: DockerHost) -> None:
    host = site.host
    host.run(["dpkg", "--purge", "containerd.io", "docker-ce"], timeout=120)
    host.run(["rm", "-rf", "/etc/containerd"])
    install(host, f"{DIRECTORY}/docker.io.deb", f"{DIRECTORY}/podman.deb", "runc", "containerd")
    before = set(packages(host).splitlines())
    assert {"containerd", "runc", "docker.io", "podman"} <= {line.split()[0] for line in before}
    process = site.play()
    assert process.returncode == 0, process.stdout + process.stderr
    assert before <= set(packages(host).splitlines())


def test_the_way_to_a_newer_containerd_can_be_followed(site: DockerHost) -> None:
    host = site.host
    # Docker's repository
    host.run(["sh", "-c", f"cd {DIRECTORY} && cp *.deb /opt/apt/ && cd /opt/apt && {INDEX} && apt-get update -q"], timeout=120)
    command = refused(site, "containerd", "runc", "docker.io", "podman", node_containerd_package="containerd.io")
    host.run([*command.split(), "-y"], timeout=120)
    process = site.play(node_containerd_package="containerd.io")
    assert process.returncode == 0, process.stdout + process.stderr
    assert f"containerd.io {VERSIONS['containerd.io']} ii" in packages(host)


def test_containerd_goes_through_a_proxy_and_the_cluster_does_not(site: DockerHost) -> None:
    def environment() -> str:
        return site.host.run(["systemctl", "show", "containerd", "--property=Environment"]).stdout

    proxy = {"node_proxy": {"http": "http://proxy.lan:3128", "no_proxy": [".lan"]}}
    counts = [recap(site.play(*arguments, **proxy))["packages"] for arguments in (("--check",), (), ())]
    assert [one["failed"] for one in counts] == [0, 0, 0]
    # the directory of the drop-in, the drop-in, and the restart
    assert (counts[0]["changed"] > 0, counts[1]["changed"], counts[2]["changed"]) == (True, 3, 0)
    assert "HTTPS_PROXY=http://proxy.lan:3128" in environment()
    assert "10.244.0.0/16,10.96.0.0/12" in environment()
    assert recap(site.play())["packages"]["changed"] == 2
    assert "PROXY" not in environment()
    assert recap(site.play())["packages"]["changed"] == 0


def test_what_depends_on_kubernetes_packages_is_not_removed_with_them(site: DockerHost) -> None:
    host = site.host
    install(host, *(f"{DIRECTORY}/{name}.deb" for name in KUBERNETES))
    host.run(["apt-mark", "hold", "kubectl", "kubeadm"])
    before = packages(host)
    process = site.play(playbook="absent.yml")
    assert recap(process)["packages"]["failed"] == 1
    assert "owners-tool depends on kubectl" in flat(process)
    assert packages(host) == before
    host.run(["apt-get", "remove", "-y", "-q", "owners-tool"])
    process = site.play(playbook="absent.yml")
    assert process.returncode == 0, process.stdout + process.stderr
    assert not re.search("^kube", packages(host), re.MULTILINE)
