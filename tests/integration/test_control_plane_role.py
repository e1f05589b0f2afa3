# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role control_plane with real kubeadm, kubelet and etcd: refused before damage, killed, completed, left alone, repaired."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.source import make_source
from tests.integration.playbook_output import flat, recap
from tests.lab import Lab
from tests.lab.say import LabError

pytestmark = pytest.mark.kubernetes

PLAN = {
    "node_cidr": "192.168.4.0/24",
    "gateway": "192.168.4.1",
    "pod_cidr": "10.244.0.0/16",
    "service_cidr": "10.96.0.0/12",
    "dns_service_ip": "10.233.0.3",
    "kubernetes_version": "1.36",
    "encapsulation": "VXLAN",
}
# what a host needs that is a container on a machine with cgroup v1
CONTAINER = {
    "node_preflight_accept": ["encapsulation_modules_can_be_loaded", "cgroup_version_is_2"],
    "node_containerd_restrict_oom_score_adj": True,
    "node_containerd_disable_apparmor": True,
    "control_plane_kubelet_configuration": {"failCgroupV1": False, "failSwapOn": False},
    "control_plane_kube_proxy_configuration": {"conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"}},
    "control_plane_ignore_preflight_errors": ["SystemVerification"],
}
PLAYBOOK = "- name: Play\n  hosts: control_plane\n  gather_facts: false\n  roles: [vmstation.cluster.{role}]\n"
NAME, ADDRESS = "cp-master", "192.168.4.241"
KUBECTL = ["kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "--request-timeout=10s"]
# instants of an init, each told by what it has just made: in the certificates, in the kubeconfigs, as static Pods start, as the API
# server comes up, and as objects are put into the cluster
INSTANTS = [
    "test -s /etc/kubernetes/pki/ca.crt",
    "test -s /etc/kubernetes/pki/sa.key",
    "test -s /etc/kubernetes/admin.conf",
    "test -s /etc/kubernetes/manifests/etcd.yaml",
    "test -e /var/lib/etcd/member",
    "kubectl --kubeconfig=/etc/kubernetes/super-admin.conf get --raw=/livez",
    "kubectl --kubeconfig=/etc/kubernetes/admin.conf get --raw=/api/v1/namespaces/kube-system/configmaps/kubeadm-config",
]


def kubernetes_alone(directory: Path) -> Path:
    """An installation source without what only Calico and test pods need, which is most of it."""
    whole = make_source()
    description = json.loads((whole / "source.json").read_text())
    description["images"] = {name: description["images"][name] for name in ("control-plane.tar", "kubernetes.tar")}
    for part in (*((whole / "bin").iterdir()), *(whole / "images" / name for name in description["images"])):
        target = directory / part.relative_to(whole)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(part)
    (directory / "manifests").mkdir()
    made = {"source.json": json.dumps(description), "manifests/calico.yaml": "apiVersion: v1\nkind: List\nitems: []\n"}
    for name, text in made.items():
        (directory / name).write_text(text)
    known = dict(line.split("  ")[::-1] for line in (whole / "SHA256SUMS").read_text().splitlines())
    sums = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in made.items()}
    sums |= {name: known[name] for name in (f"{part.parent.name}/{part.name}" for part in directory.glob("[bi]*/*"))}
    (directory / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())))
    return directory


# systemd-resolved, as kubeadm sees it: the host image has none
RESOLVED = """[Service]
RuntimeDirectory=systemd/resolve
ExecStartPre=/usr/bin/touch /run/systemd/resolve/resolv.conf
ExecStart=/bin/sleep infinity
[Install]
WantedBy=sysinit.target
"""


