# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks many ports of many hosts at once, over HTTP or by a mere connection. Nothing passes through a proxy."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from .judge import Answer, Question

AT_ONCE = 64


class NodePortVisitor:
    """Asks from this host."""

    def ask(self, questions: Sequence[Question], seconds: float) -> list[Answer]:
        """All at once; the answers in the order of the questions. seconds: the longest that one may take to connect, and then to answer."""
        if not questions:
            return []
        with ThreadPoolExecutor(max_workers=min(AT_ONCE, len(questions))) as pool:
            return list(pool.map(lambda question: _ask(question, seconds), questions))


def _ask(question: Question, seconds: float) -> Answer:
    try:
        if not question.path:
            socket.create_connection((question.node.address, question.port), timeout=seconds).close()
            return Answer()
        connection = http.client.HTTPConnection(question.node.address, question.port, timeout=seconds)
        try:
            connection.request("GET", question.path, headers={"User-Agent": "vmstation.cluster"})
            return Answer(status=connection.getresponse().status)
        finally:
            connection.close()
    except socket.timeout:
        return Answer(problem=f"no answer within {seconds:g} s", silent_to=_address_towards(question))
    except OSError as error:
        return Answer(problem=(error.strerror or str(error) or type(error).__name__).lower())
    except (http.client.HTTPException, ValueError) as error:
        return Answer(problem=f"no HTTP: {error or type(error).__name__}")


def _address_towards(question: Question) -> str:
    """This host's address on the way to a node; empty if there is none. Nothing is sent."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in question.node.address else socket.AF_INET, socket.SOCK_DGRAM) as towards:
            towards.connect((question.node.address, question.port))
            return str(towards.getsockname()[0])
    except OSError:
        return ""
