# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""backup.yml and restore.yml with a real control plane: wiped and restored, killed anywhere, and damaged backups refused.

Jellyfin is a Deployment whose Pod is never placed, and its configuration a real directory of a second host.
"""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._backup import manifest
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.io import Gpg
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.keeping import check
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._host.archives import LocalPacking
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import HostCommands

from tests.cluster.source import make_source
from tests.integration import kubernetes_nodes
from tests.integration.playbook_output import flat, recap
from tests.integration.test_control_plane_role import NAME, Site
from tests.lab import Host, Lab
from tests.lab.cache import CHECKOUT
from tests.lab.say import LabError, say
from tests.rounds import rounds

pytestmark = pytest.mark.kubernetes
KILLS = rounds(2, 25)
KILLED_RESTORES = rounds(1, 10)
KINDS = "namespaces,configmaps,secrets,serviceaccounts,services,deployments,clusterroles"
PASSWORDS = ["/etc/vmstation/grafana-admin-password", "/etc/vmstation/jellyfin-admin-password"]
OBJECTS: list[dict[str, Any]] = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kept"}},
    *({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"kept-{n}", "namespace": "kept"}} for n in range(30)),
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "kept", "namespace": "kept"}, "stringData": {"key": "value"}},
]  # fmt: skip
MEDIA, CONFIGURATION = "cp-media", "/var/lib/vmstation/jellyfin/config"
DATABASE = f"{CONFIGURATION}/data/jellyfin.db"
JELLYFIN: list[dict[str, Any]] = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "jellyfin"}},
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "jellyfin", "namespace": "jellyfin"},
        "spec": {
            "selector": {"matchLabels": {"app.kubernetes.io/name": "jellyfin"}},
            "template": {
                "metadata": {"labels": {"app.kubernetes.io/name": "jellyfin"}},
                "spec": {
                    "nodeSelector": {"vmstation.cluster/media": "true"},
                    "containers": [{"name": "jellyfin", "image": "docker.io/jellyfin/jellyfin:10.11.11"}],
                },
            },
        },
    },
]


class Backups:
    """The control plane of another test, its backups, and the playbooks."""

    def __init__(self, site: Site) -> None:
        self.site, self.host = site, site.host
        self.directory = site.directory / "backups"
        self.passphrase = site.directory / "passphrase"
        self.passphrase.write_text("long enough to keep\n")
        self.passphrase.chmod(0o600)
        self.seconds = 10.0
        self.media: list[Host] = []
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
        for host in (self.host, *self.media):
            host.run(["sh", "-c", "pkill -KILL -x python3; pkill -KILL -x ctr"], check=False)
        process.wait()
        lab.close_connections()

    def named(self) -> list[Path]:
        """The backups by their final names."""
        return [self.directory / name for name in manifest.backups("trial", os.listdir(self.directory))]

    def with_jellyfin(self) -> list[str]:
        """The files of the directory, if each backup has Jellyfin's configuration beside it, and nothing else is there."""
        return sorted(name for path in self.named() for name in (path.name, manifest.part_name(path.name, "jellyfin")))

    def replicas(self) -> str:
        asked = ["get", "deployment", "jellyfin", "--namespace=jellyfin", "--output=jsonpath={.spec.replicas}"]
        return self.site.kubectl(*asked).stdout

    def findings(self, path: Path) -> tuple[Finding, ...]:
        asked = {"path": str(path), "directory": None, "cluster_name": "trial", "passphrase_file": str(self.passphrase)}
        asked |= {"accept_unencrypted": False, "paths": PASSWORDS}
        return check(asked, LocalPacking(), Gpg(HostCommands())).findings

    def in_clear(self) -> list[str]:
        """What of private directories is left on this machine."""
        places = {os.environ.get("XDG_RUNTIME_DIR", "/tmp"), tempfile.gettempdir(), "/var/tmp"}
        return [str(path) for place in places for path in Path(place).glob("vmstation-*trial*.????????")]

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
    site.host.run(["install", "-d", "-m", "700", "/etc/vmstation"])
    for path in PASSWORDS:
        site.host.write(path, path)
    site.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": OBJECTS}))
    yield made
    lab.remove(site.host)


