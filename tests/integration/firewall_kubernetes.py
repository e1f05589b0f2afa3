# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What kube-proxy and Calico's Felix write into a node's iptables, in their shapes and numbers, beside firewall_ports."""

from __future__ import annotations

import json
import re
from hashlib import sha256

from tests.integration import firewall_direct

SERVICES, ENDPOINTS, WORKLOADS = 60, 3, 40
TOOLS = ("iptables", "ip6tables")
MOST_CPU_SECONDS = 4.0
COUNTERS = re.compile(r"\[\d+:\d+\]")
CHAINS = {
    "filter": {"INPUT": ["KUBE-NODEPORTS", "KUBE-FIREWALL"], "FORWARD": ["KUBE-FORWARD", "KUBE-SERVICES"], "OUTPUT": ["KUBE-FIREWALL"]},
    "nat": {"PREROUTING": ["KUBE-SERVICES"], "OUTPUT": ["KUBE-SERVICES"], "POSTROUTING": ["KUBE-POSTROUTING"]},
    "mangle": {},
}
# Felix puts its own in front of everyone's, and puts it back there when it is not
FELIX_FIRST = {"filter": ["INPUT", "FORWARD", "OUTPUT"], "nat": ["PREROUTING", "POSTROUTING"], "mangle": ["PREROUTING"]}


def _name(prefix: str, *of: object) -> str:
    return f"{prefix}{sha256(repr(of).encode()).hexdigest()[:16].upper()}"


def _address(family: int, number: int) -> str:
    return f"10.244.{number // 250}.{number % 250 + 1}" if family == 4 else f"fd00:10:244::{number + 1:x}"


def _cali(text: str) -> str:
    return f'-m comment --comment "cali:{sha256(text.encode()).hexdigest()[:16]}" {text}'


def _services(family: int) -> tuple[list[str], list[str]]:
    """kube-proxy's chains and rules of nat."""
    length = 32 if family == 4 else 128
    chains, rules = ["KUBE-SERVICES", "KUBE-POSTROUTING", "KUBE-MARK-MASQ", "KUBE-NODEPORTS"], []
    rules.append("-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000")
    rules.append("-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN")
    for service in range(SERVICES):
        cluster_ip = f"172.16.0.{service + 1}" if family == 4 else f"fd00:172::{service + 1:x}"
        svc = _name("KUBE-SVC-", family, service)
        chains.append(svc)
        told = f'-m comment --comment "default/service-{service}:http cluster IP"'
        rules.append(f"-A KUBE-SERVICES -d {cluster_ip}/{length} -p tcp {told} -m tcp --dport 80 -j {svc}")
        rules.append(f"-A KUBE-NODEPORTS -p tcp {told} -m tcp --dport {30000 + service} -j {svc}")
        for endpoint in range(ENDPOINTS):
            sep = _name("KUBE-SEP-", family, service, endpoint)
            address = _address(family, service * ENDPOINTS + endpoint)
            chains.append(sep)
            share = f"-m statistic --mode random --probability {1 / (ENDPOINTS - endpoint):.10f} " if endpoint + 1 < ENDPOINTS else ""
            rules.append(f"-A {svc} {share}-j {sep}")
            rules.append(f"-A {sep} -s {address}/{length} -j KUBE-MARK-MASQ")
            target = f"{address}:8080" if family == 4 else f"[{address}]:8080"
            rules.append(f"-A {sep} -p tcp -j DNAT --to-destination {target}")
    rules.append("-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS")
    return chains, rules


def _filter(family: int) -> tuple[list[str], list[str]]:
    """Both programs' chains and rules of filter."""
    chains = ["KUBE-NODEPORTS", "KUBE-FIREWALL", "KUBE-FORWARD", "KUBE-SERVICES", "cali-INPUT", "cali-FORWARD", "cali-OUTPUT"]
    chains += ["cali-from-wl-dispatch", "cali-to-wl-dispatch", "cali-wl-to-host", "cali-failsafe-in"]
    rules = [
        "-A KUBE-FIREWALL -p udp -m udp --dport 9 -j DROP",
        "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
        "-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT",
        f"-A cali-INPUT {_cali('-i cali+ -g cali-wl-to-host')}",
        f"-A cali-INPUT {_cali('-m mark --mark 0x10000/0x10000 -j ACCEPT')}",
        f"-A cali-FORWARD {_cali('-i cali+ -j cali-from-wl-dispatch')}",
        f"-A cali-FORWARD {_cali('-o cali+ -j cali-to-wl-dispatch')}",
        f"-A cali-wl-to-host {_cali('-j cali-from-wl-dispatch')}",
        f"-A cali-failsafe-in {_cali('-p tcp -m multiport --dports 22,2379,6443 -j ACCEPT')}",
    ]
    for workload in range(WORKLOADS):
        interface = f"cali{sha256(f'{family}.{workload}'.encode()).hexdigest()[:11]}"
        for side, option in (("fw", "-i"), ("tw", "-o")):
            chain, dispatch = f"cali-{side}-{interface}", "cali-from-wl-dispatch" if side == "fw" else "cali-to-wl-dispatch"
            chains.append(chain)
            rules.append(f"-A {dispatch} {_cali(f'{option} {interface} -g {chain}')}")
            rules += [
                f"-A {chain} {_cali('-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT')}",
                f"-A {chain} {_cali('-m conntrack --ctstate INVALID -j DROP')}",
                f"-A {chain} {_cali('-j MARK --set-xmark 0x0/0x10000')}",
                f"-A {chain} {_cali('-m mark --mark 0x10000/0x10000 -j RETURN')}",
                f'-A {chain} -m comment --comment "cali:drop if no profiles matched" -j DROP',
            ]
    rules += [f"-A {dispatch} {_cali('-j DROP')}" for dispatch in ("cali-from-wl-dispatch", "cali-to-wl-dispatch")]
    return chains, rules


