"""Steps on Torch-TensorRT's road: does it convert every operator, and at which precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.compile import driverless
from edge.compile.check.compiler_steps import capability_for, open_compiler
from edge.compile.check.graph_steps import precision_verdict
from edge.compile.check.report import CheckStep, Finding
from edge.compile.check.step import PREFLIGHT, counted, skipped, verdict
from edge.runtime.errors import MissingDependencyError, ModelError

if TYPE_CHECKING:
    from edge.compile.check.subject import Subject
    from edge.compile.check.target import Target

NO_PROGRAM = "there is no torch program: an ONNX file is compiled by TensorRT's own parser"


def check_coverage(subject: Subject, target: Target) -> CheckStep:
    """Every operator of the lowered program against the converters."""
    if subject.program is None or target.tensorrt is None:
        return skipped(NO_PROGRAM if subject.program is None else "the target runs ONNX Runtime")
    title = _installed()
    from edge.compile.torch_tensorrt.coverage import measure_coverage

    coverage = measure_coverage(subject.program.exported, title)
    findings = [Finding(layer=o.layer, operator=o.operator, message="no converter takes it") for o in coverage.missing]
    done = len(coverage.operators) - len(findings)
    return verdict(f"{coverage.source} converts {done} of {counted(len(coverage.operators), 'operator')}", findings)


def build_program(subject: Subject, target: Target) -> CheckStep:
    """A real engine by Torch-TensorRT, and what its network declares; what is not INT8 computes in FP16 there."""
    if subject.program is None or target.tensorrt is None:
        return skipped(NO_PROGRAM if subject.program is None else "the target runs ONNX Runtime")
    _installed()
    from edge.compile.torch_tensorrt.engine import build_from_program
    from edge.compile.torch_tensorrt.options import TorchTensorRTConfig

    config = TorchTensorRTConfig(half=True, compute_capability=_capability(target))
    try:
        built = build_from_program(subject.program, config)
    except ModelError as error:
        raise ModelError(error.problem, "rewrite the layer that it names, or take the ONNX road") from error
    step = precision_verdict(built.declared, subject.plan)
    size = f"{built.engine.library} built {len(built.engine.plan) / 1e6:.1f} MB in {built.engine.seconds:.1f} s"
    return step.model_copy(
        update={"detail": f"{size}; {step.detail}", "facts": {**step.facts, "engine_bytes": len(built.engine.plan)}}
    )


def _installed() -> str:
    """Title of the Torch-TensorRT that is here, asked for before its TensorRT, which would be missing with it."""
    from edge.compile.torch_tensorrt.installation import find_installation, require_installation

    if find_installation() is None:
        raise MissingDependencyError("Torch-TensorRT is not installed", PREFLIGHT)
    return require_installation().title


def _capability(target: Target) -> str | None:
    """The target's own or its stand-in, where the compiler may choose; the device that is here elsewhere."""
    if driverless.has_device() or target.device.gpu is None:
        return None
    return capability_for(open_compiler(), target.device.gpu.sm)
