# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this collection is."""

from __future__ import annotations

import json
import re
from pathlib import Path

COLLECTION = Path(__file__).resolve().parents[3]


def version(directory: Path = COLLECTION) -> str:
    """Of an installed archive, or of a checkout, which is somewhere after that release."""
    try:
        return str(json.loads((directory / "MANIFEST.json").read_text())["collection_info"]["version"])
    except FileNotFoundError:
        found = re.search(r"^version:\s*(\S+)", (directory / "galaxy.yml").read_text(), re.MULTILINE)
        return f"{found[1] if found else 'unknown'} (checkout)"
