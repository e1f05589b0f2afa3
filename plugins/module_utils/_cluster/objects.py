# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of objects, and what applying objects with kubernetes.core.k8s changed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import unified_diff
from typing import Any

from .._refusal import Refusal
from .api import Preview, Previewer

# PyYAML is a dependency of the Kubernetes client; modules report it if the client is missing
with contextlib.suppress(ImportError):
    import yaml  # type: ignore[import-untyped]

# What applying objects has changed in a cluster, in lines, from what kubernetes.core.k8s returns.

# what the API server and the controllers write; a roll-out goes on while it is looked at
_NOISE = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp")
_NOISY_ANNOTATIONS = ("deprecated.daemonset.template.generation", "deployment.kubernetes.io/revision")
_LENGTH = 120
_LINES = 8  # of one object; a new release changes whole roles


def changes(applied: object) -> list[str]:
    """A line for each kind of new objects, and for each field of the others that is not as it was.

    applied: the result of a task with ``diff: true``. One that failed or was skipped has changed nothing.
    """
    if isinstance(applied, Mapping) and (applied.get("failed") or applied.get("skipped")):
        return []
    if not isinstance(applied, Mapping) or "result" not in applied:
        raise Refusal(
            "object_changes", type(applied).__name__, "the result of kubernetes.core.k8s", "Pass the registered result of the task."
        )
    inner = applied["result"]
    every = inner["results"] if isinstance(inner, Mapping) and "results" in inner else [applied]
    changed = [one for one in every if one.get("changed")]
    made: dict[str, list[str]] = {}
    for one in changed:
        if _is_new(one):
            made.setdefault(str(one["result"].get("kind", "object")), []).append(_name(one["result"]))
    lines = [line for one in changed if not _is_new(one) for line in _of_object(one)]
    return [*(f"{kind}, made: {', '.join(names)}" for kind, names in made.items()), *lines]


def _is_new(one: Mapping[str, Any]) -> bool:
    diff = one.get("diff") or {}
    return bool(diff) and not diff.get("before")


def _of_object(one: Mapping[str, Any]) -> Iterator[str]:
    label = _label(one["result"])
    diff = one.get("diff") or {}
    if not diff:
        yield f"{label}: changed"
    else:
        differences = sorted(_differences(without_noise(diff["before"]), without_noise(diff.get("after") or {}), ""), key=_depth)
        lines = [line for difference in differences for line in _of_field(*difference)]
        yield from (f"{label}: {line}" for line in lines[:_LINES])
        if len(lines) > _LINES:
            yield f"{label}: {len(lines) - _LINES} more"


def _of_field(path: str, before: object, after: object) -> Iterator[str]:
    """One line, or, of a text of several lines such as a configuration file, each line that was removed or added."""
    differing: list[str] = []
    if isinstance(before, str) and isinstance(after, str) and "\n" in before + after:
        differing = list(unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0))[2:]
    yield from (f"{path}: {line[0]} {line[1:]}" for line in differing if not line.startswith("@@"))
    if not differing:
        yield f"{path}: {_shown(before)} -> {_shown(after)}"


def _name(resource: Mapping[str, Any]) -> str:
    metadata = resource.get("metadata") or {}
    return "/".join(part for part in (metadata.get("namespace"), metadata.get("name")) if part)


def _label(resource: Mapping[str, Any]) -> str:
    return f"{resource.get('kind', 'object')} {_name(resource)}"


def without_noise(document: Mapping[str, Any]) -> dict[str, Any]:
    """The object without what the API server and the controllers write."""
    metadata = {key: value for key, value in (document.get("metadata") or {}).items() if key not in _NOISE}
    if "annotations" in metadata:
        metadata["annotations"] = {key: value for key, value in metadata["annotations"].items() if key not in _NOISY_ANNOTATIONS}
    kept = {key: value for key, value in document.items() if key not in {"metadata", "status"}}
    return {**kept, **({"metadata": metadata} if metadata else {})}


def _depth(difference: tuple[str, object, object]) -> tuple[int, str]:
    """An image before the thirty variables of its container; kubernetes.core gives fields in another order in each run."""
    path, _before, _after = difference
    return path.count("."), path


class _Absent:
    """What is on one side only."""


_ABSENT = _Absent()


def _differences(before: object, after: object, path: str) -> Iterator[tuple[str, object, object]]:
    """The scalars that differ; what has a name in a list is found by it."""
    if isinstance(before, list) and isinstance(after, list):
        before, after = _by_name(before), _by_name(after)
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in [*before, *(key for key in after if key not in before)]:
            yield from _differences(before.get(key, _ABSENT), after.get(key, _ABSENT), f"{path}.{key}" if path else str(key))
    elif before != after:
        yield path, before, after


def _by_name(entries: list[Any]) -> dict[str, Any]:
    return {str(entry.get("name", at)) if isinstance(entry, Mapping) else str(at): entry for at, entry in enumerate(entries)}


def _shown(value: object) -> str:
    if isinstance(value, _Absent):
        return "nothing"
    text = json.dumps(value, default=str)
    return text if len(text) <= _LENGTH else f"{text[:_LENGTH]}..."


# Which objects applying would change. The comparison is the API server's own: what it would leave, beside what is there.

Object = dict[str, Any]


def objects_of(manifests: Sequence[str]) -> list[Any]:
    """The documents of texts in YAML; a text that is none raises."""
    return [
        document
        for position, text in enumerate(manifests)
        for document in documents_of(text, f"manifests[{position}]", "a text in YAML", "Correct it.")
    ]


def pending(documents: Sequence[Object], cluster: Previewer, manager: str) -> list[Object]:
    """Those that do not exist, that applying as ``manager`` would change, or that the API server rejects; in their order."""
    for position, document in enumerate(documents):
        given = document if isinstance(document, Mapping) else {}
        if not all((given.get("apiVersion"), given.get("kind"), (given.get("metadata") or {}).get("name"))):
            required = "an object with apiVersion, kind and metadata.name"
            raise Refusal(f"objects[{position}]", "no Kubernetes object", required, "Correct it, or remove it.")
    previews = cluster.preview(documents, manager)
    return [document for document, preview in zip(documents, previews) if differs(preview, manager)]


def differs(preview: Preview, manager: str) -> bool:
    if preview.live is None or preview.applied is None:
        return True
    return _settled(preview.live, manager) != _settled(preview.applied, manager)


def _settled(found: Mapping[str, Any], manager: str) -> tuple[dict[str, Any], list[object]]:
    """The object without what the API server and controllers write, and which of its fields are the manager's."""
    entries = found["metadata"].get("managedFields") or ()
    owned = [one.get("fieldsV1") for one in entries if (one.get("manager"), one.get("operation")) == (manager, "Apply")]
    return without_noise(found), owned


def documents_of(text: str, subject: str, expected: str, fix: str) -> list[object]:
    """Parse the documents that are not empty. The other parameters are those of the error. Raises Refusal."""
    try:
        # the C parser is ten times as fast
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        # it takes str only, and a lookup of Ansible returns a subclass
        return [document for document in yaml.load_all(str(text), Loader=loader) if document is not None]
    except yaml.YAMLError as error:
        raise Refusal(subject, " ".join(str(error).split()), expected, fix) from None
