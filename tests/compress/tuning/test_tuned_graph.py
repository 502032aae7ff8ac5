"""Tuning wins back what calibration lost, is kept only where it helps, and says what is wrong."""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from edge.compress.distill.held_back import divide_split
from edge.compress.quantize.config import QuantizeConfig
from edge.compress.quantize.pt2e import convert_static
from edge.compress.samples import SampleSet
from edge.compress.tuning.tuned_graph import tune_prepared
from edge.runtime.errors import DataError, ModelError
from tests.compress.quantize.hard_cases import badly_scaled
from tests.compress.tuning.pattern_task import (
    CLIPPED,
    PatternNet,
    PatternTask,
    float_net,
    pattern_set,
    prepared_net,
    score,
    tuning,
)

if TYPE_CHECKING:
    from torch.fx import GraphModule

    from edge.compress.tuning.config import TuneConfig
    from edge.compress.tuning.record import TuningRecord

PLAIN = QuantizeConfig(bias_correction=False)


def tuned(
    prepared: GraphModule, config: TuneConfig, teacher: nn.Module | None = None, data: SampleSet | None = None
) -> tuple[GraphModule, TuningRecord]:
    record, _ = tune_prepared(prepared, teacher or float_net(), data or pattern_set(), PatternTask(), config)
    return convert_static(prepared), record


def test_what_clipped_scales_lost_is_won_back() -> None:
    """8 bits whose scales clip a tenth of each tensor, taught by the float model and the labels."""
    model = float_net()
    prepared = prepared_net(model)
    whole, lost = score(model), score(convert_static(copy.deepcopy(prepared)))
    assert lost < whole - 30
    module, record = tuned(prepared, tuning(fit={"epochs": 6}))
    won = score(module)
    assert record.kept == "tuned" and sum(record.tuned.values()) < 0.4 * sum(record.untuned.values())
    assert won > whole - 0.06 * (whole - lost)


def test_a_depthwise_net_of_uneven_channels_is_won_back() -> None:
    """Min-max with one scale for channels that differ up to fifteenfold either way."""
    model = float_net()
    badly_scaled(model.net, 15)
    prepared = prepared_net(model, PLAIN)
    whole, lost = score(model), score(convert_static(copy.deepcopy(prepared)))
    assert lost < whole - 30
    module, record = tuned(prepared, tuning(fit={"epochs": 6, "batch_size": 16}), teacher=model)
    assert record.kept == "tuned"
    assert score(module) > whole - 0.15 * (whole - lost)


def test_learned_scales_win_more_than_fixed_ones() -> None:
    losses = {}
    for scales in ("learned", "fixed"):
        _, record = tuned(prepared_net(float_net()), tuning(scales=scales))
        losses[scales] = sum(record.tuned.values())
    assert losses["learned"] < 0.8 * losses["fixed"]


def test_labels_alone_teach_too() -> None:
    _, record = tuned(prepared_net(float_net()), tuning(distill={"logits": 0}))
    assert list(record.tuned) == ["labels"] and record.kept == "tuned"


def test_what_became_worse_is_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    """A rate that shakes the weights apart: what is left is what calibration alone gives, to the bit."""
    prepared = prepared_net(float_net(), PLAIN)
    plain = convert_static(copy.deepcopy(prepared))
    with caplog.at_level(logging.WARNING):
        module, record = tuned(prepared, tuning(fit={"epochs": 1, "learning_rate": 0.3}))
    assert record.kept == "untuned" and sum(record.tuned.values()) > sum(record.untuned.values())
    assert "the untuned model is kept" in caplog.text
    images = pattern_set("test", 40).inputs[0]
    with torch.no_grad():
        assert torch.equal(module(images, torch.ones(40, 1))[0], plain(images, torch.ones(40, 1))[0])


def test_the_same_seed_tunes_the_same_and_the_teacher_stays() -> None:
    teacher = float_net()
    before = copy.deepcopy(teacher.state_dict())
    made = [tuned(prepared_net(float_net()), tuning(fit={"epochs": 1}), teacher) for _ in range(2)]
    assert made[0][1] == made[1][1]
    states = [module.state_dict() for module, _ in made]
    assert all(torch.equal(values, states[1][name]) for name, values in states[0].items())
    assert all(torch.equal(values, before[name]) for name, values in teacher.state_dict().items())


