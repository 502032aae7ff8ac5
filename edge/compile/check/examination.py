"""The whole check of a model for a target, step by step; no step stops the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.compile.check.board_steps import check_dla, check_memory, check_versions
from edge.compile.check.compiler_steps import build_engines, check_precision, parse_graph
from edge.compile.check.graph_steps import check_graphs, check_kernels, check_operators, run_graphs
from edge.compile.check.report import CheckReport, CheckStep
from edge.compile.check.sparsity import check_sparsity
from edge.compile.check.step import run_step, skipped
from edge.compile.check.torch_steps import build_program, check_coverage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge.compile.check.subject import Subject
    from edge.compile.check.target import Target
    from edge.compile.precision.layer_precision import PrecisionReport

STAND_IN_NOTE = (
    "An engine for a stand-in shows that the compiler takes the model and at which precision; it is no engine for the "
    "target, and says nothing of its speed. The target's own is built on the board: `edge build`."
)


def examine(
    subject: Subject,
    target: Target,
    capabilities: Sequence[str] = (),
    on_step: Callable[[str], None] = lambda _name: None,
) -> CheckReport:
    """Runs every step.

    Args:
        subject: The model.
        target: The device and its software.
        capabilities: Compute capabilities to build engines for; the target's or its stand-in where there are none.
        on_step: Called with a step's name before it runs.
    """
    found: list[PrecisionReport] = []
    steps = []
    for name, work in _steps(subject, target, capabilities, found):
        on_step(name)
        steps.append(run_step(name, work))
    stands_in = any(step.facts.get("stand_ins") and step.facts["engine_bytes"] for step in steps)
    notes = (*subject.notes, STAND_IN_NOTE) if stands_in else subject.notes
    return CheckReport(
        subject=subject.name,
        kind=subject.kind,
        target=target.device.name,
        jetpack=target.jetpack.version if target.jetpack else None,
        tensorrt=target.tensorrt,
        steps=tuple(steps),
        precision=found[0] if found else None,
        notes=notes,
    )


def _steps(
    subject: Subject, target: Target, capabilities: Sequence[str], found: list[PrecisionReport]
) -> Iterator[tuple[str, Callable[[], CheckStep]]]:
    def precision() -> CheckStep:
        if target.tensorrt is None:
            return skipped("the target runs ONNX Runtime, whose kernels are looked at instead")
        step, report = check_precision(subject, target)
        found.append(report)
        return step

    yield "versions", lambda: check_versions(target)
    yield "ONNX", lambda: check_graphs(subject)
    yield "ONNX Runtime", lambda: run_graphs(subject)
    yield "operators", lambda: check_operators(subject, target)
    yield "TensorRT parser", lambda: parse_graph(subject, target)
    yield "Torch-TensorRT coverage", lambda: check_coverage(subject, target)
    yield "Torch-TensorRT engine", lambda: build_program(subject, target)
    yield "engine build", lambda: build_engines(subject, target, capabilities)
    yield "precision", precision
    yield "kernels", lambda: check_kernels(subject, target)
    yield "2:4 sparsity", lambda: check_sparsity(subject, target)
    yield "DLA", lambda: check_dla(subject, target)
    yield "memory", lambda: check_memory(subject, target)
