# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A diagnosis entry: its text with secrets masked, and how much of it is kept.

Fields that usually hold secrets are not collected in the first place. Secrets in logs and other free text are masked by their form, by the
names before them, and by looking random. Each pattern is bounded, so that time grows with the length.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Callable, Literal, Optional

from .._notation import read_size, show_size
from .._refusal import Refusal

# One thing that was asked for, as it is handed from host and cluster to the archive.

Keep = Literal["head", "tail"]
Status = Literal["complete", "cut", "absent", "asleep", "failed"]
Object = dict[str, Any]

# of the time for all: what is left of it masks secrets in what was read
READING = 0.75
LATE = "left out, as there was no time to mask secrets in it"

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True)
class Entry:
    """name: of its file in the archive. asked: the command, path or list. text: without secrets.

    status: ``cut`` if only a part of it is kept, ``absent`` if there is no such thing, ``asleep`` of a host that was left so, ``failed``
    if it could not be read; what failed may have a text, too. note: why. keep: which part stays when there is too much of it.
    redactions: how many secrets were taken out.
    """

    name: str
    status: Status
    asked: str = ""
    text: str = ""
    note: str = ""
    keep: Keep = "head"
    redactions: int = 0
    seconds: float = 0.0

    @property
    def size(self) -> int:
        return len(self.text.encode("utf-8", "replace"))


# what a module takes that is given entries
ENTRY_ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "status": {"type": "str", "required": True, "choices": ["complete", "cut", "absent", "asleep", "failed"]},
    "asked": {"type": "str", "default": ""},
    "text": {"type": "str", "default": ""},
    "note": {"type": "str", "default": ""},
    "keep": {"type": "str", "default": "head", "choices": ["head", "tail"]},
    "redactions": {"type": "int", "default": 0},
    "seconds": {"type": "float", "default": 0.0},
}


def as_data(entries: list[Entry]) -> list[dict[str, Any]]:
    return [asdict(entry) for entry in entries]


def entry_of(data: Mapping[str, Any]) -> Entry:
    return Entry(**{field.name: data[field.name] for field in fields(Entry) if field.name in data})


# How much is kept of each text, so that all of them together have room.


def share(given: object, sharers: int) -> int:
    """The bytes that one of so many may fill."""
    whole = read_size("maximum_size", given)
    if sharers < 1:
        raise Refusal("shared_by", str(sharers), "a number of at least 1", "Remove it for a host that does not share the space.")
    if whole // sharers < KIB:
        raise Refusal("maximum_size", f"{given} for {sharers}", "at least 1 KiB for each", "Raise it; 20MiB is usual.")
    return whole // sharers


def whole_lines(text: str, keep: Keep) -> str:
    """A text of which one end was cut off, without the line that the cut went through: half a secret has no form to know it by."""
    if keep == "tail":
        return text.partition("\n")[2]
    return text[: text.rfind("\n") + 1]


def cut(text: str, room: int, keep: Keep) -> str:
    """The lines at one end of the text that have room, in bytes."""
    data = text.encode("utf-8", "replace")
    if len(data) <= room:
        return text
    part = data[len(data) - room :] if keep == "tail" else data[:room]
    return whole_lines(part.decode("utf-8", "ignore"), keep)


def level(sizes: Iterable[int], room: int) -> int:
    """The most that each may have, so that all together have room. Who needs less leaves the rest to the others."""
    ascending = sorted(sizes)
    for index, size in enumerate(ascending):
        equal = room // (len(ascending) - index)
        if size > equal:
            return equal
        room -= size
    return ascending[-1] if ascending else 0


def fit(entries: Sequence[Entry], room: int) -> list[Entry]:
    """The entries, the longest of them cut so that all have room."""
    most = level((entry.size for entry in entries), room)
    return [entry if entry.size <= most else shorten(entry, most) for entry in entries]


