# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is taken out of a text, and what stays readable."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.model import REDACTED, redact

# no real one: the words between the dots are `{"alg":"none"}` and `{"sub":"nobody"}`
JWT = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJub2JvZHkifQ.c2lnbmF0dXJlLW9mLW5vYm9keQ"
BOOTSTRAP = "abcdef.0123456789abcdef"
BODY = "MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF"


def private_key(kind: str = "PRIVATE KEY") -> str:
    return f"-----BEGIN {kind}-----\n{BODY}\n-----END {kind}-----"


CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUQ==\n-----END CERTIFICATE-----"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# a text, and what must not be left of it
SECRETS = {
    "JSON Web Token": (f"token is {JWT} here", JWT.split(".")[2]),
    "JSON Web Token, base64": (f"x: {encoded(JWT)}", encoded(JWT)),
    "bootstrap token": (f"kubeadm join 192.168.4.63:6443 --token {BOOTSTRAP} --x", "0123456789abcdef"),
    "bootstrap token at the end of a sentence": (f"use {BOOTSTRAP}.", "0123456789abcdef"),
    "bootstrap token in JSON": (f'{{"x":"{BOOTSTRAP}"}}', "0123456789abcdef"),
    "private key": (f"a\n{private_key()}\nb", BODY),
    "RSA private key": (private_key("RSA PRIVATE KEY"), BODY),
    "OpenSSH private key": (private_key("OPENSSH PRIVATE KEY"), BODY),
    "PGP private key": (private_key("PGP PRIVATE KEY BLOCK"), BODY),
    "private key in JSON": (json.dumps({"x": private_key()}), BODY),
    "private key whose end was cut off": (f"a\n-----BEGIN PRIVATE KEY-----\n{BODY}", BODY),
    "private key whose beginning was cut off": (f"{BODY}\n-----END PRIVATE KEY-----\nb", BODY),
    "private key, base64": (f"x: {encoded(private_key('EC PRIVATE KEY'))}", encoded(private_key("EC PRIVATE KEY"))[40:]),
    "client-key-data": (f"    client-key-data: {encoded(private_key())}\n", encoded(private_key())[40:]),
    "YAML": ("password: hunter2\n", "hunter2"),
    "YAML with spaces in it": ("  password: my dog barks\n", "barks"),
    "YAML in a list": ("- password: hunter2", "hunter2"),
    "YAML quoted": ("adminPassword: 'hunter2 hunter3'", "hunter"),
    "YAML block": ("a:\n  password: |-\n    hunter2\n\n    hunter3\n  user: root\n", "hunter"),
    "YAML flow": ("{user: root, password: hunter2}", "hunter2"),
    "YAML in a comment": ("# token: hunter2", "hunter2"),
    "a number": ("password: 123456", "123456"),
    "JSON": ('{"password":"hunter2"}', "hunter2"),
    "JSON with a quote in it": ('{"password": "hunter2\\"hunter3"}', "hunter"),
    "JSON in JSON": (json.dumps({"x": json.dumps({"password": 'hunter2"hunter3'})}), "hunter"),
    "JSON in JSON in JSON": (json.dumps([json.dumps([json.dumps({"token": "hunter2"})])]), "hunter2"),
    "JSON cut off": ('{"password": "hunter2', "hunter2"),
    "environment": ("GF_SECURITY_ADMIN_PASSWORD=hunter2", "hunter2"),
    "environment with spaces in it": ("export DB_PASS=my dog barks", "barks"),
    "environment of a unit": ('Environment="API_KEY=my dog barks"\n', "barks"),
    "environment of a unit, bare": ("Environment=API_KEY=hunter2", "hunter2"),
    "environment of a container, JSON": ('[{"name":"DB_PASSWORD","value":"hunter2"}]', "hunter2"),
    "environment of a container, escaped": (json.dumps(json.dumps([{"name": "DB_PASSWORD", "value": 'a"hunter2'}])), "hunter2"),
    "INI": ("admin_password = hunter2", "hunter2"),
    "option": ("--password hunter2 --verbose", "hunter2"),
    "option with =": ("run --token=hunter2 --verbose", "hunter2"),
    "options of a container in one": ("    - --token=hunter2\n", "hunter2"),
    "options of a container, JSON": ('["serve","--password","hunter2"]', "hunter2"),
    "certificate key of kubeadm": ("kubeadm join --certificate-key f8902e114ef118304e561c3ecd4d0b543adc226b", "f8902e"),
    "Go": ("&Config{User:root,Password:hunter2,Port:1}", "hunter2"),
    "logfmt": ('level=info password="my dog" x=1', "my dog"),
    "logfmt, bare": ("level=info token=hunter2,hunter3 x=1", "hunter"),
    "a sentence": ("made the user admin with password: hunter2\nnext", "hunter2"),
    "a sentence with a random one": ("registered with token: 9f86d081884c7d659a2f for a day", "9f86d0"),
    "authorization, bearer": ("Authorization: Bearer hunter2", "hunter2"),
    "authorization, basic": (f"authorization: Basic {encoded('root:hunter2')}", encoded("root:hunter2")),
    "authorization, JSON": ('"Authorization":["Bearer hunter2"]', "hunter2"),
    "registry": (json.dumps({"auths": {"https://registry": {"auth": encoded("root:hunter2")}}}), encoded("root:hunter2")),
    "registry, TOML": (f'  auth = "{encoded("root:hunter2")}"', encoded("root:hunter2")),
    "authorization without a scheme": ("Authorization: hunter2", "hunter2"),
    "a header of its own": ("curl -H 'X-Auth-Token: hunter2 hunter3' http://x", "hunter"),
    "a list": ('{"x-token": ["hunter2", "hunter3"]}', "hunter"),
    "a list in YAML": ("token: [hunter2]", "hunter2"),
    "XML": ("<Password>hunter2</Password>", "hunter2"),
    "key of an API": ("made the API key: 9f86d081884c7d659a2f", "9f86d0"),
    "registry, base64": (
        f".dockerconfigjson: {encoded(json.dumps({'auths': {'x': {'auth': 'y'}}}, separators=(',', ':')))}",
        "eyJhdXRocyI6",
    ),
    "bearer": ("curl -H 'x: bearer 0a1b2c3d4e5f6a7b8c9d'", "0a1b2c"),
    "URL": ("postgres://root:hunter2@db:5432/x", "hunter2"),
    "URL without a user": ("redis://:hunter2@db", "hunter2"),
    "URL, query": ("GET /x?access_token=hunter2&y=1", "hunter2"),
    "cookie": ("Cookie: session=hunter2; a=b", "hunter2"),
    "etcd's encryption": ("keys:\n- name: key1\n  secret: aHVudGVyMg==\n", "aHVudGVyMg"),
    "WireGuard": ("PrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=", "yAnz5TF"),
    "Wake-on-LAN": ("\tSecureOn password: 00:11:22:33:44:55\n", "00:11:22"),
    "crypt": ("root:$6$saltsalt$" + "a" * 86, "a" * 20),
    "bcrypt": ("admin:$2y$10$" + "b" * 53, "b" * 20),
    "password's hash": ("password_hash: 5f4dcc3b5aa765d61d8327deb882cf99", "5f4dcc"),
    "GitHub": ("x ghp_" + "a1" * 18, "a1a1"),
    **{
        f"a token that begins with {prefix}": (f"using {prefix}{'abcdefgh' * 3} now", "abcdefghabcdefgh")
        for prefix in ("tskey-auth-", "sk-proj-", "hf_", "npm_", "pypi-", "dckr_pat_", "hvs.", "sk_live_", "glrt-", "AGE-SECRET-KEY-1")
    },
    "what looks random": (f"using {'aB3dE5gH' * 2} now", "aB3dE5gH"),
    "base64 with slashes": (f"using {'aBcDeF/3hIj' * 4} now", "aBcDeF"),
    "hexadecimal digits": (f"using {'0123456789abcdef' * 2} now", "0123456789abcdef"),
    "base64 of a key, wrapped": (encoded(private_key())[:76] + "\n" + encoded(private_key())[76:], encoded(private_key())[80:110]),
    "URL with @ in the password": ("https://root:my@hunter2@registry/", "hunter2"),
    "URL with a token alone": ("https://hunter2@registry/x.git", "hunter2"),
    "URL, signature": ("GET /x?sv=1&sig=hunter2 HTTP/1.1", "hunter2"),
    "URL, key": ("GET /x?key=hunter2", "hunter2"),
    "database": ("root:hunter2@tcp(db:3306)/x", "hunter2"),
    "user and password": ("curl --user root:hunter2 http://x", "hunter2"),
    "pass": ("user=root pass=hunter2", "hunter2"),
    "auth": ("--auth=hunter2 --verbose", "hunter2"),
    "an option that ends with pass": ("redis-server --requirepass hunter2", "hunter2"),
    "a sentence without a colon": ("the password is hunter22", "hunter22"),
    "digest": ('Authorization: Digest username="u", response="hunter2"', "hunter2"),
    "htpasswd": ("admin:{SHA}" + "Qm9keUJvZHlC" * 2, "Qm9keUJvZHlC"),
    "a container that the kubelet logs": (
        "&Container{Command:[serve hunter2],Args:[-a hunter2],Env:[]EnvVar{EnvVar{Name:X,Value:hunter2,ValueFrom:nil,},},}",
        "hunter2",
    ),
    "Slack": ("https://hooks.slack.com/services/T0/B0/abc", "abc"),
}
READABLE = [
    "tokenRequest",
    'apiVersion: authentication.k8s.io/v1\nkind: TokenRequest\nspec:\n  expirationSeconds: 3607\n  audiences: ["api"]\n',
    "automountServiceAccountToken: false",
    "        - serviceAccountToken:\n            expirationSeconds: 3607\n            path: token\n",
    "secretName: grafana-admin",
    "valueFrom:\n  secretKeyRef:\n    key: admin-password\n    name: grafana\n",
    "- name: GF_SECURITY_ADMIN_PASSWORD\n  valueFrom:\n    secretKeyRef: {name: grafana, key: password}\n",
    "- name: GF_SECURITY_ADMIN_PASSWORD__FILE\n  value: /run/secrets/password\n",
    "- name: PASSWORD\n  value: $(OTHER)\n",
    "    client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem\n"
    "    client-key: /var/lib/kubelet/pki/kubelet-client-current.pem\n",
    "    - --service-account-key-file=/etc/kubernetes/pki/sa.pub\n    - --enable-bootstrap-token-auth=true\n",
    "    - --kubelet-client-key=/etc/kubernetes/pki/apiserver-kubelet-client.key",
    "--discovery-token-ca-cert-hash sha256:4f1b0f6ae2a4c3d8e7b1f0a9c8d7e6f5",
    CERTIFICATE,
    "Failed password for root from 192.168.4.1 port 51122 ssh2",
    "Your password expires in 7 days; password authentication is off.",
    'MountVolume.SetUp failed for volume "x" : secret "grafana-admin" not found',
    "couldn't get secret: the server could not find the requested resource",
    'failed to fetch token: serviceaccounts "x" is forbidden: User "system:node:homelab" cannot create',
    "unable to use the --token flag here",
    "bearer token authentication is on",
    "auth: true",
    "<token></token><Name>web</Name>",
    "tokens: [a, b]\nsecret: []",
    "Authorization is decided by Node and RBAC; authorization-mode=Node,RBAC",
    "authentication:\n  anonymous: {enabled: false}\n  webhook: {cacheTTL: 0s}\nauthorization:\n  mode: Webhook\n",
    "http://192.168.4.63:30300/api/health",
    "dial tcp [fd00::1]:6443: connect: connection refused",
    "git@github.com:owner/name",
    '-A cali-fw-cali1a2b3c -m comment --comment "cali:6gwbT8clXdHdC1b1" -j MARK --set-xmark 0x0/0x10000',
    "2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 link/ether d0:94:66:30:d6:63 brd ff:ff:ff:ff:ff:ff",
    "calico-node-x7k2p on homelab.cluster.local, coredns-7c65d6cfc9-4xk2v",
    "net.ipv4.conf.all.rp_filter = 1",
    "took 123456.1234567890123456 s",
    "crd.projectcalico.org/v1 config.kubernetes.io",
    "Password:",
    "password: $__file{/run/secrets/password}",
    "token: ${TOKEN}",
    "passwd:         files systemd\ngroup:          files [SUCCESS=merge] systemd\n",
    'password: ""',
    "secret: null",
    "&Volume{Secret:nil,ConfigMap:nil,Projected:&Projected{Sources:x}}",
    "/usr/bin/kubelet --kubeconfig=/etc/kubernetes/kubelet.conf --bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf",
    'bootstrap-token-abcdef has the annotation rbac.authorization.kubernetes.io/autoupdate: "true"',
    "key: value",
    "rules.Config{IptablesMarkPass:0x20000, Secret:0xc000a1b2c3, IptablesMarkScratch0:0x40000}",
    "monkey: 1\nkeys: 2\ntokens: 3",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
]  # fmt: skip


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_taken_out(kind: str) -> None:
    text, secret = SECRETS[kind]
    assert secret in text
    redacted, count = redact(text)
    assert secret not in redacted
    assert REDACTED in redacted
    assert count >= 1


