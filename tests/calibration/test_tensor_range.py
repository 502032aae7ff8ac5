from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.calibration.observers import Observer
from edge.calibration.tensor_range import TensorRange
from edge.runtime.errors import DataError


def watched(samples: list[list[float]], places: list[int]) -> TensorRange:
    found = TensorRange()
    for place in places:
        values = np.array(samples[place], np.float32)
        found.histogram.add(values)
        found.add_peaks(place, [np.abs(values).max()])
    return found


@settings(max_examples=30)
@given(
    st.lists(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=9), min_size=2, max_size=20),
    st.data(),
)
def test_ranks_find_exactly_what_one_process_does(samples: list[list[float]], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(samples))))
    cut = data.draw(st.integers(1, len(samples) - 1))
    whole = watched(samples, list(range(len(samples))))
    parts = watched(samples, list(order[:cut]))
    parts.merge(watched(samples, list(order[cut:])))
    assert parts.peaks == whole.peaks
    for observer in get_args(Observer):
        assert parts.ceiling(observer) == whole.ceiling(observer)


def test_the_moving_average_is_onnxruntimes() -> None:
    """Whose own is the mean of the largest value of each run, here of one sample."""
    generator = np.random.default_rng(0)
    samples = [np.abs(generator.standard_t(4, 500)).tolist() for _ in range(40)]
    found = watched(samples, list(range(40))).ceiling("moving_average")
    assert found == pytest.approx(np.mean([max(np.float32(s)) for s in samples]), rel=1e-6)


def test_a_sample_that_is_seen_again_keeps_its_larger_peak() -> None:
    found = TensorRange()
    found.add_peaks(3, [1.0, 5.0])
    found.add_peaks(4, [2.0])
    assert found.sample_peaks().tolist() == [1.0, 5.0]


def test_a_moving_average_without_samples_says_what_to_do() -> None:
    found = TensorRange()
    found.histogram.add(np.ones(4, np.float32))
    with pytest.raises(DataError, match=r"which samples.*observe"):
        found.ceiling("moving_average")


def test_the_percentile_is_onnxruntimes() -> None:
    calibrate = pytest.importorskip("onnxruntime.quantization.calibrate")
    values = np.random.default_rng(1).standard_t(5, 200_000).astype(np.float32)
    collector = calibrate.HistogramCollector("percentile", True, 4096, 128, 99.9, "same")
    collector.collect({"x": [values]})
    threshold = collector.compute_collection_result()["x"][1]
    assert watched([values.tolist()], [0]).ceiling("percentile", 99.9) == pytest.approx(float(threshold), rel=0.03)
