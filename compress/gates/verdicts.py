"""A step must pay: judges what a stage lost and gained against the stage before, by what its gate allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from edge.compress.gates.findings import GainFinding, GateFindings, LossFinding
from edge.compress.gates.wording import notes_on
from edge.runtime.errors import ConfigError
from edge.runtime.statistics import Interval

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.compress.gates.config import GateConfig
    from edge.compress.gates.findings import Judge, Verdict
    from edge.compress.scoring.loss_intervals import LossIntervals
    from edge.runtime.statistics import Comparison

ANY_STATE = "any"


class Figures(Protocol):
    """What is judged of a stage: its record has both."""

    @property
    def gate_metrics(self) -> Mapping[str, Mapping[str, float]]:
        """`{state: {metric: points}}` on the validation split."""

    @property
    def bytes(self) -> int:
        """Size of the deployed graph file."""


def judge_stage(
    before: Figures,
    after: Figures,
    gate: GateConfig | None,
    losses: LossIntervals | None,
    recordings: int = 0,
    speed: Comparison | None = None,
) -> GateFindings:
    """Holds a stage against the one before, on the validation split.

    Args:
        before: Figures of the stage before.
        after: Figures of the stage.
        gate: What it may cost and must bring; None where it is measured only.
        losses: Interval of each loss; None where there is none, which leaves the figures alone to judge by.
        recordings: That the intervals draw from.
        speed: Old graph timed against the new one, for `min_speedup`.
    """
    points = {
        (state, metric): before.gate_metrics[state][metric] - value
        for state, metrics in after.gate_metrics.items()
        for metric, value in metrics.items()
    }
    findings = GateFindings(
        judge="interval" if gate is None else gate.judge,
        recordings=recordings if losses else 0,
        losses=tuple(
            _loss(state, metric, lost, losses[state][metric] if losses else None, gate)
            for (state, metric), lost in points.items()
        ),
        gains=_gains(before, after, gate, speed),
    )
    return findings.model_copy(update={"notes": notes_on(findings)})


def limit_of(gate: GateConfig, state: str, metric: str) -> float | None:
    """Points of `metric` that may be lost in `state`: what names the state, then `any`, then the plain limits."""
    for named in (state, ANY_STATE):
        if metric in gate.limits.get(named, {}):
            return gate.limits[named][metric]
    if metric != "score":
        return None
    return gate.max_loss if state == "all" else gate.max_loss_any


def refuse_unknown_limits(name: str, gate: GateConfig, metrics: Mapping[str, Mapping[str, float]]) -> None:
    """Checks a gate before anything is trained for it.

    Args:
        name: Of the stage.
        gate: Its gate.
        metrics: `{state: {metric: points}}` as they are measured.

    Raises:
        ConfigError: It limits a state or metric that is not measured, and would never be looked at.
    """
    known = {metric for state in metrics.values() for metric in state}
    for state, limits in gate.limits.items():
        if state != ANY_STATE and state not in metrics:
            raise ConfigError(
                f"stage '{name}': gate.limits names the state '{state}'",
                f"choose from {', '.join((ANY_STATE, *metrics))}",
            )
        for metric in limits:
            if metric not in known:
                raise ConfigError(
                    f"stage '{name}': gate.limits.{state} names the metric '{metric}'",
                    f"choose from {', '.join(sorted(known))}",
                )


def _loss(state: str, metric: str, lost: float, interval: Interval | None, gate: GateConfig | None) -> LossFinding:
    limit = None if gate is None else limit_of(gate, state, metric)
    verdict: Verdict = "free" if gate is None or limit is None else _verdict(lost, interval, limit, gate.judge)
    return LossFinding(state=state, metric=metric, lost=lost, interval=interval, limit=limit, verdict=verdict)


def _gains(
    before: Figures, after: Figures, gate: GateConfig | None, speed: Comparison | None
) -> tuple[GainFinding, ...]:
    shrink = before.bytes / after.bytes
    if gate is None:
        return (GainFinding(gain="size", ratio=shrink),)
    enough: Verdict = "passed" if shrink >= gate.min_shrink else "refused"
    size = GainFinding(gain="size", ratio=shrink, limit=gate.min_shrink, verdict=enough)
    if speed is None or gate.min_speedup is None:
        return (size,)
    low, high = speed.interval
    turned = Interval(estimate=-speed.ratio, low=-high, high=-low)  # more is better here
    faster = GainFinding(
        gain="speed",
        ratio=speed.ratio,
        interval=Interval(estimate=speed.ratio, low=low, high=high),
        limit=gate.min_speedup,
        verdict=_verdict(-speed.ratio, turned, -gate.min_speedup, gate.judge),
    )
    return size, faster


def _verdict(lost: float, interval: Interval | None, limit: float, judge: Judge) -> Verdict:
    if judge == "point" or (interval is None and judge == "interval"):
        return "passed" if lost <= limit else "refused"
    if interval is not None and interval.high <= limit:
        return "passed"
    if judge == "proved" or (interval is not None and interval.low > limit):
        return "refused"
    return "undecided"