def each_line(prefix: str) -> Callable[[str], str]:
    return lambda text: "".join(f"{prefix}{line}\n" for line in text.split("\n"))


# where such a text may be quoted
CONTEXTS: dict[str, Callable[[str], str]] = {
    "JSON": lambda text: json.dumps({"log": text}),
    "the log of a container": each_line("2026-11-25T23:30:00.987654321Z stderr F "),
    "a log from the Kubernetes API": each_line("2026-11-25T23:30:00.987654321Z "),
    "the journal": each_line("2026-11-25T23:30:00+0000 masternode kubelet[4321]: "),
    "the log of a program of Kubernetes": each_line("I1125 23:30:00.987654    4321 server.go:251] "),
    "the journal of one": each_line("2026-11-25T23:30:00+0000 masternode kubelet[4321]: I1125 23:30:00.987654    4321 server.go:251] "),
    "a ConfigMap": lambda text: "data:\n  file: |\n" + each_line("    ")(text),
    "a command line": lambda text: f"run '{text}' --verbose",
}


# each line of a log has its own prefix, so nothing shows that several of them are one value
LINE_BY_LINE = {"YAML block"}


@pytest.mark.parametrize("kind", sorted(SECRETS.keys() - LINE_BY_LINE))
def test_a_secret_is_taken_out_of_what_quotes_it(kind: str) -> None:
    text, secret = SECRETS[kind]
    assert [context for context, quote in CONTEXTS.items() if secret in redact(quote(text))[0]] == []


