"""Steps on the board itself: its versions, its DLA, its memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.compile.check.dla import lint_dla
from edge.compile.check.report import CheckStep, Finding
from edge.compile.check.step import counted, skipped, verdict
from edge.compile.tensorrt.build_memory import BuildSizes, plan_build_memory, workspace_bytes
from edge.compile.tensorrt.library import OLDEST
from edge.devices.estimate import estimate_graph
from edge.devices.typing_regime import torch_tensorrt_typing
from edge.devices.version_order import at_least
from edge.graph.layers import graph_layers
from edge.runtime.byte_sizes import MIB

if TYPE_CHECKING:
    from edge.compile.check.subject import Subject
    from edge.compile.check.target import Target

GIB = 1 << 30


def check_versions(target: Target) -> CheckStep:
    """Which roads lead to this device with this JetPack."""
    if target.jetpack is None:
        return skipped(f"{target.device.name} has no JetPack that decides versions")
    release = target.jetpack
    regime = "typed networks only" if release.typing == "strong" else "precision flags and types"
    torch_tensorrt = release.torch_tensorrt_for(target.device)
    detail = f"CUDA {release.cuda}, TensorRT {release.tensorrt} ({regime}), Python {release.python}"
    facts: dict[str, Any] = {"tensorrt": release.tensorrt, "cuda": release.cuda, "torch_tensorrt": torch_tensorrt}
    oldest = ".".join(map(str, OLDEST))
    if not at_least(release.tensorrt, oldest):
        step = verdict(f"{detail}; engines are built with TensorRT {oldest} and newer", status="failed", **facts)
        return step.model_copy(update={"remedy": "choose a newer JetPack, or run the bundle with ONNX Runtime"})
    return verdict(f"{detail}; {_torch_road(torch_tensorrt)}", **facts)


def _torch_road(version: str | None) -> str:
    if version is None:
        return "there is no Torch-TensorRT wheel for it: take the ONNX road"
    if torch_tensorrt_typing(version) == "strong":
        return f"take Torch-TensorRT {version} or the ONNX road"
    return f"its Torch-TensorRT {version} is of the regime before 2.13: take the ONNX road"


def check_dla(subject: Subject, target: Target) -> CheckStep:
    """What of the graph could run on the DLA: worth knowing, no verdict."""
    if target.device.dla is None or target.tensorrt is None:
        return skipped(f"{target.device.name} has no DLA")
    dialect = subject.dialect_for(target.dialects)
    report = lint_dla(subject.graph(dialect), target.tensorrt)
    findings = [Finding(layer=x.name, operator=x.operator, message=x.reason) for x in report.layers if not x.fits]
    fitting = len(report.layers) - len(findings)
    share = "" if report.share is None else f", {report.share:.0%} of the MACs"
    detail = f"{fitting} of {counted(len(report.layers), 'layer')} can run there, in {report.precision.upper()}{share}"
    return verdict("; ".join((detail, *report.notes)), findings, status="noted", share=report.share)


def check_memory(subject: Subject, target: Target) -> CheckStep:
    """Running and building against what the board has; a Jetson's memory serves both CPU and GPU."""
    if target.device.gpu is None:
        return skipped("the target runs ONNX Runtime; `edge run --memory-limit` bounds it")
    dialect = subject.dialect_for(target.dialects)
    running = estimate_graph(subject.graph(dialect), target.device).memory
    layers = graph_layers(subject.graph(dialect))
    sizes = BuildSizes.of_layers(layers, len(subject.graphs[dialect]))
    building = plan_build_memory(sizes, workspace_bytes(target.device.memory.gib))
    fitted = int(target.device.memory.gib * GIB)
    findings = [
        Finding(layer=what, message=f"needs {needed / MIB:.0f} MiB of {fitted / MIB:.0f} MiB")
        for what, needed in (("running", running.total), ("building", building.total))
        if needed > fitted
    ]
    detail = f"estimated {running.total / MIB:.0f} MiB to run, {building.total / MIB:.0f} MiB to build the engine, "
    detail += f"of {fitted / MIB:.0f} MiB fitted"
    parts = {item.what: item.bytes for item in building.items}
    return verdict(detail, findings, running_bytes=running.total, building_bytes=building.total, building=parts)
