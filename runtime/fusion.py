"""From a synchronized set to a fused result: state, preprocessing, engine, decoding."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from edge.runtime.clock import NS_PER_MS, NS_PER_S
from edge.runtime.decode import Decoder
from edge.runtime.errors import BundleError, RigError, SampleError
from edge.runtime.model_io import LogMelInput, SeriesInput
from edge.runtime.preprocess.preprocessor import Preprocessor
from edge.runtime.result import Decoded, FusedResult
from edge.runtime.rig import MOTION_KINDS
from edge.runtime.states import BLIND, all_states, choose_state

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edge.runtime.bundle import Bundle
    from edge.runtime.engines.base import Engine
    from edge.runtime.health import HealthMonitor
    from edge.runtime.model_io import ModelIO
    from edge.runtime.rig import Rig
    from edge.runtime.synchronize.synced import SyncedSet


class StageTimes(NamedTuple):
    """Wall time of one inference, in nanoseconds.

    Attributes:
        preprocess_ns: Of making the model's tensors.
        engine_ns: Of the engine's call, less `transfer_ns`.
        decode_ns: Of what its tensors mean.
        transfer_ns: Of moving tensors to where the engine computes and back; None where the engine does not tell.
    """

    preprocess_ns: int
    engine_ns: int
    decode_ns: int
    transfer_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Inference:
    """What the model said of one set, before it is known when that was ready.

    Attributes:
        synced: The set.
        state: The validated state that was run, or `blind`.
        used: Modalities that the model saw.
        decoded: What was decoded; nothing where the state is blind.
        reason: Why the result is not valid; empty where it is.
        times: Wall times; None where the model did not run.
        refused: Modalities whose payload could not be used, and the reason that each is counted under.
    """

    synced: SyncedSet
    state: str
    used: tuple[str, ...]
    decoded: Decoded
    reason: str
    times: StageTimes | None
    refused: Mapping[str, str] = field(default_factory=dict)

    def result(self, seq: int, ready_ns: int, health: HealthMonitor) -> FusedResult:
        """The result, with ages as of `ready_ns` on the axis of arrivals, judged as the next of its run."""
        synced = self.synced
        level, levels = health.judge(synced, self.used, self.refused, self.reason)
        return FusedResult(
            seq=seq,
            stamp_ns=synced.stamp_ns,
            state=self.state,
            present=self.used,
            held=tuple(name for name in synced.held if name in self.used),
            ages_ms={name: (ready_ns - synced.stamps_ns[name]) / NS_PER_MS for name in self.used},
            spread_ms=synced.spread_ms,
            epochs={name: sample.epoch for name, sample in sorted(synced.samples.items())},
            valid=not self.reason,
            reason=self.reason,
            level=level,
            levels=levels,
            decoded=self.decoded,
        )


class Fusion:
    """Runs a bundle's model on synchronized sets.

    Args:
        bundle: The model, its tensors and its validated states.
        rig: The sensors that deliver; every stream that the model reads must be in it.
        engine: Runs the graph.

    Attributes:
        model_io: The model's tensors.

    Raises:
        RigError: The rig does not fit the model.
        ConfigError: A tokenizer does not fit it.
        MissingDependencyError: It reads text, and the extra `text` is not installed.
    """

    def __init__(self, bundle: Bundle, rig: Rig, engine: Engine) -> None:
        self.model_io = bundle.model_io
        self._validated = bundle.states
        self._modalities = bundle.model_io.modalities
        self._states = all_states(self._modalities)
        self._preprocessor = Preprocessor(bundle.model_io, rig, bundle.tokenizers())
        self._decoder = Decoder(bundle.model_io, rig)
        self._engine = engine

    @property
    def engine(self) -> Engine:
        """Runs the graph at present."""
        return self._engine

    def use(self, engine: Engine) -> None:
        """Goes on with another engine of the same graph, because the old one has failed."""
        self._engine = engine

    def warm_up(self) -> None:
        """Runs the engine once, on nothing: what it allocates at its first call it then has.

        Raises:
            ModelError: The engine failed.
        """
        self._engine.run(self._preprocessor.inputs({}))

    def run(self, synced: SyncedSet) -> Inference:
        """Runs the largest validated state that what is present allows.

        A payload that does not fit counts as missing, and the next smaller state is run; without any the result is
        blind, which is not valid and never means that there is nothing.

        Raises:
            ModelError: The engine failed, or gave tensors that cannot be decoded.
        """
        present = [name for name in self._modalities if name in synced.samples]
        refused: dict[str, str] = {}
        while (state := choose_state(present, self._modalities, self._validated)) != BLIND:
            used = self._states[state]
            begin_ns = time.perf_counter_ns()
            try:
                inputs = self._preprocessor.inputs({name: synced.samples[name].payload for name in used})
            except SampleError as error:
                unusable = [name for name in used if error.problem.startswith(f"stream '{name}':")] or list(used)
                refused |= dict.fromkeys(unusable, error.reason)
                present = [name for name in present if name not in unusable]
                continue
            return self._infer(synced, state, inputs, begin_ns, refused)
        return Inference(synced, BLIND, (), Decoded(), _why_blind(synced, present, refused), None, refused)

    def _infer(
        self,
        synced: SyncedSet,
        state: str,
        inputs: dict[str, NDArray[Any]],
        begin: int,
        refused: Mapping[str, str],
    ) -> Inference:
        prepared = time.perf_counter_ns()
        outputs = self._engine.run(inputs)
        answered = time.perf_counter_ns()
        decoded = self._decoder.decode(outputs)
        decoded_ns = time.perf_counter_ns() - answered
        transfer: int | None = getattr(self._engine, "transfer_ns", None)  # an engine on the CPU moves nothing
        times = StageTimes(prepared - begin, answered - prepared - (transfer or 0), decoded_ns, transfer)
        return Inference(synced, state, self._states[state], decoded, "", times, refused)


def complete_rig(source: Rig, bundle: Bundle) -> Rig:
    """The source's sensors, and from the bundle those that the source lacks: they will be silent.

    Where the source's rig does not say how to deskew, the bundle's holds: the model expects sweeps as it saw them.

    Raises:
        BundleError: The bundle has no validated state for what the source gives.
        RigError: The bundle's motion stream is of another kind in the source.
    """
    modalities = bundle.model_io.modalities
    given = [name for name in modalities if name in source.streams]
    if choose_state(given, modalities, bundle.states) == BLIND:
        raise BundleError(
            f"the source gives {', '.join(given) or 'none of the streams ' + ', '.join(modalities)}, "
            f"but the bundle is validated for {', '.join(bundle.states)} only",
            "add a --source for the missing streams",
        )
    deskew = source.deskew or bundle.rig.deskew
    wanted = {*modalities, *([deskew.motion] if deskew else [])}
    absent = {n: s for n, s in bundle.rig.streams.items() if n in wanted and n not in source.streams}
    completed = source.model_copy(update={"streams": {**source.streams, **absent}, "deskew": deskew})
    if deskew and completed.stream(deskew.motion).kind not in MOTION_KINDS:
        raise RigError(f"the source's stream '{deskew.motion}' tells no motion", "rename it: the bundle deskews by it")
    return completed


def sound_windows_ns(model_io: ModelIO) -> dict[str, int]:
    """Length of the window of each audio stream; the longest where several inputs read one."""
    windows: dict[str, int] = {}
    for item in model_io.inputs:
        if isinstance(item, LogMelInput):
            length_ns = round(item.window_samples * NS_PER_S / item.rate_hz)
            windows[item.stream] = max(windows.get(item.stream, 0), length_ns)
    return windows


def series_steps(model_io: ModelIO) -> dict[str, int]:
    """Readings of the series of each table stream; the most where several inputs read one."""
    steps: dict[str, int] = {}
    for item in model_io.inputs:
        if isinstance(item, SeriesInput):
            steps[item.stream] = max(steps.get(item.stream, 0), item.steps)
    return steps


def _why_blind(synced: SyncedSet, present: list[str], refused: Mapping[str, str]) -> str:
    reasons = {**synced.missing, **refused}
    missing = "; ".join(f"{name}: {reason}" for name, reason in sorted(reasons.items()))
    if present:
        return f"no validated state is contained in {', '.join(present)} ({missing})"
    return f"no modality is there ({missing})"
