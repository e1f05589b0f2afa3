# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS messages, as far as asking for addresses needs them: RFC 1035, sections 3 and 4, and RFC 3596."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

A, AAAA = 1, 28
IN = 1
_HEADER = struct.Struct("!6H")
_ANSWER, _TRUNCATED, _RECURSION_DESIRED = 0x8000, 0x0200, 0x0100
_RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
_POINTER = 0xC0
_LONGEST_LABEL, _LONGEST_NAME = 63, 253


class Malformed(Exception):
    """Bytes that are no answer to the question."""


@dataclass(frozen=True)
class Answer:
    """addresses: sorted, of the question's type, whatever aliases led to them. is_truncated: the message had no room for all."""

    rcode: str
    addresses: tuple[str, ...]
    is_truncated: bool = False


def query(identity: int, name: str, kind: int = A) -> bytes:
    """A question for the addresses of a name, which is taken as it stands, with no search list."""
    return _HEADER.pack(identity, _RECURSION_DESIRED, 1, 0, 0, 0) + _encoded(name) + struct.pack("!2H", kind, IN)


def is_name(name: str) -> bool:
    labels = name.rstrip(".").split(".")
    return len(name) <= _LONGEST_NAME and name.isascii() and all(0 < len(label) <= _LONGEST_LABEL for label in labels)


def answer(message: bytes, name: str, kind: int = A) -> Answer:
    """What a message says to the question for this name; anything else is Malformed."""
    try:
        _identity, flags, questions, answers, _authorities, _additional = _HEADER.unpack_from(message)
        if not flags & _ANSWER or questions > 1:
            raise Malformed("no answer to one question")
        position = _HEADER.size
        if questions:
            asked, position = _name(message, position)
            position += 4
            if asked.lower() != name.rstrip(".").lower():
                raise Malformed(f"an answer for {asked}")
        addresses = []
        for _number in range(answers):
            _owner, position = _name(message, position)
            its_kind, its_class, _ttl, length = struct.unpack_from("!2HIH", message, position)
            position += 10
            data = message[position : position + length]
            if len(data) < length:
                raise Malformed("cut off")
            position += length
            if its_kind == kind and its_class == IN:
                addresses.append(str(IPv4Address(data) if kind == A else IPv6Address(data)))
    except (struct.error, IndexError, ValueError) as error:
        raise Malformed(str(error)) from error
    return Answer(_RCODES.get(flags & 0xF, f"response code {flags & 0xF}"), tuple(sorted(addresses)), bool(flags & _TRUNCATED))


def _encoded(name: str) -> bytes:
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _name(message: bytes, position: int) -> tuple[str, int]:
    """The name at a position, and the position behind it. A pointer may only lead back, so that none leads around."""
    labels: list[str] = []
    behind, limit = 0, position
    while True:
        length = message[position]
        if length & _POINTER == _POINTER:
            behind = behind or position + 2
            position = struct.unpack_from("!H", message, position)[0] & 0x3FFF
            if position >= limit:
                raise Malformed("a pointer that does not lead back")
            limit = position
        elif length & _POINTER:
            raise Malformed("a label of an unknown kind")
        elif length:
            label = message[position + 1 : position + 1 + length]
            if len(label) < length or len(labels) > _LONGEST_NAME:
                raise Malformed("cut off")
            labels.append(label.decode("ascii", "backslashreplace"))
            position += 1 + length
        else:
            return ".".join(labels), behind or position + 1
