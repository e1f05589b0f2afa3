# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Receivers of each kind, with every key."""

from __future__ import annotations

from typing import Any

SECRET = "s3cr3t"
RECEIVERS: list[dict[str, Any]] = [
    {
        "name": "mail",
        "email": {
            "to": ["one@example.org", "two@example.org"],
            "from": "cluster@example.org",
            "smarthost": "smtp.example.org:587",
            "username": "cluster",
            "password": f"{SECRET}-mail",
            "require_tls": True,
        },
    },
    {"name": "phone", "critical_only": True, "ntfy": {"url": f"https://ntfy.example.org/{SECRET}-topic", "token": f"{SECRET}-ntfy"}},
    {"name": "chat", "telegram": {"chat_id": -1001234567890, "token": f"{SECRET}-bot"}},
    {"name": "hook", "webhook": {"url": f"http://192.168.4.20:8080/{SECRET}-hook"}},
]
HEARTBEAT = {"url": f"https://watch.example.org/{SECRET}-beat", "interval": "10m"}
