# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes from packages: a real apt repository on the controller, signed by a key of the test, and hosts whose apt verifies it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.integration.playbook_output import recap
from tests.integration.test_node_role import PLAN, PLAYBOOK
from tests.lab import Lab
from tests.lab.hosts import Host
from tests.unit.installation.sources import make_source

PORT = 8477
# the parts of the role that installing is made of
PARTS = """
- name: Install
  hosts: workers
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: vmstation.cluster.node, tasks_from: "{{ item }}"}
      loop: [preflight, kubernetes]
"""
ABSENT = """
- name: Take everything back
  hosts: workers
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: vmstation.cluster.node, tasks_from: absent}
      vars: {node_remove_programs: true}
"""
PROGRAMS = {
    "kubeadm": 'echo "v%s"',
    "kubelet": 'echo "Kubernetes v%s"',
    "kubectl": 'echo "Client Version: v%s"',
}
# has releases of its own, and is not held
CRI_TOOLS = {"cri-tools": 'echo "crictl version v%s"'}
# what the community's kubelet package has beside the program
UNIT = "[Service]\nExecStart=/usr/bin/kubelet\nRestart=always\nRestartSec=1\n[Install]\nWantedBy=multi-user.target\n"
OLDER, PINNED, NEWER = "1.36.3", "1.36.4", "1.36.5"


@dataclass
class Repository:
    """A repository of one minor version, as a directory that an HTTP server shows."""

    directory: Path
    home: Path

    def gpg(self, *arguments: str) -> str:
        argv = ["gpg", "--homedir", str(self.home), "--batch", "--quiet", "--yes", "--pinentry-mode", "loopback", "--passphrase", ""]
        return subprocess.run([*argv, *arguments], capture_output=True, text=True, check=True).stdout

    def make_key(self, name: str) -> str:
        """A new signing key; returns its fingerprint as gpg tells it. It had expired, as in its file, and was prolonged."""
        self.gpg("--faked-system-time", "20250101T000000", "--quick-generate-key", name, "rsa2048", "sign", "5m")
        made = next(line for line in self.gpg("--list-keys", "--with-colons", name).splitlines() if line.startswith("fpr")).split(":")[9]
        (self.home / f"expired-{made}.asc").write_text(self.gpg("--armor", "--export", made))
        self.gpg("--quick-set-expire", made, "1y")
        return made

    def add(self, release: str) -> None:
        for name, says in {**PROGRAMS, **CRI_TOOLS}.items():
            tree = self.home / f"{name}-{release}"
            files = {"usr/bin/" + name: f"#!/bin/sh\n{says % release}\n"}
            if name == "kubelet":
                files["lib/systemd/system/kubelet.service"] = UNIT
            for path, text in files.items():
                (tree / path).parent.mkdir(parents=True, exist_ok=True)
                (tree / path).write_text(text)
            (tree / "usr/bin" / name).chmod(0o755)
            (tree / "DEBIAN").mkdir()
            fields = (
                f"Package: {name}\nVersion: {release}-1.1\nArchitecture: amd64\nMaintainer: nobody <nobody@example.org>\nDescription: x\n"
            )
            (tree / "DEBIAN" / "control").write_text(fields)
            package = self.directory / f"{name}_{release}-1.1_amd64.deb"
            subprocess.run(["dpkg-deb", "--root-owner-group", "--build", str(tree), str(package)], capture_output=True, check=True)

    def publish(self, fingerprint: str) -> None:
        """Write the index and sign it."""
        entries = []
        for package in sorted(self.directory.glob("*.deb")):
            fields = subprocess.run(["dpkg-deb", "--field", str(package)], capture_output=True, text=True, check=True).stdout
            content = package.read_bytes()
            entries.append(f"{fields}Filename: ./{package.name}\nSize: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n")
        index = "\n".join(entries).encode()
        (self.directory / "Packages").write_bytes(index)
        (self.directory / "Release").write_text(
            f"Origin: test\nDate: {formatdate(usegmt=True)}\nSHA256:\n {hashlib.sha256(index).hexdigest()} {len(index)} Packages\n"
        )
        self.gpg("--local-user", fingerprint, "--clearsign", "--output", f"{self.directory}/InRelease", f"{self.directory}/Release")

    def show_key(self, *fingerprints: str) -> None:
        (self.directory / "Release.key").write_text(self.gpg("--armor", "--export", *fingerprints))


@pytest.fixture(scope="module")
def repository(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    root, home = tmp_path_factory.mktemp("repository"), tmp_path_factory.mktemp("gnupg")
    home.chmod(0o700)
    directory = root / "v1.36" / "deb"
    directory.mkdir(parents=True)
    # the controller's web server is not root's own directory reader only
    for part in (root, directory.parent, directory):
        part.chmod(0o755)
    server = lab.start_process(["python3", "-m", "http.server", str(PORT), "--bind", "192.168.4.1", "--directory", str(root)])
    yield Repository(directory, home)
    server.kill()
    server.wait(timeout=20)
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False, env=os.environ)


