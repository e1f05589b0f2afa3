# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands on a host, what a killed init leaves, and what of it the next one must put aside, take up or refuse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import Completed
from ansible_collections.vmstation.cluster.plugins.module_utils._host.mark import MARKER, Mark, read_mark
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.configuration import ControlPlane, init_documents
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.host import NodeHost
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.init import (
    LOG,
    Wanted,
    begin_again,
    foreign,
    ignorable,
    initialise,
    refuse_another_identity,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.state import (
    AUDIT_POLICY,
    CONFIGURATION,
    ENCRYPTION,
    damaged,
    digest,
    half_written,
    lost,
    read_node_files,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.model import HostState, Identity, Listener
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.kubeadm.node_files import KUBECONFIG, PEM, Files, control_plane
from tests.unit.kubeadm.test_configuration import MASTER, PLAN

WANTED = Wanted(tuple(init_documents(PLAN, replace(MASTER, cluster_name="home"))))
BEGUN = Mark("home", "control_plane", "masternode", installed=False, identity=WANTED.identity)
STANDS = replace(BEGUN, installed=True, ca=digest(PEM))
PKI = "/etc/kubernetes/pki"
QUIET = HostState(identity=Identity("masternode"))


def marked(files: Files, mark: Mark) -> Files:
    files[MARKER] = mark.as_text()
    return files


SITUATIONS = {
    "nothing": (Files(), "absent"),
    "an authority that an owner prepared": (Files({f"{PKI}/ca.crt": PEM, f"{PKI}/ca.key": PEM}), "absent"),
    "a mark that a reset left": (marked(Files(), STANDS), "absent"),
    "an init of ours that was killed": (marked(Files({f"{PKI}/apiserver.key": PEM}), BEGUN), "interrupted"),
    "a control plane of ours": (marked(control_plane(), STANDS), "complete"),
    "one of ours whose CA is gone": (
        marked(Files({path: text for path, text in control_plane().items() if path != f"{PKI}/ca.crt"}), STANDS),
        "complete",
    ),
    "no mark": (control_plane(), "foreign"),
    "a mark that is not to be read": (Files({**control_plane(), MARKER: "{"}), "foreign"),
    "another cluster's mark": (marked(control_plane(), replace(STANDS, cluster="other")), "foreign"),
    "a worker's mark": (marked(control_plane(), replace(STANDS, role="worker")), "foreign"),
    "our mark, another authority": (marked(control_plane(), replace(STANDS, ca="other")), "foreign"),
}


@pytest.mark.parametrize("case", SITUATIONS)
def test_what_stands(case: str) -> None:
    files, situation = SITUATIONS[case]
    assert read_node_files(files).situation("home", "control_plane") == situation


def test_an_authority_alone_is_a_worker_that_joined() -> None:
    assert read_node_files(Files({f"{PKI}/ca.crt": PEM})).situation("home", "worker") == "foreign"


def test_a_mark_is_read_as_it_was_written() -> None:
    assert read_mark(STANDS.as_text()) == STANDS
    assert read_mark('{"cluster": "home", "role": "worker"}\n') == Mark("home", "worker", "")
    assert [read_mark(text) for text in (None, "", "[]", '{"cluster": "home"}', "null")] == [None] * 5


@pytest.mark.parametrize(
    ("change", "removed"),
    [
        ({}, []),
        ({f"{PKI}/ca.key": None}, []),
        ({f"{PKI}/etcd/peer.key": "-----BEGIN X-----\nMII"}, [f"{PKI}/etcd/peer.crt", f"{PKI}/etcd/peer.key"]),
        ({f"{PKI}/sa.pub": None}, [f"{PKI}/sa.key"]),
        ({f"{PKI}/front-proxy-client.crt": "", f"{PKI}/front-proxy-client.key": None}, [f"{PKI}/front-proxy-client.crt"]),
        ({"/etc/kubernetes/admin.conf": ""}, ["/etc/kubernetes/admin.conf"]),
        ({"/etc/kubernetes/scheduler.conf": KUBECONFIG[:-8]}, ["/etc/kubernetes/scheduler.conf"]),
        ({"/etc/kubernetes/kubelet.conf": KUBECONFIG.replace("client-key-data", "client-key")}, []),
    ],
)
def test_half_written_files_are_put_aside(change: dict[str, str | None], removed: list[str]) -> None:
    files = control_plane()
    files.write(change)
    assert sorted(half_written(files)) == sorted(removed)


@pytest.mark.parametrize("text", [None, "", PEM[:-9]], ids=["gone", "empty", "cut"])
def test_an_authority_that_is_half_written_takes_along_what_it_has_signed(text: str | None) -> None:
    files = control_plane()
    files.write({f"{PKI}/ca.crt": text})
    removed = half_written(files)
    assert {path for path in files if path.startswith("/etc/kubernetes") and path not in removed} == {
        *(f"{PKI}/{name}.{kind}" for name in ("etcd/ca", "front-proxy-ca") for kind in ("crt", "key")),
        *(f"{PKI}/sa.{kind}" for kind in ("key", "pub")),
        AUDIT_POLICY,
        ENCRYPTION,
        *(f"/etc/kubernetes/manifests/{name}.yaml" for name in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")),
    }
    # before it has signed anything there is only its key
    assert half_written(Files({f"{PKI}/ca.key": PEM})) == {f"{PKI}/ca.key"}


@pytest.mark.parametrize(
    ("path", "phase"),
    [
        (f"{PKI}/apiserver.crt", ("certs", "apiserver")),
        (f"{PKI}/etcd/healthcheck-client.key", ("certs", "etcd-healthcheck-client")),
        ("/etc/kubernetes/admin.conf", ("kubeconfig", "admin")),
        ("/etc/kubernetes/manifests/etcd.yaml", ("etcd", "local")),
        ("/etc/kubernetes/manifests/kube-apiserver.yaml", ("control-plane", "apiserver")),
        ("/etc/kubernetes/manifests/kube-controller-manager.yaml", ("control-plane", "controller-manager")),
        ("/var/lib/kubelet/config.yaml", ("kubelet-start",)),
    ],
)
@pytest.mark.parametrize("text", [None, ""], ids=["gone", "empty"])
def test_each_piece_has_its_phase(path: str, phase: tuple[str, ...], text: str | None) -> None:
    files = control_plane()
    assert damaged(files) == []
    files.write({path: text})
    assert [piece.phase for piece in damaged(files)] == [phase]
    assert lost(files) == []


@pytest.mark.parametrize("path", [f"{PKI}/ca.crt", f"{PKI}/etcd/ca.crt", f"{PKI}/front-proxy-ca.crt", f"{PKI}/sa.key", f"{PKI}/sa.pub"])
def test_what_nothing_makes_again_is_lost(path: str) -> None:
    files = control_plane()
    del files[path]
    assert lost(files) == [path]


def test_only_errors_that_our_own_attempt_causes_are_ignored() -> None:
    state = replace(
        QUIET,
        manifests=("etcd.yaml", "kube-apiserver.yaml", "web.yaml"),
        etcd_entries=("member",),
        listeners=(Listener(2379, "etcd", 1), Listener(6443, "nc", 2), Listener(10250, "kubelet", 3), Listener(10259, "", 4)),
    )
    assert ignorable({}, state) == [
        "FileAvailable--etc-kubernetes-manifests-etcd.yaml",
        "FileAvailable--etc-kubernetes-manifests-kube-apiserver.yaml",
        "DirAvailable--var-lib-etcd",
        "Port-2379",
        "Port-10250",
    ]
    assert ignorable({"ignorePreflightErrors": ["All"]}, state) == []
    assert ignorable({}, QUIET) == []


def test_a_plan_that_moved_on_since_the_interruption() -> None:
    standing = read_node_files(marked(Files({f"{PKI}/apiserver.key": PEM}), BEGUN))
    moved = Wanted(tuple(init_documents({**PLAN, "pod_cidr": "10.245.0.0/16"}, replace(MASTER, cluster_name="home"))))
    assert refuse_another_identity(standing, WANTED, ("member",)) is False
    assert refuse_another_identity(standing, moved, ()) is True
    with pytest.raises(Refusal, match=r"found podSubnet 10\.244\.0\.0/16, now 10\.245\.0\.0/16"):
        refuse_another_identity(standing, moved, ("member",))


def test_foreign_files_are_named_with_their_cluster() -> None:
    files = Files({"/etc/kubernetes/admin.conf": KUBECONFIG, "/etc/kubernetes/manifests/web.yaml": "a\n"})
    assert "/etc/kubernetes/admin.conf, /etc/kubernetes/manifests/web.yaml" in str(foreign(read_node_files(files)))
    other = read_node_files(marked(files, replace(STANDS, cluster="other")))
    assert "of the cluster other (control plane masternode)" in str(foreign(other))


class Kubeadm:
    """A host on which kubeadm does and answers what it is told."""

    def __init__(self, files: Files, status: int = 0, stdout: str = "", does: Callable[[], None] = lambda: None) -> None:
        self.files, self.asked = files, [] if files is None else list[tuple[str, ...]]()
        self._answer, self._does = (status, stdout), does

    def has(self, program: str) -> bool:
        return True

    def run(self, argv: Sequence[str], *, stdin: str = "", timeout: float = 60.0, check: bool = True) -> Completed:
        self.asked.append(tuple(argv))
        self._does()
        return Completed(tuple(argv), self._answer[0], self._answer[1], "")

    def host(self, *states: HostState) -> NodeHost:
        looks, clock = list(states), iter(range(1000))

        def look() -> HostState:
            return looks.pop(0) if len(looks) > 1 else looks[0] if looks else QUIET

        return NodeHost(
            commands=self,
            files=self.files,
            write=self.files.write,
            look=look,
            lock=lambda wait: nullcontext(),
            detached=lambda work: work(),
            now=lambda: float(next(clock)),
            sleep=lambda seconds: None,
        )


def test_the_mark_is_there_before_kubeadm_and_says_installed_after_it() -> None:
    files = Files()

    def does() -> None:
        assert read_mark(files[MARKER]) == BEGUN
        assert files[CONFIGURATION] == WANTED.text
        files[f"{PKI}/ca.crt"] = PEM

    kubeadm = Kubeadm(files, stdout="fine\n", does=does)
    initialise(WANTED, kubeadm.host(), 600)
    assert kubeadm.asked == [("kubeadm", "init", f"--config={CONFIGURATION}", "--skip-token-print")]
    assert read_mark(files[MARKER]) == STANDS
    assert files[LOG] == "fine\n"


def test_a_failed_init_keeps_its_mark_its_words_and_what_it_made() -> None:
    files = Files({f"{PKI}/ca.crt": PEM, f"{PKI}/ca.key": PEM})
    output = "[init] begins\nerror execution phase preflight: [preflight] Some fatal errors occurred:\n\t[ERROR Swap]: running with swap\n"
    with pytest.raises(Refusal, match=r"kubeadm init: found .*\[ERROR Swap\]: running with swap"):
        initialise(WANTED, Kubeadm(files, 1, output).host(), 600)
    assert read_mark(files[MARKER]) == BEGUN
    assert files[LOG] == output
    assert files[f"{PKI}/ca.crt"] == PEM


def test_a_resumed_init_keeps_what_is_whole_and_makes_the_server_certificate_anew_for_a_new_name() -> None:
    files = marked(Files({path: text for path, text in control_plane().items() if path.startswith(PKI)}), BEGUN)
    files.write({CONFIGURATION: "an earlier one\n", f"{PKI}/sa.pub": ""})
    kept = set(files) - {f"{PKI}/sa.pub", f"{PKI}/sa.key", f"{PKI}/apiserver.crt", f"{PKI}/apiserver.key"}
    kubeadm = Kubeadm(files)
    initialise(WANTED, kubeadm.host(replace(QUIET, listeners=(Listener(2380, "etcd", 5),))), 600)
    assert set(files) == {*kept, LOG}
    assert kubeadm.asked[-1][-1] == "--ignore-preflight-errors=Port-2380"


def test_an_init_that_still_runs_is_waited_for_within_bounds() -> None:
    busy = replace(QUIET, processes=frozenset({"kubeadm"}))
    kubeadm = Kubeadm(Files())
    initialise(WANTED, kubeadm.host(busy, busy, QUIET), 600)
    assert len(kubeadm.asked) == 1
    with pytest.raises(Refusal, match="process kubeadm: found still running"):
        initialise(WANTED, Kubeadm(Files()).host(busy), 5)


def test_beginning_anew_takes_away_all_but_authorities_and_etcd() -> None:
    files = control_plane()
    begin_again(read_node_files(files), Kubeadm(files).host())
    assert {path for path in files if path.startswith("/etc/kubernetes")} == {
        *(f"{PKI}/{name}.{kind}" for name in ("ca", "etcd/ca", "front-proxy-ca") for kind in ("crt", "key")),
        f"{PKI}/sa.key",
        f"{PKI}/sa.pub",
        AUDIT_POLICY,
        ENCRYPTION,
    }


def test_a_host_is_described_by_its_documents() -> None:
    assert (WANTED.name, WANTED.address, WANTED.cluster_name, WANTED.release) == ("masternode", "192.168.4.63", "home", "v1.36.4")
    assert isinstance(MASTER, ControlPlane)
