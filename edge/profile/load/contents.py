"""What a search for the sustainable rate found: the schema of `load.json`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge.profile.contents import Subject
from edge.profile.load.config import LoadConfig
from edge.runtime.environment import HostDescription
from edge.runtime.machine_state.state import MachineState
from edge.runtime.statistics import Distribution

# What can be full: a thread each, and the cores that all of them share.
Resource = Literal["producer", "matching", "inference", "cores"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)


class StepFigures(_Part):
    """What was measured at one rate, after it had settled.

    Attributes:
        factor: Times the rig's rates.
        asked_hz: Rate of the anchor.
        delivered_hz: Rate at which the anchor's samples were pushed; None of fewer than two.
        results_hz: Rate of results; None of fewer than two.
        sets: That were matched: results and sets that gave way.
        overruns: Sets that gave way to the next because the model was busy.
        deadline_misses: Sets that went out at their deadline with a stream still awaited.
        untrue: Results that are blind, or of a predicted tick because the anchor's sample did not get there.
        starved: Samples lost because the thread that matches did not get to them, or sets were kept too long.
        latency_ms: From the last arrival of a set to its result.
        age_growth_ms: Median age of results in the last third, minus that of the first; None of too few.
        stages_ms: Median by stage. `take` is from one result to the model's thread having the next set, of those that
            waited already: what the thread does beside the model. Absent where fewer than five did.
        utilisation: By resource, how much of it the rate asks for, or takes: `inference` and `producer` the median of
            what one set or sample takes, `take` included, times the rate asked for; `matching` and `cores` processor
            time over time. 1 is full. Absent where the system does not tell.
    """

    factor: float = Field(gt=0)
    asked_hz: float = Field(gt=0)
    delivered_hz: float | None = None
    results_hz: float | None = None
    sets: int = Field(ge=0)
    overruns: int = Field(0, ge=0)
    deadline_misses: int = Field(0, ge=0)
    untrue: int = Field(0, ge=0)
    starved: int = Field(0, ge=0)
    latency_ms: Distribution
    age_growth_ms: float | None = None
    stages_ms: dict[str, float] = {}
    utilisation: dict[Resource, float] = {}


class LoadStep(_Part):
    """A step of the search.

    Attributes:
        figures: Measured.
        misses: Why the rate is not sustained, a line each; none where it is.
    """

    figures: StepFigures
    misses: tuple[str, ...] = ()


class Saturation(_Part):
    """What is full at the lowest rate that was missed.

    Attributes:
        resource: The one with the highest utilisation.
        stage: The longest of its stages where it has several, such as `engine`; else `push`, `matching` or `cores`.
        utilisation: Of it.
        is_full: Whether that reaches 1. Where it does not, the misses are of jitter or waits, and this is merely what
            is nearest to its limit.
    """

    resource: Resource
    stage: str
    utilisation: float
    is_full: bool


class LoadReport(_Part):
    """Everything that a search found.

    Attributes:
        subject: What ran.
        config: As asked for.
        streams_hz: Rates of the rig by stream, at factor 1.
        anchor: Whose rate is told.
        steps: In the order in which they ran; one that missed was run again before its rate counted as missed.
        sustained_hz: The highest rate of the anchor without a miss; None where the first step missed.
        missed_hz: The lowest with one; None where `most` was sustained.
        saturated: At the lowest missed rate; None where there is none, or nothing can be told.
        before: The machine's state before.
        after: And after.
        environment: Machine and software.
        notes: Plain sentences for the reader.
    """

    schema_version: Literal[1] = Field(1, validation_alias="schema", serialization_alias="schema")
    subject: Subject
    config: LoadConfig
    streams_hz: dict[str, float]
    anchor: str
    steps: tuple[LoadStep, ...]
    sustained_hz: float | None = None
    missed_hz: float | None = None
    saturated: Saturation | None = None
    before: MachineState
    after: MachineState
    environment: HostDescription
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The object of `load.json`."""
        return self.model_dump(mode="json", by_alias=True)
