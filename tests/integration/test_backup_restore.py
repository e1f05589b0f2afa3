# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""backup.yml and restore.yml with a real control plane: wiped and restored, killed anywhere, and damaged backups refused."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.keeping import check
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import HostCommands
from ansible_collections.vmstation.cluster.plugins.module_utils._io.encryption import Gpg
from ansible_collections.vmstation.cluster.plugins.module_utils._io.local_packing import LocalPacking

from tests.cluster.source import make_source
from tests.integration import kubernetes_nodes
from tests.integration.playbook_output import flat, recap
from tests.integration.test_control_plane_role import NAME, Site
from tests.lab import Lab
from tests.lab.cache import CHECKOUT
from tests.lab.say import LabError, say
from tests.rounds import rounds

pytestmark = pytest.mark.kubernetes
KILLS = rounds(2, 25)
KILLED_RESTORES = rounds(1, 10)
KINDS = "namespaces,configmaps,secrets,serviceaccounts,services,deployments,clusterroles"
PASSWORD = "/etc/vmstation/grafana-admin-password"
OBJECTS: list[dict[str, Any]] = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kept"}},
    *({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"kept-{n}", "namespace": "kept"}} for n in range(30)),
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "kept", "namespace": "kept"}, "stringData": {"key": "value"}},
]  # fmt: skip


class Backups:
    """The control plane of another test, its backups, and the playbooks."""

    def __init__(self, site: Site) -> None:
        self.site, self.host = site, site.host
        self.directory = site.directory / "backups"
        self.passphrase = site.directory / "passphrase"
        self.passphrase.write_text("a long one\n")
        self.passphrase.chmod(0o600)
        self.seconds = 10.0
        self.common = {"backup_directory": str(self.directory), "backup_passphrase_file": str(self.passphrase), "backup_keep": 2}
        self.common |= {"confirm": "trial", "node_cni_bin_dir": "/usr/lib/cni"}

    def argv(self, playbook: str, **variables: object) -> list[str]:
        inventory = str(self.site.directory / "hosts.json")
        path = CHECKOUT / "playbooks" / f"{playbook}.yml"
        return ["ansible-playbook", "-i", inventory, str(path), "-e", json.dumps({**self.common, **variables})]

    def play(self, playbook: str, **variables: object) -> subprocess.CompletedProcess[str]:
        started = time.monotonic()
        process = self.site.lab.run(self.argv(playbook, **variables), check=False, timeout=600)
        self.seconds = time.monotonic() - started
        say(f"{playbook}.yml: status {process.returncode}, {self.seconds:.0f} s")
        return process

    def play_and_kill(self, playbook: str, after: float) -> None:
        """Kill Ansible with what it started here, and our modules with what they started on the host, as a power loss does."""
        lab = self.site.lab
        process = subprocess.Popen(
            lab.inside(self.argv(playbook)), env=lab.environment(), cwd=CHECKOUT, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(after)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        self.host.run(["sh", "-c", "pkill -KILL -x python3; pkill -KILL -x ctr"], check=False)
        process.wait()
        lab.close_connections()

    def named(self) -> list[Path]:
        """The backups by their final names."""
        return sorted(path for path in self.directory.iterdir() if not path.name.startswith("."))

    def findings(self, path: Path) -> tuple[object, ...]:
        asked = {"path": str(path), "directory": None, "cluster_name": "trial", "passphrase_file": str(self.passphrase)}
        return check(asked, LocalPacking(), Gpg(HostCommands())).findings

    def objects(self) -> dict[str, str]:
        """What is in the cluster, each with what tells it from one that was made anew."""
        items = json.loads(self.site.kubectl("get", KINDS, "--all-namespaces", "--output=json").stdout)["items"]
        return {
            f"{one['kind']} {one['metadata'].get('namespace', '')}/{one['metadata']['name']}": f"{one['metadata']['uid']} {one.get('data')}"
            for one in items
        }

    def certificates(self) -> str:
        return self.host.run(["sh", "-c", "cd /etc/kubernetes && find pki admin.conf -type f | sort | xargs sha256sum"]).stdout

    def ready(self) -> str:
        return self.site.kubectl("get", "--raw=/readyz", check=False).stdout


@pytest.fixture(scope="module")
def backups(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backups]:
    try:
        make_source()
    except LabError as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"no Kubernetes for the lab: {error}")
    site = Site(lab, tmp_path_factory.mktemp("backup"))
    made = Backups(site)
    site.host.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", "containernetworking-plugins"], timeout=120)
    for role in ("node", "control_plane"):
        process = site.play(role, "-e", "node_cni_bin_dir=/usr/lib/cni")
        assert process.returncode == 0, process.stdout + process.stderr
    # a node without a pod network is not ready
    kubernetes_nodes.network(site.host)
    site.host.run(["mkdir", "-m", "700", "/etc/vmstation"])
    site.host.write(PASSWORD, "secret")
    site.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": OBJECTS}))
    yield made
    lab.remove(site.host)


def test_check_mode_of_a_backup_writes_nothing(backups: Backups) -> None:
    process = backups.site.lab.run([*backups.argv("backup"), "--check"], check=False, timeout=120)
    assert process.returncode == 0, process.stdout + process.stderr
    assert not backups.directory.exists()


