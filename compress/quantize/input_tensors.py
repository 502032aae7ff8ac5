"""What quantization asks of a module's inputs, said in words before torch.export says it in its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from edge.runtime.errors import DataError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def check_example_inputs(example_inputs: Sequence[Any]) -> None:
    """Example inputs are tensors whose first dimension is the same batch.

    Raises:
        ModelError: One is something else, has no batch, or another one.
    """
    for index, value in enumerate(example_inputs):
        if not isinstance(value, Tensor):
            raise ModelError(
                f"example input {index} is {type(value).__name__} and no tensor",
                "pass positional tensors; edge.compress.named_call.NamedCall calls a module by keywords",
            )
        if not value.dim():
            raise ModelError(
                f"example input {index} has no batch dimension",
                "give it one, [N, ...], or make it a constant with edge.compress.named_call.NamedCall",
            )
        if len(value) != len(example_inputs[0]):
            raise ModelError(
                f"example input {index} has {len(value)} rows, input 0 has {len(example_inputs[0])}",
                "put the same batch in front of every input, or make an input without one a constant of NamedCall",
            )


def check_batches(batches: Iterable[Sequence[Any]], example_inputs: Sequence[Tensor]) -> None:
    """Calibration batches are like the example inputs in all but the number of rows.

    Raises:
        DataError: One is not; the message names the batch and the input.
    """
    for number, batch in enumerate(batches):
        if len(batch) != len(example_inputs):
            raise DataError(
                f"calibration batch {number} has {len(batch)} tensors, the model takes {len(example_inputs)}",
                "pass one tensor per input",
            )
        for index, (found, wanted) in enumerate(zip(batch, example_inputs, strict=True)):
            if (found.dtype, found.shape[1:]) != (wanted.dtype, wanted.shape[1:]):
                raise DataError(
                    f"input {index} of calibration batch {number} is {_form(found)}, the example is {_form(wanted)}",
                    "prepare calibration samples as the model's inputs are",
                )


def _form(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} [N{''.join(f', {size}' for size in tensor.shape[1:])}]"
