# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the report's files, each replaced atomically."""

from __future__ import annotations

import os
from collections.abc import Mapping

from .._host.files import read_text, replace_all
from .._refusal import Refusal


def write_reports(directory: str, forms: Mapping[str, str], *, predict: bool) -> list[dict[str, str]]:
    """Write the files that differ, or only predict them; return Ansible diffs, one per file."""
    wanted = {os.path.join(directory, name): text for name, text in forms.items()}
    try:
        standing = {path: read_text(path) for path in wanted}
        changes = {path: text for path, text in wanted.items() if standing[path] != text}
        if changes and not predict:
            replace_all(changes)
    except OSError as error:
        next_step = "Choose another directory, or make this one writable."
        raise Refusal(f"directory {directory}", str(error), "a writable directory", next_step) from error
    return [{"before_header": path, "after_header": path, "before": standing[path] or "", "after": text} for path, text in changes.items()]