def test_a_backup_is_encrypted_whole_and_alone(backups: Backups) -> None:
    process = backups.play("backup")
    assert process.returncode == 0, process.stdout + process.stderr
    (path,) = backups.named()
    assert path.name.endswith(".tar.gz.gpg")
    assert backups.findings(path) == ()
    modes = [one.stat().st_mode & 0o777 for one in (backups.directory, path)]
    assert modes == [0o700, 0o600]
    assert os.listdir(backups.directory) == [path.name]
    assert backups.host.run(["ls", "-A", "/var/lib/vmstation/backup"]).stdout == ""
    assert "vmstation-etcd" not in backups.host.run(["ctr", "-n", "k8s.io", "containers", "list"]).stdout
    say(f"backup of {len(backups.objects())} objects: {path.stat().st_size} bytes")


def test_killed_at_random_instants_there_is_never_half_a_backup(backups: Backups) -> None:
    whole, chance = backups.seconds, random.Random()
    instants = [round(chance.uniform(0.2, 0.95) * whole, 2) for _kill in range(KILLS)]
    for instant in instants:
        backups.play_and_kill("backup", instant)
        for path in backups.named():
            assert backups.findings(path) == (), f"{path} after a kill at {instants}"
    process = backups.play("backup")
    assert process.returncode == 0, f"after kills at {instants}:\n{process.stdout}{process.stderr}"
    assert sorted(os.listdir(backups.directory)) == [path.name for path in backups.named()]
    assert len(backups.named()) == 2
    assert backups.host.run(["ls", "-A", "/var/lib/vmstation/backup"]).stdout == ""


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


REFUSED: dict[str, tuple[Any, dict[str, object], str]] = {
    "cut short": (_cut, {}, "damaged"),
    "a flipped bit": (_flip, {}, "encrypted message has been manipulated"),
    "another passphrase": (None, {"backup_passphrase_file": "other"}, "not opened by this passphrase"),
    "another cluster's": (None, {"cluster_name": "other", "confirm": "other"}, "a backup of the cluster trial"),
    "another name typed": (None, {"confirm": "trail"}, "confirm: found `trail`"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_damaged_is_refused_before_the_host_is_touched(backups: Backups, tmp_path: Path, case: str) -> None:
    damage, variables, message = REFUSED[case]
    copy = tmp_path / backups.named()[-1].name
    copy.write_bytes(backups.named()[-1].read_bytes())
    if damage:
        damage(copy)
    if "backup_passphrase_file" in variables:
        (tmp_path / "other").write_text("another one\n")
        (tmp_path / "other").chmod(0o600)
        variables = {"backup_passphrase_file": str(tmp_path / "other")}
    process = backups.play("restore", restore_archive=str(copy), **variables)
    assert recap(process)[NAME]["failed"] == 1
    assert message in flat(process)
    assert recap(process)[NAME]["changed"] == 0
    assert backups.ready() == "ok"


def test_a_wiped_control_plane_is_restored_with_its_objects_and_certificates(backups: Backups) -> None:
    """The first restore is killed at a random instant and the host loses its power, the second is not."""
    objects, certificates = backups.objects(), backups.certificates()
    backups.site.kubectl("delete", "namespace", "kept", "--wait=false")
    backups.host.run(["kubeadm", "reset", "--force"], timeout=300)
    backups.host.run(["rm", "-rf", "/etc/kubernetes", "/var/lib/etcd", "/etc/vmstation"])
    instant = round(random.uniform(3, 20), 2)
    backups.play_and_kill("restore", instant)
    backups.host.lose_power()
    backups.host.boot()
    process = backups.play("restore")
    assert process.returncode == 0, f"after a kill at {instant} s:\n{process.stdout}{process.stderr}"
    assert backups.certificates() == certificates
    assert backups.objects() == objects
    assert backups.host.read(PASSWORD) == "secret"
    assert backups.host.run(["stat", "-c", "%a", "/etc/vmstation"]).stdout.strip() == "700"
    assert_nothing_is_left_of_restores(backups)
    # what is written from now on lies beyond all that clients have seen
    backups.site.kubectl("create", "configmap", "late")
    late = json.loads(backups.site.kubectl("get", "configmap", "late", "--output=json").stdout)
    assert int(late["metadata"]["resourceVersion"]) > 1_000_000_000
    assert recap(backups.site.play("control_plane"))[NAME]["changed"] == 0


@pytest.mark.thorough
def test_a_control_plane_that_is_well_goes_back_in_time_and_loses_nothing(backups: Backups) -> None:
    assert backups.play("backup").returncode == 0
    backups.site.kubectl("create", "configmap", "later")
    authority = backups.host.read("/etc/kubernetes/pki/ca.crt")
    instants = [round(random.uniform(5, 40), 2) for _kill in range(KILLED_RESTORES)]
    for instant in instants:
        backups.play_and_kill("restore", instant)
    process = backups.play("restore")
    assert process.returncode == 0, f"after kills at {instants}:\n{process.stdout}{process.stderr}"
    assert "ConfigMap default/later" not in backups.objects()
    assert backups.host.read("/etc/kubernetes/pki/ca.crt") == authority
    aside = backups.host.run(["sh", "-c", "ls -d /var/lib/etcd/vmstation-before-*/member"]).stdout.split()
    assert 1 <= len(aside) <= 3
    assert_nothing_is_left_of_restores(backups)
    assert recap(backups.site.play("control_plane"))[NAME]["changed"] == 0


def assert_nothing_is_left_of_restores(backups: Backups) -> None:
    assert not backups.site.is_there("/var/lib/vmstation/restore")
    assert not backups.site.is_there("/var/lib/etcd/vmstation-restoring")
    assert not backups.site.is_there("/etc/kubernetes/vmstation-restore.json")
    assert [one for one in os.listdir(backups.directory) if one.startswith(".")] == []
