# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubeadm, the kubelet's service, and the Kubernetes API of a control plane host, asked through the host's own programs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Callable, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands, Completed
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.state import ADMIN_CONF
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal, Unavailable

CONFIGURATION = "/etc/kubernetes/vmstation-kubeadm.yaml"
PHASE_TIMEOUT = 300.0
# kubectl would keep what it learns of the API below /root; it is not asked often enough for that
KUBECTL_CACHE = "/run/vmstation-kubectl"
ATTEMPTS, PAUSE = 4, 3.0
_VERSION = re.compile(r"v(\d+\.\d+\.\d+)")


class Kubeadm:
    """kubeadm on this host."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    @property
    def is_there(self) -> bool:
        return self._commands.has("kubeadm")

    def refuse_other_release(self, wanted: str, *, kubelet: bool) -> None:
        """Name a program whose version is not the pinned one. wanted: as in v1.36.4. kubelet: whether its version counts too."""
        programs = [("kubeadm", ["kubeadm", "version", "--output=short"])]
        programs += [("kubelet", ["kubelet", "--version"])] if kubelet else []
        for program, argv in programs:
            answer = self._commands.run(argv, timeout=30.0).stdout
            match = _VERSION.search(answer)
            if not match or f"v{match.group(1)}" != wanted:
                raise Refusal(
                    program,
                    f"version {answer.strip() or 'unknown'}",
                    f"{wanted}, the version that the configuration says",
                    f"Install {program} {wanted}, or change the version that you asked for; an existing cluster is upgraded step by step.",
                )

    def validate(self, text: str) -> None:
        """Refuse a configuration that kubeadm does not take."""
        answer = self._commands.run(["kubeadm", "config", "validate", "--config=/dev/stdin"], stdin=text, timeout=60.0, check=False)
        if answer.status:
            raise Refusal(
                "the kubeadm configuration",
                "; ".join(errors_of(answer)) or "no reason",
                "a configuration that `kubeadm config validate` accepts",
                "Correct the setting that it names.",
            )

    def init(self, ignore: Sequence[str], timeout: float) -> Completed:
        """Every phase. ignore: names of preflight checks whose errors are known."""
        argv = ["kubeadm", "init", f"--config={CONFIGURATION}", "--skip-token-print"]
        argv += [f"--ignore-preflight-errors={','.join(ignore)}"] if ignore else []
        return self._commands.run(argv, timeout=timeout, check=False)

    def phase(self, *phase: str) -> None:
        """One phase of init, with the configuration on disk."""
        quiet = ["--skip-token-print"] if phase == ("bootstrap-token",) else []
        self._commands.run(["kubeadm", "init", "phase", *phase, f"--config={CONFIGURATION}", *quiet], timeout=PHASE_TIMEOUT)

    def certificates(self) -> Completed:
        return self._commands.run(
            ["kubeadm", "certs", "check-expiration", "--output=json", f"--config={CONFIGURATION}"], timeout=60.0, check=False
        )


def is_queued(state: Mapping[str, str]) -> bool:
    """Whether systemd has work to do with a unit, such as to start it while the host boots. Without work it prints no number, or 0."""
    return state.get("Job", "") not in ("", "0")


class Kubelet:
    """The kubelet's systemd unit."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def state(self, *, check: bool = True) -> dict[str, str]:
        """ActiveState, SubState, UnitFileState and Job, which numbers what systemd is to do. Without check there may be none."""
        argv = ["systemctl", "show", "kubelet", "--property=ActiveState,SubState,UnitFileState,Job"]
        lines = self._commands.run(argv, timeout=30.0, check=check).stdout.splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def enable_and_start(self) -> None:
        self._commands.run(["systemctl", "enable", "--now", "kubelet"], timeout=120.0)

    def restart(self) -> None:
        self._commands.run(["systemctl", "restart", "kubelet"], timeout=120.0)


