"""Rows of a manifest as samples of a model: tensors by the runtime's own preprocessing, and targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.data.hugging_face_table import SPLIT, HuggingFaceTable
from edge.data.manifest_labels import label_specs, labelled_outputs, read_labels
from edge.data.parquet_table import ParquetTable
from edge.runtime.errors import ConfigError, DataError, SampleError
from edge.runtime.preprocess.preprocessor import Preprocessor
from edge.runtime.preprocess.tokens import read_tokenizers
from edge.runtime.sources.manifest_bad_rows import place_of
from edge.runtime.sources.manifest_payloads import PayloadReader
from edge.runtime.sources.manifest_rows import parse_rows
from edge.runtime.sources.manifest_table import CsvTable

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.runtime.model_io import ModelIO
    from edge.runtime.rig import Rig
    from edge.runtime.sources.manifest_layout import ManifestLayout
    from edge.runtime.sources.manifest_rows import ManifestRow
    from edge.runtime.sources.manifest_table import CellTable


def open_table(path: Path) -> CellTable:
    """A manifest by its name: a CSV or Parquet file.

    Raises:
        DataError: It cannot be read, or is of neither kind.
        MissingDependencyError: The extra `data`, which reads Parquet, is not installed.
    """
    suffix = path.suffix.lower()
    if suffix in (".parquet", ".pq"):
        return ParquetTable(path)
    if suffix == ".csv":
        return CsvTable(path)
    raise DataError(f"{path} is neither .csv nor .parquet", "write the manifest as one of them")


def with_own_splits(table: CellTable, layout: ManifestLayout) -> ManifestLayout:
    """The layout with the column `split` of a Hugging Face folder, where it names neither a column nor shares."""
    own = isinstance(table, HuggingFaceTable) and SPLIT in table.columns
    if not own or layout.columns.split is not None or layout.shares is not None:
        return layout
    return layout.model_copy(update={"columns": layout.columns.model_copy(update={"split": SPLIT})})


class ManifestSamples:
    """All samples of a manifest, looked at once, read when they are asked for; can be sent to other processes.

    Args:
        table: The manifest.
        layout: What its columns are. Without targets there are no labels.
        model_io: The model.
        rig: The sensors that the samples stand for.

    Attributes:
        rows: One a sample.
        labels: Targets of each row.
        specs: The target tensors.

    Raises:
        ConfigError: Layout, model and rig do not fit each other.
        DataError: A row is bad; it is named, with what to do.
    """

    def __init__(self, table: CellTable, layout: ManifestLayout, model_io: ModelIO, rig: Rig) -> None:
        layout = with_own_splits(table, layout)
        outputs = labelled_outputs(layout, model_io)
        found = parse_rows(table, layout, model_io)
        self.rows = found.samples
        self.labels = read_labels(found.path, self.rows, layout, outputs)
        self.specs = label_specs(outputs)
        self.left_out = len(found.rows) - len(self.rows)
        self.path, self.model_io, self.rig = found.path, model_io, rig
        self._shown = {stream.name: stream.shown for stream in found.streams}
        self._reader = PayloadReader(found, model_io)
        self._preprocessor: Preprocessor | None = None
        for stream in model_io.modalities:
            rig.stream(stream)

    def __getstate__(self) -> dict[str, Any]:
        """Without the preprocessor, which every process makes for itself."""
        return {**self.__dict__, "_preprocessor": None}

    def tensors(self, row: ManifestRow) -> dict[str, NDArray[Any]]:
        """The model's inputs, `present` among them where the model has it, each with a batch of 1.

        Raises:
            DataError: A file cannot be read, or is not what the model needs; row and column are named.
            MissingDependencyError: What reads such files is not installed.
        """
        if self._preprocessor is None:
            self._preprocessor = Preprocessor(self.model_io, self.rig, read_tokenizers(self.model_io))
        payloads = self._reader.payloads(row)
        try:
            return self._preprocessor.inputs(payloads)
        except SampleError as error:
            named = next((c for n, c in self._shown.items() if error.problem.startswith(f"stream '{n}'")), "")
            raise DataError(f"{place_of(self.path, row.number, named)}: {error.problem}", error.remedy) from error

    def chosen(self, split: str | None) -> tuple[int, ...]:
        """Places of the rows of a split; of all if None.

        Raises:
            DataError: There is none.
        """
        places = tuple(i for i, row in enumerate(self.rows) if split in (None, row.split))
        if not places:
            raise DataError(f"{self.path} has no row of the split '{split}'", _why_no_split(self.rows))
        return places


def _why_no_split(rows: tuple[ManifestRow, ...]) -> str:
    have = sorted({row.split for row in rows} - {""})
    if not have:
        return "name a column for the split, or give `shares`"
    return f"its rows are of {', '.join(have)}: name splits in a column, or record more"


def check_labelled(samples: ManifestSamples) -> None:
    """Refuses samples without answers.

    Raises:
        ConfigError: The layout has no targets.
    """
    if not samples.specs:
        names = ", ".join(output.tensor for output in samples.model_io.outputs)
        raise ConfigError("the data names no `targets`, and training needs the answers", f"name a column for {names}")
