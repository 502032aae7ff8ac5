"""`report.json`, schema 1: what every stage cost, what the bundle gained, and how the run went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge.compress.gates.findings import GateFindings
from edge.compress.sparsify.record import SparsityRecord, noted_sparsity
from edge.report.class_changes import ClassChanges
from edge.report.stage_details import PrecisionReport, PruningReport
from edge.runtime.environment import HostDescription
from edge.runtime.levels import Level
from edge.runtime.machine_state.state import MachineState
from edge.runtime.realtime.settings import RealtimeConfig
from edge.runtime.statistics import Distribution, Interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.compress.stages.record import StageRecord
    from edge.runtime.statistics import Comparison

SCORE = "score"
ALL = "all"
LOSS_PARTS_NOTE = "loss_parts"  # in the notes of a stage that trained


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)


class StageReport(_Strict):
    """One stage of the compression, as deployed.

    Attributes:
        name: `teacher`, `student`, `prune`, `quantize` for the default recipe.
        params: Weights of the model.
        macs: Multiply-accumulates of one inference at batch 1.
        bytes: The deployed graph file of one target.
        latency_ms: One inference of that file, interleaved with the other stages; None where it was not timed.
        metrics: `{state: {metric: points}}`; `score` in each state, beside its parts.
        seconds: Wall time that making it took.
        lost_since_before: `{state: {metric: points}}` lost against the stage before, on the samples of `metrics`.
        gate: What its gate found on the validation split; None of the first stage.
        loss_parts: Of a stage that trained: the weighted parts of its loss, which add up to it, as means over the
            `first_epoch` and the `last_epoch`.
        pruning: What was cut, of a stage that pruned.
        precision: What layers compute in, of one that quantized by a plan.
        sparsity: Which layers of its graph are 2:4 sparse, where a stage made them so.
    """

    name: str
    params: int = Field(ge=0)
    macs: int = Field(ge=0)
    bytes: int = Field(gt=0)
    latency_ms: Distribution | None = None
    metrics: dict[str, dict[str, float]]
    seconds: float | None = Field(default=None, ge=0)
    lost_since_before: dict[str, dict[str, Interval]] = {}
    gate: GateFindings | None = None
    loss_parts: dict[str, dict[str, float]] = {}
    pruning: PruningReport | None = None
    precision: PrecisionReport | None = None
    sparsity: SparsityRecord | None = None

    @property
    def refused(self) -> bool:
        """Whether its gate refused it; what came before is then the last that was packed."""
        return self.gate is not None and self.gate.verdict == "refused"

    @model_validator(mode="after")
    def _scored(self) -> StageReport:
        without = [state for state, metrics in self.metrics.items() if SCORE not in metrics]
        if without:
            raise ValueError(f"stage '{self.name}' has no '{SCORE}' in state {', '.join(without)}")
        return self

    @classmethod
    def from_record(cls, record: StageRecord, latency_ms: Distribution | None = None) -> StageReport:
        """What a stage's record says, with the latency that was measured afterwards.

        Raises:
            BundleError: Its notes on sparsity are malformed.
        """
        return cls(
            name=record.name,
            params=record.params,
            macs=record.macs,
            bytes=record.bytes,
            latency_ms=latency_ms,
            metrics=record.metrics,
            seconds=record.seconds,
            lost_since_before=record.lost_since_before,
            gate=record.gate,
            sparsity=noted_sparsity(record.notes),
        )

    def detailed(self, record: StageRecord) -> StageReport:
        """The same with what its kind of stage leaves in the notes of its record, which must be of this version."""
        details = {
            "loss_parts": record.notes.get(LOSS_PARTS_NOTE, {}),
            "pruning": PruningReport.from_notes(record.notes) if record.config.get("stage") == "prune" else None,
            "precision": PrecisionReport.from_notes(record.notes),
        }
        return self.model_copy(update=details)


class SpeedReport(_Strict):
    """How many times faster the bundle is than the first stage, timed alternately in one process.

    Attributes:
        ratio: Median over the rounds.
        interval: 95 % bootstrap interval of the median.
        range: Smallest and largest ratio of a round.
        rounds: Rounds that were run.
    """

    ratio: float = Field(gt=0)
    interval: tuple[float, float]
    range: tuple[float, float]
    rounds: int = Field(ge=2)

    @classmethod
    def from_comparison(cls, comparison: Comparison) -> SpeedReport:
        """Of `compare(bundle, teacher)`: the new side is A, the old one B."""
        return cls(
            ratio=comparison.ratio,
            interval=comparison.interval,
            range=comparison.range,
            rounds=comparison.rounds,
        )


class Headline(_Strict):
    """First stage against last: what the work was worth.

    Attributes:
        first: Name of the stage that is compared against, usually `teacher`.
        last: Name of the stage that the bundle holds.
        speed: How much faster; None where it was not timed.
        size_ratio: How many times smaller the graph file is.
        points_lost: Score of `first` minus score of `last`, per state; negative where it gained.
    """

    first: str
    last: str
    speed: SpeedReport | None = None
    size_ratio: float = Field(gt=0)
    points_lost: dict[str, float]

    @classmethod
    def between(cls, first: StageReport, last: StageReport, speed: SpeedReport | None = None) -> Headline:
        """Compares two stages in the states that both were measured in."""
        shared = [state for state in first.metrics if state in last.metrics]
        return cls(
            first=first.name,
            last=last.name,
            speed=speed,
            size_ratio=first.bytes / last.bytes,
            points_lost={s: first.metrics[s][SCORE] - last.metrics[s][SCORE] for s in shared},
        )


class StreamReport(_Strict):
    """One stream of a run: what came of it, and its clock.

    Attributes:
        received: Samples that came.
        refused: Of those, the ones that no model should see; `dropped` says why.
        rate_hz: Samples a second, from the first arrival to the last; None of fewer than two.
        used: Samples that became part of a set. This and what follows is None where the synchronizer does not tell.
        epochs: How often the stream's clock was re-mapped after a step.
        offset_ms: How far its stamps seem ahead: the declared transport delay minus `delay_ms`.
        drift_ppm: How fast its clock runs against the host's; positive where it gains, None in a short run.
        delay_ms: Mean of arrival minus stamp.
        negative_delays: Samples that arrived before they were measured: the clock or the latency offset is wrong.
        stuck: Whether its last stamps were all the same.
    """

    received: int = Field(ge=0)
    refused: int = Field(0, ge=0)
    rate_hz: float | None = Field(default=None, gt=0)
    used: int | None = Field(default=None, ge=0)
    epochs: int | None = Field(default=None, ge=0)
    offset_ms: float | None = None
    drift_ppm: float | None = None
    delay_ms: float | None = None
    negative_delays: int | None = Field(default=None, ge=0)
    stuck: bool | None = None


class TimelineSegment(_Strict):
    """A stretch of a run with one level and one state, in seconds from the first result on.

    Attributes:
        from_s: Where it begins.
        to_s: Where it ends.
        level: The worst that was reported in each slot of it.
        state: The modality state that was run most often.
    """

    from_s: float = Field(ge=0)
    to_s: float = Field(gt=0)
    level: Level
    state: str


class RuntimeReport(_Strict):
    """One run of a bundle over a source.

    Attributes:
        source: One line that names the data and says whether it is real, mixed or simulated.
        engine: Back end and dialect, e.g. `onnxruntime-cpu/u8`.
        time: `virtual` where the run was faster than life; ages are then those of a fixed compute time.
        anchors: Samples of the anchor stream that came.
        fused: Results emitted, valid or not.
        predicted: Of those, the ones at a predicted tick, because the anchor was silent.
        deadline_misses: Sets that went out because the budget had passed, with a stream still awaited.
        completeness: Share of the results in each modality state, `blind` included.
        dropped: Samples or results that were discarded, by reason.
        deskew: Sweeps compensated for motion as `lidar:deskewed`, and those left as they were as `lidar:reason`; empty
            where the rig names no motion.
        age_ms: Emission minus (offset-corrected) stamp, by modality; `result` is the oldest of each result's.
        spread_ms: Oldest to newest stamp within one result.
        sync_wait_ms: Emission minus arrival of the last sample used: what synchronizing adds.
        lag_ms: How late a recording's samples were released; 0 in virtual time.
        gap_ms: From each result to the next.
        stages_ms: Time of each step of the pipeline: `arrival` of the anchor from its stamp, `queue` from matched until
            the model took it, `preprocess`, `transfer` where the engine tells, `engine`, `decode`, and these four as
            `total`; `overhead` is what the runtime itself took: arrival of the last sample used to the result, less
            the engine. `queue` and `overhead` are of real time only.
        offset_ms: Mean of each stream's stamp minus the anchor's, within results.
        max_gap_s: Longest silence between two results; where faults are injected, also from the last one to the end.
        recovery_s: From the end of the last fault to the next complete result; None without a fault.
        faults: The faults that were injected, as given.
        high_water: The most that each queue or ring ever held.
        streams: What came of each stream, and how its clock behaved.
        levels: Share of the time in which each level stood: `ok`, `degraded`, `stale`, `blind`.
        level_changes: How often the level went from one to another, as `ok>degraded`.
        modality_levels: Share of the results with each level, by modality.
        timeline: Level and state over time, in at most 120 stretches.
        memory_mib: What the run might take, by part: the process as measured before the first sample, and every
            buffer as computed from the rig.
        memory_limit_mib: What it was allowed to; None for anything.
        memory_peak_mib: The most that the process ever held, what came before the run included.
        realtime: Priority, cores and memory that were asked for; the report's notes say what was not permitted.
    """

    source: str
    engine: str = ""
    time: Literal["virtual", "wall"] = "wall"
    anchors: int = Field(0, ge=0)
    fused: int = Field(ge=0)
    predicted: int = Field(0, ge=0)
    deadline_misses: int = Field(0, ge=0)
    completeness: dict[str, float]
    dropped: dict[str, int] = {}
    deskew: dict[str, int] = {}
    age_ms: dict[str, Distribution] = {}
    spread_ms: Distribution | None = None
    sync_wait_ms: Distribution | None = None
    lag_ms: Distribution | None = None
    gap_ms: Distribution | None = None
    stages_ms: dict[str, Distribution] = {}
    offset_ms: dict[str, float] = {}
    max_gap_s: float | None = Field(default=None, ge=0)
    recovery_s: float | None = Field(default=None, ge=0)
    faults: tuple[str, ...] = ()
    high_water: dict[str, int] = {}
    streams: dict[str, StreamReport] = {}
    levels: dict[Level, float] = {}
    level_changes: dict[str, int] = {}
    modality_levels: dict[str, dict[Level, float]] = {}
    timeline: tuple[TimelineSegment, ...] = ()
    memory_mib: dict[str, float] = {}
    memory_limit_mib: float | None = None
    memory_peak_mib: float | None = None
    realtime: RealtimeConfig | None = None


class Report(_Strict):
    """Everything that `report.json` and `report.html` say.

    Attributes:
        title: What was run, e.g. `Street demo`.
        data: One line on the data that the scores were measured on.
        headline: First against last stage; None for a mere run.
        stages: In the order of the recipe; empty for a mere run.
        classes: Each class in the first stage and in the last that passed; None where there is but one.
        runtime: The run over a source, where there was one.
        environment: The machine that measured.
        machine: The state that it was in when the report was made.
        notes: Plain sentences for the reader.
    """

    schema_version: Literal[1] = Field(default=1, validation_alias="schema", serialization_alias="schema")
    title: str
    data: str = ""
    headline: Headline | None = None
    stages: tuple[StageReport, ...] = ()
    classes: ClassChanges | None = None
    runtime: RuntimeReport | None = None
    environment: HostDescription
    machine: MachineState | None = None
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The object of `report.json`."""
        return self.model_dump(mode="json", by_alias=True)


def headline_of(stages: Sequence[StageReport], comparison: Comparison | None = None) -> Headline | None:
    """The headline of a recipe's stages, or None where there are fewer than two."""
    if len(stages) < 2:
        return None
    speed = SpeedReport.from_comparison(comparison) if comparison else None
    return Headline.between(stages[0], stages[-1], speed)


def states_of(stages: Sequence[StageReport]) -> list[str]:
    """Every state that some stage was measured in, in the order of the first mention."""
    seen: Mapping[str, None] = {state: None for stage in stages for state in stage.metrics}
    return list(seen)
