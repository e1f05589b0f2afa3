# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read YAML."""

from __future__ import annotations

import contextlib

from ._refusal import Refusal

# PyYAML is a dependency of the Kubernetes client; modules report it if the client is missing
with contextlib.suppress(ImportError):
    import yaml  # type: ignore[import-untyped]


def documents_of(text: str, subject: str, expected: str, fix: str) -> list[object]:
    """Parse the documents that are not empty. The other parameters are those of the error. Raises Refusal."""
    try:
        # the C parser is ten times as fast
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        # it takes str only, and a lookup of Ansible returns a subclass
        return [document for document in yaml.load_all(str(text), Loader=loader) if document is not None]
    except yaml.YAMLError as error:
        raise Refusal(subject, " ".join(str(error).split()), expected, fix) from None
