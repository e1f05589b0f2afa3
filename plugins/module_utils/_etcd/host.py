# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The edge of this package: etcdctl on a control plane host."""

from __future__ import annotations

import time

from .._etcd.etcd import EtcdTools, image_of
from .._host.commands import HostCommands
from .._host.files import LocalFiles
from .._kubeadm.state import MANIFESTS, Api


def this_host(socket: str) -> EtcdTools:
    """Return etcd's tools, of the host or of the image of its member here."""
    path = f"{MANIFESTS}/etcd.yaml"
    return EtcdTools(HostCommands(), image_of(LocalFiles().read(path) or "", path), socket)


def api_of_this_host() -> Api:
    return Api(HostCommands(), "127.0.0.1", time.sleep)
