#!/bin/sh
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# The first process of a host that runs Kubernetes, before it becomes systemd. It may mount (CAP_SYS_ADMIN), as kubelet must, so here
# everything is taken out of its way that belongs to the machine. shield.py has made /proc/sys read-only but for net.
set -eu

# pods share mounts with the host in both directions (calico-node mounts the bpf file system)
mount --make-rshared /

# only the cgroup controllers that the machine has mounted: systemd would mount the others, for the whole machine
awk 'NR == 1 || $2 != 0' /proc/cgroups > /run/.cgroups
mount --bind /run/.cgroups /proc/cgroups

# podman binds the machine's own name=systemd hierarchy, release agent included, over that of this cgroup namespace
if mountpoint -q /sys/fs/cgroup/systemd/release_agent; then umount /sys/fs/cgroup/systemd/release_agent; fi
if [ "$(grep -c ' /sys/fs/cgroup/systemd ' /proc/self/mounts)" -gt 1 ]; then umount /sys/fs/cgroup/systemd; fi

# kubelet and containerd make cgroups below those of this host
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*/; do
  if mountpoint -q "$hierarchy" && grep -q " ${hierarchy%/} cgroup" /proc/self/mounts; then mount -o remount,bind,rw "$hierarchy"; fi
done

# kubelet insists on these, which are the machine's: it gets files of its own to write to
mkdir -p /run/.sysctl
for name in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
  file=/run/.sysctl/$(echo "$name" | tr / .)
  cat "/proc/sys/$name" > "$file"
  mount --bind "$file" "/proc/sys/$name"
done

# kubelet opens it, and the kernel's messages are the machine's
ln -sf null /dev/kmsg

exec /sbin/init
