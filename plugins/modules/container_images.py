#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: container_images
short_description: Import missing images into containerd from archives, and pin them
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Compares a set of images with containerd's store, imports the archives of the missing images, and reads the store again. One call
    handles the whole set.
  - An image exists if its name is present with all of its content, unpacked, and with the requested digest. An image with that name and
    another digest is replaced.
  - Every image is pinned with containerd's label C(io.cri-containerd.pinned). When a disk fills, kubelet deletes unused images, except
    those that containerd reports as pinned. RV(reports_pins) shows whether this containerd reports pins.
  - It does not remove or unpin images.
attributes:
  check_mode:
    support: full
    details:
      - In check mode, the archives need not be on the host, so that a play can find out which ones to copy.
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    platforms: linux
options:
  images:
    description:
      - The images that must exist.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The full name of the image with its tag, as containerd stores it.
        type: str
        required: true
      digest:
        description:
          - The digest of the image's configuration, which CRI calls the image ID. Without it, any image with that name is accepted.
        type: str
        default: ""
      archive:
        description:
          - The file name of the image's archive in O(directory).
        type: str
        required: true
  directory:
    description:
      - The directory on the host that contains the archives. Only those of missing images are required.
    type: path
    required: true
  state:
    description:
      - V(present) makes sure that the images exist and are pinned.
    type: str
    choices: [present]
    default: present
  address:
    description:
      - The path of containerd's socket.
    type: path
    default: /run/containerd/containerd.sock
  namespace:
    description:
      - The namespace of containerd. CRI, and therefore kubelet, uses only V(k8s.io).
    type: str
    default: k8s.io
  timeout:
    description:
      - The maximum time in seconds to import one archive.
    type: int
    default: 600
  host:
    description:
      - The name of the host in the inventory, for the next steps in RV(findings).
    type: str
    default: ""
notes:
  - Run it as root. It needs C(ctr), which is part of containerd.
seealso:
  - module: vmstation.cluster.installation_source_check
extends_documentation_fragment:
  - vmstation.cluster.attributes
"""

EXAMPLES = r"""
- name: List the missing images
  vmstation.cluster.container_images:
    images: "{{ images }}"
    directory: /var/tmp/images
  check_mode: true
  become: true
  register: wanted

- name: Copy their archives
  ansible.builtin.copy:
    src: "/srv/kubernetes-1.36.4/images/{{ item }}"
    dest: /var/tmp/images/
    mode: "0600"
  become: true
  loop: "{{ wanted.archives }}"

- name: Import them
  vmstation.cluster.container_images:
    images: "{{ images }}"
    directory: /var/tmp/images
  become: true
"""

RETURN = r"""
findings:
  description: In check mode, the images that a run would import or pin. Otherwise an empty list.
  returned: success
  type: list
  elements: dict
  contains:
    rule:
      description: The rule that is violated.
      type: str
      returned: always
      sample: images_are_there
    severity:
      description: C(error) or C(warning).
      type: str
      returned: always
      sample: error
    subject:
      description: The object that was checked.
      type: str
      returned: always
      sample: images on homelab
    found:
      description: What was found.
      type: str
      returned: always
      sample: "missing: registry.k8s.io/pause:3.10.2"
    expected:
      description: What is required.
      type: str
      returned: always
      sample: "in containerd, from the installation source: they are not pulled from a registry"
    fix:
      description: The next step.
      type: str
      returned: always
      sample: "Run `ansible-playbook site.yml --limit homelab`, which imports them."
    hosts:
      description: Always empty. The finding is about the host that the module runs on.
      type: list
      elements: str
      returned: always
      sample: []
looked_at:
  description: What the check looked at, also where it found nothing.
  returned: success
  type: list
  elements: dict
  contains:
    subject:
      description: The object that was checked.
      type: str
      returned: always
      sample: images on homelab
    facts:
      description: What was seen, in a few words.
      type: str
      returned: always
      sample: "all images of the installation source, pinned"
    state:
      description: V(ok), V(asleep), or the worst severity of the findings about the object, V(warning), V(unknown) or V(error).
      type: str
      returned: always
      sample: ok
    hosts:
      description: The hosts that it is about, as in RV(findings).
      type: list
      elements: str
      returned: always
      sample: []
failure:
  description: The parts of the error message, with the keys C(subject), C(found), C(expected) and C(fix).
  returned: when the task fails before it has a result
  type: dict
  sample:
    subject: containerd on /run/containerd/containerd.sock
    found: no answer
    expected: containerd running
    fix: Start it.
imported:
  description: The names of the images that were imported, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [registry.k8s.io/pause:3.10.2]
pinned:
  description: The names of the images that existed without a pin and were pinned, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: []
reports_pins:
  description:
    - Whether containerd reports pins to kubelet. Versions from 1.6.25 and 1.7.10 on do. With older versions, only kubelet's own
      configuration (C(imageMinimumGCAge)) prevents the deletion of images.
  returned: success
  type: bool
  sample: true
archives:
  description: The file names of the archives of the images in RV(imported).
  returned: success
  type: list
  elements: str
  sample: [pause.tar]
directory_exists:
  description: Whether O(directory) exists on the host.
  returned: success
  type: bool
  sample: false
"""


from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_result
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import HostCommands
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.containerd import (
    Containerd,
    WantedImage,
    changes,
    ensure,
    findings,
    looked_at,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.io import FilesBelow
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.io import LocalMachine
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.software import platform_of
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._timing import SystemClock
from ansible_collections.vmstation.cluster.plugins.module_utils._waiting import look_until

# containerd's CRI plugin notices an import with a short delay
SECONDS_UNTIL_CRI_KNOWS = 30
ARGUMENTS = {
    "images": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "digest": {"type": "str", "default": ""},
            "archive": {"type": "str", "required": True},
        },
    },
    "directory": {"type": "path", "required": True},
    "state": {"type": "str", "choices": ["present"], "default": "present"},
    "address": {"type": "path", "default": "/run/containerd/containerd.sock"},
    "namespace": {"type": "str", "default": "k8s.io"},
    "timeout": {"type": "int", "default": 600},
    "host": {"type": "str", "default": ""},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    wanted = [WantedImage(image["name"], image["digest"], image["archive"]) for image in module.params["images"]]
    archives = FilesBelow(module.params["directory"])
    containerd = Containerd(
        HostCommands(),
        module.params["address"],
        module.params["namespace"],
        import_timeout=module.params["timeout"],
        platform=platform_of(LocalMachine().processor()),
    )
    try:
        outcome = ensure(
            wanted,
            containerd,
            archives,
            lambda condition: look_until(condition, bool, SystemClock(), SECONDS_UNTIL_CRI_KNOWS, 0.2),
            check_mode=module.check_mode,
        )
        reports_pins = containerd.reports_pins()
    except Refusal as refusal:
        module.fail_json(**refusal.as_result())
    host = module.params["host"]
    found = findings(outcome, host) if module.check_mode else []
    module.exit_json(
        **as_result(found, looked_at(wanted, host, found)),
        **changes(wanted, outcome),
        reports_pins=reports_pins,
        directory_exists=archives.is_there(),
    )


if __name__ == "__main__":
    main()
