"""One side measured on one model, kept in the cache, and taken from there while nothing that it depends on changes."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from pydantic import BaseModel, ConfigDict, ValidationError

from edge.compress.scoring.evaluation import evaluate, evaluate_by_recording
from edge.compress.scoring.recording_counts import RecordingCounts
from edge.runtime.atomic import atomic_folder
from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine, must_emulate
from edge.runtime.states import all_states

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared_inputs import SharedInputs
    from sides import QuantizedGraph, Side
    from torch import Tensor

    from edge.compress.samples import SampleSet
    from edge.compress.scoring.evaluation import Runner

GRAPH, COUNTS, RECORD = "graph.onnx", "counts.npz", "record.json"
QUANTIZED = "u8"  # any dialect but fp32: whether this host must emulate is all that the name decides here


class SideRecord(BaseModel):
    """What was measured of a side, beside its counts.

    Attributes:
        key: Names what it depends on.
        cpu_seconds: See `QuantizedGraph`.
        versions: Alike.
        weight_bytes: All constants of the graph: weights, biases, scales, zero points.
        file_bytes: The graph file.
        native: Where this host's integer kernels compute something else than the graph says (x86 without VNNI), the
            score that they give with everything present.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    cpu_seconds: float
    versions: dict[str, str]
    weight_bytes: int
    file_bytes: int
    native: float | None


@dataclass(frozen=True, eq=False)
class Measurement:
    """A side's graph, what it got right by recording, and its record."""

    graph: bytes
    counts: RecordingCounts
    record: SideRecord


def measure_float(inputs: SharedInputs, test: SampleSet) -> Measurement:
    """The float graph, on ONNX Runtime as all others."""
    graph = inputs.fp32.read_bytes()
    counts = _count(_runner(graph, "fp32", inputs), inputs, test)
    record = SideRecord(
        key="", cpu_seconds=0, versions={}, weight_bytes=weight_bytes(graph), file_bytes=len(graph), native=None
    )
    return Measurement(graph, counts, record)


def measure_side(side: Side, inputs: SharedInputs, test: SampleSet, folder: Path) -> Measurement:
    """Quantizes and scores, or takes what an earlier run kept in `folder`.

    Raises:
        PeerMissingError: The peer is not installed.
        RuntimeError: It failed.
        EdgeError: Ours did.
    """
    key, own = dependency_key(side, inputs, test), folder / re.sub(r"\W+", "-", side.name)
    kept = load_measurement(own, key)
    if kept is not None:
        return kept
    made = side.quantize(inputs)
    measured = Measurement(
        made.graph, _count(_runner(made.graph, QUANTIZED, inputs), inputs, test), _record(key, made, inputs, test)
    )
    _keep(own, measured)
    return measured


def load_measurement(folder: Path, key: str) -> Measurement | None:
    """What an earlier run kept there, if it is complete and depends on the same things."""
    try:
        record = SideRecord.model_validate_json((folder / RECORD).read_text(encoding="utf-8"))
        if record.key != key:
            return None
        counts = RecordingCounts.from_bytes((folder / COUNTS).read_bytes())
        return Measurement((folder / GRAPH).read_bytes(), counts, record)
    except (OSError, ValidationError):
        return None


def dependency_key(side: Side, inputs: SharedInputs, test: SampleSet) -> str:
    """Digest of the weights, the calibration set, the test samples' names and the side's settings."""
    parts = [side.name, side.settings, inputs.calibration.digest, hashlib.sha256(inputs.fp32.read_bytes()).hexdigest()]
    text = json.dumps([*parts, test.ids], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def weight_bytes(graph: bytes) -> int:
    """Bytes of all constants, whether initializers or `Constant` nodes."""
    model = onnx.load_from_string(graph)
    held = sum(numpy_helper.to_array(t).nbytes for t in model.graph.initializer)
    nodes = [a.t for n in model.graph.node if n.op_type == "Constant" for a in n.attribute if a.name == "value"]
    return held + sum(numpy_helper.to_array(t).nbytes for t in nodes)


def pooled(counts: Sequence[RecordingCounts]) -> RecordingCounts:
    """Counts of several seeds' models on the same samples, added by recording: a recording stays one draw."""
    (samples,) = {c.samples for c in counts}
    states = counts[0].by_state
    return RecordingCounts(samples, {s: np.sum([c.by_state[s] for c in counts], axis=0) for s in states})


def _record(key: str, made: QuantizedGraph, inputs: SharedInputs, test: SampleSet) -> SideRecord:
    return SideRecord(
        key=key,
        cpu_seconds=made.cpu_seconds,
        versions=made.versions,
        weight_bytes=weight_bytes(made.graph),
        file_bytes=len(made.graph),
        native=_native(made.graph, inputs, test) if must_emulate(QUANTIZED) else None,
    )


def _native(graph: bytes, inputs: SharedInputs, test: SampleSet) -> float:
    run = _runner(graph, QUANTIZED, inputs, emulate=False)
    (everything,) = list(all_states(inputs.task.modalities))[:1]
    return evaluate(run, test, inputs.task, [everything], batch_size=1)[everything]["score"]


def _count(run: Runner, inputs: SharedInputs, test: SampleSet) -> RecordingCounts:
    counts = evaluate_by_recording(run, test, inputs.task, batch_size=1).counts
    assert counts is not None, "all tasks here have additive metrics"
    return counts


def _runner(graph: bytes, dialect: str, inputs: SharedInputs, emulate: bool | None = None) -> Runner:
    engine = OnnxRuntimeEngine(graph, dialect, emulate_int8=emulate)

    def run(*tensors: Tensor) -> list[Tensor]:
        outputs = engine.run({name: t.numpy() for name, t in zip(inputs.input_names, tensors, strict=True)})
        return [torch.from_numpy(outputs[name]) for name in inputs.output_names]

    return run


def _keep(folder: Path, measured: Measurement) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(folder) as partial:
        (partial / GRAPH).write_bytes(measured.graph)
        (partial / COUNTS).write_bytes(measured.counts.to_bytes())
        (partial / RECORD).write_text(measured.record.model_dump_json(indent=1), encoding="utf-8")
