"""What `edge check` is given, a bundle, checkpoint, ONNX file or exported program, opened to graphs and program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import onnx

from edge.compile.precision.declared_in_graph import graph_precision
from edge.compress.precision_plan import PrecisionPlan, PrecisionRule, plan_of_stages
from edge.graph.onnx_file import read_onnx, to_bytes
from edge.runtime.bundle import Bundle
from edge.runtime.bundle_layout import MANIFEST
from edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.compress.program.file import Program
    from edge.runtime.trust import TrustPolicy

SubjectKind = Literal["bundle", "checkpoint", "onnx", "program"]
FLOAT_DIALECT = "fp32"


@dataclass(frozen=True)
class Subject:
    """A model in the forms that compilers take.

    Attributes:
        name: For people.
        kind: What it was opened from.
        graphs: ONNX files by dialect, at least one.
        program: For Torch-TensorRT; None where there is none.
        plan: At which precision its layers are meant to compute.
        notes: What the report says of its origin.
    """

    name: str
    kind: SubjectKind
    graphs: dict[str, bytes]
    program: Program | None
    plan: PrecisionPlan
    notes: tuple[str, ...] = ()

    def dialect_for(self, preferred: Sequence[str]) -> str:
        """The first of the preferred dialects that there is, else the first of those that there are."""
        return next((dialect for dialect in preferred if dialect in self.graphs), next(iter(self.graphs)))

    def graph(self, dialect: str) -> onnx.ModelProto:
        """A dialect's graph, parsed."""
        return onnx.load_model_from_string(self.graphs[dialect])


def open_subject(path: Path, trust: TrustPolicy | None = None) -> Subject:
    """Opens whatever lies at a path.

    Args:
        path: A bundle's or checkpoint's folder, an `.onnx` or a `.pt2` file.
        trust: What a bundle's signature must be.

    Raises:
        BundleError: A bundle is incomplete or altered.
        ModelError: A file is of none of these kinds, or cannot be read.
    """
    if (path / MANIFEST).is_file():
        return _open_bundle(path, trust)
    if (path / "checkpoint.json").is_file():
        return _open_checkpoint(path)
    if path.is_file() and path.suffix == ".pt2":
        return _open_program(path)
    if path.is_file():
        return _open_onnx(path)
    remedy = "pass a folder that edge wrote, or an exported model"
    if not path.exists():
        raise ModelError(f"there is no {path}", remedy)
    raise ModelError(f"{path} is no bundle, checkpoint, ONNX file or .pt2 program", remedy)


def _open_bundle(path: Path, trust: TrustPolicy | None) -> Subject:
    from edge.compress.program.file import read_program

    bundle = Bundle.open(path, trust)
    packed = bundle.program()
    program = read_program(packed, f"{path}/program.pt2") if packed is not None else None
    graphs = {dialect: bundle.graph(dialect) for dialect in bundle.dialects}
    return Subject(bundle.manifest.name, "bundle", graphs, program, plan_of_stages(bundle.manifest.stages))


def _open_checkpoint(path: Path) -> Subject:
    import torch

    from edge.checkpoint import load_checkpoint
    from edge.compress.export import export_onnx
    from edge.compress.program.file import Program
    from edge.compress.quantize.tracing import trace

    loaded = load_checkpoint(path)
    project = loaded.manifest.project
    examples = tuple(
        torch.zeros((1, len(i.streams)) if i.feature == "present" else i.shape, dtype=getattr(torch, i.dtype))
        for i in project.io.inputs
    )
    inputs, outputs = tuple(item.tensor for item in project.io.inputs), project.io.output_tensors
    graph = export_onnx(loaded.model, examples, inputs, outputs).SerializeToString()
    program = Program(trace(loaded.model, examples), inputs, outputs)
    return Subject(project.name, "checkpoint", {FLOAT_DIALECT: graph}, program, PrecisionPlan())


def _open_program(path: Path) -> Subject:
    from edge.compress.export import export_program
    from edge.compress.program.file import read_program

    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {path} ({error.strerror})", "pass the path of a .pt2 file") from error
    program = read_program(content, str(path))
    graph = export_program(program)
    return _with_own_plan(path.name, "program", graph, program)


def _open_onnx(path: Path) -> Subject:
    return _with_own_plan(path.name, "onnx", read_onnx(path), None)


def _with_own_plan(name: str, kind: SubjectKind, graph: onnx.ModelProto, program: Program | None) -> Subject:
    """A model without a recipe: whatever has a Q/DQ pair at it is meant to be INT8."""
    quantized = any(node.op_type == "DequantizeLinear" for node in graph.graph.node)
    graphs = {"s8" if quantized else FLOAT_DIALECT: to_bytes(graph, name)}
    try:
        layers = graph_precision(graph).layers
    except ModelError as error:
        return Subject(name, kind, graphs, program, PrecisionPlan(), (f"No precision was planned: {error.problem}.",))
    meant = (layer.name for layer in layers if layer.precision == "int8" or layer.reason)
    rules = tuple(PrecisionRule(layers=_literal(layer), precision="int8") for layer in meant)
    return Subject(name, kind, graphs, program, PrecisionPlan(rules=rules))


def _literal(name: str) -> str:
    """A glob that matches this name alone."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
