# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images by archives that list other platforms, and through a mirror that wants a password: Debian's own containerd."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import Completed
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.containerd import Containerd, WantedImage, ensure
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.software import platform_of

from tests.lab import Lab
from tests.lab.hosts import Host
from tests.unit.installation.sources import write_index_of_other_platforms

NAME = "docker.io/library/nginx:1.27.0"
IMPORT = ["ctr", "--namespace", "k8s.io", "images", "import"]


class OnHost:
    """The commands of a host, and the archives in its root directory."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def has(self, program: str) -> bool:
        return True

    def run(self, argv: Sequence[str], *, stdin: str = "", timeout: float = 60.0, check: bool = True) -> Completed:
        done = self._host.run(argv, stdin=stdin, timeout=timeout, check=check)
        return Completed(tuple(argv), done.returncode, done.stdout, done.stderr)

    def path(self, name: str) -> str:
        return f"/root/{name}"

    def exists(self, name: str) -> bool:
        return True


@pytest.fixture(scope="module")
def host(lab: Lab) -> Iterator[Host]:
    made = lab.start("archives", address="192.168.4.238", mac="02:00:c0:a8:04:ee", kubernetes=True)
    made.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", "containerd"], timeout=180)
    yield made
    lab.remove(made)


def test_an_index_with_another_platform_is_imported_for_that_of_the_host(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "nginx.tar"
    # known to the CRI plugin or not is another question: its second name is made when kubelet's runtime is configured
    write_index_of_other_platforms(file, NAME)
    host.bring(file, "/root/nginx.tar")
    plain = host.run([*IMPORT, "/root/nginx.tar"], check=False)
    assert plain.returncode != 0, "it would show nothing otherwise"
    assert "not found" in plain.stderr
    on_host, image = OnHost(host), WantedImage(NAME, "", "nginx.tar")
    containerd = Containerd(on_host, "/run/containerd/containerd.sock", platform=platform_of(host.run(["uname", "-m"]).stdout.strip()))
    assert ensure([image], containerd, on_host, lambda condition: condition(), check_mode=False).imported == [image]
    assert ensure([image], containerd, on_host, lambda condition: condition(), check_mode=False).imported == []


# the read part of a registry's API, for what is in an archive's directory
REGISTRY = """
import base64, hashlib, http.server, json, pathlib
ROOT, WANTED = pathlib.Path('/root/registry'), 'Basic ' + base64.b64encode(b'node:secret-of-the-mirror').decode()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self, body=True):
        with open('/root/asked', 'a') as log:
            log.write(self.path + '\\n')
        if self.headers.get('Authorization') != WANTED:
            self.send_response(401); self.end_headers(); return
        digest = self.path.partition('?')[0].rpartition('/')[2].rpartition(':')[2]
        if '/manifests/' in self.path and len(digest) != 64:
            digest = json.loads((ROOT / 'index.json').read_text())['manifests'][0]['digest'].rpartition(':')[2]
        file = ROOT / 'blobs/sha256' / digest
        if not file.exists():
            self.send_response(404); self.end_headers(); return
        content = file.read_bytes()
        kind = json.loads(content).get('mediaType') if '/manifests/' in self.path else 'application/octet-stream'
        self.send_response(200)
        for name, value in {'Content-Type': kind, 'Content-Length': len(content), 'Docker-Content-Digest': 'sha256:' + digest}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if body:
            self.wfile.write(content)
    def do_HEAD(self):
        self.do_GET(False)
http.server.HTTPServer(('127.0.0.1', 5000), Handler).serve_forever()
"""
MIRRORED = "docker.io/library/mirrored:1"
SECRET = "secret-of-the-mirror"


def test_containerd_pulls_through_a_mirror_that_wants_a_password(lab: Lab, host: Host, tmp_path: Path) -> None:
    write_index_of_other_platforms(tmp_path / "mirrored.tar", MIRRORED)
    host.bring(tmp_path / "mirrored.tar", "/root/mirrored.tar")
    host.run(["sh", "-ec", "mkdir -p /root/registry && tar -C /root/registry -xf /root/mirrored.tar"])
    host.write("/root/registry.py", REGISTRY)
    server = host.start_process(["python3", "/root/registry.py"])
    pull = [
        "ctr",
        "--namespace",
        "k8s.io",
        "images",
        "pull",
        "--hosts-dir",
        "/etc/containerd/certs.d",
        "--platform",
        "linux/amd64",
        MIRRORED,
    ]
    mirror = {"url": "http://127.0.0.1:5000", "username": "node", "password": SECRET}
    options = {"registries": [{"name": "docker.io", "server": "http://127.0.0.1:1", "mirrors": [mirror]}]}
    try:
        written = lab.module(host, "vmstation.cluster.containerd_registries", options)
        assert SECRET not in str(written)
        assert host.run(["stat", "--format=%a", "/etc/containerd/certs.d/docker.io/hosts.toml"]).stdout.strip() == "600"
        again = lab.module(host, "vmstation.cluster.containerd_registries", options)
        assert (written["changed"], again["changed"]) == (True, False)
        host.run(pull, timeout=120)
        assert "/v2/library/mirrored/manifests/1" in host.read("/root/asked")
        assert lab.module(host, "vmstation.cluster.containerd_registries", {"registries": []})["changed"]
        host.run(["ctr", "--namespace", "k8s.io", "images", "rm", MIRRORED])
        assert host.run(pull, check=False, timeout=120).returncode != 0
    finally:
        server.kill()
        server.wait(timeout=20)
