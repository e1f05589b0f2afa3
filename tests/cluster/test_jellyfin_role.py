# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role jellyfin against a real API server and scheduler, with nodes that only say that their Pods run.

This machine stands in for the media host: /dev/shm is the disk that is mounted there, and a directory of the test is none.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.build import missing
from tests.cluster.hollow import HollowNodes, hollow_nodes
from tests.cluster.play import ON_THIS_MACHINE, Played, play_role
from tests.cluster.programs import API_SERVER
from tests.cluster.server import Cluster, running
from tests.lab.cache import CHECKOUT
from tests.unit.network_plan.plans import SPECIFICATION

pytest.importorskip("kubernetes")

MASTER, STORAGE = "masternode", "storagenodet3500"
OLD, NEW = "docker.io/jellyfin/jellyfin:10.11.10", "docker.io/jellyfin/jellyfin:10.11.11"
USER, GROUP = 1234, 58096
DEVICE = "squat.ai/dri"


class Site:
    """A cluster of its own, the playbook, and this machine in the place of the media host."""

    def __init__(self, cluster: Cluster, nodes: HollowNodes, directory: Path, media: Path) -> None:
        self.cluster = cluster
        self.nodes = nodes
        self.directory = directory
        self.media = media
        self.data = directory / "data"
        self.backups = directory / "backups"
        self.exported = directory / "exported"

    def play(self, *arguments: str, tasks_from: str = "main", **variables: object) -> Played:
        given = {
            "network_plan": SPECIFICATION,
            "cluster_kubeconfig": str(self.cluster.kubeconfig),
            "jellyfin_media": [{"path": str(self.media)}],
            "jellyfin_user": USER,
            "jellyfin_image": OLD,
            "jellyfin_storage_directory": str(self.data),
            "jellyfin_backup_directory": str(self.backups),
            "jellyfin_minimum_free": "1MiB",
            "jellyfin_rollout_timeout": 60,
            # no Jellyfin answers
            "jellyfin_complete_wizard": False,
            "_jellyfin_export_directory": str(self.exported),
            **ON_THIS_MACHINE,
            **variables,
        }
        return play_role("jellyfin", self.directory, given, *arguments, tasks_from=tasks_from)

    def get(self, what: str) -> dict[str, Any]:
        return json.loads(self.cluster.kubectl("--namespace=jellyfin", "get", what, "--output=json").stdout)

    def has_namespace(self) -> bool:
        return self.cluster.kubectl("get", "namespace", "jellyfin", check=False).returncode == 0

    def offer(self, count: int) -> None:
        """As kubelet does when a device plugin has registered, or has ended."""
        patch = json.dumps({"status": {kind: {DEVICE: str(count)} for kind in ("capacity", "allocatable")}})
        self.cluster.kubectl("patch", "node", STORAGE, "--subresource=status", "--type=merge", f"--patch={patch}")

    def labelled(self) -> str:
        return self.cluster.kubectl("get", "nodes", "--selector=vmstation.cluster/media=true", "--output=name").stdout.strip()

    @property
    def pod(self) -> dict[str, Any]:
        return self.get("deployment/jellyfin")["spec"]["template"]["spec"]

    @property
    def image(self) -> str:
        return self.pod["containers"][0]["image"]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if unbuilt := missing(API_SERVER):
        pytest.skip(f"not built: {' '.join(unbuilt)}")
    if os.geteuid() != 0 or not os.path.ismount("/dev/shm"):
        pytest.skip("directories get owners, which takes root, and media a file system of their own, which takes /dev/shm")
    media = Path(tempfile.mkdtemp(dir="/dev/shm"))
    media.chmod(0o755)
    (media / "film.mkv").write_text("film")
    try:
        with running() as cluster, hollow_nodes(cluster) as nodes:
            nodes.add(MASTER, control_plane=True)
            nodes.add(STORAGE)
            yield Site(cluster, nodes, tmp_path_factory.mktemp("jellyfin"), media)
    finally:
        shutil.rmtree(media)


@pytest.fixture(scope="module")
def site(bare: Site) -> Site:
    """Jellyfin as the role makes it the first time. The tests of a bare cluster come first in this file."""
    run = bare.play()
    assert run.status == 0, run.text
    return bare


