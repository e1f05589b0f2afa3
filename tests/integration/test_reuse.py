# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Someone else's playbook, outside this checkout, uses the role and each module and filter by full name from an installed archive."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.build import build
from tests.lab import Lab
from tests.lab.archive import build_and_install
from tests.lab.hosts import Host
from tests.unit.installation.sources import make_source
from tests.unit.installation.test_installation_signing_key import FINGERPRINT, PROLONGED

pytestmark = pytest.mark.kubernetes

NAME, ADDRESS, MAC = "reused", "192.168.4.241", "02:00:c0:a8:04:f1"

# groups, plan and names of their own; nothing of this project's inventory
HOSTS = {
    "kube_masters": {"hosts": {}},
    "kube_workers": {"hosts": {NAME: {"ansible_host": ADDRESS}}},
}
PLAYBOOK = """
- name: Prove the plan on the controller
  hosts: localhost
  gather_facts: false
  vars:
    my_hosts:
      - {name: reused, address: 192.168.4.241, mac: "02:00:c0:a8:04:f1", role: worker, sleeps: true}
      - {name: elsewhere, address: 192.168.4.240, role: control_plane}
    my_checks: [{check: network_plan_check, groups: [plan], result: plan}]
  tasks:
    - name: Where the collection comes from
      ansible.builtin.debug:
        msg: "collections: {{ lookup('ansible.builtin.config', 'COLLECTIONS_PATHS') }}"
    - vmstation.cluster.network_plan_check:
        plan: "{{ my_plan }}"
        hosts: "{{ my_hosts }}"
      register: plan
    - vmstation.cluster.installation_source_check:
        source: "{{ my_source }}"
        kubernetes_version: "{{ my_plan.kubernetes_version }}"
      register: source
    - vmstation.cluster.wake_on_lan:
        hosts: "{{ my_hosts | vmstation.cluster.sleeping_hosts(['reused']) }}"
        broadcast: "{{ plan.derived.broadcast }}"
        timeout: 30
    - name: Filters say what the check derives
      ansible.builtin.assert:
        that:
          - my_plan | vmstation.cluster.network_plan_trusted == plan.derived.trusted
          - my_plan | vmstation.cluster.network_plan_protected(my_hosts) | map(attribute='network') | list is superset(plan.derived.trusted)
          - my_plan | vmstation.cluster.network_plan_outside(my_hosts) | map(attribute='cidr') | list == ['0.0.0.0/0']
          - "{'msg': 'full'} | vmstation.cluster.failure_message({}) == 'full'"
          - my_plan | vmstation.cluster.network_plan_ports('worker', hosts=my_hosts) | length == plan.derived.ports.worker | length
          - hostvars | vmstation.cluster.cluster_hosts(dict(workers=groups.kube_workers)) | map(attribute='name') == ['reused']
          - plan.findings | vmstation.cluster.finding_lines | length == plan.findings | length
          - hostvars | vmstation.cluster.site_verdict([my_hosts[0]]) | first is search('not reached')
          - hostvars | vmstation.cluster.asleep_hosts == []
          - hostvars | vmstation.cluster.inventory_errors(groups, ['reused']) | first is search('no host in the group control_plane')
          - my_plan | vmstation.cluster.dns_image == 'registry.k8s.io/coredns/coredns:v1.14.2'
          - my_plan | vmstation.cluster.network_plan_service_cidrs == []
          - "'10.96.0.0/12' in (my_plan | vmstation.cluster.proxy_environment({'http': 'http://proxy.lan:3128'})).NO_PROXY"
          - "'dns, calico' | vmstation.cluster.check_groups == ['calico', 'dns']"
          - hostvars | vmstation.cluster.check_results([], ['plan'], my_checks) | map(attribute='check') == ['network_plan_check']
          - "([] | vmstation.cluster.alertmanager).wanted is false"
          - "[{'status': {}}] | vmstation.cluster.job_troubles([]) == ['it has not ended']"
          - "{'disk': true} | vmstation.cluster.node_label_errors([]) | first is search('node_labels, value of disk: found True')"
    - vmstation.cluster.check_report:
        results:
          - {group: plan, check: network_plan_check, result: "{{ plan }}"}
        plan: "{{ my_plan }}"
        derived: "{{ plan.derived }}"
        nodes: "{{ my_hosts }}"
        generated_at: "2026-01-01T00:00:00Z"
        directory: "{{ playbook_dir }}/report"
    - vmstation.cluster.corefile_check:
        corefile: "{{ my_plan | vmstation.cluster.dns_corefile }}"
        plan: "{{ my_plan }}"

- name: Judge a backup
  hosts: localhost
  gather_facts: false
  tasks:
    - vmstation.cluster.backup_archive_check:
        path: "{{ playbook_dir }}/nowhere.tar.gz"
        cluster_name: mine
      register: no_backup
      failed_when: no_backup.msg is not search('a backup that is there')
    - vmstation.cluster.backup_copy:
        directory: "{{ playbook_dir }}"
        destination: "{{ playbook_dir }}/copy"
        cluster_name: mine
      register: no_backup
      failed_when: no_backup.msg is not search('no backup of mine')
    - vmstation.cluster.private_directory:
        name: mine
        size: 1000000000000000000
      register: no_backup
      failed_when: no_backup.msg is not search('bytes free')
    - vmstation.cluster.backup_archive:
        source: "{{ playbook_dir }}/nowhere.unfinished"
        directory: "{{ playbook_dir }}"
        cluster_name: mine
      register: no_backup
      failed_when: no_backup.msg is not search('a file in')

- name: Use single modules
  hosts: kube_workers
  tasks:
    - vmstation.cluster.node_preflight_check:
        role: worker
        name: "{{ inventory_hostname }}"
        addresses: ["{{ ansible_host }}"]
        peers: "{{ hostvars | vmstation.cluster.node_identities(ansible_play_hosts) }}"
    - vmstation.cluster.nic_wake_on_lan:
        mac: "02:00:c0:a8:04:f1"
    - vmstation.cluster.kernel_settings:
        path: /etc/sysctl.d/50-mine.conf
        settings: {net.core.somaxconn: 8192}
    - vmstation.cluster.firewall_ports:
        name: mine
        ports: [{port: 8443, comment: my own}]
        confirm_within: 60
    - vmstation.cluster.package_signing_key:
        path: /etc/apt/keyrings/mine.asc
        url: file:///var/tmp/key.asc
        fingerprint: "{{ my_key }}"
    - vmstation.cluster.local_storage_check:
        paths: [{path: /etc/ssh, must_exist: true, not_empty: true, minimum_free: 1MiB}]
      register: storage
    - vmstation.cluster.host_directories:
        directories: [{path: /etc/ssh, mode: "0700"}, {path: /srv/mine, owner: 1234, group: 1234, mode: "0750", for_owner: true}]
    - vmstation.cluster.directory_archive:
        source: /etc/ssh
        destination: /root
        name: ssh
        label: mine
        keep: 1
      register: kept
      when: storage.findings | length == 0
      # each run keeps what there is then
      changed_when: false
    - vmstation.cluster.directory_restore:
        archive: "{{ kept.path }}"
        sha256: "{{ kept.sha256 }}"
        destination: /root/put-back
      when: kept is not skipped
    - vmstation.cluster.installed_programs_info:
        programs: "{{ hostvars.localhost.source.installation.programs }}"
    - vmstation.cluster.package_updates_info:
        hold: [containerd]
    - vmstation.cluster.host_diagnosis_info:
        maximum_size: 1MiB
        timeout: 60
      register: diagnosis_host
    - vmstation.cluster.diagnosis_archive:
        entries: "{{ hostvars | vmstation.cluster.diagnosis_entries(ansible_play_hosts_all) }}"
        documents: {plan: "{{ my_plan }}"}
        cluster: mine
        directory: "{{ playbook_dir }}"
      vars: {ansible_no_target_syslog: true}
      delegate_to: localhost
      # each run writes what there is then
      changed_when: false

- name: Use the role
  hosts: kube_workers
  tasks:
    - ansible.builtin.include_role:
        name: vmstation.cluster.node
      vars:
        node_network_plan: "{{ my_plan }}"
        node_cluster_hosts:
          - {name: reused, address: 192.168.4.241, role: worker}
          - {name: elsewhere, address: 192.168.4.240, role: control_plane}
        node_role: worker
        node_installation_source: "{{ my_source }}"
        node_preflight_accept: [encapsulation_modules_can_be_loaded, cgroup_version_is_2]
        node_containerd_restrict_oom_score_adj: true
        node_containerd_disable_apparmor: true

- name: Use what the role has installed
  hosts: kube_workers
  tasks:
    - vmstation.cluster.container_images:
        images: "{{ hostvars.localhost.source.installation.images.worker }}"
        directory: /nowhere
    - vmstation.cluster.containerd_registries:
        registries: [{name: mirrored.lan, mirrors: [{url: "https://mirror.lan:5000"}]}]
        # the role removes what it does not know from containerd's
        directory: /root/certs.d
"""
# these are used with a real one in tests/cluster and tests/site
NEED_A_CLUSTER = {
    "modules": {
        "alert_delivery_check", "api_address", "api_address_check", "backup_receiver", "backup_timer", "backup_timer_check",
        "calico_check", "calico_info", "calico_preflight_check", "cluster_backup", "cluster_check", "cluster_diagnosis_info",
        "cluster_dns_check", "cluster_drift_check", "cluster_health_check", "cluster_restore", "coredns_check", "etcd_members",
        "etcd_members_check", "idle_guard", "idle_watch", "jellyfin_startup_wizard", "kubeadm_control_plane",
        "kubeadm_control_plane_info", "kubeadm_join_token", "kubeadm_reset", "kubeadm_upgrade", "kubeadm_worker",
        "kubelet_approver", "kubelet_certificates", "kubelet_tls_bootstrap", "node_labels", "node_leftovers_check",
        "node_ready_check", "node_sleep_check", "patch_plan_check", "pod_network_check", "rollout_check", "service_check",
        "upgrade_plan_check", "workload_preflight_check",
    },
    "filter": {"backup_receivers", "object_changes", "calico_manifest", "calico_manifests", "idle_workers", "kubeadm_init_configuration"},
}  # fmt: skip
PLAN = {
    "node_cidr": "192.168.4.0/24",
    "gateway": "192.168.4.1",
    "pod_cidr": "172.30.0.0/16",
    "service_cidr": "10.96.0.0/12",
    "dns_service_ip": "10.96.0.10",
    "kubernetes_version": "1.36",
    "encapsulation": "VXLAN",
}


