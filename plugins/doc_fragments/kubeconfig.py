# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of every module that connects to the API server of a cluster."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - The path of the cluster's kubeconfig on the host that the module runs on.
      - Without it, the path in the environment variable E(KUBECONFIG), or else C(~/.kube/config).
    type: path
  context:
    description:
      - The context of the kubeconfig. Without it, the current context of the kubeconfig.
    type: str
requirements:
  - urllib3 and PyYAML, for a kubeconfig that kubeadm wrote
  - kubernetes (the Python client) >= 24.2.0, except 36.0.0, which sends no token; for exec and auth plugins, proxies and several files
notes:
  - Lists are read in pages of 125 objects. The timeout is 5 seconds for a connection and 30 seconds for an answer. If the server is busy, a
    request is repeated up to two times.
"""