class Site:
    """One host, and a playbook that uses the role on it."""

    def __init__(self, lab: Lab, directory: Path, *, last: int = 235, image: str = "debian12", parts: str = PARTS) -> None:
        self.lab, self.directory = lab, directory
        self.host = lab.start("packages", address=f"192.168.4.{last}", mac=f"02:00:c0:a8:04:{last:02x}", image=image)
        (directory / "site.yml").write_text(PLAYBOOK)
        (directory / "parts.yml").write_text(parts)
        (directory / "absent.yml").write_text(ABSENT)

    def play(self, fingerprint: str, *arguments: str, playbook: str = "parts.yml", **variables: object) -> subprocess.CompletedProcess[str]:
        source = {"kind": "packages", "repository": f"http://192.168.4.1:{PORT}/v{{minor}}/{{format}}/", "key_fingerprint": fingerprint}
        everything = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.lab.key),
            "ansible_ssh_common_args": "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR",
            "network_plan": PLAN,
            "installation_source": source,
            "node_preflight_accept": ["encapsulation_modules_can_be_loaded", "cgroup_version_is_2"],
            "node_containerd_restrict_oom_score_adj": True,
            "node_containerd_disable_apparmor": True,
            **variables,
        }
        host = {"ansible_host": self.host.address, "ansible_python_interpreter": "/usr/bin/python3"}
        inventory = {"all": {"vars": everything, "children": {"workers": {"hosts": {"packages": host}}, "control_plane": {}}}}
        (self.directory / "hosts.json").write_text(json.dumps(inventory))
        return self.lab.run(
            ["ansible-playbook", "-i", str(self.directory / "hosts.json"), str(self.directory / playbook), *arguments],
            check=False,
            timeout=1800,
        )


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(lab, tmp_path_factory.mktemp("packages"))
    yield made
    lab.remove(made.host)


@pytest.fixture(scope="module")
def fingerprint(repository: Repository) -> str:
    """The key of the repository, which offers an older and a newer release beside the pinned one."""
    made = repository.make_key("the repository")
    for release in (OLDER, PINNED, NEWER):
        repository.add(release)
    repository.publish(made)
    repository.show_key(made)
    return made


def installed(host: Host) -> dict[str, str]:
    lines = host.run(["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Want} ${Version}\n", "kube*"], check=False).stdout
    return {line.split()[0]: " ".join(line.split()[1:]) for line in lines.splitlines() if len(line.split()) == 3}


def test_a_key_of_another_fingerprint_is_not_trusted(site: Site, repository: Repository, fingerprint: str) -> None:
    forged = repository.make_key("somebody else")
    repository.show_key(forged)
    process = site.play(fingerprint)
    assert recap(process)["packages"]["failed"] == 1
    assert f"found the key {forged}; required: the key {fingerprint}, alone" in " ".join(process.stdout.split())
    # nor one that comes along with the right one
    repository.show_key(fingerprint, forged)
    process = site.play(fingerprint)
    assert recap(process)["packages"]["failed"] == 1
    assert "found the keys " in process.stdout
    assert site.host.run(["ls", "/etc/apt/keyrings"], check=False).stdout == ""
    assert installed(site.host) == {}
    repository.show_key(fingerprint)


def test_the_pinned_release_is_installed_and_held(site: Site, fingerprint: str) -> None:
    process = site.play(fingerprint, playbook="site.yml")
    assert process.returncode == 0, process.stdout + process.stderr
    assert installed(site.host) == dict.fromkeys(PROGRAMS, f"hold {PINNED}-1.1")
    assert site.host.run(["dpkg-query", "--show", "--showformat", "${db:Status-Abbrev}", "cri-tools"]).stdout.strip() == "ii"
    upgrade = site.host.run(["apt-get", "--simulate", "--ignore-hold", "upgrade"]).stdout
    assert "kube" not in upgrade, "the pin alone keeps the newer release away"
    assert site.host.run(["systemctl", "is-enabled", "kubelet"]).stdout == "enabled\n"
    # without kubeadm's configuration it waits instead of ending again and again
    site.host.run(["systemctl", "start", "kubelet"])
    state = site.host.run(["systemctl", "show", "kubelet", "--property", "ActiveState,ConditionResult,NRestarts"]).stdout
    assert set(state.split()) == {"ActiveState=inactive", "ConditionResult=no", "NRestarts=0"}


def test_a_second_run_changes_nothing_and_needs_no_network(site: Site, repository: Repository, fingerprint: str) -> None:
    hidden = repository.directory.rename(repository.directory.with_name("hidden"))
    try:
        process = site.play(fingerprint, playbook="site.yml")
        checked = site.play(fingerprint, "--check")
    finally:
        hidden.rename(repository.directory)
    assert (process.returncode, recap(process)["packages"]["changed"]) == (0, 0), process.stdout
    assert (checked.returncode, recap(checked)["packages"]["changed"]) == (0, 0), checked.stdout


