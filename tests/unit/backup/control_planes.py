# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A control plane's host in memory, with scripted programs, and what a backup of it is made of."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ansible_collections.vmstation.cluster.plugins.module_utils._backup.manifest import Manifest
from ansible_collections.vmstation.cluster.plugins.module_utils._etcd.etcd import Snapshot
from ansible_collections.vmstation.cluster.plugins.module_utils._host.archives import Contents, Member, Packed
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import Completed
from ansible_collections.vmstation.cluster.plugins.module_utils._host.mark import MARKER, Mark
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.host import NodeHost
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.state import COMPONENTS, CONFIGURATION, MANIFESTS, PKI

NOW = 1795649580.0
CREATED = "2026-11-25T23:33:00Z"
NAME = "trial-20261125T233300Z.tar.gz"
MARK = Mark("trial", "control_plane", "master", installed=True, identity={"name": "master", "address": "192.168.4.63"}, ca="")
IMAGE = "registry.k8s.io/etcd:3.6.8-0"
STATUS = '{"hash":7,"revision":41,"totalKey":900,"totalSize":4096,"version":"3.6.0"}'
CERTIFICATES = '{"certificates": [{"name": "apiserver", "expirationDate": "2027-11-25T00:00:00Z", "residualTime": 9000000}]}'


def control_plane(generation: str) -> dict[str, str]:
    """The files of a whole control plane; the generation tells one from another."""
    pem = f"-----BEGIN X-----\n{generation}\n-----END X-----\n"
    pairs = [f"{PKI}/{name}.{kind}" for name in ("ca", "front-proxy-ca", "etcd/ca", "apiserver") for kind in ("crt", "key")]
    files = dict.fromkeys([*pairs, f"{PKI}/sa.pub", f"{PKI}/sa.key"], pem)
    files |= {f"/etc/kubernetes/{name}.conf": f"{name} of {generation}" for name in ("admin", "kubelet", "scheduler")}
    files |= {f"{MANIFESTS}/{name}.yaml": f"  - image: registry.k8s.io/{name}:v1.36.2\n" for name in COMPONENTS}
    files |= {f"{MANIFESTS}/etcd.yaml": f"    image: {IMAGE}\n", CONFIGURATION: generation, MARKER: MARK.as_text()}
    files |= {"/var/lib/kubelet/config.yaml": generation, "/var/lib/kubelet/pki/kubelet-client-current.pem": generation}
    return {**files, "/var/lib/etcd/member/snap/db": generation, "/etc/vmstation/grafana": generation}


class Killed(BaseException):
    """What a kill is to the code: nothing of it runs on."""


