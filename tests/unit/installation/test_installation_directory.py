# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An installation directory on disk: sound, and with one thing after the other broken. Every finding says what to do."""

from __future__ import annotations

import gzip
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.check import Verdict, judge
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.io import LocalDirectory, Unreadable
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.model import Expected

from tests.unit.installation.sources import (
    AMD64,
    ARM64,
    CALICO,
    IMAGES,
    PAUSE,
    RELEASE,
    archive_name,
    describe,
    make_source,
    sign,
    write_docker_archive,
    write_image,
)

EXPECTED = Expected("1.36", RELEASE, PAUSE)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_source(tmp_path / "source")


def verdict(source: Path, expected: Expected = EXPECTED) -> Verdict:
    return judge({"kind": "directory", "path": str(source)}, expected, LocalDirectory)


def found(source: Path, expected: Expected = EXPECTED) -> set[tuple[str, str, str]]:
    """(rule, severity, what was judged without the directory's path)."""
    return {
        (finding.rule, finding.severity, finding.subject.replace(f"{source}/", "").replace(str(source), "."))
        for finding in verdict(source, expected).findings
    }


def images_of(source: Path) -> dict[str, list[str]]:
    return json.loads((source / "source.json").read_text())["images"]


def without_image(source: Path, name: str) -> None:
    images = images_of(source)
    del images[archive_name(name)]
    (source / "images" / archive_name(name)).unlink()
    describe(source, images=images)


def with_image(source: Path, name: str, **options: str) -> None:
    write_image(source / "images" / archive_name(name), name, **options)
    describe(source, images={**images_of(source), archive_name(name): [name]})


def test_a_sound_directory_has_no_findings_and_says_what_roles_need(source: Path) -> None:
    judged = verdict(source)
    assert judged.findings == []
    assert judged.installation is not None
    values = judged.installation.as_dict()
    assert (values["kind"], values["kubernetes"], values["architecture"], values["calico"]) == ("directory", RELEASE, "amd64", CALICO)
    assert [program["name"] for program in values["programs"]] == ["kubeadm", "kubelet", "kubectl"]
    assert all(Path(program["path"]).is_file() and len(program["sha256"]) == 64 for program in values["programs"])
    assert {image["name"] for image in values["images"]["control_plane"]} == set(IMAGES)
    left_out = {image["name"].rpartition("/")[2].partition(":")[0] for image in values["images"]["control_plane"]} - {
        image["name"].rpartition("/")[2].partition(":")[0] for image in values["images"]["worker"]
    }
    assert left_out == {"kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"}
    assert all((Path(values["image_directory"]) / image["archive"]).is_file() for image in values["images"]["control_plane"])
    assert all(image["digest"].startswith("sha256:") for image in values["images"]["control_plane"])
    assert Path(values["calico_manifest"]["path"]).is_file()


def write(path: str, content: bytes | str) -> Callable[[Path], None]:
    def change(source: Path) -> None:
        (source / path).write_bytes(content if isinstance(content, bytes) else content.encode())

    return change


def unlink(path: str, *, signed: bool = True) -> Callable[[Path], None]:
    def change(source: Path) -> None:
        (source / path).unlink()
        if signed:
            sign(source)

    return change


def and_sign(change: Callable[[Path], None]) -> Callable[[Path], None]:
    def signed(source: Path) -> None:
        change(source)
        sign(source)

    return signed


def compress(source: Path) -> None:
    archive = source / "images" / archive_name(PAUSE)
    archive.write_bytes(gzip.compress(archive.read_bytes()))
    sign(source)


def cut_off(source: Path) -> None:
    archive = source / "images" / archive_name(PAUSE)
    archive.write_bytes(archive.read_bytes()[:3000])
    sign(source)


def damage_a_blob(source: Path) -> None:
    archive = source / "images" / archive_name(PAUSE)
    archive.write_bytes(archive.read_bytes().replace(b'"Entrypoint"', b'"entrypoint"'))
    sign(source)


def swap(source: Path) -> None:
    write_image(source / "images" / archive_name(PAUSE), "registry.k8s.io/pause:3.9")
    sign(source)


def nameless(source: Path) -> None:
    write_image(source / "images" / archive_name(PAUSE), "3.10.2")
    sign(source)


def another_tar(source: Path) -> None:
    with tarfile.open(source / "images" / archive_name(PAUSE), "w") as tar:
        tar.add(source / "source.json", "source.json")
    sign(source)


def layerless(source: Path) -> None:
    path = source / "images" / archive_name(PAUSE)
    with tarfile.open(path) as tar:
        kept = [(member, tar.extractfile(member).read()) for member in tar]
    layer = max(kept, key=lambda entry: entry[0].size)
    with tarfile.open(path, "w") as tar:
        for member, content in kept:
            if member is not layer[0]:
                (source / "part").write_bytes(content)
                tar.add(source / "part", member.name)
    (source / "part").unlink()
    sign(source)


def twice(source: Path) -> None:
    write_image(source / "images" / "again.tar", PAUSE)
    describe(source, images={**images_of(source), "again.tar": [PAUSE]})