def shorten(entry: Entry, room: int) -> Entry:
    text = cut(entry.text, room, entry.keep)
    end = "last" if entry.keep == "tail" else "first"
    part = f"the {end} {show_size(len(text.encode('utf-8', 'replace')))} of {show_size(entry.size)}"
    return replace(
        entry, text=text, status="cut" if entry.status == "complete" else entry.status, note="; ".join(filter(None, [entry.note, part]))
    )


REDACTED = "<redacted>"

# JSON within JSON has its quotes escaped, once or more
_QUOTE = r"\\{0,7}[\"']"
# what the name of something secret ends with; a short word only behind a sign, an upper-case letter or nothing
_NAME = (
    r"(?:(?i:pass(?:word|wd|phrase|wort)|kennwort|secret|token|credentials?|authorization|cookie|jwt|psk|presharedkey"
    r"|(?:access|account|api|auth|ca|certificate|client|encryption|etcd|hmac|license|master|peer|pre-?shared|private|rsa|secret|server"
    r"|session|shared|signing|ssh|ssl|storage|tls|unseal)[ _.-]?key"
    r"|(?<![a-z])(?:pass|pwd?|auth)|(?<![a-z])rootpw)|(?<=[a-z])P(?:ass|wd)|(?<=[A-Z0-9]_)KEY)"
    r"(?i:[_-]?(?:base64|bcrypt|data|hash|md5|plaintext|salt|sha\d*|string|text|value|\d{1,3}))?"
)
# the environment of a container has the name and the value apart from each other
_OF_ENVIRONMENT = rf"[,\n][ \t]*(?:{_QUOTE})?value(?:{_QUOTE})?[ \t]*:"
_NAMED = re.compile(
    rf"(?P<name>{_NAME})(?P<closed>{_QUOTE})?[ \t]*(?P<separator>{_OF_ENVIRONMENT}|:=|=>|->|[:=>\t])"
    r"(?P<gap>[ \t]*(?:!!?\w*[ \t]+|&\w+[ \t]+|\n[ \t]+-[ \t]+|[|>][-+0-9]*[ \t]*\n(?=(?P<indent>[ \t]+)))?)"
    r"(?:(?P<block>(?P=indent)[^\n]*(?:\n(?:(?P=indent)[^\n]*|[ \t]*(?=\n)))*)"
    rf"|\[(?P<list>[^\[\]{{}}\n]+)\]|\[?(?P<quote>{_QUOTE})(?P<quoted>[^\n]*?)(?:(?<!\\)(?P=quote)|$)|(?P<bare>[^\s\"'<{{\[&\\][^\n]*))",
    re.MULTILINE,
)
# what is public although its name is that of a secret: nothing, a switch, a path, a reference
_PUBLIC = re.compile(
    r"(?:file:|unix:)?/(?:etc|var|run|usr|home|root|opt|srv|tmp|dev|proc|sys|mnt|media|data|config|secrets|app)(?:/\S*)?"
    r"|\S+\.(?:pem|key|crt|pub|conf|json|ya?ml|txt|env)"
    r"|\$\(\w+\)|\$\{[^}]*\}|\$__\w+\{[^}]*\}|\{\{.*\}\}|\*{3,}|[\W_]*|0x[0-9a-f]{1,16}\W*"
    r"|(?i:null|nil|none|true|false|yes|no)\W*|nil[,}].*|(?:files|compat)(?: .*)?|\d{1,3}[smh]|(?:\w+ )?<redacted>.*"
)
_WORD = re.compile(r"[^\s\"'`<>&]+")
# a line, or a text within quotes, begins so; of a log behind what the container runtime, the journal and Kubernetes' programs write
_PREFIX = (
    r"(?:\d{4}-\d\d-\d\d[T ][\d:.,]+(?:Z|[+-]\d\d:?\d\d) "
    r"(?:std(?:out|err) [FP] |[\w.-]{1,64} (?:[\w.@/-]{1,64}\[\d+\]|kernel|systemd): )?)?(?:[IWEF]\d{4} [\d:.]+ +\d+ [\w.-]+:\d+\] )?"
)
_LINE_START = re.compile(rf"(?:{_PREFIX}|[^\n]*(?P<quote>[\"']|\\n))[\s>#-]*(?:export\s+|Environment=(?P<opened>[\"'])?)?[\w.-]*")
_LOOK_BACK = 200
# of an option that is followed by a word of a sentence
_SENTENCE = {"and", "argument", "flag", "flags", "for", "has", "instead", "is", "must", "option", "or", "parameter", "to", "was", "with"}


