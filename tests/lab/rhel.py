# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes a Debian 13 host one that Ansible, dnf and rpm take for RHEL 10.

Debian 13 has dnf 4 and rpm with Sequoia, as RHEL 10 does, nearly version for version. The kernel, SELinux and the crypto policies
are not RHEL's.
"""

from __future__ import annotations

PACKAGES = [
    "systemd", "systemd-sysv", "dbus", "python3", "openssh-server", "iproute2", "iputils-ping", "nftables", "iptables", "ipset",
    "conntrack", "firewalld", "tcpdump", "ethtool", "procps", "kmod", "sudo", "netcat-openbsd", "ca-certificates",
    "dnf", "python3-dnf", "dnf-plugins-core", "rpm", "createrepo-c", "gnupg",
]  # fmt: skip

# What roles install, in a repository inside the image. The rpms are empty: the programs are there, as Debian's packages.
OFFERED = [
    "conntrack-tools", "ethtool", "iproute", "iproute-tc", "kmod", "nftables", "socat", "util-linux", "iptables-nft", "container-selinux",
    "libseccomp", "python3-dnf-plugin-versionlock",
]  # fmt: skip

_HOOK = r"""
set -eu
root=$1
rm -f "$root"/etc/os-release
cat > "$root"/etc/os-release <<'END'
NAME="Red Hat Enterprise Linux"
VERSION="10.1 (Coughlan)"
ID="rhel"
ID_LIKE="centos fedora"
VERSION_ID="10.1"
PLATFORM_ID="platform:el10"
PRETTY_NAME="Red Hat Enterprise Linux 10.1 (Coughlan)"
END
echo 'Red Hat Enterprise Linux release 10.1 (Coughlan)' > "$root"/etc/redhat-release
mkdir -p "$root"/etc/dnf/plugins "$root"/etc/yum.repos.d "$root"/etc/pki/rpm-gpg "$root"/etc/sysconfig "$root"/opt/rpm "$root"/tmp/build
cat > "$root"/etc/dnf/dnf.conf <<'END'
[main]
gpgcheck=1
installonly_limit=3
clean_requirements_on_remove=True
best=True
skip_if_unavailable=False
END
cat > "$root"/etc/yum.repos.d/redhat.repo <<'END'
[rhel-10-baseos]
name=RHEL 10
baseurl=file:///opt/rpm
gpgcheck=0
END
# Debian enables a plugin that serves copies of installed packages, without a signature
printf '[main]\nenabled=0\n' > "$root"/etc/dnf/plugins/local.conf
: > "$root"/etc/dnf/plugins/versionlock.list
head='Name: stubs\nVersion: 1\nRelease: 1.el10\nSummary: x\nLicense: none\nBuildArch: noarch\n'
printf "$head%%%%description\nx\n" > "$root"/tmp/build/spec
for name in %(offered)s; do
  provides=; [ "$name" != iptables-nft ] || provides='Provides: iptables = 1.8.11'
  printf '%%%%package -n %%s\nSummary: x\n%%s\n%%%%description -n %%s\nx\n%%%%files -n %%s\n' "$name" "$provides" "$name" "$name"
done >> "$root"/tmp/build/spec
chroot "$root" rpmbuild -bb --quiet --define '_topdir /tmp/build' --define '_rpmdir /opt/rpm' /tmp/build/spec
chroot "$root" createrepo_c --quiet /opt/rpm
rm -rf "$root"/tmp/build "$root"/etc/apt/sources.list* "$root"/var/lib/apt/lists/* "$root"/var/cache/apt "$root"/etc/default
for unit in firewalld nftables dnf-makecache.timer; do chroot "$root" systemctl disable -q "$unit" 2>/dev/null || true; done
"""

HOOK = _HOOK % {"offered": " ".join(OFFERED)}
