# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts with a kernel of their own, Debian's: QEMU by software emulation on a lab's bridge. Slow; for what the machine's kernel has not."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.lab.cache import cache, digest, locked
from tests.lab.hosts import GATEWAY
from tests.lab.image import PACKAGES
from tests.lab.lab import SSH_OPTIONS, Lab
from tests.lab.say import LabError, quietly, step

SUITE = "bookworm"
KERNEL = ["linux-image-cloud-amd64", "initramfs-tools", "udev"]
SIZE = "3G"
# on a busy machine the emulated timer is late, which the kernel takes for a broken one; a panic ends QEMU
PARAMETERS = "net.ifnames=0 mitigations=off no_timer_check panic=-1"
BOOT = 600.0  # seconds; half a minute where nothing else runs

_BEFORE = r"""
mkdir -p "$1"/etc/initramfs-tools/conf.d
printf 'MODULES=most\nCOMPRESS=gzip\n' > "$1"/etc/initramfs-tools/conf.d/lab
"""
_SETTLE = r"""
set -eu
chroot "$1" systemctl disable -q ufw firewalld nftables 2>/dev/null || true
chroot "$1" systemctl enable -q systemd-networkd systemd-network-generator ssh
chroot "$1" systemctl mask -q systemd-networkd-wait-online.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
  fstrim.timer e2scrub_all.timer e2scrub_reap.service getty@tty1.service serial-getty@ttyS0.service
echo '/dev/vda / ext4 defaults,noatime 0 0' > "$1"/etc/fstab
rm -f "$1"/etc/hostname
: > "$1"/etc/machine-id
"""
# all in one tmpfs, which goes with its mount namespace: the tree, then kernel and disk out of it
_MAKE = r"""
target=$1; key=$2; shift 2
mount -t tmpfs -o size=8g,mode=755 tmpfs "$TMPDIR"
"$@" "$TMPDIR/root"
install -D -m 0600 "$key" "$TMPDIR/root/root/.ssh/authorized_keys"
cp "$TMPDIR"/root/boot/vmlinuz-* "$target/vmlinuz"
cp "$TMPDIR"/root/boot/initrd.img-* "$target/initrd"
rm -rf "$TMPDIR"/root/boot/*
mkfs.ext4 -q -d "$TMPDIR/root" "$target/disk.raw" SIZE
"""


def _recipe() -> list[str]:
    return [
        "mmdebstrap", "--quiet", "--format=directory", "--mode=root", "--variant=minbase", f"--include={','.join([*PACKAGES, *KERNEL])}",
        '--aptopt=Apt::Install-Recommends "false"', '--aptopt=Acquire::Languages "none"', "--dpkgopt=force-unsafe-io",
        f"--essential-hook={_BEFORE}", f"--customize-hook={_SETTLE}", SUITE,
    ]  # fmt: skip


def ensure_disk(key: Path) -> Path:
    """The directory with kernel, initial RAM disk and root file system. key: the public key that logs in."""
    directory = cache() / f"emulated-{digest(*_recipe(), _MAKE, SIZE, key.read_text())}"
    with locked("emulated"):
        if not directory.exists():
            with step("disk with a kernel of its own from Debian's packages"):
                part, work = (directory.with_name(f".{directory.name}.{word}") for word in ("part", "work"))
                shutil.rmtree(part, ignore_errors=True)
                part.mkdir()
                work.mkdir(exist_ok=True)
                own = ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "env", f"TMPDIR={work}"]
                quietly([*own, "sh", "-ec", _MAKE.replace("SIZE", SIZE), "sh", str(part), str(key), *_recipe()])
                work.rmdir()
                part.rename(directory)
    return directory


class EmulatedHost:
    """A host with its own kernel; where a test needs no more than to run programs, it stands for a Host."""

    def __init__(self, lab: Lab, name: str, address: str, mac: str) -> None:
        self.lab, self.name, self.address, self.mac = lab, name, address, mac
        self._disk = lab.directory / f"{name}.raw"
        self._console = lab.directory / f"{name}.console"
        self._machine: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Switch it on; ``wait_until_up`` tells when it can be talked to."""
        source = ensure_disk(self.lab.key.with_suffix(".pub"))
        quietly(["cp", "--sparse=always", "--reflink=auto", str(source / "disk.raw"), str(self._disk)])
        tap = f"tap-{self.address.rpartition('.')[2]}"
        self.lab.run(["ip", "tuntap", "add", tap, "mode", "tap"])
        self.lab.run(["ip", "link", "set", tap, "master", self.lab.bridge(), "up"])
        network = f"ip={self.address}::{GATEWAY}:255.255.255.0:{self.name}:eth0:off"
        argv = [
            "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024", "-display", "none",
            "-no-reboot", "-serial", f"file:{self._console}", "-kernel", str(source / "vmlinuz"), "-initrd", str(source / "initrd"),
            "-append", f"root=/dev/vda rw console=ttyS0 quiet {PARAMETERS} systemd.hostname={self.name} {network}",
            "-drive", f"file={self._disk},if=virtio,format=raw,cache=unsafe",
            "-netdev", f"tap,id=n0,ifname={tap},script=no,downscript=no", "-device", f"virtio-net-pci,netdev=n0,mac={self.mac}",
        ]  # fmt: skip
        log = (self.lab.directory / f"{self.name}.log").open("wb")
        self._machine = subprocess.Popen(self.lab.inside(argv), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=dict(os.environ))

    def wait_until_up(self) -> None:
        """Wait until it lets us in."""
        try:
            self.lab.wait_for(self._answers, f"{self.name} to let us in by SSH", BOOT)
        except LabError as error:
            raise LabError(f"{error}; the end of its console:\n{self._console.read_text(errors='replace')[-2000:]}") from error

    def run(self, argv: Sequence[str], *, stdin: str = "", check: bool = True, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a program on the host as root. With ``check``, a status other than 0 raises with its output. timeout: seconds."""
        process = self.lab.run(self._ssh(argv), stdin=stdin, check=False, timeout=timeout)
        if check and process.returncode:
            raise LabError(f"{self.name}: `{' '.join(argv)}` ended with status {process.returncode}: {process.stdout}{process.stderr}")
        return process

    def start_process(self, argv: Sequence[str]) -> subprocess.Popen[str]:
        """Start a program on the host and return at once; its pipes are text."""
        return self.lab.start_process(self._ssh(argv))

    def end(self) -> None:
        """Pull the plug."""
        if self._machine:
            self._machine.kill()
            self._machine.wait()
        self._disk.unlink(missing_ok=True)

    def _answers(self) -> bool:
        if self._machine and self._machine.poll() is not None:
            files = (self.lab.directory / f"{self.name}.log", self._console)
            said = "".join(file.read_text(errors="replace")[-2000:] for file in files if file.exists())
            raise LabError(f"{self.name}: QEMU ended:\n{said}")
        return self.lab.run(self._ssh(["true"], "-o", "ConnectTimeout=5"), check=False).returncode == 0

    def _ssh(self, argv: Sequence[str], *options: str) -> list[str]:
        path = self.lab.directory / "cp" / self.address
        path.parent.mkdir(exist_ok=True)
        shared = ["-o", "ControlMaster=auto", "-o", "ControlPersist=300", "-o", f"ControlPath={path}"]
        words = ["ssh", "-i", str(self.lab.key), *SSH_OPTIONS.split(), *shared, *options, f"root@{self.address}"]
        return [*words, shlex.join(argv)]
