# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes secrets out of a text: by their form wherever they stand, and by the names that stand before them."""

from __future__ import annotations

import base64
import re
from typing import Callable, Union

from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.folding import LINE_END, MARKS, WITHIN_QUOTES, fold, unfold
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.named_values import QUOTE, redact_named_values
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.secret_names import REDACTED, is_no_secret, is_secret_name

Replacement = Union[str, Callable[["re.Match[str]"], str]]

_PRIVATE_KEY = r"[A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?"
_SHORT_WORDS = {"and", "argument", "flag", "flags", "for", "has", "instead", "is", "must", "option", "or", "parameter", "to", "was", "with"}


def redact(text: str) -> tuple[str, int]:
    """The text without its secrets, and how many were taken out. What was redacted once stays as it is."""
    count = 0
    folded, stood = fold(text)
    for form, replacement in _FORMS:
        folded, replaced = _replace(form, replacement, folded)
        count += replaced
    folded, replaced = redact_named_values(folded)
    return unfold(folded, stood), count + replaced


def _replace(form: re.Pattern[str], replacement: Replacement, text: str) -> tuple[str, int]:
    count = 0

    def one(match: re.Match[str]) -> str:
        nonlocal count
        new = replacement(match) if callable(replacement) else match.expand(replacement)
        count += new != match[0]
        return new

    return form.sub(one, text), count


def _if_private_key(match: re.Match[str]) -> str:
    """Base64 of PEM: a certificate stays, a private key goes."""
    head = match[0][: len(match[0][:64]) // 4 * 4]
    return REDACTED if b"PRIVATE KEY" in base64.b64decode(head) else match[0]


def _if_named_so(match: re.Match[str]) -> str:
    """A value that stands apart from its name."""
    if not is_secret_name(match["name"]) or is_no_secret(match["value"]) or match["value"].lower() in _SHORT_WORDS:
        return match[0]
    start, end = (index - match.start() for index in match.span("value"))
    return match[0][:start] + REDACTED + match[0][end:]


def _form(*parts: str, flags: re.RegexFlag = re.ASCII) -> re.Pattern[str]:
    return re.compile("".join(parts), flags | re.ASCII)


_NAME = r"(?P<name>[A-Za-z_][\w.-]{0,99})"
_QUOTED_VALUE = rf"(?P<quote>{QUOTE})(?P<value>{WITHIN_QUOTES}*?)(?<!\\)(?P=quote)"
_REST = rf"(?P<value>(?!-)[^\n{MARKS}]+)"
_FORMS: tuple[tuple[re.Pattern[str], Replacement], ...] = (
    # PEM; of a log's tail the beginning may be cut off, of a file the end. In JSON the line breaks are escaped
    (
        _form(rf"-----BEGIN ({_PRIVATE_KEY})-----(?:.{{0,16000}}?-----END \1-----|[\s\w+/=\\:,.\[\]{MARKS}-]*)", flags=re.DOTALL),
        REDACTED,
    ),
    (_form(rf"\A({LINE_END})(?:(?!-----BEGIN ).){{0,16000}}?-----END {_PRIVATE_KEY}-----", flags=re.DOTALL), rf"\1{REDACTED}"),
    (_form(r"LS0tLS1CRUdJTi[A-Za-z0-9+/]{20,}={0,2}"), _if_private_key),
    # JSON Web Tokens, and base64 of one, as a Secret has it
    (_form(r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"), REDACTED),
    (_form(r"\bZXlK[A-Za-z0-9+/_-]{40,}={0,2}"), REDACTED),
    # what its makers gave a form: tokens of GitHub, GitLab, Slack, Grafana, registries, and addresses that let whoever knows them in
    (_form(r"\b(?:gh[oprsu]_\w{30,}|github_pat_\w{30,}|glpat-[\w-]{20,}|xox[a-z]-[\w-]{10,}|gls?a_\w{30,})"), REDACTED),
    (_form(r"\beyJhdXRocyI6[A-Za-z0-9+/]+={0,2}"), REDACTED),
    (_form(r"\beyJrIjoi[A-Za-z0-9+/]{20,}={0,2}"), REDACTED),
    (
        _form(r"(hooks\.slack\.com/\w+/|discord(?:app)?\.com/api/webhooks/|api\.telegram\.org/bot)(?!<)", r"[^\s\"'\\]+"),
        rf"\1{REDACTED}",
    ),
    # hashes of passwords
    (_form(r"\$(?:2[abxy]|5|6|7|y|gy|apr1|argon2\w*|scrypt)\$[\w./+=,$-]{16,}"), REDACTED),
    (
        _form(
            rf"\b((?:proxy-)?authorization(?:{QUOTE})?\s*[:=]\s*\[?(?:{QUOTE})?(?:basic|bearer|digest|negotiate|token)\s+)(?!<)",
            r"[^\s\"'\\]+",
            flags=re.IGNORECASE,
        ),
        rf"\1{REDACTED}",
    ),
    # of a registry
    (_form(rf"\b(auth(?:{QUOTE})?\s*[:=]\s*{QUOTE})[A-Za-z0-9+/]{{8,}}={{0,2}}(?={QUOTE})"), rf"\1{REDACTED}"),
    (_form(r"\b(bearer\s+)(?=[^\s\"']*\d)[\w.~+/-]{16,}=*", flags=re.IGNORECASE), rf"\1{REDACTED}"),
    (_form(r"(?<![\w+.-])([A-Za-z][\w+.-]{1,20}://[^\s/:@\"'<>]{0,100}:)(?!<redacted>@)", r"[^\s/@\"'<>]+(?=@)"), rf"\1{REDACTED}"),
    # a token of kubeadm
    (_form(r"(?<![\w.-])(?=[0-9.]*[a-z])[a-z0-9]{6}\.[a-z0-9]{16}(?![\w-]|\.\w)"), REDACTED),
    (_form("<", _NAME, r">(?P<value>[^<>\n]+)</"), _if_named_so),
    # the environment of a container, and an option whose value is the next word, or the next item of a list
    (_form(r"\bname:[ \t]*[\"']?", _NAME, rf"[\"']?(?:{LINE_END}){{1,2}}[ \t]*value:[ \t]*", _REST), _if_named_so),
    (_form(rf"name{QUOTE}\s*:\s*{QUOTE}", _NAME, rf"{QUOTE}\s*,\s*{QUOTE}value{QUOTE}\s*:\s*", _QUOTED_VALUE), _if_named_so),
    (_form(r"(?<![\w.-])--?", _NAME, r"[ \t]+(?P<value>(?!-)[^\s\"'`]+)"), _if_named_so),
    (_form(r"^[ \t]*-[ \t]+[\"']?--?", _NAME, rf"[\"']?(?:{LINE_END}){{1,2}}[ \t]*-[ \t]+", _REST, flags=re.MULTILINE), _if_named_so),
    (_form(rf"{QUOTE}--?", _NAME, rf"{QUOTE},\s*", _QUOTED_VALUE), _if_named_so),
)
