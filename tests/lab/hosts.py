# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host of the lab is: its name, address, MAC and firewall, how it is created, and what one can do with it."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab import kernel
from tests.lab.cache import cache, digest, write
from tests.lab.podman import runtime
from tests.lab.say import LabError

if TYPE_CHECKING:
    from tests.lab.lab import Lab

# the status of `runc exec` that ran nothing, and what it says then
NOT_EXECUTED = (255, 'level=error msg="exec failed')
SUBNET, GATEWAY = "192.168.4.0/24", "192.168.4.1"

# How a careful owner has left each host: everything shut but SSH. Each may run twice.
FIREWALLS = {
    "none": "true",
    "ufw": """
ufw default deny incoming
ufw allow 22/tcp
ufw --force enable
systemctl enable -q --now ufw
""",
    "nftables": """
cat > /etc/nftables.conf <<'N'
#!/usr/sbin/nft -f
flush ruleset

table inet filter {
  chain input {
    type filter hook input priority filter; policy drop;
    ct state established,related accept
    iif "lo" accept
    meta l4proto { icmp, ipv6-icmp } accept
    tcp dport 22 accept comment "the owner's own rule"
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
  }
  chain output {
    type filter hook output priority filter; policy accept;
  }
}
N
systemctl enable -q nftables
systemctl restart nftables
""",
    "firewalld": """
systemctl enable -q --now firewalld
firewall-cmd -q --state
firewall-cmd -q --query-service=ssh
""",
}


@dataclass(frozen=True)
class HostSpec:
    """A host to create. firewall: a key of FIREWALLS; image: a release, ``debian12``, ``debian13`` or ``rhel10``.

    kubernetes: whether containerd, kubelet and privileged pods can run on it. Such a host may do more and is heavier.
    recipe: set by the lab, stands for all that the host was made of; another one means that it has to be made anew.
    """

    name: str
    address: str
    mac: str
    image: str = "debian12"
    firewall: str = "none"
    sleeps: bool = False
    kubernetes: bool = False
    recipe: str = ""

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


# The specification gives masternode no MAC; this one is locally administered and spells its address.
SPECIFIED_HOSTS = (
    HostSpec("masternode", "192.168.4.63", "02:00:c0:a8:04:3f", firewall="ufw", kubernetes=True),
    HostSpec("storagenodet3500", "192.168.4.61", "b8:ac:6f:7e:6c:9d", firewall="nftables", sleeps=True, kubernetes=True),
    HostSpec("homelab", "192.168.4.62", "d0:94:66:30:d6:63", firewall="firewalld", sleeps=True, kubernetes=True),
)


def creation_options(lab: Lab, spec: HostSpec) -> list[str]:
    """The options of ``podman create``, all that makes a container a host of the lab."""
    return [
        "--name", lab.container(spec.name), "--hostname", spec.name,
        "--label", f"vmstation.lab={lab.name}", "--annotation", f"vmstation.lab={lab.name}",
        "--network", lab.network, "--ip", spec.address, "--mac-address", spec.mac,
        # which refuses at once; the machine's own name server is out of reach, and each name that is nobody's would wait 5 s for it
        "--dns", GATEWAY, "--dns-search", ".",
        # podman's hosts file is a mount, which nothing can replace, and is written anew at every start
        "--no-hosts",
        "--systemd=always", "--stop-timeout", "1",
        # beside the machine's own processes: in podman's group all hosts together would get as much of the processors as one of these
        "--cgroup-parent=/",
        "--volume", f"{lab.kernel_modules()}:/lib/modules:ro",
        "--volume", f"{lab.key}.pub:/root/.ssh/authorized_keys:ro",
        *(_kubernetes_options(lab, spec) if spec.kubernetes else ["--cap-add=NET_ADMIN,NET_RAW,SYS_BOOT"]),
    ]  # fmt: skip


def _kubernetes_options(lab: Lab, spec: HostSpec) -> list[str]:
    """What kubelet and containerd need beyond systemd.

    Not --privileged, and a cgroup namespace: without the latter systemd changes how the machine's own cgroups are mounted.
    """
    return [
        "--cap-add=SYS_ADMIN,SYS_PTRACE,NET_ADMIN,NET_RAW,SYS_BOOT,MKNOD,AUDIT_WRITE",
        "--cgroupns=private", "--device-cgroup-rule", "a *:* rwm",
        # the layers of pods' images cannot lie on the overlay that the host itself lies on
        "--volume", f"{lab.volume(spec.name)}:/var:dev,suid",
        "--volume", f"{_kubernetes_init()}:{KUBERNETES_INIT}:ro", "--entrypoint", KUBERNETES_INIT,
    ]  # fmt: skip


KUBERNETES_INIT = "/usr/local/sbin/kubernetes-init"


def _kubernetes_init() -> Path:
    """A copy of the script, because sleeping hosts may outlive this checkout."""
    script = Path(__file__).with_name("kubernetes_init.sh").read_text()
    path = cache() / f"kubernetes-init-{digest(script)}"
    if not path.exists():
        write(path, script, mode=0o755)
    return path


