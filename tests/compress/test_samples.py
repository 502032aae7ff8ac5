"""Sample sets: consistent, subset and batched without mixing rows; masks and modality dropout."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.compress.samples import SampleSet, draw_present, mask_modalities
from edge.runtime.errors import DataError


def numbered(count: int, split: str = "train") -> SampleSet:
    """Row i holds i everywhere, so that any mix-up of rows shows."""
    row = torch.arange(count, dtype=torch.float32)
    inputs = (row.reshape(-1, 1, 1, 1).expand(-1, 1, 2, 3), -row.reshape(-1, 1, 1, 1).expand(-1, 2, 1, 1))
    ids = tuple(str(i) for i in range(count))
    return SampleSet(split, ids, tuple(f"r{i // 2}" for i in range(count)), inputs, (row.long(),))


@pytest.mark.parametrize(("inputs", "targets"), [(4, 5), (5, 4), (0, 0)])
def test_parts_of_differing_length_are_refused(inputs: int, targets: int) -> None:
    ids = tuple(str(i) for i in range(5 if inputs else 0))
    with pytest.raises(DataError, match="empty or its parts differ"):
        SampleSet("train", ids, ids, (torch.zeros(inputs, 1, 1, 1),), (torch.zeros(targets),))


def test_a_subset_keeps_rows_together() -> None:
    chosen = numbered(6).subset([4, 1])
    assert chosen.ids == ("4", "1")
    assert chosen.recordings == ("r2", "r0")
    assert chosen.inputs[0][:, 0, 1, 2].tolist() == [4, 1]
    assert chosen.inputs[1][:, 1, 0, 0].tolist() == [-4, -1]
    assert chosen.targets[0].tolist() == [4, 1]


def test_batches_in_order_cover_everything_once() -> None:
    sizes, seen = [], []
    for inputs, targets in numbered(7).batches(3):
        sizes.append(len(targets[0]))
        seen += inputs[0][:, 0, 0, 0].tolist()
    assert sizes == [3, 3, 1]
    assert seen == list(range(7))


def test_shuffled_batches_keep_inputs_beside_targets_and_repeat_with_the_seed() -> None:
    def epoch(seed: int) -> list[int]:
        order: list[int] = []
        for inputs, targets in numbered(20).batches(6, torch.Generator().manual_seed(seed)):
            assert torch.equal(inputs[0][:, 0, 0, 0], targets[0].float())
            assert torch.equal(inputs[1][:, 0, 0, 0], -targets[0].float())
            order += targets[0].tolist()
        return order

    assert sorted(epoch(1)) == list(range(20))
    assert epoch(1) == epoch(1) != list(range(20))
    assert epoch(1) != epoch(2)


def test_masking_zeroes_exactly_what_is_absent() -> None:
    inputs = (torch.ones(2, 1, 2, 2), torch.full((2, 3, 1, 1), 5.0))
    image, audio, present = mask_modalities(inputs, torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    assert image[0].eq(1).all()
    assert image[1].eq(0).all()
    assert audio[0].eq(0).all()
    assert audio[1].eq(5).all()
    assert present.tolist() == [[1, 0], [0, 1]]
    assert inputs[0].eq(1).all(), "the samples themselves stay"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([(1.0, 1.0), (1.0, 0.0), (0.0, 1.0)]), min_size=1, max_size=12), st.integers(0, 99))
def test_a_sample_lacks_what_it_lacks_whatever_is_asked_for(has: list[tuple[float, float]], seed: int) -> None:
    full = numbered(len(has))
    data = SampleSet("train", full.ids, full.recordings, full.inputs, full.targets, torch.tensor(has))
    rows = torch.randperm(len(has), generator=torch.Generator().manual_seed(seed))
    asked = draw_present(len(rows), 2, 1.0, torch.Generator().manual_seed(seed))
    *inputs, present = data.masked(rows, asked)
    assert torch.equal(present, data.presence(rows, asked))
    assert (present <= torch.tensor(has)[rows]).all()
    assert (present.sum(1) >= 1).all(), "something is always left"
    left = (asked * torch.tensor(has)[rows]).any(1)
    assert torch.equal(present[left], (asked * torch.tensor(has)[rows])[left])
    for column, x in enumerate(inputs):
        assert torch.equal(x, data.inputs[column][rows] * present[:, column].reshape(-1, 1, 1, 1))


def test_rows_that_have_any_of_the_modalities() -> None:
    full = numbered(3)
    assert full.having(torch.tensor([0.0, 1.0])).tolist() == [0, 1, 2]
    has = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    data = SampleSet("train", full.ids, full.recordings, full.inputs, full.targets, has)
    assert data.having(torch.tensor([0.0, 1.0])).tolist() == [1, 2]
    assert data.having(torch.tensor([1.0, 1.0])).tolist() == [0, 1, 2]
    assert data.subset([1, 0]).having(torch.tensor([1.0, 0.0])).tolist() == [1]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.floats(0, 1), st.integers(0, 99))
def test_modality_dropout_never_takes_everything(modalities: int, dropout: float, seed: int) -> None:
    present = draw_present(64, modalities, dropout, torch.Generator().manual_seed(seed))
    assert present.shape == (64, modalities)
    assert set(present.unique().tolist()) <= {0.0, 1.0}
    assert (present.sum(1) >= 1).all()


def test_modality_dropout_draws_every_subset_alike() -> None:
    present = draw_present(7000, 3, 1.0, torch.Generator().manual_seed(0))
    codes = (present.long() * torch.tensor([1, 2, 4])).sum(1)
    share = torch.bincount(codes, minlength=8) / 7000
    assert share[0] == 0
    assert (share[1:] - 1 / 7).abs().max() < 0.02


@pytest.mark.parametrize(("modalities", "dropout"), [(1, 1.0), (3, 0.0)])
def test_nothing_is_dropped_from_one_modality_or_at_rate_zero(modalities: int, dropout: float) -> None:
    assert draw_present(50, modalities, dropout).eq(1).all()
