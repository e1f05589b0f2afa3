# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as plain data: docs/check-report.schema.json describes it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._report.model import Report

SCHEMA = "vmstation.cluster/check-report/1"


def document(report: Report) -> dict[str, Any]:
    # tuples become the lists that JSON reads back
    told = json.loads(json.dumps(asdict(report)))
    return {"schema": SCHEMA, **told, "worst": report.worst, "counts": report.counts, "verdict": report.verdict}