class Site:
    """One host, and a playbook for each of the two roles on it."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab, self.directory = lab, directory
        self.host = lab.start(NAME, address=ADDRESS, mac="02:00:c0:a8:04:f1", firewall="ufw", kubernetes=True)
        self.kubeconfig = directory / "kube" / "cp.config"
        for role in ("node", "control_plane"):
            (directory / f"{role}.yml").write_text(PLAYBOOK.format(role=role))
        variables = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(lab.key),
            "ansible_ssh_common_args": "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR",
            "ansible_python_interpreter": "/usr/bin/python3",
            "network_plan": PLAN,
            "cluster_name": "trial",
            "cluster_kubeconfig": str(self.kubeconfig),
            "installation_source": {"kind": "directory", "path": str(kubernetes_alone(directory / "source"))},
            **CONTAINER,
        }
        groups = {"control_plane": {"hosts": {NAME: {"ansible_host": ADDRESS}}}, "workers": {"hosts": {}}}
        (directory / "hosts.json").write_text(json.dumps({"all": {"vars": variables, "children": groups}}))

    def command(self, role: str, *arguments: str) -> list[str]:
        return ["ansible-playbook", "-i", str(self.directory / "hosts.json"), str(self.directory / f"{role}.yml"), *arguments]

    def play(self, role: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.lab.run(self.command(role, *arguments), check=False, timeout=1500)

    def kubectl(self, *arguments: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.host.run([*KUBECTL, *arguments], stdin=stdin, check=check)

    def is_there(self, path: str) -> bool:
        return self.host.run(["test", "-e", path], check=False).returncode == 0

    def kill_when(self, condition: str, delay: float) -> bool:
        """While `kubeadm init` runs and a shell command succeeds, kill it and our module with its children; False if it came to its end."""
        # not another kubeadm, which only looks; and not this script, whose own words would match
        init = "pgrep -xf '[^ ]*kubeadm init .*'"
        script = (
            f"n=0; until {init} && {condition}; do n=$((n+1)); [ $n -lt 5000 ] || exit 1; sleep 0.02; done; "
            # it may end by itself with the module that waits for it
            f"sleep {delay:.3f}; {init} || exit 1; pkill -KILL -x python3; pkill -KILL -x kubeadm; exit 0"
        )
        return self.host.run(["sh", "-c", script], check=False, timeout=600).returncode == 0


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    try:
        make_source()
    except LabError as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"no Kubernetes for the lab: {error}")
    made = Site(lab, tmp_path_factory.mktemp("control-plane"))
    yield made
    lab.remove(made.host)


def counts(process: subprocess.CompletedProcess[str]) -> dict[str, int]:
    return recap(process)[NAME]


def test_check_mode_runs_to_its_end_on_a_bare_host_and_shows_the_configuration(site: Site) -> None:
    process = site.play("control_plane", "--check", "--diff")
    assert process.returncode == 0, process.stdout + process.stderr
    # the control plane, the kubeconfig's directory, and the approver of kubelets' certificate requests
    assert counts(process)["changed"] == 3
    for shown in ('+  "controlPlaneEndpoint": "192.168.4.241:6443"', '+    "podSubnet": "10.244.0.0/16"', '+    "10.233.0.3"'):
        assert shown in process.stdout
    assert not site.is_there("/etc/kubernetes/vmstation-kubeadm.yaml")


def test_a_host_without_kubeadm_is_named(site: Site) -> None:
    process = site.play("control_plane")
    assert counts(process)["failed"] == 1
    assert "command kubeadm: found not on this host" in flat(process)


def test_the_host_is_prepared(site: Site) -> None:
    site.host.write("/etc/systemd/system/systemd-resolved.service", RESOLVED)
    site.host.run(["systemctl", "enable", "--now", "systemd-resolved"])
    process = site.play("node")
    assert process.returncode == 0, process.stdout + process.stderr


BAD = {
    "another version": ({"control_plane_kubernetes_release": "1.36.1"}, "kubeadm: found version v1.36.4; required: v1.36.1"),
    "another minor version": ({"control_plane_kubernetes_release": "1.35.4"}, "found 1.35.4; required: a release of 1.36"),
    "a kubelet's DNS beside the plan": (
        {"control_plane_kubelet_configuration": {"clusterDNS": ["10.96.0.10"]}},
        "kubelet_configuration.clusterDNS: found ['10.96.0.10']; required: ['10.233.0.3']",
    ),
    "an unknown field": ({"control_plane_kubelet_configuration": {"maxpods": "many"}}, "the kubeadm configuration: found"),
    "an argument with dashes": ({"control_plane_scheduler_extra_args": {"--v": 2}}, "an argument's name without leading dashes"),
    "the user's own kubeconfig": ({"control_plane_kubeconfig": "~/.kube/config"}, "a file for this cluster"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_before_damage(site: Site, case: str) -> None:
    variables, message = BAD[case]
    process = site.play("control_plane", "-e", json.dumps(variables))
    assert counts(process)["failed"] == 1
    assert message in flat(process)
    assert not site.is_there("/etc/kubernetes/vmstation-cluster.json")
    assert not site.is_there("/etc/kubernetes/pki")


def test_what_another_cluster_left_is_named_and_stays(site: Site) -> None:
    site.host.write("/etc/kubernetes/admin.conf", "apiVersion: v1\n")
    site.host.write("/etc/kubernetes/manifests/web.yaml", "apiVersion: v1\n")
    process = site.play("control_plane")
    assert counts(process)["failed"] == 1
    assert "found /etc/kubernetes/admin.conf, /etc/kubernetes/manifests/web.yaml, left by a cluster" in flat(process)
    assert "kubeadm reset" in flat(process)
    site.host.run(["rm", "/etc/kubernetes/admin.conf", "/etc/kubernetes/manifests/web.yaml"])


def test_an_init_that_is_killed_again_and_again_is_completed(site: Site) -> None:
    """Each run takes up what the one before left, and is killed too; the last one is not."""
    chance = random.Random()
    authority, killed = "", []
    for condition in INSTANTS:
        delay = chance.uniform(0, 0.5)
        done = threading.Event()

        def run(done: threading.Event = done) -> None:
            site.play("control_plane")
            done.set()

        thread = threading.Thread(target=run)
        thread.start()
        if site.kill_when(condition, delay):
            killed.append((condition, round(delay, 3)))
        thread.join(900)
        assert done.is_set(), f"the run did not end after it was killed at {killed[-1:]}"
        # an authority that is whole is never made anew
        now = site.host.run(["sh", "-c", "cat /etc/kubernetes/pki/ca.crt || :"]).stdout
        assert not authority or now == authority
        authority = now
    print("killed at", killed)
    # on a busy machine an instant may be over before it is seen
    assert len(killed) >= 3, killed
    process = site.play("control_plane", "-v")
    assert process.returncode == 0, f"after kills at {killed}:\n{process.stdout}{process.stderr}"
    assert site.host.read("/etc/kubernetes/pki/ca.crt") == authority
    assert stat.S_IMODE(site.kubeconfig.stat().st_mode) == 0o600
    assert "server: https://192.168.4.241:6443" in site.kubeconfig.read_text()
    for secret in ("PRIVATE KEY", "client-key-data"):
        assert secret not in process.stdout


@pytest.mark.parametrize("arguments", [[], ["--check", "--diff"]], ids=["run", "check"])
def test_a_second_run_changes_nothing(site: Site, arguments: list[str]) -> None:
    process = site.play("control_plane", *arguments)
    assert process.returncode == 0, process.stdout + process.stderr
    assert counts(process)["changed"] == 0, process.stdout


def test_the_resolver_of_this_host_is_not_handed_to_workers(site: Site) -> None:
    assert "resolvConf: /run/systemd/resolve/resolv.conf" in site.host.read("/var/lib/kubelet/config.yaml")
    stored = site.kubectl("get", "configmap", "kubelet-config", "--namespace=kube-system", "-o", "jsonpath={.data.kubelet}").stdout
    assert "clusterDomain:" in stored
    assert "resolvConf" not in stored


def test_the_extra_service_range_takes_the_address_of_dns(site: Site) -> None:
    ranges = json.loads(site.kubectl("get", "--raw=/apis/networking.k8s.io/v1/servicecidrs").stdout)["items"]
    assert sorted(cidr for one in ranges for cidr in one["spec"]["cidrs"]) == ["10.233.0.0/24", "10.96.0.0/12"]
    service: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "trial", "namespace": "kube-system"},
        "spec": {"clusterIP": "10.233.0.3", "ports": [{"port": 53, "protocol": "UDP"}]},
    }
    site.kubectl("create", "--raw=/api/v1/namespaces/kube-system/services", "-f", "-", stdin=json.dumps(service))
    site.kubectl("delete", "service", "trial", "--namespace=kube-system")


def test_no_token_is_left(site: Site) -> None:
    secrets = json.loads(site.kubectl("get", "--raw=/api/v1/namespaces/kube-system/secrets").stdout)["items"]
    assert [one["metadata"]["name"] for one in secrets if one["type"] == "bootstrap.kubernetes.io/token"] == []
    assert "token:" not in site.host.read("/var/log/vmstation-kubeadm-init.log").lower()


def test_secrets_are_encrypted_in_etcd_and_requests_are_logged_without_them(site: Site) -> None:
    needles = {"secret": "needle-in-a-secret", "configmap": "needle-in-a-configmap"}
    site.kubectl("create", "secret", "generic", "trial", f"--from-literal=key={needles['secret']}")
    site.kubectl("create", "configmap", "trial", f"--from-literal=key={needles['configmap']}")
    held = {
        kind: site.host.run(["grep", "-rlaF", needle, "/var/lib/etcd/member"], check=False).stdout.split()
        for kind, needle in needles.items()
    }
    assert held["configmap"]
    assert held["secret"] == []
    read = site.kubectl("get", "secret", "trial", "--output=jsonpath={.data.key}").stdout
    assert base64.b64decode(read).decode() == needles["secret"]
    log = site.host.run(["cat", "/var/log/kubernetes/audit/audit.log"]).stdout
    assert not any(needle in log for needle in needles.values())
    entries = [json.loads(line) for line in log.splitlines()]
    made = [entry for entry in entries if (entry["verb"], entry.get("objectRef", {}).get("resource")) == ("create", "secrets")]
    (created,) = (entry for entry in made if entry["objectRef"].get("name") == "trial")
    assert (created["level"], created["user"]["username"]) == ("Metadata", "kubernetes-admin")
    assert site.host.run(["stat", "--format=%a %U", "/etc/kubernetes/pki/vmstation-encryption.conf"]).stdout == "600 root\n"
    assert "NotFound" in site.kubectl("get", "--raw=/debug/pprof/", check=False).stderr


def test_metrics_listen_on_the_address_and_want_credentials(site: Site) -> None:
    for port in ("10257", "10259"):
        script = f"import ssl, urllib.request as r; r.urlopen('https://{ADDRESS}:{port}/metrics', context=ssl._create_unverified_context())"
        assert "403" in site.host.run(["python3", "-c", script], check=False).stderr


def test_metrics_of_etcd_and_kube_proxy_listen_on_the_address(site: Site) -> None:
    for port, metric in (("2381", "etcd_server_has_leader"), ("10249", "kubeproxy_sync_proxy_rules")):
        script = f"import urllib.request as r; print(r.urlopen('http://{ADDRESS}:{port}/metrics', timeout=10).read().decode())"
        assert metric in site.host.run(["python3", "-c", script]).stdout


def test_what_is_lost_is_made_again_and_said(site: Site) -> None:
    site.kubectl("delete", "daemonset", "kube-proxy", "--namespace=kube-system")
    site.kubectl("delete", "configmap", "kubelet-config", "--namespace=kube-system")
    site.kubectl("taint", "node", NAME, "node-role.kubernetes.io/control-plane:NoSchedule-")
    for path in ("manifests/kube-scheduler.yaml", "kubelet.conf", "admin.conf", "pki/front-proxy-client.key"):
        site.host.run(["rm", f"/etc/kubernetes/{path}"])
    site.host.run(["systemctl", "disable", "--now", "kubelet"])
    predicted = site.play("control_plane", "--check")
    assert predicted.returncode == 0, predicted.stdout
    assert counts(predicted)["changed"] == 1
    assert not site.is_there("/etc/kubernetes/kubelet.conf")
    process = site.play("control_plane", "-v")
    assert process.returncode == 0, process.stdout + process.stderr
    said = flat(process)
    for what in (
        "/etc/kubernetes/manifests/kube-scheduler.yaml: was missing",
        "/etc/kubernetes/kubelet.conf: was missing",
        "/etc/kubernetes/admin.conf: was missing",
        "/etc/kubernetes/pki/front-proxy-client.key: was missing",
        "disabled; enabled and started",
        "kube-proxy: was missing in the cluster",
        "kubelet-config: was missing in the cluster",
        f"Node {NAME}: was not marked as control plane",
    ):
        assert what in said
    assert counts(site.play("control_plane"))["changed"] == 0


RENEWED = (
    "admin.conf", "apiserver", "apiserver-etcd-client", "apiserver-kubelet-client", "controller-manager.conf", "etcd-healthcheck-client",
    "etcd-peer", "etcd-server", "front-proxy-client", "scheduler.conf",
)  # fmt: skip
SHORT = "/run/short.yaml"
KUBELET_CERTIFICATE = "/var/lib/kubelet/pki/kubelet-client-current.pem"


def shorten(site: Site, period: str) -> None:
    """Issue kubeadm's certificates again, for this time only."""
    text = site.host.read("/etc/kubernetes/vmstation-kubeadm.yaml")
    documents = list(yaml.safe_load_all(text))
    next(one for one in documents if one["kind"] == "ClusterConfiguration")["certificateValidityPeriod"] = period
    site.host.write(SHORT, yaml.safe_dump_all(documents))
    site.host.run(["kubeadm", "certs", "renew", "all", f"--config={SHORT}"])


