"""Rows of a manifest: what is found in them, and that every kind of bad row is named with what to do."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.runtime.errors import ConfigError, DataError
from edge.runtime.model_io import ModelIO
from edge.runtime.sample import AudioChunk, Image, Reading, Series, Text
from edge.runtime.sources.manifest_layout import ManifestLayout, SplitShares, layout_of_recipe, read_layout
from edge.runtime.sources.manifest_payloads import PayloadReader
from edge.runtime.sources.manifest_rows import ManifestRows, parse_rows
from edge.runtime.sources.manifest_splits import SPLIT_NAMES, split_by_share
from edge.runtime.sources.manifest_table import CsvTable
from tests.runtime.sources.manifest_files import COLUMNS, IO, LAYOUT, RATE_HZ, WINDOW, changed, machine_rows, write_rows


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, str]]:
    return machine_rows(tmp_path)


def parsed(folder: Path, rows: list[dict[str, str]], layout: ManifestLayout = LAYOUT) -> ManifestRows:
    return parse_rows(CsvTable(write_rows(folder / "rows.csv", rows)), layout, IO)


def test_a_row_says_who_it_is_and_what_it_has(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    found = parsed(tmp_path, rows)
    assert len(found.rows) == len(found.samples) == 20
    one = found.rows[9]  # the third of machine m1
    assert (one.number, one.id, one.recording, one.split) == (10, "s9", "m1", "validation")
    assert (one.attributes, one.labels) == ({"shift": "day"}, {"state": "healthy"})
    assert one.values["camera"] == tmp_path / "9.png"
    assert one.values["labs"] == (139.0, 6.25)
    assert one.values["meter"] == ((1 / 8,), (5 / 8,), (9 / 8,)), "readings of its machine alone, oldest first"
    assert "meter" not in found.rows[5].values, "only the second row of its machine"


def test_an_empty_cell_is_a_missing_modality(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    rows[0] |= {"picture": "", "sodium": "", "urea": ""}
    found = parsed(tmp_path, rows)
    assert set(found.rows[0].values) == {"audio"}


def test_a_hole_in_a_time_series_begins_it_anew(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    rows[4]["power"] = ""  # the second of machine m0
    found = parsed(tmp_path, rows)
    has = [("meter" in row.values) for row in found.rows if row.recording == "m0"]
    assert has == [False, False, False, False, True]


@pytest.mark.parametrize("order", ["minute", None])
def test_a_time_series_follows_its_column(tmp_path: Path, rows: list[dict[str, str]], order: str | None) -> None:
    meter = {"columns": ["power"], "order": order}
    layout = changed(LAYOUT, streams={**LAYOUT.model_dump(mode="json")["streams"], "meter": meter})
    found = parsed(tmp_path, rows[::-1], layout)
    newest = next(row for row in found.rows if row.id == "s8").values["meter"]
    rising, falling = ((0.0,), (0.5,), (1.0,)), ((2.0,), (1.5,), (1.0,))
    assert newest == (falling if order is None else rising)
    assert found.runs[-1][0].id == ("s16" if order is None else "s0")


@pytest.mark.parametrize("table", [list(range(12)), [f"2026-01-{day:02d}" for day in range(1, 13)]])
def test_places_are_numbers_or_dates(tmp_path: Path, rows: list[dict[str, str]], table: list[Any]) -> None:
    for number, row in enumerate(rows):
        row["minute"] = str(table[number // 4])
    assert [row.id for row in parsed(tmp_path, rows[::-1]).runs[-1]] == ["s0", "s4", "s8", "s12", "s16"]


def test_ids_are_row_numbers_and_recordings_are_ids_by_default(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    streams = {"camera": {"column": "picture"}}
    io = ModelIO.model_validate({"schema": 1, "inputs": [IO.inputs[0]], "outputs": IO.outputs})
    table = CsvTable(write_rows(tmp_path / "rows.csv", rows))
    found = parse_rows(table, ManifestLayout.model_validate({"streams": streams}), io)
    assert [(row.id, row.recording, row.split) for row in found.rows[:2]] == [("1", "1", ""), ("2", "2", "")]


BAD_ROWS: dict[str, tuple[dict[str, str], str]] = {
    "a missing file": ({"picture": "none.png"}, r"row 3, column 'picture': there is no file .*none\.png"),
    "no number": ({"sodium": "high"}, r"row 3, column 'sodium': 'high' is no number"),
    "not a number": ({"sodium": "nan"}, r"row 3, column 'sodium': 'nan' is no number"),
    "infinite": ({"urea": "-inf"}, r"row 3, column 'urea': '-inf' is no number"),
    "a comma": ({"urea": "1,5"}, r"row 3, column 'urea': '1,5' is no number"),
    "half a reading": ({"urea": ""}, r"row 3, column 'urea': the cell is empty, and others of its stream are not"),
    "an id twice": ({"name": "s1"}, r"row 3, column 'name': the id 's1' stands in row 2 already"),
    "no id": ({"name": ""}, r"row 3, column 'name': the cell is empty"),
    "no recording": ({"machine": ""}, r"row 3, column 'machine': the cell is empty"),
    "no split": ({"split": ""}, r"row 3, column 'split': the split is missing"),
    "an unknown split": ({"split": "dev"}, r"row 3, column 'split': 'dev' is no split.*write one of train"),
    "two splits": ({"machine": "m0"}, r"recording 'm0' is in 'test' here, and in 'train' in row 1"),
    "nothing": (
        dict.fromkeys(("picture", "sound", "sodium", "urea", "power"), ""),
        r"row 3: every stream is empty",
    ),
    "one place twice": ({"machine": "m1", "split": "validation"}, "'0' stands in row 2 of the same recording already"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_bad_row_is_named_with_what_to_do(tmp_path: Path, rows: list[dict[str, str]], name: str) -> None:
    change, said = BAD_ROWS[name]
    rows[2] |= change
    with pytest.raises(DataError, match=said) as refused:
        parsed(tmp_path, rows)
    assert str(tmp_path / "rows.csv") in refused.value.problem
    assert refused.value.remedy


def test_the_first_bad_row_is_named_and_the_others_counted(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    rows[2] |= {"sodium": "high", "urea": "low"}
    rows[7] |= {"sound": "none.wav"}
    rows[9] |= {"picture": "none.png"}
    with pytest.raises(DataError, match=r"row 3, column 'sodium'.*\(2 more rows are bad\)"):
        parsed(tmp_path, rows)


def test_a_stream_that_no_row_has_is_refused(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    for row in rows:
        row["picture"] = ""
    with pytest.raises(DataError, match=r"no row has anything for the stream 'camera' \(column 'picture'\)"):
        parsed(tmp_path, rows)
    with pytest.raises(DataError, match="no row has anything of 3 rows of one recording for the stream 'meter'"):
        parsed(tmp_path, machine_rows(tmp_path, per_machine=2))


def test_streams_and_columns_fit_the_model(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    told = LAYOUT.model_dump(mode="json")["streams"]
    without = {name: columns for name, columns in told.items() if name != "audio"}
    for streams, said in (
        (without, "takes the stream 'audio', and the manifest's `streams` name no column"),
        (told | {"radar": {"column": "picture"}}, "name 'radar', which the model does not take"),
        (told | {"labs": {"columns": ["sodium"]}}, "stream 'labs' lacks a column for the field 'urea'"),
        (told | {"camera": {"columns": ["sodium", "urea"]}}, "stream 'camera' is a picture, and has several columns"),
        (told | {"camera": {"column": "picture", "file": True}}, "stream 'camera' is no text"),
    ):
        with pytest.raises(ConfigError, match=re.escape(said)):
            parsed(tmp_path, rows, changed(LAYOUT, streams=streams))
    absent = told | {"camera": {"column": "pictures"}}
    with pytest.raises(DataError, match=r"rows\.csv has no column 'pictures' \(did you mean 'picture'\?\)"):
        parsed(tmp_path, rows, changed(LAYOUT, streams=absent))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("\n", "is empty"),
        ("name;split\na;b\n", "not separated by commas"),
        ("a,b,a\n1,2,3\n", "column 'a' twice"),
        ("a,,b\n1,2,3\n", "a column without a name"),
        ("a,b\n1,2\n1,2,3\n", "row 2 has 3 cells, the header has 2"),
        ('a,b\n1,"2\n', "row 1 is no CSV"),
        (",".join(COLUMNS) + "\n", "has no row"),
        (b"a,\xff\n", "is not UTF-8"),
    ],
)
def test_a_broken_table_is_refused(tmp_path: Path, content: str | bytes, said: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=said):
        parse_rows(CsvTable(path), LAYOUT, IO)


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*none\.csv"):
        CsvTable(tmp_path / "none.csv")


def test_a_text_may_hold_commas_quotes_and_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes('\ufeffname, report\r\na,"clear, ""no"" sign\nof it"\r\n\r\nb,short\r\n'.encode())
    table = CsvTable(path)
    assert table.columns == ("name", "report")
    assert list(table.rows()) == [("a", 'clear, "no" sign\nof it'), ("b", "short")]


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6))
def test_whatever_is_written_is_read(cells: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        table = [{"a": a, "b": b} for a, b in cells]
        read = CsvTable(write_rows(Path(folder) / "rows.csv", table, ["a", "b"]))
        assert list(read.rows()) == [(a.strip(), b.strip()) for a, b in cells]
        assert len(read) == len(cells)


@pytest.mark.parametrize(
    "content",
    [
        {"streams": {}},
        {"streams": {"camera": {}}},
        {"streams": {"camera": {"column": "a", "columns": ["b"]}}},
        {"streams": {"camera": {"colunm": "a"}}},
        {"streams": {"a": {"column": "a"}}, "shares": {"validation": 0.5, "test": 0.5}},
        {"streams": {"a": {"column": "a"}}, "shares": {"validation": 0.1, "test": 0.1}, "columns": {"split": "s"}},
    ],
)
def test_a_layout_that_contradicts_itself_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ManifestLayout.model_validate(content)


def test_a_layout_is_read_from_a_file_and_from_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "rows.streams.yaml"
    path.write_text("streams: {camera: {column: picture}}\ngenerated: true\n")
    layout = read_layout(path)
    assert layout.generated
    data = {"kind": "manifest", "path": "x.csv", "rig": "rig.yaml", **layout.model_dump(mode="json")}
    assert layout_of_recipe({"data": data}) == layout
    assert layout_of_recipe({"data": {"kind": "street"}}) is None
    assert layout_of_recipe("anything") is None
    with pytest.raises(ConfigError, match="malformed"):
        layout_of_recipe({"data": {**data, "streams": {"camera": 3}}})
    path.write_text("streams: {camera: {colunm: picture}}\n")
    with pytest.raises(ConfigError, match=r"rows\.streams\.yaml: streams\.camera"):
        read_layout(path)


NAMES = st.text(min_size=1, max_size=12)
SHARES = st.tuples(st.floats(0.01, 0.49), st.floats(0.01, 0.49)).map(lambda s: SplitShares(validation=s[0], test=s[1]))


@settings(max_examples=60, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=30), SHARES, st.data())
def test_a_recordings_split_depends_on_its_name_alone(names: list[str], shares: SplitShares, data: Any) -> None:
    before = {name: split_by_share(name, shares) for name in names}
    more = [*data.draw(st.lists(NAMES)), *data.draw(st.permutations(names))]
    after = {name: split_by_share(name, shares) for name in more}
    assert all(after[name] == split for name, split in before.items()), "rows that are added move none"
    assert set(before.values()) <= set(SPLIT_NAMES)


@settings(max_examples=25, deadline=None)
@given(SHARES, st.integers(0, 1 << 20))
def test_shares_are_right_within_chance(shares: SplitShares, first: int) -> None:
    count = 4000
    splits = [split_by_share(f"machine-{first + i}", shares) for i in range(count)]
    for split, share in (("validation", shares.validation), ("test", shares.test)):
        deviation = np.sqrt(share * (1 - share) / count)
        assert abs(splits.count(split) / count - share) < 5.5 * deviation


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 0.3), st.floats(0.01, 0.3), st.floats(0.01, 0.19))
def test_a_larger_test_share_only_adds_to_the_test(validation: float, test: float, more: float) -> None:
    small, large = SplitShares(validation=validation, test=test), SplitShares(validation=validation, test=test + more)
    names = [str(i) for i in range(300)]
    assert {n for n in names if split_by_share(n, small) == "test"} <= {
        n for n in names if split_by_share(n, large) == "test"
    }


def test_all_rows_of_a_recording_share_a_split(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    columns = {"id": "name", "recording": "machine"}
    found = parsed(tmp_path, rows, changed(LAYOUT, columns=columns, shares={"validation": 0.3, "test": 0.3}))
    owners = {row.recording: row.split for row in found.rows}
    assert all(row.split == owners[row.recording] for row in found.rows)


@pytest.fixture
def reader(tmp_path: Path, rows: list[dict[str, str]]) -> Callable[[str], Any]:
    found = parsed(tmp_path, rows)
    return lambda name: PayloadReader(found, IO).payload(found.rows[9], name)


def test_payloads_are_what_the_files_and_cells_hold(reader: Callable[[str], Any], tmp_path: Path) -> None:
    picture, sound, labs, meter = (reader(name) for name in ("camera", "audio", "labs", "meter"))
    random = np.random.default_rng(9)
    assert isinstance(picture, Image) and picture.format == "mono8"
    assert np.array_equal(picture.pixels, random.integers(0, 256, (8, 8), np.uint8))
    assert isinstance(sound, AudioChunk) and sound.rate_hz == RATE_HZ
    assert sound.samples.shape == (1, WINDOW)
    assert np.allclose(sound.samples[0], random.uniform(-0.5, 0.5, 2000)[-WINDOW:], atol=1e-4), "the end of the file"
    assert isinstance(labs, Reading) and labs.fields == ("sodium", "urea") and labs.values.tolist() == [139, 6.25]
    assert isinstance(meter, Series) and meter.values.tolist() == [[0.125], [0.625], [1.125]]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("9.png", b"", "is no picture, or is truncated"),
        ("9.png", b"\x89PNG and no more", "is no picture, or is truncated"),
        ("9.wav", b"RIFF", "is no sound file"),
        ("9.wav", None, "cannot|no sound file"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_row(
    tmp_path: Path, rows: list[dict[str, str]], name: str, content: bytes | None, said: str
) -> None:
    found = parsed(tmp_path, rows)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    column = "picture" if name.endswith("png") else "sound"
    with pytest.raises(DataError, match=rf"rows\.csv: row 10, column '{column}': .*({said})"):
        PayloadReader(found, IO).payloads(found.rows[9])


def test_a_short_sound_is_refused_or_begins_with_silence(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    import soundfile

    soundfile.write(tmp_path / "9.wav", np.full(1000, 0.25), RATE_HZ)
    found = parsed(tmp_path, rows)
    with pytest.raises(DataError, match=r"holds 1000 values, the model's window needs 1600; .*short: silence"):
        PayloadReader(found, IO).payload(found.rows[9], "audio")
    streams = LAYOUT.model_dump(mode="json")["streams"] | {"audio": {"column": "sound", "short": "silence"}}
    found = parsed(tmp_path, rows, changed(LAYOUT, streams=streams))
    padded = PayloadReader(found, IO).payload(found.rows[9], "audio")
    assert isinstance(padded, AudioChunk)
    assert padded.samples[0, :600].tolist() == [0] * 600
    assert padded.samples[0, 600:].tolist() == [0.25] * 1000


def test_a_sound_of_another_rate_is_refused_and_channels_are_averaged(
    tmp_path: Path, rows: list[dict[str, str]]
) -> None:
    import soundfile

    soundfile.write(tmp_path / "9.wav", np.zeros(4000), 16_000)
    soundfile.write(tmp_path / "8.wav", np.stack([np.full(2000, 0.5), np.zeros(2000)], axis=1), RATE_HZ)
    found = parsed(tmp_path, rows)
    with pytest.raises(DataError, match=r"row 10, column 'sound': .*is at 16000 Hz, the model hears 8000 Hz"):
        PayloadReader(found, IO).payload(found.rows[9], "audio")
    mixed = PayloadReader(found, IO).payload(found.rows[8], "audio")
    assert isinstance(mixed, AudioChunk) and np.allclose(mixed.samples, 0.25, atol=1e-4)


@pytest.mark.parametrize("as_file", [False, True])
def test_a_text_stands_in_the_cell_or_in_a_file(tmp_path: Path, as_file: bool) -> None:
    tokens = {
        "feature": "tokens",
        "tensor": "ids",
        "stream": "report",
        "shape": [1, 8],
        "tokenizer": "t.json",
        "vocabulary": 9,
    }
    io = ModelIO.model_validate({"schema": 1, "inputs": [tokens], "outputs": IO.outputs})
    (tmp_path / "a.txt").write_text("from a file\n")
    path = write_rows(tmp_path / "rows.csv", [{"said": "a.txt"}], ["said"])
    layout = ManifestLayout.model_validate({"streams": {"report": {"column": "said", "file": as_file}}})
    found = parse_rows(CsvTable(path), layout, io)
    payload = PayloadReader(found, io).payload(found.rows[0], "report")
    assert isinstance(payload, Text)
    assert payload.text == ("from a file" if as_file else "a.txt")
