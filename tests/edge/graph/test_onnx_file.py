"""ONNX files from anywhere: weights beside the file come in whole, and nothing outside its folder is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edge.compress.export import run_graph
from edge.graph import onnx_file
from edge.graph.onnx_file import read_onnx, to_bytes
from edge.runtime.errors import ModelError
from tests.edge.compile.operators.samples import BOOL, FLOAT, graph, model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WEIGHTS = np.arange(8, dtype=np.float32).reshape(2, 4)
GIVEN: dict[str, Any] = {"x": np.ones((1, 2), np.float32)}
OUTSIDE = "outside the model's folder; put all weights into the file, or beside it"


def product() -> onnx.ModelProto:
    return graph("MatMul", ["x", "w"], {"x": (FLOAT, (1, 2))}, {"w": WEIGHTS})


def outside(tensor: onnx.TensorProto, location: str, **fields: object) -> None:
    """Says that the values of a tensor lie in another file."""
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, **fields}.items():
        tensor.external_data.append(onnx.StringStringEntryProto(key=key, value=str(value)))


def written(folder: Path, location: str = "weights.bin", **fields: object) -> Path:
    """A model whose weights lie in `location`; a file `weights.bin` is beside it."""
    made = product()
    outside(made.graph.initializer[0], location, **fields)
    (folder / "weights.bin").write_bytes(WEIGHTS.tobytes())
    path = folder / "model.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def test_a_file_with_its_weights_inside(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(product().SerializeToString())
    assert read_onnx(path) == product()


@pytest.mark.parametrize("fields", [{}, {"offset": 0, "length": 32}, {"offset": 0}, {"length": 32}])
def test_weights_beside_the_file_are_taken_in(tmp_path: Path, fields: dict[str, Any]) -> None:
    made = read_onnx(written(tmp_path, **fields))
    np.testing.assert_array_equal(numpy_helper.to_array(made.graph.initializer[0]), WEIGHTS)
    np.testing.assert_array_equal(run_graph(made, GIVEN)[0], GIVEN["x"] @ WEIGHTS)
    assert onnx.load_model_from_string(to_bytes(made, "model")) == made


def test_weights_in_a_folder_beside_the_file_are_taken_in(tmp_path: Path) -> None:
    path = written(tmp_path, "parts/weights.bin")
    (tmp_path / "parts").mkdir()
    (tmp_path / "weights.bin").rename(tmp_path / "parts" / "weights.bin")
    np.testing.assert_array_equal(run_graph(read_onnx(path), GIVEN)[0], GIVEN["x"] @ WEIGHTS)


def test_a_relative_path_has_a_folder_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert read_onnx(path.relative_to(tmp_path)).graph.initializer[0].raw_data == WEIGHTS.tobytes()


def test_missing_weights_are_named(tmp_path: Path) -> None:
    path = written(tmp_path, "elsewhere.bin")
    with pytest.raises(ModelError, match=r"weight 'w' lies in elsewhere\.bin, which is missing; copy that file beside"):
        read_onnx(path)


@pytest.mark.parametrize(
    "location",
    [
        "../weights.bin",
        "parts/../../weights.bin",
        "/etc/passwd",
        "\\etc\\passwd",
        "..\\weights.bin",
        "C:\\weights.bin",
        "C:weights.bin",
        "file:///etc/passwd",
        "//host/share",
        "",
        "weights.bin\0",
        "weights\n.bin",
    ],
)
def test_paths_that_leave_the_folder_are_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "weights.bin").write_bytes(WEIGHTS.tobytes())
    with pytest.raises(ModelError, match=OUTSIDE) as caught:
        read_onnx(written(tmp_path / "inner", location))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("location", [".", "parts"])
def test_folders_hold_no_weights(tmp_path: Path, location: str) -> None:
    (tmp_path / "parts").mkdir()
    with pytest.raises(ModelError, match="which is missing"):
        read_onnx(written(tmp_path, location))


def test_links_do_not_lead_outside(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    secret = tmp_path / "secret.bin"
    secret.write_bytes(WEIGHTS.tobytes())
    path = written(tmp_path / "inner", "link.bin")
    (tmp_path / "inner" / "link.bin").symlink_to(secret)
    with pytest.raises(ModelError, match=OUTSIDE):
        read_onnx(path)
    path = written(tmp_path / "inner", "folder/secret.bin")
    (tmp_path / "inner" / "folder").symlink_to(tmp_path)
    with pytest.raises(ModelError, match=OUTSIDE):
        read_onnx(path)


def branch(name: str, tensor: onnx.TensorProto, *, constant: bool) -> onnx.GraphProto:
    """Multiplies by a tensor that it holds: as initializer, or as the attribute of a node."""
    nodes = [helper.make_node("MatMul", ["x", tensor.name], [name])]
    if constant:
        nodes.insert(0, helper.make_node("Constant", [], [tensor.name], value=tensor))
    return helper.make_graph(
        nodes, name, [], [helper.make_tensor_value_info(name, FLOAT, (1, 4))], [] if constant else [tensor]
    )


def branching(location: str, *, constant: bool) -> onnx.ModelProto:
    tensor = numpy_helper.from_array(WEIGHTS, "inner_w")
    outside(tensor, location)
    yes, no = branch("yes", tensor, constant=constant), branch("no", tensor, constant=constant)
    node = helper.make_node("If", ["c"], ["y"], then_branch=yes, else_branch=no)
    return model([node], {"x": (FLOAT, (1, 2)), "c": (BOOL, ())}, {"y": (FLOAT, (1, 4))})


def with_function(location: str) -> onnx.ModelProto:
    tensor = numpy_helper.from_array(WEIGHTS, "inner_w")
    outside(tensor, location)
    body = [
        helper.make_node("Constant", [], ["k"], value=tensor),
        helper.make_node("MatMul", ["a", "k"], ["b"]),
    ]
    function = helper.make_function("own", "Layer", ["a"], ["b"], body, [helper.make_opsetid("", 18)])
    node = helper.make_node("Layer", ["x"], ["y"], domain="own")
    given: dict[str, Any] = {"x": (FLOAT, (1, 2))}
    return model([node], given, {"y": (FLOAT, (1, 4))}, domains=["own"], functions=[function])


HIDDEN: dict[str, Callable[[str], onnx.ModelProto]] = {
    "a branch": lambda location: branching(location, constant=False),
    "a constant in a branch": lambda location: branching(location, constant=True),
    "a function": with_function,
}


@pytest.mark.parametrize("place", HIDDEN)
def test_weights_are_found_wherever_they_are_named(tmp_path: Path, place: str) -> None:
    path = tmp_path / "model.onnx"
    (tmp_path / "weights.bin").write_bytes(WEIGHTS.tobytes())
    path.write_bytes(HIDDEN[place]("weights.bin").SerializeToString())
    made = read_onnx(path)
    given = {**GIVEN, "c": np.array(True)}
    np.testing.assert_array_equal(run_graph(made, given)[0], GIVEN["x"] @ WEIGHTS)
    path.write_bytes(HIDDEN[place]("../weights.bin").SerializeToString())
    with pytest.raises(ModelError, match=f"'inner_w' lies in '../weights.bin', {OUTSIDE}"):
        read_onnx(path)


def test_weights_that_no_reader_takes_in_are_refused(tmp_path: Path) -> None:
    made = product()
    values = numpy_helper.from_array(np.ones(1, np.float32), "s")
    outside(values, "weights.bin")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "at")
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4]))
    path = tmp_path / "model.onnx"
    path.write_bytes(made.SerializeToString())
    (tmp_path / "weights.bin").write_bytes(WEIGHTS.tobytes())
    with pytest.raises(ModelError, match="weight 's' cannot be taken in"):
        read_onnx(path)


@pytest.mark.parametrize(
    "fields", [{"offset": -1}, {"length": -1}, {"offset": "x"}, {"length": 33}, {"offset": 99}, {"length": 1 << 62}]
)
def test_ranges_beyond_the_file_are_refused(tmp_path: Path, fields: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"model\.onnx"):
        read_onnx(written(tmp_path, **fields))


def test_many_tensors_of_one_file_are_counted_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file could otherwise fill the memory."""
    made = product()
    for index in range(100):
        tensor = numpy_helper.from_array(WEIGHTS, f"w{index}")
        outside(tensor, "weights.bin")
        made.graph.initializer.append(tensor)
    path = tmp_path / "model.onnx"
    path.write_bytes(made.SerializeToString())
    (tmp_path / "weights.bin").write_bytes(b"\0" * 100_000)
    monkeypatch.setattr(onnx_file, "LIMIT_BYTES", 5_000_000)
    with pytest.raises(ModelError, match=r"model\.onnx and its weights have 100\d{5} bytes, more than 5000000"):
        read_onnx(path)


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\0" * 1001)
    monkeypatch.setattr(onnx_file, "LIMIT_BYTES", 1000)
    with pytest.raises(ModelError, match=r"has 1001 bytes, more than 1000; make the model smaller"):
        read_onnx(path)
    with pytest.raises(ModelError, match=r"big has .* bytes, more than 10"):
        monkeypatch.setattr(onnx_file, "LIMIT_BYTES", 10)
        to_bytes(product(), "big")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no graph"),
        (b"\x08\x0a", "holds no graph"),
        (b"not a model at all", "is no ONNX file"),
        (b"\x00\xff" * 50, "is no ONNX file"),
        (product().SerializeToString()[:-7], "is no ONNX file"),
    ],
    ids=["empty", "no graph", "text", "noise", "truncated"],
)
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message) as caught:
        read_onnx(path)
    assert "model.onnx" in str(caught.value)


def test_a_name_that_ends_in_another_format_is_read_as_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(product().SerializeToString())
    assert read_onnx(path) == product()


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read .*nowhere"):
        read_onnx(tmp_path / "nowhere.onnx")
    with pytest.raises(ModelError, match="is no file"):
        read_onnx(tmp_path)
