"""Whether tensors fit: those that are given to an engine, and those of a graph against `io.yaml`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import DTypeLike, NDArray

    from edge.runtime.model_io import ModelIO

_WITH_THIS_IO = "export the model with this io.yaml"


class TensorForm(NamedTuple):
    """What an engine takes as one input.

    Attributes:
        dtype: Of its values.
        shape: A size, or the name of one that may be any, for each dimension.
    """

    dtype: DTypeLike
    shape: Sequence[int | str | None]


def explain_inputs(wanted: Mapping[str, TensorForm], given: Mapping[str, NDArray[Any]]) -> None:
    """Looks for what is wrong with an engine's inputs; does nothing where they fit.

    Raises:
        ModelError: A tensor is missing, unknown, or has another type or shape; the message names it.
    """
    for name in sorted(wanted.keys() ^ given.keys()):
        is_missing = name in wanted
        raise ModelError(
            f"tensor '{name}' is " + ("missing" if is_missing else "not an input of the model"),
            f"give exactly {', '.join(sorted(wanted))}",
        )
    for name, (dtype, shape) in wanted.items():
        tensor = given[name]
        if tensor.dtype != dtype or not fits(shape, tensor.shape):
            raise ModelError(
                f"tensor '{name}' is {tensor.dtype} {list(tensor.shape)}, the model takes "
                f"{np.dtype(dtype)} {list(shape)}",
                "make the tensor with the bundle's io.yaml",
            )


def check_model_io(model_io: ModelIO, inputs: Mapping[str, TensorForm], outputs: Sequence[str]) -> None:
    """Checks a graph's tensors against what `io.yaml` describes.

    Args:
        model_io: The description.
        inputs: What the graph takes.
        outputs: Names of its outputs.

    Raises:
        ModelError: They do not fit; the message names the tensor.
    """
    described = described_shapes(model_io)
    for name in sorted(inputs.keys() ^ described.keys()):
        where = "the graph, but not in io.yaml" if name in inputs else "io.yaml, but not in the graph"
        raise ModelError(f"input tensor '{name}' is in {where}", _WITH_THIS_IO)
    for name, shape in described.items():
        if not fits(inputs[name].shape, shape):
            raise ModelError(
                f"input tensor '{name}' is {list(inputs[name].shape)} in the graph, but {list(shape)} in io.yaml",
                _WITH_THIS_IO,
            )
    for item in model_io.inputs:
        taken = np.dtype(inputs[item.tensor].dtype)
        if taken != item.dtype:
            raise ModelError(
                f"input tensor '{item.tensor}' is {taken} in the graph, but io.yaml makes {item.dtype}", _WITH_THIS_IO
            )
    for name in model_io.output_tensors:
        if name not in outputs:
            raise ModelError(
                f"io.yaml decodes tensor '{name}', but the graph gives {', '.join(outputs)}", _WITH_THIS_IO
            )


def described_shapes(model_io: ModelIO) -> dict[str, tuple[int, ...]]:
    """Shape of each input tensor, as `io.yaml` says."""
    return {
        item.tensor: (1, len(item.streams)) if item.feature == "present" else tuple(item.shape)
        for item in model_io.inputs
    }


def fits(graph: Sequence[int | str | None], shape: Sequence[int]) -> bool:
    """Whether a shape is one that the graph takes; its symbolic dimensions take any size."""
    pairs = zip(graph, shape, strict=False)
    return len(graph) == len(shape) and all(not isinstance(g, int) or g == s for g, s in pairs)