READ, SUM, HELD = "description_and_checksums_can_be_read", "files_match_their_checksums", "archives_hold_the_declared_images"
PAUSE_ARCHIVE = f"images/{archive_name(PAUSE)}"
NO_ARCHIVE = {(HELD, "error", PAUSE_ARCHIVE)}
CASES: dict[str, tuple[Callable[[Path], object], set[tuple[str, str, str]]]] = {
    "an overwritten program": (write("bin/kubelet", AMD64), {(SUM, "error", "bin/kubelet")}),
    "a missing program": (unlink("bin/kubectl"), {("programs_are_there", "error", "bin/kubectl")}),
    "a program that got lost": (
        unlink("bin/kubectl", signed=False),
        {("programs_are_there", "error", "bin/kubectl"), ("files_of_the_checksums_are_there", "error", "bin/kubectl")},
    ),
    "a program of another architecture": (
        and_sign(write("bin/kubeadm", ARM64)),
        {("programs_are_of_the_architecture", "error", "bin/kubeadm")},
    ),
    "a page in place of a program": (
        and_sign(write("bin/kubeadm", "<html>not found</html>")),
        {("programs_are_of_the_architecture", "error", "bin/kubeadm")},
    ),
    "a file too many": (write("notes.txt", "x"), {("every_file_has_a_checksum", "error", "notes.txt")}),
    "no description": (unlink("source.json"), {(READ, "error", "source.json")}),
    "a description that is no JSON": (and_sign(write("source.json", "{")), {(READ, "error", "source.json")}),
    "a description that is no object": (and_sign(write("source.json", "[]")), {(READ, "error", "source.json")}),
    "a description without everything": (
        and_sign(write("source.json", '{"images": {"a.tar": ["pause"]}}')),
        {(READ, "error", f"source.json: {key}") for key in ("kubernetes", "architecture", "images")},
    ),
    "an archive with a way out": (
        lambda source: describe(source, images={"../pause.tar": [PAUSE]}),
        {(READ, "error", "source.json: images")},
    ),
    "another architecture's word": (lambda source: describe(source, architecture="x86_64"), {(READ, "error", "source.json: architecture")}),
    "another release": (
        lambda source: describe(source, kubernetes="1.36.2"),
        {("source_is_of_the_wanted_release", "error", "source.json: kubernetes")},
    ),
    "no checksums": (unlink("SHA256SUMS", signed=False), {(READ, "error", "SHA256SUMS")}),
    "a checksum of another kind": (
        lambda source: (source / "SHA256SUMS").open("a").write("d41d8cd98f00b204e9800998ecf8427e  x\n"),
        {(READ, "error", f"SHA256SUMS, line {len(IMAGES) + 6}")},
    ),
    "a checksum of a file outside": (
        lambda source: (source / "SHA256SUMS").open("a").write(f"{'0' * 64}  ../x\n"),
        {(READ, "error", f"SHA256SUMS, line {len(IMAGES) + 6}")},
    ),
    "a missing archive": (unlink(PAUSE_ARCHIVE), {("archives_are_there", "error", PAUSE_ARCHIVE)}),
    "an archive that nobody named": (
        and_sign(write("images/more.tar", "x")),
        {("archives_are_there", "error", "images/more.tar")},
    ),
    "a compressed archive": (compress, NO_ARCHIVE),
    "an archive that is cut off": (cut_off, NO_ARCHIVE),
    "an archive with a damaged blob": (damage_a_blob, NO_ARCHIVE),
    "an archive without its layer": (layerless, NO_ARCHIVE),
    "another tar": (another_tar, NO_ARCHIVE),
    "an archive of another image": (swap, NO_ARCHIVE),
    "an archive of an image with a tag alone": (nameless, NO_ARCHIVE),
    "an image in two archives": (twice, {("image_is_in_one_archive", "error", f"image {PAUSE}")}),
    "no Calico manifest": (
        unlink("manifests/calico.yaml"),
        {("calico_manifest_and_its_images_are_there", "error", "manifests/calico.yaml")},
    ),
    "a Calico manifest of another release": (
        and_sign(write("manifests/calico.yaml", "image: docker.io/calico/cni:v3.32.1")),
        {("calico_manifest_and_its_images_are_there", "error", "image docker.io/calico/cni:v3.32.1")},
    ),
    "a Calico manifest with Typha, without its image": (
        and_sign(write("manifests/calico-typha.yaml", "image: quay.io/calico/typha:v3.32.1")),
        {("calico_manifest_and_its_images_are_there", "error", "image quay.io/calico/typha:v3.32.1")},
    ),
    "no image of the pause container": (
        lambda source: without_image(source, PAUSE),
        {
            ("images_that_kubeadm_needs_are_there", "error", "image registry.k8s.io/pause"),
            ("pause_image_is_the_configured_one", "error", f"image {PAUSE}"),
        },
    ),
    "no etcd": (
        lambda source: without_image(source, "registry.k8s.io/etcd:3.6.8-0"),
        {("images_that_kubeadm_needs_are_there", "error", "image registry.k8s.io/etcd")},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_named(source: Path, case: str) -> None:
    change, findings = CASES[case]
    change(source)
    assert found(source) == findings
    assert verdict(source).installation is None
    assert all(finding.fix.endswith(".") for finding in verdict(source).findings)


def test_everything_is_named_in_one_run(source: Path) -> None:
    write("bin/kubelet", "x")(source)
    write("notes.txt", "x")(source)
    (source / "manifests" / "calico.yaml").unlink()
    rules = {rule for rule, _severity, _subject in found(source)}
    assert rules == {
        SUM,
        "every_file_has_a_checksum",
        "files_of_the_checksums_are_there",
        "calico_manifest_and_its_images_are_there",
        "programs_are_of_the_architecture",
    }


@pytest.mark.parametrize("name", ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"])
def test_an_image_of_another_release_is_not_enough(source: Path, name: str) -> None:
    without_image(source, f"registry.k8s.io/{name}:v{RELEASE}")
    with_image(source, f"registry.k8s.io/{name}:v1.36.2")
    assert found(source) == {("images_that_kubeadm_needs_are_there", "error", f"image registry.k8s.io/{name}")}


def test_a_tag_that_the_release_did_not_come_with_is_a_warning(source: Path) -> None:
    without_image(source, "registry.k8s.io/etcd:3.6.8-0")
    with_image(source, "registry.k8s.io/etcd:3.6.14-0")
    assert found(source) == {("image_tags_are_those_of_the_release", "warning", "image registry.k8s.io/etcd")}
    assert verdict(source).installation is not None


def test_an_image_of_another_architecture_is_named(source: Path) -> None:
    with_image(source, PAUSE, architecture="arm64")
    assert found(source) == {("images_are_of_the_architecture", "error", f"{PAUSE_ARCHIVE}: {PAUSE}")}


@pytest.mark.parametrize(
    ("expected", "subjects"),
    [
        (Expected("1.36"), set()),
        (Expected("1.35"), {"source.json: kubernetes"}),
        (Expected("1.36", "1.36.2"), {"source.json: kubernetes"}),
        (Expected("1.35", "1.35.2"), {"source.json: kubernetes"}),
        (Expected("1.35", RELEASE), {"node_kubernetes_release"}),
        (Expected("one"), {"network_plan.kubernetes_version"}),
    ],
)
def test_the_release_is_that_of_the_plan_and_the_pin(source: Path, expected: Expected, subjects: set[str]) -> None:
    judged = {subject for rule, _severity, subject in found(source, expected) if "release" in rule}
    assert judged >= subjects
    assert bool(judged) == bool(subjects)


def test_an_archive_of_docker_save_is_understood(source: Path) -> None:
    digest = write_docker_archive(source / PAUSE_ARCHIVE, PAUSE)
    sign(source)
    judged = verdict(source)
    assert judged.findings == []
    assert judged.installation is not None
    images = judged.installation.as_dict()["images"]["worker"]
    assert {"name": PAUSE, "digest": digest, "archive": archive_name(PAUSE)} in images


@pytest.mark.parametrize(
    ("path", "says"),
    [("/no/such/directory", "No such file"), ("kubernetes", "'kubernetes'"), (None, "None"), (7, "7"), ("/proc/self/environ", "Not a dir")],
)
def test_a_directory_that_cannot_be_read_is_named(path: object, says: str) -> None:
    judged = judge({"kind": "directory", "path": path}, EXPECTED, LocalDirectory)
    assert [finding.rule for finding in judged.findings] == ["source_directory_can_be_read"]
    # a wrong path is an error; one that cannot be read, such as an unmounted disk, is unknown, and no source either
    assert [item.state for item in judged.looked_at] == ["unknown" if str(path).startswith("/") else "error"]
    assert judged.installation is None
    assert says in str(judged.findings[0])


def test_a_file_that_cannot_be_read_is_named(source: Path) -> None:
    class Locked(LocalDirectory):
        def sha256(self, paths):  # type: ignore[no-untyped-def]
            return {**super().sha256(paths), "bin/kubelet": Unreadable("Permission denied")}

    judged = judge({"kind": "directory", "path": str(source)}, EXPECTED, Locked)
    assert [(finding.rule, finding.found) for finding in judged.findings] == [(SUM, "unreadable: Permission denied")]


def test_each_file_is_hashed_once(source: Path) -> None:
    hashed: list[str] = []

    class Counting(LocalDirectory):
        def sha256(self, paths):  # type: ignore[no-untyped-def]
            hashed.extend(paths)
            return super().sha256(hashed)

    judge({"kind": "directory", "path": str(source)}, EXPECTED, Counting)
    assert sorted(hashed) == sorted({str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()} - {"SHA256SUMS"})


def test_links_to_files_count_as_files(source: Path, tmp_path: Path) -> None:
    (source / "bin" / "kubelet").rename(tmp_path / "elsewhere")
    (source / "bin" / "kubelet").symlink_to(tmp_path / "elsewhere")
    assert found(source) == set()
