"""Steps that look at the graph alone: is it valid ONNX, does ONNX Runtime run it, and in which kernels."""

from __future__ import annotations

import platform
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import onnx

from edge.compile.check.report import CheckStep, Finding, Status
from edge.compile.check.step import counted, skipped, verdict
from edge.compile.operators.table import parser_operators, unsupported_layers
from edge.compile.precision.declared_in_graph import graph_precision
from edge.compile.precision.layer_precision import why_short
from edge.compile.precision.proved_in_onnxruntime import optimized_precision
from edge.compress.export import check_graph, run_graph
from edge.devices.version_order import version_numbers
from edge.graph.nodes import default_opset
from edge.runtime.engines.onnxruntime import X86
from edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.compile.check.subject import Subject
    from edge.compile.check.target import Target
    from edge.compile.precision.layer_precision import PrecisionReport
    from edge.compress.precision_plan import PrecisionPlan

NEWEST_OPSET = 18  # what QuantizeLinear of every dialect is written for


def check_graphs(subject: Subject) -> CheckStep:
    """onnx.checker with shape inference, on every dialect."""
    opsets: dict[str, int] = {}
    for dialect in subject.graphs:
        graph = subject.graph(dialect)
        with _named(dialect, subject):
            check_graph(graph)
        opsets[dialect] = default_opset(graph.opset_import)
    newer = [f"{dialect} has opset {opset}" for dialect, opset in opsets.items() if opset > NEWEST_OPSET]
    detail = f"valid ONNX: {', '.join(subject.graphs)}"
    if newer:
        return verdict(f"{detail}; {', '.join(newer)}, written and tested is {NEWEST_OPSET}", status="noted")
    return verdict(f"{detail}, opset {', '.join(str(opset) for opset in sorted(set(opsets.values())))}")


def run_graphs(subject: Subject) -> CheckStep:
    """ONNX Runtime loads every dialect and runs it on zeros; its verdict counts before TensorRT's."""
    unsound = []
    for dialect in subject.graphs:
        graph = subject.graph(dialect)
        feeds = {item.name: _zeros(item) for item in graph.graph.input}
        with _named(dialect, subject):
            outputs = run_graph(graph, feeds)
        if not all(np.isfinite(o).all() for o in outputs if isinstance(o, np.ndarray) and o.dtype.kind == "f"):
            unsound.append(dialect)
    detail = f"ONNX Runtime runs {', '.join(subject.graphs)}"
    if unsound:  # a model may well divide by what it is given
        return verdict(f"{detail}; on zeros {', '.join(unsound)} gives NaN or infinity", status="noted")
    return verdict(detail)


@contextmanager
def _named(dialect: str, subject: Subject) -> Iterator[None]:
    """Says which graph an error is of, and who can mend it."""
    try:
        yield
    except ModelError as error:
        remedy = "export it again, or mend the exporter" if subject.kind in ("onnx", "program") else error.remedy
        raise ModelError(f"{dialect}: {error.problem}", remedy) from error


def check_operators(subject: Subject, target: Target) -> CheckStep:
    """The operator tables of the target's own TensorRT, which need not be here."""
    if target.tensorrt is None:
        return skipped("the target runs ONNX Runtime")
    facts, dialect = parser_operators(target.tensorrt), subject.dialect_for(target.dialects)
    graph = subject.graph(dialect)
    found = unsupported_layers(graph, target.tensorrt)
    findings = [Finding(layer=u.name, operator=u.operator, message=u.reason) for u in found]
    what = f"{counted(len(findings), 'node')} of {dialect}" if findings else f"every node of {dialect}"
    told = f"TensorRT {target.tensorrt}'s parser {'does not take' if findings else 'takes'} {what}"
    if version_numbers(target.tensorrt)[:2] != version_numbers(facts.version):
        told += f" (by the table of {facts.version})"
    opset = default_opset(graph.opset_import)
    if not facts.documents_opset(opset):
        told += f"; opset {opset} is beyond the {facts.opset[1]} that it documents"
    return verdict(told, findings)


def check_kernels(subject: Subject, target: Target) -> CheckStep:
    """Which kernels ONNX Runtime chose on this machine: proved, for targets that run it."""
    if target.tensorrt is not None:
        return skipped("they are ONNX Runtime's, and the target runs TensorRT")
    if (platform.machine() in X86) != (target.device.architecture == "x86_64"):
        return skipped(f"kernels are chosen for the processor: run this on {target.device.architecture}")
    dialect = subject.dialect_for(target.dialects)
    declared = graph_precision(subject.graph("s8" if dialect == "u8" and "s8" in subject.graphs else dialect))
    return precision_verdict(optimized_precision(subject.graphs[dialect], declared), subject.plan)


def precision_verdict(report: PrecisionReport, plan: PrecisionPlan) -> CheckStep:
    """A precision report held against the plan."""
    shares = ", ".join(f"{share:.1%} {name}" for name, share in report.shares().items())
    told = f"{shares} of the MACs" if shares else "nothing multiplies matrices"
    findings = [Finding(layer=layer.name, message=why_short(layer, plan)) for layer in report.shortfall(plan)]
    # What nothing could be told of speaks neither for nor against the model.
    status: Status | None = "noted" if report.unknown and not findings else None
    return verdict(f"{report.evidence} by {report.source}: {told}", findings, status=status, shares=report.shares())


def _zeros(item: onnx.ValueInfoProto) -> np.ndarray:
    kind = item.type.tensor_type
    shape = [max(1, dim.dim_value) for dim in kind.shape.dim]
    try:
        return np.zeros(shape, onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
    except KeyError as error:
        raise ModelError(f"input '{item.name}' is no tensor", "let the model take and give tensors only") from error
