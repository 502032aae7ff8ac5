"""What the chain came to: of one seed, kept on disk, and of all seeds together."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from measurements import pooled, weight_bytes

from edge.compress.scoring.loss_intervals import paired_losses
from edge.compress.scoring.recording_counts import RecordingCounts
from edge.compress.scoring.task import AdditiveMetric
from edge.runtime.atomic import atomic_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edge.compress.stages.measure import MeasuredStage
    from edge.workbench import Workbench

TEACHER, STUDENT, PRUNED, QUANTIZED = "teacher", "student", "edge, pruned", "edge, pruned, INT8"
SIDES, COUNTS = "sides.json", ".counts"


@dataclass(frozen=True, eq=False)
class SeedOutcome:
    """All sides of one seed.

    Attributes:
        seed: Which.
        counts: By side, on the test split.
        facts: By side: scores, parameters, MACs, bytes, and how many times as long `teacher` and `student` take.
    """

    seed: int
    counts: dict[str, RecordingCounts]
    facts: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, seed: int, stages: Mapping[str, MeasuredStage], ratios: Mapping[str, dict[str, Any]]) -> SeedOutcome:
        """From measured stages and their timings."""
        counts: dict[str, RecordingCounts] = {}
        for name, stage in stages.items():
            assert stage.test_counts is not None, "the task's metric is additive"
            counts[name] = stage.test_counts
        return cls(seed, counts, {name: _facts(stage) | ratios[name] for name, stage in stages.items()})


def keep_outcome(folder: Path, outcome: SeedOutcome) -> None:
    """Writes a seed; nothing is left where that fails."""
    with atomic_folder(folder) as partial:
        for number, counts in enumerate(outcome.counts.values()):
            (partial / f"{number}{COUNTS}").write_bytes(counts.to_bytes())
        content = {"seed": outcome.seed, "sides": list(outcome.counts), "facts": outcome.facts}
        (partial / SIDES).write_text(json.dumps(content, indent=1), encoding="utf-8")


def kept_outcome(folder: Path) -> SeedOutcome | None:
    """A seed that an earlier run finished."""
    if not folder.is_dir():
        return None
    content = json.loads((folder / SIDES).read_text(encoding="utf-8"))
    counts = {
        name: RecordingCounts.from_bytes((folder / f"{number}{COUNTS}").read_bytes())
        for number, name in enumerate(content["sides"])
    }
    return SeedOutcome(content["seed"], counts, content["facts"])


def summarize(bench: Workbench, outcomes: Sequence[SeedOutcome], share: float) -> dict[str, Any]:
    """Scores of every seed, and paired losses of all seeds together; a negative loss is a gain."""
    metric, test = bench.task.metric(), bench.measurer.test
    assert isinstance(metric, AdditiveMetric)
    together = {name: pooled([o.counts[name] for o in outcomes]) for name in outcomes[0].counts}
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
    }
