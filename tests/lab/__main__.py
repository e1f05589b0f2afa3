# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's commands, which the Makefile calls: ``python3 -m tests.lab --help``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

from tests.cluster.published import make_published_source
from tests.lab import gate, machine, matrix, picture
from tests.lab.cache import CHECKOUT, cache, locked
from tests.lab.hosts import SPECIFIED_HOSTS
from tests.lab.image import remove_images
from tests.lab.lab import Lab, remove_abandoned_labs
from tests.lab.python import use_a_new_python
from tests.lab.say import LabError, aloud_by_task, say, step
from tests.lab.setup import set_up
from tests.lab.venv import ensure_venv, renew_pins

OVERLAY = CHECKOUT / "tests" / "lab" / "inventory"
OVERLAY_IF_PUBLISHED = CHECKOUT / "tests" / "lab" / "published"
SOURCES = ("compiled", "published")


def up(name: str, *, asleep: bool = True) -> Lab:
    """The lab and its three hosts; workers that are new are asleep, unless all are wanted awake."""
    lab = Lab(name)
    try:
        _make_hosts(lab, asleep=asleep)
    except LabError as error:
        if "already allocated" not in str(error):
            raise
        # podman, killed between taking an address and noting it, never gives it back; only its network's end does
        say(f"lab {name}: a killed run holds an address; making this lab anew")
        lab.down()
        _make_hosts(lab, asleep=asleep)
    return lab


def _make_hosts(lab: Lab, *, asleep: bool) -> None:
    with step(f"lab {lab.name}: network 192.168.4.0/24 and power"):
        lab.prepare()
    standing = {spec.name for spec in lab.specs()}
    for spec in SPECIFIED_HOSTS:
        wanted = replace(spec, sleeps=spec.sleeps and asleep)
        state = "stands" if spec.name in standing else f"{spec.firewall}{', asleep' if wanted.sleeps else ''}"
        with step(f"host {spec.name} {spec.address} {spec.mac} ({state})"):
            lab.start_as(wanted)


def site(lab: Lab, playbook: str, arguments: Sequence[str]) -> int:
    """A playbook of this checkout against a lab: the project's inventory, with the lab's connection variables over it."""
    say(f"ansible-playbook {playbook} {' '.join(arguments)} (lab {lab.name})")
    inventories = [CHECKOUT / "inventory", OVERLAY, *[OVERLAY_IF_PUBLISHED] * lab.is_published]
    argv = ["ansible-playbook", *(word for path in inventories for word in ("-i", str(path))), str(CHECKOUT / playbook), *arguments]
    return aloud_by_task(lab.inside(argv), lambda: picture.not_ready(lab), env=lab.environment(), cwd=CHECKOUT)


def choose_source(lab: Lab, wanted: str | None) -> None:
    """Set up what the lab's hosts install from. wanted: one of SOURCES; None: what the lab is made of, or what is compiled."""
    made_of = "published" if lab.is_published else "compiled"
    source = wanted or made_of
    if source != made_of and lab.kubeconfig.exists():
        raise LabError(
            f"lab {lab.name}: found a cluster of {made_of} programs and images; required: none, or SOURCE={made_of}. "
            f"Remove it with `python3 -m tests.lab --name {lab.name} down`, and run the same command again."
        )
    set_up(cluster=True, published=source == "published")
    lab.install_from(make_published_source() if source == "published" else None)


def lab_command(options: argparse.Namespace) -> int:
    # a killed `make` may leave its lab command behind; the next one waits for its end
    with locked(f"make-{options.name}"):
        choose_source(Lab(options.name), options.source)
        lab = up(options.name)
        status = site(lab, "site.yml", options.arguments)
        picture.show(lab)
    if status:
        raise LabError(f"site.yml ended with status {status}; the hosts stand as it left them")
    say("It stands. `make lab` again changes nothing, `make lab-down` removes it.")
    return 0


def hosts_command(options: argparse.Namespace) -> int:
    with locked(f"make-{options.name}"):
        set_up()
        picture.show(up(options.name, asleep=not options.awake))
    return 0


def power_off_command(options: argparse.Namespace) -> int:
    lab = Lab(options.name)
    for name in options.arguments:
        with step(f"host {name}: powering off"):
            lab.host(name).stop()
    return 0


def remove_hosts_command(options: argparse.Namespace) -> int:
    lab = Lab(options.name)
    for spec in lab.specs():
        with step(f"host {spec.name}: removing"):
            lab.remove(lab.host(spec.name))
    return 0


def site_command(options: argparse.Namespace) -> int:
    lab = Lab(options.name)
    choose_source(lab, None)
    return site(lab, options.playbook, options.arguments)


