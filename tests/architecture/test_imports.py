# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the direction of imports: modules, filters and actions -> the pure packages and ``_io``; never back."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PLUGINS = CHECKOUT / "plugins"
MODULE_UTILS = PLUGINS / "module_utils"
COLLECTION = "ansible_collections.vmstation.cluster.plugins."

# the outside world; only _io may touch it
IMPURE = {
    "asyncio",
    "fcntl",
    "glob",
    "http",
    "select",
    "selectors",
    "shutil",
    "signal",
    "socket",
    "subprocess",
    "tempfile",
    "time",
    "urllib",
}
# functions of otherwise harmless modules that look at the outside world
IMPURE_NAMES = {"os.environ", "os.getenv", "os.open", "os.listdir", "os.stat", "os.kill", "os.path.exists", "Path.cwd", "datetime.now"}
IMPURE_CALLS = {"open", "print", "input"}
# What the edge knows of the core: how it refuses, and, of a file that serves one package, that package's questions and answers.
SHARED = {"_refusal", "_findings"}
SERVES = {"network": "_wake", "host_state": "_preflight", "node_ports": "_services"}


def _below(directory: Path) -> list[Path]:
    return sorted(directory.rglob("*.py"))


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def _imports(path: Path) -> Iterator[str]:
    """Each imported name in full, relative ones resolved."""
    package = COLLECTION + ".".join(path.relative_to(PLUGINS).parts[:-1])
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = package.rsplit(".", node.level - 1)[0] + "." if node.level else ""
            yield from (f"{parent}{node.module or ''}".rstrip(".") + f".{alias.name}" for alias in node.names)


def _of_ours(path: Path) -> set[str]:
    """What of this collection a file imports, without the common prefix."""
    return {name.removeprefix(COLLECTION) for name in _imports(path) if name.startswith(COLLECTION)}


def _is_io(path: Path) -> bool:
    return MODULE_UTILS / "_io" in path.parents


def _protocols() -> set[str]:
    """The Protocol classes and frozen results of _io: what the core is given, it may name."""
    named = set()
    for path in _below(MODULE_UTILS / "_io"):
        for node in _tree(path).body:
            if isinstance(node, ast.ClassDef):
                bases = {ast.unparse(base) for base in node.bases}
                decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
                if "Protocol" in bases or "dataclass(frozen=True)" in decorators:
                    named.add(f"module_utils._io.{path.stem}.{node.name}")
    return named


# Outside _io, but not of the core either: puts the I/O of a host together for a package's modules.
ROOTS = {"_firewall/host.py", "_idle/host.py", "_kubeadm/host.py"}

PURE = [path for path in _below(MODULE_UTILS) if not _is_io(path) and str(path.relative_to(MODULE_UTILS)) not in ROOTS]
IO = [path for path in _below(MODULE_UTILS) if _is_io(path)]


def _identify(path: Path) -> str:
    return str(path.relative_to(PLUGINS))


@pytest.mark.parametrize("path", PURE, ids=_identify)
def test_the_core_is_pure(path: Path) -> None:
    standard = {name for name in _imports(path) if name.split(".")[0] in IMPURE}
    assert not standard, f"{path}: what touches the world belongs in _io"
    calls = {
        ast.unparse(node.func)
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS
    }
    reached = {ast.unparse(node) for node in ast.walk(_tree(path)) if isinstance(node, ast.Attribute)} & IMPURE_NAMES
    assert not calls | reached, f"{path}: what touches the world belongs in _io"


@pytest.mark.parametrize("path", PURE, ids=_identify)
def test_the_core_is_given_its_io(path: Path) -> None:
    taken = {name for name in _of_ours(path) if name.startswith("module_utils._io")}
    assert taken <= _protocols(), f"{path}: takes an implementation of _io instead of being given one"


@pytest.mark.parametrize("path", PURE + IO, ids=_identify)
def test_nothing_below_knows_ansible_or_the_plugins(path: Path) -> None:
    assert not {name for name in _imports(path) if name.split(".")[0] == "ansible"}
    assert not {name for name in _of_ours(path) if not name.startswith("module_utils.")}


@pytest.mark.parametrize("path", PURE + IO, ids=_identify)
def test_nothing_below_ends_a_module(path: Path) -> None:
    names = {node.attr for node in ast.walk(_tree(path)) if isinstance(node, ast.Attribute)}
    assert not names & {"fail_json", "exit_json", "AnsibleModule"}


@pytest.mark.parametrize("path", IO, ids=_identify)
def test_the_edge_knows_of_the_core_only_whom_it_serves(path: Path) -> None:
    packages = {name.split(".")[1] for name in _of_ours(path)}
    assert packages - {"_io"} <= SHARED | {SERVES.get(path.stem, "_refusal")}


@pytest.mark.parametrize("path", _below(MODULE_UTILS), ids=_identify)
def test_a_file_is_small(path: Path) -> None:
    code = [line for line in path.read_text().splitlines() if line.strip() and not line.strip().startswith("#")]
    assert len(code) < 300


@pytest.mark.parametrize("path", _below(PLUGINS / "modules"), ids=_identify)
def test_a_module_is_documentation_and_a_short_main(path: Path) -> None:
    functions = [node for node in _tree(path).body if isinstance(node, ast.FunctionDef)]
    assert [function.name for function in functions] == ["main"]
    assert functions[0].end_lineno is not None
    assert functions[0].end_lineno - functions[0].lineno <= 30
    assert not {name for name in _imports(path) if name.split(".")[0] in IMPURE}


def test_there_is_something_to_keep() -> None:
    assert PURE
    assert IO
    assert _below(PLUGINS / "modules")
