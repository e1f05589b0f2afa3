# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Publishes what was compiled, at the addresses where the real things are, to one command in a network that has only loopback.

``python -m tests.cluster.publisher DIRECTORY COMMAND...`` needs network and mount namespaces of its own (``published_to``). The names of
the publishers' servers are in /etc/hosts there, and a certificate for them is the only one that the command trusts.
"""

from __future__ import annotations

import fnmatch
import hashlib
import http.server
import json
import os
import ssl
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.cluster.monitoring_images import STAND_INS, StandIn, wanted
from tests.cluster.published import jellyfin_image, wish
from tests.lab.cache import installation_source

REGISTRIES = {"registry.k8s.io": "registry.k8s.io", "docker.io": "registry-1.docker.io"}
HOSTS = ("dl.k8s.io", "raw.githubusercontent.com", *REGISTRIES.values())
# Files of DIRECTORY. The publisher writes what it is asked for, one path a line. It reads patterns of what is not there, what arrives
# damaged, and what never arrives. With SMALL, kubeadm alone is whole: other programs are cut, and all images are the one of pause.
ASKED, MISSING, DAMAGED, ENDLESS, SMALL = "asked", "missing", "damaged", "endless", "small"
SMALL_PROGRAM = 4096
INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True)
class Content:
    """A part of a file. kind: its media type."""

    file: Path
    offset: int
    size: int
    kind: str = "application/octet-stream"

    def read(self) -> bytes:
        with self.file.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


def published(source: Path, directory: Path) -> dict[str, Content]:
    """By host and path."""
    facts = wish()
    found: dict[str, Content] = {}
    for program in (source / "bin").iterdir():
        url = f"dl.k8s.io/release/v{facts.release}/bin/linux/{facts.arch}/{program.name}"
        is_cut = (directory / SMALL).exists() and program.name != "kubeadm"
        found[url] = Content(program, 0, SMALL_PROGRAM if is_cut else program.stat().st_size)
        found[f"{url}.sha256"] = _text(directory, f"{program.name}.sha256", hashlib.sha256(found[url].read()).hexdigest())
    manifest = f"raw.githubusercontent.com/projectcalico/calico/v{facts.calico}/manifests/calico.yaml"
    found[manifest] = _file(source / "manifests" / "calico.yaml")
    images = {name: image for archive in (source / "images").iterdir() for name, image in _archived(archive)}
    (pause,) = (image for name, image in images.items() if name.startswith("registry.k8s.io/pause:"))
    stand_ins = {StandIn.image(name): jellyfin_image() if name == "jellyfin" else wanted(name) for name in STAND_INS}
    for name, image in images.items():
        found |= _image(stand_ins.get(name, name), pause if (directory / SMALL).exists() else image, directory)
    return found


@dataclass(frozen=True)
class ArchivedImage:
    descriptor: Mapping[str, Any]
    members: Mapping[str, Content]

    def blob(self, digest: str) -> Content:
        return self.members[f"blobs/{digest.replace(':', '/')}"]


def _archived(archive: Path) -> Iterator[tuple[str, ArchivedImage]]:
    with tarfile.open(archive) as tar:
        members = {member.name: Content(archive, member.offset_data, member.size) for member in tar}
    for descriptor in json.loads(members["index.json"].read())["manifests"]:
        yield descriptor["annotations"]["io.containerd.image.name"], ArchivedImage(descriptor, members)


def _image(name: str, image: ArchivedImage, directory: Path) -> dict[str, Content]:
    """As a registry has it: an index for two architectures under the image's tag, then by digest."""
    registry, _slash, rest = name.partition("/")
    repository, _colon, tag = rest.rpartition(":")
    base = f"{REGISTRIES[registry]}/v2/{repository}"
    kind, digest, platform = (image.descriptor[key] for key in ("mediaType", "digest", "platform"))
    other = {**platform, "architecture": "arm64" if platform["architecture"] == "amd64" else "amd64"}
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [
            {"mediaType": kind, "digest": f"sha256:{'0' * 64}", "size": 1, "platform": other},
            {"mediaType": kind, "digest": digest, "size": image.descriptor["size"], "platform": platform},
        ],
    }
    manifest = image.blob(digest)
    content = json.loads(manifest.read())
    return {
        f"{base}/manifests/{tag}": _text(directory, f"index-{rest.replace('/', '_')}", json.dumps(index), INDEX),
        f"{base}/manifests/{digest}": replace(manifest, kind=kind),
        **{f"{base}/blobs/{part['digest']}": image.blob(part["digest"]) for part in (content["config"], *content["layers"])},
    }


