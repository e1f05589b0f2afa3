# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""network_plan_check and the filters through real Ansible, on the controller alone: no lab is needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.network_plan.plans import FLAWLESS, HOSTS, SPECIFICATION, hosts, plan

CHECKOUT = Path(__file__).resolve().parents[2]
BIN = Path(sys.prefix) / "bin"

INVENTORY = """\
all:
  vars:
    ansible_connection: local
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  children:
    control_plane:
      hosts:
        masternode: {ansible_host: 192.168.4.63}
    workers:
      hosts:
        storagenodet3500: {ansible_host: 192.168.4.61, mac: "b8:ac:6f:7e:6c:9d", sleeps: true}
        homelab: {ansible_host: 192.168.4.62, mac: "d0:94:66:30:d6:63", sleeps: true}
"""
PLAYBOOK = """\
- name: Ask for all that a plan derives
  hosts: workers
  gather_facts: false
  tasks:
    - name: Prove the plan
      vmstation.cluster.network_plan_check:
        plan: "{{ network_plan }}"
        hosts: "{{ hostvars | vmstation.cluster.cluster_hosts(groups) }}"
      delegate_to: localhost
      run_once: true
      register: network

    - name: Write down what came out
      ansible.builtin.copy:
        content: >-
          {{ {'check': network,
              'hosts': hostvars | vmstation.cluster.cluster_hosts(groups),
              'ports': network_plan | vmstation.cluster.network_plan_ports(
                  'worker', hosts=hostvars | vmstation.cluster.cluster_hosts(groups), ssh_port=ansible_port | default(22)),
              'trusted': network_plan | vmstation.cluster.network_plan_trusted} | to_json }}
        dest: "{{ answer }}"
        mode: "0600"
      delegate_to: localhost
      run_once: true
"""


def run(*argv):
    return subprocess.run(
        [str(BIN / argv[0]), *argv[1:]], cwd=CHECKOUT, env={**os.environ, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def module(*options, **arguments):
    answer = run("ansible", "localhost", *options, "-m", "vmstation.cluster.network_plan_check", "-a", json.dumps(arguments))
    assert "Traceback" not in answer.stdout + answer.stderr
    verdict, _arrow, result = answer.stdout.partition("=> ")
    assert verdict.strip().endswith(f"localhost | {'FAILED!' if answer.returncode else 'SUCCESS'}")
    return answer.returncode, json.loads(result)


def playbook(directory, one_plan):
    (directory / "hosts.yml").write_text(INVENTORY)
    (directory / "play.yml").write_text(PLAYBOOK)
    variables = directory / "plan.json"
    answer = directory / "answer.json"
    variables.write_text(json.dumps({"network_plan": one_plan, "answer": str(answer)}))
    done = run("ansible-playbook", "-i", str(directory / "hosts.yml"), "-e", f"@{variables}", str(directory / "play.yml"))
    assert "Traceback" not in done.stdout + done.stderr
    return done, json.loads(answer.read_text()) if answer.exists() else None


@pytest.mark.parametrize("options", [(), ("--check", "--diff")])
def test_the_specification_passes_with_warnings_and_changes_nothing(options):
    code, result = module(*options, plan=SPECIFICATION, hosts=HOSTS)
    assert code == 0
    assert result["changed"] is False
    assert {finding["severity"] for finding in result["findings"]} == {"warning", "info"}
    assert result["derived"]["extra_service_cidrs"] == ["10.233.0.0/24"]
    [tunnel] = [port for port in result["derived"]["ports"]["worker"] if port["protocol"] == "4"]
    # from the cluster's hosts only
    assert tunnel["sources"] == [f"{host['address']}/32" for host in sorted(HOSTS, key=lambda host: host["address"])]


def test_a_failure_names_all_findings_and_still_returns_them():
    code, result = module(plan=plan(pod_cidr="10.100.0.0/16", kubernetes_version=1.3), hosts=hosts(mac="-"))
    assert code != 0
    assert result["changed"] is False
    assert {finding["rule"] for finding in result["findings"]} == {
        "pods_are_apart_from_services",
        "kubernetes_version_is_a_quoted_string",
        "macs_are_well_formed",
    }
    assert result["msg"].splitlines()[0] == "3 findings must be fixed first:"
    assert all(finding["fix"] in result["msg"] for finding in result["findings"])


@pytest.mark.parametrize(("fail_on", "fails"), [("error", False), ("warning", True), ("never", False)])
def test_fail_on_decides_whether_warnings_fail(fail_on, fails):
    code, result = module(plan=SPECIFICATION, hosts=HOSTS, fail_on=fail_on)
    assert (code != 0) == fails
    assert len(result["findings"]) > 5


def test_never_reports_errors_without_failing():
    code, result = module(plan=plan(pod_cidr="10.100.0.0/16"), fail_on="never")
    assert code == 0
    assert [finding["severity"] for finding in result["findings"]] == ["error"]


@pytest.mark.parametrize("bad", ["a word", 7, [FLAWLESS]])
def test_a_plan_of_another_shape_is_a_finding_and_no_traceback(bad):
    code, result = module(plan=bad)
    assert code != 0
    assert [finding["rule"] for finding in result["findings"]] == ["the_plan_is_a_mapping"]


def test_hosts_of_another_shape_are_a_finding_and_no_traceback():
    code, result = module(plan=FLAWLESS, hosts="homelab")
    assert code != 0
    assert [finding["rule"] for finding in result["findings"]] == ["lists_are_lists"]


def test_the_filters_answer_in_a_playbook_without_any_logic_of_its_own(tmp_path):
    done, answer = playbook(tmp_path, SPECIFICATION)
    assert done.returncode == 0, done.stdout + done.stderr
    assert answer["hosts"] == [{key: host[key] for key in host} for host in HOSTS]
    assert answer["trusted"] == ["10.244.0.0/16"]
    derived = answer["check"]["derived"]["ports"]["worker"]
    assert answer["ports"] == [{key: port[key] for key in ("port", "protocol", "sources", "comment") if key in port} for port in derived]


def test_a_filter_refuses_in_words(tmp_path):
    (tmp_path / "play.yml").write_text(
        "- hosts: localhost\n  gather_facts: false\n  tasks:\n"
        "    - ansible.builtin.debug:\n        msg: \"{{ {'encapsulation': 'ipip'} | vmstation.cluster.network_plan_ports('worker') }}\"\n"
    )
    done = run("ansible-playbook", "-i", "localhost,", "-c", "local", str(tmp_path / "play.yml"))
    assert done.returncode != 0
    assert "network_plan_ports: network_plan.node_cidr: found nothing; required: a value." in " ".join((done.stdout + done.stderr).split())
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["network_plan_ports", "network_plan_trusted", "cluster_hosts"])
def test_ansible_doc_shows_each_filter(name):
    shown = run("ansible-doc", "-t", "filter", "--json", f"vmstation.cluster.{name}")
    assert shown.returncode == 0, shown.stderr
    documented = json.loads(shown.stdout)[f"vmstation.cluster.{name}"]
    assert documented["doc"]["short_description"]
    assert documented["examples"]
    assert documented["return"]["_value"]["type"] == "list"
