# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The edge of this package: the program that the timer starts, and connections to kubelets."""

from __future__ import annotations

import os
import socket
import ssl
import sys
import time
from collections.abc import Mapping

from .._host.commands import HostCommands
from .._host.files import LocalTrees, read_text, remove_empty, replace_all
from .._host.processes import archive
from .._json import read_json
from .._kubeadm.state import CA, Api
from .._programs import Host
from .._refusal import Refusal
from .._timing import ask_all
from .requests import CONFIGURATION, REPORTED, approve, as_nodes, lines_of
from .serving import ASLEEP

ENTRY = "from ansible_collections.vmstation.cluster.plugins.module_utils._kubelet.host import main\nmain()\n"
PORT = 10250
PROBE_SECONDS = 5.0


def this_host() -> Host:
    return Host(HostCommands(), read_text, replace_all, LocalTrees().remove, archive, sys.executable, remove_empty, os.path.lexists)


def main() -> None:
    """What the timer starts."""
    try:
        configuration = read_json(read_text(CONFIGURATION) or "{}")
        api = Api(HostCommands(), configuration["address"], time.sleep)
        done = approve(api, as_nodes(configuration["nodes"]))
    except Refusal as refusal:
        raise SystemExit(str(refusal)) from refusal
    except (ValueError, KeyError) as error:
        raise SystemExit(f"{CONFIGURATION}: not what the module kubelet_approver writes ({error}). Run site.yml.") from error
    reported = (read_text(REPORTED) or "").split()
    for line in lines_of(done, reported):
        sys.stdout.write(f"{line}\n")
    if sorted(done.rejected) != reported:
        replace_all({REPORTED: "".join(f"{name}\n" for name in sorted(done.rejected))}, new_mode=0o600)


def served_by_all(addresses: Mapping[str, str]) -> dict[str, str]:
    """Look at all kubelets at once."""
    found = ask_all(list(addresses.values()), served, 2 * PROBE_SECONDS, min(len(addresses), 64))
    return {name: wrong if isinstance(wrong, str) else ASLEEP for name, wrong in zip(addresses, found)}


def served(address: str, authority: str = CA) -> str:
    """Return what is wrong with the certificate that a kubelet serves at this address; empty if the cluster's CA has issued it for it."""
    context = ssl.create_default_context(cafile=authority)
    # as the API server and Prometheus verify it
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    try:
        with socket.create_connection((address, PORT), timeout=PROBE_SECONDS) as plain:
            context.wrap_socket(plain, server_hostname=address).close()
    except ssl.SSLCertVerificationError as error:
        return f"a certificate that the cluster's CA has not issued for {address} ({error.verify_message})"
    except ssl.SSLError as error:
        return f"no certificate yet ({error.reason})"
    except ConnectionRefusedError:
        return "nothing listens on its port"
    except OSError:
        return ASLEEP
    return ""
