# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel settings, there and back, on a kernel that is a dictionary."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._kernel import io
from ansible_collections.vmstation.cluster.plugins.module_utils._kernel.settings import Change, carry_out, plan, read_wish
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

PATH = "/etc/sysctl.d/99-vmstation-kubernetes.conf"
RECORD = f"{PATH}.former"
BARE = {"net.ipv4.ip_forward": "0", "net.ipv4.conf.all.accept_redirects": "0", "kernel.panic": "0", "net.core.somaxconn": "4096"}
SETTINGS = {"net.ipv4.ip_forward": 1}


class Host:
    """A kernel and the files beside it. ip_forward switches accept_redirects, as the real one does."""

    def __init__(self) -> None:
        self.settings, self.files = dict(BARE), {}
        self.stubborn = ""

    def read(self, name: str) -> str | None:
        return self.settings.get(name)

    def write(self, name: str, value: str) -> None:
        if name == self.stubborn:
            return
        if name == "net.ipv4.ip_forward" and self.settings[name] != value:
            self.settings["net.ipv4.conf.all.accept_redirects"] = "0" if value == "1" else "1"
        self.settings[name] = value

    def replace_all(self, contents: Mapping[str, str | None]) -> None:
        self.files = {path: text for path, text in {**self.files, **contents}.items() if text is not None}

    def ensure(self, state: str = "present", settings: Mapping[str, object] | None = None, *, predict: bool = False) -> Change:
        wish = read_wish({"path": PATH, "settings": settings or SETTINGS, "state": state})
        change = plan(wish, self, self.files.get)
        if not predict:
            carry_out(wish, change, self, self.replace_all)
        return change


def test_settings_are_in_force_and_in_the_file_and_what_they_were_is_kept() -> None:
    host = Host()
    told = host.ensure().as_result()
    assert told["changed"]
    assert told["changes"] == ["net.ipv4.ip_forward: 0 -> 1"]
    assert told["diff"] == {"before": "net.ipv4.ip_forward=0\n", "after": "net.ipv4.ip_forward=1\n"}
    assert host.settings["net.ipv4.ip_forward"] == "1"
    assert host.files == {
        PATH: "net.ipv4.ip_forward=1\n",
        RECORD: "net.ipv4.ip_forward=0\nnet.ipv4.conf.all.accept_redirects=0\nkernel.panic=0\n",
    }
    assert not host.ensure().as_result()["changed"]


def test_all_becomes_what_it_was_what_others_changed_too() -> None:
    host = Host()
    host.ensure()
    host.settings["kernel.panic"] = "10"
    host.ensure(settings={**SETTINGS, "net.core.somaxconn": 9000})
    told = host.ensure("absent").as_result()
    assert host.settings == {**BARE, "net.core.somaxconn": "9000"}
    assert (told["changed"], host.files) == (True, {})
    assert not host.ensure("absent").as_result()["changed"]


def test_killed_before_the_record_goes_the_next_run_gives_back_what_is_left() -> None:
    host = Host()
    host.ensure()
    del host.files[PATH]
    host.ensure("absent")
    assert (host.settings, host.files) == (BARE, {})


@pytest.mark.parametrize("state", ["present", "absent"])
def test_check_mode_predicts_and_touches_nothing(state: str) -> None:
    host = Host()
    if state == "absent":
        host.ensure()
    before = (dict(host.settings), dict(host.files))
    assert host.ensure(state, predict=True).as_result()["changed"]
    assert (host.settings, host.files) == before


def test_a_setting_that_is_not_there_is_named_with_its_module() -> None:
    with pytest.raises(Refusal, match=r"net\.bridge\.bridge-nf-call-iptables: found not there; .*br_netfilter"):
        Host().ensure(settings={"net.bridge.bridge-nf-call-iptables": 1})


def test_a_setting_that_does_not_hold_is_no_success() -> None:
    host = Host()
    host.stubborn = "net.ipv4.ip_forward"
    with pytest.raises(Refusal, match="found 0 after it was set"):
        host.ensure()


@pytest.mark.parametrize(
    ("option", "value"),
    [("settings", {"ip_forward": 1}), ("settings", {"net.ipv4/../../etc": 1}), ("settings", {"a.b": ""}), ("path", "x")],
)
def test_bad_options_are_refused(option: str, value: object) -> None:
    with pytest.raises(Refusal, match=option):
        read_wish({"path": PATH, "settings": SETTINGS, "state": "present", option: value})


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
        ("net.ipv4.conf.eth0/100.rp_filter", "net/ipv4/conf/eth0.100/rp_filter"),
        ("net/ipv4/conf/eth0.100/rp_filter", "net/ipv4/conf/eth0.100/rp_filter"),
    ],
)
def test_a_name_means_what_it_means_to_sysctl(name: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """sysctl.d(5): if the first separator is a slash, dots stay; else dots and slashes are swapped."""
    monkeypatch.setattr(io, "ROOT", str(tmp_path))
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text("2\n")
    assert read_wish({"path": PATH, "state": "present", "settings": {name: 1}}).settings == {name: "1"}
    assert io.LocalKernel().read(name) == "2"
    io.LocalKernel().write(name, "1")
    assert (tmp_path / path).read_text() == "1"