@pytest.fixture(scope="module")
def media(backups: Backups) -> Iterator[Host]:
    """The host of Jellyfin's configuration, which the cluster's Jellyfin has from now on."""
    lab = backups.site.lab
    host = lab.start(MEDIA, address="192.168.4.242", mac="02:00:c0:a8:04:f2")
    host.run(["install", "-D", "--owner=58096", "--group=58096", "--mode=640", "/dev/null", DATABASE])
    host.write(DATABASE, "users")
    host.run(["chown", "58096:58096", DATABASE, CONFIGURATION])
    inventory = backups.site.directory / "hosts.json"
    known = json.loads(inventory.read_text())
    known["all"]["hosts"] = {MEDIA: {"ansible_host": host.address}}
    inventory.write_text(json.dumps(known))
    backups.site.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": JELLYFIN}))
    backups.common["jellyfin_host"] = MEDIA
    backups.media.append(host)
    yield host
    lab.remove(host)


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
    assert backups.in_clear() == []
    assert backups.host.run(["ls", "-A", "/var/lib/vmstation/backup"]).stdout == ""
    assert "vmstation-etcd" not in backups.host.run(["ctr", "-n", "k8s.io", "containers", "list"]).stdout
    say(f"backup of {len(backups.objects())} objects: {path.stat().st_size} bytes")


def test_jellyfins_configuration_lies_beside_the_backup_and_jellyfin_runs_on(backups: Backups, media: Host) -> None:
    predicted = backups.site.lab.run([*backups.argv("backup"), "--check"], check=False, timeout=120)
    assert predicted.returncode == 0, predicted.stdout + predicted.stderr
    assert (len(backups.named()), backups.replicas()) == (1, "1")
    process = backups.play("backup", backup_jellyfin="required")
    assert process.returncode == 0, process.stdout + process.stderr
    assert f"Jellyfin's configuration from {MEDIA} is stored next to the backup" in flat(process).replace("''", "'")
    older, path = backups.named()
    assert sorted(os.listdir(backups.directory)) == sorted([older.name, path.name, manifest.part_name(path.name, "jellyfin")])
    assert (backups.directory / manifest.part_name(path.name, "jellyfin")).stat().st_mode & 0o777 == 0o600
    assert backups.findings(path) == ()
    assert backups.replicas() == "1"
    assert media.run(["ls", "-A", "/var/lib/vmstation/backup"]).stdout == ""


def test_killed_at_random_instants_there_is_never_half_a_backup(backups: Backups, media: Host) -> None:
    whole, chance = backups.seconds, random.Random()
    instants = [round(chance.uniform(0.2, 0.95) * whole, 2) for _kill in range(KILLS)]
    for instant in instants:
        backups.play_and_kill("backup", instant)
        for path in backups.named():
            assert backups.findings(path) == (), f"{path} after a kill at {instants}"
    process = backups.play("backup")
    assert process.returncode == 0, f"after kills at {instants}:\n{process.stdout}{process.stderr}"
    assert sorted(os.listdir(backups.directory)) == backups.with_jellyfin()
    assert (len(backups.named()), backups.replicas()) == (2, "1")
    assert backups.in_clear() == []
    assert media.run(["ls", "-A", "/var/lib/vmstation/backup"]).stdout == ""
    assert backups.host.run(["ls", "-A", "/var/lib/vmstation/backup"]).stdout == ""


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _name_as_plain(path: Path) -> Path:
    return path.rename(path.with_suffix(""))


