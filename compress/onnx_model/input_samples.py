"""Samples for a model's inputs, checked against what its graph says of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import helper

from edge.runtime.errors import DataError, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx
    from numpy.typing import NDArray

    from edge.calibration.dataset import CalibrationSet


@dataclass(frozen=True, eq=False)
class InputSamples:
    """Values for every input of a model, sample by sample; make it with `for_model`.

    Attributes:
        ids: One per sample.
        tensors: `[N, ...]` by input name.
        whole: Inputs without a batch: a sample's row is the input, where of others it is the input without its batch.
    """

    ids: tuple[str, ...]
    tensors: dict[str, NDArray[Any]]
    whole: frozenset[str] = frozenset()

    @classmethod
    def for_model(cls, model: onnx.ModelProto, samples: CalibrationSet) -> InputSamples:
        """Checks that the samples fit the inputs of a model.

        An input whose first dimension is dynamic or 1 may get `[N, ...]` with as many dimensions as it has itself: then
        that first one counts samples. Any input may get one dimension more: then a row is the input as it is.

        Raises:
            DataError: An input has no array, an array no input, or its dtype or shape is not the input's.
            ModelError: An input is no tensor of numbers, or does not say how many dimensions it has.
        """
        inputs = {item.name: item for item in model.graph.input}
        _check_names(list(inputs), list(samples.tensors))
        tensors = {name: samples.tensors[name] for name in inputs}
        whole = frozenset(name for name, item in inputs.items() if _is_whole(item, tensors[name]))
        return cls(samples.ids, tensors, whole)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def batched(self) -> bool:
        """Whether several samples can be one feed, if the model takes it."""
        return not self.whole

    def feed(self, index: int, size: int = 1) -> dict[str, NDArray[Any]]:
        """What the model is fed for `size` samples from `index` on; inputs without a batch take one at a time."""
        parts = {name: values[index : index + size] for name, values in self.tensors.items()}
        return {name: values[0] if name in self.whole else values for name, values in parts.items()}

    def subset(self, indices: Sequence[int]) -> InputSamples:
        """The samples at `indices`, in that order."""
        chosen = np.asarray(indices, np.int64)
        tensors = {name: values[chosen] for name, values in self.tensors.items()}
        return replace(self, ids=tuple(self.ids[i] for i in indices), tensors=tensors)

    def hold_back(self, every: int) -> tuple[InputSamples, InputSamples]:
        """Samples to calibrate on, and every so manieth that is kept from it to compare with.

        Raises:
            DataError: There are fewer samples than that.
        """
        if len(self) < every:
            raise DataError(
                f"{len(self)} samples, but every {every}th is held back to compare INT8 with float",
                f"give at least {every} samples, better hundreds, or lower `held_back` in the recipe",
            )
        held = list(range(every - 1, len(self), every))
        return self.subset([i for i in range(len(self)) if i not in set(held)]), self.subset(held)


def _check_names(wanted: list[str], found: list[str]) -> None:
    for name in wanted:
        if name not in found:
            near = get_close_matches(name, found, 1)
            hint = f"rename '{near[0]}'" if near else f"add an array '{name}'"
            raise DataError(f"the samples have no '{name}' (they have {', '.join(found)})", f"{hint} [N, ...]")
    extra = [name for name in found if name not in wanted]
    if extra:
        raise DataError(
            f"the model has no input '{extra[0]}' (it has {', '.join(wanted)})", "leave that array out, or rename it"
        )


def _is_whole(item: onnx.ValueInfoProto, values: NDArray[Any]) -> bool:
    dtype, shape = _form(item)
    if values.dtype != dtype:
        raise DataError(
            f"the samples of '{item.name}' are {values.dtype}, the model takes {dtype}",
            f"save them with .astype('{dtype}')",
        )
    if values.ndim == len(shape) + 1 and _fits(values.shape[1:], shape):
        return True
    if values.ndim == len(shape) and shape and shape[0] in (0, 1) and _fits(values.shape[1:], shape[1:]):
        return False
    said = ", ".join(str(size or "any") for size in shape)
    form = ", ".join(str(size or "size") for size in shape[1:])
    raise DataError(
        f"a sample of '{item.name}' has shape {values.shape[1:]}, the model takes [{said}]",
        f"save [N, {form}], N samples prepared as the model is fed them",
    )


def _fits(found: tuple[int, ...], wanted: Sequence[int]) -> bool:
    return len(found) == len(wanted) and all(w in (0, f) for f, w in zip(found, wanted, strict=True))


def _form(item: onnx.ValueInfoProto) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Dtype and shape of an input, 0 where a size is dynamic."""
    kind = item.type.tensor_type
    try:
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(kind.elem_type))
    except KeyError as error:
        raise ModelError(f"input '{item.name}' is no tensor", "let the model take tensors only") from error
    if dtype.kind not in "fiub":
        raise ModelError(f"input '{item.name}' is of {dtype}", "let the model take numbers only")
    if not kind.HasField("shape"):
        raise ModelError(f"input '{item.name}' does not say its shape", "export the model with named dynamic sizes")
    return dtype, tuple(max(0, dim.dim_value) for dim in kind.shape.dim)
