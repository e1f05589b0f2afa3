# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a host a member of the cluster: read, plan, join, verify."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Optional

from .._host.commands import Commands
from .._host.files import HostFiles
from .._host.mark import MARKER, Mark, read_mark
from .._host.web import Answer, WebClient
from .._refusal import Refusal
from .._waiting import Clock, look_until
from .configuration import node_addresses
from .join import (
    BOOTSTRAP_CONF,
    CA_CERTIFICATE,
    CLUSTER_INFO,
    KUBELET_CONF,
    Cluster,
    ClusterInfo,
    Kubeconfig,
    Node,
    Registration,
    Standing,
    Step,
    Token,
    is_ready,
    join_configuration,
    join_failure,
    plan_membership,
    read_cluster_info,
    read_kubeconfig,
    read_token,
    refuse_bad_token,
    refuse_namesake,
    refuse_other_authority,
    refuse_version_skew,
)
from .state import Kubelet, digest, is_queued

# Read the host, wait, run kubeadm join, and verify. All I/O is passed in.

KUBELET_CONFIG = "/var/lib/kubelet/config.yaml"
API_SERVER_POD = "/etc/kubernetes/manifests/kube-apiserver.yaml"
KUBELET_HEALTH = "http://127.0.0.1:10248/healthz"
UNDER_WAY = ("active", "activating", "reloading")
_RESOLVER = re.compile(r"""^resolvConf: ["']?(/[^"'\s]+)""", re.MULTILINE)
POLL = 0.5
LONGEST_WAIT_TO_SETTLE = 20.0
LONGEST_WAIT_FOR_API_SERVER = 15.0
LONGEST_WAIT_FOR_SIGNATURE = 20.0
LONGEST_WAIT_FOR_NODE_TO_LAPSE = 120.0
"""Seconds. A Node becomes not ready 50 s after its kubelet stops reporting, unless the controller manager is configured otherwise."""


Replace = Callable[[Mapping[str, Optional[str]]], None]


@dataclass(frozen=True)
class Host:
    """I/O of the host."""

    commands: Commands
    files: HostFiles
    web: WebClient
    clock: Clock
    replace: Replace


@dataclass(frozen=True)
class Wish:
    """What a task asks for. token: None if there is none. timeout: seconds for the join itself."""

    cluster: Cluster
    node: Node
    token: Optional[Token]
    timeout: float

    @property
    def patience(self) -> float:
        """Seconds for a kubelet to start, and for its Node to appear."""
        return max(60.0, self.timeout / 3)


def look(host: Host, wish: Wish) -> Standing:
    """Read the host, and ask the API server about the Node if there are credentials."""
    files = host.files
    conf = read_kubeconfig(files.read(KUBELET_CONF))
    mark = read_mark(files.read(MARKER))
    unit, is_serving = _settled_kubelet(host) if conf else (_unit(host.commands), False)
    return Standing(
        mark=mark.cluster if mark else None,
        kubelet_conf=conf,
        bootstrap_conf=read_kubeconfig(files.read(BOOTSTRAP_CONF)),
        authority=files.read(CA_CERTIFICATE),
        has_kubelet_config=files.exists(KUBELET_CONFIG),
        lost_resolver=_lost_resolver(files),
        is_control_plane=files.exists(API_SERVER_POD),
        is_active=unit.get("ActiveState") in UNDER_WAY,
        is_enabled=unit.get("UnitFileState") in ("enabled", "enabled-runtime", "static", "linked", "alias"),
        is_serving=is_serving,
        registration=_registration(host, conf, wish),
    )


