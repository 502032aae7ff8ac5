"""How much to prune, by which measure and to which widths."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from edge.compress.precision_plan import PlannedPrecision

MEASURED = "measured"
Clock = Annotated[str, StringConstraints(pattern=r"^(measured|estimate:[a-z0-9][a-z0-9._-]*)$")]


class LatencyTarget(BaseModel):
    """What the pruned graph may take, by one clock. Exactly one of `ratio` and `max_ms` is set.

    Attributes:
        source: `measured`: ONNX Runtime on this machine, one thread, the pruned graph in turn with the unpruned one.
            `estimate:<device>`: the roofline of a device that is not here. One is never mixed with the other.
        precision: What the graph computes in. Only FP32 can be measured before quantization.
        ratio: Share of the unpruned graph's latency that may stay.
        max_ms: Milliseconds that may stay; taken as a share of the unpruned graph's, timed first.
        slack: The search ends with a plan whose interval ends at most this much, as a share, below the target.
        width_table: File that keeps layers' latencies by width from one run to the next; made if it is not there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Clock = MEASURED
    precision: PlannedPrecision = "fp32"
    ratio: float | None = Field(None, gt=0, lt=1)
    max_ms: float | None = Field(None, gt=0, allow_inf_nan=False)
    slack: float = Field(0.03, ge=0, lt=1)
    width_table: str | None = None

    @model_validator(mode="after")
    def _one_limit(self) -> LatencyTarget:
        if (self.ratio is None) == (self.max_ms is None):
            raise ValueError("set exactly one of ratio and max_ms")
        if self.source == MEASURED and self.precision != "fp32":
            raise ValueError(f"only fp32 can be measured before quantization; for {self.precision} use estimate:DEVICE")
        return self


class RivalConfig(BaseModel):
    """Several plans that hold one latency; the one that loses least after a short training is taken.

    What a layer's channels are worth to each other is not in their importance, and it shows only after tuning: as in
    NetAdapt (Yang et al., 2018), proposals of equal cost are tuned briefly, then compared. Their path of steps differs.

    Attributes:
        max_ratios: Further limits of what a group may lose, each with a path of its own; those that `max_ratio` of the
            pruning exceeds.
        uniform: Also a path along which all groups lose the same share.
        samples: Training samples that each rival learns from, once.
        held_back: Share of the training split, in whole recordings, that rivals do not learn from and are judged by.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_ratios: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.5, 0.65)
    uniform: bool = True
    samples: int = Field(8000, ge=1)
    held_back: float = Field(0.1, gt=0, lt=1)

    @model_validator(mode="after")
    def _has_rivals(self) -> RivalConfig:
        if not (self.max_ratios or self.uniform):
            raise ValueError("there is no rival: give max_ratios, or set uniform, or leave rivals out")
        return self


class PruneConfig(BaseModel):
    """How much to prune and by what. Exactly one of the four targets is set.

    Attributes:
        ratio: Share of channels to remove from every group, rounded to the nearest aligned width.
        macs_ratio: Share of the multiply-accumulates that may stay; groups compete for it.
        cost_ratio: The same for the cost function that the caller passes, for anything else than MACs and latency.
        latency: What the exported graph may take, by a named clock; groups compete by milliseconds for importance.
        align: Kept channels are a multiple of this, or the group stays whole; heads count with their width. Kernels
            work on blocks of channels: 8 in FP16 on tensor cores and with AVX2, 16 with AVX-512, 32 in INT8 on
            tensor cores.
        minimum: No group goes below this width.
        max_ratio: Largest share that a group may lose where groups compete, against starving one layer.
        importance: `taylor` needs losses, `norm` only the weights.
        keep: Globs over parameter paths whose output channels stay (`heads.*`).
        rivals: With a latency: other plans that hold it too, of which training picks one; None takes the one that
            loses the least importance.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ratio: float | None = Field(None, gt=0, lt=1)
    macs_ratio: float | None = Field(None, gt=0, lt=1)
    cost_ratio: float | None = Field(None, gt=0, lt=1)
    latency: LatencyTarget | None = None
    align: int = Field(8, ge=1)
    minimum: int = Field(8, ge=1)
    max_ratio: float = Field(0.8, gt=0, lt=1)
    importance: Literal["taylor", "norm"] = "taylor"
    keep: tuple[str, ...] = ()
    rivals: RivalConfig | None = None

    @model_validator(mode="after")
    def _one_target(self) -> PruneConfig:
        targets = (self.ratio, self.macs_ratio, self.cost_ratio, self.latency)
        if sum(target is not None for target in targets) != 1:
            raise ValueError("set exactly one of ratio, macs_ratio, cost_ratio and latency")
        if self.rivals is not None and self.latency is None:
            raise ValueError("rivals are plans of equal latency: set latency, or leave rivals out")
        return self
