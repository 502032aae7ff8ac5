"""What a stage did and what came of it: goes into the bundle and the report."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from edge.compress.gates.findings import GateFindings
from edge.runtime.statistics import Interval

GATE_NOTE = "gate"
LOSSES_NOTE = "lost_since_before"
_LOSSES = TypeAdapter(dict[str, dict[str, Interval]])


class StageRecord(BaseModel):
    """One stage, measured.

    Attributes:
        name: `teacher`, `student`, `prune`, `quantize`, ...
        config: The stage's resolved config, which replays it.
        params: Weights of the model.
        macs: Multiply-accumulates of one inference at batch 1.
        bytes: Size of the deployed graph file (FP32 before quantization, the target's INT8 dialect after).
        seconds: Wall time that the stage took.
        metrics: `{state: {metric: points}}` on the test split.
        gate_metrics: The same on the validation split, which is what gates look at.
        notes: Facts worth keeping, e.g. `u8_agrees_with_s8`, `pruning`, and the two that the properties read.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    config: dict[str, Any]
    params: int
    macs: int
    bytes: int
    seconds: float
    metrics: dict[str, dict[str, float]]
    gate_metrics: dict[str, dict[str, float]]
    notes: dict[str, Any] = {}

    @property
    def gate(self) -> GateFindings | None:
        """What the gate found, on the validation split; None of the first stage."""
        found = self.notes.get(GATE_NOTE)
        return None if found is None else GateFindings.model_validate(found)

    @property
    def lost_since_before(self) -> dict[str, dict[str, Interval]]:
        """`{state: {metric: points lost}}` against the stage before, on the test split; empty without intervals."""
        return _LOSSES.validate_python(self.notes.get(LOSSES_NOTE, {}))

    def judged(self, findings: GateFindings, losses: dict[str, dict[str, Interval]] | None) -> StageRecord:
        """The same record with what was found against the stage before."""
        notes = {**self.notes, GATE_NOTE: findings.model_dump(mode="json")}
        if losses:
            notes[LOSSES_NOTE] = _LOSSES.dump_python(losses, mode="json")
        return self.model_copy(update={"notes": notes})
