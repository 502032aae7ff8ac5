"""Static INT8 quantization of a float module by PyTorch 2 export (torchao PT2E)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

from edge.compress.quantize.batch_norms import fold_batch_norms
from edge.compress.quantize.bias_correction import correct_biases
from edge.compress.quantize.config import QuantizeConfig
from edge.compress.quantize.equalization import equalize_layers
from edge.compress.quantize.input_tensors import check_batches, check_example_inputs
from edge.compress.quantize.observation import observe
from edge.compress.quantize.placement import PlacementQuantizer
from edge.compress.quantize.reconstruction import reconstruct_layers
from edge.compress.quantize.rounding_record import ROUNDED
from edge.compress.quantize.tracing import quiet, trace
from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch.fx import GraphModule

    from edge.compress.quantize.rounding_record import RoundedLayer


def quantize_static(
    model: nn.Module,
    example_inputs: tuple[Tensor, ...],
    calibration: Iterable[tuple[Tensor, ...]],
    config: QuantizeConfig | None = None,
) -> GraphModule:
    """Folds batch norms, places Q/DQ pairs and sets their scales on the calibration inputs.

    Args:
        model: Float module with positional tensor inputs, batch first; left as it is.
        example_inputs: One tensor per input, any batch of one or more.
        calibration: Batches of inputs, in the order of `example_inputs`.
        config: How.

    Returns:
        A graph module that computes with the values that INT8 would give, at any batch up to `max_batch`. What adaptive
        rounding did is in its `meta`, see `rounded_layers`.

    Raises:
        ModelError: The model does not export, or an example input is no tensor with the batch of the others in front.
        DataError: `calibration` is empty, of another shape or dtype than the example inputs, or too small for adaptive
            rounding, or an activation is NaN or infinite.
    """
    return convert_static(prepare_static(model, example_inputs, calibration, config or QuantizeConfig()))


def prepare_static(
    model: nn.Module,
    example_inputs: tuple[Tensor, ...],
    calibration: Iterable[tuple[Tensor, ...]],
    config: QuantizeConfig,
) -> GraphModule:
    """The first half of `quantize_static`: a float graph whose observers have their scales, its weights mended.

    Here it can be tuned (`edge.compress.tuning.tuned_graph`); then `convert_static` makes it INT8.

    Raises:
        ModelError: As `quantize_static`.
        DataError: As `quantize_static`.
    """
    batches = list(calibration)
    if not batches:
        raise DataError("the calibration set is empty", "calibrate with at least one sample of the train split")
    exported = export_float(model, example_inputs, config.max_batch)
    check_batches(batches, example_inputs)
    quantizer = PlacementQuantizer(config.keep_float, config.observer, config.percentile, config.weight_bits)
    with quiet(), torch.no_grad():
        if config.equalize != "off":
            equalize_layers(exported, batches, config.equalize)
        prepared: GraphModule = prepare_pt2e(exported, quantizer)
        observe(prepared, batches)
        prepared.meta[ROUNDED] = _mend(prepared, batches, config)
    return prepared


def convert_static(prepared: GraphModule) -> GraphModule:
    """Puts Q/DQ pairs where a prepared graph's observers stand, with their scales, and rounds the weights."""
    rounded = prepared.meta[ROUNDED]
    with quiet(), torch.no_grad():
        converted: GraphModule = convert_pt2e(prepared)
    converted.meta[ROUNDED] = rounded
    return converted


def _mend(prepared: GraphModule, batches: list[tuple[Tensor, ...]], config: QuantizeConfig) -> tuple[RoundedLayer, ...]:
    """Weights and biases changed so that INT8 costs less; reconstruction shifts the biases itself."""
    if config.rounding == "adaptive":
        return reconstruct_layers(prepared, batches, config.adaptive, shift_biases=config.bias_correction)
    if config.bias_correction:
        correct_biases(prepared, batches)
    return ()


def export_float(model: nn.Module, example_inputs: tuple[Tensor, ...], max_batch: int = 4096) -> GraphModule:
    """Exports a module in eval mode with a dynamic batch, batch norms folded.

    Raises:
        ModelError: It does not export; the message names the layer.
    """
    check_example_inputs(example_inputs)
    # At batch 1 torch.export would specialise the batch to 1.
    inputs = tuple(torch.cat([t, t]) if len(t) == 1 else t.clone() for t in example_inputs)
    batch = torch.export.Dim("batch", min=1, max=max_batch)
    shapes = torch.export.ShapesCollection()  # keyed by tensor, so that forward(*tensors) works as well
    for tensor in inputs:
        shapes[tensor] = {0: batch}
    program = trace(model, inputs, shapes)
    module: GraphModule = program.module()
    with torch.no_grad():
        fold_batch_norms(module)
    return module
