"""Manifests that someone has written by hand, with right digests and a right id: refused for what they say."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge.packing.pack import pack_bundle
from edge.runtime import manifest as manifests
from edge.runtime.bundle import Bundle
from edge.runtime.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.packing.pack import BundleContents

ESCAPES = (
    "../x", "..", ".", "./io.yaml", "golden/../../x", "golden/../io.yaml", "golden/./inputs.npz", "golden//inputs.npz",
    "/etc/passwd", "//etc/passwd", "/", "~/x", "..\\x", "golden\\inputs.npz", "C:\\x", "C:x", "file:///etc/passwd",
    "io.yaml\0", "io.yaml\0.png", "io.yaml\n", "io.yaml ", " io.yaml", "IO.YAML", "io.yaml/", "golden/inputs.npz/x", "",
    "manifest.json", "manifest.sig", "golden/manifest.json", "graph.S8.onnx", "graph.s8.s8.onnx", "graph..onnx",
    "graph.s8f16.onnx.x", "program.pt", "programxpt2", "x" * 5000, "\x1b[31mio.yaml", "io\u2024yaml", "ï.yaml",
)  # fmt: skip


def deep(levels: int) -> Any:
    return [deep(levels - 1)] if levels else 1


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "schema 2": lambda m: m.update(schema=2),
    "schema 0": lambda m: m.update(schema=0),
    "schema '1'": lambda m: m.update(schema="1"),
    "schema 1.0": lambda m: m.update(schema=1.0),
    "schema true": lambda m: m.update(schema=True),
    "schema null": lambda m: m.update(schema=None),
    "schema of 4000 digits": lambda m: m.update(schema=10**4000),
    "size of 4000 digits": lambda m: m["files"]["io.yaml"].update(bytes=10**4000),
    "size below zero": lambda m: m["files"]["io.yaml"].update(bytes=-1),
    "size as text": lambda m: m["files"]["io.yaml"].update(bytes=str(m["files"]["io.yaml"]["bytes"])),
    "size as a fraction": lambda m: m["files"]["io.yaml"].update(bytes=float(m["files"]["io.yaml"]["bytes"])),
    "size true": lambda m: m["files"]["io.yaml"].update(bytes=True),
    "params of 4000 digits": lambda m: m["stages"][0].update(params=10**4000),
    "macs beyond 64 bits": lambda m: m["stages"][0].update(macs=1 << 63),
    "score beyond a float": lambda m: m["states"].update(all=10**999),
    "score as text": lambda m: m["states"].update(all="90.0"),
    "score true": lambda m: m["states"].update(all=True),
    "digest in capitals": lambda m: m["files"]["io.yaml"].update(sha256=m["files"]["io.yaml"]["sha256"].upper()),
    "digest with a line end": lambda m: m["files"]["io.yaml"].update(sha256=m["files"]["io.yaml"]["sha256"] + "\n"),
    "digest of another file": lambda m: m["files"]["io.yaml"].update(sha256=m["files"]["rig.yaml"]["sha256"]),
    "no digest": lambda m: m["files"]["io.yaml"].pop("sha256"),
    "no files": lambda m: m.update(files={}),
    "files as a list": lambda m: m.update(files=list(m["files"])),
    "no goldens": lambda m: m["files"].pop("golden/outputs.fp32.npz"),
    "no graph": lambda m: m["files"].pop("graph.fp32.onnx"),
    "no name": lambda m: m.update(name=""),
    "an unknown key": lambda m: m.update(engine="plan"),
    "an unknown key within": lambda m: m["data"].update(colour="red"),
    "nested 33 deep": lambda m: m["environment"].update(x=deep(33)),
    "nested 200 deep": lambda m: m["environment"].update(x=deep(200)),
}

UNWRITABLE: dict[str, Callable[[str], str | bytes]] = {
    "nested 100,000 deep": lambda t: t.replace('"board": null', f'"board": {"[" * 100_000}'),
    "nested 900 deep": lambda t: t.replace('"board": null', f'"board": {"[" * 900}{"]" * 900}'),
    "a key twice": lambda t: t.replace('"name": "small"', '"name": "small",\n "name": "small"'),
    "a key twice, the last one right": lambda t: t.replace('"name": "small"', '"name": "big",\n "name": "small"'),
    "a file twice": lambda t: t.replace('"io.yaml": {', '"io.yaml": {},\n  "io.yaml": {'),
    "not a number": lambda t: t.replace('"board": null', '"board": NaN'),
    "infinity": lambda t: t.replace('"board": null', '"board": -Infinity'),
    "half a surrogate": lambda t: t.replace('"board": null', '"board": "\\ud800"'),
    "half a surrogate for a name": lambda t: t.replace('"name": "small"', '"name": "\\udfff"'),
    "5000 digits": lambda t: t.replace('"board": null', f'"board": {"9" * 5000}'),
    "an exponent": lambda t: t.replace('"params": 5000', '"params": 5e3'),
    "an escaped letter": lambda t: t.replace('"name": "small"', '"name": "\\u0073mall"'),
    "a comment": lambda t: t.replace("{", "{ // packed by hand", 1),
    "Windows line ends": lambda t: t.replace("\n", "\r\n"),
    "a byte-order mark": lambda t: b"\xef\xbb\xbf" + t.encode(),
    "UTF-16": lambda t: t.encode("utf-16"),
    "no UTF-8": lambda t: t.encode().replace(b"small", b"sm\xe9ll"),
    "two manifests": lambda t: t + t,
    "nothing": lambda t: "",
    "null": lambda t: "null",
    "a number for an id": lambda t: json.dumps({**json.loads(t), "id": 3}, indent=1, sort_keys=True) + "\n",
    "no id": lambda t: json.dumps({k: v for k, v in json.loads(t).items() if k != "id"}, indent=1) + "\n",
}


@pytest.fixture(scope="module")
def packed(small_contents: BundleContents, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack_bundle(tmp_path_factory.mktemp("packed") / "bundle", small_contents).path


@pytest.fixture
def bundle(packed: Path, tmp_path: Path) -> Path:
    """The test's own copy."""
    return Path(shutil.copytree(packed, tmp_path / "bundle"))


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    change(manifest)
    manifest["id"] = manifests.digest_of(manifest)
    (path / "manifest.json").write_bytes(manifests.render(manifest))


