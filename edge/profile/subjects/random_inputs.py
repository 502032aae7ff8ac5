"""Inputs for a model of which nothing is known but its tensors: shapes settled, values drawn with a seed."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.runtime.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

LIMIT_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class OpenInput:
    """An input as a model declares it.

    Attributes:
        dtype: Of its values.
        shape: An extent that is not fixed is its name, or None.
    """

    dtype: np.dtype[Any]
    shape: tuple[int | str | None, ...]


@dataclass(frozen=True)
class SettledShapes:
    """Every input with a shape.

    Attributes:
        shapes: By input.
        batch: Samples at once: 1 where the model fixes its first extents.
        has_open_batch: Whether the first extent of every input is open.
    """

    shapes: dict[str, tuple[int, ...]]
    batch: int
    has_open_batch: bool

    @property
    def notes(self) -> tuple[str, ...]:
        """What was chosen for the model, and what a reader may take for a batch."""
        if self.has_open_batch:
            return (f"The model leaves its first extent open; it was run with {self.batch}.",)
        return fixed_extent_notes(self.shapes)


def settle_shapes(inputs: Mapping[str, OpenInput], given: Mapping[str, Sequence[int]], batch: int) -> SettledShapes:
    """Fixes every extent: as given, else a first extent that is open is the batch.

    Raises:
        ConfigError: A shape is given for no input, does not fit one, or one that is needed is missing.
    """
    for name in given:
        if name not in inputs:
            near = (difflib.get_close_matches(name, inputs, n=1) or sorted(inputs))[0]
            raise ConfigError(f"--shape names '{name}', which is no input", f"the model has {near}")
    is_open = bool(inputs) and all(i.shape and not isinstance(i.shape[0], int) for i in inputs.values())
    shapes = {
        name: _given_shape(name, item, given[name]) if name in given else _batched_shape(name, item, batch)
        for name, item in inputs.items()
    }
    firsts = {shape[0] for shape in shapes.values() if shape}
    return SettledShapes(shapes, firsts.pop() if is_open and len(firsts) == 1 else 1, is_open)


def fixed_extent_notes(shapes: Mapping[str, Sequence[int]]) -> tuple[str, ...]:
    """Says that a fixed first extent which all inputs share may be a batch, for only the model's maker knows."""
    firsts = {shape[0] if shape else 1 for shape in shapes.values()}
    if len(firsts) != 1 or firsts == {1}:
        return ()
    return (f"First extents are fixed at {firsts.pop()}: throughput is of inferences, whatever a sample is.",)


def draw_inputs(
    inputs: Mapping[str, OpenInput], shapes: Mapping[str, tuple[int, ...]], seed: int
) -> dict[str, NDArray[Any]]:
    """Finite values: floats of a normal distribution, 0 or 1 as integers, which are indices more often than not.

    Raises:
        ModelError: A tensor is of a type that cannot be drawn.
        ConfigError: They would be larger than two gigabytes.
    """
    total = sum(inputs[name].dtype.itemsize * int(np.prod(shape, dtype=object)) for name, shape in shapes.items())
    if total > LIMIT_BYTES:
        raise ConfigError(f"the inputs would take {total >> 20} MiB", "give smaller shapes")
    random = np.random.default_rng(seed)
    return {name: _drawn(random, name, inputs[name].dtype, shape) for name, shape in shapes.items()}


def _given_shape(name: str, item: OpenInput, given: Sequence[int]) -> tuple[int, ...]:
    fits = len(given) == len(item.shape) and all(
        not isinstance(wanted, int) or wanted == extent for wanted, extent in zip(item.shape, given, strict=True)
    )
    if not fits or any(extent < 1 for extent in given):
        raise ConfigError(f"--shape {name}={_words(given)} does not fit", f"the model takes {_words(item.shape)}")
    return tuple(given)


def _batched_shape(name: str, item: OpenInput, batch: int) -> tuple[int, ...]:
    if any(not isinstance(extent, int) for extent in item.shape[1:]):
        raise ConfigError(
            f"input '{name}' leaves extents open ({_words(item.shape)})",
            f"say them with --shape {name}={_example(item.shape, batch)}",
        )
    return tuple(extent if isinstance(extent, int) else batch for extent in item.shape)


def _words(shape: Sequence[int | str | None]) -> str:
    return ",".join("?" if extent is None else str(extent) for extent in shape)


def _example(shape: Sequence[int | str | None], batch: int) -> str:
    filled = [extent if isinstance(extent, int) else (224 if i else batch) for i, extent in enumerate(shape)]
    return _words(filled)


def _drawn(random: np.random.Generator, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if dtype.kind == "f":
        return np.asarray(random.standard_normal(shape, np.float32)).astype(dtype)
    if dtype.kind in "iub":
        return np.asarray(random.integers(0, 2, shape)).astype(dtype)
    raise ModelError(f"input '{name}' is of type {dtype}, which cannot be drawn", "export a model that takes numbers")


def parse_shapes(words: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Shapes by input from `NAME=1,3,224,224`; names may hold an equals sign, extents may not.

    Raises:
        ConfigError: A word is none, or an input is named twice.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for word in words:
        name, equals, extents = word.rpartition("=")
        try:
            shape = tuple(int(extent) for extent in extents.split(","))
        except ValueError:
            shape = ()
        if not (name and equals and shape) or min(shape) < 1 or name in shapes:
            raise ConfigError(f"--shape {word} is no shape of one input", "write it as NAME=1,3,224,224, once an input")
        shapes[name] = shape
    return shapes
