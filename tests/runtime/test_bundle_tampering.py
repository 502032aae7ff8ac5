"""Tampering: whatever is done to a signed bundle is refused as a `BundleError`, byte by byte and file by file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge.packing.pack import pack_bundle
from edge.runtime import manifest as manifests
from edge.runtime.bundle import Bundle
from edge.runtime.errors import BundleError
from edge.runtime.signing import SigningKey, generate_key, sign_bundle
from edge.runtime.trust import TrustedKeys, TrustPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge.packing.pack import BundleContents

PLACES_ELSEWHERE = 1000
BOTH = ("manifest.json", "manifest.sig")


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return generate_key(tmp_path_factory.mktemp("keys") / "owner.pem")


@pytest.fixture(scope="module")
def strict(owner: SigningKey) -> TrustPolicy:
    return TrustPolicy(require_signature=True, trusted=TrustedKeys({owner.key_id: "owner"}))


@pytest.fixture(scope="module")
def original(small_contents: BundleContents, owner: SigningKey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Signed by its owner, with the optional program in it."""
    contents = dataclasses.replace(small_contents, program=bytes(range(256)))
    path = pack_bundle(tmp_path_factory.mktemp("packed") / "bundle", contents).path
    return sign_bundle(path, owner).path


@pytest.fixture
def bundle(original: Path, tmp_path: Path) -> Path:
    """The test's own copy."""
    return Path(shutil.copytree(original, tmp_path / "bundle"))


@pytest.fixture(autouse=True)
def no_keys_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_CONFIG", str(tmp_path / "config"))


def is_refused(path: Path, trust: TrustPolicy | None = None) -> bool:
    """Any other exception than the bundle's own fails the test that asks."""
    try:
        Bundle.open(path, trust)
    except BundleError:
        return True
    return False


def files_of(path: Path) -> list[str]:
    return sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())


@contextmanager
def byte_at(descriptor: int, place: int, value: int) -> Iterator[None]:
    """Puts another byte into an open file, and the old one back."""
    before = os.pread(descriptor, 1, place)
    os.pwrite(descriptor, bytes([value]), place)
    yield
    os.pwrite(descriptor, before, place)


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR)
    yield descriptor
    os.close(descriptor)


def accepted_bytes(path: Path, name: str, trust: TrustPolicy | None, bits: tuple[int, ...]) -> list[tuple[int, int]]:
    """Places and bits of a file that can be flipped one at a time without a refusal."""
    content, found = (path / name).read_bytes(), []
    with opened(path / name) as descriptor:
        for place, byte in enumerate(content):
            for bit in bits:
                with byte_at(descriptor, place, byte ^ (1 << bit)):
                    if not is_refused(path, trust):
                        found.append((place, bit))
    assert (path / name).read_bytes() == content
    return found


def test_the_original_opens(original: Path, strict: TrustPolicy) -> None:
    assert str(Bundle.open(original, strict).signature) == "signed by trusted key owner"
    assert Bundle.open(original).signature.state == "unknown_key"
    assert Bundle.open(original).program() == bytes(range(256))


def test_every_bit_of_the_manifest_counts_without_a_signature(bundle: Path) -> None:
    (bundle / "manifest.sig").unlink()
    assert accepted_bytes(bundle, "manifest.json", None, tuple(range(8))) == []
    assert Bundle.open(bundle).signature.state == "unsigned"


def test_every_byte_of_the_manifest_counts_under_a_signature(bundle: Path, strict: TrustPolicy) -> None:
    assert accepted_bytes(bundle, "manifest.json", None, (0,)) == []
    assert accepted_bytes(bundle, "manifest.json", strict, (5,)) == []
    Bundle.open(bundle, strict)


def test_every_byte_of_the_manifest_can_be_no_other_sign_of_json(bundle: Path) -> None:
    """Blanks, quotes, digits and brackets are what a parser might read past."""
    (bundle / "manifest.sig").unlink()
    content, accepted = (bundle / "manifest.json").read_bytes(), []
    with opened(bundle / "manifest.json") as descriptor:
        for place, byte in enumerate(content):
            for value in set(b' \t"0}\xff') - {byte}:
                with byte_at(descriptor, place, value):
                    if not is_refused(bundle):
                        accepted.append((place, value))
    assert accepted == []