def refuse_unreachable(host: Host, wish: Wish) -> None:
    """Reject an API server that does not answer this host, and versions here that it does not support."""
    url = f"https://{wish.cluster.endpoint}"
    answer = look_until(
        lambda: host.web.get(f"{url}/version"), lambda got: got.status != 0, host.clock, LONGEST_WAIT_FOR_API_SERVER, 2 * POLL
    )
    if answer.status == 0:
        raise Refusal(
            f"API server {url}, asked from {wish.node.name}",
            answer.problem,
            "an answer",
            f"Check that the control plane is on, that kube-apiserver runs there, and that its firewall allows {wish.node.name} "
            f"to port {wish.cluster.endpoint.rpartition(':')[2]}/tcp.",
        )
    version = str(answer.body.get("gitVersion") or "")
    # anonymous requests may be denied: then kubeadm checks the versions
    if version:
        kubelet = host.commands.run(["kubelet", "--version"], timeout=20.0).stdout.strip().rpartition(" ")[2]
        kubeadm = host.commands.run(["kubeadm", "version", "--output", "short"], timeout=20.0).stdout.strip()
        refuse_version_skew(version, kubelet, kubeadm, wish.node.name)


def carry_out(host: Host, wish: Wish, step: Step) -> None:
    """Carry out the step, and wait until the kubelet is healthy."""
    if step.needs_token:
        info = _discover(host, wish)
        _wait_for_namesake(host, wish, info.authority)
        mark = Mark(wish.cluster.name, "worker", wish.node.name)
        host.replace({MARKER: mark.as_text()})
        if step.action == "rejoin":
            _clean(host, wish)
        _join(host, wish)
        host.replace({MARKER: replace(mark, installed=True, ca=digest(host.files.read(CA_CERTIFICATE))).as_text()})
    elif step.action in ("start", "restart", "reconfigure"):
        if step.action == "reconfigure":
            host.commands.run(["kubeadm", "upgrade", "node", "phase", "kubelet-config"], timeout=wish.timeout)
        host.commands.run(["systemctl", "reset-failed", "kubelet"], check=False)
        host.commands.run(["systemctl", "restart", "kubelet"])
    host.commands.run(["systemctl", "enable", "kubelet"])
    if step.action != "enable":
        _wait_for_kubelet(host, wish)


def confirm(host: Host, wish: Wish) -> Standing:
    """Return the host's state after a step, after waiting for its registration. Raises Refusal if a problem remains."""

    def look_at_it() -> tuple[Standing, Step]:
        standing = look(host, wish)
        return standing, plan_membership(standing, wish.cluster, wish.node.name)

    standing, left = look_until(look_at_it, lambda seen: seen[1].action == "none", host.clock, wish.patience, POLL)
    if left.action != "none":
        raise Refusal(
            f"host {wish.node.name}",
            f"a problem that remains {wish.patience:g} s after the repair: it {left.reason}",
            f"a member of {wish.cluster.name}",
            "See `journalctl -u kubelet` on the host.",
        )
    return standing


def _lost_resolver(files: HostFiles) -> str:
    """Return the kubelet's ``resolvConf`` if that file is missing, as where the control plane's was handed to all hosts."""
    named = _RESOLVER.search(files.read(KUBELET_CONFIG) or "")
    return named[1] if named and not files.exists(named[1]) else ""


def _unit(commands: Commands) -> dict[str, str]:
    return Kubelet(commands).state(check=False) if commands.has("systemctl") else {}


def _settled_kubelet(host: Host) -> tuple[dict[str, str], bool]:
    """Return the state of the kubelet's unit and whether it is healthy, after waiting for its start, as after a wake-up."""

    def is_settled(seen: tuple[dict[str, str], bool]) -> bool:
        unit, is_serving = seen
        return is_serving or not (unit.get("ActiveState") in UNDER_WAY or is_queued(unit))

    return look_until(lambda: (_unit(host.commands), _is_healthy(host)), is_settled, host.clock, LONGEST_WAIT_TO_SETTLE, POLL)


def _is_healthy(host: Host) -> bool:
    return host.web.get(KUBELET_HEALTH).status == 200


