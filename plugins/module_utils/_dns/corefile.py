# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parse a Corefile into its server blocks, as CoreDNS does.

https://coredns.io/manual/toc/#configuration. A word ends at white space or `#`, or is in double quotes. `{` and `}` are words of their
own. A plugin ends with its line, or with the block that it opens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn, Optional

DEFAULT_PORTS = {"dns": 53, "tls": 853, "quic": 853, "grpc": 443, "https": 443, "https3": 443}
IMPORT = "import"
MOST_WORDS = 100_000


@dataclass(frozen=True)
class Word:
    """last_line differs from line if a quoted word contains line breaks."""

    text: str
    line: int
    last_line: int


@dataclass(frozen=True)
class Option:
    """A line in the block of a plugin."""

    name: str
    arguments: tuple[str, ...]
    line: int

    def __str__(self) -> str:
        return " ".join((self.name, *self.arguments))


@dataclass(frozen=True)
class Plugin(Option):
    """A plugin of a server block, with the options in its own block."""

    options: tuple[Option, ...] = ()

    def __str__(self) -> str:
        return super().__str__()

    def every(self, name: str) -> tuple[Option, ...]:
        return tuple(option for option in self.options if option.name == name)


@dataclass(frozen=True)
class Zone:
    """A zone of a server block. name: without the final dot, so the root is empty; or a network in CIDR notation."""

    written: str
    name: str
    port: int
    transport: str


@dataclass(frozen=True)
class Server:
    """A server block."""

    zones: tuple[Zone, ...]
    plugins: tuple[Plugin, ...]
    line: int

    def every(self, name: str) -> tuple[Plugin, ...]:
        return tuple(plugin for plugin in self.plugins if plugin.name == name)

    def __str__(self) -> str:
        return f"server block {' '.join(zone.written for zone in self.zones)} (line {self.line})"


@dataclass(frozen=True)
class Corefile:
    """imported: files that it imports and that cannot be read here."""

    servers: tuple[Server, ...]
    imported: tuple[str, ...] = ()

    def every(self, name: str) -> tuple[Plugin, ...]:
        return tuple(plugin for server in self.servers for plugin in server.every(name))


class Unreadable(Exception):
    """The position where the text is not a valid Corefile."""

    def __init__(self, line: int, found: str, expected: str) -> None:
        super().__init__(f"line {line}: {found}")
        self.line = line
        self.found = found
        self.expected = expected


def is_variable(text: str) -> bool:
    """Return whether CoreDNS inserts an environment variable here, so that the value is unknown."""
    return "{$" in text or "{%" in text


def parse(text: str) -> Corefile:
    return _Parser(list(words(text))).corefile()


def words(text: str) -> Iterator[Word]:
    line, position, end = 1, 0, len(text)
    if text.startswith("\ufeff"):
        position = 1
    while position < end:
        char = text[position]
        if char == "#":
            position = _line_end(text, position)
        elif char.isspace():
            line += char == "\n"
            position += 1
        elif char == '"':
            value, position = _quoted(text, position + 1, line)
            yield Word(value, line, line + value.count("\n"))
            line += value.count("\n")
        else:
            start = position
            while position < end and not text[position].isspace() and text[position] != "#":
                position += 1
            yield Word(text[start:position], line, line)


def _line_end(text: str, position: int) -> int:
    found = text.find("\n", position)
    return len(text) if found < 0 else found


def _quoted(text: str, position: int, line: int) -> tuple[str, int]:
    """Return the value of a quoted word and the position after it. Only quotation marks can be escaped."""
    value = []
    while position < len(text):
        char = text[position]
        if text.startswith('\\"', position):
            value.append('"')
            position += 2
        elif text.startswith("\\", position) and position + 1 < len(text):
            value.append(text[position : position + 2])
            position += 2
        elif char == '"':
            return "".join(value), position + 1
        else:
            value.append(char)
            position += 1
    raise Unreadable(line, "an unclosed quotation mark", 'a second "')


