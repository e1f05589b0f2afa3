# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An ordinary user with sudo runs Ansible, which becomes root on all hosts: what is made on the controller is the user's."""

from __future__ import annotations

import json

import pytest

from tests.integration import ansible_on_host
from tests.integration.ansible_on_host import COLLECTION, PLACE

PLAYBOOKS = f"{PLACE}/{COLLECTION}/playbooks"
CONFIGURE = """
- hosts: control_plane
  gather_facts: false
  tasks:
    - name: Configure
      ansible.builtin.import_role: {name: vmstation.cluster.control_plane, tasks_from: configure}
"""
FIRST = "Create the directory of the kubeconfig on the controller"
# the head is that of site.yml's plays on the controller
REMOVE = """
- hosts: localhost
  gather_facts: false
  become: false
  vars: {ansible_become: false, jellyfin_host: masternode}
  tasks:
    - name: Remove
      ansible.builtin.include_role: {name: "vmstation.cluster.{{ item }}", tasks_from: data_absent}
      loop: [monitoring, jellyfin]
"""
JUDGE = """
- hosts: control_plane
  gather_facts: true
  tasks:
    - name: Judge the host
      ansible.builtin.import_role: {name: vmstation.cluster.node, tasks_from: preflight}
    - name: Show
      ansible.builtin.debug:
        msg: "{{ (hostvars | vmstation.cluster.node_identities(ansible_play_hosts))[0].product_uuid }} of {{ ansible_facts.user_id }}"
"""
UUID = "4c4c4544-0042-3510-8054-b4c04f564d31"
# of a board, where the machine of the tests has none: only root may read its tables
DMIDECODE = f"""#!/bin/sh
[ "$(id -u)" = 0 ] || {{ echo "/dev/mem: Permission denied" >&2; exit 1; }}
[ "$2" = system-uuid ] && echo {UUID}
"""


@pytest.fixture(scope="module")
def controller(lab):
    host = lab.start("ordinary", address="192.168.4.98", mac="02:00:c0:a8:04:62", image=ansible_on_host.IMAGE)
    ansible_on_host.install(host)
    host.run(["useradd", "--create-home", "--shell", "/bin/bash", "owner"])
    host.write("/etc/sudoers.d/owner", "owner ALL=(ALL) NOPASSWD: ALL\n")
    host.write(f"{PLACE}/configure.yml", CONFIGURE)
    host.write(f"{PLACE}/remove.yml", REMOVE)
    host.write(f"{PLACE}/judge.yml", JUDGE)
    host.write("/usr/sbin/dmidecode", DMIDECODE)
    host.run(["chmod", "755", "/usr/sbin/dmidecode"])
    # who keeps what Python compiles there
    host.run(["chown", "--recursive", "owner", PLACE])
    yield host
    lab.remove(host)


def run(host, *arguments: str, **variables: object) -> str:
    """What the user's `ansible-playbook` prints. masternode is the host itself. variables: of all hosts, and so of implicit localhost."""
    masternode = {"ansible_connection": "local", "ansible_host": host.address, "sleeps": False}
    inventory = f"{PLACE}/{COLLECTION}/inventory"
    host.write(f"{inventory}/hosts.yml", json.dumps({"control_plane": {"hosts": {"masternode": masternode}}, "all": {"vars": variables}}))
    words = ansible_on_host.program("ansible-playbook", "-i", inventory, *arguments)
    completed = host.run(["runuser", "--login", "owner", "--command", 'exec "$@"', "--", "sh", *words], check=False, timeout=120)
    return completed.stdout + completed.stderr


def owners(host, *paths: str) -> list[str]:
    return host.run(["stat", "--format=%U %a %n", *paths]).stdout.splitlines()


def test_the_kubeconfig_is_the_users_where_a_variable_has_all_hosts_become_root(controller):
    host = controller
    read = json.dumps({"_control_plane_admin": {"content": "YWRtaW4="}})
    told = run(host, f"{PLACE}/configure.yml", "--start-at-task", FIRST, "-e", read, ansible_become=True)
    assert owners(host, "/home/owner/.kube", "/home/owner/.kube/vmstation.config") == [
        "owner 755 /home/owner/.kube",
        "owner 600 /home/owner/.kube/vmstation.config",
    ], told
    assert host.run(["test", "-e", "/root/.kube"], check=False).returncode == 1, told


def test_the_directory_of_backups_is_the_users_where_the_run_becomes_root(controller):
    host = controller
    told = run(host, "--become", f"{PLAYBOOKS}/backup.yml", "-e", "backup_jellyfin=never")
    # there is no cluster, which only root can say
    assert "found no complete control plane of vmstation.cluster" in told, told
    assert owners(host, "/home/owner/vmstation-backups") == ["owner 700 /home/owner/vmstation-backups"], told


def test_a_play_that_becomes_nobody_on_the_controller_has_its_tasks_on_hosts_become_root(controller):
    host = controller
    host.run(["mkdir", "--parents", "/var/lib/vmstation/monitoring", "/var/lib/vmstation/alloy", "/var/lib/vmstation/jellyfin/config"])
    told = run(host, f"{PLACE}/remove.yml")
    assert "failed=0" in told, told
    assert host.run(["find", "/var/lib/vmstation", "-mindepth", "1"], check=False).stdout == "", told


def test_what_only_root_may_read_tells_hosts_apart_and_the_user_stays_who_connects(controller):
    host = controller
    source = json.dumps({"_node_source": {"installation": {"kind": "packages", "kubernetes": "1.36.4"}}, "node_preflight_fail_on": "never"})
    told = run(host, f"{PLACE}/judge.yml", "-e", source)
    uuid = host.run(["cat", "/sys/devices/virtual/dmi/id/product_uuid"], check=False).stdout.strip() or UUID
    assert f"{uuid} of owner" in told, told
