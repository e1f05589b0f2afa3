# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What patch.yml does on one host, with a real apt and a real dnf: updates are found and made, and what is held or changed stays."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._host.files import LocalFiles
from ansible_collections.vmstation.cluster.plugins.module_utils._patch.host import system_of
from ansible_collections.vmstation.cluster.plugins.module_utils._patch.packages import System, a_reboot_ends

from tests.integration.offered_packages import Package, install, offer, versions
from tests.integration.playbook_output import flat, recap
from tests.integration.rpm_repository import RpmRepositories
from tests.lab import Lab
from tests.lab.cache import CHECKOUT
from tests.lab.hosts import Host

HELD = ["containerd", "containerd.io", "cri-tools", "kubeadm", "kubectl", "kubelet", "kubernetes-cni"]
PLAYBOOK = f"""
- name: Update
  hosts: all
  gather_facts: false
  vars:
    _patch_hold: "{{{{ patch_hold | default({HELD}) }}}}"
    _patch_timeout: "{{{{ patch_timeout | default(60) }}}}"
    _patch_environment: {{}}
  tasks:
    - vmstation.cluster.package_updates_info:
        hold: "{{{{ _patch_hold }}}}"
        timeout: "{{{{ _patch_timeout }}}}"
      register: patch_packages
    - ansible.builtin.copy:
        content: "{{{{ patch_packages | to_json }}}}"
        dest: "{{{{ playbook_dir }}}}/found.json"
        mode: "0600"
      delegate_to: localhost
      check_mode: false
      changed_when: false
    - ansible.builtin.command: {{argv: [systemd-run, --quiet, sh, -c, "{{{{ meanwhile }}}}"]}}
      when: meanwhile is defined
    - ansible.builtin.wait_for: {{path: /srv/waits}}
      when: meanwhile is defined
    - ansible.builtin.include_tasks: "{CHECKOUT}/playbooks/tasks/update_packages_{{{{ patch_packages.manager }}}}.yml"
      when: patch_packages.updates | length > 0
"""
# Newer than those of the image. helper is new, and a kernel is one by the name of its package
OLDER = [Package(name, "8") for name in ("tool", "containerd", "kubelet", "linux-image-lab", "mine")]
HELPER = Package("helper", "1")
NEWER = [Package("tool", "9", depends="helper"), *(Package(package.name, "9") for package in OLDER[1:]), HELPER]

# of a package's postinst: it goes on after this file is there
WAITS = "touch /srv/waits; while [ ! -e /srv/goes-on ]; do sleep 0.2; done"
INSTALL_SLOW = ["dpkg", "--install", "/srv/offered/slow_1_all.deb"]
# of the host's owner
OWN = "Package: containerd\nPin: version 9\nPin-Priority: 1001\n"


