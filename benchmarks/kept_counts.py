"""What a trained model gets right, kept in a file, so that an interrupted benchmark trains nothing twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.compress.scoring.evaluation import evaluate_by_recording
from edge.compress.scoring.recording_counts import RecordingCounts
from edge.runtime.atomic import atomic_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.compress.samples import SampleSet
    from edge.compress.scoring.evaluation import Runner
    from edge.training.fusion_task import FusionTask


def kept_counts(path: Path, model: Callable[[], Runner], data: SampleSet, task: FusionTask) -> RecordingCounts:
    """Counts by recording; the model is made and scored where the file is not there yet."""
    if not path.is_file():
        found = evaluate_by_recording(model(), data, task).counts
        assert found is not None, "all metrics of fusion tasks count"
        with atomic_file(path) as draft:
            draft.write_bytes(found.to_bytes())
    return RecordingCounts.from_bytes(path.read_bytes())