class Host:
    """A host of a lab that is up."""

    def __init__(self, lab: Lab, spec: HostSpec) -> None:
        self.lab = lab
        self.spec = spec
        self.name = spec.name
        self.address = spec.address
        self.mac = spec.mac
        self.container = lab.container(spec.name)
        self._identity: str | None = None

    def __repr__(self) -> str:
        return f"Host({self.name} {self.address} {self.mac})"

    def run(self, argv: Sequence[str], *, stdin: str = "", check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a program on the host as root. With ``check``, a status other than 0 raises with its output. timeout: seconds."""
        process = self._exec(self._direct_argv(argv), stdin, timeout)
        status, message = NOT_EXECUTED
        if process.returncode == status and message in process.stderr:
            # no such program, or a container that is off or has been made again: podman finds it by its name, and says what is wrong
            self._identity = None
            process = self._exec(self.lab.podman.argv("exec", "-i", self.container, *argv), stdin, timeout)
        if check and process.returncode:
            raise LabError(f"{self.name}: `{' '.join(argv)}` ended with status {process.returncode}: {process.stdout}{process.stderr}")
        return process

    def _direct_argv(self, argv: Sequence[str]) -> list[str]:
        """What `podman exec` runs in the end. It writes to a database first, and costs three times as much processor time."""
        if runtime() != "runc":
            return self.lab.podman.argv("exec", "-i", self.container, *argv)
        if self._identity is None:
            self._identity = self._state("{{.Id}}")
        return ["runc", "exec", self._identity, *argv]

    def _exec(self, argv: Sequence[str], stdin: str, timeout: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv, env=self.lab.podman.env, input=stdin, capture_output=True, text=True, errors="replace", timeout=timeout, check=False
        )

    def start_process(self, argv: Sequence[str]) -> subprocess.Popen[str]:
        """Start a program on the host and return at once; its pipes are text. Ending the Popen does not end the program."""
        return subprocess.Popen(
            self.lab.podman.argv("exec", "-i", self.container, *argv), env=self.lab.podman.env,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def write(self, path: str, text: str) -> None:
        self.run(["sh", "-c", 'mkdir -p "$(dirname "$1")" && cat > "$1"', "sh", path], stdin=text)

    def bring(self, file: Path, path: str, mode: int = 0o644) -> None:
        """Copy a large file of this machine to the host. path: without an absolute link in it."""
        target = Path(f"/proc/{self._state('{{.State.Pid}}')}/root") / path.lstrip("/")
        shutil.copyfile(file, target)
        target.chmod(mode)

    def read(self, path: str) -> str:
        return self.run(["cat", path]).stdout

    def is_up(self) -> bool:
        return self._state("{{.State.Running}}") == "true"

    def stop(self, timeout: float = 120) -> None:
        """Power it off as its owner would; back when it is really down. systemd gives a pod that does not listen 90 s."""
        if not self.is_up():
            return
        self.lab.close_connections(self.address)
        self.run(["systemctl", "poweroff"], check=False)
        self.lab.podman.run("wait", self.container, timeout=timeout)

    def lose_power(self) -> None:
        """Off at once: nothing on it is told, and what it has not written is lost to its programs."""
        self.lab.close_connections(self.address)
        self.lab.podman.run("kill", "--signal", "KILL", self.container)
        self.lab.podman.run("wait", self.container)

    def boot(self) -> None:
        """Switch it on, if it is off; back when its services are up."""
        self.lab.podman.run("start", self.container)
        self.wait_until_up()

    def reboot(self, timeout: float = 180) -> None:
        """``systemctl reboot``; the lab's power control starts it again; back when its services are up."""
        self.lab.close_connections(self.address)
        before = self._state("{{.State.StartedAt}}")
        self.run(["systemctl", "reboot"], check=False)
        self.lab.wait_for(lambda: self.is_up() and self._state("{{.State.StartedAt}}") != before, f"{self.name} to come back", timeout)
        self.wait_until_up()

    def wait_until_up(self, timeout: float = 180) -> None:
        """Wait until systemd says that everything has been started, SSH included."""
        try:
            self.lab.wait_for(self._has_booted, f"{self.name} to boot", timeout)
        except LabError as error:
            journal = self.run(["journalctl", "-q", "--no-pager", "-n", "15"], check=False).stdout
            raise LabError(f"{error}; the end of its journal:\n{journal}") from error

    def _has_booted(self) -> bool:
        process = self.run(["systemctl", "is-system-running"], check=False)
        if process.returncode and not self.is_up():
            status = self._state("{{.State.ExitCode}}")
            raise LabError(f"{self.name} ended with status {status} while it booted.{kernel.why_no_systemd_starts()}")
        return process.stdout.strip() in ("running", "degraded")

    def _state(self, template: str) -> str:
        # between two states podman answers with an error now and then
        for _attempt in range(5):
            if self.lab.podman.succeeds("container", "exists", self.container):
                return self.lab.podman.run("inspect", "--type", "container", "-f", template, self.container)
            time.sleep(0.1)
        raise LabError(f"{self.name}: there is no container {self.container}")
