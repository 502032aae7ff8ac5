"""How the streams of a model stand in a manifest: whether its columns fit the model's inputs."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, NamedTuple

from edge.runtime.errors import ConfigError, DataError
from edge.runtime.model_io import (
    ImageInput,
    LidarViewInput,
    LogMelInput,
    PresentInput,
    SeriesInput,
    TensorInput,
    TokensInput,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from edge.runtime.model_io import ModelIO, SensorInput
    from edge.runtime.sources.manifest_layout import ManifestLayout, StreamColumns

_SINGLE = {ImageInput: "a picture", LogMelInput: "a sound", LidarViewInput: "a sweep", TokensInput: "a text"}


class ManifestStream(NamedTuple):
    """One stream of the model and where a manifest has it.

    Attributes:
        name: Of the stream.
        item: The model's input; of several that read the stream the longest series, or the first.
        columns: Where it stands.
    """

    name: str
    item: SensorInput
    columns: StreamColumns

    @property
    def is_file(self) -> bool:
        """Whether a cell names a file."""
        return isinstance(self.item, (ImageInput, LogMelInput, LidarViewInput)) or self.columns.file

    @property
    def steps(self) -> int:
        """Rows that a sample is made of: more than one for a time series."""
        return self.item.steps if isinstance(self.item, SeriesInput) else 1

    @property
    def shown(self) -> str:
        """The column that messages name."""
        return self.columns.column or self.columns.columns[0]


def fit_streams(layout: ManifestLayout, model_io: ModelIO) -> tuple[ManifestStream, ...]:
    """The model's streams in its order, with their columns.

    Raises:
        ConfigError: A stream of the model has no columns or the reverse, or they are not what its input needs.
    """
    absent = [name for name in model_io.modalities if name not in layout.streams]
    if absent:
        raise ConfigError(
            f"the model takes the stream '{absent[0]}', and the manifest's `streams` name no column for it",
            f"add `{absent[0]}` to `streams`, or take it out of the model's inputs",
        )
    unknown = [name for name in layout.streams if name not in model_io.modalities]
    if unknown:
        raise ConfigError(
            f"the manifest's `streams` name '{unknown[0]}', which the model does not take "
            f"(it takes {', '.join(model_io.modalities)})",
            f"take `{unknown[0]}` out of `streams`, or add an input",
        )
    return tuple(_stream(name, layout.streams[name], model_io) for name in model_io.modalities)


def _stream(name: str, columns: StreamColumns, model_io: ModelIO) -> ManifestStream:
    items = [item for item in model_io.inputs if not isinstance(item, PresentInput) and item.stream == name]
    # The longest series holds what every other input of the stream reads.
    item = max(items, key=lambda one: one.steps if isinstance(one, SeriesInput) else 0)
    if isinstance(item, (TensorInput, SeriesInput)):
        _check_fields(name, columns, items)
    elif columns.column is None:
        raise ConfigError(f"stream '{name}' is {_SINGLE[type(item)]}, and has several columns", "give it one `column`")
    if columns.file and not isinstance(item, TokensInput):
        raise ConfigError(f"stream '{name}' is no text, and says `file`", "leave `file` out")
    return ManifestStream(name, item, columns)


def _check_fields(name: str, columns: StreamColumns, items: Sequence[SensorInput]) -> None:
    for item in items:
        wanted = item.fields if isinstance(item, (TensorInput, SeriesInput)) else ()
        lacking = [field for field in wanted if field not in columns.columns]
        if lacking:
            raise ConfigError(
                f"stream '{name}' lacks a column for the field '{lacking[0]}' of input '{item.tensor}'",
                f"give it `columns: [{', '.join(wanted)}]`",
            )


def check_columns(path: Path, found: Sequence[str], wanted: Iterable[str]) -> None:
    """Sees that a manifest has the columns that are spoken of.

    Raises:
        DataError: One is absent.
    """
    for name in wanted:
        if name not in found:
            close = difflib.get_close_matches(name, found, n=1)
            meant = f" (did you mean '{close[0]}'?)" if close else f" (it has {', '.join(found)})"
            raise DataError(f"{path} has no column '{name}'{meant}", "mend the header, or what names columns")
