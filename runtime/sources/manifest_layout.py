"""What the columns of a manifest are: a table with one multimodal sample a row, for training and as streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge.runtime.config_file import read_yaml, validated
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

STREAMS_SUFFIX = ".streams.yaml"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RowColumns(_Strict):
    """Columns that say what a row is.

    Attributes:
        id: Names the sample, once in the manifest; the row's number if None.
        split: `train`, `validation` or `test`.
        recording: What the sample was cut from (drive, patient, machine): no recording is in two splits. The id if
            None.
        attributes: Properties by which results are sliced; no model reads them.
    """

    id: str | None = None
    split: str | None = None
    recording: str | None = None
    attributes: tuple[str, ...] = ()


class SplitShares(_Strict):
    """Shares of the recordings, where no column says the split; the rest is for training.

    Which split a recording falls to follows from its name alone, so rows that are added later move none.
    """

    validation: float = Field(gt=0, lt=1)
    test: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _some_are_left(self) -> SplitShares:
        if self.validation + self.test >= 1:
            raise ValueError("validation and test together leave nothing for training")
        return self


class StreamColumns(_Strict):
    """Where the samples of one stream stand. An empty cell means that a row has none.

    Attributes:
        column: Of a picture, a sound or a sweep: a file, relative to the manifest. Of a text: the text itself.
        columns: Of a table or a time series: numbers, each named as the field that the model reads.
        file: The cells of a text are names of UTF-8 files.
        order: Of a time series: the column by which the rows of one recording follow each other; as they stand if None.
        short: What becomes of a sound that is shorter than the model's window: refused, or silence before it.
    """

    column: str | None = None
    columns: tuple[str, ...] = ()
    file: bool = False
    order: str | None = None
    short: Literal["refuse", "silence"] = "refuse"

    @model_validator(mode="after")
    def _one_way(self) -> StreamColumns:
        if (self.column is None) == (not self.columns):
            raise ValueError("give either `column`, or `columns` for numbers")
        return self


class TargetColumn(_Strict):
    """Where the answer of one output stands: a class by name or index, or the events of a row (`horn; siren`)."""

    column: str


class ManifestLayout(_Strict):
    """What the columns of a manifest are.

    Attributes:
        columns: Id, split, recording and attributes.
        shares: In place of a column for the split.
        streams: By the name of the stream.
        targets: By the tensor's name of the output; a source of streams needs none.
        generated: The samples come from a simulation; what is trained on them says so.
    """

    columns: RowColumns = RowColumns()
    shares: SplitShares | None = None
    streams: dict[str, StreamColumns] = Field(min_length=1)
    targets: dict[str, TargetColumn] = {}
    generated: bool = False

    @model_validator(mode="after")
    def _one_split(self) -> ManifestLayout:
        if self.shares is not None and self.columns.split is not None:
            raise ValueError("`shares` and a column for the split contradict each other: leave one of them out")
        return self

    @property
    def named(self) -> tuple[str, ...]:
        """Every column that is spoken of."""
        own = self.columns
        told = [own.id, own.split, own.recording, *own.attributes, *(t.column for t in self.targets.values())]
        for stream in self.streams.values():
            told += [stream.column, stream.order, *stream.columns]
        return tuple(dict.fromkeys(name for name in told if name is not None))


def streams_file(manifest: Path) -> Path:
    """Where the layout of a manifest lies, beside it: `rows.streams.yaml` for `rows.csv`."""
    return manifest.with_suffix(STREAMS_SUFFIX)


def read_layout(path: Path) -> ManifestLayout:
    """Reads a layout file.

    Raises:
        ConfigError: It is missing or no YAML, or a key is unknown or wrong; the message names it.
    """
    return validated(ManifestLayout, read_yaml(path), path)


def layout_of_recipe(recipe: object) -> ManifestLayout | None:
    """The layout that a bundle's model was trained by: a part of its `recipe.yaml`. None where it has none.

    Raises:
        ConfigError: It has one that is wrong.
    """
    data = recipe.get("data") if isinstance(recipe, dict) else None
    if not isinstance(data, dict) or "streams" not in data:
        return None
    kept = {key: value for key, value in data.items() if key in ManifestLayout.model_fields}
    try:
        return ManifestLayout.model_validate(kept)
    except ValueError as error:
        raise ConfigError(f"the bundle's recipe has a malformed `data` ({error})", "build the bundle again") from error
