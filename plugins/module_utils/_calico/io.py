# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read YAML files."""

from __future__ import annotations

import os

from .._cluster.objects import documents_of
from .._refusal import Refusal


def read_documents(text: str, subject: str) -> list[object]:
    """Parse the documents that are not empty. subject: what the text is, for error messages."""
    return documents_of(text, subject, "YAML", "Download it again from its release.")


def read_text(path: str, subject: str) -> str:
    """Read a file unchanged, so that its checksum stays valid."""
    try:
        with open(os.path.expanduser(path), "rb") as file:
            return file.read().decode()
    except (OSError, UnicodeDecodeError) as error:
        found = error.strerror.lower() if isinstance(error, OSError) and error.strerror else "not UTF-8"
        raise Refusal(f"{subject} {path}", found, "a readable text file", "Copy the file there, or correct the path.") from None
