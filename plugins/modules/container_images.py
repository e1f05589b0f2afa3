#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: container_images
short_description: Import the images that containerd lacks from archives, and pin them
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Compares a set of images with containerd's store, imports the archives of those that are missing, and reads the store back. One call for
    the whole set.
  - An image is there if its name is, with all of its content, unpacked, and with the digest that is asked for. An image of that name with
    another digest is replaced.
  - Every image is pinned, by containerd's label C(io.cri-containerd.pinned). kubelet deletes unused images when a disk fills, but none that
    containerd reports as pinned. Whether this containerd does is RV(reports_pins).
  - It removes no images, and unpins none.
attributes:
  check_mode:
    support: full
    details:
      - In check mode no archive has to be on the host, so that a play can ask for those that it has to copy there.
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    platforms: linux
options:
  images:
    description:
      - The images that must be there.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The image's full name with its tag, as containerd keeps it.
        type: str
        required: true
      digest:
        description:
          - The digest of the image's configuration, which CRI calls the image's id. Without it, any image of that name will do.
        type: str
        default: ""
      archive:
        description:
          - The file name of the archive that holds it, in O(directory).
        type: str
        required: true
  directory:
    description:
      - The directory on the host that the archives are in. Only those of missing images have to be there.
    type: path
    required: true
  state:
    description:
      - What is ensured of the images.
    type: str
    choices: [present]
    default: present
  address:
    description:
      - Where containerd answers.
    type: path
    default: /run/containerd/containerd.sock
  namespace:
    description:
      - Containerd's namespace. CRI, and so kubelet, sees V(k8s.io) alone.
    type: str
    default: k8s.io
  timeout:
    description:
      - Seconds that the import of one archive may take.
    type: int
    default: 600
notes:
  - It must run as root, and needs C(ctr), which comes with containerd.
seealso:
  - module: vmstation.cluster.installation_source_check
extends_documentation_fragment:
  - vmstation.cluster.attributes
"""

EXAMPLES = r"""
- name: See which images are missing
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
imported:
  description: The names of the images that were missing and have been imported, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [registry.k8s.io/pause:3.10.2]
pinned:
  description: The names of the images that were there without a pin and have been pinned, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: []
reports_pins:
  description:
    - Whether containerd reports pins to kubelet. It does from 1.6.25 and 1.7.10 on. With another one, only kubelet's own configuration
      (C(imageMinimumGCAge)) keeps it from deleting images.
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
  description: Whether O(directory) is on the host.
  returned: success
  type: bool
  sample: false
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.containerd import Containerd, WantedImage, archives_of, ensure
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import HostCommands
from ansible_collections.vmstation.cluster.plugins.module_utils._io.source_directory import FilesBelow
from ansible_collections.vmstation.cluster.plugins.module_utils._io.waiting import until
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

# containerd's CRI part hears of an import a moment later
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
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    wanted = [WantedImage(image["name"], image["digest"], image["archive"]) for image in module.params["images"]]
    names = [image.name for image in wanted]
    archives = FilesBelow(module.params["directory"])
    containerd = Containerd(HostCommands(), module.params["address"], module.params["namespace"], import_timeout=module.params["timeout"])
    try:
        outcome = ensure(
            wanted,
            containerd,
            archives,
            lambda condition: until(condition, SECONDS_UNTIL_CRI_KNOWS),
            check_mode=module.check_mode,
        )
        reports_pins = containerd.reports_pins()
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    imported, pinned = ([image.name for image in images] for images in (outcome.imported, outcome.pinned))
    before = [f"{name}, not pinned" if name in pinned else name for name in names if name not in imported]
    module.exit_json(
        changed=bool(imported or pinned),
        imported=imported,
        pinned=pinned,
        reports_pins=reports_pins,
        archives=archives_of(outcome.imported),
        directory_exists=archives.is_there(),
        diff={"before": "".join(f"{name}\n" for name in sorted(before)), "after": "".join(f"{name}\n" for name in sorted(names))},
    )


if __name__ == "__main__":
    main()
