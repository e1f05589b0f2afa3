# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the Corefile of a plan: that of the specification and what it lacks."""

from __future__ import annotations

from ansible_collections.vmstation.cluster.plugins.module_utils._dns.model import METRICS_PORT, PORT, DnsPlan

# Behind each line, why it is there:
#   health    lameduck: a Pod that ends still answers while the nodes take it out of their rules
#   ready     what the readiness probe asks; without it no Pod is ever Ready
#   forward   the plan's upstreams: a node's resolv.conf differs from node to node, and may name 127.0.0.53
#   reload    takes a changed ConfigMap up without a restart
_TEMPLATE = """\
.:{port} {{
    errors
    health {{
        lameduck 5s
    }}
    ready
    kubernetes {domain} in-addr.arpa ip6.arpa {{
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    prometheus :{metrics}
    forward . {upstreams} {{
        max_concurrent 1000
    }}
    cache 30
    loop
    reload
    loadbalance
}}
"""


def corefile(plan: DnsPlan) -> str:
    return _TEMPLATE.format(port=PORT, domain=plan.domain, metrics=METRICS_PORT, upstreams=" ".join(plan.upstreams))
