# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Join a host as a further control plane: the files that all control planes share, and `kubeadm join`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .._host.files import HostFiles
from .._host.mark import MARKER, Mark
from .._refusal import Refusal
from .configuration import CRI_SOCKET, KUBEADM_API
from .host import NodeHost
from .init import LOG, Wanted, wait_for_another_kubeadm
from .join import Token, read_kubeconfig, read_token
from .state import (
    ADMIN_CONF,
    AUDIT_POLICY,
    AUTHORITIES,
    CA,
    CONFIGURATION,
    ENCRYPTION,
    PKI,
    SERVICE_ACCOUNT,
    digest,
    errors_of,
    is_whole,
    read_node_files,
)

# kubeadm creates these once for a cluster, or this collection does: the key that Secrets in etcd are encrypted with
_OF_KUBEADM = (*(f"{PKI}/{name}.{kind}" for name in AUTHORITIES for kind in ("crt", "key")), *SERVICE_ACCOUNT)
SHARED = (*_OF_KUBEADM, AUDIT_POLICY, ENCRYPTION)
RESET_SECONDS = 300.0


@dataclass(frozen=True)
class Joining:
    """How to join. endpoint: host and port of the API. ca_cert_hashes: pins of its CA. files: path -> text of the shared files."""

    endpoint: str
    token: Token
    ca_cert_hashes: Sequence[str]
    files: Mapping[str, str] = field(repr=False)


def shared_files(files: HostFiles) -> dict[str, str]:
    """Return the shared files of this control plane. Raises Refusal if one is missing that another host cannot do without."""
    found = {path: text for path in SHARED if (text := files.read(path)) is not None}
    missing = [path for path in _OF_KUBEADM if not is_whole(path, found.get(path))]
    if missing:
        raise Refusal(
            "this control plane",
            f"{', '.join(missing)} missing or incomplete",
            "the CAs, with their keys, and the keys of service accounts, which a further control plane needs",
            "Restore them from a backup. With a CA whose key is elsewhere, this collection sets up one control plane only.",
        )
    return found


def standing(cluster: str, endpoint: str, files: HostFiles) -> str:
    """Return the situation of this host. Raises Refusal if its cluster has another endpoint than the one in the plan."""
    situation = read_node_files(files).situation(cluster, "control_plane")
    conf = read_kubeconfig(files.read(ADMIN_CONF)) if situation == "complete" else None
    if conf is not None and conf.endpoint and endpoint and conf.endpoint != endpoint:
        raise Refusal(
            f"the cluster {cluster}",
            f"created with the address {conf.endpoint}, which is in its certificates and kubeconfig files",
            f"{endpoint}, the network plan's api_vip, for several control planes",
            "Remove api_vip and keep one host in the group control_plane; or create the cluster again with api_vip, as "
            "docs/several-control-planes.md describes under `From one to three`.",
        )
    return situation


def read_joining(options: Mapping[str, Any]) -> Joining:
    """Validate the module's option ``join``. Raises Refusal without any of its texts."""
    files = {str(path): str(text) for path, text in options["files"].items()}
    others = sorted(set(files) - set(SHARED))
    missing = sorted(set(_OF_KUBEADM) - set(files))
    if others or missing:
        found = "; ".join([*([f"others: {', '.join(others)}"] if others else []), *([f"none for {', '.join(missing)}"] if missing else [])])
        step = "Pass `files` of what vmstation.cluster.kubeadm_control_plane_info returned with shared_files."
        raise Refusal("join.files", found, "the files that control planes share", step)
    if not options["endpoint"] or not options["ca_cert_hashes"]:
        step = "Pass what vmstation.cluster.kubeadm_join_token returned."
        raise Refusal("join.endpoint and join.ca_cert_hashes", "empty", "the cluster's address and the pins of its CA", step)
    return Joining(options["endpoint"], read_token(options["token"]), tuple(options["ca_cert_hashes"]), files)


def join_document(wanted: Wanted, joining: Joining) -> dict[str, Any]:
    """Return JoinConfiguration. It contains the token."""
    init = wanted.init
    return {
        "apiVersion": KUBEADM_API,
        "kind": "JoinConfiguration",
        "discovery": {
            "bootstrapToken": {
                "token": joining.token.text,
                "apiServerEndpoint": joining.endpoint,
                "caCertHashes": list(joining.ca_cert_hashes),
            }
        },
        "controlPlane": {"localAPIEndpoint": init["localAPIEndpoint"]},
        "nodeRegistration": init["nodeRegistration"],
        "timeouts": init.get("timeouts", {}),
    }


def join(wanted: Wanted, joining: Joining, host: NodeHost, timeout: float) -> None:
    """Run kubeadm join. What an interrupted join has left is removed first, with its etcd member."""
    until = host.now() + timeout
    wait_for_another_kubeadm(host, until)
    if read_node_files(host.files).evidence:
        socket = str(wanted.init["nodeRegistration"].get("criSocket", CRI_SOCKET))
        host.commands.run(["kubeadm", "reset", "--force", "--cri-socket", socket, "--ignore-preflight-errors=all"], timeout=RESET_SECONDS)
    mark = Mark(wanted.cluster_name, "control_plane", wanted.name, installed=False, identity=wanted.identity)
    host.write({MARKER: mark.as_text()})
    host.write({CONFIGURATION: wanted.text, **_of(joining.files, public=False)}, new_mode=0o600)
    host.write(_of(joining.files, public=True))
    # the token passes through a pipe: not in a file, not in an argument
    answer = host.commands.run(
        ["kubeadm", "join", "--config", "/dev/stdin"],
        stdin=json.dumps(join_document(wanted, joining), indent=2),
        timeout=max(1.0, until - host.now()),
        check=False,
    )
    said = f"{answer.stdout}{answer.stderr}".replace(joining.token.text, "[token]").replace(joining.token.secret, "[secret]")
    host.write({LOG: said}, new_mode=0o600)
    if answer.status:
        errors = errors_of(replace(answer, stdout=said, stderr=""))
        raise Refusal(
            "kubeadm join",
            "; ".join(errors) or f"exit status {answer.status}",
            "to finish without errors",
            "Correct what it names, then run again: the next run removes what this one has left, and joins again.",
        )
    host.write({MARKER: replace(mark, installed=True, ca=digest(host.files.read(CA))).as_text()})


def _of(files: Mapping[str, str], *, public: bool) -> dict[str, str]:
    return {path: text for path, text in files.items() if path.endswith(".crt") == public}
