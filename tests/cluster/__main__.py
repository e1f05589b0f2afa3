# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python3 -m tests.cluster --help``: builds the programs and the images; nothing that is built is built again."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from tests.cluster.build import binary, build
from tests.cluster.calico_images import calico_images
from tests.cluster.images import make_images
from tests.cluster.monitoring_images import monitoring_images
from tests.cluster.programs import API_SERVER, PROGRAMS, known, program_of, version
from tests.cluster.published import make_published_source
from tests.cluster.source import make_source
from tests.lab import machine
from tests.lab.say import LabError, say


def build_command(options: argparse.Namespace) -> None:
    for path in build(options.programs):
        print(path)


def images_command(_options: argparse.Namespace) -> None:
    machine.install_missing(hosts=False, cluster=True)
    for path in [*make_images(), *calico_images().values(), *monitoring_images().values()]:
        print(path)


def source_command(options: argparse.Namespace) -> None:
    machine.install_missing(hosts=False, cluster=not options.published, published=options.published)
    print(make_published_source() if options.published else make_source(newer=options.newer))


def run_command(options: argparse.Namespace) -> None:
    from tests.cluster.hollow import hollow_nodes  # noqa: PLC0415 - what builds only works without the Kubernetes client
    from tests.cluster.server import running  # noqa: PLC0415 - as above

    build(API_SERVER)
    with running() as cluster, hollow_nodes(cluster) as nodes:
        nodes.add("masternode", control_plane=True)
        nodes.add("storagenodet3500")
        given = {"VMSTATION_TEST_KUBECONFIG": str(cluster.kubeconfig), "PATH": f"{binary('kubectl').parent}:{os.environ['PATH']}"}
        status = subprocess.run(options.argv, env={**os.environ, **given}, check=False).returncode
    if status:
        raise LabError(f"`{' '.join(options.argv)}` ended with status {status}")


def versions_command(_options: argparse.Namespace) -> None:
    for program in known(()):
        print(f"{program.name:<24} {version(program):<10} {program.package}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests.cluster", description="Real Kubernetes, compiled from Go modules.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("build", help="compile programs (default: all) and print their paths")
    command.add_argument("programs", nargs="*", metavar="PROGRAM", help=" ".join(PROGRAMS))
    command.set_defaults(function=build_command)
    command = commands.add_parser(
        "images", help="make the image archives that kubeadm, Calico's manifest and the roles ask for and print their paths"
    )
    command.set_defaults(function=images_command)
    command = commands.add_parser("source", help="make the installation source of the lab, a directory, and print its path")
    command.add_argument("--published", action="store_true", help="download what is published; nothing is compiled")
    newer = version(program_of("kubeadm", newer=True))
    command.add_argument("--newer", action="store_true", help=f"Kubernetes {newer}, to upgrade to")
    command.set_defaults(function=source_command)
    command = commands.add_parser("run", help="run a command beside an API server with two simulated nodes")
    command.add_argument("argv", nargs=argparse.REMAINDER, metavar="COMMAND")
    command.set_defaults(function=run_command)
    command = commands.add_parser("versions", help="print what is pinned")
    command.set_defaults(function=versions_command)
    options = parser.parse_args()
    try:
        options.function(options)
    except LabError as error:
        say(f"FAILED: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