def test_before_there_is_a_cluster_check_mode_says_so(bare: Site) -> None:
    run = bare.play("--check", "--diff", cluster_kubeconfig="/nowhere/kubeconfig")
    assert (run.status, run.changed) == (0, 0), run.text
    assert run.says("/nowhere/kubeconfig does not exist yet")


def test_everything_that_cannot_work_is_named_in_one_run_before_anything_is_made(bare: Site) -> None:
    unmounted, empty, closed = bare.directory / "unmounted", bare.media / "empty", bare.media / "closed"
    unmounted.mkdir()
    (unmounted / "film.mkv").write_text("")
    empty.mkdir()
    closed.mkdir(0o750)
    (closed / "film.mkv").write_text("")
    bare.cluster.kubectl("--namespace=default", "create", "service", "nodeport", "thief", "--tcp=80", "--node-port=30096")
    bare.cluster.kubectl("cordon", STORAGE)
    run = bare.play(
        jellyfin_media=[{"path": str(path)} for path in ("/srv/nowhere", unmounted, empty, closed)],
        jellyfin_device_resource=DEVICE,
        jellyfin_minimum_free="1000TiB",
        jellyfin_storage_class="fast",
    )
    room = bare.play(jellyfin_minimum_free="1000TiB", jellyfin_hardware_acceleration=True, _jellyfin_devices="/dev/nowhere")
    bare.cluster.kubectl("uncordon", STORAGE)
    bare.cluster.kubectl("--namespace=default", "delete", "service", "thief")
    empty.rmdir()
    shutil.rmtree(closed)
    assert run.status == room.status == 2
    for words in (
        "directory /srv/nowhere: found no such directory",
        f"directory {unmounted}: found a directory of",
        f"directory {empty}: found an empty directory",
        f"directory {closed}: found mode 0750 and owner 0:0; user {USER} with group {GROUP} cannot list it",
        f"node {STORAGE}: found no {DEVICE}; of extended resources it offers: none",
        "NodePort 30096 is taken by Service default/thief",
        f"node {STORAGE}: found cordoned",
        "StorageClass fast: found none of this name",
    ):
        assert run.says(words), run.text
    for words in (
        f"directory {bare.data}/config: found",
        f"directory {bare.data}/cache: found",
        "1000 TiB at least",
        "directory /dev/nowhere: found no such directory",
    ):
        assert room.says(words), room.text
    assert not bare.has_namespace()
    assert not bare.data.exists()
    assert not bare.labelled()


@pytest.mark.parametrize(
    ("host", "said"),
    [("nas", "jellyfin_host: found nas, which is no host of the groups"), ("homelab", "node homelab: found no node of this name")],
)
def test_a_host_that_is_unknown_is_refused(bare: Site, host: str, said: str) -> None:
    run = bare.play(jellyfin_host=host)
    assert run.status == 2
    assert run.says(said), run.text
    assert not bare.has_namespace()


def test_without_a_kubeconfig_or_an_answer_the_message_is_ours(bare: Site, tmp_path: Path) -> None:
    run = bare.play(cluster_kubeconfig="/nowhere/kubeconfig")
    assert run.status == 2
    assert run.says("kubeconfig /nowhere/kubeconfig: found no file of this name that can be read; required: a kubeconfig"), run.text
    silent = tmp_path / "kubeconfig"
    # nothing listens on port 1
    silent.write_text(re.sub(r"server: https://.*", "server: https://127.0.0.1:1", bare.cluster.kubeconfig.read_text()))
    run = bare.play(cluster_kubeconfig=str(silent))
    assert run.status == 2
    assert run.says("Kubernetes API https://127.0.0.1:1") and run.says("Check that the control plane host is on"), run.text
    assert "HTTPSConnectionPool" not in run.text and "Traceback" not in run.text


def test_check_mode_predicts_and_makes_nothing(bare: Site) -> None:
    run = bare.play("--check", "--diff")
    assert run.status == 0, run.text
    assert run.says(f"Namespace jellyfin would be created, with Jellyfin on {STORAGE}")
    assert not bare.has_namespace()
    assert not bare.data.exists()
    assert not bare.labelled()


