"""The result of `edge check`: steps with their verdicts, and what of the model each refuses."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge.compile.precision.layer_precision import PrecisionReport
from edge.runtime.errors import GateError
from edge.runtime.manifest import printable

Status = Literal["passed", "failed", "noted", "not checked"]
NAMED = 6


class Finding(BaseModel):
    """One layer, and what is wrong with it.

    Attributes:
        layer: Path of its module, or what the graph calls it.
        operator: ONNX or ATen operator.
        message: What is wrong, in one line.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    layer: str
    operator: str = ""
    message: str

    def __str__(self) -> str:
        operator = f" ({self.operator})" if self.operator else ""
        return f"{self.layer}{operator}: {self.message}"


class CheckStep(BaseModel):
    """One step.

    Attributes:
        name: Of the step.
        status: `noted` tells without judging; `not checked` says in `detail` what is missing here.
        detail: The verdict in a line.
        remedy: What to do about a step that failed or was not checked, where that is not said of each finding.
        findings: Layers that speak against it, or that are worth knowing of.
        facts: Numbers for programs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    status: Status
    detail: str
    remedy: str = ""
    findings: tuple[Finding, ...] = ()
    facts: dict[str, Any] = {}


class CheckReport(BaseModel):
    """Everything that was checked for one target.

    Attributes:
        subject: What was checked.
        kind: What it was opened from.
        target: Name of the device.
        jetpack: Release that it was checked for; None for a device without.
        tensorrt: The TensorRT of that release; None for a CPU.
        steps: In the order they ran.
        precision: As declared, where a network or graph told.
        notes: What a reader must know.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    subject: str
    kind: str
    target: str
    jetpack: str | None
    tensorrt: str | None
    steps: tuple[CheckStep, ...]
    precision: PrecisionReport | None = None
    notes: tuple[str, ...] = ()

    def count(self, status: Status) -> int:
        """Steps of a status."""
        return sum(step.status == status for step in self.steps)

    @property
    def remedies(self) -> dict[str, tuple[str, ...]]:
        """What to do about steps that failed or were not checked, each remedy once with the names of its steps."""
        found: dict[str, tuple[str, ...]] = {}
        for step in (*self.failed, *self.unchecked):
            if step.remedy:
                found[step.remedy] = (*found.get(step.remedy, ()), step.name)
        return found

    @property
    def failed(self) -> tuple[CheckStep, ...]:
        """Steps that speak against the model."""
        return tuple(step for step in self.steps if step.status == "failed")

    @property
    def unchecked(self) -> tuple[CheckStep, ...]:
        """Steps that this machine could not run."""
        return tuple(step for step in self.steps if step.status == "not checked")

    def demand(self, strict: bool) -> None:
        """Ends a check that failed.

        Args:
            strict: Whether what could not be checked counts as failed.

        Raises:
            GateError: A step failed; the message names the layers.
        """
        told = [f"{step.name}: {_told(step)}" for step in self.failed]
        if strict and self.unchecked:
            told.append(f"not checked here: {', '.join(step.name for step in self.unchecked)}")
        if told:
            problem = f"{self.subject} is not ready for {self.target}: {'; '.join(told)}"
            raise GateError(printable(problem), "the table says why, and --json lists all of it")


def _told(step: CheckStep) -> str:
    """The layers that speak against a step; what of them, where it is one alone."""
    if len(step.findings) < 2:
        return str(step.findings[0]) if step.findings else step.detail
    named = (f"{x.layer} ({x.operator})" if x.operator else x.layer for x in step.findings[:NAMED])
    more = f" and {len(step.findings) - NAMED} more" if len(step.findings) > NAMED else ""
    return ", ".join(named) + more
