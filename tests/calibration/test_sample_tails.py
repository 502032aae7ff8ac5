from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.calibration.observers import BINS, MagnitudeHistogram
from edge.calibration.sample_tails import COLUMNS, FINE_BINS, SampleTails

if TYPE_CHECKING:
    from numpy.typing import NDArray


def columns(values: list[float]) -> NDArray[np.int64]:
    found = MagnitudeHistogram()
    found.add(np.array(values, np.float32))
    return np.asarray(found.counts.reshape(BINS // FINE_BINS, FINE_BINS).sum(1))


@settings(max_examples=40)
@given(st.lists(st.lists(st.floats(-1e9, 1e9, width=32), min_size=1, max_size=8), min_size=1, max_size=8))
def test_every_magnitude_stands_in_its_column_in_whatever_order_it_came(samples: list[list[float]]) -> None:
    order = np.random.default_rng(0).permutation(len(samples))
    tails, again = SampleTails(len(samples)), SampleTails(len(samples))
    for place in range(len(samples)):
        tails.add(place, columns(samples[place])[None])
    for place in order:
        again.add(int(place), columns(samples[place])[None])
    assert np.array_equal(tails.counts, again.counts) and np.array_equal(tails.edges, again.edges)
    assert tails.counts.shape == (len(samples), COLUMNS)
    for row, values in zip(tails.counts, samples, strict=True):
        magnitudes = np.abs(np.array(values, np.float32)).astype(np.float64)
        assert row.sum() == len(values)
        for column in range(1, COLUMNS):
            above = row[column:].sum()
            assert above == (magnitudes >= tails.edges[column]).sum()
