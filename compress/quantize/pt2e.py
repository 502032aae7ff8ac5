"""Static INT8 quantization of a float module by PyTorch 2 export (torchao PT2E)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

from edge.compress.quantize.bias_correction import correct_biases
from edge.compress.quantize.config import QuantizeConfig
from edge.compress.quantize.placement import PlacementQuantizer
from edge.compress.quantize.tracing import quiet, trace
from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch.fx import GraphModule


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
        A graph module that computes with the values that INT8 would give, at any batch up to `max_batch`.

    Raises:
        ModelError: The model does not export.
        DataError: `calibration` is empty, or an activation is NaN or infinite on it.
    """
    config = config or QuantizeConfig()
    batches = list(calibration)
    if not batches:
        raise DataError("the calibration set is empty", "calibrate with at least one sample of the train split")
    exported = export_float(model, example_inputs, config.max_batch)
    quantizer = PlacementQuantizer(config.keep_float, config.observer, config.percentile)
    with quiet(), torch.no_grad():
        prepared = prepare_pt2e(exported, quantizer)
        for inputs in batches:
            prepared(*inputs)
        if config.bias_correction:
            correct_biases(prepared, batches)
        converted: GraphModule = convert_pt2e(prepared)
    return converted


def export_float(model: nn.Module, example_inputs: tuple[Tensor, ...], max_batch: int = 4096) -> GraphModule:
    """Exports a module in eval mode with a dynamic batch.

    Raises:
        ModelError: It does not export; the message names the layer.
    """
    # At batch 1 torch.export would specialise the batch to 1.
    inputs = tuple(torch.cat([t, t]) if len(t) == 1 else t.clone() for t in example_inputs)
    batch = torch.export.Dim("batch", min=1, max=max_batch)
    shapes = torch.export.ShapesCollection()  # keyed by tensor, so that forward(*tensors) works as well
    for tensor in inputs:
        shapes[tensor] = {0: batch}
    program = trace(model, inputs, shapes)
    module: GraphModule = program.module()
    return module
