# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What readers do with good inputs that were damaged at random: they read them, or fail with an error of ours, within seconds.

FUZZ_SECONDS is the time for each reader (default 30), FUZZ_SEED the seed of a run that is to be repeated. A failure shows it.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import shutil
import signal
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.manifest import judge as judge_backup
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.manifest import read_manifest
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.api import read_access
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.model import cut, redact
from ansible_collections.vmstation.cluster.plugins.module_utils._dns import answers
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.lint import lint
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.model import dns_plan
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall import firewalld_zones, iptables_rules, nftables, ufw_rules
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import parse
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.nftables_rules import Ruleset
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.packets import of_routes
from ansible_collections.vmstation.cluster.plugins.module_utils._host.archives import Contents, LocalPacking, take_out
from ansible_collections.vmstation.cluster.plugins.module_utils._host.mark import read_mark
from ansible_collections.vmstation.cluster.plugins.module_utils._idle import guard
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.io import Archive, LocalDirectory, Unreadable
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.model import MalformedArchive, checksums, images_of
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.signing_key import MalformedKey, read_keys
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.join import public_key_hashes, read_kubeconfig
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan import check as plan_check
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.backup.control_planes import backup
from tests.unit.backup.test_backup_archives import pack
from tests.unit.diagnosis.test_redaction import SECRETS
from tests.unit.dns.test_corefile_lint import SPECIFIED
from tests.unit.dns.test_dns_answers import API, WIRE
from tests.unit.firewall.test_precedence import INPUTS, NFT, ROUTES, TAILSCALE, ruleset_text
from tests.unit.idle.test_idle_readings import CONNTRACK
from tests.unit.installation.test_installation_signing_key import ENDS_EARLY, PROLONGED
from tests.unit.network_plan.plans import HOSTS, SPECIFICATION

SECONDS = float(os.environ.get("FUZZ_SECONDS", "30"))
SEED = os.environ.get("FUZZ_SEED") or str(random.SystemRandom().getrandbits(32))
LONGEST_READING = 10  # seconds for one input
LARGEST = 1 << 18  # bytes of an input
OURS = (Refusal, answers.Malformed, MalformedArchive, MalformedKey)
PORTS = parse([{"port": 22}, {"port": 10250, "sources": ["192.168.4.0/24"]}], [])
PIECES = [
    b"", b"\0", b"\n", b" ", b'"', b"'", b"\\", b"{", b"}", b"[", b"]", b":", b"=", b"/", b"../", b"-", b"!", b"#", b"%", b"\xff\xfe",
    b"\xc3", "é".encode(), "²".encode(), "\u2028".encode(), b"0", b"-1", b"65536", b"9" * 30, b"9" * 5000, b"1e999", b"NaN", b"null",
    b"true", b"[" * 2000, b"{" * 2000, b"a" * 3000, b"password=", b"token: ", b"BEGIN", b"-----END", b"<", b"&", b"*", b"::",
    b"::ffff:1.2.3.4%eth0",
]  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, -1, 1 << 70, 1.5, float("inf"), "", " ", "x", "²", "é", "\0", "9" * 5000, "10.0.0.0/8", "::/0", "fd00::1", "/",
    [], {}, [[]], {"": None}, [None], {"range": [1]}, {"set": []},
]  # fmt: skip


def damaged(chance: random.Random, good: bytes, others: list[bytes]) -> bytes:
    """Bytes with one to eight changes."""
    data = bytearray(good)
    for _change in range(chance.randint(1, 8)):
        at, end = sorted(chance.randrange(len(data) + 1) for _end in range(2))
        end = min(end, at + chance.choice([0, 1, 4, 64, 4096]))
        kind = chance.randrange(7)
        if kind == 0 and data:
            data[chance.randrange(len(data))] = chance.randrange(256)
        elif kind == 1 and data:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        elif kind == 2:
            data[at:end] = chance.choice(PIECES)
        elif kind == 3:
            data[at:at] = data[at:end] * chance.choice([1, 2, 50])
        elif kind == 4:
            del data[at:end]
        elif kind == 5:
            other = chance.choice(others)
            begin = chance.randrange(len(other) + 1)
            data[at:end] = other[begin : begin + chance.choice([1, 16, 256])]
        else:
            del data[chance.randrange(len(data) + 1) :]
        del data[LARGEST:]
    return bytes(data)


