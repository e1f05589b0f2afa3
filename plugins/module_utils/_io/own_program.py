# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""This collection's own code as one file that Python can run later, when Ansible's copy on the host is gone."""

from __future__ import annotations

import io
import sys
import zipfile

PACKAGE = "ansible_collections.vmstation.cluster.plugins.module_utils"
EPOCH = (1980, 1, 1, 0, 0, 0)


def archive(entry: str) -> str:
    """A zip of our loaded modules whose ``__main__`` is ``entry``, as text for ``replace_all`` (bytes kept as surrogates)."""
    sources = {"__main__.py": entry}
    names = [name for name in sorted(sys.modules) if name == PACKAGE or name.startswith(f"{PACKAGE}.")]
    for name in names:
        module = sys.modules[name]
        loader = module.__spec__.loader if module.__spec__ else None
        source = loader.get_source(name) if loader is not None and hasattr(loader, "get_source") else None
        is_package = hasattr(module, "__path__")
        path = name.replace(".", "/")
        sources[f"{path}/__init__.py" if is_package else f"{path}.py"] = source or ""
    for depth in range(1, PACKAGE.count(".") + 2):
        sources.setdefault("/".join(PACKAGE.split(".")[:depth]) + "/__init__.py", "")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for path, text in sources.items():
            file.writestr(zipfile.ZipInfo(path, EPOCH), text)
    return packed.getvalue().decode("utf-8", "surrogateescape")