REFUSED: dict[str, tuple[Any, dict[str, object], str]] = {
    "cut short": (_cut, {}, "damaged"),
    "a flipped bit": (_flip, {}, "encrypted message has been manipulated"),
    "not encrypted": (_name_as_plain, {}, "which is not encrypted and may be another user's; required: an encrypted backup"),
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
        copy = damage(copy) or copy
    if "backup_passphrase_file" in variables:
        (tmp_path / "other").write_text("another one\n")
        (tmp_path / "other").chmod(0o600)
        variables = {"backup_passphrase_file": str(tmp_path / "other")}
    process = backups.play("restore", restore_archive=str(copy), **variables)
    assert recap(process)[NAME]["failed"] == 1
    assert message in flat(process).replace("''", "'")
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
    # Secrets are encrypted in etcd: the key has come back with them
    read = backups.site.kubectl("get", "secret", "kept", "--namespace=kept", "--output=jsonpath={.data.key}").stdout
    assert base64.b64decode(read) == b"value"
    assert backups.host.run(["stat", "-c", "%a %U", "/etc/kubernetes/pki/vmstation-encryption.conf"]).stdout.strip() == "600 root"
    assert [backups.host.read(path) for path in PASSWORDS] == PASSWORDS
    # the file alone is in the backup
    assert backups.host.run(["stat", "-c", "%a", "/etc/vmstation"]).stdout.strip() == "755"
    assert_nothing_is_left_of_restores(backups)
    # what is written from now on lies beyond all that clients have seen
    backups.site.kubectl("create", "configmap", "late")
    late = json.loads(backups.site.kubectl("get", "configmap", "late", "--output=json").stdout)
    assert int(late["metadata"]["resourceVersion"]) > 1_000_000_000
    assert recap(backups.site.play("control_plane"))[NAME]["changed"] == 0


def test_a_configuration_that_is_lost_comes_back_and_one_that_is_there_is_not_lost(backups: Backups, media: Host) -> None:
    process = backups.play("restore_jellyfin")
    assert (process.returncode, recap(process)[NAME]["changed"]) == (0, 0), process.stdout + process.stderr
    assert f"Jellyfin's configuration on {MEDIA} is not restored: it exists" in flat(process).replace("''", "'")

    media.run(["rm", "-r", CONFIGURATION])
    process = backups.play("restore_jellyfin")
    assert process.returncode == 0, process.stdout + process.stderr
    assert f"{MEDIA} has the configuration of Jellyfin 10.11.11" in flat(process)
    assert media.read(DATABASE) == "users"
    assert media.run(["stat", "-c", "%u:%g %a", DATABASE]).stdout.strip() == "58096:58096 640"

    media.write(DATABASE, "newer")
    process = backups.play("restore_jellyfin", restore_jellyfin="replace")
    assert process.returncode == 0, process.stdout + process.stderr
    assert media.read(DATABASE) == "users"
    assert media.run(["sh", "-c", f"cat {CONFIGURATION}.before-*/data/jellyfin.db"]).stdout == "newer"
    assert backups.replicas() == "1"
    assert media.run(["ls", "/var/lib/vmstation"]).stdout.split() == ["backup", "jellyfin"]
    assert sorted(os.listdir(backups.directory)) == backups.with_jellyfin()


def test_while_the_media_host_sleeps_a_backup_goes_without_and_says_so(backups: Backups, media: Host) -> None:
    media.stop()
    backups.site.lab.close_connections(media.address)
    refused = backups.play("backup", backup_jellyfin="required")
    before = backups.with_jellyfin()
    assert refused.returncode == 2
    assert "backup_jellyfin: found no archive of Jellyfin's configuration" in flat(refused).replace("''", "'")
    process = backups.play("backup")
    assert process.returncode == 0, process.stdout + process.stderr
    assert "WARNING: the backup does not contain Jellyfin: host cp-media: found no answer" in flat(process)
    assert "The backup does not contain jellyfin of cp-media" in " ".join((process.stdout + process.stderr).split())
    (finding,) = backups.findings(backups.named()[-1])
    assert (finding.severity, finding.rule) == ("warning", "the_backup_has_every_application")
    assert backups.replicas() == "1"
    # of two, the older one has the configuration still
    assert sorted(os.listdir(backups.directory)) == sorted([*before[-2:], backups.named()[-1].name])
    process = backups.play("restore_jellyfin")
    assert process.returncode == 0, process.stdout + process.stderr
    assert f"Jellyfin's configuration on {MEDIA} is not restored: Task failed" in flat(process).replace("''", "'")
    media.boot()


SCHEDULED = "/var/backups/vmstation"
# the lab has mounted the file of the usual name
KEYS = "/root/.ssh/authorized_keys2"
OWNERS_LINE = "# the owner's own line\n"
UNITS = ("vmstation-backup.service", "vmstation-backup.timer")
OF_THE_SCHEDULE = (
    "/etc/vmstation/backup.json", "/etc/vmstation/backup.key", "/etc/vmstation/backup.key.pub", "/etc/vmstation/backup.known_hosts",
    "/etc/vmstation/backup-recipients.asc", "/usr/local/lib/vmstation/backup.pyz", "/var/lib/vmstation/scheduled-backup",
    "/var/lib/misc/vmstation-backup.prom", "/var/lib/systemd/timers/stamp-vmstation-backup.timer",
    *(f"/etc/systemd/system/{unit}" for unit in UNITS),
)  # fmt: skip
SCHEDULE_PLAYBOOK = f"""
- name: Play
  hosts: control_plane:{MEDIA}
  gather_facts: false
  roles: [vmstation.cluster.cluster_backup]
  vars:
    cluster_backup_cluster_hosts: [{{name: {NAME}, address: 192.168.4.241}}, {{name: {MEDIA}, address: 192.168.4.242}}]
    cluster_backup_copies: [{MEDIA}]
    cluster_backup_keep: 2
    cluster_backup_authorized_keys: {KEYS}
"""


class Scheduled:
    """The role cluster_backup on the control plane and on the media host, and the owner's key, which neither has."""

    def __init__(self, backups: Backups, media: Host, fingerprint: str) -> None:
        self.backups, self.site, self.host, self.media, self.fingerprint = backups, backups.site, backups.host, media, fingerprint
        (self.site.directory / "cluster_backup.yml").write_text(SCHEDULE_PLAYBOOK)

    def play(self, *arguments: str, **variables: object) -> subprocess.CompletedProcess[str]:
        wanted = {"cluster_backup_schedule": "*-*-* 03:00", "cluster_backup_recipients": [self.fingerprint], **variables}
        return self.site.play("cluster_backup", "-e", json.dumps(wanted), *arguments)

    def kept(self, host: Host) -> list[str]:
        return host.run(["ls", "-A", SCHEDULED], check=False).stdout.split()

    def findings(self) -> list[tuple[str, str]]:
        seen = self.site.lab.module(self.host, "backup_timer_check", {"fail_on": "never"})
        return [(one["rule"], one["severity"]) for one in seen["findings"]]


@pytest.fixture(scope="module")
def scheduled(backups: Backups, media: Host) -> Iterator[Scheduled]:
    for host in (backups.host, media):
        host.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", "gnupg", "openssh-client"], timeout=180)
    media.write(KEYS, OWNERS_LINE)
    commands = HostCommands()
    with tempfile.TemporaryDirectory(prefix="ring-") as ring, pytest.MonkeyPatch.context() as patch:
        patch.setenv("GNUPGHOME", ring)
        # of the playbooks
        patch.setitem(backups.site.lab.podman.env, "GNUPGHOME", ring)
        gpg = ["gpg", "--homedir", ring, "--batch", "--quiet"]
        commands.run([*gpg, "--pinentry-mode", "loopback", "--passphrase", "", "--quick-generate-key", "owner@example.org"])
        listed = commands.run([*gpg, "--with-colons", "--list-keys"]).stdout
        fingerprint, *_of_subkeys = (line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))
        yield Scheduled(backups, media, fingerprint)
        commands.run(["gpgconf", "--homedir", ring, "--kill", "all"])


