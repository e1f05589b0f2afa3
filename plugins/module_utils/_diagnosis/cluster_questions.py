# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of the Kubernetes API. Secrets are not, whatever they are called."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.model import KIB, MIB


@dataclass(frozen=True)
class Kind:
    """A list of all objects of a kind. versions: the first that is served is taken. room: bytes that are kept of it."""

    name: str
    versions: tuple[str, ...]
    kind: str
    namespace: str = ""
    room: int = MIB


@dataclass(frozen=True)
class One:
    """An object by its name."""

    name: str
    version: str
    kind: str
    namespace: str
    object_name: str
    room: int = 256 * KIB


CALICO = ("crd.projectcalico.org/v1", "projectcalico.org/v3")
HEALTH = {"health/livez.txt": "/livez?verbose", "health/readyz.txt": "/readyz?verbose"}
EVENTS, NEWEST_EVENTS = "events.txt", 2000

KINDS = (
    Kind("nodes.yaml", ("v1",), "Node", room=2 * MIB),
    Kind("pods.yaml", ("v1",), "Pod", room=4 * MIB),
    Kind("namespaces.yaml", ("v1",), "Namespace"),
    Kind("services.yaml", ("v1",), "Service"),
    Kind("endpoint-slices.yaml", ("discovery.k8s.io/v1",), "EndpointSlice"),
    Kind("daemon-sets.yaml", ("apps/v1",), "DaemonSet"),
    Kind("deployments.yaml", ("apps/v1",), "Deployment"),
    Kind("replica-sets.yaml", ("apps/v1",), "ReplicaSet"),
    Kind("stateful-sets.yaml", ("apps/v1",), "StatefulSet"),
    Kind("jobs.yaml", ("batch/v1",), "Job"),
    Kind("pod-disruption-budgets.yaml", ("policy/v1",), "PodDisruptionBudget"),
    Kind("network-policies.yaml", ("networking.k8s.io/v1",), "NetworkPolicy"),
    Kind("service-cidrs.yaml", ("networking.k8s.io/v1",), "ServiceCIDR"),
    Kind("storage-classes.yaml", ("storage.k8s.io/v1",), "StorageClass"),
    Kind("persistent-volumes.yaml", ("v1",), "PersistentVolume"),
    Kind("persistent-volume-claims.yaml", ("v1",), "PersistentVolumeClaim"),
    Kind("node-leases.yaml", ("coordination.k8s.io/v1",), "Lease", "kube-node-lease"),
    Kind("api-services.yaml", ("apiregistration.k8s.io/v1",), "APIService"),
    Kind("validating-webhooks.yaml", ("admissionregistration.k8s.io/v1",), "ValidatingWebhookConfiguration"),
    Kind("mutating-webhooks.yaml", ("admissionregistration.k8s.io/v1",), "MutatingWebhookConfiguration"),
    Kind("certificate-signing-requests.yaml", ("certificates.k8s.io/v1",), "CertificateSigningRequest"),
    Kind("calico/ip-pools.yaml", CALICO, "IPPool"),
    Kind("calico/bgp-configurations.yaml", CALICO, "BGPConfiguration"),
    Kind("calico/bgp-peers.yaml", CALICO, "BGPPeer"),
    Kind("calico/felix-configurations.yaml", CALICO, "FelixConfiguration"),
    Kind("calico/cluster-information.yaml", CALICO, "ClusterInformation"),
    Kind("calico/node-statuses.yaml", CALICO, "CalicoNodeStatus"),
    Kind("calico/block-affinities.yaml", CALICO, "BlockAffinity"),
    Kind("calico/ipam-blocks.yaml", CALICO, "IPAMBlock"),
    Kind("calico/ipam-configurations.yaml", CALICO, "IPAMConfig"),
    Kind("calico/global-network-policies.yaml", CALICO, "GlobalNetworkPolicy"),
    Kind("calico/network-policies.yaml", CALICO, "NetworkPolicy"),
    Kind("calico/host-endpoints.yaml", CALICO, "HostEndpoint"),
)
CONFIGURATIONS = tuple(
    One(f"configuration/{name}.yaml", "v1", "ConfigMap", "kube-system", name)
    for name in ("kubeadm-config", "kubelet-config", "kube-proxy", "coredns", "calico-config")
)

# of the logs: how many, how long each, and whose are wanted though nothing is wrong with them
MOST_LOGS, LOG_LINES, LOG_ROOM = 80, 1000, MIB
KEPT_LOG = 128 * KIB
SYSTEM_NAMESPACES = ("kube-system", "calico-system", "tigera-operator", "calico-apiserver")
