"""A measured stage against the one before it: intervals of what it lost, speed where it is asked for, the verdict."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from edge.compress.gates.verdicts import judge_stage
from edge.compress.gates.wording import describe_refusal
from edge.compress.scoring.loss_intervals import paired_losses
from edge.compress.scoring.task import AdditiveMetric
from edge.compress.stages.unseen_recordings import unseen_by_search
from edge.runtime.errors import GateError

if TYPE_CHECKING:
    from edge.compress.gates.config import GateConfig
    from edge.compress.scoring.loss_intervals import LossIntervals
    from edge.compress.scoring.recording_counts import RecordingCounts
    from edge.compress.stages.measure import MeasuredStage
    from edge.compress.stages.stage import CompressionContext
    from edge.runtime.statistics import Comparison

    # Times the first stage's deployed graph over the second's.
    TimePair = Callable[[MeasuredStage, MeasuredStage], Comparison]

logger = logging.getLogger(__name__)
CONFIDENCE = 0.95  # where no gate says another


class StageRefusedError(GateError):
    """A stage did not pay; those before it stand.

    Attributes:
        stage: The refused one, measured and with its findings.
    """

    def __init__(self, stage: MeasuredStage, problem: str) -> None:
        super().__init__(problem, "train longer, compress less, or change the gate; the stage before is kept")
        self.stage = stage


def judged_stage(
    before: MeasuredStage,
    after: MeasuredStage,
    gate: GateConfig | None,
    context: CompressionContext,
    time_pair: TimePair | None = None,
) -> MeasuredStage:
    """The stage with what was found against the one before in its record; without a gate that is found all the same.

    What a plan was searched by, it is not judged by: then only the other recordings of the validation split count.

    Args:
        before: The stage before.
        after: The one to judge, evaluated on the same samples.
        gate: Its limits.
        context: Gives the metric.
        time_pair: For `min_speedup`.
    """
    confidence = CONFIDENCE if gate is None else gate.confidence
    unseen = unseen_by_search(before, after, context.task)
    whole = (before.record, before.validation_counts), (after.record, after.validation_counts)
    (first, first_counts), (second, second_counts) = unseen or whole
    validation = _losses(first_counts, second_counts, context, confidence)
    tested = _losses(before.test_counts, after.test_counts, context, confidence)
    recordings = second_counts.recordings if second_counts else 0
    asks_speed = gate is not None and gate.min_speedup is not None
    speed = time_pair(before, after) if asks_speed and time_pair else None
    findings = judge_stage(first, second, gate, validation, recordings, speed)
    return replace(after, record=after.record.judged(findings, tested))


def unless_refused(stage: MeasuredStage) -> MeasuredStage:
    """The stage itself; what its gate could not decide is logged.

    Raises:
        StageRefusedError: Its gate refused it.
    """
    findings = stage.record.gate
    assert findings is not None, "every stage is judged before it is handed on"
    refusal = describe_refusal(stage.record.name, findings)
    if refusal is not None:
        raise StageRefusedError(stage, refusal)
    if findings.verdict == "undecided":
        for note in findings.notes:
            logger.warning("the gate of stage '%s' is undecided: %s", stage.record.name, note)
    return stage


def _losses(
    before: RecordingCounts | None, after: RecordingCounts | None, context: CompressionContext, confidence: float
) -> LossIntervals | None:
    if before is None or after is None or after.recordings < 2:
        return None
    metric = context.task.metric()
    assert isinstance(metric, AdditiveMetric), "counts come from an additive metric"
    return paired_losses(before, after, metric.points, confidence)