def test_a_schedule_that_systemd_rejects_changes_nothing(scheduled: Scheduled) -> None:
    process = scheduled.play(cluster_backup_schedule="every night")
    assert recap(process)[NAME]["failed"] == 1
    assert "schedule: found 'every night'" in flat(process).replace("''", "'")
    assert recap(process)[NAME]["changed"] == recap(process)[MEDIA]["changed"] == 0
    assert not [path for path in OF_THE_SCHEDULE if scheduled.site.is_there(path)]


def test_the_timer_is_predicted_and_installed_once(scheduled: Scheduled) -> None:
    predicted = scheduled.play("--check", "--diff")
    assert predicted.returncode == 0, predicted.stdout + predicted.stderr
    assert not [path for path in OF_THE_SCHEDULE if scheduled.site.is_there(path)]
    process = scheduled.play()
    assert process.returncode == 0, process.stdout + process.stderr
    for name in (NAME, MEDIA):
        assert recap(predicted)[name]["changed"] == recap(process)[name]["changed"] == 1
    again = scheduled.play()
    assert [recap(again)[name]["changed"] for name in (NAME, MEDIA)] == [0, 0], again.stdout
    assert scheduled.media.read(KEYS).startswith(OWNERS_LINE)


def test_systemd_starts_a_backup_that_the_host_cannot_read_and_another_host_has(scheduled: Scheduled) -> None:
    process = scheduled.play(cluster_backup_schedule="*:*:00")
    assert process.returncode == 0, process.stdout + process.stderr
    lab = scheduled.site.lab
    lab.wait_for(lambda: bool(scheduled.kept(scheduled.media)), "the timer to start a backup, and its copy", 240)
    # no other run while this one is looked at
    assert scheduled.play().returncode == 0
    lab.wait_for(lambda: "active" not in _state(scheduled.host).split(), "the service to end", 120)
    (copied,) = scheduled.kept(scheduled.media)
    assert copied in scheduled.kept(scheduled.host)
    sums = {host.run(["sha256sum", f"{SCHEDULED}/{copied}"]).stdout.split()[0] for host in (scheduled.host, scheduled.media)}
    assert len(sums) == 1
    for host in (scheduled.host, scheduled.media):
        assert host.run(["stat", "-c", "%a %U", SCHEDULED, f"{SCHEDULED}/{copied}"]).stdout.split() == ["700", "root", "600", "root"]
        opened = host.run(["gpg", "--batch", "--decrypt", f"{SCHEDULED}/{copied}"], check=False)
        assert "No secret key" in opened.stderr or "decryption failed" in opened.stderr
    metrics = scheduled.host.run(["su", "-s", "/bin/sh", "nobody", "-c", "cat /var/lib/misc/vmstation-backup.prom"]).stdout
    assert "vmstation_backup_last_run_failed 0\n" in metrics
    assert f'copied_timestamp_seconds{{receiver="{MEDIA}"}} ' in metrics
    assert not scheduled.site.is_there("/var/lib/vmstation/scheduled-backup/archive")
    assert scheduled.findings() == []


