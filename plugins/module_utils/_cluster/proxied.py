# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What answers behind the API server: logs of containers, the API server's own health, and kubelets."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional, Protocol, Union
from urllib.parse import quote, urlencode

from .._refusal import Refusal, Unavailable
from .._timing import ask_all
from .api import ClusterReader, KubernetesApi, Object, Question, decoded

# the client for Kubernetes brings it; the module reports it if that is missing
with contextlib.suppress(ImportError):
    import yaml  # type: ignore[import-untyped]

LOGS_AT_ONCE = 6


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
        question = Question(path, "get", path)
        status, data = self._send("GET", path, question, retries=False, headers={"Accept": "text/plain"})
        if status not in {200, 500, 503}:
            self._refuse(status, decoded(data), question)
        return data.decode(errors="replace")

    def logs(self, wanted: Sequence[Log], seconds: float) -> list[Optional[Union[str, Refusal]]]:
        return ask_all(wanted, self._log, seconds, LOGS_AT_ONCE)

    def as_text(self, document: Object) -> str:
        return str(yaml.dump(document, Dumper=_dumper(), default_flow_style=False, sort_keys=False, allow_unicode=True, width=10**6))

    def _log(self, one: Log) -> str:
        query = {"container": one.container, "tailLines": str(one.lines), "limitBytes": str(one.room), "timestamps": "true"}
        query["previous"] = str(one.previous).lower()
        path = f"/api/v1/namespaces/{quote(one.namespace)}/pods/{quote(one.pod)}/log?{urlencode(query)}"
        question = Question(f"log of Pod {one.namespace}/{one.pod}", "get", "pods/log", one.namespace)
        status, data = self._send("GET", path, question, retries=False)
        if status != 200:
            self._refuse(status, decoded(data), question)
        return data.decode(errors="replace")


def _dumper() -> type:
    # the C library's is ten times faster, where there is one
    parent = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    dumper = type("Dumper", (parent,), {"ignore_aliases": lambda _self, _data: True})
    yaml.add_representer(str, _string, Dumper=dumper)
    return dumper


def _string(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


# Kubelets

KUBELETS_AT_ONCE = 10

Answer = Union[dict[str, Any], Refusal]


class KubeletVisitor:
    """read: asks the API server at a path."""

    def __init__(self, read: Callable[[str], dict[str, Any]]) -> None:
        self._read = read

    def ask(self, nodes: Sequence[str], seconds: float) -> Mapping[str, Answer]:
        """What ``/configz`` of each answers. seconds: for all together; a node without an answer by then is Unavailable."""
        # the API server waits longer for a node that is gone than anyone here would
        answers = ask_all(nodes, lambda node: self._read(f"/api/v1/nodes/{node}/proxy/configz"), seconds, KUBELETS_AT_ONCE)
        return {node: _no_answer(node, seconds) if answer is None else answer for node, answer in zip(nodes, answers)}


def _no_answer(node: str, seconds: float) -> Refusal:
    return Unavailable(f"node {node}, its kubelet", f"no answer within {seconds:g} s", "an answer", f"Check the kubelet of {node}.")
