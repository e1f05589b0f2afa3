# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the direction of imports: modules, filters and actions -> packages -> shared packages -> root files; never back, and no ring.

A package's core decides and does no I/O. Its edge (``io.py``, ``host.py``) does the I/O, and is handed to the core by the modules.
"""

from __future__ import annotations

import ast
import importlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PLUGINS = CHECKOUT / "plugins"
MODULE_UTILS = PLUGINS / "module_utils"
COLLECTION = "ansible_collections.vmstation.cluster.plugins."

# the outside world; only an edge may touch it
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
# What all packages share. They import only each other's root files.
SHARED = ("_host", "_cluster")
# Each package's own edge, by its file's name, and the shared files that do I/O.
EDGE_NAMES = {"io.py", "host.py"}
SHARED_CORE = {"_host/mark.py", "_cluster/node_labels.py", "_cluster/nodes.py", "_cluster/objects.py"}
SHARED_EDGES = {"_timing.py"}
# in lines of code; root files and edges are as short as they come
SHORTEST, LONGEST = 30, 500


def _below(directory: Path) -> list[Path]:
    return sorted(directory.rglob("*.py"))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


@cache
def _imports(path: Path) -> frozenset[str]:
    """Each imported name in full, relative ones resolved."""
    return frozenset(_imported(path))


def _imported(path: Path) -> Iterator[str]:
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


def _place(path: Path) -> str:
    return str(path.relative_to(MODULE_UTILS))


def _is_edge(path: Path) -> bool:
    place = _place(path)
    is_shared = path.parent.name in SHARED and path.name != "__init__.py" and place not in SHARED_CORE
    return is_shared or place in SHARED_EDGES or path.name in EDGE_NAMES


FILES = _below(MODULE_UTILS)
EDGES = [path for path in FILES if _is_edge(path)]
CORE = [path for path in FILES if not _is_edge(path)]


@cache
def _protocols() -> set[str]:
    """The Protocol classes and frozen results of edges: what the core is given, it may name."""
    named = set()
    for path in EDGES:
        for node in _tree(path).body:
            if isinstance(node, ast.ClassDef):
                bases = {ast.unparse(base) for base in node.bases}
                decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
                if "Protocol" in bases or "dataclass(frozen=True)" in decorators:
                    named.add(f"{_module(path)}.{node.name}")
    return named


def _module(path: Path) -> str:
    return "module_utils." + _place(path).removesuffix(".py").replace("/", ".")


@cache
def _file_of(name: str) -> str | None:
    """The file that an imported name, or module, is in."""
    parts = name.removeprefix("module_utils.").split(".")
    for known in (parts, parts[:-1]):
        if known and (MODULE_UTILS / ("/".join(known) + ".py")).is_file():
            return "/".join(known) + ".py"
    return None


def _identify(path: Path) -> str:
    return str(path.relative_to(PLUGINS))


@pytest.mark.parametrize("path", CORE, ids=_identify)
def test_the_core_is_pure(path: Path) -> None:
    standard = {name for name in _imports(path) if name.split(".")[0] in IMPURE and not name.startswith("urllib.parse.")}
    assert not standard, f"{path}: what touches the world belongs in an edge"
    calls = {
        ast.unparse(node.func)
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS
    }
    reached = {ast.unparse(node) for node in ast.walk(_tree(path)) if isinstance(node, ast.Attribute)} & IMPURE_NAMES
    assert not calls | reached, f"{path}: what touches the world belongs in an edge"


@pytest.mark.parametrize("path", CORE, ids=_identify)
def test_the_core_is_given_its_io(path: Path) -> None:
    edges = {_place(edge) for edge in EDGES}
    taken = {name for name in _of_ours(path) if _file_of(name) in edges}
    assert taken <= _protocols(), f"{path}: takes an implementation of an edge instead of being given one"


@pytest.mark.parametrize("path", FILES, ids=_identify)
def test_nothing_below_knows_ansible_or_the_plugins(path: Path) -> None:
    assert not {name for name in _imports(path) if name.split(".")[0] == "ansible"}
    assert not {name for name in _of_ours(path) if not name.startswith("module_utils.")}


@pytest.mark.parametrize("path", FILES, ids=_identify)
def test_nothing_below_ends_a_module(path: Path) -> None:
    names = {node.attr for node in ast.walk(_tree(path)) if isinstance(node, ast.Attribute)}
    assert not names & {"fail_json", "exit_json", "AnsibleModule"}


def _graph(of: Mapping[str, set[str]]) -> None:
    """Raises graphlib.CycleError, which names the ring."""
    TopologicalSorter(of).prepare()


@cache
def _edges_between_files() -> dict[str, set[str]]:
    return {_place(path): {file for name in _of_ours(path) if (file := _file_of(name))} - {_place(path)} for path in FILES}


def test_files_form_no_ring() -> None:
    _graph(_edges_between_files())


def test_packages_form_no_ring() -> None:
    packages: dict[str, set[str]] = defaultdict(set)
    for file, others in _edges_between_files().items():
        packages[file.split("/")[0]] |= {other.split("/")[0] for other in others}
    _graph({package: others - {package} for package, others in packages.items()})


@pytest.mark.parametrize("package", SHARED)
def test_a_shared_package_imports_only_root_files(package: str) -> None:
    files = {file: others for file, others in _edges_between_files().items() if file.startswith(f"{package}/")}
    assert files
    assert not {other for others in files.values() for other in others if "/" in other and not other.startswith(f"{package}/")}


@pytest.mark.parametrize("path", _below(PLUGINS), ids=_identify)
def test_nobody_reads_another_files_private_name(path: Path) -> None:
    ours = {name for name in _of_ours(path) if name.startswith("module_utils.")}
    assert not {name for name in ours if name.rsplit(".", 1)[1].startswith("_") and not (MODULE_UTILS / name.rsplit(".", 1)[1]).exists()}
    modules = {name.rsplit(".", 1)[1] for name in ours if _file_of(name) == name.removeprefix("module_utils.").replace(".", "/") + ".py"}
    read = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules
    }
    assert not {name for name in read if name.split(".")[1].startswith("_") and not name.endswith("__")}


def test_json_is_read_in_one_place() -> None:
    """Python has another error for what is nested too deeply, which nobody expects."""
    readers = [path for path in _below(PLUGINS) if "json.loads(" in path.read_text() or "json.load(" in path.read_text()]
    assert [path.name for path in readers] == ["_json.py"]


def _reached(files: set[str]) -> set[str]:
    """These files of module_utils, and all that they import."""
    known = _edges_between_files()
    todo, reached = {*files}, set[str]()
    while todo:
        reached |= todo
        todo = {other for file in todo for other in known[file]} - reached
    return reached


def test_netaddr_is_for_what_runs_on_the_controller() -> None:
    """A managed host has only Python's standard library. What imports netaddr does so in a function, where it is needed."""
    users = {_place(path) for path in FILES if any(name.split(".")[0] == "netaddr" for name in _imports(path))}
    assert users == {"_mac_vendors.py", "_network_plan/proposals.py"}
    at_once = [node for place in users for node in _tree(MODULE_UTILS / place).body if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert not [node for node in at_once if "netaddr" in ast.unparse(node)]
    plugins = [path for path in _below(PLUGINS) if "module_utils" not in path.parts]
    reaching = {path.stem for path in plugins if users & _reached({file for name in _of_ours(path) if (file := _file_of(name))})}
    assert reaching == {"check_report", "check_results", "network_plan_check", "wake_on_lan"}


@pytest.mark.parametrize("path", FILES, ids=_identify)
def test_a_file_has_a_size_that_reads_well(path: Path) -> None:
    code = [line for line in path.read_text().splitlines() if line.strip() and not line.strip().startswith("#")]
    assert len(code) <= LONGEST
    assert len(code) >= SHORTEST or path.parent == MODULE_UTILS or path in EDGES or path.name == "__init__.py"


@pytest.mark.parametrize("path", _below(PLUGINS / "modules"), ids=_identify)
def test_a_module_is_documentation_and_a_short_main(path: Path) -> None:
    functions = [node for node in _tree(path).body if isinstance(node, ast.FunctionDef)]
    assert [function.name for function in functions] == ["main"]
    assert functions[0].end_lineno is not None
    assert functions[0].end_lineno - functions[0].lineno <= 30
    assert not {name for name in _imports(path) if name.split(".")[0] in IMPURE}


@pytest.mark.parametrize("path", [path for path in _below(PLUGINS) if "module_utils" not in path.parts], ids=_identify)
def test_all_that_a_plugin_imports_is_there(path: Path) -> None:
    importlib.import_module(f"{COLLECTION}{path.parent.name}.{path.stem}")


def test_there_is_something_to_keep() -> None:
    assert CORE
    assert EDGES
    assert _below(PLUGINS / "modules")
