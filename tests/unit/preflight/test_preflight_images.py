# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that Pods use, that containerd has lost, and that no registry brings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import Completed
from ansible_collections.vmstation.cluster.plugins.module_utils._host.web import Answer
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.model import Expectations, HostState, Identity
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.software import images_can_be_had, look_at_images

SOCKET, CONFIGURATION = "/run/containerd/containerd.sock", "/etc/containerd/config.toml"
PAUSE, ETCD, GRAFANA = "registry.k8s.io/pause:3.10.2", "registry.k8s.io/etcd:3.6.5-0", "docker.io/grafana/grafana:12.3.0"
FILES = {
    SOCKET: "",
    CONFIGURATION: f'[plugins."io.containerd.grpc.v1.cri"]\n  sandbox_image = "{PAUSE}"\n',
    "/etc/kubernetes/manifests/etcd.yaml": f"spec:\n  containers:\n  - command: [etcd]\n    image: {ETCD}\n",
}
CONTAINERS = f"""CONTAINER    IMAGE    RUNTIME
a            {PAUSE}  io.containerd.runc.v2
b            {GRAFANA}  io.containerd.runc.v2
c            docker.io/library/ended:1  io.containerd.runc.v2
d            sha256:0123  io.containerd.runc.v2
"""
TASKS = "TASK PID STATUS\na 1 RUNNING\nb 2 RUNNING\nc 3 STOPPED\nd 4 RUNNING\n"


@dataclass
class Host:
    """stored: the names in containerd. answers: URLs that have an answer. environment: of containerd."""

    stored: Sequence[str] = (PAUSE, ETCD, GRAFANA)
    answers: Sequence[str] = ()
    environment: str = "Environment="
    files: dict[str, str] = field(default_factory=lambda: dict(FILES))
    asked: list[str] = field(default_factory=list)
    status: int = 0

    def read(self, path: str) -> str | None:
        return self.files.get(path)

    def exists(self, path: str) -> bool:
        return path in self.files

    def entries(self, path: str) -> tuple[str, ...]:
        return tuple(one.rpartition("/")[2] for one in self.files if one.startswith(f"{path}/"))

    def has(self, _name: str) -> bool:
        return True

    def run(self, argv: Sequence[str], **_options: object) -> Completed:
        told = {"images": "\n".join(self.stored), "containers": CONTAINERS, "tasks": TASKS}
        word = next((word for word in argv if word in told), "")
        return Completed(tuple(argv), self.status if word else 0, told.get(word, self.environment), "")

    def ask(self, urls: Sequence[str]) -> list[Answer]:
        self.asked += urls
        return [Answer(401 if any(url.startswith(one) for one in self.answers) else 0) for url in urls]


def found(host: Host) -> list[Finding]:
    state = HostState(Identity("homelab", "homelab"), images=look_at_images(host, host, host.ask, SOCKET, CONFIGURATION))  # type: ignore[arg-type]
    return list(images_can_be_had(state, Expectations("worker", "homelab")))


def test_a_host_that_has_its_images_asks_no_registry() -> None:
    host = Host()
    assert (found(host), host.asked) == ([], [])


@pytest.mark.parametrize(("lost", "registry"), [(PAUSE, "registry.k8s.io"), (ETCD, "registry.k8s.io"), (GRAFANA, "docker.io")])
def test_an_image_that_is_gone_is_found_where_no_registry_answers(lost: str, registry: str) -> None:
    [finding] = found(Host([one for one in (PAUSE, ETCD, GRAFANA) if one != lost]))
    assert (finding.severity, finding.subject) == ("error", "images")
    assert finding.found == f"not in containerd: {lost}; no answer from {registry}"
    assert f"ctr --namespace k8s.io images export image.tar {lost}`" in finding.fix


def test_what_a_registry_or_its_mirror_has_is_pulled_when_it_is_needed() -> None:
    assert found(Host([ETCD, PAUSE], ["https://registry-1.docker.io/"])) == []
    host = Host([ETCD, PAUSE], ["http://192.168.4.9:5000/"])
    assert len(found(host)) == 1
    host.files["/etc/containerd/certs.d/docker.io/hosts.toml"] = '[host."http://192.168.4.9:5000/v2/hub"]\n  override_path = true\n'
    assert found(host) == []


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ("HTTPS_PROXY=http://proxy.lan:3128 NO_PROXY=.lan", "proxy.lan:3128"),
        ("https_proxy=http://me:s3cret@proxy.lan:3128/", "proxy.lan:3128"),
        ('"HTTPS_PROXY=http://me:s3/cr@et@[fd00::1]:3128"', "[fd00::1]:3128"),
        ("HTTPS_PROXY=me:s3cret@proxy.lan/path", "proxy.lan"),
    ],
)
def test_behind_a_proxy_it_is_not_known(environment: str, shown: str) -> None:
    [finding] = found(Host([ETCD, GRAFANA], environment=f"Environment={environment}"))
    assert (finding.severity, finding.found) == ("unknown", f"not in containerd: {PAUSE}; not asked, because of the proxy {shown}")


@pytest.mark.parametrize(
    ("written", "listed"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1", "docker.io/library/nginx:1"),
        ("docker.io/nginx", "docker.io/library/nginx:latest"),
        ("grafana/grafana:12", "docker.io/grafana/grafana:12"),
        ("docker.io/grafana/grafana", "docker.io/grafana/grafana:latest"),
        ("localhost/vip:1", "localhost/vip:1"),
        ("registry:5000/vip", "registry:5000/vip:latest"),
        ("registry:5000/vip:1@sha256:01", "registry:5000/vip@sha256:01"),
        ("ghcr.io/kube-vip/kube-vip:v1@sha256:01", "ghcr.io/kube-vip/kube-vip@sha256:01"),
        ("nginx@sha256:01", "docker.io/library/nginx@sha256:01"),
    ],
)
def test_a_static_pods_image_is_looked_for_as_containerd_lists_it(written: str, listed: str) -> None:
    manifest = {"/etc/kubernetes/manifests/vip.yaml": f"spec:\n  containers:\n  - image: {written}\n"}
    assert found(Host([PAUSE, ETCD, GRAFANA, listed], files=FILES | manifest)) == []
    [finding] = found(Host([PAUSE, ETCD, GRAFANA], files=FILES | manifest))
    assert finding.found.startswith(f"not in containerd: {listed};")


def test_a_containerd_that_does_not_answer_is_told_by_other_checks() -> None:
    assert found(Host([], status=1)) == []
