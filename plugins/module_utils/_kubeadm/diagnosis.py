# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a control plane does not come up, as far as its host tells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands
from ansible_collections.vmstation.cluster.plugins.module_utils._io.host_state import HostFiles
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.certificates import read_expirations
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.state import COMPONENTS
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.tools import Kubeadm, Kubelet
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

POD_LOGS = "/var/log/pods"
JOURNAL_LINES = 40
LINES_OF_A_LOG = 3
_ERROR_LINE = re.compile(r"^E\d{4} |[Ee]rror|failed|fatal")


def diagnose(commands: Commands, files: HostFiles) -> list[str]:
    """One line per thing that stands or says something: the kubelet, its journal, containers, their last words, certificates."""
    found = []
    for source in (_kubelet, _containers, _certificates):
        try:
            found += list(source(commands, files))
        except Refusal as refusal:
            found.append(str(refusal))
    return found


def _kubelet(commands: Commands, _files: HostFiles) -> Iterator[str]:
    state = Kubelet(commands).state()
    yield f"kubelet: {state.get('ActiveState')} ({state.get('SubState')})"
    journal = commands.run(
        ["journalctl", "--unit=kubelet", f"--lines={JOURNAL_LINES}", "--no-pager", "--output=cat"], timeout=30.0, check=False
    )
    wrong = [line for line in journal.stdout.splitlines() if _ERROR_LINE.search(line)]
    yield from (f"kubelet says: {line[:300]}" for line in wrong[-LINES_OF_A_LOG:])


def _containers(commands: Commands, files: HostFiles) -> Iterator[str]:
    if commands.has("crictl"):
        listed = commands.run(["crictl", "ps", "--all"], timeout=30.0, check=False).stdout.splitlines()[1:]
        yield from (f"container: {' '.join(line.split())}" for line in listed if any(name in line for name in COMPONENTS))
    pods = files.entries(POD_LOGS)
    for name in COMPONENTS:
        mine = [f"{POD_LOGS}/{pod}/{name}" for pod in pods if pod.startswith(f"kube-system_{name}-")]
        # a changed manifest makes another Pod, and the directory of the one before stays for a while
        logs = [(directory, numbers) for directory in mine if (numbers := _numbers(files, directory))]
        if not mine:
            yield f"{name}: has not been started"
        elif not logs:
            yield f"{name}: has a Pod and no container yet"
        for directory, numbers in logs:
            yield from _last_words(files, name, directory, numbers)


def _numbers(files: HostFiles, directory: str) -> list[int]:
    """The logs of a container, one for each of its starts."""
    return sorted(int(log.split(".")[0]) for log in files.entries(directory) if log.split(".")[0].isdigit())


def _last_words(files: HostFiles, name: str, directory: str, numbers: Sequence[int]) -> Iterator[str]:
    restarts = numbers[-1]
    # a container that has just been started has not said anything: the one before it has
    texts = [files.read(f"{directory}/{number}.log") or "" for number in numbers[-2:]]
    lines = [line for text in texts for line in text.splitlines()]
    wrong = [line for line in lines if re.search(r" [EF]\d{4} |\berror\b|fatal|panic", line, re.I)] or lines
    yield f"{name}: started {restarts + 1} times" if restarts else f"{name}: started once"
    yield from (f"{name} says: {line[:300]}" for line in wrong[-LINES_OF_A_LOG:])


def _certificates(commands: Commands, _files: HostFiles) -> Iterator[str]:
    kubeadm = Kubeadm(commands)
    if kubeadm.is_there:
        for one in read_expirations(kubeadm.certificates().stdout):
            if one["days"] < 0:
                yield f"certificate {one['name']}: expired on {one['expires']}; `kubeadm certs renew all` renews it"
