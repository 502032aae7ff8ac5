"""The trace and the CSV files: what other programs read."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.profile.contents import Profile, Span
from edge.profile.views.chrome_trace import LAYERS, RUN, write_trace
from edge.profile.views.csv_rows import write_csv
from edge.profile.views.lanes import lanes_of
from tests.edge.profile.views.profiles import HOSTILE, a_profile, bare_profile, hostile_profile

MOMENTS = st.integers(0, 40)


def traced(profile: Profile, folder: Path) -> list[dict[str, Any]]:
    write_trace(profile, folder / "trace.json")
    found = json.loads((folder / "trace.json").read_text())
    assert found["displayTimeUnit"] == "ms"
    events: list[dict[str, Any]] = found["traceEvents"]
    return events


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def overlap_badly(events: list[dict[str, Any]]) -> bool:
    """Whether two of one thread overlap without one lying in the other, which trace viewers refuse."""
    by_thread = defaultdict(list)
    for event in events:
        by_thread[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    return any(
        a[0] < b[0] < a[1] - 0.01 and b[1] > a[1] + 0.01 for found in by_thread.values() for a in found for b in found
    )


def test_the_trace_has_every_span_and_layer_on_named_threads(tmp_path: Path) -> None:
    profile = a_profile()
    events = traced(profile, tmp_path)
    complete = [event for event in events if event["ph"] == "X"]
    run = [event for event in complete if event["pid"] == RUN]
    assert len(run) == len(profile.spans)
    assert sorted((e["name"], e["ts"], e["dur"]) for e in run) == sorted(
        (s.name, s.start_us, s.duration_us) for s in profile.spans
    )
    threads = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert {(e["pid"], e["tid"]) for e in complete} == set(threads)
    assert set(threads.values()) == {"camera", "camera (2)", "model", "onnxruntime-cpu/u8"}
    assert not overlap_badly(complete)


def test_layers_follow_each_other_in_the_engines_order(tmp_path: Path) -> None:
    profile = a_profile()
    layers = [e for e in traced(profile, tmp_path) if e["ph"] == "X" and e["pid"] == LAYERS]
    assert [e["name"] for e in layers] == [one.name for one in profile.layers]
    assert layers[1]["ts"] == pytest.approx(layers[0]["dur"])
    assert layers[0]["args"] == {"kind": "Conv", "macs": 10**7, "bytes": 4 * 10**6, "precision": "int8"}
    assert "precision" not in layers[3]["args"]


def test_a_bare_profile_is_a_valid_trace_and_hostile_names_are_kept(tmp_path: Path) -> None:
    assert [e["ph"] for e in traced(bare_profile(), tmp_path)] == ["M"]
    assert HOSTILE in {e["name"] for e in traced(hostile_profile(), tmp_path)}


@given(st.lists(st.tuples(st.sampled_from("ab"), MOMENTS, MOMENTS), max_size=30), st.booleans())
def test_no_line_holds_spans_that_overlap(drawn: list[tuple[str, int, int]], nested: bool) -> None:
    spans = [Span(track=track, name="engine", start_us=at, duration_us=taken) for track, at, taken in drawn]
    lines = [line for found in lanes_of(spans, nested=nested).values() for line in found]
    assert sorted(id(s) for line in lines for s in line) == sorted(map(id, spans))
    for line in lines:
        ends = [(s.start_us, s.start_us + s.duration_us) for s in line]
        for i, (begin, end) in enumerate(ends):
            for later_begin, later_end in ends[i + 1 :]:
                assert later_begin >= end or (nested and begin <= later_begin and later_end <= end)


def test_csv_holds_what_the_profile_holds(tmp_path: Path) -> None:
    profile = a_profile()
    write_csv(profile, tmp_path / "csv")
    latency = rows(tmp_path / "csv" / "latency.csv")
    assert [row["what"] for row in latency] == ["latency", "age:camera", "age:result"]
    assert float(latency[0]["p99_ms"]) == profile.latency_ms.distribution.p99
    assert (float(latency[0]["p99_low_ms"]), float(latency[0]["p99_high_ms"])) == profile.latency_ms.intervals["p99"]
    assert latency[1]["p50_low_ms"] == "" and latency[1]["mean_ms"] == ""
    assert [row["stage"] for row in rows(tmp_path / "csv" / "stages.csv")] == list(profile.stages_ms)
    layers = rows(tmp_path / "csv" / "layers.csv")
    assert len(layers) == 30 and layers[3]["precision"] == "" and layers[0]["macs"] == "10000000"
    assert len(rows(tmp_path / "csv" / "curve.csv")) == len(profile.latency_ms.curve)


def test_csv_of_a_bare_profile_has_empty_cells_and_no_zero(tmp_path: Path) -> None:
    write_csv(bare_profile(), tmp_path)
    (latency,) = rows(tmp_path / "latency.csv")
    assert {name for name, cell in latency.items() if cell} == {"what", "n", "mean_ms", "max_ms"}
    assert rows(tmp_path / "stages.csv") == rows(tmp_path / "layers.csv") == []
    assert (tmp_path / "layers.csv").read_text() == "name,kind,ms,macs,bytes,precision\n"


def test_csv_quotes_names(tmp_path: Path) -> None:
    profile = hostile_profile()
    write_csv(profile, tmp_path)
    assert [row["name"] for row in rows(tmp_path / "layers.csv")] == [one.name for one in profile.layers]
