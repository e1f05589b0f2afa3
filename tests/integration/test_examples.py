# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples as a user runs them: with the installed archive, on hosts with a real firewall and asleep."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.playbook_output import recap
from tests.lab import Lab
from tests.lab.archive import build_and_install
from tests.lab.cache import CHECKOUT
from tests.lab.hosts import Host

WEB, NAS = "192.168.4.243", "192.168.4.244"
NAS_MAC = "02:00:c0:a8:04:f4"
JOB = "[Service]\nType=oneshot\nExecStart=/usr/bin/touch /root/backed-up\n"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_and_install(tmp_path_factory.mktemp("installed"))


@pytest.fixture
def web(lab: Lab) -> Iterator[Host]:
    host = lab.start("web", address=WEB, mac="02:00:c0:a8:04:f3", firewall="nftables")
    yield host
    lab.remove(host)


@pytest.fixture
def nas(lab: Lab) -> Iterator[Host]:
    host = lab.start("nas", address=NAS, mac=NAS_MAC)
    host.write("/etc/systemd/system/backup.service", JOB)
    host.stop()
    yield host
    lab.remove(host)


def play(lab: Lab, installed: Path, directory: Path, example: str, *arguments: str) -> dict[str, dict[str, int]]:
    """An example with the collection of the archive, in a directory with nothing but an inventory; returns the counts of each host."""
    connection = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(lab.key),
        "ansible_ssh_common_args": "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR",
    }
    hosts = {"web": {"hosts": {"one": {"ansible_host": WEB}}}, "storage": {"hosts": {"nas": {"ansible_host": NAS, "mac": NAS_MAC}}}}
    (directory / "hosts.json").write_text(json.dumps({"all": {"vars": connection, "children": hosts}}))
    (directory / "ansible.cfg").write_text("[defaults]\ninterpreter_python = auto_silent\n")
    environment = {"ANSIBLE_COLLECTIONS_PATH": str(installed.parents[2]), "ANSIBLE_CONFIG": str(directory / "ansible.cfg")}
    argv = ["env", "-C", str(directory), "ansible-playbook", "-i", "hosts.json", str(CHECKOUT / "examples" / example), *arguments]
    process = lab.run(argv, check=False, env=environment)
    assert process.returncode == 0, process.stdout + process.stderr
    return recap(process)


def test_a_web_server_opens_its_ports_once(lab: Lab, installed: Path, web: Host, tmp_path: Path) -> None:
    assert play(lab, installed, tmp_path, "web_server.yml", "--check")["one"]["changed"] == 1
    assert play(lab, installed, tmp_path, "web_server.yml")["one"]["changed"] == 1
    rules = web.run(["nft", "list", "ruleset"]).stdout
    assert all(port in rules for port in ("80", "443", "9113"))
    assert play(lab, installed, tmp_path, "web_server.yml")["one"]["changed"] == 0


def test_a_backup_job_runs_on_a_host_that_was_asleep(lab: Lab, installed: Path, nas: Host, tmp_path: Path) -> None:
    assert not nas.is_up()
    assert play(lab, installed, tmp_path, "backup_job.yml")["nas"]["failed"] == 0
    assert nas.run(["test", "-e", "/root/backed-up"]).returncode == 0
