"""What a profile says: the schema of `profile.json`, which every view draws and every comparison reads."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge.runtime.environment import HostDescription
from edge.runtime.machine_state.state import MachineState
from edge.runtime.statistics import Distribution

Scenario = Literal["single", "stream", "offline"]
SubjectKind = Literal["bundle", "onnx", "program", "engine"]
# The road of a sample through a stream's run, in this order.
STAGES = ("arrival", "sync_wait", "queue", "preprocess", "transfer", "engine", "decode")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)


class Subject(_Part):
    """What was timed.

    Attributes:
        name: Its file's or folder's name, without the path.
        kind: `program` is a `.pt2`, `engine` a TensorRT plan.
        digest: SHA-256 of the file, or the bundle's own.
        engine: Back end and dialect, such as `onnxruntime-cpu/u8`.
        inputs: Shapes by tensor, as run.
    """

    name: str
    kind: SubjectKind
    digest: str
    engine: str
    inputs: dict[str, tuple[int, ...]] = {}


class Measured(_Part):
    """A distribution in milliseconds with 95 % intervals of those percentiles that its n supports.

    Attributes:
        distribution: Percentiles; None where n is too small.
        intervals: By percentile name, `p50` and so on; one that n cannot bound from both sides is absent.
        mean: Of all.
        curve: `[share, milliseconds]` in rising order, at most 200 points, for drawing the cumulative distribution.
    """

    distribution: Distribution
    intervals: dict[str, tuple[float, float]] = {}
    mean: float | None = None
    curve: tuple[tuple[float, float], ...] = ()


class LayerTime(_Part):
    """A layer as the engine timed it.

    Attributes:
        name: As the engine calls it; fused layers are one.
        kind: Operator.
        ms: Mean a run.
        macs: Multiply-accumulates, where they can be told; ONNX Runtime counts channels that it pads its blocks with.
        bytes: Read and written, where they can be told.
        precision: Computed in, where it can be told.
    """

    name: str
    kind: str
    ms: float = Field(ge=0)
    macs: int | None = Field(None, ge=0)
    bytes: int | None = Field(None, ge=0)
    precision: Literal["int8", "fp16", "fp32"] | None = None


class Span(_Part):
    """A step of one sample's road, for the timeline.

    Attributes:
        track: Stream or thread that it is drawn on.
        name: Of the step, one of `STAGES`, or of a layer.
        start_us: From the first span on.
        duration_us: Of it.
        number: Of the result that it belongs to; None where it belongs to none.
    """

    track: str
    name: str
    start_us: float
    duration_us: float = Field(ge=0)
    number: int | None = None


class Energy(_Part):
    """What the rails gave while results were made.

    Attributes:
        source: `hwmon` or `tegrastats`.
        rails_mw: Mean power by rail.
        millijoules: Energy of one result: mean of `total` over the time, over results.
        total: The rail that holds the others, such as `VDD_IN`; or `sum`.
        readings: That the means are of.
    """

    source: str
    rails_mw: dict[str, float]
    millijoules: float = Field(ge=0)
    total: str
    readings: int = Field(ge=1)


class Profile(_Part):
    """Everything that one `edge profile` found.

    Attributes:
        subject: What was timed.
        scenario: `single`: one inference after the other. `stream`: fed by a source at its pace. `offline`: as many at
            once as `batch` says, as fast as it goes.
        source: One line on the data, for a stream; `random` inputs otherwise.
        batch: Samples at once: of one inference where the model takes them, else of as many side by side.
        seed: Of inputs and order.
        warm_up_calls: Before the first that counts.
        stable: Whether the warm-up ended because durations had settled.
        latency_ms: From a sample handed over to its result; in a stream from the last arrival of a set.
        stages_ms: By stage, of `STAGES`, those that this scenario has.
        age_ms: Emission minus stamp by modality, `result` the oldest; for a stream.
        throughput_hz: Results a second over the measured time.
        asked_hz: Rate of the stream's anchor, which the source was to deliver.
        delivered_hz: Rate that it did deliver.
        dropped: Samples and sets that were not used, by reason.
        layers: Mean time of each, where the engine can tell; timed in another pass than `latency_ms`.
        memory_peak_mib: The most that the process held.
        energy: None where no rails can be read.
        before: The machine's state before.
        after: And after.
        environment: Machine and software.
        spans: A stretch of the timeline.
        notes: Plain sentences for the reader: what could not be measured and why, fallbacks, doubts.
    """

    schema_version: Literal[1] = Field(1, validation_alias="schema", serialization_alias="schema")
    subject: Subject
    scenario: Scenario
    source: str = "random"
    batch: int = Field(1, ge=1)
    seed: int = 0
    warm_up_calls: int = Field(0, ge=0)
    stable: bool = True
    latency_ms: Measured
    stages_ms: dict[str, Measured] = {}
    age_ms: dict[str, Distribution] = {}
    throughput_hz: float | None = Field(None, ge=0)
    asked_hz: float | None = Field(None, gt=0)
    delivered_hz: float | None = Field(None, ge=0)
    dropped: dict[str, int] = {}
    layers: tuple[LayerTime, ...] = ()
    memory_peak_mib: float | None = Field(None, ge=0)
    energy: Energy | None = None
    before: MachineState
    after: MachineState
    environment: HostDescription
    spans: tuple[Span, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The object of `profile.json`."""
        return self.model_dump(mode="json", by_alias=True)