def test_where_there_is_nothing_to_remove_the_api_server_is_asked_once(bare: Site) -> None:
    run = bare.play(jellyfin_state="absent")
    assert (run.status, run.changed) == (0, 0), run.text
    assert run.tasks_run[-2:] == ["Require a host of the inventory", "Check what exists"], run.text


def test_it_runs_on_the_host_that_has_the_media(site: Site) -> None:
    (pod,) = site.get("pods")["items"]
    assert pod["spec"]["nodeName"] == STORAGE
    assert site.labelled() == f"node/{STORAGE}"
    assert site.get("deployment/jellyfin")["spec"]["strategy"] == {"type": "Recreate"}
    (port,) = site.get("service/jellyfin")["spec"]["ports"]
    assert (port["port"], port["nodePort"]) == (8096, 30096)


def test_it_reads_the_media_and_writes_only_what_is_its_own(site: Site) -> None:
    (container,) = site.pod["containers"]
    mounts = {one["mountPath"]: one for one in container["volumeMounts"]}
    assert set(mounts) == {"/config", "/cache", "/tmp", str(site.media)}
    assert mounts[str(site.media)]["readOnly"]
    assert {"path": str(site.media), "type": "Directory"} in [one.get("hostPath") for one in site.pod["volumes"]]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert (site.pod["securityContext"]["runAsUser"], site.pod["securityContext"]["runAsNonRoot"]) == (USER, True)
    assert {one["status"]["phase"] for one in site.get("pvc")["items"]} == {"Bound"}
    for name in ("config", "cache"):
        status = (site.data / name).stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (USER, GROUP, 0o750)


def test_it_connects_to_the_cluster_for_dns_only(site: Site) -> None:
    dns, world = site.get("networkpolicy/jellyfin")["spec"]["egress"]
    assert {(port["port"], port["protocol"]) for port in dns["ports"]} == {(53, "UDP"), (53, "TCP")}
    (block,) = [target["ipBlock"] for target in world["to"]]
    assert block["cidr"] == "0.0.0.0/0"
    assert {"10.244.0.0/16", "10.96.0.0/12", "10.233.0.0/24"} < set(block["except"])
    # the hosts of the inventory, or the node network
    assert any(network.startswith("192.168.4.") for network in block["except"])


def test_the_node_may_have_another_name_than_its_host(site: Site) -> None:
    run = site.play(jellyfin_host="homelab", jellyfin_node_name=STORAGE)
    assert (run.status, run.changed) == (0, 0), run.text
    assert site.labelled() == f"node/{STORAGE}"


@pytest.mark.parametrize("arguments", [("--check", "--diff"), ()], ids=["check mode", "a real run"])
def test_another_user_is_an_error_before_anything_is_changed(site: Site, arguments: tuple[str, ...]) -> None:
    (site.data / "config" / "jellyfin.db").write_text("")
    run = site.play(*arguments, jellyfin_user=4321, jellyfin_group=4321, jellyfin_image=NEW)
    assert (run.status, run.changed) == (2, 0), run.text
    assert run.says(f"set jellyfin_user to {USER} and jellyfin_group to {GROUP}; or stop it, and run"), run.text
    assert run.says(f"`chown --recursive --no-dereference 4321:4321 {site.data}/config`"), run.text
    assert (site.image, site.pod["securityContext"]["runAsUser"]) == (OLD, USER)


def test_a_second_run_changes_nothing(site: Site) -> None:
    run = site.play()
    assert (run.status, run.changed) == (0, 0), run.text
    assert "Compare all manifests with the cluster" in run.tasks_run
    assert "Run Jellyfin" not in run.tasks_run


def test_the_label_of_the_media_host_is_put_right(site: Site) -> None:
    site.cluster.kubectl("label", "node", STORAGE, "vmstation.cluster/media-")
    site.cluster.kubectl("label", "node", MASTER, "vmstation.cluster/media=true")
    run = site.play()
    assert (run.status, run.tasks_changed) == (0, ["Remove the label from other nodes", "Run Jellyfin"]), run.text
    assert site.labelled() == f"node/{STORAGE}"


