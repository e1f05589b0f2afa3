# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""installation_source_check through real Ansible on the controller, and the directory that the documentation's commands make."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.build import build
from tests.cluster.images import wanted
from tests.unit.installation.sources import IMAGES, MANIFEST, RELEASE, make_source

CHECKOUT = Path(__file__).resolve().parents[2]
DOCUMENT = CHECKOUT / "docs" / "installation-sources.md"


def module(*options: str, **arguments: object) -> tuple[int, dict[str, object]]:
    argv = [str(Path(sys.prefix) / "bin" / "ansible"), "localhost", *options, "-m", "vmstation.cluster.installation_source_check"]
    answer = subprocess.run(
        [*argv, "-a", json.dumps(arguments)], cwd=CHECKOUT, env={**os.environ, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert "Traceback" not in answer.stdout + answer.stderr
    return answer.returncode, json.loads(answer.stdout.partition("=> ")[2])


def check(path: Path, **options: object) -> tuple[int, dict[str, object]]:
    return module(source={"kind": "directory", "path": str(path)}, kubernetes_version="1.36", release=RELEASE, **options)


@pytest.mark.parametrize("options", [(), ("--check",)], ids=["run", "check mode"])
def test_a_sound_directory(tmp_path: Path, options: tuple[str, ...]) -> None:
    source = {"kind": "directory", "path": str(make_source(tmp_path / "source"))}
    status, result = module(*options, source=source, kubernetes_version="1.36", release=RELEASE)
    assert (status, result["changed"], result["findings"]) == (0, False, [])
    assert result["installation"]["kubernetes"] == RELEASE


def test_everything_that_is_wrong_comes_in_one_run(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source")
    (source / "bin" / "kubelet").write_bytes(b"x")
    (source / "manifests" / "calico.yaml").unlink()
    status, result = check(source)
    assert status == 2
    assert "4 findings must be fixed first" in result["msg"]
    assert {finding["subject"] for finding in result["findings"]} == {f"{source}/bin/kubelet", f"{source}/manifests/calico.yaml"}
    assert "installation" not in result
    status, reported = check(source, fail_on="never")
    assert (status, reported["findings"]) == (0, result["findings"])


def test_a_plan_s_version_that_yaml_took_for_a_number_is_compared_as_a_text(tmp_path: Path) -> None:
    source = {"kind": "directory", "path": str(make_source(tmp_path / "source"))}
    status, result = module(source=source, kubernetes_version=1.36, release=RELEASE)
    assert (status, result["findings"]) == (0, [])


CURL = """#!/bin/sh
out=/dev/stdout
while [ $# -gt 0 ]; do
  [ "$1" != -o ] || { out=$2; shift; }
  last=$1
  shift
done
case "$last" in
  *.sha256) sha256sum "$PROGRAMS/$(basename "$last" .sha256)" | cut -d' ' -f1 > "$out" ;;
  *calico.yaml) cat "$PROGRAMS/calico.yaml" > "$out" ;;
  *) cat "$PROGRAMS/$(basename "$last")" > "$out" ;;
esac
"""
SKOPEO = """#!{python}
import sys
from pathlib import Path
sys.path.insert(0, {checkout!r})
from tests.unit.installation.sources import write_image
assert sys.argv[3] == "copy" and sys.argv[7:11] == ["--override-os", "linux", "--override-arch", "amd64"], sys.argv
kind, path, name = sys.argv[12].split(":", 2)
assert (kind, sys.argv[11]) == ("oci-archive", "docker://" + name), sys.argv
write_image(Path(path), name)
"""


def test_the_documented_commands_make_a_sound_directory(tmp_path: Path) -> None:
    """With real kubeadm, and stand-ins for what would ask the network."""
    [script] = re.findall(r"```bash\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    programs, shims, work = (tmp_path / name for name in ("programs", "shims", "work"))
    for directory in (programs, shims, work):
        directory.mkdir()
    for path in build(["kubeadm", "kubelet", "kubectl"]):
        (programs / path.name).symlink_to(path)
    documented = re.search(r"calico=\$\{calico:-([^}]+)\}", script)[1]
    (programs / "calico.yaml").write_text(
        re.sub(r"(calico/[a-z-]+:v)\S*?(?=[\"\s])", rf"\g<1>{documented}", MANIFEST).replace(" calico/node", " docker.io/calico/node")
    )
    for name, text in {"curl": CURL, "skopeo": SKOPEO.format(python=sys.executable, checkout=str(CHECKOUT))}.items():
        (shims / name).write_text(text)
        (shims / name).chmod(0o755)
    checksum = hashlib.sha256((programs / "calico.yaml").read_bytes()).hexdigest()
    given = {"PATH": f"{shims}:{os.environ['PATH']}", "PROGRAMS": str(programs), "calico_sha256": checksum}
    subprocess.run(["bash", "-c", script], cwd=work, env={**os.environ, **given}, check=True)
    status, result = check(work / f"kubernetes-{RELEASE}", fail_on="warning")
    assert (status, result["findings"]) == (0, [])
    names = {image["name"] for image in result["installation"]["images"]["control_plane"]}
    assert names == {*wanted(), *(f"docker.io/calico/{name}:v{documented}" for name in ("cni", "node", "kube-controllers"))}


def test_the_small_source_of_the_tests_has_the_images_that_kubeadm_asks_for() -> None:
    assert set(wanted()) == {name for name in IMAGES if name.startswith("registry.k8s.io/")}
