"""The answers in a manifest, as the tensors that a task is trained with."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from edge.data.dataset_folder import TensorSpec
from edge.runtime.errors import ConfigError
from edge.runtime.model_io import EventOutput, SoftmaxOutput
from edge.runtime.sources.manifest_bad_rows import BadRows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.runtime.model_io import ModelIO
    from edge.runtime.sources.manifest_layout import ManifestLayout
    from edge.runtime.sources.manifest_rows import ManifestRow

LabelledOutput: TypeAlias = "SoftmaxOutput | EventOutput"
_NAMED = 8  # classes that a message lists


def labelled_outputs(layout: ManifestLayout, model_io: ModelIO) -> tuple[LabelledOutput, ...]:
    """The outputs that rows have answers for, in the model's order; none where the layout has no targets at all.

    Raises:
        ConfigError: An output has no target or no such one can be in a manifest, or a target is of no output.
    """
    names = [output.tensor for output in model_io.outputs]
    unknown = [name for name in layout.targets if name not in names]
    if unknown:
        raise ConfigError(f"`targets` name '{unknown[0]}', no output of the model", f"name one of {', '.join(names)}")
    if not layout.targets:
        return ()
    found = []
    for output in model_io.outputs:
        if not isinstance(output, (SoftmaxOutput, EventOutput)):
            raise ConfigError(
                f"a manifest has no answers for the output '{output.tensor}' ({output.decoder})",
                "prepare a dataset folder, or use softmax or events",
            )
        if output.tensor not in layout.targets:
            raise ConfigError(f"`targets` lack the output '{output.tensor}'", f"add `{output.tensor}: {{column: ...}}`")
        found.append(output)
    return tuple(found)


def label_specs(outputs: Sequence[LabelledOutput]) -> tuple[TensorSpec, ...]:
    """The target tensors: a class's index int64, or 0 and 1 of each event as float32."""
    return tuple(
        TensorSpec(name=f"target_{o.tensor}", dtype="int64", shape=())
        if isinstance(o, SoftmaxOutput)
        else TensorSpec(name=f"target_{o.tensor}", dtype="float32", shape=(len(o.classes),))
        for o in outputs
    )


def read_labels(
    path: Path, rows: Sequence[ManifestRow], layout: ManifestLayout, outputs: Sequence[LabelledOutput]
) -> list[tuple[NDArray[np.generic], ...]]:
    """The targets of each row, as `label_specs` describes them.

    A class is given by its name, or by its index where no class has that name. Events are separated by `;`, or by
    blanks where no event has that name; an empty cell means none.

    Raises:
        DataError: A label is missing, or is none of the classes.
    """
    bad = BadRows(path)
    labels = [
        tuple(_label(row, output, layout.targets[output.tensor].column, bad) for output in outputs) for row in rows
    ]
    bad.refuse()
    return labels


def _label(row: ManifestRow, output: LabelledOutput, column: str, bad: BadRows) -> NDArray[np.generic]:
    cell = row.labels[output.tensor]
    if isinstance(output, SoftmaxOutput):
        return np.asarray(_index(row, cell, output, column, bad), np.int64)
    heard = np.zeros(len(output.classes), np.float32)
    for name in _events(cell, output.classes):
        heard[_index(row, name, output, column, bad)] = 1
    return heard


def _events(cell: str, classes: Sequence[str]) -> list[str]:
    if cell in classes:
        return [cell]
    return [name.strip() for name in (cell.split(";") if ";" in cell else cell.split()) if name.strip()]


def _index(row: ManifestRow, name: str, output: LabelledOutput, column: str, bad: BadRows) -> int:
    if name in output.classes:
        return output.classes.index(name)
    if name.isdecimal() and int(name) < len(output.classes):
        return int(name)
    known = ", ".join(output.classes[:_NAMED]) + (", ..." if len(output.classes) > _NAMED else "")
    said = f"'{name}' is no class of the output '{output.tensor}'" if name else "the label is missing"
    bad.add(row.number, column, said, f"write one of {known}, or its index from 0")
    return 0
