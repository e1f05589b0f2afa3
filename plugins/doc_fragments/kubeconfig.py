# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module takes that asks a cluster's API server."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - The kubeconfig of the cluster, on the host that the module runs on.
      - Without it, what the environment variable E(KUBECONFIG) names, else C(~/.kube/config).
    type: path
  context:
    description:
      - The context of the kubeconfig. Without it, the kubeconfig's current one.
    type: str
requirements:
  - urllib3 and PyYAML, for a kubeconfig as kubeadm writes it
  - kubernetes (the Python client) >= 24.2.0, not 36.0.0, which sends no token; for exec and auth plugins, proxies and several files
notes:
  - Lists are fetched in pages of 125 objects. Connecting may take 5 seconds, each answer 30; a busy server is asked two times more.
"""
