"""The emulation gives what `quantize_static` and the `s8f16` dialect give, at any mix of precisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from edge.compress.dialects.half_regions import write_half
from edge.compress.export import export_onnx
from edge.compress.precision_plan import PrecisionPlan, PrecisionRule
from edge.compress.quantize.config import QuantizeConfig
from edge.compress.quantize.pt2e import quantize_static
from edge.compress.samples import mask_modalities
from edge.compress.sensitivity.bias_shifts import BiasShifts
from edge.compress.sensitivity.calibrated_graph import calibrate_graph
from edge.compress.sensitivity.emulation import emulate, emulate_half
from edge.compress.sensitivity.units import precisions_of_plan, quantize_settings
from tests.compress.sensitivity.conftest import FRAGILE, MODALITIES

if TYPE_CHECKING:
    from torch import Tensor

    from edge.compress.precision_plan import PlannedPrecision
    from tests.compress.sensitivity.conftest import Fragile

MIXES: dict[str, list[tuple[str, PlannedPrecision]]] = {
    "all int8": [("*", "int8")],
    "one layer": [(FRAGILE, "int8")],
    "encoders int8": [("encoders.*", "int8"), ("*", "fp16")],
    "three": [(FRAGILE, "fp32"), ("encoders.*", "int8"), ("mix.0", "int8"), ("*", "fp16")],
}


def plan(mix: str) -> PrecisionPlan:
    return PrecisionPlan(rules=tuple(PrecisionRule(layers=g, precision=p) for g, p in MIXES[mix]))


def unseen(fragile: Fragile, count: int = 64) -> tuple[Tensor, ...]:
    inputs = fragile.swept.validation.subset(range(count)).inputs
    return mask_modalities(inputs, torch.ones(count, 3))


@pytest.mark.parametrize("mix", list(MIXES))
def test_switching_is_quantizing(mix: str, fragile: Fragile) -> None:
    swept = fragile.swept
    precisions = precisions_of_plan(plan(mix), swept.units)
    settings = quantize_settings(precisions, swept.units, swept.graph.config)
    quantized = quantize_static(fragile.model, fragile.calibration[0], fragile.calibration, settings)
    inputs = unseen(fragile)
    found, wanted = swept.emulated(precisions)(*inputs), emulate_half(quantized, settings.keep_fp32)(*inputs)
    # Sums may be rounded to the half beside: in which order they are made is the host's.
    halves = "fp16" in precisions.values()
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=2**-10 if halves else 0)
    assert float((found[0] - fragile.model(*inputs)).detach().abs().max()) > 1e-3


def test_other_settings_are_followed_too(fragile: Fragile) -> None:
    """Among them equalisation, which mends what makes the fragile layer fragile."""
    config = QuantizeConfig(observer="percentile", percentile=99.9, equalize="weights", weight_bits=7)
    graph = calibrate_graph(fragile.model, fragile.calibration[0], fragile.calibration, config)
    quantized = quantize_static(fragile.model, fragile.calibration[0], fragile.calibration, config)
    inputs = unseen(fragile)
    found = emulate(graph, config.model_copy(update={"keep_fp32": ("*",)}), BiasShifts(graph))(*inputs)
    torch.testing.assert_close(found[0], quantized(*inputs), atol=1e-5, rtol=0)
    plainly_quantized = fragile.swept.emulated({unit.name: "int8" for unit in fragile.swept.units})(*inputs)
    exact = fragile.model(*inputs).detach()
    assert float((found[0] - exact).abs().mean()) < float((plainly_quantized[0] - exact).abs().mean()) / 5


def test_emulated_fp16_is_as_far_off_as_computing_in_halves(fragile: Fragile) -> None:
    """Not the same bits, for sums round in another order; ONNX Runtime is no judge, its CPU sums and keeps FP32."""
    swept, names, inputs = fragile.swept, (*MODALITIES, "present"), unseen(fragile, 16)
    half = write_half(export_onnx(fragile.model, tuple(t[:1] for t in inputs), names, ("classes",)))
    evaluator = ReferenceEvaluator(half)
    feeds = [{n: t[i : i + 1].numpy() for n, t in zip(names, inputs, strict=True)} for i in range(16)]
    computed = np.concatenate([evaluator.run(None, feed)[0] for feed in feeds])
    exact = fragile.model(*inputs).detach().numpy()
    emulated = swept.emulated({unit.name: "fp16" for unit in swept.units})(*inputs)[0].numpy()
    ratio = np.abs(emulated - exact).mean() / np.abs(computed - exact).mean()
    assert 0.5 < ratio < 2.0


def test_the_graph_is_left_as_it_was(fragile: Fragile) -> None:
    swept, inputs = fragile.swept, unseen(fragile)
    before = fragile.model(*inputs).detach()
    swept.emulated({unit.name: "int8" for unit in swept.units})(*inputs)
    torch.testing.assert_close(swept.graph.module(*inputs), before, atol=2e-4, rtol=1e-4)
    assert not any("quantization_annotation" in n.meta for n in swept.graph.module.graph.nodes)
