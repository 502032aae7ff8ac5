"""A stage is refused when it loses too much in any state, or gains nothing."""

import pytest

from edge.compress.gate import check_gate
from edge.compress.record import StageRecord
from edge.compress.stage import GateConfig
from edge.runtime.errors import GateError


def record(name: str, scores: dict[str, float], size: int = 1000) -> StageRecord:
    metrics = {state: {"score": score} for state, score in scores.items()}
    return StageRecord(
        name=name, config={}, params=1, macs=1, bytes=size, seconds=0.0, metrics={}, gate_metrics=metrics
    )


BEFORE = record("student", {"all": 80.0, "only_audio": 40.0}, size=1000)
GATE = GateConfig(max_loss=1.0, max_loss_any=3.0, min_shrink=2.0)


def test_a_stage_within_its_limits_passes() -> None:
    check_gate(BEFORE, record("quantize", {"all": 79.1, "only_audio": 37.1}, size=500), GATE)


@pytest.mark.parametrize(
    ("after", "named"),
    [
        (record("quantize", {"all": 78.9, "only_audio": 40.0}, size=100), "'all'"),
        (record("quantize", {"all": 80.0, "only_audio": 36.9}, size=100), "'only_audio'"),
        (record("quantize", {"all": 80.0, "only_audio": 40.0}, size=501), "smaller"),
    ],
)
def test_a_refusal_names_what_was_lost(after: StageRecord, named: str) -> None:
    with pytest.raises(GateError, match=named) as refusal:
        check_gate(BEFORE, after, GATE)
    assert refusal.value.exit_code == 3


def test_a_gain_is_never_refused() -> None:
    check_gate(BEFORE, record("prune", {"all": 90.0, "only_audio": 90.0}, size=500), GATE)
