# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose certificates Prometheus verifies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

jinja2 = pytest.importorskip("jinja2")

ROLE = Path(__file__).resolve().parents[3] / "roles" / "monitoring"
KUBELETS, MANAGERS = {"kubelet", "cadvisor"}, {"kube-scheduler", "kube-controller-manager"}


def verified(certificates: list[str]) -> set[str]:
    """Return the jobs that verify a certificate of their own node."""
    role = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())
    environment = jinja2.Environment(trim_blocks=True)
    environment.filters["to_json"] = json.dumps
    given = {
        "_monitoring_certificates": certificates,
        "_monitoring_alerting": {"wanted": False},
        "monitoring_prometheus_extra_scrape_configs": [],
    }
    for name in ("_monitoring_kubelets_are_verified", "_monitoring_managers_are_verified"):
        given[name] = {"True": True, "False": False}[environment.from_string(role[name]).render(given)]
    template = (ROLE / "templates" / "configuration" / "prometheus.yml.j2").read_text()
    jobs = yaml.safe_load(environment.from_string(template).render(given))["scrape_configs"]
    of_nodes = {one["job_name"]: one["tls_config"] for one in jobs if one["job_name"] in KUBELETS | MANAGERS}
    assert of_nodes.keys() == KUBELETS | MANAGERS
    assert all(("ca_file" in one) != ("insecure_skip_verify" in one) for one in of_nodes.values())
    return {name for name, one in of_nodes.items() if "ca_file" in one}


@pytest.mark.parametrize(
    ("certificates", "jobs"),
    [([], set()), (["kubelets", "managers"], KUBELETS | MANAGERS), (["kubelets"], KUBELETS), (["managers"], MANAGERS)],
)
def test_only_what_has_a_certificate_of_the_cluster_is_verified(certificates: list[str], jobs: set[str]) -> None:
    assert verified(certificates) == jobs
