# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Kubernetes control plane on loopback: etcd, API server, controller manager and scheduler as processes of this one."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.build import binary
from tests.cluster.programs import PROGRAMS, version
from tests.lab.cache import cache
from tests.lab.say import LabError, quietly, say

LOOPBACK = "127.0.0.1"
# An API server may not advertise loopback. Nothing connects to this address (RFC 5737).
ADVERTISED = "192.0.2.1"
PATIENCE = 120.0  # seconds for each thing that is waited for
FIRST_PORT, PORTS, SLOTS = 25600, 8, 64  # below what the kernel gives to outgoing connections


@dataclass(frozen=True)
class Ranges:
    """What of a network plan an API server is told."""

    service_cidr: str = "10.96.0.0/12"
    pod_cidr: str = "10.244.0.0/16"
    node_port_range: str = "30000-32767"
    dns_domain: str = "cluster.local"


@contextmanager
def _slot() -> Iterator[tuple[Path, list[int]]]:
    """A directory and ports that no other control plane of this user has; an abandoned one's remains go first."""
    clusters = cache() / "cluster" / "running"
    clusters.mkdir(parents=True, exist_ok=True)
    for number in range(SLOTS):
        with (clusters / f"{number}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            ports = [FIRST_PORT + PORTS * number + index for index in range(PORTS)]
            if not all(map(_is_free, ports)):
                continue
            directory = clusters / str(number)
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(mode=0o700)
            try:
                yield directory, ports
            finally:
                shutil.rmtree(directory)
            return
    raise LabError(f"no free ports for a control plane: {FIRST_PORT} to {FIRST_PORT + PORTS * SLOTS - 1} on {LOOPBACK} are all taken")


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        # as the programs do: the closed connections of an earlier one are no obstacle
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


class Cluster:
    """A control plane without nodes. ``start`` and ``stop`` it, or take it from ``running``."""

    def __init__(self, directory: Path, ports: list[int], ranges: Ranges) -> None:
        self.directory = directory
        self.ranges = ranges
        self.certificates = directory / "pki"
        self.kubeconfig = directory / "super-admin.conf"
        self._etcd, self._etcd_peer, self._api, self._manager, self._scheduler = ports[:5]
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        return f"https://{LOOPBACK}:{self._api}"

    def client(self) -> Any:
        """A new ``kubernetes.client.ApiClient`` of the cluster's administrator."""
        from kubernetes import config  # noqa: PLC0415 - all but this works without the package

        return config.new_client_from_config(str(self.kubeconfig))

    def kubectl(self, *argv: str, stdin: str = "", check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run kubectl as the cluster's administrator; with check, a status other than 0 raises with what it said."""
        process = subprocess.run(
            [str(binary("kubectl")), f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.directory / 'kubectl'}", *argv],
            input=stdin, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        if check and process.returncode:
            raise LabError(f"`kubectl {' '.join(argv)}` ended with status {process.returncode}: {process.stderr.strip()}")
        return process

    def start(self) -> None:
        """Make certificates, start all four programs and wait until the cluster takes objects."""
        self._make_certificates()
        self._run("etcd", *self._etcd_arguments())
        self._wait("etcd", "accepts connections", lambda: _listens(self._etcd))
        self._run("kube-apiserver", *self._api_arguments())
        authority = ssl.create_default_context(cafile=str(self.certificates / "ca.crt"))
        self._wait("kube-apiserver", "is ready", lambda: _is_well(f"{self.url}/readyz", authority))
        self._run("kube-controller-manager", *self._manager_arguments())
        self._run("kube-scheduler", *self._scheduler_arguments())
        # both make their own certificates; on loopback it is enough that they answer
        anybody = ssl._create_unverified_context()
        for program, port in (("kube-controller-manager", self._manager), ("kube-scheduler", self._scheduler)):
            self._wait(program, "is healthy", lambda port=port: _is_well(f"https://{LOOPBACK}:{port}/healthz", anybody))
        self._wait("kube-controller-manager", "has made the service account `default`", self._has_account)

    def stop(self) -> None:
        """End all programs, the last started first."""
        for name in reversed(list(self._processes)):
            self.end(name)

    def end(self, name: str) -> None:
        """End one program."""
        process = self._processes.pop(name)
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def _has_account(self) -> bool:
        return self.kubectl("get", "serviceaccount", "default", "--namespace=default", check=False).returncode == 0

    def _make_certificates(self) -> None:
        """By kubeadm, as in a real cluster, but for one of this machine only."""
        documents = [
            {
                "kind": "InitConfiguration",
                "localAPIEndpoint": {"advertiseAddress": ADVERTISED, "bindPort": self._api},
                "nodeRegistration": {"name": "loopback", "criSocket": "unix:///nowhere"},
            },
            {
                "kind": "ClusterConfiguration",
                "kubernetesVersion": version(PROGRAMS["kubeadm"]),
                "certificatesDir": str(self.certificates),
                "controlPlaneEndpoint": f"{LOOPBACK}:{self._api}",
                "encryptionAlgorithm": "ECDSA-P256",
                "apiServer": {"certSANs": [LOOPBACK, "localhost"]},
                "networking": {
                    "serviceSubnet": self.ranges.service_cidr,
                    "podSubnet": self.ranges.pod_cidr,
                    "dnsDomain": self.ranges.dns_domain,
                },
            },
        ]
        configuration = self.directory / "kubeadm.yaml"
        configuration.write_text("\n---\n".join(json.dumps({"apiVersion": "kubeadm.k8s.io/v1beta4", **document}) for document in documents))
        phase = [str(binary("kubeadm")), "init", "phase"]
        quietly([*phase, "certs", "all", f"--config={configuration}"], timeout=PATIENCE)
        for name in ("super-admin", "controller-manager", "scheduler"):
            quietly([*phase, "kubeconfig", name, f"--config={configuration}", f"--kubeconfig-dir={self.directory}"], timeout=PATIENCE)

    def _etcd_arguments(self) -> list[str]:
        pki = self.certificates / "etcd"
        client, peer = f"https://{LOOPBACK}:{self._etcd}", f"https://{LOOPBACK}:{self._etcd_peer}"
        return [
            "--name=loopback", f"--data-dir={self.directory / 'etcd'}", "--unsafe-no-fsync",
            f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=loopback={peer}",
            f"--cert-file={pki}/server.crt", f"--key-file={pki}/server.key", f"--trusted-ca-file={pki}/ca.crt", "--client-cert-auth",
            f"--peer-cert-file={pki}/peer.crt", f"--peer-key-file={pki}/peer.key", f"--peer-trusted-ca-file={pki}/ca.crt",
            "--peer-client-cert-auth",
        ]  # fmt: skip

    def _api_arguments(self) -> list[str]:
        pki = self.certificates
        return [
            f"--bind-address={LOOPBACK}", f"--secure-port={self._api}", f"--advertise-address={ADVERTISED}",
            f"--etcd-servers=https://{LOOPBACK}:{self._etcd}", f"--etcd-cafile={pki}/etcd/ca.crt",
            f"--etcd-certfile={pki}/apiserver-etcd-client.crt", f"--etcd-keyfile={pki}/apiserver-etcd-client.key",
            f"--client-ca-file={pki}/ca.crt", f"--tls-cert-file={pki}/apiserver.crt", f"--tls-private-key-file={pki}/apiserver.key",
            f"--service-account-issuer=https://kubernetes.default.svc.{self.ranges.dns_domain}",
            f"--service-account-key-file={pki}/sa.pub", f"--service-account-signing-key-file={pki}/sa.key",
            f"--service-cluster-ip-range={self.ranges.service_cidr}", f"--service-node-port-range={self.ranges.node_port_range}",
            "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--enable-bootstrap-token-auth",
            "--allow-privileged=true",
        ]  # fmt: skip

    def _manager_arguments(self) -> list[str]:
        pki = self.certificates
        return [
            f"--kubeconfig={self.directory / 'controller-manager.conf'}", f"--master={self.url}", "--leader-elect=false",
            f"--bind-address={LOOPBACK}", f"--secure-port={self._manager}", f"--cert-dir={self.directory / 'controller-manager'}",
            "--use-service-account-credentials", f"--service-account-private-key-file={pki}/sa.key", f"--root-ca-file={pki}/ca.crt",
            f"--cluster-signing-cert-file={pki}/ca.crt", f"--cluster-signing-key-file={pki}/ca.key",
            "--controllers=*,bootstrapsigner,tokencleaner", "--allocate-node-cidrs", f"--cluster-cidr={self.ranges.pod_cidr}",
            f"--service-cluster-ip-range={self.ranges.service_cidr}",
        ]  # fmt: skip

    def _scheduler_arguments(self) -> list[str]:
        return [
            f"--kubeconfig={self.directory / 'scheduler.conf'}", f"--master={self.url}", "--leader-elect=false",
            f"--bind-address={LOOPBACK}", f"--secure-port={self._scheduler}", f"--cert-dir={self.directory / 'scheduler'}",
        ]  # fmt: skip

    def _run(self, program: str, *arguments: str) -> None:
        with self._log(program).open("wb") as log:
            self._processes[program] = subprocess.Popen(
                # Not TERM, as elsewhere: an API server whose etcd is gone takes minutes to end of itself, and nothing here is worth it.
                ["setpriv", "--pdeathsig", "KILL", str(binary(program)), *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory, env={**os.environ, "GOMAXPROCS": "2"},
            )  # fmt: skip

    def _log(self, program: str) -> Path:
        return self.directory / f"{program}.log"

    def _wait(self, program: str, what: str, condition: Callable[[], bool]) -> None:
        """Wait until a program is as far as that; raises with the end of its log when it ended, or when it takes too long."""
        began = time.monotonic()
        while not condition():
            status = self._processes[program].poll()
            if status is not None:
                raise LabError(f"{program} ended with status {status} before it {what}. {self._last_words(program)}")
            if time.monotonic() - began > PATIENCE:
                raise LabError(f"waited {PATIENCE:.0f} s in vain until {program} {what}. {self._last_words(program)}")
            time.sleep(0.1)

    def _last_words(self, program: str) -> str:
        return "Its log ends with:\n" + "\n".join(deque(self._log(program).read_text(errors="replace").splitlines(), 20))


def _listens(port: int) -> bool:
    with socket.socket() as connection:
        connection.settimeout(2)
        return connection.connect_ex((LOOPBACK, port)) == 0


def _is_well(url: str, context: ssl.SSLContext) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)).open(
            url, timeout=5
        ) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


@contextmanager
def running(ranges: Ranges | None = None) -> Iterator[Cluster]:
    """A cluster that is ready, and of which nothing is left afterwards."""
    with ExitStack() as stack:
        directory, ports = stack.enter_context(_slot())
        cluster = Cluster(directory, ports, ranges or Ranges())
        stack.callback(cluster.stop)
        began = time.monotonic()
        cluster.start()
        say(f"control plane on {cluster.url}: ready after {time.monotonic() - began:.1f} s")
        yield cluster
