# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which programs there are, what pins each of them, and what is told to the linker."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache as remembered
from pathlib import Path

from tests.lab.say import LabError

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Program:
    """A main package of a Go module, under the name that users know."""

    name: str
    directory: str  # below this one, with the go.mod and go.sum that pin it
    package: str
    module: str  # whose version is the program's
    stamped: tuple[str, ...] = ()  # packages with the variables gitVersion, gitMajor, ...
    release: str = ""  # the release's own name, if that is not how go.mod calls it
    told: tuple[str, ...] = ()  # variables that hold the version
    c: bool = False  # has C in it: a static program of a C compiler
    tags: tuple[str, ...] = ()  # build constraints
    lacking: tuple[str, ...] = ()  # files that are embedded and no part of the module: built in a copy of it, with empty ones


def _of_kubernetes(name: str) -> Program:
    stamped = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return Program(name, "kubernetes", f"k8s.io/kubernetes/cmd/{name}", "k8s.io/kubernetes", stamped)


def _of_etcd(name: str, package: str) -> Program:
    return Program(name, "etcd", package, package)


def _of_calico(name: str, package: str, module: str = "github.com/projectcalico/calico", c: bool = False) -> Program:
    # its only module version is a pseudo-version; all that its images carry is stamped with the release, as upstream does
    told = (
        "main.VERSION",
        "github.com/projectcalico/calico/node/pkg/lifecycle/startup.VERSION",
        "github.com/projectcalico/calico/node/buildinfo.GitVersion",
        "github.com/projectcalico/calico/calicoctl/calicoctl/commands.VERSION",
        "github.com/projectcalico/calico/calicoctl/calicoctl/commands/common.VERSION",
        "github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion",
    )
    return Program(name, "calico", f"{module}/{package}", module, release="v3.28.5", told=told, c=c)


def _of_cni_plugins(name: str, kind: str) -> Program:
    return _of_calico(name, f"plugins/{kind}/{name}", "github.com/containernetworking/plugins")


def _of_prometheus(name: str) -> Program:
    # of its two dozen ways to discover targets, those of the clouds take most of the time to compile
    return Program(
        name, "prometheus", f"github.com/prometheus/prometheus/cmd/{name}", "github.com/prometheus/prometheus", release="v3.16.0",
        told=("github.com/prometheus/common/version.Version",), tags=("remove_all_sd", "enable_kubernetes_sd"),
    )  # fmt: skip


def _of_exporters(name: str, directory: str, package: str) -> Program:
    return Program(name, directory, package, package, told=("github.com/prometheus/common/version.Version",))


def _of_alertmanager(name: str) -> Program:
    # its web pages are no part of the module
    return Program(
        name, "alertmanager", f"./cmd/{name}", "github.com/prometheus/alertmanager", told=("github.com/prometheus/common/version.Version",),
        lacking=("ui/app/dist/elm/index.html", "ui/app/dist/mantine/index.html"),
    )  # fmt: skip


# in the order of building: first what an API server needs
PROGRAMS = {
    program.name: program
    for program in (
        _of_etcd("etcd", "go.etcd.io/etcd/server/v3"),
        *map(
            _of_kubernetes, ("kubeadm", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kubelet", "kube-proxy")
        ),
        Program("coredns", "coredns", "github.com/coredns/coredns", "github.com/coredns/coredns"),
        _of_etcd("etcdctl", "go.etcd.io/etcd/etcdctl/v3"),
        _of_etcd("etcdutl", "go.etcd.io/etcd/etcdutl/v3"),
        _of_calico("calico-node", "node/cmd/calico-node"),
        _of_calico("calico-mountns", "node/cmd/mountns", c=True),
        _of_calico("calico-cni", "cni-plugin/cmd/calico"),
        _of_calico("calico-cni-install", "cni-plugin/cmd/install"),
        _of_calico("calico-kube-controllers", "kube-controllers/cmd/kube-controllers"),
        _of_calico("calico-check-status", "kube-controllers/cmd/check-status"),
        _of_cni_plugins("host-local", "ipam"),
        _of_cni_plugins("loopback", "main"),
        *(_of_cni_plugins(name, "meta") for name in ("bandwidth", "portmap", "tuning")),
        *map(_of_prometheus, ("prometheus", "promtool")),
        _of_exporters("node_exporter", "prometheus", "github.com/prometheus/node_exporter"),
        *map(_of_alertmanager, ("alertmanager", "amtool")),
        _of_exporters("kube-state-metrics", "kube_state_metrics", "k8s.io/kube-state-metrics/v2"),
        Program("stand-in", "stand_in", "vmstation.cluster/tests/cluster/stand_in", "", release="v1.0.0"),
    )
}
API_SERVER = ("etcd", "kubeadm", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")


# The next minor version of Kubernetes, with the etcd and the CoreDNS of its kubeadm. Only the tests of upgrades compile it.
NEWER = ("kubernetes", "etcd", "coredns")


def pins_of(directory: str, *, newer: bool) -> str:
    """The directory with the pins; newer: those of the next minor version of Kubernetes, if they are pinned for it."""
    return f"newer_{directory}" if newer and directory in NEWER else directory


def program_of(name: str, *, newer: bool = False) -> Program:
    """The program of a name; newer: as the next minor version of Kubernetes has it, if it is one of that."""
    program = PROGRAMS[name]
    return replace(program, directory=pins_of(program.directory, newer=newer))


def known(names: Sequence[str]) -> list[Program]:
    """The programs of these names (none: all), in the order of building; a name that is none of them raises."""
    unknown = [name for name in names if name not in PROGRAMS]
    if unknown:
        raise LabError(f"no such program: {' '.join(unknown)}; there are {' '.join(PROGRAMS)}")
    return [program for name, program in PROGRAMS.items() if name in names or not names]


def go(*argv: str, directory: str = "") -> str:
    """What the Go client answers, in one of the directories with a go.mod."""
    try:
        return subprocess.run(["go", *argv], cwd=HERE / directory, capture_output=True, text=True, check=True, timeout=600).stdout.strip()
    except FileNotFoundError:
        raise LabError("no `go` on this machine's PATH. Install Go 1.26 or newer.") from None
    except subprocess.CalledProcessError as error:
        raise LabError(f"`go {' '.join(argv)}` in {HERE / directory}: {error.stderr.strip()}") from None


@remembered
def _pins(directory: str) -> dict[str, str]:
    required = json.loads(go("mod", "edit", "-json", directory=directory))["Require"]
    return {entry["Path"]: entry["Version"] for entry in required}


def version(program: Program) -> str:
    """The version that go.mod pins, as in ``v1.36.4``, or the release that this version is."""
    if program.release:
        return program.release
    try:
        return _pins(program.directory)[program.module]
    except KeyError:
        raise LabError(f"{HERE / program.directory / 'go.mod'} requires no {program.module}: `go mod tidy` there") from None


def linker_flags(program: Program) -> str:
    """No symbol table, and the version where the release tools of Kubernetes and of Calico would stamp it."""
    pinned = version(program)
    major, minor = pinned.removeprefix("v").split(".")[:2]
    stamp = {"gitVersion": pinned, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    values = {f"{package}.{name}": value for package in program.stamped for name, value in stamp.items()}
    values |= dict.fromkeys(program.told, pinned)
    static = ["-linkmode external", "-extldflags -static"] if program.c else []
    return " ".join(["-s -w", *(f"-X {variable}={value}" for variable, value in values.items()), *static])
