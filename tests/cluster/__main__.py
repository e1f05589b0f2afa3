# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python3 -m tests.cluster --help``: builds the programs and the images; nothing that is built is built again."""

from __future__ import annotations

import argparse
import sys

from tests.cluster.build import build
from tests.cluster.calico_images import calico_images
from tests.cluster.images import make_images
from tests.cluster.monitoring_images import monitoring_images
from tests.cluster.programs import OLDER_RELEASE, PROGRAMS, known, version
from tests.cluster.source import make_source
from tests.lab.say import LabError, say


def build_command(options: argparse.Namespace) -> None:
    for path in build(options.programs):
        print(path)


def images_command(_options: argparse.Namespace) -> None:
    for path in [*make_images(), *calico_images().values(), *monitoring_images().values()]:
        print(path)


def source_command(options: argparse.Namespace) -> None:
    print(make_source(older=options.older))


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
    command.add_argument("--older", action="store_true", help=f"the same sources under the version {OLDER_RELEASE}, to upgrade from")
    command.set_defaults(function=source_command)
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
