# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiles the programs, each once, into a cache that is named after all that they are made from."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache as remembered
from pathlib import Path

from tests.cluster.programs import HERE, Program, go, known, linker_flags, program_of, version
from tests.lab.cache import cache, digest, locked
from tests.lab.say import LabError, quietly, say, step

# what a debugger would read takes a tenth of the compiler's time; the linker leaves it out anyway
FLAGS = ["-trimpath", "-buildvcs=false", "-mod=readonly", "-gcflags=all=-dwarf=false"]
PATIENCE = 7200.0  # seconds for one program: a quarter of an hour for all on two idle cores, much more on busy ones


@remembered
def _toolchain() -> str:
    return go("env", "GOVERSION", "GOOS", "GOARCH")


def directory_of(program: Program) -> Path:
    """Where the programs of this go.mod, go.sum, Go and linker flags are, made or not."""
    # a program of this repository is named after its own source, too
    sources = sorted(path.name for path in (HERE / program.directory).glob("*.go"))
    pins = [(HERE / program.directory / name).read_bytes() for name in ("go.mod", "go.sum", *sources)]
    key = digest(*pins, _toolchain(), *FLAGS, linker_flags(program), *program.tags)
    return cache() / "cluster" / f"{program.directory}-{key}" / "bin"


def binary(name: str, *, newer: bool = False) -> Path:
    """The compiled program; raises if it is not built."""
    path = directory_of(program_of(name, newer=newer)) / name
    if not path.exists():
        raise LabError(f"{name} is not built: run `python3 -m tests.cluster build`")
    return path


def missing(names: Sequence[str]) -> list[str]:
    """Those that are not built yet."""
    return [program.name for program in known(names) if not (directory_of(program) / program.name).exists()]


def build(names: Sequence[str] = (), *, newer: bool = False) -> list[Path]:
    """Build what is not built yet (default: everything); returns the paths of all that was asked for. newer: of the next minor version."""
    return [_ensure(program_of(program.name, newer=newer)) for program in known(names)]


def _ensure(program: Program) -> Path:
    path = directory_of(program) / program.name
    if path.exists():
        return path
    with locked(f"cluster-{program.directory}"):
        if not path.exists():
            with step(f"{program.name} {version(program)}: compiling"):
                _compile(program, path)
            say(f"{program.name}: {path.stat().st_size / 1e6:.0f} MB in {path.parent}")
    return path


def _compile(program: Program, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # what Go has compiled is in its own cache at once, so that an interrupted build goes on where it was
    part = path.with_name(f".{path.name}.part")
    environment = {**os.environ, "CGO_ENABLED": "1" if program.c else "0", "GOWORK": "off"}
    flags = [*FLAGS, "-tags", ",".join(program.tags), "-ldflags", linker_flags(program)]
    argv = ["nice", "go", "build", *flags, "-o", str(part), program.package]
    with _place(program) as place:
        quietly(argv, env=environment, cwd=place, timeout=PATIENCE)
    part.rename(path)


@contextmanager
def _place(program: Program) -> Iterator[Path]:
    """Where it is compiled: beside the go.mod that pins it, or in a copy of its module with the files that the module lacks."""
    if not program.lacking:
        yield HERE / program.directory
        return
    # verified by go.sum
    module = json.loads(go("mod", "download", "-json", program.module, directory=program.directory))["Dir"]
    with tempfile.TemporaryDirectory() as directory:
        # the originals are read-only
        copy = Path(shutil.copytree(module, f"{directory}/module", copy_function=shutil.copyfile))
        for name in program.lacking:
            for parent in reversed((copy / name).relative_to(copy).parents):
                (copy / parent).mkdir(exist_ok=True)
                (copy / parent).chmod(0o755)
            (copy / name).touch()
        yield copy
