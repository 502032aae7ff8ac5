"""The whole road of one sample through a bundle: payloads to tensors, the engine, tensors to detections."""

from __future__ import annotations

import time
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from edge.runtime.decode import Decoder
from edge.runtime.fusion import Fusion, complete_rig, series_steps, sound_windows_ns
from edge.runtime.run_steps import RunSteps
from edge.runtime.states import choose_state
from edge.runtime.synchronizer import Synchronizer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from edge.runtime.bundle import Bundle
    from edge.runtime.engines.base import Engine
    from edge.runtime.sources.base import Source
    from edge.runtime.synchronize.synced import SyncedSet

SETS = 16
_LOOKED_AT = 20_000  # samples, before no more sets are waited for


class SampleRoad:
    """Runs sets of a source through a bundle's model, again and again.

    Args:
        bundle: The model.
        source: Gives the samples.
        engine: Runs the graph.

    Attributes:
        sets: Those that are run in turn; all of the same state. Empty where the source gives none for the model.
        state: Of them.
        compensated: Whether their sweeps were deskewed before, which no stage holds.

    Raises:
        BundleError: The bundle has no validated state for what the source gives.
        RigError: The rigs do not fit.
        SourceError: The source is broken.
    """

    def __init__(self, bundle: Bundle, source: Source, engine: Engine) -> None:
        rig = complete_rig(source.rig, bundle)
        modalities = bundle.model_io.modalities
        streams = tuple(name for name in modalities if name in source.rig.streams)
        steps = RunSteps(rig, modalities)
        sync = Synchronizer(rig, streams, sound_windows_ns(bundle.model_io), series_steps(bundle.model_io))
        self.state = choose_state(streams, modalities, bundle.states)
        self.compensated = rig.deskew is not None
        self._fusion = Fusion(bundle, rig, engine)
        self.sets = self._collected(source, sync, steps, {*streams, *steps.motion_streams})
        self._turns = cycle(self.sets)
        self._stages: dict[str, list[int]] = {"preprocess": [], "engine": [], "decode": [], "transfer": []}

    def run(self) -> object:
        """The next set."""
        inference = self._fusion.run(next(self._turns))
        times = inference.times
        assert times is not None, "only sets of a state that can be run are kept"
        stages = self._stages
        stages["preprocess"].append(times.preprocess_ns)
        stages["engine"].append(times.engine_ns)
        stages["decode"].append(times.decode_ns)
        if times.transfer_ns is not None:
            stages["transfer"].append(times.transfer_ns)
        return inference

    def stages_ns(self, last: int) -> dict[str, NDArray[np.int64]]:
        """Durations of the last so many runs."""
        return _newest(self._stages, last)

    def _collected(self, source: Source, sync: Synchronizer, steps: RunSteps, read: set[str]) -> list[SyncedSet]:
        """The first sets that hold all streams, tried once, for a payload may not be usable."""
        kept: list[SyncedSet] = []
        for synced in _matched(source, sync, steps, read):
            compensated = steps.compensate(synced)
            if self._fusion.run(compensated).state == self.state:
                kept.append(compensated)
            if len(kept) == SETS:
                break
        return kept


class GoldenRoad:
    """Runs the example inputs that a bundle carries: without payloads there is nothing to preprocess.

    Args:
        bundle: The model.
        engine: Runs the graph.
    """

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        self._turns = cycle(bundle.golden_inputs())
        self._decoder, self._engine = Decoder(bundle.model_io, bundle.rig), engine
        self._stages: dict[str, list[int]] = {"engine": [], "decode": []}

    def run(self) -> object:
        """The next example."""
        begin = time.perf_counter_ns()
        outputs = self._engine.run(next(self._turns))
        answered = time.perf_counter_ns()
        decoded = self._decoder.decode(outputs)
        self._stages["engine"].append(answered - begin)
        self._stages["decode"].append(time.perf_counter_ns() - answered)
        return decoded

    def stages_ns(self, last: int) -> dict[str, NDArray[np.int64]]:
        """Durations of the last so many runs."""
        return _newest(self._stages, last)


def _matched(source: Source, sync: Synchronizer, steps: RunSteps, read: set[str]) -> Iterator[SyncedSet]:
    for number, sample in enumerate(source.samples()):
        if number == _LOOKED_AT:
            return
        if sample.stream in read and steps.admit(sample).is_matched:
            yield from sync.push(sample)


def _newest(stages: dict[str, list[int]], last: int) -> dict[str, NDArray[np.int64]]:
    return {name: np.asarray(taken[-last:], np.int64) for name, taken in stages.items() if taken}
