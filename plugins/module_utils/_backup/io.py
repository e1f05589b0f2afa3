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

from .._host.commands import Commands, Completed
from .._refusal import Refusal
from .manifest import refuse_ambiguous

TIMEOUT = 1800.0
# who has an archive can try passphrases for years
SHORTEST_PASSPHRASE = 16
RANDOM_PASSPHRASE = "openssl rand -base64 24"


@dataclass(frozen=True)
class Key:
    """passphrase_file: its first line is the passphrase. recipients: whose public keys to encrypt for. Neither: nothing is encrypted.

    public_keys: a file with the recipients' keys; empty: they are in the key ring of the user.
    """

    passphrase_file: str = ""
    recipients: tuple[str, ...] = ()
    public_keys: str = ""

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
            refuse_ambiguous(key.recipients)
            words += ["--trust-model", "always", *(word for one in key.recipients for word in ("--recipient", one)), "--encrypt", source]
            with self._for_recipients(key.public_keys) as options:
                answer = self._run(target, [*options, *words])
        else:
            with self._for_passphrases(key, SHORTEST_PASSPHRASE) as options:
                options += ["--cipher-algo", "AES256", "--s2k-digest-algo", "SHA512"]
                answer = self._run(target, [*options, *words, "--symmetric", source])
        if answer.status:
            self._forget(target)
            raise Refusal("gpg", _said(answer), "an encrypted backup", "Correct the error that it reports.")
        with open(target, "rb") as file:
            os.fsync(file.fileno())

    def decrypt(self, source: str, target: str, key: Key) -> None:
        # an archive is compressed already, so what is in the file is hardly longer
        most = 2 * os.path.getsize(source) + (1 << 20)
        words = ["--max-output", str(most), "--output", target, "--decrypt", source]
        if key.passphrase_file:
            with self._for_passphrases(key) as options:
                answer = self._run(target, ["--no-autostart", *options, *words])
        else:
            answer = self._run(target, words)
        if answer.status or "[GNUPG:] DECRYPTION_OKAY" not in answer.stderr:
            self._forget(target)
            raise _undecipherable(source, key, answer)

    def _run(self, target: str, words: list[str]) -> Completed:
        # gpg itself would make a file that all users may read
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        argv = ["gpg", "--batch", "--yes", "--no-tty", "--quiet", "--status-fd", "2", "--no-symkey-cache", *words]
        try:
            return self._commands.run(argv, timeout=TIMEOUT, check=False)
        except Refusal:
            self._forget(target)
            raise

    @contextmanager
    def _for_passphrases(self, key: Key, shortest: int = 1) -> Iterator[list[str]]:
        """Options for a key ring of our own, whose agent ends with it. Its path is short, as that of a socket must be."""
        _refuse_unfit(key.passphrase_file, shortest)
        with self._own_ring() as home:
            yield [*home, "--pinentry-mode", "loopback", "--passphrase-file", key.passphrase_file]

    @contextmanager
    def _for_recipients(self, public_keys: str) -> Iterator[list[str]]:
        """Options for a key ring with the keys of a file; none for the ring of the user."""
        if not public_keys:
            yield []
            return
        with self._own_ring() as home:
            self._commands.run(["gpg", *home, "--batch", "--no-tty", "--quiet", "--import", public_keys])
            yield home

    @contextmanager
    def _own_ring(self) -> Iterator[list[str]]:
        home = tempfile.mkdtemp(prefix="vmstation-gpg-")
        try:
            yield ["--homedir", home]
        finally:
            self._commands.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)
            shutil.rmtree(home, ignore_errors=True)

    def listed(self, public_keys: str) -> str:
        """What gpg reports about the keys in a text, in its lines with colons."""
        with self._own_ring() as home:
            argv = ["gpg", *home, "--batch", "--no-tty", "--with-colons", "--show-keys"]
            return self._commands.run(argv, stdin=public_keys, check=False).stdout

    def _forget(self, path: str) -> None:
        if os.path.lexists(path):
            os.unlink(path)


def _refuse_unfit(path: str, shortest: int) -> None:
    try:
        status = os.stat(path)
        with open(path, "rb") as file:
            first = file.readline().strip()
    except OSError as error:
        reason = str(error.strerror or error).lower()
        raise Refusal("passphrase_file", f"{path}: {reason}", "a readable file", "Correct the path, or its permissions.") from error
    if status.st_mode & 0o077:
        mode = f"{status.st_mode & 0o7777:04o}"
        raise Refusal("passphrase_file", f"{path} with mode {mode}", "a file only for its owner", f"Run `chmod 600 {path}`.")
    if not first:
        raise Refusal("passphrase_file", f"{path} without a first line", "a passphrase on its first line", "Write one into it.")
    length = len(first.decode("utf-8", "replace"))
    if length < shortest:
        found, required = f"{path} with a passphrase of {length} characters", f"at least {shortest} for new backups"
        raise Refusal("passphrase_file", found, required, f"Write a longer one into it, such as the output of `{RANDOM_PASSPHRASE}`.")


def _undecipherable(source: str, key: Key, answer: Completed) -> Refusal:
    said = answer.stderr
    subject = f"archive {source}"
    if "BAD_PASSPHRASE" in said:
        return Refusal(
            subject, "not opened by this passphrase", "the passphrase that it was encrypted with", "Set the file of the right passphrase."
        )
    if "[GNUPG:] CANCELED_BY_USER" in said or ("NEED_PASSPHRASE_SYM" in said and not key.passphrase_file):
        return Refusal(subject, "encrypted with a passphrase", "the passphrase", "Set its file in passphrase_file.")
    if "exceeded --max-output limit" in said:
        return Refusal(subject, "many times its size when it is decrypted", "an archive of backup.yml", "Use another archive.")
    if "No secret key" in said:
        return Refusal(subject, "encrypted for another key", "the secret key in your key ring", "Import it: `gpg --import`.")
    return Refusal(subject, f"damaged: {_said(answer)}", "a complete file from gpg", "Take the backup before it.")


def _said(answer: Completed) -> str:
    lines = [line.partition("gpg: ")[2] for line in answer.stderr.splitlines() if line.startswith("gpg: ")]
    return "; ".join(lines) or f"exit status {answer.status}"
