"""The chain's benchmark: what is kept of a seed, what several come to, and that its page is the result's."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from edge.compress.scoring.recording_counts import RecordingCounts
from edge.training.metrics import AccuracyMetric

if TYPE_CHECKING:
    from collections.abc import Iterator

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
GRAPH = onnx.ModelProto(ir_version=8).SerializeToString()
FOLDERS = [str(BENCHMARKS / "compression"), str(BENCHMARKS / "peers"), str(BENCHMARKS)]


@pytest.fixture(autouse=True)
def _importable() -> Iterator[None]:
    sys.path[:0] = FOLDERS
    yield
    for folder in FOLDERS:
        sys.path.remove(folder)


def counts(right: float) -> RecordingCounts:
    """Ten recordings of ten samples each."""
    return RecordingCounts("ab" * 32, {"all": np.array([[right, 10.0]] * 10)})


def outcome(seed: int) -> Any:
    results = importlib.import_module("chain_results")
    sides = {results.TEACHER: 10.0, results.STUDENT: 9.0, results.PRUNED: 8.0 + seed, results.QUANTIZED: 8.0}
    facts = {name: {"score": {"all": 10 * right}} for name, right in sides.items()}
    return results.SeedOutcome(seed, {name: counts(right) for name, right in sides.items()}, facts)


def test_a_finished_side_is_read_as_it_was_kept_and_not_made_again(tmp_path: Path) -> None:
    results = importlib.import_module("chain_results")
    made: list[str] = []

    def stage() -> Any:
        made.append("x")
        record = SimpleNamespace(metrics={"all": {"score": 80.0}}, params=5, macs=7, bytes=len(GRAPH))
        artifact = SimpleNamespace(plan=None)
        return SimpleNamespace(test_counts=counts(8.0), record=record, deployed=GRAPH, artifact=artifact)

    shelf = results.Shelf(tmp_path / "seed")
    first, again = (shelf.side("Torch-Pruning, uniform", stage) for _ in range(2))
    assert made == ["x"]
    assert first.facts == again.facts and first.facts["score"] == {"all": 80.0}
    assert again.graph == GRAPH
    np.testing.assert_array_equal(again.counts.by_state["all"], counts(8.0).by_state["all"])


def test_losses_are_those_of_all_seeds_together() -> None:
    results = importlib.import_module("chain_results")
    bench: Any = SimpleNamespace(
        project=SimpleNamespace(name="p"),
        task=SimpleNamespace(metric=AccuracyMetric),
        measurer=SimpleNamespace(test=Two(("a", "b"))),
    )
    lost = results.summarize(bench, [outcome(0), outcome(1)], 0.62)["lost"]
    assert lost[f"{results.TEACHER} - {results.STUDENT}"]["all"]["estimate"] == pytest.approx(10)
    assert lost[f"{results.STUDENT} - {results.PRUNED}"]["all"]["estimate"] == pytest.approx(5)
    assert lost[f"{results.STUDENT} - {results.PRUNED}"][results.MEAN]["estimate"] == pytest.approx(5)
    assert lost[f"{results.TEACHER} - {results.QUANTIZED}"]["all"]["estimate"] == pytest.approx(20)


class Two:
    def __init__(self, recordings: tuple[str, ...]) -> None:
        self.recordings = recordings

    def __len__(self) -> int:
        return len(self.recordings)


def test_the_page_is_written_from_the_result() -> None:
    page = importlib.import_module("chain_page")
    result = json.loads((BENCHMARKS / "results" / "chain.json").read_text(encoding="utf-8"))
    assert page.write(result) == (BENCHMARKS / "results_chain.md").read_text(encoding="utf-8")
