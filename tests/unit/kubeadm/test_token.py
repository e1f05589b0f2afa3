# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bootstrap tokens: which are ours, what is made and removed, and that no message holds a secret."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import Completed
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.join import (
    DESCRIPTION,
    Host,
    Outcome,
    Wish,
    ensure_tokens,
    read_tokens,
    refuse_ttl,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.kubeadm.authority import HASH, KUBECONFIG

ADMIN = "/etc/kubernetes/admin.conf"
OURS = {"token": {"id": "aaaaaa", "secret": "0123456789abcdef"}, "description": DESCRIPTION, "kind": "BootstrapToken"}
OTHER = {"token": "bbbbbb.0123456789abcdef", "description": "the owner's own"}
PLAIN = {"token": "cccccc.0123456789abcdef"}
MADE = "x4kq0v.9zzzzzzzzzzzzzzz"


class Kubeadm:
    """kubeadm token, with the tokens that it is given."""

    def __init__(self, *tokens: dict[str, object]) -> None:
        self.tokens = list(tokens)
        self.calls: list[tuple[str, ...]] = []
        self.failures: list[str] = []
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def has(self, program: str) -> bool:
        return program == "kubeadm"

    def run(self, argv: Sequence[str], *, stdin: str = "", timeout: float = 60.0, check: bool = True) -> Completed:
        assert (argv[:2], argv[-2:]) == (["kubeadm", "token"], ["--kubeconfig", ADMIN])
        words = tuple(argv[2:-2])
        self.calls.append(words)
        output = ""
        if words[0] == "list":
            output = "\n".join(json.dumps(token, indent=2) for token in self.tokens)
        if self.failures:
            failure = self.failures.pop(0)
            if check:
                raise Refusal("command", f"exit status 1: {failure}", "exit status 0", "Correct it.")
            return Completed(tuple(argv), 1, "", failure)
        if words[0] == "create":
            output = f"W1123 07:00:00 some warning\n{MADE}\n"
        return Completed(tuple(argv), 0, output, "")


class Files:
    def __init__(self, text: str | None = KUBECONFIG) -> None:
        self.text = text

    def read(self, path: str) -> str | None:
        return self.text


def ensured(kubeadm: Kubeadm, state: str, *, files: Files | None = None, predict: bool = False) -> Outcome:
    return ensure_tokens(Host(kubeadm, files or Files(), kubeadm), Wish(state, "30m", ADMIN), predict)


BUSY = "error: failed to list bootstrap tokens: net/http: request canceled (Client.Timeout exceeded while awaiting headers)"


def test_an_api_server_that_is_busy_is_asked_again() -> None:
    kubeadm = Kubeadm(OURS)
    kubeadm.failures = [BUSY, BUSY]
    assert ensured(kubeadm, "absent").removed == ["aaaaaa"]
    assert kubeadm.time == 4


def test_one_that_stays_so_is_what_is_reported() -> None:
    kubeadm = Kubeadm()
    kubeadm.failures = [BUSY] * 100
    with pytest.raises(Refusal, match="Timeout exceeded"):
        ensured(kubeadm, "absent")
    assert kubeadm.time == 60


def test_what_asking_again_does_not_mend_is_reported_at_once() -> None:
    kubeadm = Kubeadm()
    kubeadm.failures = ["error: x509: certificate signed by unknown authority"] * 2
    with pytest.raises(Refusal, match="unknown authority"):
        ensured(kubeadm, "absent")
    assert kubeadm.time == 0


def test_present_removes_ours_and_makes_one() -> None:
    kubeadm = Kubeadm(OURS, OTHER, PLAIN)
    outcome = ensured(kubeadm, "present")
    assert outcome == Outcome(True, "192.168.4.63:6443", (HASH,), MADE, ["aaaaaa"])
    assert kubeadm.calls[1:] == [("delete", "aaaaaa"), ("create", "--ttl", "30m", "--description", DESCRIPTION)]


def test_absent_removes_ours_and_no_other() -> None:
    kubeadm = Kubeadm(OTHER, OURS, PLAIN)
    assert ensured(kubeadm, "absent") == Outcome(True, "192.168.4.63:6443", (HASH,), "", ["aaaaaa"])
    assert kubeadm.calls[1:] == [("delete", "aaaaaa")]


def test_absent_changes_nothing_where_none_is_ours() -> None:
    kubeadm = Kubeadm(OTHER)
    assert not ensured(kubeadm, "absent").changed
    assert [words[0] for words in kubeadm.calls] == ["list"]


@pytest.mark.parametrize("state", ["present", "absent"])
def test_check_mode_only_looks(state: str) -> None:
    kubeadm = Kubeadm(OURS)
    outcome = ensured(kubeadm, state, predict=True)
    assert (outcome.changed, outcome.token, outcome.endpoint) == (True, "", "192.168.4.63:6443")
    assert [words[0] for words in kubeadm.calls] == ["list"]


@pytest.mark.parametrize(("state", "changed"), [("present", True), ("absent", False)])
def test_check_mode_predicts_for_a_control_plane_that_is_yet_to_come(state: str, changed: bool) -> None:
    assert ensured(Kubeadm(), state, files=Files(None), predict=True) == Outcome(changed)


@pytest.mark.parametrize("text", [None, "apiVersion: v1\nkind: Config\n", "clusters:\n- cluster:\n    server: https://192.168.4.63:6443\n"])
def test_a_host_that_is_no_control_plane_is_refused(text: str | None) -> None:
    with pytest.raises(Refusal, match="kubeconfig /etc/kubernetes/admin"):
        ensured(Kubeadm(), "absent", files=Files(text))


@pytest.mark.parametrize(
    "text", ["no JSON at all 0123456789abcdef", '{"description": "x"}', "[1]", '{"token": {"secret": "0123456789abcdef"}}']
)
def test_a_list_that_is_not_understood_is_refused_without_a_word_of_it(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        list(read_tokens(text))
    assert "0123456789abcdef" not in str(refused.value)


def test_no_secret_shows_in_an_outcome() -> None:
    assert MADE not in repr(ensured(Kubeadm(), "present"))


@pytest.mark.parametrize("ttl", ["30m", "1h30m", "90s", "24h"])
def test_a_time_to_live_of_up_to_a_day_is_taken(ttl: str) -> None:
    refuse_ttl(ttl)


@pytest.mark.parametrize("ttl", ["", "0", "0s", "30", "-5m", "25h", "1d", "m"])
def test_any_other_is_refused(ttl: str) -> None:
    with pytest.raises(Refusal, match="ttl"):
        refuse_ttl(ttl)