class Updated:
    """One host, and the playbook that updates it."""

    def __init__(self, lab: Lab, host: Host, directory: Path) -> None:
        self.lab, self.host, self.directory = lab, host, directory
        (directory / "update.yml").write_text(PLAYBOOK)
        variables = {
            "ansible_host": host.address,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(lab.key),
            "ansible_ssh_common_args": "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR",
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        (directory / "hosts.json").write_text(json.dumps({"all": {"hosts": {host.name: variables}}}))

    def wait_for(self, path: str) -> None:
        self.lab.wait_for(lambda: self.host.run(["test", "-e", path], check=False).returncode == 0, f"{path} on {self.host.name}", 60)

    def argv(self, *arguments: str) -> list[str]:
        return ["ansible-playbook", "-i", str(self.directory / "hosts.json"), str(self.directory / "update.yml"), *arguments]

    def play(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.lab.run(self.argv(*arguments), check=False, timeout=300)

    def found(self, *arguments: str, changed: bool) -> dict[str, object]:
        """What the module has found before the update."""
        self.shown = self.play(*arguments)
        assert self.shown.returncode == 0, self.shown.stdout + self.shown.stderr
        assert (recap(self.shown)[self.host.name]["changed"] > 0) is changed, self.shown.stdout
        return json.loads((self.directory / "found.json").read_text())


@pytest.fixture(scope="module")
def debian(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Updated]:
    host = lab.start("patched", address="192.168.4.237", mac="02:00:c0:a8:04:ed")
    install(host, *OLDER)
    time.sleep(1)  # btime of /proc/stat has whole seconds
    host.reboot()
    host.run(["apt-mark", "hold", "kubelet", "mine"])
    host.run(["sh", "-c", r'{ printf "# M\374ller\n"; cat; } > /etc/apt/preferences'], stdin=OWN)
    offer(host, *NEWER)
    yield Updated(lab, host, tmp_path_factory.mktemp("patch"))
    lab.remove(host)


def test_check_mode_finds_the_updates_and_changes_nothing(debian: Updated) -> None:
    before = versions(debian.host, *NEWER)
    found = debian.found("--check", "--diff", changed=True)
    assert sorted(tuple(update.values()) for update in found["updates"]) == [("helper", "1"), ("linux-image-lab", "9"), ("tool", "9")]
    assert "linux-image-lab" in debian.shown.stdout and not re.search(r"\b(containerd|kubelet)\b", debian.shown.stdout)
    assert (found["kept_back"], found["reboot"]) == (["mine"], "not_required")
    # a container on the machine of the controller, with the same kernel
    host, controller = System(**found["system"]), system_of(LocalFiles())
    assert host.boot_id == controller.boot_id and not a_reboot_ends(controller, host) and a_reboot_ends(controller, controller)
    assert versions(debian.host, *NEWER) == before == {package.name: "8" for package in OLDER}


def test_updates_are_made_and_what_is_held_or_changed_is_kept(debian: Updated) -> None:
    debian.host.write("/etc/tool.conf", "mine\n")
    debian.found(changed=True)
    assert versions(debian.host, *NEWER) == {
        "tool": "9",
        "linux-image-lab": "9",
        "helper": "1",
        "containerd": "8",
        "kubelet": "8",
        "mine": "8",
    }
    assert (debian.host.read("/etc/tool.conf"), debian.host.read("/etc/linux-image-lab.conf")) == ("mine\n", "9\n")
    assert "vmstation-patch" not in debian.host.run(["ls", "/etc/apt/preferences.d", "/run"]).stdout
    assert "Inst containerd [8] (9 " in debian.host.run(["apt-get", "--simulate", "upgrade"]).stdout, "it would show nothing otherwise"


def test_a_second_run_finds_none_and_a_required_reboot(debian: Updated) -> None:
    found = debian.found(changed=False)
    assert (found["updates"], found["reboot"], found["reboot_reasons"]) == ([], "required", ["linux-image-lab"])


def test_names_in_a_text_are_held_too(debian: Updated) -> None:
    """As `-e patch_hold=...` passes them."""
    offer(debian.host, Package("helper", "2"))
    found = debian.found("-e", f"patch_hold={','.join(HELD)}", changed=True)
    assert (found["hold"], found["updates"]) == (HELD, [{"name": "helper", "version": "2"}])
    assert versions(debian.host, HELPER, *OLDER[1:3]) == {"helper": "2", "containerd": "8", "kubelet": "8"}


def test_after_a_loss_of_power_the_interrupted_update_is_completed_and_no_reboot_is_required(debian: Updated) -> None:
    """A package is unpacked and not configured, and dpkg's journal is not empty."""
    offer(debian.host, Package("helper", "3"))
    debian.host.run(["dpkg", "--unpack", "/srv/offered/helper_3_all.deb"])
    debian.host.run(["sh", "-c", "dpkg-query --status helper > /var/lib/dpkg/updates/0001"])
    debian.host.lose_power()
    debian.host.boot()
    assert versions(debian.host, HELPER) == {}
    found = debian.found(changed=True)
    assert ([update["name"] for update in found["updates"]], found["reboot"]) == (["helper"], "not_required")
    assert versions(debian.host, HELPER) == {"helper": "3"}


def test_an_update_that_was_killed_leaves_nothing_that_keeps_other_programs_from_installing_what_is_held(debian: Updated) -> None:
    offer(debian.host, Package("helper", "4", postinst=WAITS))
    process = debian.lab.start_process(debian.argv())
    debian.wait_for("/srv/waits")
    policy = ["apt-cache", "policy", "containerd", "kubelet"]
    assert debian.host.run(policy).stdout.count("Candidate: 9") == 2
    debian.host.lose_power()
    process.communicate(timeout=120)
    debian.host.boot()
    debian.host.run(["touch", "/srv/goes-on"])
    assert debian.host.run(policy).stdout.count("Candidate: 9") == 2
    debian.found(changed=True)
    assert versions(debian.host, HELPER) == {"helper": "4"}


def test_another_installation_is_waited_for_and_named(debian: Updated) -> None:
    """As apt-daily-upgrade.timer starts one on a host that was woken."""
    offer(debian.host, Package("slow", "1", postinst=WAITS), Package("helper", "5"))
    debian.host.run(["rm", "-f", "/srv/waits", "/srv/goes-on"])
    debian.host.run(["systemd-run", "--quiet", *INSTALL_SLOW])
    debian.wait_for("/srv/waits")
    process = debian.play("-e", "patch_timeout=3")
    words = r"dpkg: found locked by dpkg \(process \d+\), after 3 s; required: no other process that installs packages\."
    assert process.returncode == 2 and re.search(words, flat(process)), process.stdout
    debian.host.run(["systemd-run", "--quiet", "sh", "-c", "sleep 8; touch /srv/goes-on"])
    assert [update["name"] for update in debian.found(changed=True)["updates"]] == ["helper"]
    assert versions(debian.host, HELPER, Package("slow", "1")) == {"helper": "5", "slow": "1"}


def test_an_installation_that_begins_after_the_plan_is_waited_for_too(debian: Updated) -> None:
    offer(debian.host, Package("slow", "2", postinst=WAITS), Package("helper", "6"))
    debian.host.run(["rm", "-f", "/srv/waits", "/srv/goes-on"])
    meanwhile = f"(sleep 12; touch /srv/goes-on) & {' '.join(INSTALL_SLOW)}".replace("slow_1", "slow_2")
    process = debian.play("-e", json.dumps({"meanwhile": meanwhile, "patch_hold": [*HELD, "slow"], "patch_timeout": 5}))
    words = "dpkg: found dpkg: error: dpkg frontend lock was locked by another process"
    assert process.returncode == 2 and words in flat(process), process.stdout
    debian.host.run(["rm", "/srv/waits"])
    debian.wait_for("/srv/goes-on")
    debian.host.run(["rm", "/srv/goes-on"])
    offer(debian.host, Package("slow", "3", postinst=WAITS))
    debian.found("-e", json.dumps({"meanwhile": meanwhile.replace("slow_2", "slow_3"), "patch_hold": [*HELD, "slow"]}), changed=True)
    assert versions(debian.host, HELPER, Package("slow", "3")) == {"helper": "6", "slow": "3"}


@pytest.mark.thorough  # as tests/unit/patch has it of a host
def test_a_repository_that_does_not_answer_is_named(debian: Updated) -> None:
    debian.host.write("/etc/apt/sources.list.d/away.list", "deb [trusted=yes] http://127.0.0.1:9/ ./\n")
    process = debian.play()
    debian.host.run(["rm", "/etc/apt/sources.list.d/away.list"])
    assert recap(process)["patched"]["failed"] == 1
    assert "package lists: found E: Failed to fetch http://127.0.0.1:9/" in flat(process), process.stdout


# dnf. It prints the columns of a long name over several lines
LONG = "a-package-whose-name-is-longer-than-a-line-of-the-table-of-dnf-which-continues-in-the-next-one"
RPMS = ("tool", "containerd.io", "linux-firmware", LONG)
REPOSITORY = "[offered]\nname=Offered\nbaseurl=http://192.168.4.1:8478/offered/\ngpgcheck=0\n"


@pytest.fixture
def rhel(lab: Lab, tmp_path: Path) -> Iterator[Updated]:
    root = tmp_path / "repositories"
    root.mkdir()
    repositories = RpmRepositories(lab, root)
    for name in RPMS:
        repositories.add("offered", name, "8", "x")
    repositories.publish("offered")
    server = lab.start_process(["python3", "-m", "http.server", "8478", "--bind", "192.168.4.1", "--directory", str(root)])
    host = lab.start("patched-rpm", address="192.168.4.234", mac="02:00:c0:a8:04:ea", image="rhel10")
    host.write("/etc/yum.repos.d/offered.repo", REPOSITORY)
    host.run(["dnf", "--assumeyes", "install", *RPMS], timeout=180)
    repositories.add("offered", "helper", "1", "x")
    for name in RPMS:
        repositories.add("offered", name, "9", "x", header="Requires: helper" if name == "tool" else "")
    repositories.publish("offered")
    yield Updated(lab, host, tmp_path)
    lab.remove(host)
    server.kill()
    server.wait(timeout=20)


def rpms(host: Host) -> dict[str, str]:
    lines = host.run(["rpm", "--query", "--queryformat", "%{NAME} %{VERSION}\n", *RPMS, "helper"], check=False).stdout.splitlines()
    return dict(line.split() for line in lines if len(line.split()) == 2)


@pytest.mark.thorough  # it needs an image of its own
def test_dnf_updates_what_is_not_held(rhel: Updated) -> None:
    rhel.host.reboot()
    found = rhel.found("--check", changed=True)
    assert sorted(tuple(update.values()) for update in found["updates"]) == sorted(
        [("helper", "1-1.1"), *((name, "9-1.1") for name in RPMS if name != "containerd.io")]
    )
    assert (found["kept_back"], found["reboot"]) == ([], "not_required")
    assert rpms(rhel.host) == dict.fromkeys(RPMS, "8")
    assert rhel.found(changed=True)["updates"] == found["updates"]
    assert rpms(rhel.host) == {**dict.fromkeys(RPMS, "9"), "containerd.io": "8", "helper": "1"}
    again = rhel.found(changed=False)
    assert (again["updates"], again["reboot"], again["reboot_reasons"]) == ([], "required", ["linux-firmware"])