def twisted(chance: random.Random, good: Any) -> Any:
    """A document of which one to four values are others, gone or there twice."""
    document = deepcopy(good)
    for _change in range(chance.randint(1, 4)):
        places = list(_places(document))
        if not places:
            return chance.choice(VALUES)
        holder, key = chance.choice(places)
        kind = chance.randrange(5)
        if kind == 0:
            del holder[key]
        elif kind == 1:
            _other, from_key = other = chance.choice(places)
            holder[key] = deepcopy(other[0][from_key])
        elif kind == 2 and isinstance(holder, dict):
            holder[chance.choice(["", "x", "²", "name"])] = holder[key]
        elif kind == 3 and isinstance(holder[key], str):
            holder[key] = damaged(chance, holder[key].encode(), [b"x"]).decode("utf-8", "replace")
        else:
            holder[key] = deepcopy(chance.choice(VALUES))
    return document


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(document) if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ():
        yield document, key
        yield from _places(document[key])


@contextmanager
def limited() -> Iterator[None]:
    def late(_signal: int, _frame: object) -> None:
        raise TimeoutError(f"read for more than {LONGEST_READING} s")

    previous = signal.signal(signal.SIGALRM, late)
    signal.alarm(LONGEST_READING)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def fuzz(name: str, make: Callable[[random.Random], Any], read: Callable[[Any], object], seconds: float = SECONDS) -> None:
    chance = random.Random(f"{SEED} {name}")
    until, rounds = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        given = make(chance)
        rounds += 1
        try:
            with limited():
                read(given)
        except OURS as error:
            assert str(error)
        except Exception as error:
            raise AssertionError(f"FUZZ_SEED={SEED}, {name}, input {rounds}: {type(error).__name__} from {given!r:.2000}") from error
    print(f"FUZZ_SEED={SEED}, {name}: {rounds} inputs")


