# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker's membership: what each state of a host calls for, what is refused, and how the steps are carried out."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Callable

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import Completed
from ansible_collections.vmstation.cluster.plugins.module_utils._host.mark import MARKER, read_mark
from ansible_collections.vmstation.cluster.plugins.module_utils._host.web import Answer
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.join import (
    CLUSTER_INFO,
    Cluster,
    Node,
    Standing,
    Token,
    is_ready,
    join_configuration,
    join_failure,
    plan_membership,
    public_key_hashes,
    read_kubeconfig,
    read_token,
    refuse_namesake,
    refuse_version_skew,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.join_steps import (
    KUBELET_HEALTH,
    Host,
    Ways,
    Wish,
    ensure_membership,
    read_wish,
    result,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.kubeadm.authority import AUTHORITY, HASH, KUBECONFIG, OTHER_AUTHORITY, OTHER_HASH, kubeconfig

PLAN = {"pod_cidr": "10.244.0.0/16", "service_cidr": "10.96.0.0/12", "dns_service_ip": "10.96.0.10", "kubernetes_version": "1.36"}
CLUSTER = Cluster("vmstation", "192.168.4.63:6443", [HASH])
NODE = Node("homelab", ["192.168.4.62"], "unix:///run/containerd/containerd.sock", ["SystemVerification"], {"v": "2"})
TOKEN = Token("abcdef", "0123456789abcdef")

CONF = read_kubeconfig(KUBECONFIG)
ELSEWHERE = read_kubeconfig(kubeconfig("https://10.0.0.9:6443", OTHER_AUTHORITY))
RENEWED = read_kubeconfig(kubeconfig("https://192.168.4.63:6443", OTHER_AUTHORITY))
MOVED = read_kubeconfig(kubeconfig("https://192.168.4.64:6443", AUTHORITY))
MEMBER = Standing(
    mark="vmstation",
    kubelet_conf=CONF,
    authority=AUTHORITY,
    has_kubelet_config=True,
    is_active=True,
    is_enabled=True,
    is_serving=True,
    registration="registered",
)


# what is read


def test_a_kubeconfig_with_bytes_that_are_not_ascii_is_of_no_cluster() -> None:
    damaged = read_kubeconfig(re.sub("(certificate-authority-data: ..)..", "\\1\ufffd\ufffd", KUBECONFIG))
    assert damaged is not None
    assert damaged.authority == ""


def test_a_public_key_is_pinned_as_openssl_digests_it() -> None:
    assert public_key_hashes(AUTHORITY) == (HASH,)
    assert public_key_hashes(OTHER_AUTHORITY + AUTHORITY) == (OTHER_HASH, HASH)


@pytest.mark.parametrize("text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE----"])
def test_text_without_a_certificate_has_no_pins(text: str) -> None:
    assert public_key_hashes(text) == ()


@pytest.mark.parametrize("content", ["AAAA", "MIIB", "!!!!", AUTHORITY.splitlines()[1]])
def test_a_damaged_certificate_is_refused(content: str) -> None:
    if content == "!!!!":
        assert public_key_hashes(f"-----BEGIN CERTIFICATE-----\n{content}\n-----END CERTIFICATE-----") == ()
        return
    with pytest.raises(Refusal, match="certificate of the cluster's CA"):
        public_key_hashes(f"-----BEGIN CERTIFICATE-----\n{content}\n-----END CERTIFICATE-----")


def test_a_kubeconfig_tells_server_authority_and_credentials() -> None:
    assert CONF is not None
    assert (CONF.endpoint, CONF.authority) == ("192.168.4.63:6443", AUTHORITY)
    assert CONF.client_certificate == CONF.client_key == "/var/lib/kubelet/pki/kubelet-client-current.pem"
    assert read_kubeconfig(None) is None


@pytest.mark.parametrize("text", ["", "kind: Config", "certificate-authority-data: %%%", "server: ", "\x00\udcff"])
def test_a_kubeconfig_that_is_not_understood_is_nobodys(text: str) -> None:
    found = read_kubeconfig(text)
    assert found is not None
    assert (found.server, found.authority) == ("", "")


@pytest.mark.parametrize("text", ["", "abcdef", "abcdef.0123", "ABCDEF.0123456789abcdef", "abcdef.0123456789abcdef "])
def test_a_text_that_is_no_token_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        read_token(text)
    assert not text or text not in str(refused.value)


# what a state calls for

STATES = {
    "bare": (Standing(), "join", "was no member"),
    "reset by hand": (Standing(mark="vmstation"), "join", "had been reset"),
    "member": (MEMBER, "none", "is a member"),
    "member of whom the API server says nothing now": (replace(MEMBER, registration="unknown"), "none", "is a member"),
    "member without a mark": (replace(MEMBER, mark=None), "none", "is a member"),
    "half a join, before TLS": (Standing(mark="vmstation", bootstrap_conf=CONF), "rejoin", "had an incomplete join"),
    "half a join, authority written": (Standing(bootstrap_conf=CONF, authority=AUTHORITY), "rejoin", "had an incomplete join"),
    "only the authority": (Standing(authority=AUTHORITY), "rejoin", "had an incomplete join"),
    "only the kubelet's configuration": (Standing(has_kubelet_config=True), "rejoin", "a kubelet configuration but no membership"),
    "earlier cluster, same address": (replace(MEMBER, kubelet_conf=RENEWED), "rejoin", "was a member of an earlier cluster"),
    "earlier cluster, known by its mark": (replace(MEMBER, kubelet_conf=ELSEWHERE), "rejoin", "was a member of an earlier cluster"),
    "same cluster, other address": (replace(MEMBER, kubelet_conf=MOVED), "rejoin", "used https://192.168.4.64:6443"),
    "lost configuration": (replace(MEMBER, has_kubelet_config=False), "rejoin", "had lost /var/lib/kubelet/config.yaml"),
    "rejected": (replace(MEMBER, registration="rejected"), "rejoin", "credentials that the API server rejects"),
    "stopped": (replace(MEMBER, is_active=False, is_serving=False), "start", "had a stopped kubelet"),
    "stopped, Node deleted": (replace(MEMBER, is_active=False, registration="missing"), "start", "had a stopped kubelet"),
    "Node deleted": (replace(MEMBER, registration="missing"), "restart", "had no Node object any more"),
    "ill": (replace(MEMBER, is_serving=False), "restart", "ran and was not healthy"),
    "resolver of another host": (replace(MEMBER, lost_resolver="/run/r"), "reconfigure", "resolvConf, /run/r, is not on this host"),
    "not enabled": (replace(MEMBER, is_enabled=False), "enable", "does not start at boot"),
}


@pytest.mark.parametrize("case", STATES)
def test_a_state_calls_for_a_step(case: str) -> None:
    standing, action, reason = STATES[case]
    step = plan_membership(standing, CLUSTER, "homelab")
    assert step.action == action
    assert reason in step.reason
    assert step.needs_token == (action in ("join", "rejoin"))


FOREIGN = {
    "unmarked": (replace(MEMBER, mark=None, kubelet_conf=ELSEWHERE), "of unknown name at https://10.0.0.9:6443"),
    "another cluster of ours": (replace(MEMBER, mark="attic", kubelet_conf=ELSEWHERE), "attic at https://10.0.0.9:6443"),
    "half a join elsewhere": (Standing(bootstrap_conf=ELSEWHERE), "of unknown name at https://10.0.0.9:6443"),
    "only an authority": (Standing(authority=OTHER_AUTHORITY), "of unknown name"),
    "unreadable": (Standing(kubelet_conf=read_kubeconfig("?")), "of unknown name at an unknown address"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_a_member_of_another_cluster_is_refused_with_both_names(case: str) -> None:
    standing, other = FOREIGN[case]
    with pytest.raises(Refusal) as refused:
        plan_membership(standing, CLUSTER, "homelab")
    assert refused.value.found == f"a member of another cluster: {other}"
    assert "vmstation at https://192.168.4.63:6443" in refused.value.required


def test_a_control_plane_is_refused() -> None:
    with pytest.raises(Refusal, match="a control plane"):
        plan_membership(replace(MEMBER, is_control_plane=True), CLUSTER, "masternode")


def test_check_mode_before_there_is_a_cluster_predicts() -> None:
    unknown = Cluster("vmstation", "", [])
    assert plan_membership(Standing(), unknown, "homelab").action == "join"
    assert plan_membership(MEMBER, unknown, "homelab").action == "none"


# versions


@pytest.mark.parametrize("kubelet", ["v1.36.4", "v1.36.0", "v1.36.9", "1.35.1", "v1.33.0"])
def test_a_kubelet_as_old_as_three_minor_versions_suits(kubelet: str) -> None:
    refuse_version_skew("v1.36.4", kubelet, "v1.36.1", "homelab")


@pytest.mark.parametrize("kubelet", ["v1.37.0", "v1.32.9", "v2.36.0"])
def test_another_kubelet_is_refused(kubelet: str) -> None:
    with pytest.raises(Refusal, match="kubelet of homelab") as refused:
        refuse_version_skew("v1.36.4", kubelet, "v1.36.4", "homelab")
    assert ("upgrade the control plane" in str(refused.value)) == (kubelet != "v1.32.9")


@pytest.mark.parametrize("kubeadm", ["v1.35.0", "v1.37.0", "nothing"])
def test_another_kubeadm_is_refused(kubeadm: str) -> None:
    with pytest.raises(Refusal, match="kubeadm"):
        refuse_version_skew("v1.36.4", "v1.36.4", kubeadm, "homelab")


# what kubeadm is given, and what it says


def test_the_configuration_pins_the_authority_and_announces_the_address() -> None:
    document = json.loads(join_configuration(NODE, CLUSTER, TOKEN, 180))
    assert document["discovery"] == {
        "bootstrapToken": {"token": TOKEN.text, "apiServerEndpoint": "192.168.4.63:6443", "caCertHashes": [HASH]}
    }
    assert document["nodeRegistration"] == {
        "name": "homelab",
        "criSocket": "unix:///run/containerd/containerd.sock",
        "imagePullPolicy": "IfNotPresent",
        "kubeletExtraArgs": [{"name": "node-ip", "value": "192.168.4.62"}, {"name": "v", "value": "2"}],
        "ignorePreflightErrors": ["SystemVerification"],
    }
    assert set(document["timeouts"].values()) == {"60s"}


FAILURES = {
    "expired": ("error: ... cannot get Node: Unauthorized\n", "a token that has not expired"),
    "runtime": ("\t[WARNING Hostname]: x\n\t[ERROR CRI]: could not connect\nerror: preflight\n", "a container runtime that serves the CRI"),
    "kubelet": ("error: failed while waiting for the kubelet to start: timeout", "a kubelet that becomes healthy"),
    "bootstrap": ("error: failed while waiting for TLS bootstrap: timeout", "a client certificate for the kubelet"),
    "clock": ("error: tls: x509: certificate has expired or is not yet valid: current time", "clocks that agree"),
    "other": ("\t[WARNING X]: y\n\t[ERROR Port-10250]: Port 10250 is in use\nerror: preflight", "a join without errors"),
    "nothing": ("", "a join without errors"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_failed_join_says_what_is_required(case: str) -> None:
    output, required = FAILURES[case]
    refusal = join_failure(output, TOKEN, CLUSTER)
    assert refusal.required.startswith(required)
    assert "WARNING" not in refusal.found


def test_a_failed_join_does_not_show_the_token() -> None:
    refusal = join_failure(f"error: token {TOKEN.text} of {TOKEN.secret} is bad", TOKEN, CLUSTER)
    assert TOKEN.secret not in str(refusal)
    assert TOKEN.secret not in repr(TOKEN)


def of_the_api(name: str, address: str, ready: str = "True", **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": labels},
        "status": {"addresses": [{"type": "InternalIP", "address": address}], "conditions": [{"type": "Ready", "status": ready}]},
    }


def test_a_name_that_another_host_has_is_refused() -> None:
    for taken in (
        of_the_api("homelab", "192.168.4.99"),
        of_the_api("homelab", "192.168.4.62", **{"node-role.kubernetes.io/control-plane": ""}),
    ):
        with pytest.raises(Refusal, match="another host, at 192"):
            refuse_namesake(taken, NODE, CLUSTER)
    refuse_namesake(None, NODE, CLUSTER)
    refuse_namesake(of_the_api("homelab", "192.168.4.62"), NODE, CLUSTER)
    assert is_ready(of_the_api("homelab", "192.168.4.62"))
    assert not is_ready(of_the_api("homelab", "192.168.4.62", "Unknown"))
    assert not is_ready(None)


# the steps, on a host that is made of dictionaries


NOT_FOUND = Answer(404, {"kind": "Status", "metadata": {}, "status": "Failure", "reason": "NotFound", "code": 404})


class FakeHost:
    """A host, its kubeadm and the cluster's API server. events: what was done, in order."""

    def __init__(self, files: Mapping[str, str] | None = None) -> None:
        self.contents = dict(files or {})
        self.events: list[str] = []
        self.token = TOKEN
        self.api: dict[str, Answer] = {"/version": Answer(200, {"gitVersion": "v1.36.4"})}
        self.active = self.enabled = self.serving = False
        self.time = 0.0
        self.join_status, self.join_output = 0, ""
        self.configuration: dict[str, Any] = {}
        self.signed_at = 0.0
        self.authority = AUTHORITY
        self.nodes: list[dict[str, Any]] = []

    # commands
    def has(self, program: str) -> bool:
        return True

    def run(self, argv: Sequence[str], *, stdin: str = "", timeout: float = 60.0, check: bool = True) -> Completed:
        line = " ".join(argv)
        assert self.token.secret not in line
        output, status = "", 0
        if line.startswith("systemctl show kubelet"):
            states = ("active" if self.active else "inactive", "enabled" if self.enabled else "disabled")
            output = "ActiveState={}\nUnitFileState={}\n".format(*states)
        elif line == "kubelet --version":
            output = "Kubernetes v1.36.4\n"
        elif line.startswith("kubeadm version"):
            output = "v1.36.4\n"
        else:
            self.events.append(" ".join(argv[:2]) + (f" {argv[2]}" if argv[0] == "systemctl" else ""))
            self._do(line, stdin)
            status, output = (self.join_status, self.join_output) if line.startswith("kubeadm join") else (0, "")
        return Completed(tuple(argv), status, output, "")

    def _do(self, line: str, stdin: str) -> None:
        if line.startswith("systemctl restart"):
            self.active = self.serving = True
        elif line.startswith("systemctl stop"):
            self.active = self.serving = False
        elif line.startswith("systemctl enable"):
            self.enabled = True
        elif line == "kubeadm upgrade node phase kubelet-config":
            self.contents["/var/lib/kubelet/config.yaml"] = "kind: KubeletConfiguration"
        elif line.startswith("kubeadm reset"):
            self.contents = {path: text for path, text in self.contents.items() if path == MARKER}
        elif line.startswith("kubeadm join") and not self.join_status:
            self.configuration = json.loads(stdin)
            self.contents |= MEMBER_FILES
            self.active = self.serving = True

    # files
    def read(self, path: str) -> str | None:
        return self.contents.get(path)

    def exists(self, path: str) -> bool:
        return path in self.contents

    def entries(self, path: str) -> tuple[str, ...]:
        return ()

    def target(self, path: str) -> str | None:
        return None

    def replace(self, contents: Mapping[str, str | None]) -> None:
        self.events.append(f"write {' '.join(contents)}")
        self.contents |= {path: text for path, text in contents.items() if text is not None}

    # web
    def get(self, url: str, *, authority: str = "", certificate: str = "", key: str = "", token: str = "") -> Answer:
        if url == KUBELET_HEALTH:
            return Answer(200 if self.serving else 0)
        path = url.removeprefix("https://192.168.4.63:6443")
        if path == CLUSTER_INFO and path not in self.api:
            return Answer(200, {"data": self._cluster_info()})
        if path == "/api/v1/nodes/homelab":
            if token:
                assert (token, authority) == (TOKEN.text, AUTHORITY)
                found = self.nodes.pop(0) if self.nodes else None
                return Answer(200, found) if found else NOT_FOUND
            return self.api.get("node", Answer(200))
        return self.api[path]

    def _cluster_info(self) -> dict[str, str]:
        text = kubeconfig("https://192.168.4.63:6443", self.authority)
        signed = f"header.{base64.urlsafe_b64encode(text.encode()).decode().rstrip('=')}".encode()
        digest = base64.urlsafe_b64encode(hmac.new(self.token.secret.encode(), signed, hashlib.sha256).digest()).decode().rstrip("=")
        signature = {f"jws-kubeconfig-{self.token.name}": f"header..{digest}"} if self.time >= self.signed_at else {}
        return {"kubeconfig": text, **signature}

    # clock
    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def ensured(self, *, token: Token | None = TOKEN, cluster: Cluster = CLUSTER, predict: bool = False) -> str:
        self.wish = Wish(cluster, NODE, token, 180.0)
        host = Host(self, self, self, self, self.replace)
        return ensure_membership(host, self.wish, Ways(self.alone, self.detached), predict).action

    @contextmanager
    def alone(self, path: str, wait: float) -> Iterator[None]:
        self.events.append("lock")
        yield

    def detached(self, work: Callable[[], None]) -> None:
        work()


MEMBER_FILES = {
    "/etc/kubernetes/kubelet.conf": KUBECONFIG,
    "/etc/kubernetes/pki/ca.crt": AUTHORITY,
    "/var/lib/kubelet/config.yaml": "kind: KubeletConfiguration",
    "/var/lib/kubelet/pki/kubelet-client-current.pem": "",
}


def member() -> FakeHost:
    host = FakeHost(MEMBER_FILES)
    host.active = host.enabled = host.serving = True
    return host


def test_a_bare_host_joins_and_is_marked_before_kubeadm_runs() -> None:
    host = FakeHost()
    assert host.ensured() == "join"
    assert host.events == ["lock", f"write {MARKER}", "kubeadm join", f"write {MARKER}", "systemctl enable kubelet"]
    assert host.configuration["discovery"]["bootstrapToken"]["token"] == TOKEN.text
    mark = read_mark(host.contents[MARKER])
    assert mark is not None
    assert (mark.cluster, mark.role, mark.name, mark.installed) == ("vmstation", "worker", "homelab", True)
    assert host.ensured() == "none"


def test_a_member_is_left_alone() -> None:
    host = member()
    assert host.ensured(token=None) == "none"
    assert host.events == ["lock"]


def test_check_mode_touches_nothing() -> None:
    host = FakeHost()
    assert host.ensured(token=None, predict=True) == "join"
    assert host.events == []


def test_half_a_join_is_cleaned_up_after_the_token_has_been_proved() -> None:
    host = FakeHost({"/etc/kubernetes/bootstrap-kubelet.conf": KUBECONFIG})
    assert host.ensured() == "rejoin"
    assert host.events[1:4] == [f"write {MARKER}", "kubeadm reset", "kubeadm join"]


def test_a_stopped_kubelet_is_started_and_enabled() -> None:
    host = member()
    host.active = host.serving = host.enabled = False
    assert host.ensured(token=None) == "start"
    assert host.events[-2:] == ["systemctl restart kubelet", "systemctl enable kubelet"]


@pytest.mark.parametrize("there", [False, True])
def test_a_kubelet_with_the_resolver_of_another_host_gets_its_own(there: bool) -> None:
    host = member()
    host.contents["/var/lib/kubelet/config.yaml"] = "kind: KubeletConfiguration\nresolvConf: /run/systemd/resolve/resolv.conf\n"
    if there:
        host.contents["/run/systemd/resolve/resolv.conf"] = "nameserver 192.168.4.1\n"
    assert host.ensured() == ("none" if there else "reconfigure")
    done = ["kubeadm upgrade", "systemctl reset-failed kubelet", "systemctl restart kubelet", "systemctl enable kubelet"]
    assert host.events[1:] == ([] if there else done)


def test_a_kubelet_that_is_just_starting_is_given_its_time() -> None:
    host = member()
    host.serving = False
    host.sleep = lambda seconds: (setattr(host, "time", host.time + seconds), setattr(host, "serving", host.time >= 3))  # type: ignore[assignment]
    assert host.ensured(token=None) == "none"
    assert host.time == 3


def test_a_signature_is_waited_for() -> None:
    host = FakeHost()
    host.signed_at = 4.0
    assert host.ensured() == "join"


def test_a_node_that_is_still_called_ready_is_waited_for() -> None:
    host = FakeHost()
    host.nodes = [of_the_api("homelab", "192.168.4.62")] * 30
    assert host.ensured() == "join"
    assert host.time == 30


def test_a_kubelet_that_outlived_its_credentials_is_stopped_so_that_its_node_lapses() -> None:
    host = FakeHost({"/etc/kubernetes/bootstrap-kubelet.conf": KUBECONFIG})
    host.active = True
    host.nodes = [of_the_api("homelab", "192.168.4.62")] * 2
    assert host.ensured() == "rejoin"
    assert host.events[1:4] == ["systemctl stop kubelet", f"write {MARKER}", "kubeadm reset"]


REFUSED: dict[str, tuple[Callable[[FakeHost], None], str]] = {
    "expired token": (lambda host: setattr(host, "signed_at", 1e9), "token abcdef: found no signature for it at https://192.168.4.63:6443"),
    "other secret": (lambda host: setattr(host, "token", Token("abcdef", "ffffffffffffffff")), "token abcdef: found a secret other"),
    "other authority": (lambda host: setattr(host, "authority", OTHER_AUTHORITY), f"found {OTHER_HASH}; required: one of {HASH}"),
    "silent API server": (
        lambda host: host.api.update({"/version": Answer(0, problem="no answer within 5 s")}),
        "API server https://192.168.4.63:6443, asked from homelab: found no answer within 5 s",
    ),
    "newer API server": (
        lambda host: host.api.update({"/version": Answer(200, {"gitVersion": "v1.40.0"})}),
        "at most 3 minor versions older",
    ),
    "no cluster-info": (lambda host: host.api.update({CLUSTER_INFO: Answer(403)}), "token abcdef: found no signature"),
    "namesake": (lambda host: setattr(host, "nodes", [of_the_api("homelab", "192.168.4.9")]), "another host, at 192.168.4.9"),
    "namesake that stays": (
        lambda host: setattr(host, "nodes", [of_the_api("homelab", "192.168.4.62")] * 1000),
        "still ready 120 s after this host lost its membership",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("files", [{}, {"/etc/kubernetes/bootstrap-kubelet.conf": KUBECONFIG}], ids=["bare", "half joined"])
def test_what_speaks_against_a_join_is_named_before_damage(case: str, files: dict[str, str]) -> None:
    prepare, message = REFUSED[case]
    host = FakeHost(files)
    prepare(host)
    with pytest.raises(Refusal) as refused:
        host.ensured()
    assert message in str(refused.value)
    assert (host.events, host.contents) == (["lock"], files)
    assert TOKEN.secret not in str(refused.value)


def test_a_join_without_a_token_is_refused_before_damage() -> None:
    host = FakeHost()
    with pytest.raises(Refusal, match="no token"):
        host.ensured(token=None)
    assert host.events == ["lock"]


def test_a_join_that_fails_leaves_a_mark_for_the_next_run() -> None:
    host = FakeHost()
    host.join_status, host.join_output = 1, "error: failed while waiting for TLS bootstrap"
    with pytest.raises(Refusal, match="client certificate"):
        host.ensured()
    mark = read_mark(host.contents[MARKER])
    assert mark is not None
    assert not mark.installed


def test_a_step_that_does_not_hold_is_reported() -> None:
    host = member()
    host.api["node"] = NOT_FOUND
    with pytest.raises(Refusal, match="it had no Node object"):
        host.ensured(token=None)


def test_an_endpoint_is_needed_unless_in_check_mode() -> None:
    options = {
        "cluster_name": "vmstation",
        "api_server_endpoint": "",
        "ca_cert_hashes": [],
        "token": None,
        "plan": PLAN,
        "name": "HomeLab",
        "addresses": ["192.168.4.62"],
        "cri_socket": "unix:///run/containerd/containerd.sock",
        "ignore_preflight_errors": [],
        "kubelet_extra_args": {},
        "timeout": 180,
    }
    with pytest.raises(Refusal, match="api_server_endpoint"):
        read_wish(options, False)
    wish = read_wish(options, True)
    assert (wish.node.name, wish.node.addresses) == ("homelab", ["192.168.4.62"])
    with pytest.raises(Refusal, match="timeout"):
        read_wish({**options, "timeout": 0}, True)


def test_the_result_tells_before_and_after() -> None:
    host = FakeHost()
    step = plan_membership(Standing(), CLUSTER, "homelab")
    told = result(step, Wish(CLUSTER, NODE, None, 180.0))
    assert told["diff"] == {"before": "homelab was no member\n", "after": "homelab is a member of vmstation\n"}
    assert (told["changed"], told["action"], told["needs_token"]) == (True, "join", True)
    assert not host.events
