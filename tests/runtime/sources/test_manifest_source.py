"""A manifest as streams: what the synchronizer makes of them is what the rows hold, for every row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from edge.runtime.clock import NS_PER_MS
from edge.runtime.errors import ConfigError, DataError, RigError, SourceError
from edge.runtime.faults.grammar import parse_fault
from edge.runtime.faults.source import FaultySource
from edge.runtime.fusion import series_steps, sound_windows_ns
from edge.runtime.model_io import ModelIO
from edge.runtime.preprocess.preprocessor import Preprocessor
from edge.runtime.rig import Rig
from edge.runtime.sample import AudioChunk, Reading, Sample
from edge.runtime.sources.base import Source
from edge.runtime.sources.grammar import open_sources
from edge.runtime.sources.manifest_layout import ManifestLayout, streams_file
from edge.runtime.sources.manifest_pace import replay_rig
from edge.runtime.sources.manifest_payloads import PayloadReader
from edge.runtime.sources.manifest_rows import parse_rows
from edge.runtime.sources.manifest_source import ManifestOptions, ManifestSource
from edge.runtime.sources.manifest_table import CsvTable
from edge.runtime.synchronize.synced import SyncedSet
from edge.runtime.synchronizer import Synchronizer
from tests.runtime.sources.manifest_files import IO, LAYOUT, RATE_HZ, RIG, changed, machine_rows, write_rows

OPTIONS = ManifestOptions(RIG, IO, LAYOUT)
IO_WITHOUT_SERIES = ModelIO.model_validate(
    {
        **IO.model_dump(mode="json", by_alias=True),
        "inputs": [
            *(i.model_dump(mode="json") for i in IO.inputs[:3]),
            {"feature": "present", "streams": ["camera", "audio", "labs"]},
        ],
    }
)
OPTIONS_WITHOUT_SERIES = ManifestOptions(
    RIG, IO_WITHOUT_SERIES, changed(LAYOUT, streams={n: LAYOUT.streams[n] for n in ("camera", "audio", "labs")})
)
PERIOD_NS = 200 * NS_PER_MS  # two of the anchor's: the window of sound has 200 ms


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, str]]:
    return machine_rows(tmp_path)


def synced_sets(source: Source, io: ModelIO) -> Iterator[SyncedSet]:
    """As a run in virtual time has them: deadlines are kept."""
    sync = Synchronizer(source.rig, io.modalities, sound_windows_ns(io), series_steps(io))
    for sample in source.samples():
        while (due_ns := sync.next_deadline_ns()) is not None and due_ns <= sample.arrival_ns:
            yield from sync.advance(due_ns)
        yield from sync.push(sample)
    yield from sync.flush()


def tensors_by_stamp(source: Source, io: ModelIO = IO) -> dict[int, dict[str, np.ndarray[Any, Any]]]:
    """The model's inputs of each set that the synchronizer emits."""
    preprocessor = Preprocessor(io, source.rig)
    sets = synced_sets(source, io)
    return {s.stamp_ns: preprocessor.inputs({n: x.payload for n, x in s.samples.items()}) for s in sets}


def expected(path: Path, options: ManifestOptions) -> dict[str, dict[str, np.ndarray[Any, Any]]]:
    """The same by id, as a dataset is drawn."""
    assert options.layout is not None
    found = parse_rows(CsvTable(path), options.layout, options.model_io)
    reader, preprocessor = PayloadReader(found, options.model_io), Preprocessor(options.model_io, RIG)
    return {row.id: preprocessor.inputs(reader.payloads(row)) for row in found.samples}


def assert_every_row_is_replayed(path: Path, source: ManifestSource, options: ManifestOptions = OPTIONS) -> None:
    """Its tensors are those of the dataset."""
    replayed, drawn = tensors_by_stamp(source, options.model_io), expected(path, options)
    assert len(source.stamped) > 0
    for stamp_ns, name in source.stamped:
        for tensor, values in drawn[name].items():
            assert np.allclose(replayed[stamp_ns][tensor], values, atol=1e-6), (name, tensor)