@pytest.fixture(scope="module")
def host(lab: Lab) -> Iterator[Host]:
    made = lab.start(NAME, address=ADDRESS, mac=MAC, firewall="nftables", kubernetes=True)
    made.write("/var/tmp/key.asc", PROLONGED.decode())
    yield made
    lab.remove(made)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection, built and installed without a network."""
    return build_and_install(tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="module")
def project(lab: Lab, host: Host, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Someone else's project directory."""
    directory = tmp_path_factory.mktemp("project")
    programs = {path.name: path for path in build(["kubeadm", "kubelet", "kubectl"])}
    variables = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(lab.key),
        "ansible_ssh_common_args": "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR",
        "my_plan": PLAN,
        "my_source": {"kind": "directory", "path": str(make_source(directory / "source", programs))},
        "my_key": FINGERPRINT,
    }
    (directory / "my_hosts.json").write_text(json.dumps({"all": {"vars": variables, "children": HOSTS}}))
    (directory / "my_playbook.yml").write_text(PLAYBOOK)
    (directory / "ansible.cfg").write_text("[defaults]\ninterpreter_python = auto_silent\n")
    return directory


def play(lab: Lab, installed: Path, project: Path, playbook: str = "my_playbook.yml", *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"ANSIBLE_COLLECTIONS_PATH": str(installed.parents[2]), "ANSIBLE_CONFIG": str(project / "ansible.cfg")}
    argv = ["env", "-C", str(project), "ansible-playbook", "-i", "my_hosts.json", playbook, *arguments]
    return lab.run(argv, check=False, env=environment)