class Memory:
    """Files by their paths: the packing, the files and the programs of one host."""

    def __init__(self, tree: Mapping[str, str]) -> None:
        self.tree, self.time, self.room = dict(tree), NOW, 1 << 40
        self.archives: dict[str, tuple[Manifest, dict[str, str]]] = {}
        self.argvs: list[list[str]] = []
        self.answers: dict[str, str] = {}
        self.links: set[str] = set()
        self.running = [f"c-{name}" for name in COMPONENTS]
        self.steps, self.killed_at = 0, 0

    def _step(self) -> None:
        self.steps += 1
        if self.steps == self.killed_at:
            raise Killed

    def below(self, path: str) -> list[str]:
        return [one for one in self.tree if one == path or one.startswith(f"{path}/")]

    # HostFiles and Packing

    def read(self, path: str) -> str | None:
        return self.tree.get(path)

    def text(self, path: str) -> str:
        return self.tree.get(path, "")

    def entries(self, path: str) -> tuple[str, ...]:
        return tuple(sorted({one[len(path) + 1 :].split("/")[0] for one in self.below(path)} - {""}))

    def exists(self, path: str) -> bool:
        return bool(self.below(path))

    def target(self, path: str) -> None:
        return None

    def now(self) -> float:
        return self.time

    def size(self, path: str) -> int:
        return len(self.tree.get(path, ""))

    def free(self, path: str) -> int:
        return self.room

    def write(self, path: str, text: str) -> None:
        self._step()
        self.tree[path] = text

    def replace(self, contents: Mapping[str, str | None], *, new_mode: int = 0o644) -> None:
        for path, text in contents.items():
            self._step()
            self.tree.pop(path, None)
            if text is not None:
                self.tree[path] = text

    def make_directory(self, path: str, mode: int) -> None:
        self._step()

    def remove(self, path: str) -> None:
        for one in self.below(path):
            self._step()
            del self.tree[one]

    def rename(self, old: str, new: str) -> None:
        self._step()
        moved = {new + one[len(old) :]: self.tree.pop(one) for one in self.below(old)}
        assert moved, f"no {old}"
        assert not self.exists(new), f"{new} is there"
        self.tree.update(moved)

    def copy(self, path: str, into: str, prefix: str) -> list[Member]:
        found = []
        for one in self.below(path):
            self._step()
            self.tree[into + one] = self.tree[one]
            found.append(replace(self.member(one, prefix + one), path=one))
        return found

    def member(self, path: str, name: str) -> Member:
        text = self.tree[path]
        return Member(name, path, "file", 0o600, 0, 0, len(text), hashlib.sha256(text.encode()).hexdigest())

    def pack(self, directory: str, names: Sequence[str], path: str, owner: str) -> Packed:
        self._step()
        self.tree[path] = " ".join(names)
        return Packed(len(names), "sum")

    def look(self, path: str) -> Contents:
        manifest, _files = self.archives[path]
        return Contents(("manifest.json", manifest.as_text()), {member.name: member for member in manifest.members})

    def unpack(self, path: str, into: str) -> None:
        for name, text in self.archives[path][1].items():
            self._step()
            self.tree[f"{into}/{name}"] = text

    def kind(self, path: str) -> str:
        return "link" if path in self.links else "file" if path in self.tree else "directory" if self.below(path) else ""

    def place(self, source: str, member: Member, below: str) -> None:
        assert f"{member.path}/".startswith(f"{below}/")
        self._step()
        self.tree[member.path] = self.tree[source]

    def ends_with_its_checksum(self, path: str) -> bool:
        return not self.tree[path].startswith("damaged")

    def sync(self) -> None:
        self._step()

    # Commands

    def has(self, program: str) -> bool:
        return program not in ("etcdctl", "etcdutl")

    def run(self, argv: Sequence[str], *, stdin: str = "", timeout: float = 60.0, check: bool = True) -> Completed:
        self._step()
        self.argvs.append(list(argv))
        line = " ".join(argv)
        for start, answer in self.answers.items():
            if start in line:
                return Completed(tuple(argv), 0, answer, "")
        return Completed(tuple(argv), 0, self._answer(line, list(argv)), "")

    def _answer(self, line: str, argv: list[str]) -> str:
        if "snapshot save" in line:
            self.tree[argv[-1]] = "snapshot of " + self.tree["/var/lib/etcd/member/snap/db"]
        if "snapshot restore" in line:
            data = next(word for word in argv if word.startswith("--data-dir=")).partition("=")[2]
            self.tree[f"{data}/member/snap/db"] = "restored " + self.tree[argv[argv.index("restore") + 1]]
        if "tasks kill" in line:
            self.running = [name for name in self.running if name != argv[-1]]
        known = {
            "snapshot status": STATUS,
            "kubeadm version": "v1.36.2\n",
            "kubelet --version": "Kubernetes v1.36.2\n",
            "config images list": f"registry.k8s.io/pause:3.10\n{IMAGE}\n",
            "images list --quiet": f"{IMAGE}\n",
            "containers list --quiet": "\n".join(f"c-{name}" for name in COMPONENTS),
            "tasks list": "TASK PID STATUS\n" + "".join(f"{name} 7 RUNNING\n" for name in [*self.running, "a-pod"]),
            "check-expiration": CERTIFICATES,
        }
        return next((answer for words, answer in known.items() if words in line), "")

    def host(self) -> NodeHost:
        def at_once(work: Callable[[], None]) -> None:
            work()

        return NodeHost(
            commands=self,
            files=self,
            write=self.replace,
            look=lambda: None,  # type: ignore[arg-type,return-value]
            lock=lambda _wait: contextlib.nullcontext(),
            detached=at_once,
            now=lambda: self.time,
            sleep=lambda _seconds: None,
        )


BACKED_UP = [
    *(path for path in control_plane("old") if path.startswith((PKI, "/etc/kubernetes/admin", "/etc/kubernetes/sched"))),
    *(CONFIGURATION, MARKER, "/var/lib/kubelet/config.yaml", "/etc/vmstation/grafana"),
]


def backup(generation: str = "old", **changed: object) -> tuple[Manifest, dict[str, str]]:
    """A manifest and the files that belong to it, by their names in the archive."""
    source = Memory(control_plane(generation))
    texts = {"etcd.db": f"snapshot of {generation}", **{f"files{path}": source.tree[path] for path in BACKED_UP}}
    source.tree["/etcd.db"] = texts["etcd.db"]
    members = [replace(source.member("/etcd.db", "etcd.db"), path=""), *(source.member(path, f"files{path}") for path in BACKED_UP)]
    manifest = Manifest("trial", CREATED, "master", "192.168.4.63", "1.36.2", "3.6.8", Snapshot(7, 41, 900), tuple(members))
    return replace(manifest, **changed), texts  # type: ignore[arg-type]
