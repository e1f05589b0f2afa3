# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands of an interface's wake-up, and what must change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._nic.ethtool import MAGIC, WakeOn
from ansible_collections.vmstation.cluster.plugins.module_utils._nic.link_file import LinkFile
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

State = Literal["present", "absent"]
Keeper = Literal["NetworkManager", "systemd.link"]


@dataclass(frozen=True)
class Standing:
    """An interface as it was found.

    keeper: who sets it up at boot. profile, profile_is_magic: NetworkManager's active connection and whether it wakes on magic packets.
    link_file: what must stand for systemd; None: the administrator's own file does. files: the present texts of the files that may be
    ours; None: there is no such file.
    """

    interface: str
    mac: str
    wake_on: WakeOn
    keeper: Keeper
    link_file: Optional[LinkFile]
    files: Mapping[str, Optional[str]]
    profile: str = ""
    profile_is_magic: bool = False

    @property
    def is_persistent(self) -> bool:
        if self.keeper == "NetworkManager":
            return self.profile_is_magic
        return self.link_file is None or self.files.get(self.link_file.path) == self.link_file.text


@dataclass(frozen=True)
class Change:
    """What must be done. wake_on: the letters to set now. profile_is_magic: what the profile must say. None: nothing to do."""

    wake_on: Optional[str] = None
    profile_is_magic: Optional[bool] = None
    files: Mapping[str, Optional[str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.wake_on is not None or self.profile_is_magic is not None or bool(self.files)


def plan_change(standing: Standing, state: State) -> Change:
    """What makes ``state`` true. Refuses an interface whose NetworkManager has nowhere to write it.

    An interface that cannot wake its host is left alone; what an earlier run wrote can still be removed."""
    present = state == "present"
    if present and not standing.wake_on.can_magic:
        return Change()
    by_profile = standing.keeper == "NetworkManager"
    if present and by_profile and not standing.profile:
        raise Refusal(
            f"interface {standing.interface}",
            "managed by NetworkManager without an active connection",
            "an active connection, whose profile can hold the setting",
            f"Activate one with `nmcli device connect {standing.interface}`.",
        )
    wanted: dict[str, Optional[str]] = dict.fromkeys(standing.files)
    if present and not by_profile and standing.link_file is not None:
        wanted[standing.link_file.path] = standing.link_file.text
    wake_on = None
    if standing.wake_on.has_magic != present:
        wake_on = MAGIC if present else standing.wake_on.without_magic()
    return Change(
        wake_on=wake_on,
        profile_is_magic=present if by_profile and standing.profile_is_magic != present else None,
        files={path: text for path, text in wanted.items() if standing.files.get(path) != text},
    )


def after(standing: Standing, change: Change) -> dict[str, Any]:
    """What is reported: the interface as it is once ``change`` is made."""
    changed = replace(
        standing,
        wake_on=standing.wake_on if change.wake_on is None else replace(standing.wake_on, enabled=change.wake_on),
        profile_is_magic=standing.profile_is_magic if change.profile_is_magic is None else change.profile_is_magic,
        files={**standing.files, **change.files},
    )
    return {
        "interface": standing.interface,
        "mac": standing.mac,
        "supported": standing.wake_on.can_magic,
        "runtime": changed.wake_on.has_magic,
        "persistent": changed.is_persistent,
        "kept_by": standing.keeper,
    }


def diff(standing: Standing, change: Change) -> list[dict[str, str]]:
    """The wake-up of the interface, and each file that changes, before and after."""
    header = f"wake-up of {standing.interface}"
    summaries = [after(standing, Change()), after(standing, change)]
    before_text, after_text = ("".join(f"{key}: {summary[key]}\n" for key in ("runtime", "persistent")) for summary in summaries)
    differences = [{"before_header": header, "after_header": header, "before": before_text, "after": after_text}]
    for path, text in change.files.items():
        differences.append({"before_header": path, "after_header": path, "before": standing.files.get(path) or "", "after": text or ""})
    return differences


def findings(standing: Standing, state: State) -> list[Finding]:
    if state == "absent" or standing.wake_on.can_magic:
        return []
    supported = standing.wake_on.supported
    return [
        Finding(
            rule="interface_can_wake_its_host",
            severity="warning",
            subject=f"interface {standing.interface} ({standing.mac})",
            found=f"wake-up modes `{supported}`, without g" if supported else "no wake-up modes at all",
            expected="`Supports Wake-on` with g, the magic packet",
            fix="Turn wake on LAN on in the firmware setup, use another network card, or set `sleeps: false` for this host.",
        )
    ]
