# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the requests of kubelets for a server certificate, and approve them between the runs of a playbook.

The signer issues what is approved (https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#kubernetes-signers).
So a kubelet, or a process that has its key, gets a certificate for its own name and addresses only. Kubelets renew their certificates when
they like. A request that does not match the inventory is not denied but left: the inventory may be changed after it, and Kubernetes removes
it after a day."""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._conditions import condition
from .._kubeadm.state import ADMIN_CONF, Api
from .._programs import Host, Timed, ensure_timed, remove_timed
from .._refusal import Refusal
from .._x509 import elements

SIGNER = "kubernetes.io/kubelet-serving"
PREFIX, GROUP = "system:node:", "system:nodes"
USAGES = frozenset({"digital signature", "key encipherment", "server auth"})
NEEDED_USAGES = frozenset({"digital signature", "server auth"})

_PEM = re.compile(r"\s*-----BEGIN CERTIFICATE REQUEST-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE REQUEST-----\s*")
_COMMON_NAME, _ORGANIZATION = b"\x55\x04\x03", b"\x55\x04\x0a"
_ATTRIBUTES, _DNS, _ADDRESS = 0xA0, 0x82, 0x87
_EXTENSIONS = bytes.fromhex("2a864886f70d01090e")  # extensionRequest of PKCS #9
_ALTERNATIVE_NAMES = b"\x55\x1d\x11"

# node name -> its addresses, canonical
Nodes = Mapping[str, frozenset[str]]


def nodes_of(hosts: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the addresses of each node, canonical. Raises Refusal for an invalid one."""
    found: dict[str, list[str]] = {}
    for index, host in enumerate(hosts):
        address = host.get("address")
        try:
            listed = [str(ipaddress.ip_address(str(one))) for one in (address if isinstance(address, (list, tuple)) else [address])]
        except ValueError:
            raise Refusal(
                f"nodes[{index}].address", repr(address), "IPv4 or IPv6 addresses", "Correct `address` in the inventory."
            ) from None
        found[str(host["name"]).lower()] = sorted(listed)
    return found


def as_nodes(addresses: Mapping[str, Iterable[str]]) -> Nodes:
    return {name: frozenset(several) for name, several in addresses.items()}


@dataclass(frozen=True)
class Subject:
    """The contents of a certificate request (RFC 2986). other: what it asks for beyond names and addresses."""

    names: tuple[tuple[bytes, str], ...]
    dns: tuple[str, ...]
    addresses: tuple[str, ...]
    other: tuple[str, ...]


def is_pending(request: Mapping[str, Any]) -> bool:
    return not any(condition(request, kind) for kind in ("Approved", "Denied", "Failed"))


def objection(request: Mapping[str, Any], nodes: Nodes) -> str:
    """Return why a CertificateSigningRequest must not be approved; empty if it may be."""
    return next(_objections(request, nodes), "")


def _objections(request: Mapping[str, Any], nodes: Nodes) -> Iterator[str]:
    spec = request["spec"]
    user, usages = str(spec.get("username", "")), {str(usage) for usage in spec.get("usages") or ()}
    name = user[len(PREFIX) :]
    if spec.get("signerName") != SIGNER:
        yield f"signer {spec.get('signerName')}, not {SIGNER}"
    if not user.startswith(PREFIX) or GROUP not in (spec.get("groups") or ()):
        yield f"requested by {user or 'no user'}, which is no kubelet"
    if name not in nodes:
        yield f"node {name} is not in the inventory"
    if not NEEDED_USAGES <= usages <= USAGES:
        yield f"usages {', '.join(sorted(usages)) or 'none'}"
    try:
        subject = subject_of(str(spec.get("request", "")))
    except ValueError as error:
        yield f"not a certificate request ({error})"
        return
    if sorted(subject.names) != [(_COMMON_NAME, user), (_ORGANIZATION, GROUP)]:
        yield f"subject {', '.join(value for _kind, value in subject.names) or 'empty'}, not {user} of {GROUP}"
    yield from subject.other
    if not subject.dns and not subject.addresses:
        yield "neither a name nor an address"
    allowed = nodes.get(name, frozenset())
    for found in (*(one for one in subject.dns if one != name), *(one for one in subject.addresses if one not in allowed)):
        yield f"{found}, but in the inventory the node has the name {name} and the addresses {', '.join(sorted(allowed)) or 'none'}"


def subject_of(encoded: str) -> Subject:
    """Parse ``spec.request``. Raises ValueError for anything but one certificate request."""
    pem = _PEM.fullmatch(base64.b64decode(encoded, validate=True).decode("ascii"))
    if not pem:
        raise ValueError("no PEM block CERTIFICATE REQUEST")
    ((_tag, whole),) = elements(base64.b64decode("".join(pem[1].split()), validate=True))
    (_sequence, content), *_signature = elements(whole)
    information = elements(content)
    if len(information) < 3:
        raise ValueError("truncated")
    names = [part for _set, several in elements(information[1][1]) for _sequence, part in elements(several)]
    dns: list[str] = []
    addresses: list[str] = []
    other: list[str] = []
    for tag, attributes in information[3:]:
        for _sequence, attribute in elements(attributes) if tag == _ATTRIBUTES else ():
            (_oid, kind), *values = elements(attribute)
            if kind != _EXTENSIONS:
                other.append(f"an attribute {kind.hex()}")
                continue
            for kind, value in _extensions(values):
                if kind == _ALTERNATIVE_NAMES:
                    _sort_names(value, dns, addresses, other)
                else:
                    other.append(f"an extension {kind.hex()}")
    return Subject(tuple(map(_name, names)), tuple(dns), tuple(addresses), tuple(other))


def _name(part: bytes) -> tuple[bytes, str]:
    (_oid, kind), (_string, value) = elements(part)
    return kind, value.decode("utf-8")


def _extensions(values: list[tuple[int, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    for _set, several in values:
        for _sequence, extensions in elements(several):
            for _one, extension in elements(extensions):
                # the flag `critical` may be between them
                (_oid, kind), *_critical, (_octets, value) = elements(extension)
                yield kind, value


def _sort_names(value: bytes, dns: list[str], addresses: list[str], other: list[str]) -> None:
    ((_tag, names),) = elements(value)
    for kind, name in elements(names):
        if kind == _DNS:
            dns.append(name.decode("ascii"))
        elif kind == _ADDRESS and len(name) in (4, 16):
            addresses.append(str(ipaddress.ip_address(name)))
        else:
            other.append(f"a name of another kind ({kind & 0x1F})")


# The program that approves them

PROGRAM = "/usr/local/lib/vmstation/kubelet-approver.pyz"
CONFIGURATION = "/etc/vmstation/kubelet-approver.json"
REPORTED = "/run/vmstation-kubelet-approver"
TIMED = Timed("vmstation-kubelet-approver", "", REPORTED, (PROGRAM, CONFIGURATION), frozenset({CONFIGURATION}))

REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
REASON = "InventoryMatch"

_SERVICE = """\
[Unit]
Description=Approve certificate requests of the kubelets in the inventory
After=network-online.target
ConditionPathExists={configuration}
ConditionPathExists={kubeconfig}

[Service]
Type=oneshot
ExecStart={python} -I {program}
TimeoutStartSec=120
"""
_TIMER = f"""\
[Unit]
Description=Start {TIMED.service} twice a minute

[Timer]
OnCalendar=*:*:0/30
AccuracySec=1s

[Install]
WantedBy=timers.target
"""


@dataclass
class Round:
    """What was done. approved: names of requests. rejected: name -> the node's user and the reason."""

    approved: list[str] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)


def approve(api: Api, nodes: Nodes) -> Round:
    """Approve the pending requests that match; return those and the others. A request that changed meanwhile is left for the next round."""
    done = Round()
    listed = api.get(f"{REQUESTS}?fieldSelector=spec.signerName%3D{SIGNER.replace('/', '%2F')}") or {}
    for request in listed.get("items") or ():
        if not is_pending(request):
            continue
        name, user = request["metadata"]["name"], request["spec"].get("username", "")
        why = objection(request, nodes)
        if why:
            done.rejected[name] = f"{user}: {why}"
        elif api.replace(f"{REQUESTS}/{name}/approval", _approved(request)):
            done.approved.append(name)
    return done


def _approved(request: Mapping[str, Any]) -> dict[str, Any]:
    status = request.get("status") or {}
    approval = {
        "type": "Approved",
        "status": "True",
        "reason": REASON,
        "message": "Name and addresses are those of the inventory (vmstation.cluster).",
    }
    return {**request, "status": {**status, "conditions": [*(status.get("conditions") or ()), approval]}}


# The program, its files and its timer


def lines_of(done: Round, reported: Iterable[str]) -> list[str]:
    """Return a line for each approved request, and for each other one that was not reported yet."""
    known = set(reported)
    new = {name: why for name, why in done.rejected.items() if name not in known}
    return [*(f"approved {name}" for name in done.approved), *(ascii(f"not approved: {name} of {why}")[1:-1] for name, why in new.items())]


def ensure(host: Host, options: Mapping[str, Any], entry: str, *, check_mode: bool) -> dict[str, Any]:
    """The module's result."""
    if options["state"] == "absent":
        return remove_timed(host, TIMED, check_mode=check_mode)
    configuration = {"address": options["address"], "nodes": nodes_of(options["nodes"])}
    service = _SERVICE.format(configuration=CONFIGURATION, kubeconfig=ADMIN_CONF, python=host.python, program=PROGRAM)
    wanted = {
        PROGRAM: host.program(entry),
        CONFIGURATION: json.dumps(configuration, indent=2, sort_keys=True) + "\n",
        **dict(zip(TIMED.units, (service, _TIMER))),
    }
    return ensure_timed(host, TIMED, wanted, check_mode=check_mode)
