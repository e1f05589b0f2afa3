# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mirrors of image registries, as containerd reads them: a directory for each registry, with hosts.toml in it.

The format is that of https://github.com/containerd/containerd/blob/main/docs/hosts.md. containerd reads it at each pull. The files contain
credentials, and are for root alone. A file of ours lists the registries that are ours; all others are the user's.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional
from urllib.parse import urlsplit

from .._json import read_json
from .._refusal import Refusal

ReadText = Callable[[str], Optional[str]]

OURS = "vmstation.json"
HOSTS, CA = "hosts.toml", "vmstation-ca-{}.crt"
ANY = "_default"
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?", re.ASCII)
_SECRET = re.compile(r'(authorization = )".*"')


@dataclass(frozen=True)
class Mirror:
    """ca: certificates in PEM form; empty: those of the system."""

    url: str
    ca: str = ""
    skip_verify: bool = False
    override_path: bool = False
    username: str = ""
    password: str = ""


@dataclass(frozen=True)
class Registry:
    """name: as in names of images. server: the registry itself, asked last; empty: https://NAME."""

    name: str
    mirrors: tuple[Mirror, ...]
    server: str = ""


@dataclass(frozen=True)
class Change:
    """files: new contents by path; None removes. directories: to create. empty: to remove if nothing is left in them."""

    files: Mapping[str, Optional[str]]
    directories: Sequence[str]
    empty: Sequence[str]
    before: str
    after: str


def read_registries(options: Sequence[Mapping[str, Any]]) -> list[Registry]:
    """Validate the options. Raises Refusal; its text contains no password."""
    registries = [_registry(f"registries[{index}]", given) for index, given in enumerate(options)]
    names = [registry.name for registry in registries]
    for name in names:
        if names.count(name) > 1:
            raise Refusal(
                "registries", f"{name} twice", "one entry for each registry", "Merge the two entries: mirrors are tried in order."
            )
    return registries


def _registry(subject: str, given: Mapping[str, Any]) -> Registry:
    name = given["name"]
    if name != ANY and not _NAME.fullmatch(name):
        raise Refusal(f"{subject}.name", repr(name), f"a registry as in names of images, or {ANY}", "Write docker.io, for example.")
    if not given["mirrors"]:
        raise Refusal(f"{subject}.mirrors", "none", "at least one mirror", "Add one, or remove the entry.")
    mirrors = [_mirror(f"{subject}.mirrors[{at}]", one) for at, one in enumerate(given["mirrors"])]
    return Registry(name, tuple(mirrors), _url(f"{subject}.server", given["server"]) if given["server"] else "")


def _mirror(subject: str, given: Mapping[str, Any]) -> Mirror:
    if bool(given["username"]) != bool(given["password"]):
        raise Refusal(subject, "a user name or a password alone", "both or neither", "Set username and password.")
    if given["ca"] and "-----BEGIN CERTIFICATE-----" not in given["ca"]:
        raise Refusal(f"{subject}.ca", "text without a certificate", "certificates in PEM form", "Pass the content of the file.")
    return Mirror(
        _url(f"{subject}.url", given["url"]),
        given["ca"],
        given["skip_verify"],
        given["override_path"],
        given["username"],
        given["password"],
    )


def _url(subject: str, text: str) -> str:
    parts = urlsplit(text)
    if parts.username or parts.password:
        raise Refusal(subject, "a URL with a user name or password", "a URL without them", "Set username and password of the mirror.")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise Refusal(subject, repr(text), "a URL with http or https", "Write https://mirror.example.org:5000, for example.")
    return text.rstrip("/")


def plan(wanted: Sequence[Registry], directory: str, read_text: ReadText) -> Change:
    """Return what makes ``directory`` hold the wanted registries. Raises Refusal for a registry that the user has configured."""
    ours = _ours(read_text(f"{directory}/{OURS}"))
    contents: dict[str, Optional[str]] = {}
    for registry in wanted:
        place = f"{directory}/{registry.name}"
        if registry.name not in ours and read_text(f"{place}/{HOSTS}") is not None:
            raise Refusal(
                f"{place}/{HOSTS}",
                "a file that this module did not write",
                "no such file, to configure the registry",
                f"Remove it, or remove {registry.name} from node_registries.",
            )
        contents[f"{place}/{HOSTS}"] = _hosts(registry, place)
        for at, mirror in enumerate(registry.mirrors):
            contents[f"{place}/{CA.format(at)}"] = mirror.ca or None
    names = [registry.name for registry in wanted]
    gone = sorted(set(ours) - set(names))
    for name in gone:
        contents[f"{directory}/{name}/{HOSTS}"] = None
        contents.update({f"{directory}/{name}/{CA.format(at)}": None for at in range(ours[name])})
    index = {registry.name: len(registry.mirrors) for registry in wanted}
    for name in set(names) & set(ours):
        contents.update({f"{directory}/{name}/{CA.format(at)}": None for at in range(index[name], ours[name])})
    # the list comes last if it grows shorter, and first otherwise: a run that is killed leaves nothing that is in no list
    listed = {f"{directory}/{OURS}": json.dumps(index, sort_keys=True) + "\n" if index else None}
    ordered = {**contents, **listed} if gone else {**listed, **contents}
    files = {path: text for path, text in ordered.items() if read_text(path) != text}
    before = {path: read_text(path) for path in files}
    return Change(files, [f"{directory}/{name}" for name in names], [f"{directory}/{name}" for name in gone], _shown(before), _shown(files))


def _ours(text: Optional[str]) -> dict[str, int]:
    """Return the names of our registries, with the number of their mirrors."""
    try:
        return {str(name): int(mirrors) for name, mirrors in read_json(text or "{}").items()}
    except (ValueError, AttributeError, TypeError):
        return {}


def _hosts(registry: Registry, place: str) -> str:
    lines = [f"server = {_quoted(registry.server)}"] if registry.server else []
    for at, mirror in enumerate(registry.mirrors):
        lines += ["", f"[host.{_quoted(mirror.url)}]", '  capabilities = ["pull", "resolve"]']
        lines += [f"  ca = {_quoted(f'{place}/{CA.format(at)}')}"] if mirror.ca else []
        lines += ["  skip_verify = true"] if mirror.skip_verify else []
        lines += ["  override_path = true"] if mirror.override_path else []
        if mirror.username:
            secret = base64.b64encode(f"{mirror.username}:{mirror.password}".encode()).decode()
            lines += [f"  [host.{_quoted(mirror.url)}.header]", f'    authorization = "Basic {secret}"']
    return "\n".join(["# Ansible managed", *lines]) + "\n"


def _quoted(text: str) -> str:
    """Return a basic string of TOML, whose escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False)


def _shown(contents: Mapping[str, Optional[str]]) -> str:
    """Return the files for a diff, without secrets."""
    texts = (f"{path}\n{_SECRET.sub(chr(92) + '1***', text)}" for path, text in contents.items() if text is not None)
    return "\n".join(texts)
