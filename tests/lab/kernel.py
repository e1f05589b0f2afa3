# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts have of the machine's kernel.

A /lib/modules: the machine's own, or a list of what its kernel has built in, so that modprobe answers rightly. And a share of its inotify
instances, of which a kernel gives root 128 for all hosts together.
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path

from tests.lab.cache import cache, digest, locked
from tests.lab.podman import Podman

# kernel option -> the module that it would be
BUILT_IN = {
    "BRIDGE": "net/bridge/bridge",
    "BRIDGE_NETFILTER": "net/bridge/br_netfilter",
    "OVERLAY_FS": "fs/overlayfs/overlay",
    "NF_CONNTRACK": "net/netfilter/nf_conntrack",
    "NF_TABLES": "net/netfilter/nf_tables",
    "NF_NAT": "net/netfilter/nf_nat",
    "IP_SET": "net/netfilter/ipset/ip_set",
    "IP_NF_IPTABLES_LEGACY": "net/ipv4/netfilter/ip_tables",
    "IP_VS": "net/netfilter/ipvs/ip_vs",
    "NFT_COMPAT": "net/netfilter/nft_compat",
    "NFT_CT": "net/netfilter/nft_ct",
    "NFT_NAT": "net/netfilter/nft_nat",
    "NFT_MASQ": "net/netfilter/nft_masq",
    "NFT_NUMGEN": "net/netfilter/nft_numgen",
    "NFT_FIB_IPV4": "net/ipv4/netfilter/nft_fib_ipv4",
    "NFT_REJECT_IPV4": "net/ipv4/netfilter/nft_reject_ipv4",
    "NETFILTER_XT_MATCH_COMMENT": "net/netfilter/xt_comment",
    "NETFILTER_XT_MATCH_ADDRTYPE": "net/netfilter/xt_addrtype",
    "NETFILTER_XT_MARK": "net/netfilter/xt_mark",
    "NETFILTER_XT_MATCH_CONNTRACK": "net/netfilter/xt_conntrack",
    "NETFILTER_XT_NAT": "net/netfilter/xt_nat",
    "NETFILTER_XT_TARGET_MASQUERADE": "net/netfilter/xt_MASQUERADE",
    "NETFILTER_XT_MATCH_STATISTIC": "net/netfilter/xt_statistic",
    "NETFILTER_XT_MATCH_MULTIPORT": "net/netfilter/xt_multiport",
    "NETFILTER_XT_SET": "net/netfilter/xt_set",
    "IP_SET_HASH_NET": "net/netfilter/ipset/ip_set_hash_net",
    "IP_NF_MATCH_RPFILTER": "net/ipv4/netfilter/ipt_rpfilter",
    "VXLAN": "drivers/net/vxlan/vxlan",
    "WIREGUARD": "drivers/net/wireguard/wireguard",
    "DUMMY": "drivers/net/dummy",
    "NET_IPIP": "net/ipv4/ipip",
    "VETH": "drivers/net/veth",
    "TUN": "drivers/net/tun",
}


def modules(image: str) -> Path:
    """The directory to mount as /lib/modules. image: one that has depmod."""
    release = os.uname().release
    if Path(f"/lib/modules/{release}/modules.dep.bin").exists():
        return Path("/lib/modules")
    configuration = Path("/proc/config.gz")
    options = gzip.decompress(configuration.read_bytes()).decode().splitlines() if configuration.exists() else []
    present = "".join(f"kernel/{module}.ko\n" for option, module in BUILT_IN.items() if f"CONFIG_{option}=y" in options)
    directory = cache() / f"modules-{digest(release, present)}"
    index = directory / release / "modules.builtin.bin"
    if index.exists():
        return directory
    with locked("modules"):
        if not index.exists():
            (directory / release).mkdir(parents=True, exist_ok=True)
            for name, text in {"modules.order": "", "modules.builtin.modinfo": "", "modules.builtin": present}.items():
                (directory / release / name).write_text(text)
            Podman().run("run", "--rm", "--network=none", "-v", f"{directory}:/lib/modules", image, "depmod", release)
    return directory


def why_no_systemd_starts() -> str:
    """A sentence, if the machine has no inotify instances left: systemd cannot start without."""
    limit = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
    used = 0
    for process in Path("/proc").glob("[0-9]*/fd"):
        try:
            used += sum(os.readlink(descriptor) == "anon_inode:inotify" for descriptor in process.iterdir())
        except OSError:
            continue  # it has ended meanwhile
    if used < limit - 5:
        return ""
    return f" {used} of this machine's {limit} inotify instances are in use (fs.inotify.max_user_instances): remove hosts, or raise it."
