# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example for a cluster of kubespray or k3s, with the installed archive, against a real API server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.build import missing
from tests.cluster.hollow import hollow_nodes
from tests.cluster.play import ON_THIS_MACHINE
from tests.cluster.programs import API_SERVER
from tests.cluster.server import Cluster, running
from tests.lab.archive import build_and_install
from tests.lab.cache import CHECKOUT
from tests.lab.venv import ensure_venv

pytest.importorskip("kubernetes")

KUBESPRAY = {"kube_control_plane": ["alpha"], "kube_node": ["alpha", "beta"]}
K3S = {"server": ["alpha"], "agent": ["beta"]}
K3S_GROUPS = {"cluster_control_plane_group": "server", "cluster_workers_group": "agent"}
NODE = "beta.home.lan"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    if unbuilt := missing(API_SERVER):
        pytest.skip(f"not built: {' '.join(unbuilt)}")
    if os.geteuid() != 0 or not os.path.ismount("/dev/shm"):
        pytest.skip("directories get owners, which takes root, and media a file system of their own, which takes /dev/shm")
    with running() as made, hollow_nodes(made) as nodes:
        nodes.add("alpha", control_plane=True)
        nodes.add(NODE)
        yield made


@pytest.fixture
def media() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(dir="/dev/shm"))
    directory.chmod(0o755)
    (directory / "film.mkv").write_text("film")
    yield directory
    shutil.rmtree(directory)


@pytest.mark.thorough
def test_monitoring_and_jellyfin_with_the_inventory_of_another_installer(cluster: Cluster, media: Path, tmp_path: Path) -> None:
    installed = build_and_install(tmp_path / "installed")
    variables = {
        "cluster_kubeconfig": str(cluster.kubeconfig),
        "monitoring_storage_directory": str(tmp_path / "monitoring"),
        "monitoring_grafana_password_file": str(tmp_path / "secret" / "password"),
        "monitoring_storage_minimum_free": "1MiB",
        "monitoring_validate": [],
        "jellyfin_node_name": NODE,
        "jellyfin_media": [{"path": str(media)}],
        "jellyfin_storage_directory": str(tmp_path / "jellyfin"),
        "jellyfin_backup_directory": str(tmp_path / "backups"),
        "jellyfin_minimum_free": "1MiB",
        # no Jellyfin answers
        "jellyfin_complete_wizard": False,
        **ON_THIS_MACHINE,
    }

    def changed(groups: dict[str, list[str]], **more: object) -> int:
        (tmp_path / "hosts.json").write_text(
            json.dumps({"all": {"children": {name: {"hosts": dict.fromkeys(groups[name])} for name in groups}}})
        )
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        argv = [
            "ansible-playbook",
            "-i",
            "hosts.json",
            "-e",
            json.dumps({**variables, **more}),
            str(CHECKOUT / "examples/existing_cluster.yml"),
        ]
        process = subprocess.run(
            argv, capture_output=True, text=True, check=False, timeout=600, cwd=tmp_path,
            env={**environment, "PATH": f"{ensure_venv()}/bin:{os.environ['PATH']}", "ANSIBLE_COLLECTIONS_PATH": str(installed.parents[2])},
        )  # fmt: skip
        assert process.returncode == 0, process.stdout + process.stderr
        return sum(map(int, re.findall(r"changed=(\d+)", process.stdout)))

    assert changed(KUBESPRAY) > 0
    pods = json.loads(cluster.kubectl("get", "pods", "--all-namespaces", "--output=json").stdout)["items"]
    placed = {pod["metadata"]["labels"].get("app.kubernetes.io/name"): pod["spec"]["nodeName"] for pod in pods}
    assert (placed["jellyfin"], placed["prometheus"]) == (NODE, "alpha")
    assert changed(K3S, **K3S_GROUPS) == 0
