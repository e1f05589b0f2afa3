# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The idle watch on a whole site: workers that nobody uses go to sleep by themselves, and who asks for Jellyfin wakes its host alone."""

from __future__ import annotations

import json
import time

import pytest

from tests.lab.say import say
from tests.site.whole_site import Site

pytestmark = pytest.mark.endurance

WORKERS = ("homelab", "storagenodet3500")
URL = "http://192.168.4.63:30096/health"
# the load of a lab's host is its machine's, and its file of authorized keys is mounted read-only
WATCHED = {
    "idle_watch": True, "idle_watch_minutes": 1, "idle_watch_load": 1000, "idle_watch_authorized_keys": "/root/.ssh/authorized_keys2",
}  # fmt: skip


@pytest.fixture(scope="module")
def watched(site: Site) -> Site:
    """The site with the watch, and nobody connected any more."""
    run = site.play("site.yml", "-e", json.dumps(WATCHED))
    assert run.status == 0, run.failed
    again = site.play("site.yml", "-e", json.dumps(WATCHED))
    assert (again.status, again.changed) == (0, []), again.failed
    site.lab.close_connections()
    return site


def journal(site: Site) -> str:
    return site.hosts["masternode"].run(["journalctl", "--unit", "vmstation-idle-watch", "--output", "cat", "--no-pager"]).stdout


def answers(site: Site) -> bool:
    asked = site.lab.run(["python3", "-c", f"import urllib.request; urllib.request.urlopen({URL!r}, timeout=2)"], check=False)
    return asked.returncode == 0


def wait_until_asleep(site: Site) -> None:
    def all_are_down() -> bool:
        return not any(site.hosts[name].is_up() for name in WORKERS)

    try:
        site.lab.wait_for(all_are_down, "the workers to be put to sleep", 600)
    finally:
        say(journal(site))


def test_who_uses_a_worker_keeps_it_awake_and_no_other(watched: Site) -> None:
    media = watched.hosts["storagenodet3500"]
    address = watched.objects("pods", "-n", "jellyfin")[0]["status"]["podIP"]
    viewer = watched.lab.start_process(["python3", "-c", VIEWER, "192.168.4.61", "30096"])
    try:
        watched.lab.wait_for(lambda: not watched.hosts["homelab"].is_up(), "homelab to be put to sleep", 600)
        assert media.is_up()
        assert f"of {address} port 8096" in journal(watched)
    finally:
        viewer.kill()
        say(journal(watched))


VIEWER = """
import socket, sys, time
viewer = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5)
while True:
    viewer.sendall(b"GET /health HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    viewer.recv(65536)
    time.sleep(1)
"""


def test_idle_workers_sleep_until_somebody_asks(watched: Site) -> None:
    wait_until_asleep(watched)
    # nobody asks: neither Prometheus nor the cluster itself wakes them
    time.sleep(90)
    assert not any(watched.hosts[name].is_up() for name in WORKERS)
    began = time.monotonic()
    watched.lab.wait_for(lambda: answers(watched), "Jellyfin to answer at the control plane's NodePort", 400)
    say(f"Jellyfin answered {time.monotonic() - began:.0f} s after the first request")
    say(journal(watched))
    assert watched.hosts["storagenodet3500"].is_up()
    assert not watched.hosts["homelab"].is_up()


def test_taken_back_it_leaves_nothing(watched: Site) -> None:
    run = watched.play("site.yml", "-e", json.dumps({**WATCHED, "idle_watch_state": "absent"}))
    assert run.status == 0, run.failed
    listed = watched.hosts["masternode"].run(
        ["sh", "-c", "nft list tables; systemctl list-unit-files; find /etc /usr/local /var/lib/vmstation"]
    )
    assert "idle" not in listed.stdout