def refusal(path: Path) -> str:
    with pytest.raises(BundleError) as refused:
        Bundle.open(path)
    assert refused.value.problem.isprintable()
    assert len(refused.value.problem) < 500 + len(str(path))
    return str(refused.value)


@pytest.mark.parametrize("name", ESCAPES, ids=lambda name: ascii(name[:30]))
def test_a_path_that_is_no_file_of_a_bundle(bundle: Path, name: str) -> None:
    """There is such a file outside, with the right digest: only the path is wrong."""
    (bundle.parent / "x").write_bytes(b"outside")
    entry = {"bytes": 7, "sha256": hashlib.sha256(b"outside").hexdigest()}
    rewrite(bundle, lambda m: m["files"].update({name: entry}))
    assert "has no place in a bundle" in refusal(bundle)


@pytest.mark.parametrize("change", CHANGES)
def test_a_manifest_that_says_what_none_may(bundle: Path, change: str) -> None:
    rewrite(bundle, CHANGES[change])
    refusal(bundle)


@pytest.mark.parametrize("form", UNWRITABLE)
def test_a_manifest_that_no_packing_writes(bundle: Path, form: str) -> None:
    before = (bundle / "manifest.json").read_text()
    after = UNWRITABLE[form](before)
    content = after.encode() if isinstance(after, str) else after
    assert content != before.encode()
    (bundle / "manifest.json").write_bytes(content)
    refusal(bundle)


def test_a_newer_schema_is_told_from_damage(bundle: Path) -> None:
    rewrite(bundle, lambda m: m.update(schema=2, engines={"orin": "plan"}))
    assert refusal(bundle).endswith("has schema 2, this edge reads 1; upgrade edge-fusion")


def test_rewriting_alone_harms_nothing(bundle: Path) -> None:
    rewrite(bundle, lambda m: m["environment"].update(x=deep(20)))
    Bundle.open(bundle)


YAML = {
    "a number that is none": "schema: !!int x",
    "the 99th of a month": "schema: 2001-99-99",
    "no truth": "schema: !!bool x",
    "an empty number": "schema: !!int ''",
    "a Python object": "!!python/object/apply:os.system ['true']",
    "nested beyond reason": "[" * 1000,
    "a list": "[]",
    "no UTF-8": "\udcff",
}


@pytest.mark.parametrize("name", ["io.yaml", "rig.yaml"])
@pytest.mark.parametrize("what", YAML)
def test_hostile_yaml_under_right_digests(bundle: Path, name: str, what: str) -> None:
    content = YAML[what].encode("utf-8", "surrogateescape")
    (bundle / name).write_bytes(content)
    entry = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    rewrite(bundle, lambda m: m["files"].update({name: entry}))
    assert name in refusal(bundle)
