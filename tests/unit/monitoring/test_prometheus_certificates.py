# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose certificates Prometheus verifies, by the arguments in kubeadm's ClusterConfiguration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.hardening import SERVING

jinja2 = pytest.importorskip("jinja2")

ROLE = Path(__file__).resolve().parents[3] / "roles" / "monitoring"
KUBELETS, MANAGERS = {"kubelet", "cadvisor"}, {"kube-scheduler", "kube-controller-manager"}


def verified(configuration: str) -> set[str]:
    """Return the jobs that verify a certificate of their own node."""
    role = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())
    environment = jinja2.Environment(trim_blocks=True)
    environment.filters["to_json"] = json.dumps
    given = {
        "_monitoring_kubeadm": {"resources": [{"data": {"ClusterConfiguration": configuration}}]},
        "_monitoring_alerting": {"wanted": False},
        "monitoring_prometheus_extra_scrape_configs": [],
    }
    for name in ("_monitoring_kubeadm_text", "_monitoring_kubelets_are_verified", "_monitoring_managers_are_verified"):
        text = environment.from_string(role[name]).render(given)
        given[name] = {"True": True, "False": False}.get(text, text)
    template = (ROLE / "templates" / "configuration" / "prometheus.yml.j2").read_text()
    jobs = yaml.safe_load(environment.from_string(template).render(given))["scrape_configs"]
    of_nodes = {one["job_name"]: one["tls_config"] for one in jobs if one["job_name"] in KUBELETS | MANAGERS}
    assert of_nodes.keys() == KUBELETS | MANAGERS
    assert all(("ca_file" in one) != ("insecure_skip_verify" in one) for one in of_nodes.values())
    return {name for name, one in of_nodes.items() if "ca_file" in one}


@pytest.mark.parametrize(
    ("arguments", "jobs"),
    [
        ({}, set()),
        (SERVING, KUBELETS | MANAGERS),
        # kubespray with rotated kubelet certificates: the two others keep their self-signed certificates
        ({"apiServer": SERVING["apiServer"]}, KUBELETS),
        ({"scheduler": SERVING["scheduler"], "controllerManager": SERVING["controllerManager"]}, MANAGERS),
    ],
)
def test_only_what_has_a_certificate_of_the_cluster_is_verified(arguments: object, jobs: set[str]) -> None:
    assert verified(json.dumps(arguments)) == jobs