def redact(text: str) -> tuple[str, int]:
    """The text without its secrets, and how many were masked. What was masked once stays as it is."""
    count = 0
    for form, replacement in _FORMS:

        def one(match: re.Match[str], replacement: Callable[[re.Match[str]], str] = replacement) -> str:
            nonlocal count
            new = replacement(match)
            count += new != match[0]
            return new

        text = form.sub(one, text)
    return text, count


def _behind(match: re.Match[str]) -> str:
    """What is before the value stays."""
    return f"{match[1]}{REDACTED}"


def _all(_match: re.Match[str]) -> str:
    return REDACTED


def _option(match: re.Match[str]) -> str:
    value = match[2]
    return match[0] if value.lower() in _SENTENCE or _PUBLIC.fullmatch(value) else _behind(match)


def _named(match: re.Match[str]) -> str:
    kind = next(kind for kind in ("block", "list", "quoted", "bare") if match[kind] is not None)
    before = match.string[max(0, match.start() - _LOOK_BACK) : match.start()].rpartition("\n")
    begins = _LINE_START.fullmatch(before[2]) if before[1] or match.start() <= _LOOK_BACK else None
    value = (_bare(match, begins, before[2]) if kind == "bare" else match[kind]).lstrip()
    # 'password:'
    is_only_a_name = begins and begins["quote"] and match["quote"] == begins["quote"] and not match["closed"] and not match["gap"]
    if is_only_a_name or _PUBLIC.fullmatch(value.rstrip()):
        return match[0]
    start = match[0].index(value, match.start(kind) - match.start())
    return match[0][:start] + REDACTED + match[0][start + len(value) :]


def _bare(match: re.Match[str], begins: Optional[re.Match[str]], before: str) -> str:
    """How much of the line is the value: all of it behind a name that begins the line or a quoted text, else a word.

    ``failed to get token: no such file`` holds no token; ``made the user admin with password: letmein`` holds one.
    """
    line, word = match["bare"], _WORD.match(match["bare"])
    if "value" in match["separator"]:
        return line
    if begins and not match["closed"]:
        return re.split(r"[\"'\\]", line)[0] if begins["quote"] or begins["opened"] else line
    if not word:
        return ""
    is_sentence = match["separator"] == ":" and match["gap"] and not match["closed"] and not before.rstrip().endswith(("{", ","))
    ends = word.end() == len(line.rstrip()) and match["name"].lower().startswith("pass")
    return "" if is_sentence and not (ends or _has_digit_and_letter(word[0])) else word[0].rstrip(",;)}]\\")


def _has_digit_and_letter(value: str) -> bool:
    return len(value) >= 8 and any(map(str.isdigit, value)) and any(map(str.isalpha, value))


def _random(match: re.Match[str]) -> str:
    """Base64, keys and tokens. A path is looked at part by part, unless it is as long as a line of base64."""
    is_long = len(match[0]) >= 40
    parts = [match[0]] if is_long else match[0].split("/")
    return "/".join(REDACTED if _looks_random(part, 1 if is_long else 2) else part for part in parts)


def _looks_random(part: str, digits: int) -> bool:
    return len(part) >= 14 and part != part.lower() and part != part.upper() and sum(map(str.isdigit, part)) >= digits