def _registration(host: Host, conf: Optional[Kubeconfig], wish: Wish) -> Registration:
    """Return the API server's answer about the Node, with the kubelet's own credentials."""
    if conf is None or not conf.authority or not conf.client_certificate or not wish.cluster.endpoint:
        return "unknown"
    if not host.files.exists(conf.client_certificate):
        return "rejected"
    answer = host.web.get(
        f"https://{wish.cluster.endpoint}/api/v1/nodes/{wish.node.name}",
        authority=conf.authority,
        certificate=conf.client_certificate,
        key=conf.client_key,
    )
    known: dict[int, Registration] = {200: "registered", 404: "missing", 401: "rejected"}
    return known.get(answer.status, "unknown")


def _discover(host: Host, wish: Wish) -> ClusterInfo:
    """Return the verified cluster-info; the signature of a new token appears a moment after the token."""
    token = wish.token
    if token is None:
        raise Refusal(
            f"host {wish.node.name}",
            "no token",
            "a token to join with",
            "Pass `token` of what vmstation.cluster.kubeadm_join_token returned.",
        )
    url = f"https://{wish.cluster.endpoint}"
    info = read_cluster_info(host.web.get(url + CLUSTER_INFO).body)
    if info is not None:
        refuse_other_authority(info, wish.cluster.endpoint, wish.cluster.ca_cert_hashes)
    began = host.clock.now()
    while info is None or token.name not in info.signatures:
        waited = host.clock.now() - began
        if waited >= LONGEST_WAIT_FOR_SIGNATURE:
            refuse_bad_token(info, token, wish.cluster.endpoint, waited)
        host.clock.sleep(POLL)
        info = read_cluster_info(host.web.get(url + CLUSTER_INFO).body) or info
    refuse_other_authority(info, wish.cluster.endpoint, wish.cluster.ca_cert_hashes)
    refuse_bad_token(info, token, wish.cluster.endpoint, 0)
    return info


def _wait_for_namesake(host: Host, wish: Wish, authority: str) -> None:
    """Wait until the Node is not ready: kubeadm does not join a host whose Node is, as just after a reset."""
    began = host.clock.now()
    while True:
        answer = _ask_with_token(host.web, wish, authority)
        waited = host.clock.now() - began
        found = answer.body if answer.status == 200 else None
        refuse_namesake(found, wish.node, wish.cluster)
        # no Node, or no permission to read it; without an answer kubeadm decides
        if not is_ready(found) and (answer.status != 0 or waited >= LONGEST_WAIT_FOR_API_SERVER):
            return
        if _unit(host.commands).get("ActiveState") in UNDER_WAY:
            # it keeps the Node ready, with credentials that it read before they were lost
            host.commands.run(["systemctl", "stop", "kubelet"])
        if waited >= LONGEST_WAIT_FOR_NODE_TO_LAPSE:
            raise Refusal(
                f"Node {wish.node.name} of {wish.cluster.name}",
                f"still ready {waited:g} s after this host lost its membership",
                "a Node that is not ready, to join the host again",
                f"Remove it: `kubectl delete node {wish.node.name}`, then run again.",
            )
        host.clock.sleep(2 * POLL)


def _ask_with_token(web: WebClient, wish: Wish, authority: str) -> Answer:
    token = wish.token.text if wish.token else ""
    return web.get(f"https://{wish.cluster.endpoint}/api/v1/nodes/{wish.node.name}", authority=authority, token=token)


def _clean(host: Host, wish: Wish) -> None:
    """Remove what a former membership or an incomplete join left; the container runtime and the CNI configuration stay."""
    host.commands.run(
        ["kubeadm", "reset", "--force", "--cri-socket", wish.node.cri_socket, "--ignore-preflight-errors=all"], timeout=wish.timeout
    )


