# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Loki of the site, at its NodePort, from outside the cluster: questions to it, and lines that a stand-in for Alloy does not send."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.cluster import alloy
from tests.cluster.dashboards import LOKI_RANGE
from tests.site.whole_site import Site

ASK = """
import json, sys, urllib.parse, urllib.request
for wanted in json.load(sys.stdin):
    parameters = urllib.parse.urlencode(wanted)
    with urllib.request.urlopen(f"http://{sys.argv[1]}:31100/loki/api/v1/query_range?{parameters}", timeout=15) as answer:
        print(json.dumps(json.load(answer)["data"]["result"]))
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


def query(site: Site, expressions: Sequence[str], direction: str = "backward") -> list[list[dict[str, Any]]]:
    """What Loki has for each expression, as a panel asks it. direction: which lines come first, if these are many."""
    wanted = [{"query": expression, "direction": direction, **LOKI_RANGE} for expression in expressions]
    answer = site.lab.run(["python3", "-c", ASK, site.hosts["masternode"].address], stdin=json.dumps(wanted), timeout=300)
    return [json.loads(line) for line in answer.stdout.splitlines()]


def oldest_line(site: Site) -> int:
    """When the first line of the container that is still there was written, in nanoseconds since 1970."""
    [[stream]] = query(site, [f'{{pod="{CONTAINER["pod"]}"}}'], "forward")
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