def test_an_expired_key_is_renewed(site: Site, repository: Repository, fingerprint: str) -> None:
    site.host.write("/etc/apt/keyrings/kubernetes.asc", (repository.home / f"expired-{fingerprint}.asc").read_text())
    assert "EXPKEYSIG" in site.host.run(["apt-get", "update"], check=False).stderr, "it would show nothing otherwise"
    process = site.play(fingerprint)
    assert (process.returncode, recap(process)["packages"]["changed"]) == (0, 1), process.stdout + process.stderr
    assert site.host.run(["apt-get", "update"]).stderr == ""


def test_what_was_released_from_its_hold_is_held_again(site: Site, fingerprint: str) -> None:
    site.host.run(["apt-mark", "unhold", "kubelet"])
    checked, process = site.play(fingerprint, "--check"), site.play(fingerprint)
    assert [recap(run)["packages"]["changed"] for run in (checked, process)] == [1, 1]
    assert installed(site.host)["kubelet"] == f"hold {PINNED}-1.1"


def test_another_pinned_release_of_the_same_version_replaces_it(site: Site, fingerprint: str) -> None:
    process = site.play(fingerprint, node_kubernetes_release=OLDER)
    assert process.returncode == 0, process.stdout + process.stderr
    assert installed(site.host) == dict.fromkeys(PROGRAMS, f"hold {OLDER}-1.1")


def test_a_host_without_a_node_may_get_another_version_and_a_member_may_not(site: Site, fingerprint: str) -> None:
    plan = {**PLAN, "kubernetes_version": "1.35"}
    site.host.write("/etc/kubernetes/vmstation-cluster.json", '{"cluster": "vmstation", "role": "worker"}')
    process = site.play(fingerprint, network_plan=plan, node_kubernetes_release="1.35.2")
    site.host.run(["rm", "-r", "/etc/kubernetes"])
    assert recap(process)["packages"]["failed"] == 1
    assert "installed kubelet: found 1.36.3; expected a release of 1.35" in process.stdout
    assert "playbooks/upgrade.yml" in process.stdout
    assert installed(site.host) == dict.fromkeys(PROGRAMS, f"hold {OLDER}-1.1")


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"node_kubernetes_release": "1.35.2"}, "node_kubernetes_release: found 1.35.2; expected a release of 1.36"),
        ({"installation_source": {"kind": "packages", "path": "/srv"}}, "installation_source.path: found a key of the kind directory"),
        ({"installation_source": {"kind": "registry"}}, "installation_source.kind: found 'registry'; expected packages or directory"),
    ],
)
def test_a_mixed_up_source_is_named_before_the_host_is_touched(
    site: Site, fingerprint: str, variables: dict[str, object], named: str
) -> None:
    process = site.play(fingerprint, **variables)
    counts = recap(process)["packages"]
    assert (counts["failed"], counts["changed"]) == (1, 0)
    assert named in " ".join(process.stdout.split())


def test_a_directory_is_not_installed_over_packages(site: Site, fingerprint: str, tmp_path: Path) -> None:

    source = {"kind": "directory", "path": str(make_source(tmp_path / "source"))}
    process = site.play(fingerprint, installation_source=source)
    assert recap(process)["packages"]["failed"] == 1
    assert "/usr/bin/kubelet: found of the package kubelet" in process.stdout


def test_what_the_role_did_is_taken_back_and_its_packages_with_it(site: Site, fingerprint: str) -> None:
    settings = ["sysctl", "--values", "net.ipv4.ip_forward", "net.ipv4.conf.all.accept_redirects"]
    assert site.host.run(settings).stdout.split() == ["1", "0"]
    checked = site.play(fingerprint, "--check", playbook="absent.yml")
    assert site.host.run(settings).stdout.split() == ["1", "0"]
    process = site.play(fingerprint, playbook="absent.yml")
    assert process.returncode == 0, process.stdout + process.stderr
    predicted, changed = (recap(run)["packages"]["changed"] for run in (checked, process))
    assert 0 < changed == predicted
    assert site.host.run(settings).stdout.split() == ["0", "1"]
    assert installed(site.host) == {}
    assert site.host.run(["apt-mark", "showhold"]).stdout == ""
    written = "ls /etc/apt/keyrings /etc/apt/preferences.d /etc/sysctl.d/*vmstation* /etc/modules-load.d/*vmstation* /usr/bin/kube*"
    assert site.host.run(["sh", "-c", f"{written} 2>/dev/null"], check=False).stdout.replace(":", "").split() == [
        "/etc/apt/keyrings",
        "/etc/apt/preferences.d",
    ]
    assert "kubernetes" not in site.host.run(["ls", "/etc/apt/sources.list.d", "/etc/systemd/system"]).stdout
    assert "vmstation" not in site.host.read("/etc/hosts")
    assert recap(site.play(fingerprint, playbook="absent.yml"))["packages"]["changed"] == 0