def _state(host: Host) -> str:
    return host.run(["systemctl", "is-active", UNITS[0]], check=False).stdout.replace("inactive", "").replace("activating", "active")


@pytest.mark.parametrize("asked", ["cat /etc/shadow", f"rm -r {SCHEDULED}", "", "add ../x " + "0" * 64 + " 1"])
def test_the_control_planes_key_opens_nothing_else(scheduled: Scheduled, asked: str) -> None:
    options = ["-oBatchMode=yes", "-oIdentitiesOnly=yes", f"-oHostKeyAlias={MEDIA}"]
    options += ["-oUserKnownHostsFile=/etc/vmstation/backup.known_hosts"]
    argv = ["ssh", "-F", "none", "-i", "/etc/vmstation/backup.key", *options, f"root@{scheduled.media.address}", asked]
    before = scheduled.kept(scheduled.media)
    answer = scheduled.host.run(argv, stdin="x", check=False, timeout=60)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert scheduled.kept(scheduled.media) == before


def test_a_scheduled_backup_is_restored_by_the_playbook(scheduled: Scheduled) -> None:
    backups, name = scheduled.backups, scheduled.kept(scheduled.media)[0]
    fetched = scheduled.site.directory / name
    fetched.write_bytes(base64.b64decode(scheduled.media.run(["base64", f"{SCHEDULED}/{name}"]).stdout))
    authority = backups.host.read("/etc/kubernetes/pki/ca.crt")
    backups.site.kubectl("create", "configmap", "after-the-schedule")
    key = {"backup_recipients": [scheduled.fingerprint], "backup_passphrase_file": ""}
    process = backups.play("restore", restore_archive=str(fetched), restore_jellyfin="never", **key)
    assert process.returncode == 0, process.stdout + process.stderr
    assert "ConfigMap default/after-the-schedule" not in backups.objects()
    assert backups.host.read("/etc/kubernetes/pki/ca.crt") == authority
    assert_nothing_is_left_of_restores(backups)


