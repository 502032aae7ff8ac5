"""Batches: shared out without a change, varied before modalities are left out, drawn by class where that is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from edge.compress.fitting import FitConfig
from edge.compress.learning.balancing import balanced_draws, weighing_task
from edge.compress.learning.batches import Augment, BatchSource
from edge.compress.parallel.ranks import Ranks
from edge.runtime.errors import ConfigError
from tests.compress.learning.small_models import QUICK, ThreeClasses, fitted, pictures


def noisy(inputs: tuple[Tensor, ...], _: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
    return tuple(x + torch.randn(x.shape, generator=generator) for x in inputs)


def epochs(
    config: FitConfig = QUICK, ranks: Ranks | None = None, augment: Augment | None = None, **options: Any
) -> list[list[Any]]:
    source = BatchSource(options.pop("data", pictures()), config, ranks or Ranks(), augment, **options)
    return [list(source.epoch()) for _ in range(2)]


def joined(parts: list[Any]) -> list[Tensor]:
    """A batch whose parts are one again: inputs, `present`, targets."""
    return [torch.cat(column) for column in zip(*((*inputs, *targets) for inputs, targets in parts), strict=True)]


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 4), st.integers(1, 2), st.booleans(), st.integers(0, 2**31))
def test_rows_of_all_ranks_are_the_batches_and_parts_of_one(world: int, parts: int, vary: bool, seed: int) -> None:
    config = QUICK.model_copy(update={"accumulate": parts, "seed": seed})
    augment = noisy if vary else None
    alone = epochs(config, augment=augment)
    shared = [epochs(config, Ranks(rank, world), augment) for rank in range(world)]
    for epoch in range(2):
        assert len(alone[epoch]) == 4
        for step, batch in enumerate(alone[epoch]):
            assert len(batch) == parts and sum(len(inputs[0]) for inputs, _ in batch) == 16
            for number, part in enumerate(batch):
                together = joined([shared[rank][epoch][step][number] for rank in range(world)])
                assert all(torch.equal(one, other) for one, other in zip(joined([part]), together, strict=True))


def test_augmentation_changes_inputs_and_nothing_that_is_drawn() -> None:
    for plain, varied in zip(epochs()[0], epochs(augment=noisy)[0], strict=True):
        before, after = joined(plain), joined(varied)
        assert all(torch.equal(one, other) for one, other in zip(before[2:], after[2:], strict=True))
        assert not torch.equal(before[0], after[0])
        gone = after[2][:, 0] == 0
        assert gone.any() and not after[0][gone].any(), "a modality that is left out stays zero"


def test_what_is_hidden_stays_as_it_is_and_is_drawn_as_before() -> None:
    hidden, whole = QUICK.model_copy(update={"dropped": "hidden"}), QUICK.model_copy(update={"modality_dropout": 0.0})
    for zeroed, kept in zip(epochs()[0], epochs(hidden)[0], strict=True):
        (first, second, present, *targets), (a, b, marked, *same) = joined(zeroed), joined(kept)
        assert torch.equal(present, marked) and all(map(torch.equal, targets, same))
        gone = present == 0
        assert gone.any() and bool(a[gone[:, 0]].any()) == bool(gone[:, 0].any())
        assert torch.equal(a[~gone[:, 0]], first[~gone[:, 0]]) and torch.equal(b[~gone[:, 1]], second[~gone[:, 1]])
        assert not first[gone[:, 0]].any() and not second[gone[:, 1]].any()
    assert all((joined(batch)[2] == 1).all() for batch in epochs(whole)[0])


def test_augmentation_repeats_with_the_seed_and_not_with_the_epoch() -> None:
    first, again = epochs(augment=noisy), epochs(augment=noisy)
    assert torch.equal(joined(first[0][0])[0], joined(again[0][0])[0])
    constant = replace(pictures(), inputs=tuple(torch.zeros_like(t) for t in pictures().inputs))
    one, two = epochs(augment=noisy, data=constant)
    assert not torch.equal(joined(one[0])[0], joined(two[0])[0])


def test_what_a_sample_lacks_is_never_shown() -> None:
    available = torch.ones(70, 2)
    available[::2, 1] = 0.0
    data = replace(pictures(), available=available, targets=(torch.arange(70),))
    for batch in epochs(augment=noisy, data=data)[0]:
        (_, second, present), (rows,) = batch[0]
        lacking = rows % 2 == 0
        assert torch.equal(present[lacking], torch.tensor([1.0, 0.0]).expand(int(lacking.sum()), 2))
        assert not second[lacking].any() and present.any(1).all()


def test_balanced_sampling_shows_classes_alike() -> None:
    classes = torch.tensor([0] * 60 + [1] * 9 + [2])
    data = replace(pictures(), targets=(classes,))
    weights = (1.0 / torch.bincount(classes).double())[classes]
    config = QUICK.model_copy(update={"sampling": "balanced", "batch_size": 70})
    source = BatchSource(data, config, Ranks(), draw_weights=weights)
    seen = torch.cat([targets[0] for _ in range(60) for batch in source.epoch() for _, targets in batch])
    shares = torch.bincount(seen) / len(seen)
    assert shares.tolist() == pytest.approx([1 / 3] * 3, abs=0.03)


def test_what_needs_classes_is_refused_without() -> None:
    config = QUICK.model_copy(update={"sampling": "balanced"})
    with pytest.raises(ConfigError, match="sampling: balanced needs classes to go by"):
        fitted(config)
    with pytest.raises(ConfigError, match="sampling is set and a ThreeClasses knows no classes"):
        balanced_draws(ThreeClasses(), config, pictures())
    weighted = QUICK.model_copy(update={"class_weights": "balanced"})
    with pytest.raises(ConfigError, match="class_weights is set and a ThreeClasses knows no classes"):
        weighing_task(ThreeClasses(), weighted, pictures())


def test_without_weights_a_task_is_itself() -> None:
    task = ThreeClasses()
    assert weighing_task(task, QUICK, pictures()) is task
    assert balanced_draws(task, QUICK, pictures()) is None