def test_every_bit_of_the_signature_counts(bundle: Path, strict: TrustPolicy) -> None:
    assert accepted_bytes(bundle, "manifest.sig", None, tuple(range(8))) == []
    assert accepted_bytes(bundle, "manifest.sig", strict, (0, 5)) == []
    Bundle.open(bundle, strict)


def test_a_thousand_bytes_elsewhere_count(bundle: Path, strict: TrustPolicy) -> None:
    """One at a time, the small files as often as the large ones."""
    draw, accepted = random.Random(7), []
    names = [name for name in files_of(bundle) if name not in BOTH]
    for _ in range(PLACES_ELSEWHERE):
        name = draw.choice(names)
        content = (bundle / name).read_bytes()
        place, change = draw.randrange(len(content)), draw.randrange(1, 256)
        with opened(bundle / name) as descriptor, byte_at(descriptor, place, content[place] ^ change):
            if not is_refused(bundle):
                accepted.append((name, place, change))
    assert accepted == []
    assert {"graph.fp32.onnx", "program.pt2", "golden/inputs.npz", "LICENSES", "rig.yaml"} < set(names)
    Bundle.open(bundle, strict)


def test_every_file_has_its_length(bundle: Path, strict: TrustPolicy) -> None:
    for name in files_of(bundle):
        content = (bundle / name).read_bytes()
        for other in (b"", content[:-1], content[1:], content + b"\0", content + b"\n", b" " + content, content * 2):
            (bundle / name).write_bytes(other)
            assert is_refused(bundle), (name, len(other))
        (bundle / name).write_bytes(content)
    Bundle.open(bundle, strict)


def test_no_file_may_be_absent(bundle: Path, strict: TrustPolicy) -> None:
    for name in files_of(bundle):
        content = (bundle / name).read_bytes()
        (bundle / name).unlink()
        assert is_refused(bundle, strict), name
        assert is_refused(bundle) is (name != "manifest.sig"), name
        (bundle / name).write_bytes(content)
    shutil.rmtree(bundle / "golden")
    assert is_refused(bundle)


def _folder(path: Path) -> None:
    path.mkdir(parents=True)


def _file(path: Path, content: bytes = b"x") -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(content)


def _hundred(path: Path) -> None:
    for i in range(100):
        _file(path / f"graph.{i}.onnx")