def test_a_backup_that_fails_is_reported_with_its_next_step(scheduled: Scheduled) -> None:
    certificate = "/etc/kubernetes/pki/etcd/healthcheck-client.crt"
    scheduled.host.run(["mv", certificate, f"{certificate}.away"])
    assert scheduled.host.run(["systemctl", "start", UNITS[0]], check=False, timeout=300).returncode != 0
    assert scheduled.findings() == [("the_last_scheduled_backup_succeeded", "warning")]
    assert "vmstation_backup_last_run_failed 1\n" in scheduled.host.read("/var/lib/misc/vmstation-backup.prom")
    scheduled.host.run(["mv", f"{certificate}.away", certificate])
    scheduled.host.run(["systemctl", "start", UNITS[0]], timeout=300)
    assert scheduled.findings() == []
    assert len(scheduled.kept(scheduled.host)) == 2


def test_absent_removes_all_but_the_backups(scheduled: Scheduled) -> None:
    before = [scheduled.kept(host) for host in (scheduled.host, scheduled.media)]
    predicted = scheduled.play("--check", cluster_backup_state="absent")
    process = scheduled.play(cluster_backup_state="absent")
    assert process.returncode == 0, process.stdout + process.stderr
    for name in (NAME, MEDIA):
        assert recap(predicted)[name]["changed"] == recap(process)[name]["changed"] == 1
    assert not [path for path in OF_THE_SCHEDULE if scheduled.site.is_there(path)]
    assert scheduled.media.read(KEYS) == OWNERS_LINE
    assert scheduled.media.run(["test", "-e", "/usr/local/lib/vmstation"], check=False).returncode == 1
    assert "vmstation-backup" not in scheduled.host.run(["systemctl", "list-units", "--all", "vmstation-backup*"]).stdout
    assert [scheduled.kept(host) for host in (scheduled.host, scheduled.media)] == before
    again = scheduled.play(cluster_backup_state="absent")
    assert [recap(again)[name]["changed"] for name in (NAME, MEDIA)] == [0, 0]


def test_two_backups_at_once_wait_for_each_other(backups: Backups) -> None:
    lab = backups.site.lab
    processes = [
        subprocess.Popen(
            lab.inside(backups.argv("backup", backup_jellyfin="never")), env=lab.environment(), cwd=CHECKOUT,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for _run in range(2)
    ]  # fmt: skip
    outputs = [process.communicate(timeout=600)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(outputs)
    assert all(backups.findings(path) == () for path in backups.named()[-2:])
    assert backups.in_clear() == []
    assert backups.host.run(["ls", "-A", "/var/lib/vmstation/backup"]).stdout == ""


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
    assert backups.in_clear() == []
