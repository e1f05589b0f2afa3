# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the idle watch keeps what it is made of."""

from __future__ import annotations

GUARD = "/usr/local/lib/vmstation/idle-guard.pyz"

PROGRAM = "/usr/local/lib/vmstation/idle-watch.pyz"
CONFIGURATION = "/etc/vmstation/idle-watch.json"
KNOWN_HOSTS = "/etc/vmstation/idle-watch.known_hosts"
KEY = "/etc/vmstation/idle-watch.key"
STATE_DIRECTORY = "/var/lib/vmstation/idle-watch"
STATE = f"{STATE_DIRECTORY}/state.json"
SERVICE = "vmstation-idle-watch.service"
TIMER = "vmstation-idle-watch.timer"
UNITS = "/etc/systemd/system"

# kubectl keeps what the API serves below the home directory, which a service of systemd does not have
# made for files of ours
DIRECTORIES = ("/usr/local/lib/vmstation", "/etc/vmstation", "/var/lib/vmstation")

KUBECTL_CACHE = f"{STATE_DIRECTORY}/kubectl"
KUBECONFIG = "/etc/kubernetes/admin.conf"
# the cordon that is ours: playbooks/tasks/uncordon.yml takes any value of it away
CORDONED_BY = "vmstation.cluster/cordoned-by"
US = "idle-watch"