_FORMS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    # the kubelet logs whole containers: of environment, command and arguments no value stays
    (re.compile(r"(\bEnvVar\{Name:[^,\n]{0,200},Value:)(?!<redacted>|,)[^\n]{0,4000}?(?=,ValueFrom:)"), _behind),
    (re.compile(r"(\b(?:Command|Args):\[)(?!<redacted>)[^\]\n]+"), _behind),
    # what the makers of tokens gave a form, and addresses that let in all who know them
    (re.compile(r"\b(?:eyJ|ZXlK)[\w+/-]{8,}(?:\.[\w-]*){0,2}={0,2}"), _all),
    (
        re.compile(
            r"\b(?:gh[oprsu]_|github_pat_|gl[a-z]{2,5}-|gl[a-z]{1,2}_|xox[a-z]-|tskey-|sk[-_]|hf_|npm_|pypi-|dckr_pat_|hv[brs]\.|AKIA|AIza"
            r"|AGE-SECRET-KEY-|dop_v1_|SG\.|tk_)[\w.=-]{12,}"
        ),
        _all,
    ),
    (re.compile(r"((?:hooks\.slack\.com/\w+/|discord(?:app)?\.com/api/webhooks/|api\.telegram\.org/bot))(?!<)[^\s\"'\\]+"), _behind),
    (re.compile(r"(?<![\w.-])(?![\d.]+\b)[a-z0-9]{6}\.[a-z0-9]{16}(?![\w-]|\.\w)"), _all),
    # hashes of passwords
    (re.compile(r"\$(?:2[abxy]|5|6|7|y|gy|apr1|argon2\w{0,3}|scrypt)\$[\w./+=,$-]{16,}|\{S?SHA\d{0,3}\}[\w+/=]{16,}"), _all),
    # URLs, and what database clients take
    (re.compile(r"((?<![\w+.-])[A-Za-z][\w+.-]{1,20}://)(?!<redacted>@)[^\s/\"'<>]{1,300}(?=@)"), _behind),
    (re.compile(r"((?:^|(?<=[\s\"'=]))[^\s:/@\"'<>]{1,60}:)[^\s@/\"'<>]{1,100}(?=@tcp\()", re.MULTILINE), _behind),
    (re.compile(r"([?&][\w.-]{0,40}?(?i:auth|code|key|pass\w{0,8}|secret|session|sig|signature|token)=)[^\s&\"'<>]+"), _behind),
    # headers
    (
        re.compile(
            rf"(\b(?i:(?:proxy-)?authorization|(?:set-)?cookie|x-[\w-]{{0,40}}?(?:auth|key|token))(?:{_QUOTE})?[ \t]*[:=][ \t]*"
            rf"\[?(?:{_QUOTE})?)(?![ \t\[\"'\\]|[^\n]{{0,20}}<redacted>)(?:Digest [^\n]+|[^\n\"'\]\\]+)"
        ),
        _behind,
    ),
    # an option whose value is the next word, or the next item of a list; user and password; a password in a sentence
    (re.compile(rf"((?<![\w.-])--?[\w.-]{{0,60}}?(?:{_NAME}|pass)(?:[ \t]+|{_QUOTE},[ \t]*{_QUOTE}))((?!-)[^\s\"'`<]+)"), _option),
    (re.compile(r"((?<![\w.-])(?:-u|--(?:proxy-)?user)[ =][^\s:\"'<>]{1,60}:)(?!<)[^\s\"'<>]+"), _behind),
    (re.compile(r"(\b(?:mysql|mariadb)[^\n]{0,100}? -p)(?!<)[^\s\"'<>]+"), _behind),
    (
        re.compile(r"(\b(?i:pass(?:word|wd|phrase)?|pw|secret|token|key|bearer|basic)[ \t]+(?:is[ \t]+)?)([^\s\"'`</]{8,200})"),
        lambda match: _behind(match) if _has_digit_and_letter(match[2]) else match[0],
    ),
    (_NAMED, _named),
    # digests of images stay; of what identifies a container the beginning does, to find it again
    (re.compile(r"(?<![0-9a-fA-F:])([0-9a-f]{8})[0-9a-f]{16,}(?![0-9a-fA-F])"), _behind),
    (re.compile(r"(?<!cali:)(?<![A-Za-z0-9+/=])[A-Za-z0-9+/=]{14,}"), _random),
)
