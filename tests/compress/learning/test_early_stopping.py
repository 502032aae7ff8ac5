"""Early stopping: ends in time, keeps the best weights, and looks at the state that it was told."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edge.compress.fitting import EarlyStoppingConfig, EpochReport, FitConfig, Validation
from edge.compress.learning.progress import best_epoch, is_over, training_summary
from edge.compress.learning.validation import scored_states
from edge.compress.scoring.evaluation import evaluate
from edge.runtime.errors import ConfigError
from tests.compress.learning.small_models import (
    QUICK,
    ThreeClasses,
    TwoBranches,
    differing,
    fitted,
    fresh_model,
    pictures,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def reports(scores: Sequence[float]) -> list[EpochReport]:
    return [
        EpochReport(epoch=i + 1, loss=1.0 / (i + 1), learning_rate=0.1, seconds=1.0, scores={"all": s, "only_a": 0.0})
        for i, s in enumerate(scores)
    ]


def stopping(patience: int = 2, state: str = "all") -> FitConfig:
    return QUICK.model_copy(update={"epochs": 8, "early_stopping": EarlyStoppingConfig(patience=patience, state=state)})


@given(st.lists(st.floats(0, 100), min_size=1, max_size=12), st.integers(1, 4))
def test_it_ends_patience_epochs_after_the_best(scores: list[float], patience: int) -> None:
    config = EarlyStoppingConfig(patience=patience, state="all")
    best = best_epoch(reports(scores), config)
    assert scores[best] == max(scores) and max(scores) not in scores[:best]
    assert is_over(reports(scores), len(scores) + 1, config) == (len(scores) - 1 - best >= patience)
    assert is_over(reports(scores), len(scores), config) and is_over(reports(scores), len(scores), None)


def test_a_summary_says_what_was_kept() -> None:
    found = training_summary(reports([10, 30, 20]), EarlyStoppingConfig(state="all"))
    assert found == {"epochs": 3, "kept_epoch": 2, "first_loss": 1.0, "last_loss": pytest.approx(1 / 3)}
    assert training_summary(reports([10, 30, 20]), None)["kept_epoch"] == 3
    assert training_summary([], None) == {}


@dataclass(frozen=True)
class Scripted(Validation):
    """Gives scores from a list, and notes the weights that they were given for."""

    script: tuple[float, ...] = ()
    seen: list[TwoBranches] = field(default_factory=list)

    def scores(self, states: Sequence[str], device: torch.device) -> dict[str, float]:
        assert not super().scores(states, device).keys() - set(states)
        assert isinstance(self.model, TwoBranches) and not self.model.training
        self.seen.append(copy.deepcopy(self.model))
        return dict.fromkeys(states, self.script[len(self.seen) - 1])


def scripted(*script: float, **changes: Any) -> tuple[TwoBranches, Scripted]:
    model = fresh_model()
    validation = Scripted(model, pictures("validation", seed=5), ThreeClasses(), script)
    fitted(stopping().model_copy(update=changes), model, validation=validation)
    return model, validation


def test_the_best_weights_come_back() -> None:
    model, validation = scripted(50, 70, 60, 70, 99)
    assert len(validation.seen) == 4, "equal is not better"
    assert differing(model, validation.seen[1]) == [], "running statistics included"
    assert differing(model, validation.seen[3])


def test_training_that_gets_better_goes_on_to_its_end() -> None:
    model, validation = scripted(*range(8))
    assert len(validation.seen) == 8 and differing(model, validation.seen[-1]) == []


def test_watching_changes_nothing_of_what_is_learned() -> None:
    """Scores are computed in eval mode between epochs; batches, noise and statistics go on as without them."""
    model, _ = scripted(*range(8))
    plain = fitted(stopping().model_copy(update={"early_stopping": None}))
    assert differing(model, plain) == []


@pytest.mark.parametrize(
    ("state", "log", "expected"),
    [
        ("mean", False, ("all", "only_a", "only_b")),
        ("only_b", False, ("only_b",)),
        ("only_b", True, ("all", "only_a", "only_b")),
    ],
)
def test_only_states_that_are_looked_at_are_scored(
    state: str, log: bool, expected: tuple[str, ...], tmp_path: Path
) -> None:
    config = stopping(state=state).model_copy(update={"log_dir": tmp_path if log else None})
    validation = Validation(fresh_model(), pictures("validation"), ThreeClasses())
    assert scored_states(config, validation) == expected
    assert scored_states(QUICK, validation) == ()


def test_a_state_that_no_sample_has_is_not_scored(caplog: pytest.LogCaptureFixture) -> None:
    silent = replace(pictures("validation"), available=torch.tensor([[1.0, 0.0]]).expand(70, -1))
    validation = Validation(fresh_model(), silent, ThreeClasses())
    assert scored_states(QUICK, validation) == () and not caplog.text
    assert scored_states(stopping(state="mean"), validation) == ("all", "only_a")
    assert "no sample for only_b" in caplog.text
    with pytest.raises(ConfigError, match=r"'only_b' is no modality state of the validation split; choose mean"):
        scored_states(stopping(state="only_b"), validation)


def test_scores_are_those_of_an_evaluation() -> None:
    data, model = pictures("validation", seed=5), fitted()
    found = Validation(model, data, ThreeClasses()).scores(("all", "only_b"), torch.device("cpu"))
    expected = evaluate(model, data, ThreeClasses(), ["all", "only_b"])
    assert found == {state: points["score"] for state, points in expected.items()}
    assert len(set(found.values())) == 2


def test_what_cannot_be_watched_is_refused_before_training() -> None:
    with pytest.raises(ConfigError, match="early_stopping is set and there is no validation split here"):
        fitted(stopping())
    model = fresh_model()
    validation = Validation(model, pictures("validation"), ThreeClasses())
    with pytest.raises(
        ConfigError, match=r"early_stopping.state 'no_b' is no modality state of.*choose mean or one of"
    ):
        fitted(stopping(state="no_b"), model, validation=validation)
    assert differing(model, fresh_model()) == []
