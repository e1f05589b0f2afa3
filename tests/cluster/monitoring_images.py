# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of the roles monitoring and jellyfin: programs that go.mod pins under their own names, stand-ins under names that say so."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.build import build
from tests.cluster.oci import Image, ensure_archive
from tests.cluster.programs import HERE, PROGRAMS, go, version
from tests.lab.cache import CHECKOUT, cache, digest
from tests.lab.say import LabError

NOBODY = "65534:65534"


@dataclass(frozen=True)
class Real:
    """Programs by their path in the image, as upstream has them; the first is what runs."""

    programs: Mapping[str, str]
    user: str = NOBODY


@dataclass(frozen=True)
class StandIn:
    """What takes the place of a program: it answers the path by which that says that it is well, and /metrics.

    logs: the directory in which Loki's keeps the lines that are pushed to it. wizard: that in which Jellyfin's keeps its administrator.
    """

    port: int
    health: str
    user: str
    logs: str = ""
    wizard: str = ""

    def environment(self, program: str) -> dict[str, str]:
        kept = {"STAND_IN_LOGS": self.logs, "STAND_IN_WIZARD": self.wizard}
        return {"STAND_IN_FOR": program, "STAND_IN_PORT": str(self.port), "STAND_IN_HEALTH": self.health, **kept}

    @staticmethod
    def image(program: str) -> str:
        return f"localhost/stand-in/{program}:1"


REAL = {
    "prometheus": Real({"/bin/prometheus": "prometheus", "/bin/promtool": "promtool"}),
    "alertmanager": Real({"/bin/alertmanager": "alertmanager", "/bin/amtool": "amtool"}),
    "node_exporter": Real({"/bin/node_exporter": "node_exporter"}),
    "kube_state_metrics": Real({"/kube-state-metrics": "kube-state-metrics"}),
}
# Alloy and Jellyfin are no Go modules that can be had; what is under the AGPL is not built here, as Grafana and Loki are
STAND_INS = {
    "grafana": StandIn(3000, "/api/health", "472:472"),
    "loki": StandIn(3100, "/ready", "10001:10001", "/loki"),
    "alloy": StandIn(12345, "/-/ready", "0:0"),
    "jellyfin": StandIn(8096, "/health", "1000:1000", wizard="/config"),
}


def monitoring_images() -> dict[str, Path]:
    """The archive of every image, those made that are missing; builds the programs that they need."""
    return dict(map(real_image, REAL)) | {StandIn.image(program): _stand_in(program, facts) for program, facts in STAND_INS.items()}


def wanted(image: str) -> str:
    """The name by which the role asks for the image of a program."""
    defaults = CHECKOUT / "roles" / "monitoring" / "defaults" / "main.yml"
    named = re.findall(rf"^  {image}: (\S+:\S+)$", defaults.read_text(), re.MULTILINE)
    if len(named) != 1:
        raise LabError(f"{defaults}: found {len(named)} images of {image}, required one")
    return str(named[0])


def real_image(image: str) -> tuple[str, Path]:
    """The name by which the role asks for it and its archive, made if it is missing; builds the programs that it needs."""
    name, facts = wanted(image), REAL[image]
    pinned = {version(PROGRAMS[program]) for program in facts.programs.values()}
    if pinned != {name.rpartition(":")[2]}:
        raise LabError(f"the role monitoring asks for {name}; the go.mod below {HERE} and programs.py pin {' '.join(sorted(pinned))}")
    files = dict(zip(facts.programs, build(list(facts.programs.values()))))
    return name, _ensure(Image(name, [next(iter(facts.programs))], files, user=facts.user, architecture=go("env", "GOARCH")))


def _stand_in(program: str, facts: StandIn) -> Path:
    environment = facts.environment(program)
    files = {"/bin/stand-in": build(["stand-in"])[0]}
    name = StandIn.image(program)
    return _ensure(Image(name, ["/bin/stand-in"], files, user=facts.user, environment=environment, architecture=go("env", "GOARCH")))


def _ensure(image: Image) -> Path:
    # programs' paths are named after what they are made from
    facts = (str(image), Path(__file__).with_name("oci.py").read_text())
    path = cache() / "cluster" / f"monitoring-images-{digest(*facts)}" / f"{image.name.replace('/', '_').replace(':', '_')}.tar"
    return ensure_archive(path, image.name, lambda: image)
