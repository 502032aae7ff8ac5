"""Static INT8 quantization of a float ONNX model, without torch."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx

from edge.compress.dialects.cleanup import tidy
from edge.compress.dialects.onnx_graph import OnnxGraph
from edge.compress.dialects.writing import write_s8
from edge.compress.onnx_model.bias_shifts import correct_onnx_biases
from edge.compress.onnx_model.canonical import canonical_form
from edge.compress.onnx_model.config import OnnxQuantizeConfig
from edge.compress.onnx_model.fixed_shapes import fix_shapes
from edge.compress.onnx_model.graph_operations import graph_layers_of
from edge.compress.onnx_model.levels import write_levels
from edge.compress.onnx_model.scales import activation_scales
from edge.compress.onnx_model.untouched import custom_operators, weights_left
from edge.compress.quantize.placement_rules import PlacementPlan
from edge.runtime.errors import DataError, ModelError

if TYPE_CHECKING:
    from edge.compress.onnx_model.graph_operations import Layer
    from edge.compress.onnx_model.input_samples import InputSamples

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class QuantizedOnnx:
    """A model before and after.

    Attributes:
        float32: The float model at opset 18 with fixed shapes, batch 1.
        s8: The same with INT8, as `write_s8` writes it.
        left_float: Operator by layer, of layers with weights that no rule covers, without those kept on purpose.
        custom: Operator behind its domain by layer, of what is not ONNX's own and stays as it is.
        corrected_biases: How many layers got another bias.
    """

    float32: onnx.ModelProto
    s8: onnx.ModelProto
    left_float: dict[str, str]
    custom: dict[str, str]
    corrected_biases: int


def quantize_onnx(
    model: onnx.ModelProto, samples: InputSamples, config: OnnxQuantizeConfig | None = None
) -> QuantizedOnnx:
    """Places Q/DQ pairs by TensorRT's rules and sets their scales on the samples.

    Args:
        model: Float, opset 13 or newer, its weights inside; left as it is.
        samples: To calibrate on; the sizes of the first are those that the results are fixed to.
        config: How.

    Raises:
        ModelError: The model is not valid or quantized already, has nothing that INT8 is for, or ONNX Runtime does not
            run it.
        DataError: There are no samples, or an activation is NaN or infinite on one.
    """
    config = config or OnnxQuantizeConfig()
    if not len(samples):
        raise DataError("the calibration set is empty", "calibrate with at least one sample of the train split")
    running = canonical_form(model)
    fixed = fix_shapes(running, samples.feed(0))
    graph = OnnxGraph(fixed)
    layers = graph_layers_of(graph, config.keep_float)
    plan = PlacementPlan([layer.operation for layer in layers], graph.outputs)
    _demand_layers(plan)
    scales = activation_scales(plan, graph, running, samples, config)
    weighted = [layer for layer in layers if layer.operation in plan.weighted]
    corrected = 0
    if config.bias_correction:
        corrected = correct_onnx_biases(graph, weighted, scales, running, samples, config.largest_level)
    left, custom = _named_apart(graph, layers, plan, config)
    write_levels(graph, layers, plan, scales, config.largest_level)
    return QuantizedOnnx(tidy(fixed), write_s8(tidy(graph.finish())), left, custom, corrected)


def _demand_layers(plan: PlacementPlan) -> None:
    if not plan.weighted:
        raise ModelError(
            "the model has no layer that INT8 is for: no convolution or linear layer with constant FP32 weights",
            "export it in FP32, with its weights inside, and let `keep_float` leave some layers",
        )


def _named_apart(
    graph: OnnxGraph, layers: tuple[Layer, ...], plan: PlacementPlan, config: OnnxQuantizeConfig
) -> tuple[dict[str, str], dict[str, str]]:
    """Layers that stay float though nobody asked for it, said as well as returned."""
    left, custom = weights_left(graph, layers, plan, config.keep_float), custom_operators(graph)
    for layer, operator in left.items():
        logger.warning("%s stays float: no INT8 rule for %s; `keep_float` that names it silences this", layer, operator)
    for layer, operator in custom.items():
        logger.warning("%s (%s) is no operator of ONNX and stays as it is", layer, operator)
    return left, custom