def test_the_loss_is_told_by_parts_and_epochs() -> None:
    config = tuning(fit={"epochs": 3})
    record, history = tune_prepared(prepared_net(float_net()), float_net(), pattern_set(), PatternTask(), config)
    assert list(record.untuned) == list(record.tuned) == list(history.first) == ["labels", "logits"]
    assert len(history.epochs) == 3 and history.last["logits"] < history.first["logits"]
    assert record.held_back == 80 and record.by_recording  # a tenth of 768, in whole recordings of eight


@pytest.mark.parametrize("config", [CLIPPED, QuantizeConfig(weight_bits=7)], ids=["8 bits", "7 bits"])
def test_levels_keep_their_bounds(config: QuantizeConfig) -> None:
    module, _ = tuned(prepared_net(float_net(), config), tuning(fit={"epochs": 1}))
    largest = [int(v.abs().max()) for _, v in module.named_buffers() if v.dtype == torch.int8]
    assert len(largest) == 8 and max(largest) <= (127 if config.weight_bits == 8 else 63)


def test_zeros_of_sparse_weights_stay() -> None:
    """Of the named ones; in the others, training moves what is 0."""
    model = float_net()
    names = ("net.blocks.1.3.weight", "net.blocks.2.3.weight")
    weights = dict(model.named_parameters())
    with torch.no_grad():
        for name in names:
            weights[name].view(16, 4, 4)[:, :, 2:] = 0
    prepared = prepared_net(model, PLAIN)
    record, _ = tune_prepared(
        prepared, float_net(), pattern_set(), PatternTask(), tuning(fit={"epochs": 1}), sparse=names[:1]
    )
    found = {name: bool(prepared.get_parameter(name).view(16, 4, 4)[:, :, 2:].any()) for name in names}
    assert record.kept == "tuned" and found == {names[0]: False, names[1]: True}


class Failing(PatternTask):
    """Its loss is NaN from a call on."""

    def __init__(self, good: int) -> None:
        self.left = good

    def loss(self, outputs: Any, targets: Any) -> torch.Tensor:
        self.left -= 1
        return super().loss(outputs, targets) * (float("nan") if self.left < 0 else 1.0)


def test_a_loss_that_is_no_number_names_the_step_and_the_remedy() -> None:
    judged = 2  # batches of 64 among 80 samples held back
    with pytest.raises(ModelError) as refused:
        tune_prepared(prepared_net(float_net()), float_net(), pattern_set(), Failing(judged + 4), tuning())
    assert "tuning the INT8 model: the training loss became nan at step 5 of 84" in refused.value.problem
    assert "in `tune.fit`, lower learning_rate" in refused.value.remedy


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pattern_set("validation"), "asked to learn from the 'validation' split"),
        (pattern_set(count=1), "there is one training sample"),
        (pattern_set(count=16), "8 samples fill no batch of 32"),
    ],
    ids=["not for training", "one sample", "no batch"],
)
def test_samples_that_cannot_be_tuned_on_are_refused(data: SampleSet, message: str) -> None:
    with pytest.raises(DataError, match=message):
        tuned(prepared_net(float_net()), tuning(), data=data)


def test_whole_recordings_are_held_back() -> None:
    parts = divide_split(pattern_set(count=200), 0.1, 0)
    assert parts.by_recording and (len(parts.learning), len(parts.judging)) == (176, 24)
    assert not set(parts.learning.recordings) & set(parts.judging.recordings)
    assert parts.judging.ids == divide_split(pattern_set(count=200), 0.1, 0).judging.ids
    assert parts.judging.ids != divide_split(pattern_set(count=200), 0.1, 1).judging.ids


def test_one_recording_is_divided_by_samples() -> None:
    data = pattern_set(count=8)
    parts = divide_split(data, 0.25, 0)
    assert not parts.by_recording and (len(parts.learning), len(parts.judging)) == (6, 2)


def test_two_recordings_are_never_both_held_back() -> None:
    parts = divide_split(pattern_set(count=16), 0.9, 0)
    assert (len(parts.learning), len(parts.judging)) == (8, 8)


def test_the_net_itself_is_left_alone() -> None:
    model = float_net()
    before = copy.deepcopy(model.state_dict())
    tuned(prepared_net(model), tuning(fit={"epochs": 1}))
    assert all(torch.equal(values, before[name]) for name, values in model.state_dict().items())
    assert isinstance(model, PatternNet) and all(p.requires_grad for p in model.parameters())
