"""The scale of each INT8 tensor, from what a float model's tensors hold on the calibration samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge.calibration.observers import symmetric_scale
from edge.calibration.tensor_range import TensorRange
from edge.compress.onnx_model.float_runs import batch_size, bytes_of, run_over
from edge.runtime.errors import DataError

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    from edge.compress.dialects.onnx_graph import OnnxGraph
    from edge.compress.onnx_model.config import OnnxQuantizeConfig
    from edge.compress.onnx_model.input_samples import InputSamples
    from edge.compress.quantize.placement_rules import PlacementPlan


def activation_scales(
    plan: PlacementPlan,
    graph: OnnxGraph,
    model: onnx.ModelProto,
    samples: InputSamples,
    config: OnnxQuantizeConfig,
) -> dict[str, float]:
    """One scale for each tensor of a plan, the same for all of a group.

    Args:
        plan: Which tensors.
        graph: With fixed shapes: what is constant in it is counted once.
        model: What runs, with the same tensors; its batch may be dynamic.
        samples: To calibrate on.
        config: Which observer.

    Raises:
        DataError: A tensor holds NaN or infinity; the message names the layer and the sample.
        ModelError: ONNX Runtime does not run the model.
    """
    ranges = {plan.group_of(name): TensorRange() for name in plan.tensors}
    for name in (n for n in plan.tensors if n in graph.constants):
        _see_constant(ranges[plan.group_of(name)], graph.array(name), len(samples))
    for name in (n for n in plan.tensors if n in graph.inputs):
        _see(ranges[plan.group_of(name)], samples.tensors[name], range(len(samples)))
    inner = [name for name in plan.tensors if name not in graph.constants and name not in graph.inputs]
    size = batch_size(model, samples, bytes_of(graph.model, inner))
    layers = {name: node.name for node in graph.nodes for name in node.output}
    for rows, tensors in run_over(model, inner, samples, size) if inner else ():
        for name in inner:
            _check_finite(tensors[name], layers[name], [samples.ids[row] for row in rows])
            _see(ranges[plan.group_of(name)], tensors[name], rows)
    ceilings = {group: seen.ceiling(config.observer, config.percentile) for group, seen in ranges.items()}
    return {name: symmetric_scale(ceilings[plan.group_of(name)]) for name in plan.tensors}


def _see(seen: TensorRange, values: NDArray[Any], rows: range) -> None:
    """Counts the values of these samples; what does not lie sample by sample is what each of them sees."""
    if not values.size:
        return
    seen.histogram.add(values)
    count = len(rows) if values.ndim and len(values) % len(rows) == 0 else 1
    peaks = np.abs(values).reshape(count, -1).max(axis=1)
    seen.add_peaks(rows[0], peaks if count == len(rows) else np.repeat(peaks, len(rows)))


def _see_constant(seen: TensorRange, values: NDArray[Any], samples: int) -> None:
    seen.histogram.add(values)
    seen.add_peaks(0, np.full(samples, np.abs(values).max(initial=0.0)))


def weight_scales(weight: NDArray[Any], largest_level: int, *, whole: bool = False) -> NDArray[np.float32]:
    """Scales of a weight by the largest magnitude of each output channel, on axis 0, or of all of it."""
    magnitudes = np.abs(weight).reshape(1 if whole else len(weight), -1).max(axis=1)
    scales = np.maximum(magnitudes.astype(np.float32) / np.float32(largest_level), np.float32(1e-7))
    return np.asarray(scales, np.float32)


def _check_finite(values: NDArray[Any], layer: str, ids: list[str]) -> None:
    if np.isfinite(values).all():
        return
    rows = [i for i in range(len(values)) if not np.isfinite(values[i]).all()] if values.ndim else []
    named = ids[rows[0]] if rows and len(ids) == len(values) else ids[0]
    raise DataError(
        f"layer '{layer}' gives NaN or infinity on calibration sample '{named}'",
        "leave that sample out, or check the model's weights",
    )
