# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small packages in an apt repository in a directory of a Debian host, which is one of its sources."""

from __future__ import annotations

from dataclasses import dataclass

from tests.lab import Host

DIRECTORY, SOURCE = "/srv/offered", "/etc/apt/sources.list.d/offered.list"
# $1: the directory; the control file, the configuration file and the script postinst of a package come from the standard input, with lines
# `--` between them
BUILD = r"""
set -eu
mkdir -p "$1"; cd "$1"
tree=$(mktemp -d); chmod 755 "$tree"
mkdir -p "$tree/DEBIAN" "$tree/etc"
csplit --quiet --prefix="$tree/part" - '/^--$/' '/^--$/'
mv "$tree/part00" "$tree/DEBIAN/control"
name=$(sed -n 's/^Package: //p' "$tree/DEBIAN/control")
sed 1d "$tree/part01" > "$tree/etc/$name.conf"
sed 1d "$tree/part02" > "$tree/DEBIAN/postinst"; chmod 755 "$tree/DEBIAN/postinst"
rm "$tree/part01" "$tree/part02"
echo "/etc/$name.conf" > "$tree/DEBIAN/conffiles"
dpkg-deb --root-owner-group --build "$tree" . > /dev/null
rm -r "$tree"
for deb in *.deb; do
  dpkg-deb --field "$deb"
  printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$deb")" "$(sha256sum "$deb" | cut -d' ' -f1)"
done > Packages
"""


@dataclass(frozen=True)
class Package:
    """It has one configuration file, /etc/NAME.conf, whose content is its version. postinst: shell commands that configure it."""

    name: str
    version: str
    depends: str = ""
    postinst: str = ":"

    @property
    def control(self) -> str:
        fields = {"Package": self.name, "Version": self.version, "Architecture": "all", "Maintainer": "x <x@example.org>"}
        return "".join(f"{key}: {value}\n" for key, value in {**fields, "Depends": self.depends, "Description": "x"}.items() if value)


def offer(host: Host, *packages: Package) -> None:
    for package in packages:
        host.run(["sh", "-c", BUILD, "sh", DIRECTORY], stdin=f"{package.control}--\n{package.version}\n--\n#!/bin/sh\n{package.postinst}\n")
    host.write(SOURCE, f"deb [trusted=yes] file:{DIRECTORY} ./\n")


def install(host: Host, *packages: Package) -> None:
    """Offer them, and install them as the host's owner would."""
    offer(host, *packages)
    host.run(["apt-get", "update", "--quiet"])
    host.run(["apt-get", "install", "--yes", "--quiet", *(package.name for package in packages)])


def versions(host: Host, *packages: Package) -> dict[str, str]:
    """The installed version of each that is installed."""
    argv = ["dpkg-query", "--show", "--showformat", "${Package} ${Version} ${db:Status-Status}\n"]
    lines = host.run([*argv, *(package.name for package in packages)], check=False).stdout.splitlines()
    return dict(line.split()[:2] for line in lines if line.endswith(" installed"))


def take_back(host: Host, *packages: Package) -> None:
    host.run(["apt-get", "purge", "--yes", "--quiet", "--allow-change-held-packages", *versions(host, *packages)])
    host.run(["rm", "-r", DIRECTORY, SOURCE])
    host.run(["apt-get", "update", "--quiet"])
