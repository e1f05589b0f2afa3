# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sphinx's settings of the documentation site, which `make docs-site` builds."""

project = "vmstation.cluster"
copyright = "the vmstation.cluster contributors"
extensions = ["myst_parser", "sphinx_antsibull_ext"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "vmstation.cluster"
html_theme_options = {"source_repository": "https://github.com/vmstation/cluster", "source_branch": "main"}
# modules of other collections are named, but not linked: the site is built without a network
suppress_warnings = ["ref.ref", "myst.xref_missing_other"]
