"""A bundle as a subject: the engine that `edge run` would take, around it the road of a sample or just its inputs."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

from edge.profile.contents import Subject
from edge.profile.subjects.engine_subject import TRANSFER_NOTE, engine_layer_times
from edge.profile.subjects.onnx_layers import GraphSession, onnx_layer_times
from edge.profile.subjects.sample_road import GoldenRoad, SampleRoad
from edge.profile.subjects.timed import SubjectConfig, TimedSubject
from edge.run_engine import RunEngine, open_engine
from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from edge.runtime.engines.tensor_checks import described_shapes
from edge.runtime.engines.tensorrt import RunnerConfig, TensorRTEngine
from edge.runtime.errors import BundleError, ConfigError, EdgeError, ModelError, RigError
from edge.runtime.model_io import LogMelInput
from edge.runtime.sources.grammar import open_sources
from edge.runtime.sources.manifest_source import manifest_options
from edge.runtime.sources.mcap_source import RecordingOptions
from edge.sentences import as_sentences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.profile.contents import LayerTime
    from edge.runtime.bundle import Bundle
    from edge.runtime.sources.base import Source

DRIVE_S = 6.0  # of the simulator: enough for its sets, sound windows included
GOLDENS = "the bundle's example inputs"


def open_bundle_road(bundle: Bundle, config: SubjectConfig) -> TimedSubject:
    """The whole road of a sample; with a source that the model does not know, and none asked for, its examples.

    Raises:
        BundleError: It has no such graph, or no validated state for what the source gives.
        ConfigError: A shape or a batch is asked for, which a bundle fixes.
        EdgeError: Engine, source or rig are at fault.
    """
    chosen = _opened(bundle, config)
    try:
        road, source, notes = _road(bundle, config, chosen)
    except EdgeError:
        _close(chosen)
        raise
    return _subject(bundle, config, chosen, road, source, notes)


def open_bundle_engine(bundle: Bundle, config: SubjectConfig) -> TimedSubject:
    """The engine alone, on the bundle's example inputs.

    Raises:
        BundleError: It has no such graph.
        ConfigError: A shape or a batch is asked for, which a bundle fixes.
    """
    chosen = _opened(bundle, config)
    turns, engine = cycle(bundle.golden_inputs()), chosen.engine
    return TimedSubject(
        _described(bundle, chosen),
        lambda: engine.run(next(turns)),
        source=GOLDENS,
        threads=_threads(chosen),
        side_by_side=isinstance(engine, OnnxRuntimeEngine),
        layers=lambda rounds: _layers(bundle, config, chosen, rounds),
        notes=("The engine alone: neither preprocessing nor decoding is in the latency.", *_engine_notes(chosen)),
        close=lambda: _close(chosen),
    )


def _opened(bundle: Bundle, config: SubjectConfig) -> RunEngine:
    if config.shapes or config.batch != 1:
        raise ConfigError("a bundle fixes the shapes of its tensors, batch 1", "leave --shape out")
    runner = RunnerConfig(device=config.device)
    return open_engine(bundle, config.dialect, config.threads, config.engine, runner)


def open_drive(bundle: Bundle, specs: Sequence[str], duration_s: float | None) -> Source:
    """The sources that are named, or a simulated drive, with what the bundle knows of recordings.

    Raises:
        SourceError: A source is unknown or unreadable.
    """
    name, rig, read = f"that of the bundle {bundle.manifest.name}", bundle.rig, bundle.model_io.modalities
    heard = (item.rate_hz for item in bundle.model_io.inputs if isinstance(item, LogMelInput))
    options = RecordingOptions({}, rig, name, read, False)
    return open_sources(
        specs or ("sim",),
        audio_rate_hz=next(heard, None),
        duration_s=duration_s,
        recording=options,
        rows=manifest_options(bundle, specs),
    )


def _road(bundle: Bundle, config: SubjectConfig, chosen: RunEngine) -> tuple[SampleRoad | GoldenRoad, str, list[str]]:
    source = open_drive(bundle, config.sources, DRIVE_S)
    try:
        road = SampleRoad(bundle, source, chosen.engine)
        if not road.sets:
            raise BundleError(f"the source gives no set in state {road.state}", "name another --source")
    except (BundleError, RigError) as error:
        if config.sources:
            raise
        note = f"Preprocessing was not timed, for the simulator does not fit this bundle: {error.problem}."
        return GoldenRoad(bundle, chosen.engine), GOLDENS, [note]
    notes = [f"{len(road.sets)} sets in state {road.state} were run in turn."]
    if road.compensated:
        notes.append("Sweeps were deskewed before: that is in no stage.")
    return road, source.description, notes


def _subject(
    bundle: Bundle,
    config: SubjectConfig,
    chosen: RunEngine,
    road: SampleRoad | GoldenRoad,
    source: str,
    notes: list[str],
) -> TimedSubject:
    return TimedSubject(
        _described(bundle, chosen),
        road.run,
        source=source,
        threads=_threads(chosen),
        layers=lambda rounds: _layers(bundle, config, chosen, rounds),
        stages_ns=road.stages_ns,
        notes=(*notes, *_engine_notes(chosen)),
        close=lambda: _close(chosen),
    )


def _described(bundle: Bundle, chosen: RunEngine) -> Subject:
    return Subject(
        name=bundle.manifest.name,
        kind="bundle",
        digest=bundle.id,
        engine=chosen.engine.name,
        inputs=described_shapes(bundle.model_io),
    )


def _threads(chosen: RunEngine) -> dict[str, int | str]:
    engine = chosen.engine
    return dict(engine.thread_settings) if isinstance(engine, OnnxRuntimeEngine) else {"engine": chosen.threads}


def _engine_notes(chosen: RunEngine) -> tuple[str, ...]:
    told = as_sentences(chosen.notes)
    moved = (TRANSFER_NOTE,) if isinstance(chosen.engine, TensorRTEngine) else ()
    return (f"Graph {chosen.engine.name}: {chosen.reason}.", *told, *moved)


def _layers(bundle: Bundle, config: SubjectConfig, chosen: RunEngine, rounds: int) -> tuple[LayerTime, ...]:
    feeds, engine = bundle.golden_inputs()[0], chosen.engine
    dialect = engine.name.rpartition("/")[2]
    if isinstance(engine, OnnxRuntimeEngine):
        emulated = dialect.endswith("-emulated")
        graph = bundle.graph(dialect.removesuffix("-emulated"))
        return onnx_layer_times(GraphSession(graph, config.threads, emulated, feeds), rounds)
    if not isinstance(engine, TensorRTEngine):
        raise ModelError(f"{engine.name} tells of no layers", "leave them out with --no-layers")

    def opened() -> TensorRTEngine:
        again = open_engine(
            bundle, dialect, choice="tensorrt", config=RunnerConfig(device=config.device, cuda_graph=False)
        )
        assert isinstance(again.engine, TensorRTEngine)
        return again.engine

    return engine_layer_times(engine.libraries, opened, feeds, rounds)


def _close(chosen: RunEngine) -> None:
    if isinstance(chosen.engine, TensorRTEngine):
        chosen.engine.close()
