from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge.calibration.cache import RangeMethod
from edge.calibration.dataset import TensorRecord
from edge.calibration.drawing import DrawConfig, SampleSource, draw_set, whole_split
from edge.calibration.sample_tails import SampleRanges
from edge.runtime.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

COUNT = 40


def source(split: str = "train", **changes: Any) -> SampleSource:
    generator = np.random.default_rng(0)
    modalities = {
        "camera": generator.normal(size=(COUNT, 3, 4)).astype(np.float32),
        "audio": generator.normal(size=(COUNT, 5)).astype(np.float32),
    }
    return SampleSource(split, [f"drive/{i:02d}" for i in range(COUNT)], modalities, **changes)


class Loudness:
    """Stands for a model whose only tensor is the camera's input; sees how it was called."""

    def __init__(self) -> None:
        self.present: list[NDArray[Any]] = []

    def __call__(
        self, batches: Iterable[tuple[NDArray[Any], ...]], count: int
    ) -> tuple[list[SampleRanges], RangeMethod]:
        rows = list(batches)
        self.present += [row[-1] for row in rows]
        peaks = np.concatenate([np.abs(row[0]).reshape(len(row[0]), -1).max(1) for row in rows]).astype(np.float64)
        assert len(peaks) == count
        whole = SampleRanges(peaks, np.ones((count, 1), np.uint32), np.array([0.0]), float(peaks.max()))
        return [whole], RangeMethod(observer="minmax", percentile=99.9)


def test_missing_modalities_are_zero_and_the_model_is_told() -> None:
    drawn = draw_set(source(), DrawConfig(samples=30, seed=3))
    present = drawn.tensors["present"]
    assert list(drawn.tensors) == ["camera", "audio", "present"]
    assert (present.sum(1) == 2).sum() == 21 and (present.sum(1) == 0).sum() == 0
    for column, name in enumerate(("camera", "audio")):
        silent = np.abs(drawn.tensors[name]).reshape(30, -1).max(1) == 0
        assert np.array_equal(silent, present[:, column] == 0)
        places = [int(i[-2:]) for i, quiet in zip(drawn.ids, silent, strict=True) if not quiet]
        assert np.array_equal(drawn.tensors[name][~silent], source().modalities[name][places])


def test_the_same_config_draws_the_same_set_and_another_seed_another() -> None:
    first, second = (draw_set(source(), DrawConfig(samples=10, seed=s)) for s in (1, 2))
    assert first.digest == draw_set(source(), DrawConfig(samples=10, seed=1)).digest
    assert first.ids != second.ids


def test_a_choice_by_ranges_takes_the_loudest_sample() -> None:
    measure = Loudness()
    drawn = draw_set(source(), DrawConfig(samples=4, selection="ranges"), measure, batch=16)
    assert [len(p) for p in measure.present] == [16, 16, 8]
    whole = np.concatenate([batch[0] for batch in whole_split(source(), DrawConfig())])
    assert np.abs(drawn.tensors["camera"]).max() == np.abs(whole).max()
    assert len({tuple(row) for row in drawn.tensors["present"].tolist()}) == 3


def test_the_samples_of_the_whole_split_are_those_that_a_draw_gives() -> None:
    everything = [np.concatenate(parts) for parts in zip(*whole_split(source(), DrawConfig(seed=5)), strict=True)]
    drawn = draw_set(source(), DrawConfig(samples=COUNT, seed=5))
    assert all(np.array_equal(a, b) for a, b in zip(everything, drawn.tensors.values(), strict=True))


def test_a_model_that_is_not_told_gets_no_such_tensor() -> None:
    assert list(draw_set(source(present=None), DrawConfig(samples=2)).tensors) == ["camera", "audio"]


@pytest.mark.parametrize("selection", ["random", "ranges"])
@pytest.mark.parametrize("split", ["validation", "test"])
def test_other_splits_are_refused_before_a_model_runs(split: str, selection: str) -> None:
    config = DrawConfig.model_validate({"samples": 4, "selection": selection})
    measure = Loudness()
    with pytest.raises(DataError, match=rf"not of the training split.*\({split}\)"):
        draw_set(source(split), config, measure)
    assert not measure.present


@pytest.mark.parametrize("selection", ["random", "ranges"])
def test_what_the_model_does_not_want_is_refused_before_it_runs(selection: str) -> None:
    wanted = {
        "camera": TensorRecord(dtype="float32", shape=(3, 9)),
        "audio": TensorRecord(dtype="float32", shape=(5,)),
        "present": TensorRecord(dtype="float32", shape=(2,)),
    }
    measure = Loudness()
    with pytest.raises(DataError, match=r"'camera' is float32 \(3, 4\) instead of float32 \(3, 9\)"):
        draw_set(source(reference=wanted), DrawConfig.model_validate({"samples": 4, "selection": selection}), measure)
    assert not measure.present


def test_impossible_draws_are_refused() -> None:
    with pytest.raises(ConfigError, match="41 calibration samples are asked for, the train split has 40"):
        draw_set(source(), DrawConfig(samples=41))
    with pytest.raises(ConfigError, match="needs a model"):
        draw_set(source(), DrawConfig(samples=4, selection="ranges"))


def test_samples_are_never_drawn_with_what_they_do_not_have() -> None:
    available = np.ones((COUNT, 2), np.float32)
    available[::2, 1] = 0
    available[1::4, 0] = 0
    drawn = draw_set(source(available=available), DrawConfig(samples=COUNT, complete=0.4, seed=3))
    has = available[[int(i[-2:]) for i in drawn.ids]]
    present = np.asarray(drawn.tensors["present"], np.float32)
    assert (present <= has).all() and (present.sum(1) >= 1).all()
    assert not (present == has).all(), "those that have both lose some, too"
    for column, name in enumerate(("camera", "audio")):
        silent = np.abs(drawn.tensors[name]).reshape(COUNT, -1).max(1) == 0
        assert np.array_equal(silent, present[:, column] == 0)
    model = Loudness()
    draw_set(source(available=available), DrawConfig(samples=9, selection="ranges"), model)
    assert (np.concatenate(model.present) <= available).all(), "and a model sees them so"
