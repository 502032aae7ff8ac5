"""Parquet files and Hugging Face folders give the same samples as the CSV file with the same content."""

from __future__ import annotations

import pickle
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.data.hugging_face_table import HuggingFaceTable
from edge.data.manifest_samples import open_table
from edge.data.parquet_table import InlineFile, ParquetTable, cell_of
from edge.data.prepared import prepare_dataset
from edge.runtime.errors import DataError
from tests.edge.data.manifest_projects import project_on
from tests.runtime.sources.manifest_files import CLASSES, LAYOUT, machine_rows, write_rows

SPLITS = ("train", "validation", "test")


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, str]]:
    found = machine_rows(tmp_path)
    found[8].update(picture="", sodium="", urea="")
    return found


def typed(row: dict[str, str], folder: Path, *, inline: bool) -> dict[str, Any]:
    """The row as a typed table has it; with `inline` its files are within."""
    numbers = {name: float(row[name]) if row[name] else None for name in ("sodium", "urea", "power")}
    files: dict[str, Any] = {name: row[name] or None for name in ("picture", "sound")}
    if inline:
        files = {name: {"bytes": (folder / row[name]).read_bytes()} if row[name] else None for name in files}
    return {**row, **numbers, **files, "minute": int(row["minute"])}


def assert_the_same_samples(first: Path, second: Path) -> None:
    """Whatever the tables were."""
    from edge.data.dataset_folder import load_split

    for split in SPLITS:
        one, other = load_split(first, split), load_split(second, split)  # type: ignore[arg-type]
        assert (one.ids, one.recordings, one.attributes) == (other.ids, other.recordings, other.attributes)
        pairs = zip((*one.inputs, *one.targets), (*other.inputs, *other.targets), strict=True)
        assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in pairs)
        assert one.available is not None and other.available is not None
        assert np.array_equal(one.available.numpy(), other.available.numpy())


@pytest.mark.parametrize("inline", [False, True])
def test_parquet_gives_what_csv_gives(tmp_path: Path, rows: list[dict[str, str]], inline: bool) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "rows.parquet"
    parquet.write_table(arrow.Table.from_pylist([typed(row, tmp_path, inline=inline) for row in rows]), path)
    text = prepare_dataset(project_on(write_rows(tmp_path / "rows.csv", rows)), tmp_path / "text")
    assert_the_same_samples(text, prepare_dataset(project_on(path), tmp_path / "typed"))


@pytest.mark.parametrize("inline", [False, True])
def test_a_hugging_face_folder_gives_what_csv_gives(tmp_path: Path, rows: list[dict[str, str]], inline: bool) -> None:
    datasets = pytest.importorskip("datasets")
    parts = {}
    for split in SPLITS:
        members = [typed(row, tmp_path, inline=inline) for row in rows if row["split"] == split]
        for row in members:
            del row["split"]
            row["state"] = CLASSES.index(row["state"])
            if not inline:
                row.update({name: row[name] and str(tmp_path / row[name]) for name in ("picture", "sound")})
        part = datasets.Dataset.from_list(members)
        features = part.features.copy()
        features["state"] = datasets.ClassLabel(names=list(CLASSES))
        if inline:
            features |= {"picture": datasets.Image(decode=False), "sound": datasets.Audio(decode=False)}
        parts[split] = part.cast(features)
    folder = tmp_path / "stored"
    datasets.DatasetDict(parts).save_to_disk(str(folder))
    columns = {**LAYOUT.columns.model_dump(), "split": None}
    project = project_on(folder, "hugging_face", columns=columns)
    text = prepare_dataset(project_on(write_rows(tmp_path / "rows.csv", rows)), tmp_path / "text")
    drawn = prepare_dataset(project, tmp_path / "typed")
    assert_the_same_samples(text, drawn)
    before = (drawn / "dataset.json").stat().st_ino
    prepare_dataset(project, drawn)
    assert (drawn / "dataset.json").stat().st_ino == before, "nothing has changed, so nothing is drawn again"


def test_files_of_a_hugging_face_folder_reach_other_processes(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    content = [b"first", b"second"]
    part = datasets.Dataset.from_list([{"picture": {"bytes": one, "path": None}} for one in content])
    folder = tmp_path / "stored"
    part.cast_column("picture", datasets.Image(decode=False)).save_to_disk(str(folder))
    table = HuggingFaceTable(folder)
    assert (table.columns, len(table)) == (("picture",), 2)
    files: Any = [cells[0] for cells in table.rows()]
    assert [file.read() for file in pickle.loads(pickle.dumps(files))] == content
    assert files[0].identity != files[1].identity


def test_a_table_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    for name in ("rows.parquet", "rows.csv", "rows.json"):
        with pytest.raises(DataError, match=name):
            open_table(tmp_path / name)
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match=r"rows\.parquet is no Parquet file"):
        ParquetTable(tmp_path / "rows.parquet")
    with pytest.raises(DataError, match=r"is no dataset that can be read.*save_to_disk"):
        HuggingFaceTable(tmp_path)


def test_values_become_cells() -> None:
    assert cell_of(None, "x") == cell_of(float("nan"), "x") == cell_of(b"", "x") == cell_of({"bytes": None}, "x") == ""
    assert cell_of(0.1, "x") == "0.1"
    assert cell_of(np.float64(0.1).item(), "x") == "0.1"
    assert cell_of(3, "x") == "3"
    assert cell_of(" text ", "x") == "text"
    assert cell_of(date(2026, 3, 1), "x") == "2026-03-01"
    assert cell_of({"bytes": None, "path": "a.png"}, "x") == "a.png"
    assert cell_of({"bytes": b"png", "path": "a.png"}, "x") == InlineFile("x", b"png")
    assert InlineFile("x", b"a").identity != InlineFile("x", b"b").identity
