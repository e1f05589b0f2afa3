# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site's stand-in for Loki, at its NodePort, from outside: lines, as that for Alloy sends none, and what is kept of them."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster import alloy
from tests.site.whole_site import Site

ASK = """
import sys, urllib.request
with urllib.request.urlopen(f"http://{sys.argv[1]}:31100/loki/api/v1/query_range?{sys.argv[2]}", timeout=15) as answer:
    print(answer.read().decode())
"""
# twice a minute; while Loki or its host is away nothing is sent, and nothing made up for
SEND = """
import contextlib, json, sys, time, urllib.request
while True:
    body = {"streams": [{"stream": json.loads(sys.argv[2]), "values": [[str(time.time_ns()), sys.argv[3]]]}]}
    request = urllib.request.Request(
        f"http://{sys.argv[1]}:31100/loki/api/v1/push", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with contextlib.suppress(OSError):
        urllib.request.urlopen(request, timeout=15).close()
    time.sleep(30)
"""
CONTAINER = {"namespace": "jellyfin", "pod": "jellyfin-0", "container": "jellyfin", "node": "homelab"}
LINE = "Error: no such film"


def oldest_line(site: Site) -> int:
    """When the first line of the container that is still there was written, in nanoseconds since 1970."""
    wanted = urllib.parse.urlencode({"query": f'{{pod="{CONTAINER["pod"]}"}}', "direction": "forward", "since": "6h"})
    answer = site.lab.run(["python3", "-c", ASK, site.hosts["masternode"].address, wanted], timeout=60)
    [stream] = json.loads(answer.stdout)["data"]["result"]
    return int(stream["values"][0][0])


@contextmanager
def lines(site: Site) -> Iterator[None]:
    """A container's lines arrive meanwhile, with the labels that Alloy would give them."""
    argv = ["python3", "-c", SEND, site.hosts["masternode"].address, json.dumps(alloy.labels(**CONTAINER)), LINE]
    sender = site.lab.start_process(argv)
    try:
        yield
        assert sender.poll() is None, sender.communicate()
    finally:
        sender.kill()
        sender.wait()
