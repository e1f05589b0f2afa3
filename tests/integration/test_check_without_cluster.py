# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check.yml and diagnose.yml where there is no cluster and a host is silent: what fails is told, and keeps nothing else from its turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.integration.playbook_output import recap
from tests.lab.cache import CHECKOUT

BIN = Path(sys.prefix) / "bin"
ANSWERING = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}", "sleeps": False}
ANSWERING |= {"ansible_host": "127.0.0.1"}
# nothing listens on that port
SILENT = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1, "sleeps": False}
HOSTS = {"control_plane": {"masternode": ANSWERING}, "workers": {"homelab": SILENT, "storagenodet3500": ANSWERING}}


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    groups = {group: {"hosts": hosts} for group, hosts in HOSTS.items()}
    variables = {"cluster_kubeconfig": str(tmp_path / "kubeconfig")}
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"vars": variables, "children": groups}}))
    return tmp_path / "hosts.json"


def play(playbook: str, *inventories: Path | str, **variables: object) -> subprocess.CompletedProcess[str]:
    named = [word for one in inventories for word in ("-i", str(one))]
    argv = ["ansible-playbook", *named, f"playbooks/{playbook}.yml", "-e", json.dumps(variables)]
    return subprocess.run(
        argv, capture_output=True, text=True, check=False, timeout=300, cwd=CHECKOUT,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
    )  # fmt: skip


def test_every_check_that_comes_to_no_judgement_is_a_line_of_the_report(inventory: Path, tmp_path: Path) -> None:
    groups, source = "hosts,nodes,workloads,api,calico,dns,services,drift", str(tmp_path / "unmounted")
    given = {"check_report_directory": str(tmp_path), "installation_source": {"kind": "directory", "path": source}}
    process = play("check", "inventory", inventory, check_only=groups, **given)
    assert process.returncode == 2, process.stdout + process.stderr
    lines = json.loads((tmp_path / "report.json").read_text())["lines"]
    unjudged = {line["subject"] for line in lines if line["mark"] == "error" and line["finding"].startswith("no result: kubeconfig ")}
    assert unjudged == {"cluster_check"}
    assert not [line for line in lines if line["finding"] == "the check did not run"]
    assert [line["mark"] for line in lines if line["subject"] == source] == ["unknown"]
    assert [line["fix"] for line in lines if line["subject"] == "host homelab" and line["mark"] == "error"]
    for host in ("masternode", "storagenodet3500"):
        assert [line for line in lines if line["host"] == host and line["group"] == "hosts"], host
    failed = {name: counts["failed"] for name, counts in recap(process).items()}
    assert failed == {"localhost": 0, "masternode": 1, "homelab": 0, "storagenodet3500": 0}


def test_without_a_plan_what_needs_none_is_checked_and_one_line_names_the_rest(inventory: Path, tmp_path: Path) -> None:
    process = play("check", inventory, check_report_directory=str(tmp_path))
    assert process.returncode == 2, process.stdout + process.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    (line,) = [line for line in report["lines"] if line["group"] == "plan"]
    assert (line["subject"], line["mark"]) == ("network_plan", "error")
    assert line["finding"] == "no value; not checked without it: Plan, Firewall, Calico, DNS, Services, Drift"
    assert {line["group"] for line in report["lines"]} >= {"hosts", "nodes"}
    assert not [line for line in report["lines"] if "undefined" in line["finding"] or line["finding"] == "the check did not run"]
    for host in ("masternode", "storagenodet3500"):
        assert [line for line in report["lines"] if line["host"] == host and line["group"] == "hosts"], host


def test_an_archive_has_what_could_be_had(inventory: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    process = play("diagnose", "inventory", inventory, diagnosis_directory=str(tmp_path / "out"))
    assert process.returncode == 0, process.stdout + process.stderr
    (path,) = (tmp_path / "out").iterdir()
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for host in ("masternode", "storagenodet3500"):
        assert any(name.startswith(f"hosts/{host}/") for name in names), host
    assert {"controller/network_plan.json", "controller/network_plan_check.json", "controller/hosts.json"} <= names
    assert "missing: cluster: kubeconfig" in process.stdout
    assert "missing: hosts/homelab" in process.stdout
