# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster, read and written with the control plane's own kubectl."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._idle.places import CORDONED_BY, KUBECONFIG, KUBECTL_CACHE, US
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands, Completed

Object = dict[str, Any]

SECONDS = 30.0  # for one answer
LONGER = 15.0  # kubectl ends by itself when its own time is over


class Kubectl:
    """As much of a ClusterReader as a look at Pods and nodes takes, and what lets a node rest."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def items(
        self, api_version: str, kind: str, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> Iterator[Object]:
        group, _slash, version = api_version.rpartition("/")
        where = [f"--namespace={namespace}"] if namespace else ["--all-namespaces"]
        selectors = [f"--selector={label_selector}"] if label_selector else []
        selectors += [f"--field-selector={field_selector}"] if field_selector else []
        answer = self._run("get", f"{kind}.{version}.{group}", *where, *selectors, "--output=json").stdout
        yield from json.loads(answer)["items"]

    def cordon(self, node: str) -> None:
        """Let the node take no Pods, and note that it was us."""
        self._patch(node, US, True)

    def uncordon(self, node: str) -> None:
        self._patch(node, None, None)

    def drain(self, node: str, timeout: int) -> None:
        """As playbooks/tasks/drain.yml does. timeout: seconds."""
        options = ["--ignore-daemonsets", "--delete-emptydir-data", "--force", f"--timeout={timeout}s"]
        self._run("drain", node, *options, seconds=timeout)

    def wait_ready(self, node: str, timeout: int) -> None:
        self._run("wait", "--for=condition=Ready", f"node/{node}", f"--timeout={timeout}s", seconds=timeout)

    def _patch(self, node: str, by: object, unschedulable: object) -> None:
        patch = {"metadata": {"annotations": {CORDONED_BY: by}}, "spec": {"unschedulable": unschedulable}}
        self._run("patch", "node", node, "--type=merge", f"--patch={json.dumps(patch)}")

    def _run(self, verb: str, *arguments: str, seconds: float = SECONDS) -> Completed:
        return self._commands.run(
            ["kubectl", f"--kubeconfig={KUBECONFIG}", f"--cache-dir={KUBECTL_CACHE}", verb, *arguments], timeout=seconds + LONGER
        )
