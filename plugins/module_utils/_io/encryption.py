# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Encrypts and decrypts files with GnuPG, so that an owner can do it by hand, too."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands, Completed
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

TIMEOUT = 1800.0


@dataclass(frozen=True)
class Key:
    """passphrase_file: its first line is the passphrase. recipients: whose public keys to encrypt for. Neither: nothing is encrypted."""

    passphrase_file: str = ""
    recipients: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.passphrase_file or self.recipients)


class Encryption(Protocol):
    """What the core is given to keep secrets; tests pass a scripted fake."""

    def encrypt(self, source: str, target: str, key: Key) -> None:
        """Write a file that only the key opens, to disk."""

    def decrypt(self, source: str, target: str, key: Key) -> None:
        """Write what is in an encrypted file, for its owner alone. A wrong key, or a file that was changed, is a Refusal."""


class Gpg:
    """The program gpg of this host."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def encrypt(self, source: str, target: str, key: Key) -> None:
        # the archive is compressed already
        words = ["--compress-algo", "none", "--output", target]
        if key.recipients:
            words += ["--trust-model", "always", *(word for one in key.recipients for word in ("--recipient", one)), "--encrypt", source]
            answer = self._run(target, words)
        else:
            with self._for_passphrases(key) as options:
                answer = self._run(target, [*options, "--cipher-algo", "AES256", *words, "--symmetric", source])
        if answer.status:
            self._forget(target)
            raise Refusal("gpg", _said(answer), "an encrypted backup", "Correct what it names.")
        with open(target, "rb") as file:
            os.fsync(file.fileno())

    def decrypt(self, source: str, target: str, key: Key) -> None:
        if key.passphrase_file:
            with self._for_passphrases(key) as options:
                answer = self._run(target, ["--no-autostart", *options, "--output", target, "--decrypt", source])
        else:
            answer = self._run(target, ["--output", target, "--decrypt", source])
        if answer.status or "[GNUPG:] DECRYPTION_OKAY" not in answer.stderr:
            self._forget(target)
            raise _undecipherable(source, key, answer)

    def _run(self, target: str, words: list[str]) -> Completed:
        # gpg itself would make a file that everybody may read
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        argv = ["gpg", "--batch", "--yes", "--no-tty", "--quiet", "--status-fd", "2", "--no-symkey-cache", *words]
        try:
            return self._commands.run(argv, timeout=TIMEOUT, check=False)
        except Refusal:
            self._forget(target)
            raise

    @contextmanager
    def _for_passphrases(self, key: Key) -> Iterator[list[str]]:
        """Options for a key ring of our own, whose agent ends with it. Its path is short, as that of a socket must be."""
        _refuse_unfit(key.passphrase_file)
        home = tempfile.mkdtemp(prefix="vmstation-gpg-")
        try:
            yield ["--homedir", home, "--pinentry-mode", "loopback", "--passphrase-file", key.passphrase_file]
        finally:
            self._commands.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)
            shutil.rmtree(home, ignore_errors=True)

    def _forget(self, path: str) -> None:
        if os.path.lexists(path):
            os.unlink(path)


def _refuse_unfit(path: str) -> None:
    try:
        status = os.stat(path)
        with open(path, "rb") as file:
            first = file.readline().strip()
    except OSError as error:
        reason = str(error.strerror or error).lower()
        raise Refusal("passphrase_file", f"{path}: {reason}", "a file that can be read", "Correct the path, or its rights.") from error
    if status.st_mode & 0o077:
        mode = f"{status.st_mode & 0o7777:04o}"
        raise Refusal("passphrase_file", f"{path} with mode {mode}", "a file for its owner alone", f"Run `chmod 600 {path}`.")
    if not first:
        raise Refusal("passphrase_file", f"{path} without a first line", "a passphrase on its first line", "Write one into it.")


def _undecipherable(source: str, key: Key, answer: Completed) -> Refusal:
    said = answer.stderr
    subject = f"archive {source}"
    if "BAD_PASSPHRASE" in said:
        return Refusal(subject, "not opened by this passphrase", "the one that it was encrypted with", "Name the file of the other one.")
    if "[GNUPG:] CANCELED_BY_USER" in said or ("NEED_PASSPHRASE_SYM" in said and not key.passphrase_file):
        return Refusal(subject, "encrypted with a passphrase", "the passphrase", "Name its file in passphrase_file.")
    if "No secret key" in said:
        return Refusal(subject, "encrypted for somebody else's key", "the secret key in your key ring", "Import it: `gpg --import`.")
    return Refusal(subject, f"damaged: {_said(answer)}", "what gpg has written", "Take the backup before it.")


def _said(answer: Completed) -> str:
    lines = [line.partition("gpg: ")[2] for line in answer.stderr.splitlines() if line.startswith("gpg: ")]
    return "; ".join(lines) or f"exit status {answer.status}"
