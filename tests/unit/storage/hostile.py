# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that somebody wrote to get at more than their own directory."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Entry(NamedTuple):
    """A member. kind: of tarfile. to: of a link. path: what an extended header says that its name is."""

    name: str
    kind: bytes = tarfile.REGTYPE
    mode: int = 0o644
    data: bytes = b""
    to: str = ""
    path: str = ""


def write_archive(path: Path, entries: Sequence[Entry]) -> str:
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        for one in entries:
            header = tarfile.TarInfo(one.name)
            header.type, header.mode, header.linkname, header.size = one.kind, one.mode, one.to, len(one.data)
            header.uid = header.gid = 1000
            header.pax_headers = {"path": one.path} if one.path else {}
            archive.addfile(header, io.BytesIO(one.data))
    return str(path)


def write_bomb(path: Path, size: int) -> str:
    """An archive whose one header would be read into memory as a whole."""
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, size
    with gzip.open(path, "wb", 1) as file:
        file.write(header.tobuf(tarfile.USTAR_FORMAT))
        for _part in range(size >> 20):
            file.write(bytes(1 << 20))
    return str(path)


def write_tail(path: Path, entries: Sequence[Entry], size: int) -> str:
    """An archive with zeros behind its end, which are nothing when they are compressed."""
    write_archive(path, entries)
    with gzip.open(path, "ab", 1) as file:
        for _part in range(size >> 20):
            file.write(bytes(1 << 20))
    return str(path)


def write_huge(path: Path, first: Entry, size: int) -> str:
    """An archive whose second file is said to be so large; of its content there is nothing."""
    headers = [tarfile.TarInfo(first.name), tarfile.TarInfo("huge")]
    headers[0].size, headers[1].size = len(first.data), size
    with gzip.open(path, "wb", 1) as file:
        file.write(headers[0].tobuf(tarfile.GNU_FORMAT) + first.data.ljust(tarfile.BLOCKSIZE, b"\0"))
        file.write(headers[1].tobuf(tarfile.GNU_FORMAT))
    return str(path)


def below(top: str, victim: Path) -> dict[str, tuple[list[Entry], str]]:
    """Archives with one top directory, and what is said of each. victim: a directory elsewhere, with a file ``secret``."""
    link = Entry(f"{top}/l", tarfile.SYMTYPE, to=str(victim))
    first = Entry(top, tarfile.DIRTYPE, 0o755)
    cases = {
        "traversal": ([Entry(f"{top}/../../evil")], "names below the archive"),
        "absolute": ([Entry("/etc/evil")], "names below the archive"),
        "a file through a link": ([link, Entry(f"{top}/l/evil")], f"a member {top}/l/evil, below a link or a file"),
        "a directory in the place of a link": ([link, Entry(f"{top}/l", tarfile.DIRTYPE, 0o777)], f"a member {top}/l, a second time"),
        "a directory through a link": ([link, Entry(f"{top}/l/d", tarfile.DIRTYPE, 0o777)], f"a member {top}/l/d, below a link or a file"),
        "a file in the place of a link": ([link, Entry(f"{top}/l", mode=0o777)], f"a member {top}/l, a second time"),
        "a hard link elsewhere": ([Entry(f"{top}/h", tarfile.LNKTYPE, to=f"{victim}/secret")], "a file before it in the archive"),
        "a hard link upwards": ([Entry(f"{top}/h", tarfile.LNKTYPE, to=f"{top}/../victim/secret")], "a file before it in the archive"),
        "setuid": (
            [Entry(f"{top}/su", mode=0o4755, data=b"#!/bin/sh\n")],
            "/su with mode 4755; required: files without setuid",
        ),
        "setgid": ([Entry(f"{top}/sg", mode=0o2755)], "/sg with mode 2755; required: files without setuid"),
        "a NUL in a name": ([Entry("x", path=f"{top}/\0x")], "names below the archive"),
        "many directories in each other": ([Entry("/".join([top, *["d"] * 3000]), tarfile.DIRTYPE)], "3001 names deep"),
    }
    return {name: ([first, *entries], said) for name, (entries, said) in cases.items()}


CASES = tuple(below("config", Path("/victim")))
