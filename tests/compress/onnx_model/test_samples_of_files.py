from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from edge.compress.onnx_model.array_files import read_samples
from edge.compress.onnx_model.input_samples import InputSamples
from edge.runtime.errors import DataError, ModelError
from tests.compress.onnx_model.models import as_set

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def model_of(*inputs: tuple[str, int, list[Any] | None]) -> Any:
    infos = [helper.make_tensor_value_info(*item) for item in inputs]
    return helper.make_model(helper.make_graph([helper.make_node("Relu", [inputs[0][0]], ["y"])], "g", infos, []))


IMAGE = ("image", FLOAT, ["N", 3, 8, 8])
TOKENS = ("tokens", INT64, ["N", "length"])


def images(count: int = 6) -> np.ndarray:
    return np.zeros((count, 3, 8, 8), np.float32)


def test_rows_are_samples_in_the_order_of_the_models_inputs() -> None:
    tokens = np.arange(12).reshape(6, 2)
    samples = InputSamples.for_model(model_of(IMAGE, TOKENS), as_set({"tokens": tokens, "image": images()}))
    assert list(samples.tensors) == ["image", "tokens"] and samples.batched
    feed = samples.feed(2, 3)
    assert feed["image"].shape == (3, 3, 8, 8) and feed["tokens"].tolist() == tokens[2:5].tolist()


def test_an_input_without_a_batch_gets_a_row_as_it_is() -> None:
    gain = np.arange(6, dtype=np.float32)
    samples = InputSamples.for_model(model_of(IMAGE, ("gain", FLOAT, [])), as_set({"image": images(), "gain": gain}))
    assert not samples.batched
    assert samples.feed(4)["gain"].shape == () and samples.feed(4)["gain"] == 4


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"picture": images()}, "no 'image'.*picture"),
        ({"imag": images()}, "rename 'imag'"),
        ({"image": images(), "mask": images()}, "no input 'mask'"),
        ({"image": images().astype(np.float64)}, "float64, the model takes float32.*astype"),
        ({"image": images().transpose(0, 2, 3, 1)}, r"shape \(8, 8, 3\), the model takes \[any, 3, 8, 8\]"),
        ({"image": np.zeros((6, 3, 8), np.float32)}, r"the model takes \[any, 3, 8, 8\].*save \[N, 3, 8, 8\]"),
    ],
)
def test_what_does_not_fit_is_named_with_a_remedy(arrays: dict[str, np.ndarray], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        InputSamples.for_model(model_of(IMAGE), as_set(arrays))


def test_an_input_of_unknown_rank_is_refused() -> None:
    with pytest.raises(ModelError, match="'image' does not say its shape"):
        InputSamples.for_model(model_of(("image", FLOAT, None)), as_set({"image": images()}))


def test_an_input_of_text_is_refused() -> None:
    with pytest.raises(ModelError, match="'image' is of object"):
        InputSamples.for_model(model_of(("image", TensorProto.STRING, ["N"])), as_set({"image": images()}))


def test_every_fifth_sample_is_held_back() -> None:
    samples = InputSamples.for_model(model_of(IMAGE), as_set({"image": images(11)}))
    fitting, held = samples.hold_back(5)
    assert held.ids == ("s4", "s9") and len(fitting) == 9 and not set(held.ids) & set(fitting.ids)
    with pytest.raises(DataError, match="11 samples, but every 12th"):
        samples.hold_back(12)


def test_an_archive_a_folder_of_them_and_single_arrays_hold_the_same(tmp_path: Path) -> None:
    whole: dict[str, Any] = {
        "image": np.random.default_rng(0).normal(size=(4, 3, 8, 8)).astype(np.float32),
        "gain": np.arange(4),
    }
    np.savez(tmp_path / "all.npz", **whole)
    (tmp_path / "parts").mkdir()
    (tmp_path / "single").mkdir()
    for index in range(2):
        np.savez(tmp_path / "parts" / f"{index}.npz", **{k: v[2 * index : 2 * index + 2] for k, v in whole.items()})
    for name, values in whole.items():
        np.save(tmp_path / "single" / f"{name}.npy", values)
    as_set(whole).save(tmp_path / "set")
    for source in ("all.npz", "parts", "single", "set"):
        read = read_samples(tmp_path / source)
        assert len(read) == 4 and read.splits == ("train",) * 4
        for name, values in whole.items():
            np.testing.assert_array_equal(read.tensors[name], values)
    assert read_samples(tmp_path / "parts").ids[2] == "1.npz[0]"


def test_nothing_is_an_error_and_never_random_values(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no .*nowhere"):
        read_samples(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no calibration samples"):
        read_samples(tmp_path)
    np.savez(tmp_path / "empty.npz", image=images(0))
    with pytest.raises(DataError, match="no calibration samples"):
        read_samples(tmp_path / "empty.npz")


def test_nan_is_refused_by_the_name_of_its_sample(tmp_path: Path) -> None:
    values = images()
    values[3, 0, 0, 0] = np.nan
    np.savez(tmp_path / "a.npz", image=values)
    with pytest.raises(DataError, match=r"sample 'a.npz\[3\]' has NaN"):
        read_samples(tmp_path / "a.npz")


def test_arrays_of_different_lengths_and_shapes_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", image=images(4), gain=np.arange(3))
    with pytest.raises(DataError, match="4 of 'image', 3 of 'gain'"):
        read_samples(tmp_path / "a.npz")
    folder = tmp_path / "folder"
    folder.mkdir()
    np.savez(folder / "a.npz", tokens=np.zeros((2, 7), np.int64))
    np.savez(folder / "b.npz", tokens=np.zeros((2, 9), np.int64))
    with pytest.raises(DataError, match=r"b.npz are int64 \(9,\), in .*a.npz int64 \(7,\); give all samples one"):
        read_samples(folder)


def test_pickles_and_damaged_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "objects.npz", image=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match=r"cannot read .*objects.npz"):
        read_samples(tmp_path / "objects.npz")
    np.savez(tmp_path / "cut.npz", image=images())
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:200])
    with pytest.raises(DataError, match=r"cannot read .*cut.npz"):
        read_samples(tmp_path / "cut.npz")
    (tmp_path / "text.csv").write_text("1,2")
    with pytest.raises(DataError, match=r"no .npz"):
        read_samples(tmp_path / "text.csv")
