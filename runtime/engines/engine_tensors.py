"""The tensors of a TensorRT engine: names, types and the shapes that they are run with."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.runtime.errors import ModelError, first_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import DTypeLike

Shape = tuple[int, ...]
_BUILD_AGAIN = "build the engine again with `edge build`"


@dataclass(frozen=True, slots=True)
class EngineTensor:
    """One input or output.

    Attributes:
        name: As in the graph.
        is_input: Otherwise an output.
        dtype: As the engine wants it in memory.
        shape: Fixed for the life of the engine's context.
    """

    name: str
    is_input: bool
    dtype: np.dtype[Any]
    shape: Shape

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def taken(self) -> np.dtype[Any]:
        """What a caller gives or gets: float32 for any float, int64 for an input of INT32, other types as they are."""
        if self.is_input and self.dtype == np.int32:
            return np.dtype(np.int64)
        return np.dtype(np.float32) if self.dtype.kind == "f" else self.dtype


def settle_tensors(
    trt: Any, engine: Any, context: Any, shapes: Mapping[str, Sequence[int]]
) -> tuple[EngineTensor, ...]:
    """Fixes the shape of every input in the context, and describes all tensors.

    Args:
        trt: The TensorRT module.
        engine: Its tensors are described.
        context: Takes the shapes.
        shapes: Of inputs that may have several; others, and those not named, take the one the engine is tuned for.

    Raises:
        ModelError: A shape lies outside of the engine's range, or a tensor is of a type, layout or place that the
            runtime does not serve; the message names the tensor.
    """
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
    for name in shapes.keys() - inputs:
        raise ModelError(f"tensor '{name}' has a shape, but is no input", f"the engine has {', '.join(inputs)}")
    for name in names:
        _check_served(trt, engine, name)
    for name in inputs:
        _settle_shape(engine, context, name, shapes.get(name))
    _infer_shapes(context)
    return tuple(EngineTensor(name, name in inputs, _dtype(trt, engine, name), _shape(context, name)) for name in names)


def _check_served(trt: Any, engine: Any, name: str) -> None:
    if engine.get_tensor_location(name) != trt.TensorLocation.DEVICE:
        raise ModelError(f"tensor '{name}' is a shape and no data", "export the graph with fixed shapes")
    if engine.get_tensor_format(name) != trt.TensorFormat.LINEAR:
        raise ModelError(
            f"tensor '{name}' has TensorRT's layout {_name(engine.get_tensor_format(name))}, the pipeline gives rows",
            "build the engine with linear inputs and outputs",
        )


def _settle_shape(engine: Any, context: Any, name: str, wanted: Sequence[int] | None) -> None:
    built = tuple(engine.get_tensor_shape(name))
    if all(extent >= 0 for extent in built):
        _check_range(name, wanted, built, built)
        return
    low, best, high = (tuple(dims) for dims in engine.get_tensor_profile_shape(name, 0))
    _check_range(name, wanted, low, high)
    if not context.set_input_shape(name, tuple(wanted or best)):
        raise ModelError(f"TensorRT refuses the shape {list(wanted or best)} of tensor '{name}'", _BUILD_AGAIN)


def _check_range(name: str, wanted: Sequence[int] | None, low: Shape, high: Shape) -> None:
    if wanted is None:
        return
    inside = (least <= extent <= most for least, extent, most in zip(low, wanted, high, strict=False))
    if len(wanted) != len(low) or not all(inside):
        allowed = f"{list(low)}" if low == high else f"{list(low)} to {list(high)}"
        raise ModelError(
            f"tensor '{name}' has the shape {list(wanted)}, the engine takes {allowed}",
            "build the engine for that shape with `edge build`",
        )


def _infer_shapes(context: Any) -> None:
    try:
        missing = context.infer_shapes()
    except RuntimeError as error:
        raise ModelError(f"TensorRT cannot infer the shapes ({first_line(error)})", _BUILD_AGAIN) from error
    if missing:
        raise ModelError(f"TensorRT does not know the shape of {', '.join(missing)}", _BUILD_AGAIN)


def _shape(context: Any, name: str) -> Shape:
    shape = tuple(context.get_tensor_shape(name))
    if any(extent < 0 for extent in shape):
        raise ModelError(
            f"the shape of tensor '{name}' depends on values ({list(shape)})", "export a graph whose shapes are fixed"
        )
    return shape


def _dtype(trt: Any, engine: Any, name: str) -> np.dtype[Any]:
    known: dict[Any, DTypeLike] = {
        trt.DataType.FLOAT: np.float32,
        trt.DataType.HALF: np.float16,
        trt.DataType.INT8: np.int8,
        trt.DataType.UINT8: np.uint8,
        trt.DataType.INT32: np.int32,
        trt.DataType.INT64: np.int64,
        trt.DataType.BOOL: np.bool_,
    }
    found = engine.get_tensor_dtype(name)
    if found not in known:
        raise ModelError(
            f"tensor '{name}' is {_name(found)} in the engine, which NumPy does not have",
            "build the engine with FP32 or FP16 inputs and outputs",
        )
    return np.dtype(known[found])


def _name(member: Any) -> str:
    return str(getattr(member, "name", member))
