"""Exports each stage's model and measures it: size, MACs, and metrics in every modality state."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import onnx
import torch

from edge.compress.dialects.half_regions import write_half
from edge.compress.dialects.unquantized import left_float
from edge.compress.dialects.writing import write_s8, write_u8
from edge.compress.export import export_onnx
from edge.compress.fitting import set_layout
from edge.compress.mac_count import macs
from edge.compress.program.file import pack_program
from edge.compress.quantize.config import QuantizeConfig
from edge.compress.quantize.rounding_record import ROUNDED, rounded_layers
from edge.compress.quantize.tracing import trace
from edge.compress.scoring.evaluation import evaluate_by_recording
from edge.compress.sparsify.record import SPARSITY_NOTE
from edge.compress.sparsify.sparsifying import held_against
from edge.compress.stages.agreement import DecisionAgreement
from edge.compress.stages.record import StageRecord
from edge.compress.stages.stage import QuantizeStage
from edge.compress.tuning.record import TUNING_NOTE
from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor, nn

    from edge.compress.samples import SampleSet
    from edge.compress.scoring.evaluation import Runner
    from edge.compress.scoring.recording_counts import RecordingCounts
    from edge.compress.scoring.task import Task
    from edge.compress.stages.stage import Artifact, StageConfig

logger = logging.getLogger(__name__)
GATED_DIALECT = "s8"  # what the board runs; u8 must agree with it
DEPLOYED_DIALECT = "u8"  # what x86 runs, and what is timed here


@dataclass(frozen=True)
class MeasuredStage:
    """A stage's model in the forms that compilers take, and its record.

    Attributes:
        artifact: The model.
        graphs: ONNX files by dialect: `fp32`, or `s8`, `s8f16` and `u8`.
        record: What was measured.
        program: Once quantized, the torch program as a `.pt2` file; None where it has more in it than such a file may,
            which the record's notes tell.
        validation_counts: What `record.gate_metrics` were computed from; None where counts do not add up.
        test_counts: The same of `record.metrics`.
    """

    artifact: Artifact
    graphs: dict[str, bytes]
    record: StageRecord
    program: bytes | None = None
    validation_counts: RecordingCounts | None = None
    test_counts: RecordingCounts | None = None

    @property
    def deployed(self) -> bytes:
        """The graph file that this machine would run."""
        return self.graphs[self.deployed_dialect]

    @property
    def deployed_dialect(self) -> str:
        """Which of the graphs that is."""
        return deployed_dialect(self.graphs)


@dataclass(frozen=True)
class StageMeasurer:
    """Implements `edge.compress.recipe.Measure` by ONNX export and ONNX Runtime.

    Attributes:
        task: Gives the metrics.
        validation: What gates look at.
        test: What reports quote.
        input_names: Tensor names, in the order of the model's inputs.
        output_names: Tensor names, in the order of its outputs.
        on_step: Called after each state that was evaluated.
    """

    task: Task
    validation: SampleSet
    test: SampleSet
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    on_step: Callable[[], None] | None = field(default=None)

    def __call__(
        self, artifact: Artifact, config: StageConfig | None, seconds: float, before: MeasuredStage | None
    ) -> MeasuredStage:
        """Exports and measures; parameters and MACs of a quantized model are those of the stage before."""
        example = self.example_inputs()
        proto = export_onnx(artifact.model, example, self.input_names, self.output_names)
        settings = _settings(artifact, config)
        graphs = {"fp32": proto.SerializeToString()}
        agreements: dict[str, float] = {}
        if artifact.quantized:
            tuned = artifact.notes.get(TUNING_NOTE, {}).get("kept") == "tuned"
            compared = DecisionAgreement(self.task, self.validation, self._onnx_runner)
            graphs, agreements = compared.settled(_dialects(proto, settings), tuned)
        run, batch = self._runner(artifact, graphs)
        program, why_not = self._program(artifact, example)
        tested, validated = (
            evaluate_by_recording(run, split, self.task, batch_size=batch, on_step=self.on_step)
            for split in (self.test, self.validation)
        )
        inherited = before.record if artifact.quantized and before else None
        record = StageRecord(
            name=artifact.name,
            config={} if config is None else config.model_dump(mode="json"),
            params=inherited.params if inherited else sum(p.numel() for p in artifact.model.parameters()),
            macs=inherited.macs if inherited else macs(artifact.model, example),
            bytes=len(graphs[deployed_dialect(graphs)]),
            seconds=seconds,
            metrics=tested.metrics,
            gate_metrics=validated.metrics,
            notes={
                **artifact.notes,
                **self._notes(artifact, graphs),
                **{f"{dialect}_agrees_with_{GATED_DIALECT}": share for dialect, share in agreements.items()},
                **_sparsity(artifact, graphs),
                **why_not,
                **(_left_float(proto, settings) if artifact.quantized else {}),
            },
        )
        return MeasuredStage(artifact, graphs, record, program, validated.counts, tested.counts)

    def runner(self, stage: MeasuredStage) -> tuple[Runner, int]:
        """What `record.metrics` were measured with, and the samples that it takes at once."""
        return self._runner(stage.artifact, stage.graphs)

    def _runner(self, artifact: Artifact, graphs: Mapping[str, bytes]) -> tuple[Runner, int]:
        if artifact.quantized:
            return self._onnx_runner(graphs, GATED_DIALECT), 1
        return module_runner(artifact.model), 64

    def _program(self, artifact: Artifact, example: tuple[Tensor, ...]) -> tuple[bytes | None, dict[str, str]]:
        """What Torch-TensorRT compiles; where there can be none, the ONNX graphs still are, so that is noted."""
        if not artifact.quantized:
            return None, {}
        try:
            return pack_program(trace(artifact.model, example), self.input_names, self.output_names), {}
        except ModelError as error:
            logger.warning("no torch program for Torch-TensorRT: %s", error.problem)
            return None, {"no_program": error.problem}

    def _notes(self, artifact: Artifact, graphs: dict[str, bytes]) -> dict[str, Any]:
        if not artifact.quantized:
            return {} if artifact.plan is None else {"pruning": artifact.plan.model_dump(mode="json", by_alias=True)}
        return {
            "calibration_digest": artifact.calibration_digest,
            "bytes": {dialect: len(graph) for dialect, graph in graphs.items()},
            **_rounding(artifact.model),
        }

    def example_inputs(self) -> tuple[Tensor, ...]:
        """The first test sample at batch 1, everything present."""
        inputs = tuple(t[:1].clone() for t in self.test.inputs)
        return (*inputs, torch.ones(1, len(inputs)))

    def _onnx_runner(self, graphs: Mapping[str, bytes], dialect: str) -> Runner:
        return onnx_runner(graphs[dialect], dialect, self.input_names, self.output_names)


def deployed_dialect(graphs: Mapping[str, bytes]) -> str:
    """The dialect that x86 runs: the INT8 one once there is one."""
    return DEPLOYED_DIALECT if DEPLOYED_DIALECT in graphs else "fp32"


def module_runner(model: nn.Module) -> Runner:
    """A float module as a function of positional tensors, in the layout that is fastest on CPUs."""
    model = set_layout(model, torch.channels_last)

    def run(*tensors: Tensor) -> Sequence[Tensor]:
        laid_out = (t.contiguous(memory_format=torch.channels_last) if t.dim() == 4 else t for t in tensors)
        outputs: Sequence[Tensor] = model(*laid_out)
        return outputs

    return run


def onnx_runner(graph: bytes, dialect: str, input_names: Sequence[str], output_names: Sequence[str]) -> Runner:
    """A graph as a function of positional tensors at batch 1, run by ONNX Runtime on all cores."""
    engine = OnnxRuntimeEngine(graph, dialect, threads=torch.get_num_threads())

    def run(*tensors: Tensor) -> list[Tensor]:
        outputs = engine.run({n: t.numpy() for n, t in zip(input_names, tensors, strict=True)})
        return [torch.from_numpy(outputs[name]) for name in output_names]

    return run


def _settings(artifact: Artifact, config: StageConfig | None) -> QuantizeConfig:
    """How a model was quantized: as the stage says, or as its plan of precisions had it."""
    stated = config.quantize if isinstance(config, QuantizeStage) else QuantizeConfig()
    return artifact.settings or stated


def _dialects(proto: onnx.ModelProto, settings: QuantizeConfig) -> dict[str, bytes]:
    s8 = write_s8(proto)
    written = {"s8": s8, "s8f16": write_half(s8, settings.keep_fp32), "u8": write_u8(s8)}
    return {dialect: graph.SerializeToString() for dialect, graph in written.items()}


def _sparsity(artifact: Artifact, graphs: Mapping[str, bytes]) -> dict[str, Any]:
    """What is 2:4 sparse, found in the weights of the graph that the gate looks at."""
    if artifact.sparsity is None:
        return {}
    graph = onnx.load_model_from_string(graphs[GATED_DIALECT if artifact.quantized else "fp32"])
    return {SPARSITY_NOTE: held_against(artifact.sparsity, graph).model_dump(mode="json")}


def _rounding(model: nn.Module) -> dict[str, Any]:
    layers = [layer.model_dump() for layer in rounded_layers(model)]
    return {ROUNDED: layers} if layers else {}


def _left_float(proto: onnx.ModelProto, settings: QuantizeConfig) -> dict[str, Any]:
    """The precision plan excuses what is noted here, so it is said as well."""
    left = left_float(proto, settings.keep_float)
    for layer, operator in left.items():
        logger.warning("%s stays float: no INT8 rule for %s; `keep_float` that names it silences this", layer, operator)
    return {"left_float": left} if left else {}
