"""A step must pay: refuses a stage that loses more than the recipe allows, or gains nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.runtime.errors import GateError

if TYPE_CHECKING:
    from edge.compress.record import StageRecord
    from edge.compress.stage import GateConfig


def check_gate(before: StageRecord, after: StageRecord, gate: GateConfig) -> None:
    """Compares a stage with the one before it, on the validation split.

    Raises:
        GateError: Too many points lost in a state, or the graph did not shrink as asked.
    """
    lost = {s: before.gate_metrics[s]["score"] - m["score"] for s, m in after.gate_metrics.items()}
    for state, points in lost.items():
        allowed = gate.max_loss if state == "all" else gate.max_loss_any
        if points > allowed:
            raise GateError(
                f"stage '{after.name}' loses {points:.2f} points of score in state '{state}', "
                f"{allowed:.2f} are allowed",
                "train longer, compress less, or raise the limit in the recipe; the stage before is kept",
            )
    shrink = before.bytes / after.bytes
    if shrink < gate.min_shrink:
        raise GateError(
            f"stage '{after.name}' makes the graph {shrink:.2f}x smaller, {gate.min_shrink:.2f}x is asked",
            "drop the stage or compress more; the stage before is kept",
        )
