# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host images, made from Debian's packages by mmdebstrap; nothing is pulled."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.lab import rhel
from tests.lab.cache import cache, digest, locked
from tests.lab.podman import Podman
from tests.lab.say import LabError, quietly, step

REPOSITORY = "localhost/vmstation-lab"
SUITES = {"debian12": "bookworm", "debian13": "trixie", "rhel10": "trixie"}

PACKAGES = [
    "systemd", "systemd-sysv", "dbus", "python3", "python3-apt", "openssh-server", "iproute2", "iputils-ping", "nftables", "iptables",
    "ipset", "conntrack", "firewalld", "ufw", "tcpdump", "ethtool", "procps", "kmod", "sudo", "netcat-openbsd", "ca-certificates",
]  # fmt: skip

# what roles install on hosts that have no network: each with its dependencies, in a repository inside the image
OFFERED = [
    "containerd", "runc", "containernetworking-plugins", "cri-tools", "socat", "ebtables", "chrony", "nfs-common",
    "iptables-persistent", "netfilter-persistent", "fail2ban", "sshguard", "gnupg", "keepalived",
]  # fmt: skip

_SLIM = r"""
printf 'path-exclude=%s\n' '/usr/share/man/*' '/usr/share/locale/*' '/usr/share/doc/*' > "$1"/etc/dpkg/dpkg.cfg.d/01-slim
echo 'path-include=/usr/share/doc/*/copyright' >> "$1"/etc/dpkg/dpkg.cfg.d/01-slim
rm -rf "$1"/usr/share/man/* "$1"/usr/share/locale/*
"""

# what the offered packages need beyond the image, an index of it, and a sources.list that has only this.
# Each is asked for on its own: some exclude each other. The lists stay, as on a host that is in use.
_OFFER = r"""
set -eu
root=$1; shift
mkdir -p "$root"/opt/apt
for package in %(offered)s; do
  if [ -z "$(chroot "$root" apt-cache madison "$package")" ]; then echo "$package: not in this suite"; continue; fi
  chroot "$root" apt-get install -y -q --no-install-recommends --download-only --reinstall \
    -o Dir::Cache::Archives=/opt/apt -o APT::Sandbox::User=root "$package"
done
cd "$root"/opt/apt
rm -rf partial lock
for deb in *.deb; do
  dpkg-deb -f "$deb"
  printf 'Filename: ./%%s\nSize: %%s\nSHA256: %%s\n\n' "$deb" "$(stat -c %%s "$deb")" "$(sha256sum "$deb" | cut -d' ' -f1)"
done > Packages
rm -rf "$root"/etc/apt/sources.list.d/* "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/archives/*.deb "$root"/var/cache/apt/*.bin
echo 'deb [trusted=yes] file:/opt/apt ./' > "$root"/etc/apt/sources.list
chroot "$root" apt-get update -q
"""

_SETTLE = r"""
set -eu
chroot "$1" systemctl disable -q ufw firewalld nftables systemd-networkd 2>/dev/null || true
# A kernel gives root 128 inotify instances for all hosts together; login sessions and password prompts would take half of a host's.
chroot "$1" systemctl mask -q polkit.service getty.target console-getty.service e2scrub_reap.timer e2scrub_all.timer \
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer \
  systemd-logind.service user@.service systemd-ask-password-console.path systemd-ask-password-wall.path
chroot "$1" systemctl set-default -q multi-user.target
rm -f "$1"/etc/machine-id "$1"/etc/hostname
: > "$1"/etc/machine-id
"""


def _recipe(release: str) -> list[str]:
    if release not in SUITES:
        raise LabError(f"image {release!r}: there are {', '.join(SUITES)}")
    packages, offer = (rhel.PACKAGES, rhel.HOOK) if release == "rhel10" else (PACKAGES, _OFFER % {"offered": " ".join(OFFERED)})
    return [
        "mmdebstrap", "--quiet", "--format=tar", "--mode=root", "--variant=minbase", f"--include={','.join(packages)}",
        "--skip=cleanup/apt", '--aptopt=Apt::Install-Recommends "false"', '--aptopt=Acquire::Languages "none"', "--dpkgopt=force-unsafe-io",
        f"--essential-hook={_SLIM}", f"--customize-hook={offer}", f"--customize-hook={_SETTLE}",
        SUITES[release],
    ]  # fmt: skip


def image(release: str) -> str:
    """The name of a release's image, made or not."""
    return f"{REPOSITORY}:{release}-{digest(*_recipe(release))}"


def ensure_image(release: str) -> str:
    """The image of a release (``debian12``, ``debian13``, ``rhel10``) in podman's store; returns its name."""
    name = image(release)
    podman = Podman()
    if podman.succeeds("image", "exists", name):
        return name
    with locked(f"image-{release}"):
        if podman.succeeds("image", "exists", name):
            return name
        with step(f"host image {name} from Debian's packages"):
            directory = cache() / "images"
            directory.mkdir(exist_ok=True)
            archive = directory / f"{name.rpartition(':')[2]}.tar"
            if not archive.exists():
                _bootstrap(release, archive)
            podman.run("import", "-q", "-c", 'CMD ["/sbin/init"]', str(archive), name)
            archive.unlink()
    return name


def _bootstrap(release: str, archive: Path) -> None:
    # A tmpfs is three times as fast as a disk. It is mounted in a mount namespace of its own, and all processes are in a process
    # namespace of their own, so that nothing of either outlives this one, however it ends.
    part = archive.with_suffix(".part")
    script = 'mount -t tmpfs -o size=6g,mode=755 tmpfs "$TMPDIR"; target=$1; shift; exec "$@" "$target"'
    work = archive.parent / f"work-{release}"
    work.mkdir(exist_ok=True)
    own = ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "env", f"TMPDIR={work}"]
    quietly([*own, "sh", "-ec", script, "sh", str(part), *_recipe(release)])
    part.rename(archive)
    work.rmdir()


def remove_images() -> None:
    """Remove every image of the lab."""
    podman = Podman()
    listed = subprocess.run(
        podman.argv("images", "--format", "{{.Repository}}:{{.Tag}}"), env=podman.env, capture_output=True, text=True, check=True
    ).stdout.split()
    for name in listed:
        if name.startswith(f"{REPOSITORY}:"):
            podman.run("rmi", "-f", name)
