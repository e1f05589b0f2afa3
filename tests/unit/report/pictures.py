# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws the pictures of a report in docs/images, in light and dark: ``make pictures``."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from ansible_collections.vmstation.cluster.plugins.action.check_report import page
from ansible_collections.vmstation.cluster.plugins.module_utils._report.build import report

from tests.unit.report import check_samples as samples
from tests.unit.report.test_check_page import CHROMIUM, QUIET, SWITCHES

PICTURES = samples.CHECKOUT / "docs" / "images"
# preferredColorScheme of Chromium
SCHEMES = {"light": "1", "dark": "0"}


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        html = Path(directory) / "report.html"
        html.write_text(page(report(samples.faulty())))
        for name, scheme in SCHEMES.items():
            switches = [f"--blink-settings=preferredColorScheme={scheme}", "--hide-scrollbars", "--window-size=1000,1066"]
            picture = f"--screenshot={PICTURES / f'report-{name}.png'}"
            command = [str(CHROMIUM), *SWITCHES, *QUIET, f"--user-data-dir={directory}/profile", *switches, picture, html.as_uri()]
            subprocess.run(command, check=True, capture_output=True, timeout=120)


if __name__ == "__main__":
    main()
