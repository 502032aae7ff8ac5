"""What a bias report says of groups and of the gaps between them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from edge.compress.gates.findings import Verdict
from edge.explain.config import GatedMetric
from edge.explain.recording_draws import Quantity
from edge.runtime.statistics import Interval


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class GroupFinding(_Record):
    """One group, with everything present.

    Attributes:
        group: Value of the attribute.
        samples: How many.
        recordings: That they are from.
        judged: Whether it is large enough; the figures of one that is not are for reading only.
        score: Points.
        recall: Points of each class that the group has in enough recordings.
        calibration_error: Points between confidence and the share that is right; None where nothing was decided.
    """

    group: str
    samples: int
    recordings: int
    judged: bool
    score: Quantity
    recall: dict[str, Quantity]
    calibration_error: Quantity | None


class GapFinding(_Record):
    """How far apart two groups are.

    Attributes:
        metric: `score`; `recall` of a class; `demographic_parity`, how often a class is said to be there;
            `equalized_odds`, recall or false alarms of a class, whichever is further apart (Hardt, Price and Srebro
            2016).
        class_name: That the gap is largest in; None for the score.
        low: Group with the smallest value.
        high: Group with the largest.
        gap: Points between the two; the interval holds for all pairs of groups at once.
        limit: Points that are allowed; None where nothing was asked.
        verdict: As of a stage's gate: `refused` where the interval lies above the limit.
    """

    metric: GatedMetric
    class_name: str | None = None
    low: str
    high: str
    gap: Interval
    limit: float | None = None
    verdict: Verdict = "free"


class AttributeFinding(_Record):
    """All groups of one attribute.

    Attributes:
        attribute: Its name.
        groups: The lowest score first.
        gaps: Between those that are judged.
        notes: What a reader of the verdict must know.
    """

    attribute: str
    groups: tuple[GroupFinding, ...]
    gaps: tuple[GapFinding, ...]
    notes: tuple[str, ...] = ()
