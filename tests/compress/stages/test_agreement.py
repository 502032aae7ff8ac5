"""`u8` decides as the gated `s8` does; where observers clip hard, its levels are made to stop as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edge.compress.quantize.config import QuantizeConfig
from edge.compress.quantize.pt2e import quantize_static
from edge.compress.stages.agreement import LEAST_AGREEMENT
from edge.compress.stages.measure import StageMeasurer
from edge.compress.stages.stage import Artifact, QuantizeStage
from tests.compress.tuning.pattern_task import CLIPPED, PatternTask, float_net, pattern_set

if TYPE_CHECKING:
    import pytest

    from edge.compress.stages.measure import MeasuredStage


def measured(config: QuantizeConfig) -> MeasuredStage:
    model, train = float_net(), pattern_set(count=64)
    batch = (train.inputs[0], torch.ones(len(train), 1))
    quantized = quantize_static(model, batch, [batch], config)
    splits = pattern_set("validation", 120, seed=6), pattern_set("test", 8, seed=7)
    measure = StageMeasurer(PatternTask(), *splits, ("image", "present"), ("classes",))
    artifact = Artifact("quantize", quantized, calibration_digest="0" * 64, settings=config)
    before = measure(Artifact("float", model), None, 0.0, None)
    return measure(artifact, QuantizeStage(quantize=config), 0.0, before)


def test_hard_clipping_is_clipped_in_both(caplog: pytest.LogCaptureFixture) -> None:
    """Otherwise the graph that x86 runs is another function than the one that passed the gate."""
    caplog.set_level("INFO", logger="edge")
    stage = measured(CLIPPED)
    assert "its levels now stop where those of s8 do" in caplog.text
    assert stage.record.notes["u8_agrees_with_s8"] >= LEAST_AGREEMENT
    assert b"Clip" in stage.graphs["u8"]


def test_what_agrees_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="edge")
    stage = measured(QuantizeConfig())
    assert "u8 decide" not in caplog.text
    assert stage.record.notes["u8_agrees_with_s8"] >= LEAST_AGREEMENT