def test_every_row_comes_out_of_the_synchronizer_as_it_stands(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    path = write_rows(tmp_path / "rows.csv", rows)
    source = ManifestSource(path, OPTIONS)
    assert len(source.stamped) == 20
    assert_every_row_is_replayed(path, source)


@pytest.mark.parametrize("kept", ["picture", "power", "sodium"])
def test_what_rows_lack_is_missing_in_the_replay(tmp_path: Path, rows: list[dict[str, str]], kept: str) -> None:
    random = np.random.default_rng(3)
    for row in rows:
        for cells in (("sound",), ("sodium", "urea"), ("power",), ("picture",)):
            if random.uniform() < 0.5 and kept not in cells:
                row.update(dict.fromkeys(cells, ""))
    path = write_rows(tmp_path / "rows.csv", rows)
    source = ManifestSource(path, OPTIONS)
    assert source.rig.anchor == {"picture": "camera", "power": "meter", "sodium": "labs"}[kept]
    assert_every_row_is_replayed(path, source)


def test_rows_without_the_anchor_are_fused_where_it_should_have_been(
    tmp_path: Path, rows: list[dict[str, str]]
) -> None:
    rows[4].update(picture="")
    for row in rows[5:]:
        row.update(sodium="", urea="")
    rows[8].update(power="")
    path = write_rows(tmp_path / "rows.csv", rows)
    source = ManifestSource(path, OPTIONS)
    assert source.rig.anchor == "camera"
    replayed = tensors_by_stamp(source)
    stamp_ns = next(stamp for stamp, name in source.stamped if name == "s4")
    assert replayed[stamp_ns]["present"].tolist() == [[0, 1, 1, 0]]


@pytest.mark.parametrize("seed", range(5))
def test_every_row_has_its_result_where_no_stream_is_in_all(
    tmp_path: Path, rows: list[dict[str, str]], seed: int
) -> None:
    random = np.random.default_rng(seed)
    for row in rows:
        lost = [cells for cells in (("sound",), ("sodium", "urea"), ("picture",)) if random.uniform() < 0.4]
        for cells in lost[:2]:
            row.update(dict.fromkeys(cells, ""))
    path = write_rows(tmp_path / "rows.csv", rows)
    source = ManifestSource(path, OPTIONS_WITHOUT_SERIES)
    assert len(source.stamped) == 20
    assert_every_row_is_replayed(path, source, OPTIONS_WITHOUT_SERIES)


def test_the_order_of_rows_is_kept_where_all_have_the_anchor(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    rows[3].update(sodium="", urea="")
    source = ManifestSource(write_rows(tmp_path / "rows.csv", rows), OPTIONS_WITHOUT_SERIES)
    assert [name for _, name in source.stamped] == [f"s{number}" for number in range(20)]


def test_a_stream_that_comes_late_and_seldom_is_seen(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    for number, row in enumerate(rows):
        if number % 5:
            row.update(sodium="", urea="")
    late = RIG.streams["labs"].model_copy(update={"transport_ms": 90.0})
    rig = RIG.model_copy(update={"streams": {**RIG.streams, "labs": late}, "budget_ms": 20.0})
    path = write_rows(tmp_path / "rows.csv", rows)
    source = ManifestSource(path, ManifestOptions(rig, IO, LAYOUT))
    assert source.rig.stream("camera").transport_ms == 90
    assert_every_row_is_replayed(path, source)


def test_a_time_series_does_not_go_on_from_one_recording_into_the_next(
    tmp_path: Path, rows: list[dict[str, str]]
) -> None:
    path = write_rows(tmp_path / "rows.csv", rows)
    source = ManifestSource(path, OPTIONS)
    replayed = tensors_by_stamp(source)
    has = {name: replayed[stamp]["present"][0, 3] for stamp, name in source.stamped}
    assert [has[f"s{n}"] for n in (0, 4, 8, 12, 16)] == [0, 0, 1, 1, 1]
    assert [has[f"s{n}"] for n in (1, 5, 9, 13, 17)] == [0, 0, 1, 1, 1], "another machine begins anew"


def test_samples_come_at_the_rigs_rates_and_in_order(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    streams = LAYOUT.model_dump(mode="json")["streams"]
    source = ManifestSource(write_rows(tmp_path / "rows.csv", rows), OPTIONS)
    samples = list(source.samples())
    arrivals = [sample.arrival_ns for sample in samples]
    assert arrivals == sorted(arrivals)
    assert Counter(s.stream for s in samples) == {"camera": 20, "labs": 20, "meter": 20, "audio": 200}
    assert streams.keys() == source.rig.streams.keys()
    for name in streams:
        of = [sample for sample in samples if sample.stream == name]
        assert [sample.seq for sample in of] == list(range(len(of)))
        assert all(later.stamp_ns > earlier.stamp_ns for earlier, later in pairwise(of))
    pictures = [s.stamp_ns for s in samples if s.stream == "camera"]
    assert pictures[:5] == [PERIOD_NS * place for place in (1, 2, 3, 4, 5)]
    assert pictures[5] - pictures[4] == 4 * PERIOD_NS, "a pause between recordings"
    first = next(s for s in samples if s.stream == "labs")
    assert first.stamp_ns == PERIOD_NS - NS_PER_MS + 3 * NS_PER_MS, "the latency offset is taken off again"
    assert isinstance(first.payload, Reading) and first.payload.values.tolist() == [130, 4]
    assert_chunks(samples)


def assert_chunks(samples: list[Sample]) -> None:
    """Of the first row: whole, 20 ms each, and the last ends at the row's stamp."""
    chunks = [s for s in samples if s.stream == "audio"][:10]
    assert all(isinstance(s.payload, AudioChunk) and s.payload.samples.shape == (1, 160) for s in chunks)
    assert [s.stamp_ns for s in chunks] == [20 * NS_PER_MS * place for place in range(10)]
    assert chunks[-1].stamp_ns + 160 * 10**9 // RATE_HZ == PERIOD_NS
    assert all(s.arrival_ns == s.stamp_ns + 20 * NS_PER_MS for s in chunks)


def test_a_replay_repeats_itself(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    source = ManifestSource(write_rows(tmp_path / "rows.csv", rows), OPTIONS)

    def facts() -> list[tuple[str, int, int, int]]:
        return [(s.stream, s.stamp_ns, s.arrival_ns, s.seq) for s in source.samples()]

    assert facts() == facts()


def test_faults_apply(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    source = ManifestSource(write_rows(tmp_path / "rows.csv", rows), OPTIONS)
    faulty = FaultySource(source, [parse_fault("camera:stall@0s"), parse_fault("audio:stall@1s+1s")])
    counts = Counter(sample.stream for sample in faulty.samples())
    assert counts["camera"] == 0
    assert 0 < counts["audio"] < 200


def test_a_split_and_a_limit_choose_rows(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    path = write_rows(tmp_path / "rows.csv", rows)
    assert [name for _, name in ManifestSource(path, OPTIONS, "test").stamped] == ["s2", "s6", "s10", "s14", "s18"]
    assert [name for _, name in ManifestSource(path, OPTIONS, "train", 7).stamped][5:] == ["s3", "s7"]
    assert (
        "5 rows of the split 'test' of rows.csv, one each 200 ms" in ManifestSource(path, OPTIONS, "test").description
    )
    with pytest.raises(DataError, match=r"no row of the split 'dev' \(test, train, validation\)"):
        ManifestSource(path, OPTIONS, "dev")


def test_words_open_a_manifest(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    path = write_rows(tmp_path / "rows.csv", rows)
    source = open_sources([f"manifest:{path},split=test, limit=3"], rows=OPTIONS)
    assert isinstance(source, ManifestSource) and len(source.stamped) == 3
    for word, said in (
        ("manifest:", "names no file"),
        (f"manifest:{path},slpit=test", r"'slpit=test' is no option of a manifest \(did you mean 'split'\?\)"),
        (f"manifest:{path},limit=0", "limit '0' is no number of samples"),
        (f"manifest:{path},limit=many", "limit 'many' is no number of samples"),
        (f"manifest:{path},split=", "is no option of a manifest"),
    ):
        with pytest.raises(SourceError, match=said):
            open_sources([word], rows=OPTIONS)
    with pytest.raises(SourceError, match="needs a bundle"):
        open_sources([f"manifest:{path}"])
    with pytest.raises(DataError, match="cannot read"):
        open_sources([f"manifest:{tmp_path / 'none.csv'}"], rows=OPTIONS)


def test_the_layout_beside_the_manifest_comes_first(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    path = write_rows(tmp_path / "rows.csv", rows)
    with pytest.raises(SourceError, match=r"there is no rows\.streams\.yaml beside it"):
        ManifestSource(path, ManifestOptions(RIG, IO))
    content = {**LAYOUT.model_dump(mode="json"), "generated": True}
    streams_file(path).write_text(yaml.safe_dump(content))
    source = ManifestSource(path, ManifestOptions(RIG, IO))
    assert source.generated and "20 generated rows" in source.description
    streams_file(path).write_text(yaml.safe_dump({"streams": {"camera": {"column": "picture"}}}))
    with pytest.raises(ConfigError, match="the model takes the stream 'audio'"):
        ManifestSource(path, OPTIONS)


def test_the_pace_leaves_room_for_the_window_of_sound() -> None:
    rig = replay_rig(RIG, IO, "camera")
    assert {name: stream.rate_hz for name, stream in rig.streams.items()} == {
        "camera": 5,
        "labs": 5,
        "meter": 5,
        "audio": 50,
    }
    assert all(stream.policy == "required" for stream in rig.streams.values()), (
        "a row's sample is not held for the next"
    )
    assert all(stream.sanity.frozen_after is None for stream in rig.streams.values())
    slow = RIG.model_copy(update={"streams": {**RIG.streams, "camera": RIG.streams["camera"].model_copy()}})
    slow.streams["camera"] = slow.streams["camera"].model_copy(update={"rate_hz": 2.0})
    assert replay_rig(slow, IO, "camera").streams["labs"].rate_hz == 2
    with pytest.raises(RigError, match="no stream 'meter'"):
        without = {name: stream for name, stream in RIG.streams.items() if name != "meter"}
        replay_rig(Rig.model_validate({**RIG.model_dump(by_alias=True), "streams": without}), IO, "camera")


def test_equal_pictures_and_silence_are_no_broken_sensors(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    for row in rows:
        row |= {"picture": "0.png", "sound": "0.wav"}
    path = write_rows(tmp_path / "rows.csv", rows)
    from edge.runtime.sanity.gate import SanityGate

    source = ManifestSource(path, OPTIONS)
    gate = SanityGate(source.rig)
    assert not [reason for sample in source.samples() if (reason := gate.refusal(sample))]


def test_a_row_is_read_when_its_turn_comes(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    path = write_rows(tmp_path / "rows.csv", rows)
    source = ManifestSource(path, OPTIONS)
    (tmp_path / "16.png").write_bytes(b"no picture")
    seen: list[Sample] = []
    with pytest.raises(DataError, match=r"row 17, column 'picture'"):
        seen.extend(source.samples())
    assert len([s for s in seen if s.stream == "camera"]) == 4


def test_a_layout_without_targets_and_splits_is_enough(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    streams = LAYOUT.model_dump(mode="json")["streams"]
    layout = ManifestLayout.model_validate({"columns": {"recording": "machine"}, "streams": streams})
    source = ManifestSource(write_rows(tmp_path / "rows.csv", rows), ManifestOptions(RIG, IO, layout), limit=2)
    assert [name for _, name in source.stamped] == ["1", "5"], "rows of a recording follow each other"
