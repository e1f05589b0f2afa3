# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read JSON."""

from __future__ import annotations

import json
from typing import Any, Union


def read_json(text: Union[str, bytes]) -> Any:  # noqa: ANN401 - as json.loads
    """Parse a document. Raises json.JSONDecodeError, also if it is nested too deeply, for which Python has another error."""
    try:
        return json.loads(text)
    except RecursionError:
        raise json.JSONDecodeError("nested too deeply", "", 0) from None