def changed(process: subprocess.CompletedProcess[str]) -> dict[str, int]:
    return {name: int(count) for name, count in re.findall(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)", process.stdout, re.MULTILINE)}


@pytest.mark.parametrize("kind", ["module", "filter"])
def test_those_that_need_one_are_documented_in_the_archive(lab: Lab, installed: Path, project: Path, kind: str) -> None:
    names = sorted(NEED_A_CLUSTER["modules" if kind == "module" else kind])
    environment = {"ANSIBLE_COLLECTIONS_PATH": str(installed.parents[2]), "ANSIBLE_CONFIG": str(project / "ansible.cfg")}
    documented = lab.run(["ansible-doc", "-t", kind, "-j", *(f"vmstation.cluster.{name}" for name in names)], env=environment)
    assert sorted(json.loads(documented.stdout)) == [f"vmstation.cluster.{name}" for name in names]


def test_it_runs_from_the_archive_alone(lab: Lab, installed: Path, project: Path, host: Host) -> None:
    process = play(lab, installed, project)
    assert process.returncode == 0, process.stdout + process.stderr
    assert f"collections: ['{installed.parents[2]}']" in process.stdout.replace('"', "'").replace("''", "'")
    assert changed(process)[NAME] > 0
    rules = host.run(["nft", "list", "ruleset"]).stdout
    for port in ("8443", "10250", "4789"):
        assert port in rules
    assert "Server:" in host.run(["ctr", "--connect-timeout", "10s", "version"]).stdout


def test_again_nothing_changes(lab: Lab, installed: Path, project: Path) -> None:
    process = play(lab, installed, project)
    assert process.returncode == 0, process.stdout + process.stderr
    assert changed(process) == {"localhost": 0, NAME: 0}, process.stdout


@pytest.mark.parametrize("playbook", ["site", "wake", "restore"])
def test_playbooks_have_full_names_too(lab: Lab, installed: Path, project: Path, playbook: str) -> None:
    process = play(lab, installed, project, f"vmstation.cluster.{playbook}", "--list-tasks")
    assert process.returncode == 0, process.stdout + process.stderr
    assert "Wake sleeping hosts" in process.stdout
