# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CIS Kubernetes Benchmark against what a real kubeadm writes for the configuration of the role control_plane."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._host.files import LocalFiles
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.configuration import as_text, document_of, init_documents
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.hardening import unneeded_files

from tests.cluster.build import build
from tests.cluster.cis import CHECKS, PAGE, Check, HostFiles, renewed
from tests.lab.say import quietly
from tests.unit.kubeadm.test_configuration import MASTER, PLAN

PHASES = ("certs all", "kubeconfig all", "etcd local", "control-plane all", "kubelet-start")


class Below(LocalFiles):
    """The host's files below a directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, path: str) -> Path:
        return self._root / path.lstrip("/")

    def exists(self, path: str) -> bool:
        return self.path(path).exists()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> HostFiles:
    root = tmp_path_factory.mktemp("host")
    (root / "kubeadm.yaml").write_text(as_text(init_documents(PLAN, MASTER)))
    (kubeadm,) = build(["kubeadm"])
    for phase in PHASES:
        quietly([str(kubeadm), "init", "phase", *phase.split(), "--config=/kubeadm.yaml", f"--rootfs={root}"])
    # the role's module does this after init
    files = Below(root)
    for path in unneeded_files(document_of(init_documents(PLAN, MASTER), "ClusterConfiguration"), files):
        files.path(path).unlink()
    return HostFiles(root)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: f"{check.number} {check.title}")
def test_each_check_passes_or_has_a_reason(host: HostFiles, check: Check) -> None:
    assert check.holds(host) is (check.reason == "")


def test_the_page_shows_each_check() -> None:
    assert PAGE.read_text() == renewed(PAGE.read_text())
    assert len({(one.number, one.title) for one in CHECKS}) == len(CHECKS)