def status_command(options: argparse.Namespace) -> int:
    picture.show(Lab(options.name))
    return 0


def down_command(options: argparse.Namespace) -> int:
    with step(f"lab {options.name}: removing hosts, network and processes"):
        Lab(options.name).down()
        remove_abandoned_labs()
    return 0


def clean_command(_options: argparse.Namespace) -> int:
    for directory in sorted((cache() / "labs").glob("*")):
        with step(f"lab {directory.name}: removing"):
            Lab(directory.name).down()
    with step(f"images and {cache()}: removing"):
        if machine.why_no_lab() is None:
            remove_images()
        subprocess.run(["rm", "-rf", "--one-file-system", str(cache())], check=True)
    return 0


def run_command(options: argparse.Namespace) -> int:
    lab = Lab(options.name)
    argv = lab.inside(options.arguments)
    os.execvpe(argv[0], argv, lab.environment())


def kubectl_command(options: argparse.Namespace) -> int:
    options.arguments = [*Lab(options.name).kubectl(), *options.arguments]
    return run_command(options)


def molecule_command(options: argparse.Namespace) -> int:
    set_up(cluster=True)
    return gate.molecule(options.arguments or ["test"])


def setup_command(_options: argparse.Namespace) -> int:
    set_up()
    print(ensure_venv())
    return 0


def test_command(options: argparse.Namespace) -> int:
    return gate.run(options.arguments)


def matrix_command(options: argparse.Namespace) -> int:
    return matrix.run(options.arguments)


def docs_site_command(_options: argparse.Namespace) -> int:
    return matrix.build_pages()


def bench_command(options: argparse.Namespace) -> int:
    set_up(cluster=True)
    return gate.bench(options.arguments)


def endurance_command(_options: argparse.Namespace) -> int:
    return gate.endurance()


def ipip_command(_options: argparse.Namespace) -> int:
    set_up()
    return gate.ipip()


def pins_command(_options: argparse.Namespace) -> int:
    with step("requirements/development.txt"):
        renew_pins()
    return 0


COMMANDS: dict[str, tuple[Callable[[argparse.Namespace], int], str]] = {
    "lab": (lab_command, "set everything up, run site.yml against three lab hosts, print what stands"),
    "hosts": (hosts_command, "set everything up with three bare hosts, and stop there"),
    "power-off": (power_off_command, "power named hosts of the lab off, as their owner would"),
    "remove-hosts": (remove_hosts_command, "remove the hosts; the network and its controller stay"),
    "site": (site_command, "run site.yml against the lab (arguments go to ansible-playbook)"),
    "status": (status_command, "print what stands"),
    "down": (down_command, "remove the lab; images and cache stay"),
    "clean": (clean_command, "remove all labs, images and the cache"),
    "run": (run_command, "run a command on the lab's controller"),
    "kubectl": (kubectl_command, "ask the lab's cluster (arguments go to kubectl)"),
    "setup": (setup_command, "make packages, virtual environment and host image, print where the former is"),
    "molecule": (molecule_command, "run molecule's default scenario (arguments go to molecule; default: test)"),
    "test": (test_command, f"run phases of the tests: {' '.join(gate.PHASES)} (default: those of the gate)"),
    "matrix": (matrix_command, f"run tests with other versions, all or: {' '.join(matrix.ROWS)}"),
    "docs-site": (docs_site_command, "build the documentation site"),
    "bench": (bench_command, "run the benchmarks, or those named"),
    "endurance": (endurance_command, "do often what the gate does a few times: site.yml, resets, kills"),
    "ipip": (ipip_command, "let packets of protocol 4 through every firewall, between two emulated hosts with Debian's kernel"),
    "pins": (pins_command, "renew requirements/development.txt"),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests.lab", description="Three systemd hosts, and the tests of this collection.")
    parser.add_argument("--name", default="vmstation", help="the lab's name; labs of different names do not meet (default: %(default)s)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for word, (function, text) in COMMANDS.items():
        command = commands.add_parser(word, help=text, description=text)
        command.set_defaults(function=function)
        if word == "lab":
            command.add_argument(
                "--source",
                choices=SOURCES,
                help="programs, manifests and images: compiled here, or downloaded (default: as last time, or compiled)",
            )
        if word == "site":
            command.add_argument("--playbook", default="site.yml", help="a playbook of this checkout (default: %(default)s)")
        if word == "hosts":
            command.add_argument("--awake", action="store_true", help="the workers too")
        command.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    # argparse hands it on
    if options.arguments[:1] == ["--"]:
        del options.arguments[0]
    try:
        use_a_new_python()
        return options.function(options)
    except LabError as error:
        say(f"FAILED: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