def _link_to_itself_elsewhere(path: Path) -> None:
    elsewhere = path.parent.parent / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def _folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe_instead(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


ADDED: dict[str, Callable[[Path], object]] = {
    "a file": lambda p: _file(p / "weights.bin"),
    "an empty file": lambda p: _file(p / "empty", b""),
    "a hidden file": lambda p: _file(p / ".manifest.json"),
    "a file of a known name": lambda p: _file(p / "graph.s8.onnx"),
    "a file of a known name, in capitals": lambda p: _file(p / "MANIFEST.JSON"),
    "another golden": lambda p: _file(p / "golden" / "outputs.s8f16.npz"),
    "a foreign golden": lambda p: _file(p / "golden" / "x"),
    "a manifest among the goldens": lambda p: _file(p / "golden" / "manifest.json"),
    "a signature among the goldens": lambda p: _file(p / "golden" / "manifest.sig"),
    "a nested file": lambda p: _file(p / "golden" / "deep" / "inputs.npz"),
    "a file in a folder of its own": lambda p: _file(p / "extra" / "inputs.npz"),
    "goldens in goldens": lambda p: _file(p / "golden" / "golden" / "inputs.npz"),
    "an empty folder": lambda p: _folder(p / "empty"),
    "an empty folder among the goldens": lambda p: _folder(p / "golden" / "empty"),
    "a folder with a file's name": lambda p: _folder(p / "graph.u8.onnx"),
    "a link to a file": lambda p: (p / "graph.u8.onnx").symlink_to(p / "graph.fp32.onnx"),
    "a link to a folder": lambda p: (p / "more").symlink_to(p / "golden"),
    "a link to nothing": lambda p: (p / "graph.u8.onnx").symlink_to("nothing"),
    "a link outside": lambda p: (p / "golden" / "passwd").symlink_to("/etc/passwd"),
    "a hard link": lambda p: os.link(p / "graph.fp32.onnx", p / "graph.u8.onnx"),
    "a pipe": lambda p: os.mkfifo(p / "pipe"),
    "a pipe of a known name": lambda p: os.mkfifo(p / "graph.u8.onnx"),
    "a name with backslashes": lambda p: _file(p / "..\\x"),
    "a name of blanks": lambda p: _file(p / " "),
    "a known name and a blank": lambda p: _file(p / "io.yaml "),
    "a name that breaks the line": lambda p: _file(p / "io.yaml\n"),
    "a name that colours the terminal": lambda p: _file(p / "\x1b[31mred"),
    "a very long name": lambda p: _file(p / ("x" * 255)),
    "a name that is no UTF-8": lambda p: _file(Path(os.fsdecode(os.fsencode(p) + b"/\xff\xfe.onnx"))),
    "a hundred files": _hundred,
}

REPLACED: dict[str, Callable[[Path], object]] = {
    "by a link": _link_to_itself_elsewhere,
    "by a folder": _folder_instead,
    "by a pipe": _pipe_instead,
}


@pytest.mark.parametrize("added", ADDED)
def test_nothing_may_be_added(bundle: Path, strict: TrustPolicy, added: str) -> None:
    ADDED[added](bundle)
    with pytest.raises(BundleError) as refused:
        Bundle.open(bundle)
    assert refused.value.problem.isprintable()
    assert is_refused(bundle, strict)


@pytest.mark.parametrize("how", REPLACED)
@pytest.mark.parametrize("name", ["manifest.json", "manifest.sig", "io.yaml", "graph.fp32.onnx", "program.pt2"])
def test_files_are_files(bundle: Path, strict: TrustPolicy, name: str, how: str) -> None:
    REPLACED[how](bundle / name)
    with pytest.raises(BundleError, match="no regular file" if name in BOTH else "is a link|does not belong"):
        Bundle.open(bundle)
    assert is_refused(bundle, strict)


def test_a_pipe_is_not_read_after_opening_either(bundle: Path) -> None:
    opened_bundle = Bundle.open(bundle)
    _pipe_instead(bundle / "program.pt2")
    with pytest.raises(BundleError, match=r"program\.pt2 is no regular file"):
        opened_bundle.program()


def forge(path: Path, change: Callable[[dict[str, Any]], object] = lambda _: None) -> None:
    """Rebuilds the manifest around what the files are now: right sizes, right digests, right id."""
    manifest = json.loads((path / "manifest.json").read_text())
    for name in manifest["files"]:
        content = (path / name).read_bytes()
        manifest["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    change(manifest)
    manifest["id"] = manifests.digest_of(manifest)
    (path / "manifest.json").write_bytes(manifests.render(manifest))


def change_a_weight(path: Path) -> None:
    graph = bytearray((path / "graph.fp32.onnx").read_bytes())
    graph[len(graph) // 2] ^= 1
    (path / "graph.fp32.onnx").write_bytes(graph)


def test_a_rehashed_forgery_without_its_signature(bundle: Path, strict: TrustPolicy) -> None:
    """What digests cannot see: it opens as unsigned, and only who requires a signature is safe."""
    change_a_weight(bundle)
    forge(bundle)
    (bundle / "manifest.sig").unlink()
    with pytest.raises(BundleError, match="is unsigned, and a signature is required; get it signed"):
        Bundle.open(bundle, strict)
    assert Bundle.open(bundle).signature.state == "unsigned"


def test_a_rehashed_forgery_with_the_old_signature(bundle: Path, strict: TrustPolicy) -> None:
    change_a_weight(bundle)
    forge(bundle)
    for trust in (None, strict):
        with pytest.raises(BundleError, match=r"does not match its manifest\.json"):
            Bundle.open(bundle, trust)


def test_a_rehashed_forgery_signed_by_the_forger(bundle: Path, strict: TrustPolicy, tmp_path: Path) -> None:
    change_a_weight(bundle)
    forge(bundle)
    (bundle / "manifest.sig").unlink()
    forger = generate_key(tmp_path / "owner.pem")
    sign_bundle(bundle, forger)
    with pytest.raises(BundleError, match=f"signed by the unknown key {forger.key_id}; if you know whose"):
        Bundle.open(bundle, strict)
    assert str(Bundle.open(bundle).signature) == f"signed by unknown key {forger.key_id}"


def test_a_signature_of_another_bundle(
    bundle: Path, small_contents: BundleContents, owner: SigningKey, strict: TrustPolicy, tmp_path: Path
) -> None:
    other = pack_bundle(tmp_path / "other", small_contents).path
    sign_bundle(other, owner)
    shutil.copy(other / "manifest.sig", bundle)
    assert is_refused(bundle)
    assert is_refused(bundle, strict)