def ruleset(family: int) -> str:
    """What ``iptables-restore --noflush`` reads."""
    tables = {"filter": _filter(family), "nat": _services(family), "mangle": ([], [])}
    text = ""
    for table, (chains, rules) in tables.items():
        own = [*chains, *(f"cali-{base}" for base in FELIX_FIRST[table] if f"cali-{base}" not in chains)]
        lines = [f"*{table}", *(f":{chain} - [0:0]" for chain in own), *rules]
        lines += [
            f'-A {base} -m comment --comment "kubernetes" -j {target}' for base, targets in CHAINS[table].items() for target in targets
        ]
        text += "\n".join([*lines, *(f"-I {base} 1 {_cali(f'-j cali-{base}')}" for base in FELIX_FIRST[table]), "COMMIT", ""])
    return text


def load(host) -> None:
    for family, tool in zip((4, 6), TOOLS):
        host.run([f"{tool}-restore", "--noflush"], stdin=ruleset(family))


def felix_comes_first_again(host) -> None:
    for tool in TOOLS:
        rule = ["INPUT", "-m", "comment", "--comment", "cali:again", "-j", "cali-INPUT"]
        host.run([tool, "-I", *rule])


def unload(host) -> None:
    for tool in TOOLS:
        saved = host.run([f"{tool}-save"]).stdout
        kept = [line for line in saved.splitlines() if not re.search(r"^[:-].*(?:cali|KUBE)-", line)]
        host.run([f"{tool}-restore"], stdin="\n".join([*kept, ""]))


def standing(host) -> list[str]:
    """Every rule of every chain but ours, in their order."""
    saved = "".join(host.run([f"{tool}-save"]).stdout for tool in TOOLS)
    lines = [COUNTERS.sub("", line) for line in saved.splitlines() if not line.startswith("#") and "vmstation" not in line]
    return [line for line in lines if "cali-" in line or "KUBE-" in line]


def they_stay_and_do_not_matter(host, wanted: dict, other: dict, gone: dict) -> None:
    """The set is there before them and after them; each second run changes nothing, and is quick in spite of them."""
    assert firewall_direct.run(host, wanted)["changed"] is True
    load(host)
    try:
        theirs = standing(host)
        assert len(theirs) > 2 * (SERVICES * ENDPOINTS * 3 + WORKLOADS * 10)
        assert firewall_direct.run(host, wanted)["changed"] is False
        assert standing(host) == theirs
        felix_comes_first_again(host)
        theirs = standing(host)
        for each in (wanted, other, other, wanted):
            done = firewall_direct.run(host, each)
            assert "failed" not in done, done
            assert standing(host) == theirs
        assert firewall_direct.run(host, wanted, check=True)["changed"] is False
        assert cpu_seconds(host, wanted) < MOST_CPU_SECONDS
        assert firewall_direct.run(host, gone)["changed"] is True
        assert standing(host) == theirs
        assert firewall_direct.run(host, gone)["changed"] is False
    finally:
        unload(host)


def cpu_seconds(host, options: dict) -> float:
    """What a run and the programs that it starts take of a processor, which does not depend on who else wants it."""
    script = "import json, resource, subprocess, sys\nargv, options = json.load(sys.stdin)\n"
    script += "subprocess.run(argv, input=json.dumps(options), text=True, capture_output=True, check=True)\n"
    script += "used = resource.getrusage(resource.RUSAGE_CHILDREN)\nprint(used.ru_utime + used.ru_stime)\n"
    return float(host.run(["python3", "-c", script], stdin=json.dumps([firewall_direct.command(), options])).stdout)