def _join(host: Host, wish: Wish) -> None:
    if wish.token is None:
        return
    configuration = join_configuration(wish.node, wish.cluster, wish.token, wish.timeout)
    # pass the token through a pipe: not in a file, not in an argument
    done = host.commands.run(
        ["kubeadm", "join", "--config", "/dev/stdin"], stdin=configuration, timeout=wish.timeout + wish.patience, check=False
    )
    if done.status != 0:
        raise join_failure(f"{done.stderr}\n{done.stdout}", wish.token, wish.cluster)


def _wait_for_kubelet(host: Host, wish: Wish) -> None:
    if not look_until(lambda: _is_healthy(host), bool, host.clock, wish.patience, POLL):
        asked = ["journalctl", "--unit=kubelet", "--no-pager", "--lines=5", "--output=cat"]
        journal = host.commands.run(asked, timeout=20.0, check=False).stdout.split("\n")
        raise Refusal(
            f"kubelet of {wish.node.name}",
            f"not healthy {wish.patience:g} s after its start; its log: {' | '.join(line for line in journal if line)}",
            f"an answer at {KUBELET_HEALTH}",
            "Correct what it names; `journalctl -u kubelet` on the host has more.",
        )


# The worker's membership: read, plan, apply, verify

LOCK = "/run/vmstation-kubeadm.lock"

Detached = Callable[[Callable[[], None]], None]


@dataclass(frozen=True)
class Ways:
    """How a step is run: ``alone`` excludes a second run, ``detached`` lets it finish if its run is killed."""

    alone: Callable[[str, float], AbstractContextManager[None]]
    detached: Detached


def read_wish(options: Mapping[str, Any], predict: bool) -> Wish:
    """Validate the options of kubeadm_worker. In check mode, endpoint and hashes may be empty: there may be no control plane yet."""
    endpoint, hashes = options["api_server_endpoint"], options["ca_cert_hashes"]
    if not predict and not (endpoint and hashes):
        raise Refusal(
            "api_server_endpoint and ca_cert_hashes",
            "empty",
            "the cluster's address and the pins of its CA",
            "Pass what vmstation.cluster.kubeadm_join_token returned for the control plane.",
        )
    if options["timeout"] < 1:
        raise Refusal("timeout", str(options["timeout"]), "at least 1 second", "Pass 180, for example.")
    name = options["name"].lower()
    addresses = node_addresses(options["plan"], options["addresses"], name)
    node = Node(name, addresses, options["cri_socket"], options["ignore_preflight_errors"], options["kubelet_extra_args"])
    token = read_token(options["token"]) if options["token"] else None
    return Wish(Cluster(options["cluster_name"], endpoint, hashes), node, token, float(options["timeout"]))


def ensure_membership(host: Host, wish: Wish, ways: Ways, predict: bool) -> Step:
    """Make the host a member, or predict the step; return it."""
    if predict:
        step = _judged(host, wish, predict)
    else:
        # a join whose run was killed may still be running
        with ways.alone(LOCK, 2 * wish.timeout):
            step = _judged(host, wish, predict)
            if step.action != "none":
                ways.detached(lambda: carry_out(host, wish, step))
                confirm(host, wish)
    return step


def _judged(host: Host, wish: Wish, predict: bool) -> Step:
    step = plan_membership(look(host, wish), wish.cluster, wish.node.name)
    # in check mode there may be no control plane yet, or no packages on this host
    if wish.cluster.endpoint and (not predict or all(map(host.commands.has, ("kubelet", "kubeadm")))):
        refuse_unreachable(host, wish)
    return step


def result(step: Step, wish: Wish) -> dict[str, Any]:
    """Return the module's result."""
    name, changed = wish.node.name, step.action != "none"
    before, after = (f"{name} {said}\n" for said in (step.reason, f"is a member of {wish.cluster.name}"))
    return {
        "changed": changed,
        "node": name,
        "action": step.action,
        "reason": f"{name} {step.reason}",
        "needs_token": step.needs_token,
        "diff": {"before": before, "after": after} if changed else {"before": "", "after": ""},
    }
