# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signed repositories of small rpms in a directory of the controller, made by the programs of the image ``rhel10``."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.lab import Lab
from tests.lab.image import ensure_image

# An rpm of one program that prints a line, and a unit of its name.
SPEC = """\
Name: {package}
Version: {version}
Release: 1.1
Summary: x
License: none
BuildArch: noarch
AutoReqProv: no
{header}
%description
x
%install
mkdir -p %{{buildroot}}/usr/bin %{{buildroot}}/usr/lib/systemd/system
printf '#!/bin/sh\\necho "{says}"\\n' > %{{buildroot}}/usr/bin/{name}
cat > %{{buildroot}}/usr/lib/systemd/system/{name}.service <<'END'
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
END
%files
%attr(755, root, root) /usr/bin/{name}
/usr/lib/systemd/system/{name}.service
"""
GPG = "gpg() { command gpg --homedir /srv/gnupg --batch --quiet --yes --pinentry-mode loopback --passphrase '' \"$@\"; }\n"
# One key in three states: it has ended, it ends soon, it has been prolonged. Of two signatures of one second, the newer is not known.
MAKE_KEY = """
mkdir -p -m 700 /srv/gnupg
gpg --faked-system-time 20250101T000000 --quick-generate-key 'the repository' rsa2048 sign 5m
fingerprint=$(gpg --list-keys --with-colons | awk -F: '/^fpr/ { print $10; exit }')
echo $fingerprint > /srv/fingerprint
gpg --armor --export > /srv/ended.asc
gpg --quick-set-expire $fingerprint 10d
gpg --armor --export > /srv/soon.asc
sleep 1.1
gpg --quick-set-expire $fingerprint 1y
gpg --armor --export > /srv/prolonged.asc
"""
# $1: the directory of the repository
PUBLISH = """
cd "/srv/$1"
for spec in *.spec; do
  rpmbuild -bb --quiet --define '_topdir /tmp/build' --define "_rpmdir $PWD" "$spec"
  rm "$spec"
done
export GNUPGHOME=/srv/gnupg
rpmsign --define "_gpg_name $(cat /srv/fingerprint)" --define "_openpgp_sign_id $(cat /srv/fingerprint)" \
  --define "_gpg_sign_cmd_extra_args --pinentry-mode loopback --passphrase ''" --addsign noarch/*.rpm > /dev/null
createrepo_c --quiet .
gpg --armor --detach-sign repodata/repomd.xml
"""


class RpmRepositories:
    """Repositories below one directory, all signed with one key."""

    def __init__(self, lab: Lab, root: Path) -> None:
        self.root, self._podman, self._image = root, lab.podman, ensure_image("rhel10")
        self._run(MAKE_KEY)
        self.fingerprint = (root / "fingerprint").read_text().strip()

    def add(self, directory: str, name: str, version: str, says: str, *, package: str = "", header: str = "") -> None:
        """Write what ``publish`` makes an rpm of. package: its name, by default that of the program."""
        (self.root / directory).mkdir(parents=True, exist_ok=True)
        spec = SPEC.format(package=package or name, name=name, version=version, says=says, header=header)
        (self.root / directory / f"{name}-{version}.spec").write_text(spec)

    def publish(self, directory: str) -> None:
        """Make the rpms that were added, and sign them and the repository's metadata."""
        self._run(PUBLISH, directory)

    def show_key(self, directory: str, state: str) -> None:
        """state: ``ended``, ``soon`` or ``prolonged``."""
        key = self.root / directory / "repodata" / "repomd.xml.key"
        key.write_text((self.root / f"{state}.asc").read_text())

    def _run(self, script: str, *arguments: str) -> None:
        argv = ["run", "--rm", "--network=none", "--volume", f"{self.root}:/srv", self._image, "sh", "-euc", GPG + script, "sh", *arguments]
        process = subprocess.run(self._podman.argv(*argv), env=self._podman.env, capture_output=True, text=True, timeout=120, check=False)
        assert process.returncode == 0, process.stdout + process.stderr
