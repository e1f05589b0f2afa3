# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a host a member: looks, waits for what may come, lets kubeadm join, and looks again. Everything that it touches is passed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._io.clock import Clock
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands
from ansible_collections.vmstation.cluster.plugins.module_utils._io.host_state import HostFiles
from ansible_collections.vmstation.cluster.plugins.module_utils._io.web_client import Answer, WebClient
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.join import (
    Cluster,
    Node,
    Registration,
    Standing,
    Step,
    is_ready,
    join_configuration,
    join_failure,
    plan_membership,
    refuse_namesake,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.join_discovery import (
    CLUSTER_INFO,
    ClusterInfo,
    Token,
    read_cluster_info,
    refuse_bad_token,
    refuse_other_authority,
    refuse_version_skew,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.join_identity import (
    BOOTSTRAP_CONF,
    CA_CERTIFICATE,
    KUBELET_CONF,
    Kubeconfig,
    read_kubeconfig,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.mark import MARKER, Mark, read_mark
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.state import digest
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.tools import Kubelet, is_queued
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

KUBELET_CONFIG = "/var/lib/kubelet/config.yaml"
API_SERVER_POD = "/etc/kubernetes/manifests/kube-apiserver.yaml"
KUBELET_HEALTH = "http://127.0.0.1:10248/healthz"
UNDER_WAY = ("active", "activating", "reloading")
POLL = 0.5
LONGEST_WAIT_TO_SETTLE = 20.0
LONGEST_WAIT_FOR_API_SERVER = 15.0
LONGEST_WAIT_FOR_SIGNATURE = 20.0
LONGEST_WAIT_FOR_NODE_TO_LAPSE = 120.0
"""Seconds. A Node is called not ready 50 s after its kubelet has fallen silent, unless the controller manager is told otherwise."""


Replace = Callable[[Mapping[str, Optional[str]]], None]


@dataclass(frozen=True)
class Host:
    """What the host is reached through."""

    commands: Commands
    files: HostFiles
    web: WebClient
    clock: Clock
    replace: Replace


@dataclass(frozen=True)
class Wish:
    """What is asked for. token: None if there is none. timeout: seconds for the join itself."""

    cluster: Cluster
    node: Node
    token: Optional[Token]
    timeout: float

    @property
    def patience(self) -> float:
        """Seconds for a kubelet to start, and for its Node to appear."""
        return max(60.0, self.timeout / 3)


def look(host: Host, wish: Wish) -> Standing:
    """One look at the host, and one question to the API server if it has credentials for it."""
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
        is_control_plane=files.exists(API_SERVER_POD),
        is_active=unit.get("ActiveState") in UNDER_WAY,
        is_enabled=unit.get("UnitFileState") in ("enabled", "enabled-runtime", "static", "linked", "alias"),
        is_serving=is_serving,
        registration=_registration(host, conf, wish),
    )


def refuse_unreachable(host: Host, wish: Wish) -> None:
    """Refuses an API server that this host does not reach, and software here that it does not support."""
    url = f"https://{wish.cluster.endpoint}"
    until = host.clock.now() + LONGEST_WAIT_FOR_API_SERVER
    while (answer := host.web.get(f"{url}/version")).status == 0 and host.clock.now() < until:
        host.clock.sleep(2 * POLL)
    if answer.status == 0:
        raise Refusal(
            f"API server {url}, asked from {wish.node.name}",
            answer.problem,
            "an answer",
            f"Look whether the control plane is on and kube-apiserver runs there, and whether its firewall lets {wish.node.name} through "
            f"to port {wish.cluster.endpoint.rpartition(':')[2]}/tcp.",
        )
    version = str(answer.body.get("gitVersion") or "")
    # anonymous requests may be denied: then kubeadm is the one to judge
    if version:
        kubelet = host.commands.run(["kubelet", "--version"], timeout=20.0).stdout.strip().rpartition(" ")[2]
        kubeadm = host.commands.run(["kubeadm", "version", "--output", "short"], timeout=20.0).stdout.strip()
        refuse_version_skew(version, kubelet, kubeadm, wish.node.name)


def carry_out(host: Host, wish: Wish, step: Step) -> None:
    """Does what the step says, up to a kubelet that is healthy."""
    if step.needs_token:
        info = _discover(host, wish)
        _wait_for_namesake(host, wish, info.authority)
        mark = Mark(wish.cluster.name, "worker", wish.node.name)
        host.replace({MARKER: mark.as_text()})
        if step.action == "rejoin":
            _clean(host, wish)
        _join(host, wish)
        host.replace({MARKER: replace(mark, installed=True, ca=digest(host.files.read(CA_CERTIFICATE))).as_text()})
    elif step.action in ("start", "restart"):
        host.commands.run(["systemctl", "reset-failed", "kubelet"], check=False)
        host.commands.run(["systemctl", "restart", "kubelet"])
    host.commands.run(["systemctl", "enable", "kubelet"])
    if step.action != "enable":
        _wait_for_kubelet(host, wish)


def confirm(host: Host, wish: Wish) -> Standing:
    """The host after a step, given the time that a registration takes. Refuses what did not hold."""
    until = host.clock.now() + wish.patience
    while True:
        standing = look(host, wish)
        left = plan_membership(standing, wish.cluster, wish.node.name)
        if left.action == "none":
            return standing
        if host.clock.now() >= until:
            raise Refusal(
                f"host {wish.node.name}",
                f"that it still {left.reason}, {wish.patience:g} s after that was seen to",
                f"a member of {wish.cluster.name}",
                "See `journalctl -u kubelet` on the host.",
            )
        host.clock.sleep(POLL)


def _unit(commands: Commands) -> dict[str, str]:
    return Kubelet(commands).state(check=False) if commands.has("systemctl") else {}


def _settled_kubelet(host: Host) -> tuple[dict[str, str], bool]:
    """The kubelet's unit and whether it is healthy, given the time that it takes to start, as on a host that has just been woken."""
    until = host.clock.now() + LONGEST_WAIT_TO_SETTLE
    while True:
        unit, is_serving = _unit(host.commands), host.web.get(KUBELET_HEALTH).status == 200
        is_starting = unit.get("ActiveState") in UNDER_WAY or is_queued(unit)
        if is_serving or not is_starting or host.clock.now() >= until:
            return unit, is_serving
        host.clock.sleep(POLL)


def _registration(host: Host, conf: Optional[Kubeconfig], wish: Wish) -> Registration:
    """What the API server says of the Node, asked with the kubelet's own credentials."""
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
    """cluster-info, verified; a new token's signature comes a moment after the token."""
    token = wish.token
    if token is None:
        raise Refusal(
            f"host {wish.node.name}",
            "no token",
            "a token, as the host has to join",
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
    """kubeadm joins no host whose Node is still called ready, as that of a host is which was reset a moment ago."""
    began = host.clock.now()
    while True:
        answer = _ask_with_token(host.web, wish, authority)
        waited = host.clock.now() - began
        found = answer.body if answer.status == 200 else None
        refuse_namesake(found, wish.node, wish.cluster)
        # no Node, or no permission to see one; without an answer kubeadm has the last word
        if not is_ready(found) and (answer.status != 0 or waited >= LONGEST_WAIT_FOR_API_SERVER):
            return
        if _unit(host.commands).get("ActiveState") in UNDER_WAY:
            # it keeps the Node ready, with the credentials that it has read before they were lost
            host.commands.run(["systemctl", "stop", "kubelet"])
        if waited >= LONGEST_WAIT_FOR_NODE_TO_LAPSE:
            raise Refusal(
                f"Node {wish.node.name} of {wish.cluster.name}",
                f"still ready {waited:g} s after this host has lost its membership",
                "a Node that is not ready, to join the host again",
                f"Remove it: `kubectl delete node {wish.node.name}`, then run again.",
            )
        host.clock.sleep(2 * POLL)


def _ask_with_token(web: WebClient, wish: Wish, authority: str) -> Answer:
    token = wish.token.text if wish.token else ""
    return web.get(f"https://{wish.cluster.endpoint}/api/v1/nodes/{wish.node.name}", authority=authority, token=token)


def _clean(host: Host, wish: Wish) -> None:
    """Takes away what a former membership or half a join left; the container runtime and the CNI configuration stay."""
    host.commands.run(
        ["kubeadm", "reset", "--force", "--cri-socket", wish.node.cri_socket, "--ignore-preflight-errors=all"], timeout=wish.timeout
    )


def _join(host: Host, wish: Wish) -> None:
    if wish.token is None:
        return
    configuration = join_configuration(wish.node, wish.cluster, wish.token, wish.timeout)
    # the token goes through a pipe: in no file, in no argument
    done = host.commands.run(
        ["kubeadm", "join", "--config", "/dev/stdin"], stdin=configuration, timeout=wish.timeout + wish.patience, check=False
    )
    if done.status != 0:
        raise join_failure(f"{done.stderr}\n{done.stdout}", wish.token, wish.cluster)


def _wait_for_kubelet(host: Host, wish: Wish) -> None:
    until = host.clock.now() + wish.patience
    while host.web.get(KUBELET_HEALTH).status != 200:
        if host.clock.now() >= until:
            asked = ["journalctl", "--unit=kubelet", "--no-pager", "--lines=5", "--output=cat"]
            journal = host.commands.run(asked, timeout=20.0, check=False).stdout.split("\n")
            raise Refusal(
                f"kubelet of {wish.node.name}",
                f"not healthy {wish.patience:g} s after its start; it says: {' | '.join(line for line in journal if line)}",
                f"an answer at {KUBELET_HEALTH}",
                "Correct what it names; `journalctl -u kubelet` on the host has more.",
            )
        host.clock.sleep(POLL)
