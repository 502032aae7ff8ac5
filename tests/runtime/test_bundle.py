"""Bundles: what is packed comes back, and whatever was done to one since is noticed and named."""

from __future__ import annotations

import dataclasses
import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge.packing.pack import pack_bundle
from edge.runtime import manifest as manifests
from edge.runtime.arrays import pack_arrays, unpack_arrays
from edge.runtime.bundle import Bundle
from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from edge.runtime.errors import BundleError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.packing.pack import BundleContents


def test_what_was_packed_comes_back(small_bundle: Path, small_contents: BundleContents) -> None:
    bundle = Bundle.open(small_bundle)
    assert bundle.dialects == ("fp32",)
    assert bundle.graph("fp32") == small_contents.graphs["fp32"]
    assert bundle.model_io == small_contents.model_io
    assert bundle.rig == small_contents.rig
    assert bundle.states == dict(small_contents.validated_states)
    assert bundle.text("LICENSES") == "Apache-2.0"
    engine = OnnxRuntimeEngine(bundle.graph("fp32"))
    for given, expected in zip(bundle.golden_inputs(), bundle.golden_outputs("fp32"), strict=True):
        for name, value in engine.run(given).items():
            np.testing.assert_array_equal(value, expected[name])


def test_every_dialect_and_a_program_have_their_place(small_contents: BundleContents, tmp_path: Path) -> None:
    graph = small_contents.graphs["fp32"]
    contents = dataclasses.replace(small_contents, graphs=dict.fromkeys(manifests.DIALECTS, graph), program=b"pt2")
    bundle = pack_bundle(tmp_path / "bundle", contents)
    assert bundle.dialects == manifests.DIALECTS == ("s8", "s8f16", "u8", "fp32")
    for dialect in manifests.DIALECTS:
        assert bundle.graph(dialect) == graph
        assert [sorted(case) for case in bundle.golden_outputs(dialect)] == [["distance", "events", "objects"]] * 2
    assert bundle.program() == b"pt2"
    assert (bundle.path / "program.pt2").read_bytes() == b"pt2"


def test_a_program_is_optional_and_checked_again(small_contents: BundleContents, tmp_path: Path) -> None:
    assert pack_bundle(tmp_path / "bare", small_contents).program() is None
    bundle = pack_bundle(tmp_path / "bundle", dataclasses.replace(small_contents, program=b"a program"))
    _flip(bundle.path / "program.pt2")
    with pytest.raises(BundleError, match=r"program\.pt2 was altered"):
        bundle.program()


def test_limits_say_how_large_a_file_may_be() -> None:
    assert manifests.size_limit("program.pt2") == 2 << 30
    assert manifests.size_limit("graph.s8f16.onnx") == 2 << 30
    assert manifests.size_limit("golden/outputs.s8f16.npz") == 256 << 20
    for name in ("manifest.sig", "manifest.json", "program.pt2.x", "programxpt2", "graph.f16.onnx"):
        assert manifests.size_limit(name) is None


def test_equal_contents_give_the_same_id(small_contents: BundleContents, tmp_path: Path) -> None:
    first = pack_bundle(tmp_path / "a", small_contents)
    second = pack_bundle(tmp_path / "b", small_contents)
    assert first.id == second.id
    assert (first.path / "manifest.json").read_bytes() == (second.path / "manifest.json").read_bytes()


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def _link(path: Path, name: str) -> None:
    target = path / name
    copy = path.parent / "elsewhere"
    shutil.move(target, copy)
    target.symlink_to(copy)


