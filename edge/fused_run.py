"""One run of a bundle over a source: the results, and a report that says what was run on what."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

import yaml

from edge.report.contents import Report, RuntimeReport
from edge.report.figures import ReportFigures
from edge.report.publish import HTML_NAME, JSON_NAME, write_report, write_report_json
from edge.run_engine import RunEngine, open_engine
from edge.run_notes import machine_notes
from edge.runtime.atomic import atomic_folder
from edge.runtime.byte_sizes import MIB
from edge.runtime.capabilities import require_module
from edge.runtime.environment import describe_host
from edge.runtime.errors import ConfigError
from edge.runtime.faults.source import FaultySource
from edge.runtime.fusion import complete_rig
from edge.runtime.machine_state.reading import read_machine_state
from edge.runtime.memory_budget import peak_bytes
from edge.runtime.model_io import GridOutput
from edge.runtime.pipeline import Pipeline, RunSettings
from edge.runtime.sinks.jsonl import JsonlSink
from edge.runtime.sinks.mcap_recorder import McapRecorder
from edge.runtime.sinks.rerun_view.live_view import ERROR, STUCK, LiveView
from edge.runtime.sinks.rerun_view.output import ViewOutput
from edge.runtime.sinks.rerun_view.rerun_scene import RerunScene
from edge.runtime.sources.manifest_source import ManifestSource
from edge.runtime.sources.mcap_source import McapSource
from edge.runtime.sources.merge import MergedSource
from edge.sentences import as_sentences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from edge.runtime.bundle import Bundle
    from edge.runtime.faults.base import Fault
    from edge.runtime.manifest import Manifest
    from edge.runtime.memory_budget import MemoryPlan
    from edge.runtime.realtime.applying import RealtimeScope
    from edge.runtime.rig import Rig
    from edge.runtime.sinks.base import Sink
    from edge.runtime.sources.base import Source
    from edge.runtime.trace.trace import Trace

RESULTS_NAME, SETTINGS_NAME = "results.jsonl", "run.yaml"
# From so many samples on a rate is known, and so far from the declared one it is told.
RATE_SAMPLES, RATE_FACTOR = 20, 1.2
OWN_FILES = frozenset({RESULTS_NAME, JSON_NAME, HTML_NAME, SETTINGS_NAME})


@dataclass(frozen=True)
class Recording:
    """Where a run's samples and results are recorded to.

    Attributes:
        path: An MCAP file that does not exist yet.
        jpeg_quality: 1..100 stores images as JPEG, which a replay no longer gives the same results for.
    """

    path: Path
    jpeg_quality: int | None = None


@dataclass(frozen=True)
class ViewChoice:
    """How a run is shown while it goes.

    Attributes:
        window: In rerun's viewer on this machine.
        path: In an `.rrd` file that does not exist yet.
    """

    window: bool = False
    path: Path | None = None


def run_bundle(
    bundle: Bundle,
    source: Source,
    out: Path,
    settings: RunSettings | None = None,
    *,
    engine: RunEngine | None = None,
    recording: Recording | None = None,
    view: ViewChoice | None = None,
    realtime: RealtimeScope | None = None,
    html: bool = False,
    on_plan: Callable[[MemoryPlan], None] | None = None,
    on_result: Callable[[], None] | None = None,
) -> RuntimeReport:
    """Runs a bundle and writes `results.jsonl`, `report.json` and `run.yaml` into `out`, all or nothing.

    Args:
        bundle: The model.
        source: What it is run on; faults of a `FaultySource` stand in the report.
        out: The folder; an earlier run's is replaced, any other is refused.
        settings: Pace and length; virtual time where they are not given.
        engine: Runs the graph; that which suits this host where it is not given (`edge.run_engine`).
        recording: Also records the samples and the results.
        view: Also shows it; what the view cannot keep up with is dropped from it and counted.
        realtime: Priority and cores for the threads of a run in real time; it has been entered, and made the engine.
        html: Also writes `report.html`.
        on_plan: Called with what the run may take, before anything flows.
        on_result: Called after each result.

    Raises:
        ConfigError: `out` holds something else than an earlier run, or the run would take more memory than it may.
        MissingDependencyError: The page needs jinja2 and matplotlib.
        EdgeError: Source, rig, bundle or model are at fault.
    """
    settings = settings or RunSettings()
    check_replaceable(out)
    if html:
        require_module("jinja2")
        require_module("matplotlib")
    chosen = engine or open_engine(bundle)
    with atomic_folder(out) as folder, ExitStack() as stack:
        sinks: list[Sink] = [JsonlSink(folder / RESULTS_NAME)]
        on_sample = None
        if recording is not None:
            recorder = _open_recorder(recording, bundle, source)
            # The pipeline closes it, unless it cannot even be built; a second time does nothing.
            stack.callback(recorder.close, complete=False)
            sinks.append(recorder)
            on_sample = recorder.add_sample
        shown = None if view is None else _open_view(view, bundle, source)
        if shown is not None:
            stack.callback(shown.close, complete=False)
        pipeline = Pipeline(
            bundle,
            source,
            chosen.engine,
            sinks,
            settings,
            on_result=on_result,
            on_sample=on_sample,
            on_fused=None if shown is None else shown.show,
            on_thread=None if realtime is None else realtime.enter_inference,
        )
        plan = pipeline.plan_memory()
        if on_plan is not None:
            on_plan(plan)
        before = read_machine_state(threads=chosen.thread_settings)
        trace = pipeline.run()
        after = read_machine_state(threads=chosen.thread_settings)
        if shown is not None:
            shown.close(complete=True)
            trace.dropped.update(shown.counts)
        runtime = runtime_report(trace, source, chosen.engine.name, settings, plan)
        if realtime is not None:
            runtime = runtime.model_copy(update={"realtime": realtime.config})
        report = Report(
            title=f"{bundle.manifest.name}: run",
            data=source.description,
            runtime=runtime,
            environment=describe_host(threads={"engine": chosen.threads}),
            machine=after,
            notes=(
                *_notes(bundle.manifest, source, chosen, trace),
                *_pace_notes(source.rig, bundle.model_io.modalities),
                *_rate_notes(source, trace),
                *_view_notes(trace),
                *machine_notes(before, after, realtime),
            ),
        )
        if html:
            write_report(report, ReportFigures(), folder)
        else:
            write_report_json(report, folder)
        resolved = _resolved(bundle, source, settings, chosen)
        (folder / SETTINGS_NAME).write_text(yaml.safe_dump(resolved, sort_keys=False), encoding="utf-8")
    return runtime


def check_replaceable(out: Path) -> None:
    """Refuses to replace what no run has written.

    Raises:
        ConfigError: `out` is a file, or a folder with other files in it.
    """
    if out.is_dir():
        others = sorted(entry.name for entry in out.iterdir() if entry.name not in OWN_FILES)
        if not others:
            return
        raise ConfigError(f"{out} holds {others[0]}, which is no part of a run", "choose another --out folder")
    if out.exists():
        raise ConfigError(f"{out} is a file", "choose a folder for --out")


def runtime_report(trace: Trace, source: Source, engine: str, settings: RunSettings, plan: MemoryPlan) -> RuntimeReport:
    """A trace as the report holds it."""
    return RuntimeReport(
        source=source.description,
        engine=engine,
        time="wall" if settings.realtime else "virtual",
        faults=tuple(str(fault) for fault in _faults(source)),
        memory_mib={item.what: round(item.bytes / MIB, 3) for item in plan.items},
        memory_limit_mib=None if settings.memory_limit is None else settings.memory_limit / MIB,
        memory_peak_mib=peak_bytes() / MIB,
        **trace.summary(),
    )


def _open_recorder(recording: Recording, bundle: Bundle, source: Source) -> McapRecorder:
    cameras = [output.camera for output in bundle.model_io.outputs if isinstance(output, GridOutput)]
    return McapRecorder(
        recording.path,
        source.rig,
        description=source.description,
        simulated=is_simulated(source),
        camera=next((name for name in cameras if name in source.rig.streams), None),
        jpeg_quality=recording.jpeg_quality,
    )


def _open_view(view: ViewChoice, bundle: Bundle, source: Source) -> LiveView:
    output = ViewOutput(window=view.window, path=view.path)
    try:
        return LiveView(RerunScene(output, complete_rig(source.rig, bundle), bundle.model_io))
    except BaseException:
        output.close(complete=False)
        raise


def _view_notes(trace: Trace) -> Iterator[str]:
    if failures := trace.dropped.get(ERROR, 0) + trace.dropped.get(STUCK, 0):
        yield f"The view failed {failures} times, see the log; the results are what they are without it."


def is_simulated(source: Source) -> bool:
    """Whether nothing of what the source gives was measured, be it now or in a recording of a simulation."""
    from edge.runtime.sources.simulator import SimulatorSource

    source = _healthy(source)
    if isinstance(source, ManifestSource):
        return source.generated
    return isinstance(source, SimulatorSource) or (_is_recording(source) and source.simulated)


def recorded_streams(source: Source) -> frozenset[str]:
    """Streams that come from MCAP recordings, which may hold more than a model reads."""
    return frozenset(name for part in _parts(source) if _is_recording(part) for name in part.rig.streams)


def _parts(source: Source) -> tuple[Source, ...]:
    healthy = _healthy(source)
    return healthy.sources if isinstance(healthy, MergedSource) else (healthy,)


def _is_recording(source: Source) -> TypeGuard[McapSource]:
    return isinstance(source, McapSource)


def _recording_notes(source: Source) -> tuple[str, ...]:
    return tuple(note for part in _parts(source) if _is_recording(part) for note in part.notes)


def _healthy(source: Source) -> Source:
    return source.source if isinstance(source, FaultySource) else source


def _faults(source: Source) -> tuple[Fault, ...]:
    return source.faults if isinstance(source, FaultySource) else ()


def _notes(manifest: Manifest, source: Source, engine: RunEngine, trace: Trace) -> tuple[str, ...]:
    data = manifest.data
    told = as_sentences(engine.notes)
    notes = [f"Graph {engine.engine.name}: {engine.reason}.", *told, *_recording_notes(source)]
    if data.kind == "none":
        notes.append("The model is untrained: its detections and events mean nothing.")
    elif data.kind == "simulated" and not is_simulated(source):
        notes.append(
            f"The model was trained on simulated data ({data.description}), the source is recorded: detections and "
            "events are not meaningful here; timing, matching and completeness are."
        )
    elif data.kind == "recorded" and is_simulated(source):
        notes.append(
            "The model was trained on recorded data, the source is simulated: detections may not be meaningful."
        )
    if isinstance(source, FaultySource):
        notes += [f"Fault {fault} hit no sample." for fault, hits in source.hits.items() if not hits]
    if not trace.fused:
        notes.append("Nothing was fused: the source held no anchor.")
    return tuple(notes)


def _rate_notes(source: Source, trace: Trace) -> Iterator[str]:
    """Every bound of the synchronizer rests on the declared rates. Faults change them."""
    if _faults(source) or any(_is_recording(part) for part in _parts(source)):  # recordings tell it themselves
        return
    if any(isinstance(part, ManifestSource) for part in _parts(source)):  # rows may lack what they lack
        return
    for name, record in trace.streams.items():
        declared_hz, rate_hz = source.rig.streams[name].rate_hz, record.rate_hz
        if rate_hz is None or record.received < RATE_SAMPLES:
            continue
        if not 1 / RATE_FACTOR < rate_hz / declared_hz < RATE_FACTOR:
            yield (
                f"{name} sends {rate_hz:.3g} samples a second, but the rig says {declared_hz:g}: waits, fail-over and "
                "tolerances rest on the rig's number, so mend it."
            )


def _pace_notes(rig: Rig, modalities: Iterable[str]) -> Iterator[str]:
    """A sample is used fresh once, so a required stream that is slower than the anchor is often missing."""
    pace_hz = rig.stream(rig.anchor).rate_hz
    for name in modalities:
        stream = rig.streams.get(name)
        if stream is None or stream.kind == "audio" or stream.policy != "required" or stream.rate_hz > 0.95 * pace_hz:
            continue
        yield (
            f"{name} ({stream.rate_hz:g} Hz, required) is slower than the anchor {rig.anchor} ({pace_hz:g} Hz), so "
            "sets between lack it; 'policy: hold' in the rig fills them."
        )


def _resolved(bundle: Bundle, source: Source, settings: RunSettings, engine: RunEngine) -> dict[str, Any]:
    return {
        "schema": 1,
        "bundle": {"name": bundle.manifest.name, "id": bundle.id},
        "source": source.description,
        "engine": engine.engine.name,
        "engine_reason": engine.reason,
        "threads": engine.threads,
        "realtime": settings.realtime,
        "duration_s": settings.duration_s,
        "memory_limit": settings.memory_limit,
        "compute_ms": None if settings.realtime else settings.compute_ms,
        "faults": [str(fault) for fault in _faults(source)],
        "fault_seed": source.seed if isinstance(source, FaultySource) else None,
    }