@pytest.mark.parametrize("text", READABLE)
def test_what_is_no_secret_stays_in_what_quotes_it(text: str) -> None:
    for quote in CONTEXTS.values():
        assert redact(quote(text)) == (quote(text), 0)


@pytest.mark.parametrize("kind", SECRETS)
def test_twice_is_once(kind: str) -> None:
    once, _count = redact(SECRETS[kind][0])
    assert redact(once) == (once, 0)


@pytest.mark.parametrize("text", READABLE)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == (text, 0)


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (f"kubeadm join 192.168.4.63:6443 --token {BOOTSTRAP} -v5", f"kubeadm join 192.168.4.63:6443 --token {REDACTED} -v5"),
        ("a:\n  password: |-\n    one\n    two\n  user: root\n", f"a:\n  password: |-\n    {REDACTED}\n  user: root\n"),
        ('{"user":"root","password":"x","port":1}', f'{{"user":"root","password":"{REDACTED}","port":1}}'),
        ("{user: root, password: x, port: 1}", f"{{user: root, password: {REDACTED}, port: 1}}"),
        ("password: x  # of the owner\nuser: root", f"password: {REDACTED}\nuser: root"),
        ("https://root:x@registry:5000/v2", f"https://{REDACTED}@registry:5000/v2"),
        (
            f"before\n{private_key()}\n{CERTIFICATE}",
            f"before\n-----BEGIN PRIVATE KEY-----\n{REDACTED}\n-----END PRIVATE KEY-----\n{CERTIFICATE}",
        ),
        ("saw -----BEGIN PRIVATE KEY-----; it is long\n" + "x\n" * 9000, "saw -----BEGIN PRIVATE KEY-----; it is long\n" + "x\n" * 9000),
        ("container 0123456789abcdef0123456789abcdef01234567 died", f"container 01234567{REDACTED} died"),
    ],
)
def test_no_more_than_the_secret_goes(text: str, redacted: str) -> None:
    assert redact(text)[0] == redacted


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("GF_SECURITY_ADMIN_PASSWORD", True), ("adminPassword", True), ("rootpw", True), ("DB_PASS", True), ("bypass", False),
        ("token", True), ("token-id", False), ("token-secret", True), ("tokenRequest", False), ("tokens", False), ("accessToken", True),
        ("AWS_SECRET_ACCESS_KEY", True), ("apiKey", True), ("APIKey", True), ("key", False), ("hostKey", False), ("secretName", False),
        ("client-key-data", True), ("client-certificate-data", False), ("certificate-authority-data", False), ("pwd", True),
        ("etcd_key", True), ("tls.key", True),
        ("PASSWORD_1", True), ("passwordFile", False), ("imagePullSecrets", False), ("--certificate-key", True),
    ],
)  # fmt: skip
def test_a_name_says_whether_its_value_is_secret(name: str, secret: bool) -> None:
    assert redact(f"{name}: hunter2\n") == ((f"{name}: {REDACTED}\n", 1) if secret else (f"{name}: hunter2\n", 0))


# one line of a player's sessions: 711 KiB, in which each name was once searched for from the line's beginning
SESSIONS = json.dumps([{"id": number, "device": "Chrome " * 16, "token": f"tok{number}x"} for number in range(4000)])
LONG = [
    SESSIONS,
    *(
        part * (200_000 // len(part))
        for part in (
            "a", "A1b/", "token", "password: ", "-", "\\", '"', "x:", "password: [", "password: 'a", "password: |\n   x\n", "secret\n  - ",
            '"password": [', "a://b:c", "--a-b-c-d-e-f", "EnvVar{Name:a,Value:", "Args:[", "a:b@tcp(", "x-a-b-c-", "mysql ", "?a.", "\\\\n",
            "name: password\n  value: x\n", "Environment=", "0123abcd", "-----BEGIN PRIVATE KEY-----\n",
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize("text", LONG, ids=lambda text: text[:20])
def test_time_grows_with_the_length_and_no_faster(text: str) -> None:
    started = time.process_time()
    redact(text)
    assert time.process_time() - started < 2
