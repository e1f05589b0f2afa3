# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find images that the host's Pods use and that neither containerd nor a registry has: such a Pod does not start again.

Kubelet deletes unused images when the disk fills. containerd before 1.6.25 does not report the pause image as pinned, so that it goes, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Callable, Optional, Union
from urllib.parse import urlsplit

from .._ctr import ctr
from .._findings import Finding
from .._host.commands import Commands
from .._host.files import HostFiles
from .._host.web import Answer
from .._refusal import Refusal
from .model import Expectations, HostState, Images

CERTIFICATES, MANIFESTS = "/etc/containerd/certs.d", "/etc/kubernetes/manifests"
SECONDS = 20.0
# the answer to each URL, None if it did not come in time
Ask = Callable[[Sequence[str]], Sequence[Optional[Union[Answer, Refusal]]]]
_SANDBOX = re.compile(r"""^\s*sandbox(?:_image)?\s*=\s*["']([^"']+)["']""", re.MULTILINE)
# kubelet starts static Pods without the API server
_IMAGE = re.compile(r"""^\s*(?:-\s*)?image:\s*["']?([^\s"']+)""", re.MULTILINE)
# the format of hosts.toml: https://github.com/containerd/containerd/blob/main/docs/hosts.md
_MIRROR = re.compile(r"""^\s*(?:\[host\.|server\s*=\s*)["']([^"']+)["']""", re.MULTILINE)
_PROXY = re.compile(r"(?:^|[\s\"=])HTTPS_PROXY=(\S+)", re.IGNORECASE)
# the registry of docker.io, whose name is another one
_SERVERS = {"docker.io": "https://registry-1.docker.io"}


def look_at_images(files: HostFiles, commands: Commands, ask: Ask, socket: str, configuration: str) -> Images:
    """Read what runs and what containerd has. Registries are asked only if something is missing."""
    if not commands.has("ctr") or not files.exists(socket):
        return Images()
    listed = [_rows(commands, socket, *words) for words in (("images", "list", "--quiet"), ("containers", "list"), ("tasks", "list"))]
    if any(rows is None for rows in listed):
        return Images()
    stored, containers, tasks = ([*(rows or ())] for rows in listed)
    running = {row[0] for row in tasks if row[-1] == "RUNNING"}
    # containerd names some of them by their digest only
    used = [row[1] for row in containers if len(row) > 1 and row[0] in running and "/" in row[1]]
    used += _SANDBOX.findall(files.read(configuration) or "")
    used += [name for file in files.entries(MANIFESTS) for name in _IMAGE.findall(files.read(f"{MANIFESTS}/{file}") or "")]
    missing = sorted({_as_stored(name) for name in used} - {row[0] for row in stored})
    if not missing:
        return Images()
    proxy = _PROXY.search(commands.run(["systemctl", "show", "--property=Environment", "containerd"], timeout=SECONDS, check=False).stdout)
    registries = {name: _registry(name) for name in missing}
    silent = set() if proxy else _silent(set(registries.values()), files, ask)
    lost = tuple(name for name in missing if proxy or registries[name] in silent)
    return Images(lost, tuple(sorted(silent)), _without_login(proxy[1].strip('"')) if proxy else "")


def images_can_be_had(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    images = state.images
    if not images.lost:
        return
    name = images.lost[0]
    why = f"; not asked, because of the proxy {images.proxy}" if images.proxy else f"; no answer from {', '.join(images.silent)}"
    yield Finding(
        "images_can_be_had",
        "unknown" if images.proxy else "error",
        "images",
        f"not in containerd: {', '.join(images.lost)}{why}",
        "in containerd, or in a registry that answers: Pods that use them do not start again",
        f"Pull it if the registry answers again: `ctr --namespace k8s.io images pull {name}`. Otherwise, on a host that has it, `ctr "
        f"--namespace k8s.io images export image.tar {name}`; copy the file here, and `ctr --namespace k8s.io images import image.tar`.",
    )


def _rows(commands: Commands, socket: str, *words: str) -> Optional[list[list[str]]]:
    """Return the words of each line; None if containerd does not answer."""
    completed = commands.run(ctr(socket, *words), timeout=SECONDS, check=False)
    if completed.status:
        return None
    return [line.split() for line in completed.stdout.splitlines() if line.strip()]


def _as_stored(image: str) -> str:
    """Return the name as containerd lists it: https://github.com/distribution/reference/blob/main/normalize.go."""
    first, slash, _rest = image.partition("/")
    if not slash:
        image = f"docker.io/library/{image}"
    elif not ("." in first or ":" in first or first == "localhost"):
        image = f"docker.io/{image}"
    elif first == "docker.io" and image.count("/") == 1:
        image = image.replace("/", "/library/")
    name, at, digest = image.partition("@")
    directory, _slash, last = name.rpartition("/")
    if at:
        return f"{directory}/{last.partition(':')[0]}@{digest}"
    return name if ":" in last else f"{name}:latest"


def _without_login(proxy: str) -> str:
    """Return the host and port of a proxy's URL, which may contain a password."""
    return proxy.rpartition("@")[2].rpartition("://")[2].partition("/")[0]


def _registry(image: str) -> str:
    return image.partition("/")[0]


def _silent(registries: Iterable[str], files: HostFiles, ask: Ask) -> set[str]:
    """Return the registries of which neither a mirror nor the registry itself answers."""
    servers = [(name, server) for name in sorted(registries) for server in _servers(name, files)]
    answers = ask([f"{server}/v2/" for _name, server in servers])
    heard = {name for (name, _server), answer in zip(servers, answers) if answer and not isinstance(answer, Refusal) and answer.status}
    return set(registries) - heard


def _servers(registry: str, files: HostFiles) -> list[str]:
    found = [_SERVERS.get(registry, f"https://{registry}")]
    for name in (registry, "_default"):
        found += _MIRROR.findall(files.read(f"{CERTIFICATES}/{name}/hosts.toml") or "")
    parts = [urlsplit(url) for url in found]
    return list(dict.fromkeys(f"{one.scheme}://{one.netloc}" for one in parts if one.netloc))
