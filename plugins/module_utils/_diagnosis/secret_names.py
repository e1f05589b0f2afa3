# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which names stand before something secret, and which values after such a name are none."""

from __future__ import annotations

import re
from functools import lru_cache

REDACTED = "<redacted>"

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
# the last word of a name tells what it holds: a tokenRequest holds no token, a passwordFile no password
_SECRETS = ("password", "passwd", "passphrase", "secret", "token", "apikey", "privatekey", "secretkey", "accesskey")
_ALONE = {"psk", "jwt", "cookie", "credential", "credentials", "authorization"}
_AFTER_ANOTHER = {"pass", "pwd"}
_KEYS = {
    "access", "account", "api", "auth", "ca", "certificate", "client", "encryption", "etcd", "hmac", "license", "master", "peer",
    "preshared", "private", "rsa", "secret", "server", "session", "shared", "signing", "ssh", "ssl", "storage", "tls",
}  # fmt: skip
_OF_THE_VALUE = {"data", "value", "base", "string", "text", "plaintext"}
_DERIVED = {"hash", "salt", "bcrypt", "md", "sha", "digest"}

_NOTHING = {"null", "~", "nil", "none", "<nil>", "<none>", "<unset>", "true", "false", "yes", "no", REDACTED}
_DIRECTORIES = r"(?:etc|var|run|usr|home|root|opt|srv|tmp|dev|proc|sys|mnt|media|data|config|secrets|app)"
_NO_SECRETS = re.compile(
    rf"(?:file:|unix:)?/{_DIRECTORIES}(?:/\S*)?"  # the path of a file
    r"|\S+\.(?:pem|key|crt|pub|conf|json|ya?ml|txt|env)"  # its name
    r"|\$\(\w+\)|\$\{[^}]*\}|\$__\w+\{[^}]*\}|\{\{.*\}\}"  # a reference, which the reader resolves
    r"|\*{3,}|[\W_]|0x[0-9a-f]{1,16}"
    rf"|\w+\s+{REDACTED}"  # behind the scheme of an authorization
    r"|(?:files|compat)(?:\s+\S+)*"  # nsswitch.conf says where passwd comes from
)
_RANDOM = re.compile(r"(?=\S*\d)(?=\S*[A-Za-z])[A-Za-z0-9+/=_.~-]{12,}")


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether a name of YAML, JSON, an environment or a command line says that its value is secret."""
    words = [word.lower() for word in _WORDS.findall(name)]
    while len(words) > 1 and (words[-1].isdigit() or words[-1] in _OF_THE_VALUE):
        words.pop()
    if not words:
        return False
    if len(words) > 1 and words[-1] in _DERIVED and words[-2].endswith("password"):
        return True
    last = words[-1]
    if last == "key" and len(words) > 1:
        return words[-2] in _KEYS
    return last.endswith(_SECRETS) or last in _ALONE or (len(words) > 1 and last in _AFTER_ANOTHER)


def is_password_name(name: str) -> bool:
    return is_secret_name(name) and bool(re.search(r"pass(?:word|wd|phrase)", name, re.IGNORECASE))


def is_no_secret(value: str) -> bool:
    """Whether a value behind such a name may be read by everybody: nothing, a switch, a path, a reference."""
    bare = value.strip()
    return not bare or bare.lower() in _NOTHING or bool(_NO_SECRETS.fullmatch(bare))


def looks_random(value: str) -> bool:
    return bool(_RANDOM.fullmatch(value))