def test_an_image_whose_backup_fails_does_not_open_the_configuration(site: Site) -> None:
    run = site.play(jellyfin_image=NEW, jellyfin_backup_directory=f"{site.data}/config/backups")
    shutil.rmtree(site.data / "config" / "backups")
    assert run.status == 2, run.text
    assert run.says("Archive the configuration: destination: found"), run.text
    assert run.says(f"Jellyfin keeps running with {OLD}"), run.text
    assert site.image == OLD
    assert site.get("deployment/jellyfin")["spec"]["replicas"] == 1


def test_before_another_image_the_configuration_is_archived(site: Site) -> None:
    (site.data / "config" / "jellyfin.db").write_text("users")
    predicted = site.play("--check", jellyfin_image=NEW)
    assert predicted.status == 0, predicted.text
    assert (site.image, os.listdir(site.backups)) == (OLD, [])
    run = site.play(jellyfin_image=NEW)
    assert run.status == 0, run.text
    assert run.tasks_changed == predicted.tasks_changed == ["Stop Jellyfin", "Archive the configuration", "Run Jellyfin"], run.text
    assert (site.image, site.get("deployment/jellyfin")["spec"]["replicas"]) == (NEW, 1)
    (archive,) = site.backups.iterdir()
    assert archive.name.startswith("jellyfin-10.11.10-")
    assert (archive.stat().st_mode & 0o777, site.backups.stat().st_mode & 0o777) == (0o600, 0o700)
    with tarfile.open(archive) as opened:
        assert opened.extractfile("config/jellyfin.db").read() == b"users"


def test_for_a_backup_the_configuration_is_archived_and_jellyfin_starts_again(site: Site) -> None:
    run = site.play(tasks_from="export")
    assert run.status == 0, run.text
    made = "Create a directory from which the archive can be fetched"
    assert run.tasks_changed == [made, "Stop Jellyfin", "Archive the configuration", "Start Jellyfin again"], run.text
    (archive,) = site.exported.iterdir()
    assert archive.name.startswith("jellyfin-10.11.11-")
    assert (archive.stat().st_mode & 0o777, site.exported.stat().st_mode & 0o777) == (0o600, 0o711)
    again = site.play(jellyfin_image=NEW)
    assert (again.status, again.changed) == (0, 0), again.text


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"jellyfin_storage_class": "fast"}, "jellyfin_storage_class: found fast; required: a directory of the host"),
        ({"jellyfin_export_maximum_size": "1B"}, "required: 1 B at most"),
        ({"jellyfin_storage_directory": "/nowhere"}, "source: found no directory /nowhere/config"),
    ],
)
def test_what_keeps_a_backup_from_it_is_told_and_jellyfin_runs_on(site: Site, variables: dict[str, object], said: str) -> None:
    before = list(site.exported.iterdir())
    run = site.play(tasks_from="export", **variables)
    assert run.status == 0, run.text
    assert run.says(said), run.text
    assert (list(site.exported.iterdir()), site.get("deployment/jellyfin")["spec"]["replicas"]) == (before, 1)


def test_a_restored_configuration_of_another_user_is_named(site: Site) -> None:
    (archive,) = site.exported.iterdir()
    restored = {"jellyfin_put_back_archive": str(archive), "jellyfin_put_back_sha256": "", "jellyfin_put_back_replace": True}
    variables = {**restored, "_jellyfin_put_back_directory": str(site.directory / "restore"), "jellyfin_image": NEW}
    run = site.play(tasks_from="put_back", **variables, jellyfin_user=4321)
    assert run.status == 2, run.text
    assert run.says(f"directory {site.data}/config: found files in it, and user {USER} as its owner"), run.text
    assert site.get("deployment/jellyfin")["spec"]["replicas"] == 1
    run = site.play(tasks_from="put_back", **variables)
    assert run.status == 0, run.text
    assert (site.data / "config" / "jellyfin.db").read_text() == "users"
    for former in site.data.glob("config.before-*"):
        shutil.rmtree(former)