def days_left(site: Site) -> dict[str, int]:
    answer = site.host.run(["kubeadm", "certs", "check-expiration", "--output=json", f"--config={SHORT}"]).stdout
    listed = json.loads(answer[answer.index("{") :])["certificates"]
    return {one["name"]: one["residualTime"] // 86400 for one in listed if not one.get("missing")}


def test_certificates_that_expire_soon_are_renewed(site: Site) -> None:
    shorten(site, "47h0m0s")
    predicted = site.play("control_plane", "--check", "-v")
    assert counts(predicted)["changed"] == 1
    assert set(days_left(site).values()) == {1}
    process = site.play("control_plane", "-v")
    assert process.returncode == 0, process.stdout + process.stderr
    for name in RENEWED:
        for said in (flat(predicted), flat(process)):
            assert f"certificate {name}: expires in 1 days" in said
    assert min(days_left(site).values()) > 360
    # what runs uses them: the API server and etcd serve them, the controller's kubeconfig has the administrator's
    for port in ("6443", "2379"):
        script = f"import ssl; print(ssl.get_server_certificate(('{ADDRESS}', {port})))"
        served = site.host.run(["python3", "-c", script]).stdout
        assert site.host.run(["openssl", "x509", "-noout", "-checkend", str(360 * 86400)], stdin=served, check=False).returncode == 0
    assert site.kubeconfig.read_text() == site.host.read("/etc/kubernetes/admin.conf")
    assert counts(site.play("control_plane"))["changed"] == 0


def test_a_cluster_whose_certificates_have_expired_is_repaired(site: Site) -> None:
    """Also the kubelet's, as on a host that was off for a year: without it the kubelet does not start."""
    shorten(site, "1s")
    site.host.run(["mkdir", "/run/short"])
    site.host.run(["kubeadm", "init", "phase", "kubeconfig", "kubelet", f"--config={SHORT}", "--kubeconfig-dir=/run/short"])
    user = yaml.safe_load(site.host.read("/run/short/kubelet.conf"))["users"][0]["user"]
    parts = [base64.b64decode(user[f"client-{part}-data"]).decode() for part in ("certificate", "key")]
    site.host.write(KUBELET_CERTIFICATE, "".join(parts))
    site.host.run(["systemctl", "restart", "kubelet"], check=False)
    script = "ctr --namespace k8s.io tasks list --quiet | xargs -n 1 ctr --namespace k8s.io tasks kill --signal SIGKILL"
    site.host.run(["sh", "-c", script], check=False)
    assert site.kubectl("get", "nodes", check=False).returncode != 0
    process = site.play("control_plane", "-v")
    assert process.returncode == 0, process.stdout + process.stderr
    assert f"{KUBELET_CERTIFICATE}: expired on" in flat(process)
    assert min(days_left(site).values()) > 360
    assert site.kubectl("get", "nodes").stdout.count(NAME) == 1
    assert counts(site.play("control_plane"))["changed"] == 0


def test_an_api_server_that_does_not_come_up_is_diagnosed_within_bounds(site: Site) -> None:
    manifest = "/etc/kubernetes/manifests/kube-apiserver.yaml"
    good = site.host.read(manifest)
    site.host.write(manifest, good.replace("--etcd-servers=https://127.0.0.1:2379", "--etcd-servers=https://127.0.0.1:9"))
    site.lab.wait_for(lambda: site.kubectl("get", "--raw=/readyz", check=False).returncode != 0, "the API server to end", 120)
    process = site.play("control_plane", "-e", "control_plane_timeout=45")
    site.host.write(manifest, good)
    said = flat(process)
    assert counts(process)["failed"] == 1
    assert "the API server of this host: found not ready after 45 s" in said
    assert "kubelet: active (running)" in said
    assert "kube-apiserver log: " in said
    # the kubelet waits longer and longer before it starts a container again
    assert counts(site.play("control_plane"))["failed"] == 0


def test_a_lost_authority_is_not_made_anew(site: Site) -> None:
    site.host.run(["mv", "/etc/kubernetes/pki/ca.crt", "/root/ca.crt"])
    process = site.play("control_plane")
    site.host.run(["mv", "/root/ca.crt", "/etc/kubernetes/pki/ca.crt"])
    assert counts(process)["failed"] == 1
    assert "/etc/kubernetes/pki/ca.crt missing or incomplete" in flat(process)


def test_another_plan_is_reported_and_changes_nothing(site: Site) -> None:
    process = site.play("control_plane", "-e", json.dumps({"network_plan": {**PLAN, "pod_cidr": "10.245.0.0/16"}}))
    assert process.returncode == 0, process.stdout + process.stderr
    assert counts(process)["changed"] == 0
    said = " ".join((process.stdout + process.stderr).split())
    assert "ClusterConfiguration.networking.podSubnet: found 10.244.0.0/16; expected 10.245.0.0/16" in said


def test_the_taint_follows_its_variable(site: Site) -> None:
    process = site.play("control_plane", "-e", "control_plane_schedulable=true")
    assert (counts(process)["changed"], counts(process)["failed"]) == (1, 0)
    node = json.loads(site.kubectl("get", f"--raw=/api/v1/nodes/{NAME}").stdout)
    assert "control-plane" not in str(node["spec"].get("taints"))
    assert counts(site.play("control_plane"))["changed"] == 1


def test_an_init_goes_on_when_the_connection_is_lost(site: Site) -> None:
    site.host.run(["kubeadm", "reset", "--force"], timeout=300)
    process = site.lab.start_process(site.command("control_plane"))
    site.lab.wait_for(lambda: site.is_there("/etc/kubernetes/manifests/etcd.yaml"), "kubeadm init to write a manifest", 300)
    process.kill()
    process.wait()
    site.host.run(["pkill", "-KILL", "-f", "sshd: root@notty"], check=False)
    after = site.play("control_plane", "-v")
    assert after.returncode == 0, after.stdout + after.stderr
    assert "situation: complete" in after.stdout, "the next run did not wait for the one that went on"


def test_it_stands_after_a_reboot(site: Site) -> None:
    site.host.reboot()
    process = site.play("control_plane")
    assert (counts(process)["changed"], counts(process)["failed"]) == (0, 0), process.stdout
