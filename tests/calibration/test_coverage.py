from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.calibration.cache import RangeMethod
from edge.calibration.coverage import agreement_of, count_states, cover_tensor
from edge.calibration.dataset import CalibrationSet
from edge.calibration.tensor_range import TensorRange

if TYPE_CHECKING:
    from numpy.typing import NDArray


def seen(samples: NDArray[np.float64]) -> TensorRange:
    found = TensorRange()
    found.histogram.add(samples.astype(np.float32))
    found.add_peaks(0, np.abs(samples).max(1))
    return found


def test_what_is_clipped_and_used_is_counted() -> None:
    samples = np.zeros((4, 250))
    samples[:, 0] = [1.0, 2.0, 4.0, 100.0]
    samples[:, 1:100] = 0.5
    covered = cover_tensor(seen(samples), RangeMethod(observer="percentile", percentile=99.85))
    assert covered.values == 1000 and covered.largest == 100.0
    assert covered.zeros == pytest.approx(0.6)
    # 99.85 % of 1,000 values leave one above: 4 is the ceiling, up to its bin.
    assert covered.ceiling == pytest.approx(4.0, rel=1 / 64)
    assert covered.clipped == pytest.approx(0.001)
    assert covered.samples_clipped == 0.25
    assert covered.typical_peak == pytest.approx(3.0 / 4.0, rel=1 / 64)
    assert covered.levels < 0.08  # at most three levels beside each of 0.5, 1, 2, 4 and what is clipped


def test_a_full_range_uses_every_level() -> None:
    covered = cover_tensor(seen(np.linspace(-1, 1, 4000).reshape(4, -1)), RangeMethod(observer="minmax", percentile=99))
    assert covered.levels == 1.0 and covered.clipped == 0.0 and covered.samples_clipped == 0.0


def test_a_dead_tensor_has_no_levels() -> None:
    covered = cover_tensor(seen(np.zeros((2, 8))), RangeMethod(observer="entropy", percentile=99))
    assert (covered.ceiling, covered.levels, covered.zeros, covered.typical_peak) == (0.0, 0.0, 1.0, 0.0)


def test_states_are_counted_and_those_that_nobody_saw_stand_with_0() -> None:
    present = np.array([[1, 1, 1], [1, 1, 1], [0, 1, 1], [0, 0, 1]], np.float32)
    calibration = CalibrationSet.from_samples(list("abcd"), ["train"] * 4, {"present": present})
    counts = count_states(calibration, ("camera", "lidar", "audio"))
    assert {s: n for s, n in counts.items() if n} == {"all": 2, "no_camera": 1, "only_audio": 1}
    assert len(counts) == 7 and sum(counts.values()) == 4
    assert count_states(calibration, ("camera",), present="absent") == {"all": 4}


def test_agreement_is_against_the_whole_split() -> None:
    whole = {"a": 2.0, "b": 10.0, "c": 1.0, "dead": 0.0}
    found = agreement_of({"a": 2.0, "b": 9.0, "c": 1.02, "dead": 0.0}, whole, 500)
    assert found.worst[0] == "b" and found.worst[1] == pytest.approx(0.1)
    assert found.median == pytest.approx(0.01) and found.samples == 500
