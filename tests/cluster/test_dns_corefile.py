# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judgement of a Corefile and that of CoreDNS itself: it starts with whatever we pass, and with nothing whose text we refuse."""

from __future__ import annotations

import os
import random
import re
import selectors
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.lint import PLUGINS, READABLE, lint
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.model import corefile, dns_plan

from tests.cluster.build import binary, missing
from tests.lab.say import LabError

PATIENCE = 20
PLAN = dns_plan(
    {"dns_service_ip": "10.233.0.3", "pod_cidr": "10.244.0.0/16", "service_cidr": "10.96.0.0/12", "upstream_dns": ["192.168.4.1"]}
)
OURS = corefile(PLAN)
FORM = {
    READABLE,
    "plugins_are_known",
    "plugins_stand_once",
    "plugins_are_written_as_they_should",
    "zones_are_served_once",
    "upstreams_are_addresses",
}
# a kubeconfig that leads nowhere: the plugin kubernetes starts with it, and asks it for nothing before it is asked
KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{name: nowhere, cluster: {server: "http://127.0.0.1:1"}}]
contexts: [{name: nowhere, context: {cluster: nowhere, user: nobody}}]
users: [{name: nobody, user: {}}]
current-context: nowhere
"""


@pytest.fixture(autouse=True)
def _built() -> None:
    try:
        unbuilt = missing(["coredns"])
    except LabError as error:
        unbuilt = [str(error)]
    if unbuilt or shutil.which("unshare") is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("no coredns: run `python3 -m tests.cluster build coredns`")


def refusal(text: str, directory: Path) -> str:
    """What CoreDNS has against a Corefile; empty if it starts. It runs in a network of its own, where all ports are free."""
    kubeconfig, file = directory / "kubeconfig", directory / "Corefile"
    kubeconfig.write_text(KUBECONFIG)
    # outside of a Pod it is told the API server, and not to wait for it
    file.write_text(re.sub(r"(?m)^( *kubernetes\b[^{\n]*)\{", rf"\1{{\nkubeconfig {kubeconfig}\nstartup_timeout 1ms", text))
    script = 'ip link set lo up; exec "$0" -conf "$1"'
    with subprocess.Popen(
        ["unshare", "--net", "--map-root-user", "--kill-child", "sh", "-c", script, str(binary("coredns")), str(file)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=directory,
    ) as process:  # fmt: skip
        assert process.stdout
        os.set_blocking(process.stdout.fileno(), False)
        said, deadline = b"", time.monotonic() + PATIENCE
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while time.monotonic() < deadline:
                selector.select(1)
                piece = process.stdout.read()
                said += piece or b""
                if b"CoreDNS-1" in said:
                    process.kill()
                    return ""
                if piece == b"":
                    break
        process.kill()
        return said.decode().strip() or f"no word in {PATIENCE} s"


def test_the_plugins_are_those_of_the_pinned_coredns() -> None:
    listed = subprocess.run([str(binary("coredns")), "-plugins"], capture_output=True, text=True, check=True).stdout
    assert set(listed.split()) == PLUGINS


def test_it_starts_with_ours(tmp_path: Path) -> None:
    assert refusal(OURS, tmp_path) == ""


# what of our Corefile is replaced by what; CoreDNS must agree that it cannot be
BROKEN = [
    ("lameduck 5s", "lameduck 5"),
    ("    loop\n", "    loop\n    loop\n"),
    ("    loop\n", "    lopp\n"),
    ("    loop\n", "    loop 5\n"),
    ("pods insecure", "pods secure"),
    ("pods insecure", "pod insecure"),
    ("ttl 30", "ttl 3601"),
    ("cache 30", "cache 0"),
    ("    reload\n", "    reload 1s\n"),
    ("    reload\n", "    reload 10s 500ms\n"),
    ("max_concurrent 1000", "max_concurrent many"),
    ("192.168.4.1", "dns.google"),
    ("192.168.4.1", "https://9.9.9.9"),
    ("prometheus :9153", "prometheus 9153"),
    ("loadbalance\n}\n", "loadbalance\n}\n.:53 {\n    whoami\n}\n"),
    ("loadbalance\n}\n", "loadbalance\n"),
    ("    }\n    ready\n", "    ready\n"),
    ("errors\n", "errors }\n"),
    (".:53 {", ".:53, {"),
    (".:53", ".:99999"),
]


@pytest.mark.parametrize(("old", "new"), BROKEN, ids=[repr(new) for _old, new in BROKEN])
def test_it_refuses_what_we_refuse(old: str, new: str, tmp_path: Path) -> None:
    text = OURS.replace(old, new, 1)
    assert text != OURS
    assert [one for one in lint(text, PLAN) if one.rule in FORM]
    assert refusal(text, tmp_path)


FINE = [
    ("192.168.4.1 {", "tls://9.9.9.9 [2620:fe::fe]:53 192.168.4.1:5353 {\n        tls_servername dns.quad9.net\n        policy sequential"),
    (
        "    cache 30\n",
        "    cache 30 {\n        success 9984 30\n        prefetch 10 1m 10%\n        serve_stale 1h verify\n    }\n",
    ),
    ("    cache 30\n", "    cache 30 {\n        disable success cluster.local\n        servfail 5s\n        keepttl\n    }\n"),
    (
        "    errors\n",
        '    errors {\n        consolidate 5m ".*timeout$" warning\n    }\n    log . "{remote}" {\n        class denial error\n    }\n',
    ),
    ("    errors\n", "    import shared\n"),
    ("    loadbalance\n", "    loadbalance round_robin {\n        prefer 10.244.0.0/16\n    }\n"),
    ("    reload\n", "    reload 10s 2s\n"),
    ("    ready\n", "    ready {\n        monitor continuously\n    }\n"),
    (".:53 {", "consul.local {\n    errors\n    cache\n    loop\n    forward . 192.168.4.9\n}\n.:53\n{ # ours"),
    ("ttl 30", "ttl 30\n        namespaces default kube-system\n        endpoint_pod_names"),
]


@pytest.mark.parametrize(("old", "new"), FINE, ids=[new.strip() for _old, new in FINE])
def test_it_takes_what_we_take(old: str, new: str, tmp_path: Path) -> None:
    text = "(shared) {\n    errors\n}\n" + OURS.replace(old, new, 1)
    assert [one for one in lint(text, PLAN) if one.severity == "error"] == []
    assert refusal(text, tmp_path) == ""


def _slip(text: str, chance: random.Random) -> str:
    """One slip of the hand: a line lost, doubled or moved, a word lost or doubled, a brace more or less."""
    lines = text.splitlines()
    at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    slip = chance.choice(["lose", "double", "move", "lose word", "double word", "brace", "number"])
    if slip == "lose":
        del lines[at]
    elif slip == "double":
        lines.insert(at, lines[at])
    elif slip == "move":
        lines.insert(other, lines.pop(at))
    elif slip == "brace":
        lines[at] += chance.choice([" {", " }"])
    elif slip == "number":
        lines[at] = re.sub(r"\d+", chance.choice(["0", "-1", "7", "x", "999999"]), lines[at], count=1)
    else:
        words = lines[at].split()
        place = chance.randrange(len(words)) if words else 0
        words[place : place + 1] = words[place : place + 1] * (2 if slip == "double word" else 0)
        lines[at] = " ".join(words)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("seed", range(8))
def test_it_starts_with_every_slip_that_we_let_pass(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    passed = 0
    while passed < 5:
        text = _slip(OURS, chance)
        if chance.random() < 0.5:
            text = _slip(text, chance)
        if any(one.severity == "error" for one in lint(text, PLAN)):
            continue
        passed += 1
        assert refusal(text, tmp_path) == "", text
