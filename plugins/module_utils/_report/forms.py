# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a report."""

from __future__ import annotations

import json

from ansible_collections.vmstation.cluster.plugins.module_utils._report.document import document
from ansible_collections.vmstation.cluster.plugins.module_utils._report.junit import junit
from ansible_collections.vmstation.cluster.plugins.module_utils._report.model import Report
from ansible_collections.vmstation.cluster.plugins.module_utils._report.page import page


def forms(report: Report) -> dict[str, str]:
    """The text of each file by its name."""
    return {"report.json": json.dumps(document(report), indent=2) + "\n", "report.xml": junit(report), "report.html": page(report)}