def test_while_its_host_is_asleep_nothing_is_changed_and_the_pod_waits(site: Site) -> None:
    site.nodes.switch_off(STORAGE)
    run = site.play(jellyfin_asleep_hosts=[STORAGE], jellyfin_image=OLD)
    (pod,) = site.get("pods")["items"]
    site.nodes.switch_on(STORAGE)
    assert (run.status, run.changed) == (0, 0), run.text
    assert run.says(f"{STORAGE} is asleep: its media and its free space cannot be checked")
    assert site.image == NEW
    lasting = {one["key"] for one in pod["spec"]["tolerations"] if one.get("effect") == "NoExecute" and "tolerationSeconds" not in one}
    assert lasting == {"node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready"}


def test_removed_and_made_anew_it_has_its_data_and_takes_a_device(site: Site) -> None:
    site.nodes.switch_off(STORAGE)
    run = site.play(jellyfin_state="absent", jellyfin_asleep_hosts=[STORAGE])
    site.nodes.switch_on(STORAGE)
    assert run.status == 0, run.text
    assert not site.has_namespace()
    assert not site.labelled()
    assert "jellyfin-" not in site.cluster.kubectl("get", "pv", "--output=name").stdout
    devices = site.directory / "dri"
    devices.mkdir()
    (devices / "card0").write_text("")
    run = site.play(jellyfin_hardware_acceleration=True, _jellyfin_devices=str(devices))
    assert run.says(f"jellyfin_hardware_acceleration: found no {devices}/renderD* on {STORAGE}"), run.text
    (devices / "renderD128").write_text("")
    os.chown(devices / "renderD128", 0, 4711)
    run = site.play(
        jellyfin_image=NEW, jellyfin_hardware_acceleration="auto", _jellyfin_devices=str(devices), jellyfin_supplemental_groups=[44]
    )
    assert run.status == 0, run.text
    assert (site.data / "config" / "jellyfin.db").read_text() == "users"
    assert {one["status"]["phase"] for one in site.get("pvc")["items"]} == {"Bound"}
    assert site.pod["securityContext"]["supplementalGroups"] == [44, 4711]
    assert site.pod["containers"][0]["securityContext"] == {"privileged": True, "readOnlyRootFilesystem": True}
    assert "devices" in [one["name"] for one in site.pod["volumes"]]


@pytest.mark.parametrize("acceleration", [False, "auto"])
def test_a_device_plugin_takes_the_place_of_privileges(site: Site, acceleration: object) -> None:
    devices = site.directory / "dri"
    given = {"jellyfin_image": NEW, "jellyfin_hardware_acceleration": acceleration, "_jellyfin_devices": str(devices)}
    site.offer(1)
    run = site.play(**given, jellyfin_device_resource=DEVICE)
    assert run.status == 0, run.text
    (container,) = site.pod["containers"]
    assert container["resources"]["limits"] == {"memory": "2Gi", DEVICE: "1"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert "devices" not in [one["name"] for one in (*site.pod["volumes"], *container["volumeMounts"])]
    assert site.pod["securityContext"]["supplementalGroups"] == [4711]
    (pod,) = site.get("pods")["items"]
    assert pod["spec"]["nodeName"] == STORAGE
    site.offer(0)
    run = site.play(**given, jellyfin_device_resource=DEVICE)
    assert (run.status, run.changed) == (2, 0), run.text
    assert run.says(f"node {STORAGE}: found no {DEVICE}"), run.text


def test_the_api_server_accepts_the_device_plugin_of_the_documentation(site: Site) -> None:
    (manifest,) = re.findall(r"```yaml\n(apiVersion.*?)```", (CHECKOUT / "docs" / "jellyfin.md").read_text(), re.DOTALL)
    site.cluster.kubectl("create", "--dry-run=server", "--validate=strict", "--filename=-", stdin=manifest)


def test_data_go_only_when_asked_and_archives_stay(site: Site) -> None:
    run = site.play(jellyfin_state="absent", jellyfin_remove_data=True)
    assert run.status == 0, run.text
    assert not site.data.exists()
    assert len(list(site.backups.iterdir())) == 1
