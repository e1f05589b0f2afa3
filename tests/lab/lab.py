# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One lab: a network namespace with a bridge 192.168.4.0/24, hosts on it, power for them, and Ansible on its controller, .1.

Labs of different names know nothing of each other. Every step looks at what stands first, so that all of it may be interrupted and
run again.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tests.lab import kernel, machine
from tests.lab.cache import CHECKOUT, cache, digest, installation_source, locked, write
from tests.lab.hosts import FIREWALLS, GATEWAY, SUBNET, Host, HostSpec, creation_options
from tests.lab.image import ensure_image
from tests.lab.podman import Podman
from tests.lab.say import LabError
from tests.lab.venv import ensure_venv

SSH_OPTIONS = "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR"


class Lab:
    """A lab by its name; the object holds no state of its own, so any process may make one for the same lab."""

    def __init__(self, name: str = "vmstation") -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name):
            raise LabError(f"lab name {name!r}: a lower-case letter, then up to 30 letters, digits or hyphens")
        self.name = self.namespace = name
        self.directory = cache() / "labs" / name
        self.packets = self.directory / "packets.jsonl"
        self.kubeconfig = self.directory / "kubeconfig"
        self.key = cache() / "key"
        self.podman = Podman(self.directory, self.namespace)

    # what stands

    def container(self, host: str) -> str:
        return f"{self.name}-{host}"

    def volume(self, host: str) -> str:
        """Podman's volume that a Kubernetes host has as its /var."""
        return f"{self.container(host)}-var"

    @property
    def network(self) -> str:
        """Podman's network, of a name that no lab had before.

        Podman notes addresses by the network's name for good; killed at the wrong instant, it never gives one back.
        """
        return (self.directory / "network").read_text()

    def specs(self) -> list[HostSpec]:
        """The hosts that were created here, up or not."""
        try:
            return [HostSpec(**spec) for spec in json.loads((self.directory / "hosts.json").read_text())]
        except FileNotFoundError:
            return []

    def host(self, name: str) -> Host:
        for spec in self.specs():
            if spec.name == name:
                return Host(self, spec)
        raise LabError(f"lab {self.name}: there is no host {name}")

    def is_prepared(self) -> bool:
        return Path(f"/run/netns/{self.namespace}").exists() and self._power_pid() is not None

    @property
    def source(self) -> Path:
        """Where its hosts install Kubernetes from: what was published, if it was told so, else what was compiled last."""
        return self._published if self.is_published else installation_source()

    @property
    def is_published(self) -> bool:
        return self._published.is_symlink()

    @property
    def _published(self) -> Path:
        return self.directory / "source"

    # making and removing

    def install_from(self, published: Path | None) -> None:
        """Take a directory of published files as the source, or, without one, what was compiled last."""
        if published is None:
            self._published.unlink(missing_ok=True)
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        part = self._published.with_name(".source.part")
        part.unlink(missing_ok=True)
        part.symlink_to(published)
        part.rename(self._published)

    def prepare(self) -> None:
        """The network namespace, its bridge, the key, and the power control; no hosts yet."""
        with locked(f"lab-{self.name}"):
            self.podman.configure()
            if not (self.directory / "network").exists():
                write(self.directory / "network", f"{self.name}-{os.urandom(4).hex()}")
            self._ensure_key()
            if not Path(f"/run/netns/{self.namespace}").exists():
                self._do(["ip", "netns", "add", self.namespace])
            self.run(["ip", "link", "set", "lo", "up"])
            # frames between hosts must not pass the masquerading that podman sets up for its bridges; a setting of the namespace
            self.run(["sh", "-c", 'for f in /proc/sys/net/bridge/bridge-nf-call-*tables; do [ ! -e "$f" ] || echo 0 > "$f"; done'])
            # the gateway refuses every question for a name, not only the first one of each second; a setting of the namespace
            self.run(["sh", "-c", "echo 0 > /proc/sys/net/ipv4/icmp_ratelimit"])
            if not self.podman.succeeds("network", "exists", self.network):
                self.podman.run("network", "create", "--disable-dns", "--subnet", SUBNET, "--gateway", GATEWAY, self.network)
            self._ensure_bridge()
            self._ensure_power()

    def start(
        self, name: str, *, address: str, mac: str, image: str = "debian12", firewall: str = "none", sleeps: bool = False,
        kubernetes: bool = False,
    ) -> Host:  # fmt: skip
        """Create a host, or find it as wanted already; back when it has booted, or, with ``sleeps``, when it is ready and off."""
        return self.start_as(HostSpec(name, address, mac.lower(), image, firewall, sleeps, kubernetes))

    def start_as(self, spec: HostSpec) -> Host:
        """Create a host, or find it as wanted already."""
        if spec.firewall not in FIREWALLS:
            raise LabError(f"host {spec.name}: firewall {spec.firewall!r}; there are {', '.join(FIREWALLS)}")
        if not self.is_prepared():
            self.prepare()
        image = ensure_image(spec.image)
        options = creation_options(self, spec)
        spec = replace(spec, recipe=digest(image, FIREWALLS[spec.firewall], *options))
        host = Host(self, spec)
        if spec in self.specs() and self.podman.succeeds("container", "exists", host.container):
            if not spec.sleeps and not host.is_up():
                host.boot()
            return host
        self._forget(spec.name)
        self._remove_host(host)
        # of the cluster that the host was part of
        self.kubeconfig.unlink(missing_ok=True)
        if spec.kubernetes:
            self.podman.run("volume", "create", "--label", f"vmstation.lab={self.name}", self.volume(spec.name))
        self.podman.run("run", "-d", *options, image)
        host.wait_until_up()
        host.run(["sh", "-ec", FIREWALLS[spec.firewall]], timeout=180)
        if spec.sleeps:
            host.stop()
        # last: what is listed is ready
        write(self.directory / "hosts.json", json.dumps([known.as_dict() for known in [*self.specs(), spec]], indent=1))
        return host

    def remove(self, host: Host) -> None:
        self.close_connections(host.address)
        self._forget(host.name)
        self._remove_host(host)

    def down(self) -> None:
        """Remove hosts, network, namespace and processes; images and the cache stay."""
        with locked(f"lab-{self.name}"):
            self._end_power()
            self.close_connections()
            if Path(f"/run/netns/{self.namespace}").exists():
                self._remove_containers(self.podman)
                if (self.directory / "network").exists():
                    self.podman.run("network", "rm", "-f", self.network)
                self._end_processes()
                self._do(["ip", "netns", "del", self.namespace])
            else:
                self._remove_containers(Podman(self.directory))
            shutil.rmtree(self.directory, ignore_errors=True)

    # doing things

    def run(
        self, argv: Sequence[str], *, stdin: str = "", check: bool = True, timeout: float = 600, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on the controller: inside the namespace, at .1, with the virtual environment's programs. timeout: seconds."""
        process = subprocess.run(
            self.inside(argv), env={**self.environment(), **(env or {})}, input=stdin, capture_output=True,
            text=True, errors="replace", timeout=timeout, check=False, cwd=CHECKOUT,
        )  # fmt: skip
        if check and process.returncode:
            raise LabError(f"`{' '.join(argv)}` ended with status {process.returncode}:\n{process.stdout}{process.stderr}")
        return process

    def start_process(self, argv: Sequence[str]) -> subprocess.Popen[str]:
        """Start a program on the controller and return at once; its pipes are text."""
        return subprocess.Popen(
            self.inside(argv), env=self.environment(), cwd=CHECKOUT,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def module(
        self, host: Host | None, name: str, args: Mapping[str, object] | None = None, *, check: bool = False, diff: bool = False,
        timeout: float = 300,
    ) -> dict[str, object]:  # fmt: skip
        """Run a module through Ansible over SSH and return its result, a failed one too.

        host: None is the controller. name: of this collection, or a full name.
        """
        target = host.name if host else "localhost"
        return self.module_on(target, name, args, check=check, diff=diff, timeout=timeout)[target]

    def module_on(
        self, pattern: str, name: str, args: Mapping[str, object] | None = None, *, check: bool = False, diff: bool = False,
        timeout: float = 300,
    ) -> dict[str, dict[str, object]]:  # fmt: skip
        """Run a module on all hosts that a pattern of Ansible's names; the results by host."""
        argv = ["ansible", pattern, "-i", str(self.inventory()), "-m", name if "." in name else f"vmstation.cluster.{name}"]
        argv += ["-a", json.dumps(args)] * bool(args) + ["--check"] * check + ["--diff"] * diff
        environment = {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "ANSIBLE_LOAD_CALLBACK_PLUGINS": "True"}
        process = self.run(argv, check=False, timeout=timeout, env=environment)
        try:
            return json.loads(process.stdout[process.stdout.index("{") :])["plays"][0]["tasks"][0]["hosts"]
        except (ValueError, LookupError) as error:
            raise LabError(f"Ansible gave no result (status {process.returncode}):\n{process.stdout}{process.stderr}") from error

    def playbook(
        self, path: str | Path, *args: str, check: bool = False, timeout: float = 900, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a playbook against the lab's hosts. check: raise on a status other than 0 (not Ansible's check mode)."""
        return self.run(["ansible-playbook", "-i", str(self.inventory()), str(path), *args], check=check, timeout=timeout, env=env)

    def inventory(self) -> Path:
        """An inventory of the hosts that were created, for Ansible on the controller."""
        file = self.directory / "inventory.json"
        hosts: dict[str, object] = {
            spec.name: {"ansible_host": spec.address, "ansible_python_interpreter": "/usr/bin/python3", "mac": spec.mac}
            for spec in self.specs()
        }
        connection = {"ansible_user": "root", "ansible_ssh_private_key_file": str(self.key), "ansible_ssh_common_args": SSH_OPTIONS}
        hosts["localhost"] = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
        text = json.dumps({"all": {"hosts": hosts, "vars": connection}}, indent=1)
        if not file.exists() or file.read_text() != text:
            write(file, text)
        return file

    def inside(self, argv: Sequence[str]) -> list[str]:
        """The command, run inside the network namespace."""
        return ["nsenter", f"--net=/run/netns/{self.namespace}", *argv]

    def environment(self) -> dict[str, str]:
        """What programs on the controller find: the virtual environment, this checkout's collection, connections of this lab only."""
        return {
            **self.podman.env,
            "PATH": f"{ensure_venv()}/bin:{machine.path()}",
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_HOME": str(self.directory / "ansible"),
            # `aloud_by_task` reports more about a long task
            "VMSTATION_PROGRESS_INTERVAL": "0",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.directory / "cp"),
            "ANSIBLE_SSH_CONTROL_PATH": "%(directory)s/%%h",
            "VMSTATION_LAB": self.name,
            "VMSTATION_LAB_KEY": str(self.key),
            "VMSTATION_LAB_INVENTORY": str(CHECKOUT / "inventory"),
            "VMSTATION_LAB_KUBECONFIG": str(self.kubeconfig),
            "VMSTATION_LAB_SOURCE": str(self.source),
        }

    def kubectl(self) -> list[str]:
        """The command that asks this lab's cluster, for ``run``."""
        return [str(self.source / "bin" / "kubectl"), "--kubeconfig", str(self.kubeconfig)]

    def magic_packets(self) -> list[dict[str, object]]:
        """What the power control has seen and done, oldest first."""
        return [json.loads(line) for line in self.packets.read_text().splitlines()]

    def kernel_modules(self) -> Path:
        return kernel.modules(ensure_image("debian12"))

    def close_connections(self, address: str | None = None) -> None:
        """End the SSH connections that Ansible keeps open, to one host or to all."""
        for path in sorted((self.directory / "cp").glob("*")):
            if path.is_socket() and address in (None, path.name):
                subprocess.run(["ssh", "-O", "exit", "-o", f"ControlPath={path}", "x"], capture_output=True, check=False)

    def wait_for(self, condition: Callable[[], bool], what: str, timeout: float) -> None:
        """Poll until the condition holds; after ``timeout`` seconds it raises and says what it waited for.

        A question costs processor time, which what is waited for needs: the longer the wait, the fewer of them.
        """
        began = time.monotonic()
        while not condition():
            waited = time.monotonic() - began
            if waited > timeout:
                raise LabError(f"lab {self.name}: waited {timeout:g} s for {what}, in vain")
            time.sleep(min(max(0.1, waited / 20), 1))

    # the inner works

    def _do(self, argv: Sequence[str]) -> str:
        process = subprocess.run(argv, capture_output=True, text=True, check=False, env=self.podman.env)
        if process.returncode:
            raise LabError(f"`{' '.join(argv)}` ended with status {process.returncode}: {process.stderr.strip()}")
        return process.stdout

    def _forget(self, name: str) -> None:
        if any(spec.name == name for spec in self.specs()):
            rest = [spec.as_dict() for spec in self.specs() if spec.name != name]
            write(self.directory / "hosts.json", json.dumps(rest, indent=1))

    def bridge(self) -> str:
        return json.loads(self.podman.run("network", "inspect", self.network))[0]["network_interface"]

    def _ensure_key(self) -> None:
        # one for all labs, and several are prepared at once
        with locked("key"):
            if not self.key.exists():
                self.key.with_suffix(".pub").unlink(missing_ok=True)
                self._do(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "vmstation lab", "-f", str(self.key)])

    def _ensure_bridge(self) -> None:
        # Podman would make the bridge with the first host, and take it away with the last that sleeps, under the feet of controller and
        # power control. A cable that ends in itself keeps it; an address of its own keeps it from changing with every host.
        bridge = self.bridge()
        if self.run(["ip", "link", "show", bridge], check=False).returncode:
            self.run(["ip", "link", "add", bridge, "address", "02:00:c0:a8:04:01", "type", "bridge"])
        if self.run(["ip", "link", "show", "keeper0"], check=False).returncode:
            self.run(["ip", "link", "add", "keeper0", "type", "veth", "peer", "name", "keeper1"])
        self.run(["ip", "link", "set", "keeper0", "master", bridge, "up"])
        self.run(["ip", "link", "set", "keeper1", "up"])
        if GATEWAY not in self.run(["ip", "-4", "address", "show", "dev", bridge]).stdout:
            self.run(["ip", "address", "add", f"{GATEWAY}/24", "brd", "+", "dev", bridge])
        self.run(["ip", "link", "set", bridge, "up"])

    def _power_pid(self) -> int | None:
        try:
            pid = int((self.directory / "power.pid").read_text())
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ValueError, ProcessLookupError):
            return None
        return pid if b"tests.lab.power" in words and self.name.encode() in words else None

    def _ensure_power(self) -> None:
        if self._power_pid() is not None:
            return
        self.packets.touch()
        heard = len(self.magic_packets())
        with (self.directory / "power.log").open("a") as log:
            process = subprocess.Popen(
                self.inside([sys.executable, "-m", "tests.lab.power", self.name, self.bridge()]), env=self.podman.env, cwd=CHECKOUT,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        write(self.directory / "power.pid", str(process.pid))
        self.wait_for(lambda: process.poll() is not None or len(self.magic_packets()) > heard, "its power control", 20)
        if process.poll() is not None:
            raise LabError(f"the power control ended:\n{(self.directory / 'power.log').read_text()}")

    def _end_power(self) -> None:
        pid = self._power_pid()
        if pid is None:
            return
        os.kill(pid, signal.SIGTERM)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
        self.wait_for(lambda: self._power_pid() is None, "the end of its power control", 10)

    def _remove_containers(self, podman: Podman) -> None:
        ours = ("--filter", f"label=vmstation.lab={self.name}")
        for container in podman.run("ps", "-a", "-q", *ours).split():
            self._remove_container(podman, container)
        # one without its container is what a kill left between the two
        for volume in podman.run("volume", "ls", "-q", *ours).split():
            podman.run("volume", "rm", "-f", volume)

    def _remove_host(self, host: Host) -> None:
        self._remove_container(self.podman, host.container)
        if self.podman.succeeds("volume", "exists", self.volume(host.name)):
            self.podman.run("volume", "rm", self.volume(host.name))

    def _remove_container(self, podman: Podman, container: str) -> None:
        # on a busy machine podman may find its own mount of a container that is just ending in its way; the next try succeeds
        for _attempt in range(10):
            if podman.succeeds("rm", "-f", "-t", "0", "-i", "-v", container):
                return
            time.sleep(0.5)
        podman.run("rm", "-f", "-t", "0", "-i", "-v", container)

    def _end_processes(self) -> None:
        """End what still runs in the namespace, which is all ours; this process and its parents may be in it too."""
        spared = {os.getpid()}
        pid = os.getppid()
        while pid > 1:
            spared.add(pid)
            pid = int(re.sub(r".*\) . (\d+) .*", r"\1", Path(f"/proc/{pid}/stat").read_text().replace("\n", " ")))
        for number in self._do(["ip", "netns", "pids", self.namespace]).split():
            if int(number) not in spared:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(number), signal.SIGKILL)


def remove_abandoned_labs() -> None:
    """Remove what killed test runs left: labs named after a process, ``test-<process>...``, without that process."""
    for directory in (cache() / "labs").glob("test-*"):
        process = re.match(r"test-(\d+)", directory.name)
        if process and not Path(f"/proc/{process[1]}").exists():
            Lab(directory.name).down()
