"""How many layers have weights that sparse tensor cores can skip half of: worth knowing, no verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.compile.board.sparse_choice import SPARSE_CAPABILITY
from edge.compile.check.report import CheckStep, Finding
from edge.compile.check.step import counted, skipped, verdict
from edge.compress.sparsify.onnx_weights import graph_weights
from edge.devices.version_order import at_least

if TYPE_CHECKING:
    from edge.compile.check.subject import Subject
    from edge.compile.check.target import Target


def check_sparsity(subject: Subject, target: Target) -> CheckStep:
    """2:4 sparse layers of the graph that the target's TensorRT gets, read from its weights.

    A layer that could run sparse need not: TensorRT times sparse and dense kernels and takes the quicker one, so
    nothing is said of speed.
    """
    if target.tensorrt is None or target.device.gpu is None:
        return skipped("ONNX Runtime has no kernels that skip 2:4 sparse weights")
    dialect, capability = subject.dialect_for(target.dialects), target.device.gpu.sm
    weights = tuple(graph_weights(subject.graph(dialect)))
    dense = [weight for weight in weights if not weight.is_sparse]
    count = len(weights) - len(dense)
    if not count:
        return skipped(f"no layer of {dialect} has 2:4 sparse weights")
    able = at_least(capability, SPARSE_CAPABILITY)
    told = f"{count} of {counted(len(weights), 'layer')} of {dialect} have 2:4 sparse weights; "
    told += f"compute capability {capability} has {'' if able else 'no '}sparse tensor cores"
    if able:
        told += ": these could run sparse, where TensorRT finds that quicker; not measured"
    if target.device.dla is not None:
        told += "; none on the DLA, whose sparse convolutions are INT8 and which gets FP16 from edge"
    findings = [Finding(layer=w.layer, operator=w.operator, message="dense") for w in dense]
    could_run = count if able else 0
    return verdict(told, findings, status="noted", sparse=count, layers=len(weights), could_run=could_run)