class _Parser:
    def __init__(self, tokens: list[Word]) -> None:
        self._words = tokens
        self._at = 0
        self._snippets: dict[str, list[Word]] = {}
        self._imported: list[str] = []

    def corefile(self) -> Corefile:
        servers = []
        while self._at < len(self._words):
            server = self._server()
            if server:
                servers.append(server)
        return Corefile(tuple(servers), tuple(dict.fromkeys(self._imported)))

    def _server(self) -> Optional[Server]:
        if self._word().text == IMPORT:
            self._expand()
            return None
        first = self._word()
        keys = self._keys()
        if len(keys) == 1 and keys[0].startswith("(") and keys[0].endswith(")"):
            self._snippet(keys[0][1:-1], first.line)
            return None
        zones = tuple(zone(key, first.line) for key in keys)
        if self._is("{"):
            self._at += 1
            return Server(zones, tuple(self._plugins(first)), first.line)
        return Server(zones, tuple(self._plugins(None)), first.line)

    def _keys(self) -> list[str]:
        keys: list[str] = []
        goes_on = True
        while self._at < len(self._words) and not self._is("{"):
            if keys and not goes_on and self._is_first_of_line():
                break
            word = self._word()
            if word.text == "}":
                self._fail(word.line, "a } that closes nothing", "a server block before it")
            goes_on = word.text.endswith(",")
            keys.append(word.text.rstrip(","))
            self._at += 1
        line = self._words[self._at - 1].line if self._at else 1
        if goes_on:
            self._fail(line, "no zone before {" if not keys else "a comma without a zone after it", "a zone such as .:53")
        return keys

    def _snippet(self, name: str, line: int) -> None:
        if not self._is("{"):
            self._fail(line, f"snippet ({name}) without a block", "{ after its name")
        start, depth = self._at + 1, 0
        while self._at < len(self._words):
            depth += self._is("{") - self._is("}")
            self._at += 1
            if depth == 0:
                if name in self._snippets:
                    self._fail(line, f"a second snippet ({name})", "unique snippet names")
                self._snippets[name] = self._words[start : self._at - 1]
                return
        self._fail(line, f"the block of snippet ({name}), opened here, is not closed", "a } for each {")

    def _plugins(self, opened: Optional[Word]) -> Iterator[Plugin]:
        """Yield the plugins of a server block; opened: None for a block without braces, which ends with the text."""
        while self._at < len(self._words):
            if self._is("}"):
                if opened is None:
                    self._fail(self._word().line, "a } that closes nothing", "a { for each }")
                self._at += 1
                return
            if self._word().text == IMPORT:
                self._expand()
                continue
            yield self._plugin()
        if opened:
            self._fail(opened.line, f"the block of {opened.text}, opened here, is not closed", "a } for each {")

    def _plugin(self) -> Plugin:
        head = self._word()
        self._at += 1
        if head.text == "{":
            self._fail(head.line, "a { without a plugin before it", "the name of a plugin")
        arguments: list[str] = []
        lines: list[list[Word]] = []
        depth = 0
        while self._at < len(self._words):
            word = self._word()
            first = self._is_first_of_line()
            if word.text == "{" and depth and (first or not lines):
                self._fail(word.line, f"a {{ without an option before it, in the block of {head.text}", "one { after the plugin")
            elif word.text == "{":
                depth += 1
            elif first and depth == 0:
                break
            elif word.text == "}" and depth == 0:
                self._fail(word.line, f"a }} in the line of {head.text}", "a } on its own line, and a { for each }")
            elif word.text == "}":
                depth -= 1
            elif word.text == IMPORT and first:
                self._expand()
                continue
            elif depth == 0:
                arguments.append(word.text)
            elif depth == 1 and (first or not lines):
                lines.append([word])
            else:
                lines[-1].append(word)
            self._at += 1
        if depth:
            self._fail(head.line, f"the block of {head.text}, opened here, is not closed", "a } for each {")
        options = tuple(Option(one[0].text, tuple(word.text for word in one[1:]), one[0].line) for one in lines)
        return Plugin(head.text, tuple(arguments), head.line, options)

    def _expand(self) -> None:
        """Replace an import by its snippet; record the name of an imported file."""
        line = self._word().line
        if self._at + 1 >= len(self._words) or self._words[self._at + 1].line != line:
            self._fail(line, "import without a name", "the name of a snippet or of a file")
        name = self._words[self._at + 1].text
        if name in self._imports_of(name):
            self._fail(line, f"import of {name} within itself", "snippets that do not import each other in a circle")
        # the snippet's words keep their own line numbers
        body = self._snippets.get(name, [])
        if name not in self._snippets:
            self._imported.append(name)
        self._words[self._at : self._at + 2] = body
        if len(self._words) > MOST_WORDS:
            self._fail(line, f"more than {MOST_WORDS} words, with the import of {name}", "fewer imports of snippets in snippets")

    def _imports_of(self, name: str) -> set[str]:
        """The snippets that a snippet imports, and those that they import."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            body = self._snippets.get(waiting.pop(), [])
            imported = {after.text for word, after in zip(body, body[1:]) if word.text == IMPORT} - found
            found |= imported
            waiting += imported
        return found

    def _is(self, text: str) -> bool:
        return self._at < len(self._words) and self._words[self._at].text == text

    def _word(self) -> Word:
        return self._words[self._at]

    def _is_first_of_line(self) -> bool:
        # after an import, line numbers may decrease
        return self._at == 0 or self._words[self._at - 1].last_line != self._words[self._at].line

    def _fail(self, line: int, found: str, expected: str) -> NoReturn:
        raise Unreadable(line, found, expected)


def zone(written: str, line: int) -> Zone:
    """Parse a key of a server block: `[SCHEME://]ZONE[:PORT]`."""
    transport, separator, rest = written.partition("://")
    if not separator:
        transport, rest = "dns", written
    if transport not in DEFAULT_PORTS:
        raise Unreadable(line, f"{written}, of the unknown scheme {transport}", f"one of {', '.join(DEFAULT_PORTS)}")
    name, colon, port = rest.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()):
        name, port = rest, ""
    labels = name.rstrip(".").split(".") if name != "." else ["root"]
    if name.endswith(":") or not all(0 < len(label) < 64 for label in labels) or len(port) > 5 or int(port or 0) > 65535:
        raise Unreadable(line, f"{written} instead of a zone", "a zone with an optional colon and port, such as .:53")
    return Zone(written, name.rstrip(".").lower(), int(port) if port else DEFAULT_PORTS[transport], transport)
