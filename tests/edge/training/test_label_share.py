"""Which labels may be used: by recording, by class, the same every time."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from edge.compress.samples import SampleSet
from edge.runtime.errors import DataError
from edge.training.label_share import labelled_part


def samples(recordings: list[str], target: Tensor) -> SampleSet:
    ids = tuple(str(i) for i in range(len(recordings)))
    return SampleSet("train", ids, tuple(recordings), (torch.arange(len(ids)).float()[:, None],), (target,))


def by_class(classes: int, each: int, repeats: int) -> SampleSet:
    names = [f"{c}-{r}" for c in range(classes) for r in range(each)] * repeats
    return samples(names, torch.tensor([int(name.split("-")[0]) for name in names]))


def test_a_tenth_of_the_recordings_of_each_class_with_all_of_their_samples() -> None:
    part = labelled_part(by_class(5, 40, repeats=3), 0.1)
    assert len(set(part.recordings)) == 20
    assert len(part) == 60
    assert torch.bincount(part.targets[0]).tolist() == [12] * 5
    assert [float(x) for x in part.inputs[0]] == [float(i) for i in part.ids], "rows stay together"
    assert list(map(int, part.ids)) == sorted(map(int, part.ids))


@settings(max_examples=25, deadline=None)
@given(st.floats(0.01, 1), st.floats(0.01, 1), st.integers(0, 50))
def test_a_smaller_share_is_part_of_a_larger_one_whatever_the_order(a: float, b: float, seed: int) -> None:
    whole = by_class(3, 30, repeats=2)
    order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(seed)).tolist()
    less, more = (set(labelled_part(whole, share).recordings) for share in sorted((a, b)))
    assert less <= more
    assert set(labelled_part(whole.subset(order), min(a, b)).recordings) == less


def test_every_class_keeps_a_recording_and_the_whole_stays_as_it_is() -> None:
    whole = by_class(4, 3, repeats=1)
    assert set(labelled_part(whole, 0.01).targets[0].tolist()) == {0, 1, 2, 3}
    assert labelled_part(whole, 1.0) is whole


def test_samples_of_several_classes_or_none_are_shared_out_by_recording_alone() -> None:
    names = [f"drive-{i // 4}" for i in range(80)]
    grids = labelled_part(samples(names, torch.zeros(80, 3, 3, dtype=torch.int64)), 0.2)
    events = labelled_part(samples(names, torch.zeros(80, 2)), 0.2)
    assert grids.recordings == events.recordings
    assert len(set(grids.recordings)) == 4
    mixed = labelled_part(samples(names, torch.tensor([0, 0, 1, 0] * 20)), 0.2)
    assert mixed.recordings == grids.recordings, "a recording counts for its most frequent class"


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(DataError, match="give more than 0 and at most 1"):
        labelled_part(by_class(2, 2, 1), share)
