# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads LogQL with the grammar of Grafana's editor, which is under the Apache License; package.json and package-lock.json pin it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.cache import cache, digest, locked
from tests.lab.say import quietly, step

HERE = Path(__file__).parent
FILES = ("package.json", "package-lock.json", "read.mjs")
PATIENCE = 300.0  # seconds


@dataclass(frozen=True)
class Read:
    """What the grammar makes of an expression. error: the first place where it does not follow, None if there is none."""

    expression: str
    error: int | None
    selectors: list[str]


def read(expressions: Sequence[str]) -> list[Read]:
    """Installs the grammar into the cache if it is not there."""
    answer = quietly(["node", str(_ensure() / "read.mjs")], stdin=json.dumps(list(expressions)), timeout=PATIENCE)
    return [Read(expression, **facts) for expression, facts in zip(expressions, json.loads(answer), strict=True)]


def missing_programs() -> list[str]:
    """Those that this machine lacks to install and run the grammar."""
    return [name for name in ("node", "npm") if shutil.which(name) is None]


def _ensure() -> Path:
    directory = cache() / "cluster" / f"logql-{digest(*((HERE / name).read_bytes() for name in FILES))}"
    with locked("logql"):
        if not directory.exists():
            part = directory.with_name(f".{directory.name}.part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            for name in FILES:
                shutil.copy(HERE / name, part)
            with step("the grammar of LogQL: installing"):
                quietly(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(part)], timeout=PATIENCE)
            part.rename(directory)
    return directory
