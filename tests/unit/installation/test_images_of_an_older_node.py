# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""upgrade.yml brings the images first, also to a node whose kubelet was installed before it had a directory of additional configuration."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import CHECKOUT

PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: vmstation.cluster.node, tasks_from: images}
"""
# has no image, and is too old to report pins
CTR = """#!/bin/sh
case "$*" in
  *version) printf 'Server:\\n  Version:  1.6.20~ds1\\n' ;;
  *check) echo 'REF TYPE DIGEST STATUS SIZE UNPACKED' ;;
esac
"""


def test_kubelet_is_configured_to_keep_images(tmp_path: Path) -> None:
    ctr = tmp_path / "bin" / "ctr"
    ctr.parent.mkdir()
    ctr.write_text(CTR)
    ctr.chmod(0o755)
    (tmp_path / "play.yml").write_text(PLAY)
    variables = {
        "ansible_become": False,
        "node_role": "worker",
        "_node_source": {"installation": {"kind": "directory", "images": {"worker": []}}},
        "_node_preflight": {"kubelet_is_live": False},
        "_node_image_directory": str(tmp_path / "images"),
        "_node_kubelet_directory": str(tmp_path / "conf.d"),
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment |= {"ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / "collections"), "PATH": f"{ctr.parent}:{os.environ['PATH']}"}
    argv = [str(Path(sys.prefix) / "bin" / "ansible-playbook"), "play.yml", "-e", json.dumps(variables)]
    process = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path, env=environment)
    assert process.returncode == 0, process.stdout + process.stderr
    assert "imageMinimumGCAge" in (tmp_path / "conf.d" / "10-keep-images.conf").read_text()
