# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads small files."""

from __future__ import annotations

import http.client
import urllib.request

from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

LARGEST = 1 << 20


def fetch(url: str, timeout: float) -> bytes:
    """The content of a URL of http, https or file, through the proxy that the environment names. timeout: seconds without an answer."""
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "vmstation.cluster"})
        with urllib.request.build_opener().open(request, timeout=timeout) as answer:
            content: bytes = answer.read(LARGEST + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise Refusal(url, f"not to be had ({reason})", "an answer", "See whether this host reaches it, or set http_proxy.") from None
    if len(content) > LARGEST:
        raise Refusal(url, f"more than {LARGEST} bytes", "a small file", "Correct the URL.")
    return content
