# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calico's images: all that the manifest asks for, each runs what its tag says, and what its containers start is in them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.cluster import calico_images
from tests.cluster.build import missing
from tests.cluster.programs import API_SERVER, PROGRAMS, version
from tests.cluster.server import Cluster, running
from tests.cluster.unpack import unpack_layer
from tests.lab.say import LabError

RELEASE = version(PROGRAMS["calico-node"])
SAYS = {
    "node": ["/bin/calico-node", "-v"],
    "cni": ["/opt/cni/bin/calico", "-v"],
    "kube-controllers": ["/usr/bin/check-status", "--version"],
}
# what the start script, the services, Felix and the probes start by these names
NODE_STARTS = [
    "start_runit", "runsvdir", "runsv", "sv", "svlogd", "which", "env", "cp", "tee", "bash",
    "bird", "bird6", "/usr/bin/birdcl", "mountns", "modprobe", "ip", "ipset", "conntrack",
    *(f"{family}tables-{kind}-{what}" for family in ("ip", "ip6") for kind in ("nft", "legacy") for what in ("save", "restore")),
]  # fmt: skip

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may chroot")


@pytest.fixture(autouse=True, scope="module")
def _built() -> None:
    try:
        programs = [program.name for program in PROGRAMS.values() if program.directory == "calico"]
        unbuilt = missing([*API_SERVER, *programs]) or [name for name in calico_images.wanted() if not calico_images.archive(name).exists()]
    except LabError as error:
        unbuilt = [str(error)]
    if unbuilt:
        pytest.skip(f"not built: {' '.join(unbuilt)}; run `python3 -m tests.cluster images`")


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each image, unpacked."""
    directory = tmp_path_factory.mktemp("roots")
    found = {}
    for name in calico_images.wanted():
        kind = name.partition(":")[0].rpartition("/")[2]
        found[kind] = directory / kind
        unpack_layer(calico_images.archive(name), found[kind])
    return found


def _chrooted(
    root: Path, *argv: str, environment: Mapping[str, str] | None = None, stdin: str = "", check: bool = True
) -> subprocess.CompletedProcess[str]:
    variables = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **(environment or {})}
    return subprocess.run(
        ["/usr/sbin/chroot", str(root), *argv], env=variables, input=stdin, capture_output=True, text=True, check=check, timeout=120
    )


def test_the_manifest_asks_for_three_images_of_the_release_that_the_programs_are_stamped_with() -> None:
    assert calico_images.wanted() == [f"docker.io/calico/{kind}:{RELEASE}" for kind in sorted(SAYS)]


@pytest.mark.parametrize("kind", SAYS)
def test_an_image_runs_the_version_of_its_tag(kind: str, roots: dict[str, Path]) -> None:
    assert _chrooted(roots[kind], *SAYS[kind]).stdout.strip() == RELEASE


@pytest.mark.parametrize("program", NODE_STARTS)
def test_calico_node_finds_what_it_starts(program: str, roots: dict[str, Path]) -> None:
    assert _chrooted(roots["node"], "/bin/sh", "-c", f"command -v {program}").stdout.strip().endswith(program)


def test_every_service_that_the_start_script_enables_can_be_run(roots: dict[str, Path]) -> None:
    services = set(re.findall(r"/etc/service/available/(\S+)", (roots["node"] / "etc" / "rc.local").read_text()))
    assert {"felix", "bird", "bird6", "confd", "cni", "node-status-reporter"} <= services
    for service in services:
        assert os.access(roots["node"] / "etc" / "service" / "available" / service / "run", os.X_OK)


def test_the_plugins_that_the_manifest_configures_speak_its_version(roots: dict[str, Path]) -> None:
    text = calico_images.calico_manifest().read_text()
    configured = json.loads(re.search(r"cni_network_config: \|-\n((?: {4}.*\n)+)", text)[1].replace("__CNI_MTU__", "0"))
    plugins = {plugin["type"] for plugin in configured["plugins"]} | {configured["plugins"][0]["ipam"]["type"]}
    assert plugins == {"calico", "calico-ipam", "portmap", "bandwidth"}
    for plugin in plugins:
        asked = json.dumps({"cniVersion": configured["cniVersion"]})
        answer = _chrooted(roots["cni"], f"/opt/cni/bin/{plugin}", environment={"CNI_COMMAND": "VERSION"}, stdin=asked)
        assert configured["cniVersion"] in json.loads(answer.stdout)["supportedVersions"]


def test_the_user_of_kube_controllers_may_write_where_the_probe_reads(roots: dict[str, Path]) -> None:
    assert (roots["kube-controllers"] / "status" / "status.json").stat().st_uid == calico_images.CONTROLLERS_USER


@pytest.fixture(scope="module")
def datastore() -> Iterator[Cluster]:
    """A real API server with Calico's definitions and two nodes; not the session's, where others install Calico their way."""
    with running() as cluster:
        cluster.kubectl("apply", "--server-side", f"--filename={calico_images.calico_manifest()}")
        for name, address in (("one", "192.0.2.11/24"), ("two", "192.0.2.12/24")):
            node = {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "annotations": {"projectcalico.org/IPv4Address": address}},
            }
            cluster.kubectl("apply", "--filename=-", stdin=json.dumps(node))
        yield cluster


@pytest.mark.parametrize(
    ("ipip", "vxlan", "refusal"),
    [
        ("Never", "Never", None),
        ("Never", "Always", None),
        ("Never", "CrossSubnet", None),
        ("Always", "Never", "You may set only variables"),
        ("CrossSubnet", "Never", "You may set only variables"),
    ],
)
def test_bird_takes_what_calico_node_writes_for_it(
    ipip: str, vxlan: str, refusal: str | None, datastore: Cluster, roots: dict[str, Path]
) -> None:
    pool = {
        "apiVersion": "crd.projectcalico.org/v1", "kind": "IPPool", "metadata": {"name": "pool"},
        "spec": {"cidr": "10.244.0.0/16", "ipipMode": ipip, "vxlanMode": vxlan, "nodeSelector": "all()"},
    }  # fmt: skip
    datastore.kubectl("apply", "--filename=-", stdin=json.dumps(pool))
    root = roots["node"]
    (root / "kubeconfig").write_text(datastore.kubeconfig.read_text())
    environment = {"NODENAME": "one", "DATASTORE_TYPE": "kubernetes", "KUBECONFIG": "/kubeconfig", "CALICO_NETWORKING_BACKEND": "bird"}
    _chrooted(root, "calico-node", "-confd", "-confd-run-once", environment=environment)
    assert "neighbor 192.0.2.12 as 64512;" in (root / "etc/calico/confd/config/bird.cfg").read_text()
    judged = _chrooted(root, "bird", "-p", "-c", "/etc/calico/confd/config/bird.cfg", check=False)
    if refusal:
        assert judged.returncode
        assert refusal in judged.stderr
    else:
        assert judged.returncode == 0, judged.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("docker.io/calico/typha:v3.28.5", r"asks for the image docker\.io/calico/typha:v3\.28\.5, and there is no recipe for it"),
        ("docker.io/calico/node:v3.28.6", r"asks for docker\.io/calico/node:v3\.28\.6, and the programs are stamped v3\.28\.5"),
    ],
)
def test_an_image_that_the_module_is_not_is_refused(name: str, message: str) -> None:
    with pytest.raises(LabError, match=message):
        calico_images._ensure(name)
