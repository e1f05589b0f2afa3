# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's installation source without a compiler: the recipe of docs/installation-sources.md, as it is there, for the pinned releases."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.busybox import NAME as BUSYBOX
from tests.cluster.monitoring_images import REAL, STAND_INS, wanted
from tests.cluster.programs import PROGRAMS
from tests.lab.cache import CHECKOUT, cache, digest, locked
from tests.lab.say import LabError, Progress, mortal, step

DOCUMENT = CHECKOUT / "docs" / "installation-sources.md"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
PATIENCE = 7200.0  # seconds for everything: about 1.5 GB
AGAIN = "run the same command again. What is complete is kept"

# bash -x writes these before it runs what they stand for
_COMMAND = re.compile(r"^\++ (?P<program>curl|skopeo) (?P<rest>.*)$")
_CHECKSUM = re.compile(r"^\++ echo '(?P<sum>\S*)  (?P<file>\S+)'$")


@dataclass(frozen=True)
class Wish:
    """The variables of the recipe."""

    release: str
    calico: str
    calico_sha256: str
    arch: str
    more_images: tuple[str, ...]

    def environment(self) -> dict[str, str]:
        return {**self.__dict__, "more_images": " ".join(self.more_images)}


def recipe() -> str:
    """The document's one block of bash."""
    blocks = re.findall(r"^```bash\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    if len(blocks) != 1:
        raise LabError(f"{DOCUMENT}: found {len(blocks)} blocks of bash; required: one. Mark other blocks as `sh`.")
    return str(blocks[0])


def wish() -> Wish:
    """The releases that are compiled otherwise, and every image that the roles and the checks ask for."""
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise LabError(f"this machine: found architecture {machine}; required: one of {', '.join(ARCHITECTURES)}. Use another machine.")
    calico = PROGRAMS["calico-node"].release.removeprefix("v")
    return Wish(
        release=role_value("roles/node/defaults/main.yml", "node_kubernetes_release"),
        calico=calico,
        calico_sha256=manifest_checksum(calico),
        arch=ARCHITECTURES[machine],
        more_images=(*map(wanted, (*REAL, *(name for name in STAND_INS if name != "jellyfin"))), jellyfin_image(), BUSYBOX),
    )


def jellyfin_image() -> str:
    return role_value("roles/jellyfin/defaults/main.yml", "jellyfin_image")


def manifest_checksum(calico: str) -> str:
    """That of the manifest of a release of Calico, as the role knows it."""
    return role_value("roles/calico/vars/main.yml", f"_calico_manifest_checksums:\n(?:  .*\n)*?  {re.escape(calico)}")


def role_value(path: str, key: str) -> str:
    """A variable of a role. The Python that sets the lab up has no YAML."""
    found = re.findall(rf"^{key}: (\S+)$", (CHECKOUT / path).read_text(), re.MULTILINE)
    if len(found) != 1:
        raise LabError(f"{path}: found {len(found)} lines `{key.strip()}: VALUE`; required: one")
    return str(found[0])


def make_published_source() -> Path:
    """The directory, complete; downloaded if it is not there yet."""
    wanted, text = wish(), recipe()
    directory = cache() / "cluster" / f"published-{digest(text, *wanted.environment().values())}"
    part = directory.with_name(f".{directory.name}.part")
    with locked("published-source"):
        if not directory.exists():
            part.mkdir(parents=True, exist_ok=True)
            with step(f"downloading Kubernetes {wanted.release}, Calico {wanted.calico} and images to {directory}") as progress:
                _follow(text, wanted, part, progress)
            (part / f"kubernetes-{wanted.release}").rename(directory)
            shutil.rmtree(part)
    return directory


def _follow(text: str, wanted: Wish, directory: Path, progress: Progress) -> None:
    """Run the recipe. Only what it prints tells how far it is, and why it ended."""
    lines: list[str] = []
    with subprocess.Popen(
        mortal(["timeout", f"{PATIENCE:.0f}", "bash", "-x", "-c", text]), env={**os.environ, **wanted.environment()}, cwd=directory,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    ) as process:  # fmt: skip
        assert process.stdout
        for line in map(str.rstrip, process.stdout):
            lines.append(line)
            if command := _COMMAND.match(line):
                progress.at(subject_of(command["program"], command["rest"]))
    if process.returncode:
        raise LabError(why(process.returncode, lines))


def subject_of(program: str, arguments: str) -> str:
    """The address or the image that a command of the recipe downloads."""
    kind = r"https://\S+" if program == "curl" else r"docker://\S+"
    found = re.findall(kind, arguments)
    return str(found[-1]).removeprefix("docker://") if found else arguments


def why(status: int, lines: Sequence[str]) -> str:
    """What ended the recipe, of all that it has printed."""
    said = [line for line in lines if line and not line.startswith("+")]
    if damaged := next((line.removesuffix(": FAILED") for line in said if line.endswith(": FAILED")), ""):
        sums = {found["file"]: found["sum"] for line in lines if (found := _CHECKSUM.match(line))}
        fix = f"Something between its publisher and this machine changes it, or it is being published: wait, and {AGAIN}."
        return f"{damaged}: found another checksum; required: sha256 {sums[damaged]}, as published. {fix}"
    command = next((found for line in reversed(lines) if (found := _COMMAND.match(line))), None)
    message = said[-1] if said else f"status {status}"
    if status == 124:
        message = f"no end within {PATIENCE:.0f} s"
    if command is None:
        return f"recipe of {DOCUMENT}: found {message}; required: a run to its end. Correct it, and {AGAIN}."
    subject = subject_of(command["program"], command["rest"])
    required = "the file as it is published" if command["program"] == "curl" else "the image, whole, from its registry"
    return f"{subject}: found {message}; required: {required}. See that this machine reaches that address, and {AGAIN}."
