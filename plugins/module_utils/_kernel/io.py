# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's settings, by the names that sysctl(8) has for them."""

from __future__ import annotations

from typing import Optional, Protocol

from .._host.files import LocalFiles
from .._refusal import Refusal

ROOT = "/proc/sys"
_SWAPPED = str.maketrans("./", "/.")


class Kernel(Protocol):
    """What the core is given; tests pass a dictionary."""

    def read(self, name: str) -> Optional[str]:
        """A setting's value, its words parted by one space; None if the kernel has no such setting now."""

    def write(self, name: str, value: str) -> None:
        """Put a value in force. Raises Refusal if the kernel does not take it."""


class LocalKernel:
    """The kernel of this host."""

    def read(self, name: str) -> Optional[str]:
        text = LocalFiles().read(_path(name))
        return None if text is None else " ".join(text.split())

    def write(self, name: str, value: str) -> None:
        try:
            with open(_path(name), "w", encoding="ascii") as file:
                file.write(value)
        except OSError as error:
            raise Refusal(
                f"kernel setting {name}", f"{error.strerror} for {value}", "to be accepted", "Set it manually and see the error."
            ) from error


def _path(name: str) -> str:
    """Return the path of a setting. The first separator decides: with a dot, a slash replaces the dot in the name of an interface."""
    is_dotted = next((character for character in name if character in "./"), ".") == "."
    return f"{ROOT}/{name.translate(_SWAPPED) if is_dotted else name}"
