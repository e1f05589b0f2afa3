# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Kubernetes API answers as text: logs of containers, and its own health. And its objects, as people read them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional, Protocol, Union
from urllib.parse import quote, urlencode

from .._cluster import api
from .._cluster.api import ClusterReader, KubernetesApi, Object
from .._refusal import Refusal
from .._timing import ask_all

# the client for Kubernetes brings it; the module reports it if that is missing
with contextlib.suppress(ImportError):
    import yaml  # type: ignore[import-untyped]

AT_ONCE = 6


@dataclass(frozen=True)
class Log:
    """The end of a container's log. previous: that of its run before the last restart."""

    namespace: str
    pod: str
    container: str
    previous: bool
    lines: int
    room: int


class TextReader(ClusterReader, Protocol):
    """What the core is given to read a cluster with its logs; tests pass a scripted fake."""

    def health(self, path: str) -> str:
        """The API server's own report at ``/livez?verbose`` or ``/readyz?verbose``, also if it is not healthy."""

    def logs(self, wanted: Sequence[Log], seconds: float) -> list[Optional[Union[str, Refusal]]]:
        """All at once, in their order; None for one that has not come after so many seconds."""

    def as_text(self, document: Object) -> str:
        """An object as YAML, the lines of its texts as lines."""


class TextApi(KubernetesApi):
    """A KubernetesApi that also reads texts."""

    def health(self, path: str) -> str:
        question = api.Question(path, "get", path)
        status, data = self._send("GET", path, question, retries=False, headers={"Accept": "text/plain"})
        if status not in {200, 500, 503}:
            self._refuse(status, api.decoded(data), question)
        return data.decode(errors="replace")

    def logs(self, wanted: Sequence[Log], seconds: float) -> list[Optional[Union[str, Refusal]]]:
        return ask_all(wanted, self._log, seconds, AT_ONCE)

    def as_text(self, document: Object) -> str:
        return str(yaml.dump(document, Dumper=_dumper(), default_flow_style=False, sort_keys=False, allow_unicode=True, width=10**6))

    def _log(self, one: Log) -> str:
        query = {"container": one.container, "tailLines": str(one.lines), "limitBytes": str(one.room), "timestamps": "true"}
        query["previous"] = str(one.previous).lower()
        path = f"/api/v1/namespaces/{quote(one.namespace)}/pods/{quote(one.pod)}/log?{urlencode(query)}"
        question = api.Question(f"log of Pod {one.namespace}/{one.pod}", "get", "pods/log", one.namespace)
        status, data = self._send("GET", path, question, retries=False)
        if status != 200:
            self._refuse(status, api.decoded(data), question)
        return data.decode(errors="replace")


def _dumper() -> type:
    # the C library's is ten times faster, where there is one
    parent = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    dumper = type("Dumper", (parent,), {"ignore_aliases": lambda _self, _data: True})
    yaml.add_representer(str, _string, Dumper=dumper)
    return dumper


def _string(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)
