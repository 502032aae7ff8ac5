"""Static INT8 quantization of a float module by PyTorch 2 export (torchao PT2E)."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

from edge.calibration.observers import Observer
from edge.compress.quantize.placement import PlacementQuantizer
from edge.runtime.errors import DataError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch.fx import GraphModule


class QuantizeConfig(BaseModel):
    """How a model is quantized.

    Attributes:
        observer: How activations' scales are found.
        percentile: Share in % of an activation's values that the observer `percentile` leaves unclipped.
        keep_float: Globs on module paths whose layers stay float.
        bias_correction: Shift each quantized layer's bias by the mean error that INT8 brings to its output.
        max_batch: Largest batch that the quantized module takes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    observer: Observer = "minmax"
    percentile: float = Field(99.99, gt=50, le=100)
    keep_float: tuple[str, ...] = ()
    max_batch: int = Field(4096, ge=2)


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
    exported = export_float(model, example_inputs, config.max_batch)
    quantizer = PlacementQuantizer(config.keep_float, config.observer, config.percentile)
    with quiet(), torch.no_grad():
        prepared = prepare_pt2e(exported, quantizer)
        count = 0
        for inputs in calibration:
            prepared(*inputs)
            count += 1
        if not count:
            raise DataError(
                "the calibration set is empty", "calibrate with at least one sample of the train split"
            )
        converted: GraphModule = convert_pt2e(prepared)
    return converted


def export_float(model: nn.Module, example_inputs: tuple[Tensor, ...], max_batch: int = 4096) -> GraphModule:
    """Exports a module in eval mode with a dynamic batch.

    Raises:
        ModelError: It does not export; the message names what torch.export says.
    """
    training = model.training
    # At batch 1 torch.export would specialise the batch to 1.
    inputs = tuple(torch.cat([t, t]) if len(t) == 1 else t for t in example_inputs)
    batch = torch.export.Dim("batch", min=1, max=max_batch)
    try:
        with quiet(), torch.no_grad():
            program = torch.export.export(
                model.eval(), inputs, dynamic_shapes=tuple({0: batch} for _ in inputs), strict=False
            )
            module: GraphModule = program.module()
            return module
    except Exception as error:  # torch.export raises dozens of kinds, all of them the model's
        raise ModelError(
            f"the model does not export with a dynamic batch ({_first_line(error)})",
            "keep tensor shapes independent of values, and the batch in front",
        ) from error
    finally:
        model.train(training)


@contextmanager
def quiet() -> Iterator[None]:
    """Mutes the warnings and logs of torch.export, torch.onnx and PT2E, which address their developers."""
    loggers = [
        logging.getLogger(name)
        for name in ("torch", "torch.onnx", "torch.export", "torchao", "onnxscript", "onnx_ir")
    ]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
