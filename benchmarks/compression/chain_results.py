"""What the chain came to: of one seed, kept on disk, and of all seeds together."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from measurements import pooled, weight_bytes

from edge.compress.scoring.loss_intervals import paired_losses
from edge.compress.scoring.recording_counts import RecordingCounts
from edge.compress.scoring.task import AdditiveMetric
from edge.runtime.atomic import atomic_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from edge.compress.stages.measure import MeasuredStage
    from edge.workbench import Workbench

TEACHER, STUDENT, PRUNED, QUANTIZED = "teacher", "student", "edge, pruned", "edge, pruned, INT8"
COUNTS, FACTS, GRAPH = "counts.npz", "facts.json", "graph.onnx"
MEAN = "mean of states"


@dataclass(frozen=True, eq=False)
class Side:
    """One model of a seed.

    Attributes:
        counts: On the test split.
        facts: Scores, parameters, MACs, bytes; for what was pruned to a latency, the share that the clock found.
        graph: The file that this machine would run.
    """

    counts: RecordingCounts
    facts: dict[str, Any]
    graph: bytes

    @classmethod
    def of(cls, stage: MeasuredStage) -> Side:
        """From what was measured."""
        assert stage.test_counts is not None, "the task's metric is additive"
        return cls(stage.test_counts, _facts(stage), stage.deployed)


@dataclass(frozen=True)
class Shelf:
    """Finished sides of one seed, each in a folder of its own, so that an interrupted run goes on.

    Attributes:
        folder: Of the seed; made with its first side.
    """

    folder: Path

    def side(self, name: str, make: Callable[[], MeasuredStage]) -> Side:
        """As it was kept, or made now and kept."""
        place = self.folder / re.sub(r"[^a-z0-9]+", "-", name.lower())
        if not place.is_dir():
            side = Side.of(make())
            with atomic_folder(place) as partial:
                (partial / COUNTS).write_bytes(side.counts.to_bytes())
                (partial / FACTS).write_text(json.dumps(side.facts, indent=1), encoding="utf-8")
                (partial / GRAPH).write_bytes(side.graph)
        counts = RecordingCounts.from_bytes((place / COUNTS).read_bytes())
        facts = json.loads((place / FACTS).read_text(encoding="utf-8"))
        return Side(counts, facts, (place / GRAPH).read_bytes())


@dataclass(frozen=True, eq=False)
class SeedOutcome:
    """All sides of one seed.

    Attributes:
        seed: Which.
        counts: By side, on the test split.
        facts: By side: those of `Side`, and how many times as long `teacher` and `student` take.
    """

    seed: int
    counts: dict[str, RecordingCounts]
    facts: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, seed: int, sides: Mapping[str, Side], ratios: Mapping[str, dict[str, Any]]) -> SeedOutcome:
        """From sides and the timings of their graphs."""
        counts = {name: side.counts for name, side in sides.items()}
        return cls(seed, counts, {name: side.facts | ratios[name] for name, side in sides.items()})


def summarize(bench: Workbench, outcomes: Sequence[SeedOutcome], share: float) -> dict[str, Any]:
    """Scores of every seed, and paired losses of all seeds together; a negative loss is a gain."""
    metric, test = bench.task.metric(), bench.measurer.test
    assert isinstance(metric, AdditiveMetric)
    together = {name: _with_mean(pooled([o.counts[name] for o in outcomes])) for name in outcomes[0].counts}
    return {
        "project": bench.project.name,
        "seeds": [o.seed for o in outcomes],
        "share": share,
        "test_samples": len(test),
        "recordings": len(set(test.recordings)),
        "sides": {name: [o.facts[name] for o in outcomes] for name in together},
        "lost": {
            f"{before} - {after}": {
                state: {key: getattr(of["score"], key) for key in ("estimate", "low", "high")}
                for state, of in paired_losses(together[before], together[after], metric.points).items()
            }
            for before, after in _pairs(list(together))
        },
    }


def _with_mean(counts: RecordingCounts) -> RecordingCounts:
    """With the mean of the states beside them: accuracy over the samples of all states, each of which has all."""
    return replace(counts, by_state={**counts.by_state, MEAN: sum(counts.by_state.values())})  # type: ignore[arg-type]


def _pairs(sides: list[str]) -> list[tuple[str, str]]:
    pruned = [name for name in sides if name not in (TEACHER, STUDENT, QUANTIZED)]
    return [
        (TEACHER, STUDENT),
        *((STUDENT, name) for name in pruned),
        *((name, PRUNED) for name in pruned if name != PRUNED),
        (PRUNED, QUANTIZED),
        (TEACHER, QUANTIZED),
    ]


def _facts(stage: MeasuredStage) -> dict[str, Any]:
    record = stage.record
    return {
        "score": {state: metrics["score"] for state, metrics in record.metrics.items()},
        "params": record.params,
        "macs": record.macs,
        "file_bytes": record.bytes,
        "weight_bytes": weight_bytes(stage.deployed),
        "latency": _pruned_latency(stage),
    }


def _pruned_latency(stage: MeasuredStage) -> dict[str, Any] | None:
    plan = stage.artifact.plan
    return None if plan is None or plan.latency is None else plan.latency.model_dump(mode="json")
