# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make lab SOURCE=published` downloads, what it says when it cannot, and which labs are made of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.cluster.published import why, wish
from tests.conftest import CHECKOUT
from tests.lab import Lab, __main__
from tests.lab.cache import installation_source
from tests.lab.say import LabError


def defaults(role: str) -> dict[str, object]:
    return yaml.safe_load((CHECKOUT / "roles" / role / "defaults" / "main.yml").read_text())


def test_every_image_that_the_roles_ask_for_is_downloaded() -> None:
    monitoring = defaults("monitoring")["monitoring_images"]
    assert isinstance(monitoring, dict)
    assert {*monitoring.values(), defaults("jellyfin")["jellyfin_image"]} < set(wish().more_images)
    module = yaml.safe_load((CHECKOUT / "plugins" / "modules" / "pod_network_check.py").read_text().split('r"""')[1].split('"""')[0])
    assert module["options"]["image"]["default"] in wish().more_images


URL = "https://dl.k8s.io/release/v1.36.4/bin/linux/amd64/kubelet"
CURL = f"++ curl -fsSL --retry 3 -o kubernetes-1.36.4/bin/kubelet {URL}"
SKOPEO = (
    "+ skopeo --command-timeout 30m copy --quiet docker://registry.k8s.io/pause:3.10.2 oci-archive:pause.tar:registry.k8s.io/pause:3.10.2"
)


@pytest.mark.parametrize(
    ("status", "lines", "expected"),
    [
        (
            22,
            [CURL, "curl: (22) The requested URL returned error: 404"],
            f"{URL}: found curl: (22) The requested URL returned error: 404; required: the file ",
        ),
        (
            1,
            [SKOPEO, 'time="2026-11-29" level=fatal msg="manifest unknown"'],
            'registry.k8s.io/pause:3.10.2: found time="2026-11-29" level=fatal msg="manifest unknown"; required: the image, whole',
        ),
        (124, [SKOPEO], "registry.k8s.io/pause:3.10.2: found no end within 7200 s; required: the image"),
        (
            1,
            [CURL, f"+ echo '{'a' * 64}  kubernetes-1.36.4/bin/kubelet'", "+ sha256sum --check", "kubernetes-1.36.4/bin/kubelet: FAILED"],
            f"kubernetes-1.36.4/bin/kubelet: found another checksum; required: sha256 {'a' * 64}, as published.",
        ),
        (
            127,
            ["bash: mkdir: command not found"],
            "installation-sources.md: found bash: mkdir: command not found; required: a run to its end.",
        ),
    ],
)
def test_what_ended_the_recipe_is_named(status: int, lines: list[str], expected: str) -> None:
    assert expected in why(status, lines)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(__main__, "set_up", lambda **_options: None)
    monkeypatch.setattr(__main__, "make_published_source", lambda: tmp_path / "published")
    return Lab("some")


def test_a_lab_stays_what_it_is_made_of(lab: Lab, tmp_path: Path) -> None:
    __main__.choose_source(lab, None)
    assert lab.source == installation_source()
    for wanted in ("published", None, "published"):
        __main__.choose_source(lab, wanted)
        assert lab.source.readlink() == tmp_path / "published"
    # without a cluster it may become another
    __main__.choose_source(lab, "compiled")
    assert lab.source == installation_source()


@pytest.mark.parametrize(("made_of", "wanted"), [("published", "compiled"), ("compiled", "published")])
def test_a_cluster_is_not_installed_from_another_source(lab: Lab, made_of: str, wanted: str) -> None:
    __main__.choose_source(lab, made_of)
    lab.directory.mkdir(parents=True, exist_ok=True)
    lab.kubeconfig.touch()
    with pytest.raises(LabError, match=f"lab some: found a cluster of {made_of} programs and images; required: none, or SOURCE={made_of}"):
        __main__.choose_source(lab, wanted)
    assert lab.is_published == (made_of == "published")
