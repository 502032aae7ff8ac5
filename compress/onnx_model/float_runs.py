"""Runs of a float ONNX model over samples, in batches where its inputs have a dynamic one, that give inner tensors."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from edge.compress.onnx_model.fixed_shapes import with_outputs
from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge.compress.onnx_model.input_samples import InputSamples

    Tensors = dict[str, Any]

LARGEST_BATCH = 16
_BYTES_AT_ONCE = 1 << 28  # of the tensors that one run gives
logger = logging.getLogger(__name__)


def batch_size(model: onnx.ModelProto, samples: InputSamples, bytes_per_sample: int) -> int:
    """How many samples go through a model at once: one, unless every input has the same dynamic first dimension.

    Args:
        model: Whose inputs may have a dynamic batch.
        samples: What goes through it.
        bytes_per_sample: Of the tensors that are looked at.
    """
    first = [item.type.tensor_type.shape.dim[:1] for item in model.graph.input]
    names = {dims[0].dim_param if dims else "" for dims in first}
    if not samples.batched or len(names) != 1 or names == {""}:
        return 1
    return max(1, min(LARGEST_BATCH, len(samples), _BYTES_AT_ONCE // max(1, bytes_per_sample)))


def run_over(
    model: onnx.ModelProto, names: Sequence[str], samples: InputSamples, size: int
) -> Iterator[tuple[range, Tensors]]:
    """Gives which samples each run was of, and the tensors by name.

    Quantized nodes are computed as the Q/DQ pairs say, in float.

    Args:
        model: With all these tensors.
        names: Of inner tensors or outputs.
        samples: What goes through it.
        size: Samples at once. Where a model that claims a dynamic batch takes only one, it gets one at a time.

    Raises:
        ModelError: ONNX Runtime does not load or run it.
    """
    engine = OnnxRuntimeEngine(with_outputs(model, list(names)).SerializeToString(), emulate_int8=True)
    index = 0
    while index < len(samples):
        try:
            found = engine.run(samples.feed(index, size))
        except ModelError as error:
            if size == 1:
                raise
            logger.warning("the model does not run at batch %d, so samples go one by one: %s", size, error.problem)
            size = 1
            continue
        yield range(index, min(index + size, len(samples))), found
        index += size


def bytes_of(model: onnx.ModelProto, names: Sequence[str]) -> int:
    """Of these float tensors, where their shapes are known."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    shapes = {item.name: item.type.tensor_type.shape.dim for item in (*inferred.input, *inferred.value_info)}
    return 4 * sum(int(np.prod([dim.dim_value for dim in shapes[name]])) for name in names if name in shapes)
