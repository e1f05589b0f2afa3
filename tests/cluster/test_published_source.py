# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recipe for an installation directory in the document, as `make lab SOURCE=published` runs it: real curl and skopeo, local servers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.check import judge
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.io import LocalDirectory, sha256_of
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.model import Expected

from tests.cluster.build import missing
from tests.cluster.calico_images import calico_manifest
from tests.cluster.published import manifest_checksum, recipe, role_value, wish
from tests.cluster.publisher import ASKED, DAMAGED, ENDLESS, MISSING, SMALL, published_to
from tests.cluster.source import make_source
from tests.lab.cache import CHECKOUT
from tests.lab.machine import PUBLISHED, has, path
from tests.lab.say import LabError

# it takes minutes to publish all programs
pytestmark = pytest.mark.thorough

PROGRAMS = f"dl.k8s.io/release/v{wish().release}/bin/linux/{wish().arch}"
MANIFEST = f"raw.githubusercontent.com/projectcalico/calico/v{wish().calico}/manifests/calico.yaml"
COMPILERS = ("go", "gcc", "cc")


@pytest.fixture(autouse=True, scope="module")
def _possible() -> None:
    reasons = ["not root"] * (os.geteuid() != 0)
    reasons += [f"no {program}" for program in (*PUBLISHED, "openssl") if not has(program)]
    try:
        reasons += [f"not built: {name}" for name in missing(())]
    except LabError as error:
        reasons.append(str(error))
    if reasons:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(", ".join(reasons))
    make_source()


class Machine:
    """A new machine without a compiler: a cache of its own, and nothing of the network but publishers."""

    def __init__(self, directory: Path) -> None:
        self.publisher, self.cache, self.compilers = (directory / name for name in ("publisher", "cache", "compilers"))
        for made in (self.publisher, self.cache, self.compilers):
            made.mkdir()
        (self.publisher / SMALL).touch()
        for name in COMPILERS:
            (self.compilers / name).write_text(f'#!/bin/sh\necho "$0 $*" >> {self.compilers}/ran\nexit 1\n')
            (self.compilers / name).chmod(0o755)
        self.environment = {
            "PATH": f"{self.compilers}:{path()}",
            "HOME": str(directory),
            # the publisher reads what was compiled; the command has a cache of its own
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"),
        }
        self.command = ["env", f"XDG_CACHE_HOME={self.cache}", sys.executable, "-m", "tests.cluster", "source", "--published"]

    def run(self, *, network: bool = True) -> str:
        argv = published_to(self.publisher, self.command) if network else ["unshare", "--net", *self.command]
        return subprocess.run(argv, env=self.environment, capture_output=True, text=True, check=False, timeout=120, cwd=CHECKOUT).stdout

    def publish(self, **paths: str) -> None:
        """missing, damaged or endless: a path that is so from now on."""
        for name in (MISSING, DAMAGED, ENDLESS):
            (self.publisher / name).write_text(paths.get(name, ""))

    def asked(self) -> list[str]:
        log = self.publisher / ASKED
        return log.read_text().split() if log.exists() else []

    def sources(self) -> list[Path]:
        return list((self.cache / "vmstation" / "cluster").glob("published-*"))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_it_is_complete_and_right_and_nothing_is_compiled_or_downloaded_twice(machine: Machine) -> None:
    output = machine.run()
    (source,) = machine.sources()
    assert output.splitlines()[-1] == str(source)
    verdict = judge({"path": str(source), "kind": "directory"}, Expected("1.36", wish().release), LocalDirectory)
    assert [finding for finding in verdict.findings if finding.severity != "warning"] == []
    assert verdict.installation
    images = {image["name"] for image in verdict.installation.values["images"]["control_plane"]}
    assert images > set(wish().more_images)
    assert not (machine.compilers / "ran").exists()
    assert machine.asked()
    (machine.publisher / ASKED).unlink()
    assert machine.run().splitlines()[-1] == str(source)
    assert machine.asked() == []


COREDNS = "registry.k8s.io/v2/coredns/coredns"
FAULTS: dict[str, tuple[dict[str, str], str]] = {
    "a damaged program": (
        {DAMAGED: f"{PROGRAMS}/kubeadm"},
        f"kubernetes-{wish().release}/bin/kubeadm: found another checksum; required: sha256 ",
    ),
    "a damaged manifest": (
        {DAMAGED: MANIFEST},
        f"kubernetes-{wish().release}/manifests/calico.yaml: found another checksum; required: sha256 {wish().calico_sha256}",
    ),
    "a damaged image": ({DAMAGED: f"{COREDNS}/blobs/*"}, "registry.k8s.io/coredns/coredns:v1.14.2: found "),
    "no checksum": (
        {MISSING: f"{PROGRAMS}/kubelet.sha256"},
        f"https://{PROGRAMS}/kubelet.sha256: found curl: (22) ",
    ),
    "no manifest": (
        {MISSING: MANIFEST},
        f"https://{MANIFEST}: found curl: (22) The requested URL returned error: 404; required: ",
    ),
    "no image": ({MISSING: f"{COREDNS}/manifests/*"}, "registry.k8s.io/coredns/coredns:v1.14.2: found "),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(fault: str, machine: Machine) -> None:
    published, error = FAULTS[fault]
    machine.publish(**published)
    output = machine.run()
    assert error in output, output
    assert "What is complete is kept." in output
    assert machine.sources() == []


def test_a_killed_run_is_completed_by_the_next_which_keeps_what_came_whole(machine: Machine) -> None:
    machine.publish(endless=f"{PROGRAMS}/kubectl")
    argv = published_to(machine.publisher, machine.command)
    with subprocess.Popen(argv, env=machine.environment, cwd=CHECKOUT, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while f"{PROGRAMS}/kubectl" not in machine.asked():
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.1)
        time.sleep(0.5)
        process.send_signal(signal.SIGKILL)
    assert machine.sources() == []
    machine.publish()
    machine.run()
    (source,) = machine.sources()
    assert judge({"path": str(source), "kind": "directory"}, Expected("1.36"), LocalDirectory).installation
    assert [machine.asked().count(f"{PROGRAMS}/{name}") for name in ("kubeadm", "kubectl")] == [1, 2]


def test_a_machine_without_a_network_is_told_so(machine: Machine) -> None:
    assert f"https://{PROGRAMS}/kubeadm.sha256: found curl: (6) Could not resolve host: dl.k8s.io; required: " in machine.run(network=False)


def test_the_manifests_checksum_is_that_of_the_compiled_release() -> None:
    assert sha256_of(str(calico_manifest())) == wish().calico_sha256


def test_the_document_has_the_role_calicos_release_and_its_checksum() -> None:
    release = role_value("roles/calico/defaults/main.yml", "calico_version")
    assert f"calico=${{calico:-{release}}}" in recipe()
    assert f"calico_sha256=${{calico_sha256:-{manifest_checksum(release)}}}" in recipe()
