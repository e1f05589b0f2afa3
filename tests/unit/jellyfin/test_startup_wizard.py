# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jellyfin's startup wizard: what its answers mean. tests/cluster/test_jellyfin_wizard.py has the requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._jellyfin.wizard import Account, complete, is_complete, read_account
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal, Unavailable

from tests.unit.clock import START, Clock

Answer = tuple[int, dict[str, Any]]
INFO, OPEN, USER, COMPLETE = "/System/Info/Public", "/Startup/Configuration", "/Startup/User", "/Startup/Complete"
NO_PODS = (503, {"kind": "Status", "message": 'no endpoints available for service "jellyfin"'})


class Jellyfin:
    """Gives one answer after the other for each path, and the last one from then on; an error is raised."""

    namespace, subject = "films", "Service films/jellyfin"

    def __init__(self, answers: Mapping[str, list[Any]]) -> None:
        self.answers = answers
        self.submitted: list[tuple[str, Mapping[str, str]]] = []

    def fetch(self, path: str) -> Answer:
        return self._answer("get", path)

    def submit(self, path: str, content: Mapping[str, str]) -> Answer:
        self.submitted.append((path, content))
        return self._answer("post", path)

    def _answer(self, method: str, path: str) -> Answer:
        rest = self.answers[f"{method} {path}"]
        answer = rest.pop(0) if len(rest) > 1 else rest[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def says(completed: bool) -> Answer:
    return (200, {"StartupWizardCompleted": completed})


def test_a_completed_wizard_is_known_by_one_request() -> None:
    assert is_complete(Jellyfin({f"get {INFO}": [says(True)]}), Clock(), 10)


def test_an_open_wizard_is_one_whose_configuration_can_be_read() -> None:
    assert not is_complete(Jellyfin({f"get {INFO}": [says(False)], f"get {OPEN}": [(200, {})]}), Clock(), 10)


def test_a_jellyfin_that_starts_is_waited_for_although_it_says_that_its_wizard_is_open() -> None:
    """Jellyfin's server of its start says so of every Jellyfin, and has no other path."""
    clock = Clock()
    timed_out = Unavailable("Kubernetes API", "no complete answer within 30 s", "an answer", "Look.")
    starting = Jellyfin(
        {f"get {INFO}": [NO_PODS, timed_out, says(False), says(False), says(True)], f"get {OPEN}": [(503, {"message": "<html>"})]}
    )
    assert is_complete(starting, clock, 10)
    assert clock.time == START + 4


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({f"get {INFO}": [NO_PODS]}, 'HTTP status 503: no endpoints available for service "jellyfin"'),
        ({f"get {INFO}": [says(False)], f"get {OPEN}": [(503, {})]}, "HTTP status 503"),
        # completed between the two requests, by another client; the next look would see it
        ({f"get {INFO}": [says(False)], f"get {OPEN}": [(401, {})]}, "HTTP status 401"),
    ],
)
def test_a_jellyfin_that_does_not_answer_in_time_is_named_with_its_last_words(answers: Any, reason: str) -> None:
    with pytest.raises(Unavailable) as refused:
        is_complete(Jellyfin(answers), Clock(), 10)
    assert (refused.value.subject, refused.value.found) == ("Service films/jellyfin", f"no answer of Jellyfin within 10 s ({reason})")
    assert "kubectl logs --namespace films deployment/jellyfin" in refused.value.next_step


def test_the_user_is_asked_for_before_it_gets_its_name_and_password() -> None:
    fresh = Jellyfin({f"get {USER}": [(200, {"Name": "root"})], f"post {USER}": [(204, {})], f"post {COMPLETE}": [(204, {})]})
    complete(fresh, Account("admin", "secret"))
    assert fresh.submitted == [(USER, {"Name": "admin", "Password": "secret"}), (COMPLETE, {})]


@pytest.mark.parametrize("status", [401, 403])
def test_a_password_that_another_client_has_set_is_no_success(status: int) -> None:
    taken = Jellyfin({f"get {USER}": [(200, {})], f"post {USER}": [(status, {})], f"post {COMPLETE}": [(204, {})]})
    with pytest.raises(Refusal, match="another client has set the administrator's password") as refused:
        complete(taken, Account("admin", "secret"))
    assert "secret" not in str(refused.value)
    assert [path for path, _content in taken.submitted] == [USER]


def test_a_failed_request_is_named() -> None:
    failing = Jellyfin({f"get {USER}": [(200, {})], f"post {USER}": [(500, {"message": "Error processing request."})]})
    with pytest.raises(Unavailable, match=r"HTTP status 500: Error processing request\. for /Startup/User"):
        complete(failing, Account("admin", "secret"))


def test_without_a_password_nothing_is_completed() -> None:
    assert read_account("admin", None) is None
    assert read_account("admin", " se cret ") == Account("admin", " se cret ")


@pytest.mark.parametrize("password", ["", " ", "\n\t"])
def test_an_empty_password_is_an_error(password: str) -> None:
    """As if there were none, the wizard would stay open, and a playbook would report a password."""
    with pytest.raises(Refusal, match="password: found an empty text; required: the administrator's password"):
        read_account("admin", password)