class Api:
    """The API server of this host, asked as kubeadm's administrator at the host's own address."""

    def __init__(self, commands: Commands, address: str, sleep: Callable[[float], None]) -> None:
        self._commands, self._sleep = commands, sleep
        host = f"[{address}]" if ":" in address else address
        self._kubectl = [
            "kubectl",
            f"--kubeconfig={ADMIN_CONF}",
            f"--server=https://{host}:6443",
            f"--cache-dir={KUBECTL_CACHE}",
            "--request-timeout=10s",
        ]

    def why_not_ready(self) -> str:
        """What keeps the API server from being ready; empty if it is."""
        answer = self._run(["get", "--raw=/readyz"])
        return "" if answer.status == 0 and answer.stdout.strip() == "ok" else " ".join((answer.stderr or answer.stdout).split())[-300:]

    def get(self, path: str) -> Optional[dict[str, Any]]:
        """An object or a list; None if there is none of this name."""
        answer = self._persistently(["get", f"--raw={path}"], "(NotFound)")
        if answer.status == 0:
            read = json.loads(answer.stdout)
            return read if isinstance(read, dict) else None
        if "(NotFound)" in answer.stderr:
            return None
        raise _unavailable(f"GET {path}", answer)

    def create(self, path: str, thing: Mapping[str, Any]) -> None:
        answer = self._persistently(["create", f"--raw={path}", "--filename=-"], "(AlreadyExists)", stdin=json.dumps(thing))
        if answer.status and "(AlreadyExists)" not in answer.stderr:
            raise _unavailable(f"POST {path}", answer)

    def taint(self, node: str, taint: str) -> None:
        answer = self._persistently(["taint", "node", node, taint], "not found")
        if answer.status and "not found" not in answer.stderr:
            raise _unavailable(f"the taint {taint} of node {node}", answer)

    def as_mappings(self, documents: Sequence[str]) -> list[dict[str, Any]]:
        """YAML documents as kubeadm stores them, read by kubectl: managed hosts have no other YAML reader. It asks no server for that."""
        argv = ["kubectl", "annotate", "--local", "--output=json", "--filename=-", "vmstation=read"]
        text = self._commands.run(argv, stdin="\n---\n".join(documents), timeout=30.0).stdout
        return _json_texts(text)

    def _persistently(self, argv: Sequence[str], settled: str, stdin: str = "") -> Completed:
        """An API server that has just become ready may still leave a request unanswered. settled: what else than success is an answer."""
        answer = self._run(argv, stdin)
        for _attempt in range(ATTEMPTS - 1):
            if answer.status == 0 or settled in answer.stderr:
                break
            self._sleep(PAUSE)
            answer = self._run(argv, stdin)
        return answer

    def _run(self, argv: Sequence[str], stdin: str = "") -> Completed:
        return self._commands.run([*self._kubectl, *argv], stdin=stdin, timeout=30.0, check=False)


def errors_of(answer: Completed) -> list[str]:
    """What kubeadm said was wrong: its error lines, else the last ones."""
    lines = [line.strip() for line in (answer.stdout + "\n" + answer.stderr).splitlines() if line.strip()]
    wrong = [line for line in lines if line.startswith(("error:", "[ERROR", "error execution"))]
    return [line for line in wrong or lines[-3:] if not line.startswith("To see the stack trace")]


def _json_texts(text: str) -> list[dict[str, Any]]:
    """JSON values that stand one after the other."""
    decoder, found, position = json.JSONDecoder(), [], 0
    while position < len(text):
        value, position = decoder.raw_decode(text, position)
        found.append(value)
        while position < len(text) and text[position].isspace():
            position += 1
    return found


def _unavailable(what: str, answer: Completed) -> Unavailable:
    said = " ".join((answer.stderr or answer.stdout).split()) or "no answer"
    return Unavailable(
        f"Kubernetes API, {what}",
        said,
        "an answer",
        "See what the API server says: `crictl ps -a`, `journalctl -u kubelet`, then run again.",
    )