def _file(path: Path) -> Content:
    return Content(path, 0, path.stat().st_size)


def _text(directory: Path, name: str, text: str, kind: str = "text/plain") -> Content:
    path = directory / name
    path.write_text(text)
    return Content(path, 0, len(text.encode()), kind)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    directory: Path
    contents: Mapping[str, Content]

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        path = f"{self.headers['Host']}{self.path}"
        with (self.directory / ASKED).open("a") as log:
            log.write(f"{path}\n")
        if self.path == "/v2/":
            self._head(200, 0, "application/json")
            return
        content = self.contents.get(path)
        if content is None or self._is_listed(MISSING, path):
            self._head(404, 0, "text/plain")
            return
        self._head(200, content.size, content.kind)
        if not with_body:
            return
        with content.file.open("rb") as file:
            file.seek(content.offset)
            if self._is_listed(DAMAGED, path):
                self.wfile.write(bytes([file.read(1)[0] ^ 1]))
            elif self._is_listed(ENDLESS, path):
                self.wfile.write(file.read(content.size // 2))
                self.wfile.flush()
                threading.Event().wait()
            while piece := file.read(min(1 << 20, content.offset + content.size - file.tell())):
                self.wfile.write(piece)

    def _is_listed(self, name: str, path: str) -> bool:
        file = self.directory / name
        return file.exists() and any(fnmatch.fnmatchcase(path, pattern) for pattern in file.read_text().split())

    def _head(self, status: int, size: int, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(size))
        self.send_header("Content-Type", kind)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


def serve(directory: Path, contents: Mapping[str, Content], certificate: Path) -> None:
    """On loopback's port 443, in a thread."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    handler = type("Publisher", (Handler,), {"directory": directory, "contents": contents})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 443), handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def published_to(directory: Path, command: Sequence[str]) -> list[str]:
    """The command, so that it finds what is published; directory: for the publisher's own files."""
    return [
        "unshare", "--net", "--mount", "--fork", "--kill-child", sys.executable, "-m", "tests.cluster.publisher", str(directory), *command,
    ]  # fmt: skip


def main(directory: Path, command: Sequence[str]) -> int:
    hosts, certificate = directory / "hosts", directory / "certificate.pem"
    hosts.write_text(f"127.0.0.1 localhost {' '.join(HOSTS)}\n")
    names = ",".join(f"DNS:{name}" for name in HOSTS)
    for argv in (
        ["ip", "link", "set", "lo", "up"],
        ["mount", "--bind", str(hosts), "/etc/hosts"],
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-keyout", str(certificate), "-out", f"{certificate}.part", "-subj", "/CN=publisher", "-addext", f"subjectAltName={names}",
        ],
    ):  # fmt: skip
        subprocess.run(argv, check=True, capture_output=True, timeout=60)
    only = Path(f"{certificate}.part")
    with certificate.open("a") as both:
        both.write(only.read_text())
    serve(directory, published(installation_source().resolve(), directory), certificate)
    trusted = {"CURL_CA_BUNDLE": str(only), "SSL_CERT_FILE": str(only), "SSL_CERT_DIR": str(directory / "none")}
    return subprocess.run(command, env={**os.environ, **trusted}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