def _edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads((path / "manifest.json").read_text())
    change(content)
    content["id"] = manifests.digest_of(content)
    (path / "manifest.json").write_bytes(manifests.render(content))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "graph changed": (lambda p: _flip(p / "graph.fp32.onnx"), r"graph\.fp32\.onnx was altered"),
    "golden changed": (lambda p: _flip(p / "golden" / "inputs.npz"), r"inputs\.npz was altered"),
    "manifest changed": (lambda p: _flip(p / "manifest.json"), r"manifest\.json"),
    "score changed": (
        lambda p: (p / "manifest.json").write_text((p / "manifest.json").read_text().replace("90.0", "91.0")),
        "id does not match",
    ),
    "manifest reformatted": (
        lambda p: (p / "manifest.json").write_text((p / "manifest.json").read_text() + "\n"),
        "id does not match",
    ),
    "truncated": (lambda p: (p / "graph.fp32.onnx").write_bytes(b"x"), "has 1 bytes"),
    "missing": (lambda p: (p / "rig.yaml").unlink(), r"rig\.yaml is missing"),
    "extra": (lambda p: (p / "weights.bin").write_bytes(b"x"), r"weights\.bin does not belong"),
    "extra of a known name": (lambda p: (p / "graph.u8.onnx").write_bytes(b"x"), r"u8\.onnx does not belong"),
    "extra folder": (lambda p: (p / "golden" / "deep").mkdir(), "deep does not belong"),
    "empty folder": (lambda p: (p / "notes").mkdir(), "notes does not belong"),
    "link": (lambda p: _link(p, "io.yaml"), r"io\.yaml is a link"),
    "linked folder": (lambda p: _link(p, "golden"), "golden is a link"),
    "linked manifest": (lambda p: _link(p, "manifest.json"), "no regular file"),
    "newer schema": (lambda p: _edit(p, lambda m: m.update(schema=2)), "schema 2, this edge reads 1"),
    "unknown key": (lambda p: _edit(p, lambda m: m.update(colour="red")), "colour"),
    "path outside": (
        lambda p: _edit(p, lambda m: m["files"].update({"../x": m["files"]["io.yaml"]})),
        "has no place in a bundle",
    ),
    "absolute path": (
        lambda p: _edit(p, lambda m: m["files"].update({"/etc/passwd": m["files"]["io.yaml"]})),
        "has no place in a bundle",
    ),
    "absurd size": (
        lambda p: _edit(p, lambda m: m["files"]["graph.fp32.onnx"].update(bytes=1 << 50)),
        "more than the limit",
    ),
    "unknown state": (lambda p: _edit(p, lambda m: m["states"].update(no_radar=1.0)), "no_radar"),
    "no manifest": (lambda p: (p / "manifest.json").unlink(), r"has no manifest\.json"),
    "not json": (lambda p: (p / "manifest.json").write_text("{"), "not JSON"),
    "nested beyond reason": (lambda p: (p / "manifest.json").write_text("[" * 100_000), "not JSON"),
    "a list": (lambda p: (p / "manifest.json").write_text("[]"), "no manifest"),
    "huge manifest": (lambda p: (p / "manifest.json").write_bytes(b" " * (5 << 20)), "more than"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_tampering_is_refused(small_bundle: Path, fault: str) -> None:
    harm, message = FAULTS[fault]
    harm(small_bundle)
    with pytest.raises(BundleError, match=message):
        Bundle.open(small_bundle)


def test_a_change_after_opening_is_noticed(small_bundle: Path) -> None:
    bundle = Bundle.open(small_bundle)
    _flip(small_bundle / "graph.fp32.onnx")
    with pytest.raises(BundleError, match="altered"):
        bundle.graph("fp32")


def test_a_file_that_vanished_after_opening_is_noticed(small_bundle: Path) -> None:
    bundle = Bundle.open(small_bundle)
    (small_bundle / "LICENSES").unlink()
    with pytest.raises(BundleError, match="LICENSES cannot be read"):
        bundle.text("LICENSES")
    with pytest.raises(BundleError, match=r"holds no README\.md; see what it holds: edge inspect"):
        bundle.text("README.md")


def test_unknown_dialect_names_the_known(small_bundle: Path) -> None:
    with pytest.raises(BundleError, match="choose one of fp32"):
        Bundle.open(small_bundle).graph("u8")


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="there is no bundle folder"):
        Bundle.open(tmp_path / "nothing")


def test_arrays_round_trip() -> None:
    given: dict[str, NDArray[Any]] = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.zeros((2, 0), np.int64),
    }
    back = unpack_arrays(pack_arrays(given))
    assert back.keys() == given.keys()
    for name, array in given.items():
        np.testing.assert_array_equal(back[name], array)


def test_pickled_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        pack_arrays({"a": np.array([{"x": 1}], dtype=object)})


def test_claimed_shapes_are_not_believed() -> None:
    content = pack_arrays({"a": np.zeros((2, 3), np.float32)})
    lying = content.replace(b"'shape': (2, 3), }", b"'shape': (9, 3), }")
    assert lying != content
    with pytest.raises(DataError, match="not a file of plain arrays"):
        unpack_arrays(lying)


def test_arrays_beyond_the_limit_are_refused() -> None:
    with pytest.raises(DataError, match="more than 100 bytes"):
        unpack_arrays(pack_arrays({"a": np.zeros(100, np.float32)}), limit_bytes=100)
