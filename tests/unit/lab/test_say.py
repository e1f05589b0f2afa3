# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab says while something takes long."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from tests.lab import say
from tests.lab.say import aloud_by_task, step

POD = "pod kube-system/coredns-1 on homelab: Pending, ImagePullBackOff"


def test_a_task_that_takes_long_is_named_with_what_it_waits_for(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script = "echo 'TASK [quick : Look] ***'; echo ok; echo 'TASK [dns : Wait for CoreDNS] ***'; sleep 1; echo changed; exit 3"
    status = aloud_by_task(["sh", "-c", script], lambda: [POD], env=dict(os.environ), cwd=tmp_path, silence=0.3)
    assert status == 3
    lines = [re.sub(r"^\[[\d:]+\] |\(\d+ s\)$", "", line).rstrip() for line in capfd.readouterr().out.splitlines()]
    assert lines[:3] == ["TASK [quick : Look] ***", "ok", "TASK [dns : Wait for CoreDNS] ***"]
    assert lines[3:5] == ["TASK [dns : Wait for CoreDNS]: still at it", f"  {POD}"]
    assert lines[-1] == "changed"


def test_a_long_step_says_what_it_is_doing_now(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(say, "BEAT", 0.1)
    with step("downloading") as progress:
        time.sleep(0.25)
        progress.at("https://dl.k8s.io/kubeadm")
        time.sleep(0.25)
    lines = [re.sub(r"^\[[\d:]+\] | \(\d+ s\)", "", line) for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == "downloading: still at it"
    assert lines[-2] == "downloading: still at it, now https://dl.k8s.io/kubeadm"