def text_of(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def every(*readers: Callable[[str], object]) -> Callable[[bytes], None]:
    """Each reader of a text has its turn, also after one that failed with an error of ours."""

    def read(data: bytes) -> None:
        for reader in readers:
            try:
                found = reader(text_of(data))
                if isinstance(found, Iterator):
                    list(found)
            except OURS as error:
                assert str(error)

    return read


# Readers of text

IPTABLES = [f"*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n{rules}COMMIT\n" for rules in (*(one for one, _places in INPUTS), TAILSCALE)]
UFW = [
    "*filter\n:ufw-user-input - [0:0]\n### RULES ###\n\n"
    "### tuple ### allow tcp 22,30000:32767 0.0.0.0/0 any 0.0.0.0/0 vmstation-worker - in\n"
    "-A ufw-user-input -p tcp -m multiport --dports 22,30000:32767 -j ACCEPT -m comment --comment 'dapp_vmstation-worker'\n\n"
    "### tuple ### deny any any 0.0.0.0/0 any 1.2.3.4 in\n-A ufw-user-input -s 1.2.3.4 -j DROP\n\n### END RULES ###\nCOMMIT\n"
]
ZONE = '<?xml version="1.0" encoding="utf-8"?>\n<zone target="DROP">\n  <service name="ssh"/>\n  <source address="10.0.0.0/8"/>\n</zone>\n'
SERVICE = '<service>\n  <short>x</short>\n  <port port="30000-32767" protocol="tcp"/>\n  <protocol value="4"/>\n</service>\n'
POLICY = (
    '<policy priority="-1" target="CONTINUE">\n  <ingress-zone name="ANY"/>\n  <egress-zone name="HOST"/>\n  <rule family="ipv4">\n'
    '    <source address="10.0.0.0/8"/>\n    <port port="22" protocol="tcp"/>\n    <accept/>\n  </rule>\n</policy>\n'
)
RICH = 'rule priority="-5" family="ipv4" source address="10.0.0.0/8" port port="22-23" protocol="tcp" accept'
KUBECONFIG = (
    "apiVersion: v1\nkind: Config\nclusters:\n- cluster:\n    certificate-authority-data: LS0tLS1CRUdJTg==\n"
    "    server: https://192.168.4.63:6443\n"
    "  name: home\ncontexts:\n- context: {cluster: home, user: admin}\n  name: admin@home\ncurrent-context: admin@home\n"
    "users:\n- name: admin\n  user:\n    client-certificate-data: LS0tLS1CRUdJTg==\n    client-key-data: LS0tLS1CRUdJTg==\n"
)
PEM = "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUQQ==\n-----END CERTIFICATE-----\n"
SS = "".join(
    f'0 0 {here}:22 {there} users:(("sshd",pid=1,fd=4))\n'
    for here, there in (("192.168.4.61", "192.168.4.20:50000"), ("[::ffff:192.168.4.61]", "[fd00::20]:50001"))
)
ADDRESSES = '[{"ifname":"lo","addr_info":[{"local":"127.0.0.1"}]},{"ifname":"eth0","mtu":1500,"addr_info":[{"local":"192.168.4.61"}]}]'
POD_ROUTES = '[{"dst":"10.244.1.5","dev":"cali123"},{"dst":"default","gateway":"192.168.4.1","dev":"eth0"}]'
MARK = '{"cluster":"home","role":"worker","name":"homelab","installed":true,"ca":"","identity":{"name":"homelab"}}'
SUMS = f"{'0' * 64}  bin/kubelet\n{'a' * 64} *images/one.tar\n"
LOG = "".join(f"2026-11-30T18:00:00Z stderr F {text}\n" for text, _secret in SECRETS.values())


def _lint(text: str) -> object:
    return lint(text, dns_plan(SPECIFICATION))


def _iptables(text: str) -> None:
    tables = iptables_rules.Tables(text)
    for chain in ("INPUT", "FORWARD"):
        iptables_rules.can_refuse(tables, chain)
        tables.jumps("filter", chain)
    iptables_rules.effects(tables, PORTS.openings, {"ipencap": "4"})
    for lines in tables.rules.values():
        for line in lines:
            iptables_rules.read_rule(line, {"ipencap": "4"})
    iptables_rules.without(text, frozenset({"vmstation-a"}))


def _ufw(text: str) -> None:
    for rule in ufw_rules.rules_of(text):
        assert isinstance(rule.restricts, bool)
        list(rule.openings(4))
    ufw_rules.protocol_names(text)


TEXTS: dict[str, tuple[list[str], Callable[[bytes], None]]] = {
    "Corefile": ([SPECIFIED], every(_lint)),
    "kubeconfig of a host": ([KUBECONFIG, PEM], every(read_kubeconfig, public_key_hashes)),
    "iptables-save": (IPTABLES, every(_iptables)),
    "rules of ufw": (UFW, every(_ufw)),
    "files of firewalld": (
        [ZONE, SERVICE, POLICY],
        every(
            *(
                partial(reader, "/etc/firewalld/x.xml")
                for reader in (firewalld_zones.parse_service, firewalld_zones.parse_policy, firewalld_zones.sources_of)
            ),
            lambda text: firewalld_zones.with_service("/etc/firewalld/x.xml", text, "vmstation-worker"),
            lambda text: firewalld_zones.without_service("/etc/firewalld/x.xml", text, "ssh"),
        ),
    ),
    "rich rules": ([RICH], every(firewalld_zones.parse)),
    "saved rules of nftables": (['# vmstation {"places": []}\n'], every(nftables.read_header)),
    "routes": ([ROUTES], every(lambda text: of_routes(text, PORTS))),
    "conntrack": ([CONNTRACK], every(guard.flows)),
    "ss": ([SS], every(guard.ssh_peers)),
    "ip -json": ([ADDRESSES, POD_ROUTES], every(guard.own_addresses, guard.own_pods)),
    "who": (["root tty1 2026-11-30 18:00\nme pts/0 2026-11-30 18:00 (192.168.4.20)\n"], every(guard.local_sessions)),
    "mark of a host": ([MARK], every(read_mark)),
    "SHA256SUMS": ([SUMS], every(checksums)),
    "logs for a diagnosis": ([LOG, *(text for text, _secret in SECRETS.values())], every(redact, lambda text: cut(text, 512, "tail"))),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text(name: str) -> None:
    samples, read = TEXTS[name]
    good = [sample.encode("utf-8", "surrogateescape") for sample in samples]
    fuzz(name, lambda chance: damaged(chance, chance.choice(good), good), read)


# Readers of documents

RULESETS = [json.loads(ruleset_text(on_input, own)) for on_input, own, _places in NFT]
ANSWER = {
    "uptime": 90.5,
    "load": 0.1,
    "sessions": ["root on tty1"],
    "ssh": ["192.168.4.20"],
    "clients": ["192.168.4.20 of 10.244.1.5 port 8096"],
}


def _nft(document: Any) -> None:
    ruleset = Ruleset(json.dumps(document), ROUTES)
    for hook in ("input", "forward"):
        for key in ruleset.refusing(hook, ""):
            nftables.sites(ruleset, PORTS, [(key, hook)])
            ruleset.rules_of_ours(key)


def _plan(document: Any) -> None:
    plan, hosts = document if isinstance(document, list) and len(document) == 2 else (document, None)
    plan_check.judge(plan, hosts)


DOCUMENTS: dict[str, tuple[list[Any], Callable[[Any], object]]] = {
    "network plan and hosts": ([[SPECIFICATION, HOSTS]], _plan),
    "nft -j list ruleset": (RULESETS, _nft),
    "answer of a worker": ([ANSWER], guard.read_status),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document(name: str) -> None:
    good, read = DOCUMENTS[name]
    fuzz(name, lambda chance: twisted(chance, chance.choice(good)), read)


# Readers of files and bytes


def test_the_kubeconfig_of_the_controller(tmp_path: Path) -> None:
    # its first import takes seconds
    pytest.importorskip("kubernetes.config")
    path = tmp_path / "config"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        read_access(str(path))

    fuzz("kubeconfig of the controller", lambda chance: damaged(chance, KUBECONFIG.encode(), [PEM.encode()]), read)


def test_an_answer_of_a_dns_server() -> None:
    fuzz("DNS", lambda chance: damaged(chance, WIRE, [WIRE]), lambda data: answers.answer(data, API))


def test_a_signing_key() -> None:
    keys = [ENDS_EARLY, PROLONGED, read_keys(ENDS_EARLY)[1]]
    fuzz("signing key", lambda chance: damaged(chance, chance.choice(keys), keys), read_keys)


def _unpacked(path: str) -> bytes:
    with gzip.open(path) as file:
        return file.read()


def test_an_archive(tmp_path: Path) -> None:
    manifest, texts = backup()
    good = _unpacked(pack(tmp_path, manifest, texts))
    into = tmp_path / "into"
    path = tmp_path / "archive.tar.gz"

    def make(chance: random.Random) -> bytes:
        # most damage would only show as a wrong checksum of gzip
        return gzip.compress(damaged(chance, good, [good]), 1) if chance.random() < 0.9 else damaged(chance, gzip.compress(good, 1), [good])

    def read(data: bytes) -> None:
        path.write_bytes(data)
        contents = LocalPacking().look(str(path))
        list(judge_backup(read_manifest(contents, "archive"), contents, "trial", "archive"))
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir()
        take_out(str(path), str(into), without=0, with_owners=False)

    fuzz("archive", make, read)


def test_a_manifest(tmp_path: Path) -> None:
    manifest, texts = backup()
    contents = LocalPacking().look(pack(tmp_path, manifest, texts))
    good = json.loads(manifest.as_text())

    def read(document: Any) -> None:
        given = Contents((contents.first[0], json.dumps(document)), contents.members)
        list(judge_backup(read_manifest(given, "archive"), given, "trial", "archive"))

    fuzz("manifest", lambda chance: twisted(chance, good), read)


def test_an_archive_of_images(tmp_path: Path) -> None:
    """As `docker save` writes it."""
    config = b'{"architecture": "amd64"}'
    documents = {
        "manifest.json": json.dumps([{"Config": "c.json", "RepoTags": ["registry.k8s.io/pause:3.10.2"], "Layers": ["l.tar"]}]).encode(),
        "c.json": config,
        "l.tar": b"layer",
    }
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        for name, content in documents.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    good = output.getvalue().rstrip(b"\0") + bytes(1024)

    def read(data: bytes) -> None:
        (tmp_path / "images.tar").write_bytes(data)
        found = LocalDirectory(str(tmp_path)).archive("images.tar")
        assert isinstance(found, (Archive, Unreadable))
        if isinstance(found, Archive):
            images_of(found, "amd64")

    fuzz("archive of images", lambda chance: damaged(chance, good, [good]), read)
