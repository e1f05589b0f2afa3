# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Molecule's verifiers share: testinfra on a host of the lab, and which of its ports another host reaches."""

from __future__ import annotations

import os
from collections.abc import Iterable

import testinfra

from tests.lab.hosts import HostSpec

SSH = "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR -o ControlMaster=auto -o ControlPersist=60s"
# if nothing listens, a refused connection has passed the firewall
PROBE = """
import errno, socket, sys
for port in sys.argv[2:]:
    try:
        socket.create_connection((sys.argv[1], int(port)), 2).close()
        heard = True
    except OSError as error:
        heard = error.errno == errno.ECONNREFUSED
    print(port, heard)
"""


def connect(spec: HostSpec) -> testinfra.host.Host:
    """The host, by the SSH key and the connections of the lab's Ansible."""
    key = os.environ["VMSTATION_LAB_KEY"]
    path = os.path.join(os.environ["ANSIBLE_SSH_CONTROL_PATH_DIR"], "testinfra-%h")
    return testinfra.get_host(f"ssh://root@{spec.address}", ssh_identity_file=key, ssh_extra_args=f"{SSH} -o ControlPath={path}")


def reached(sender: HostSpec, target: HostSpec, ports: Iterable[int]) -> dict[int, bool]:
    """Whether packets of one host reach each TCP port of another."""
    output = connect(sender).check_output("python3 -c %s %s " + " ".join(map(str, ports)), PROBE, target.address)
    return {int(port): heard == "True" for port, heard in (line.split() for line in output.splitlines())}
