"""DLA lint: which layers of a graph can run on the deep learning accelerator of an Orin, and why the others cannot.

The limits, and where they were read, are in `edge.compile.check.dla_layers.limits`. How many DLA cores a board has is a
matter of its device profile. Besides:

- TensorRT has the DLA up to 10.7, and again from 11.4.1 on, for AGX Orin with JetPack 7.2.2 or later ("Working with
  DLA" in NVIDIA's TensorRT 11.4.1 documentation, inference-library/work-with-dla).
- The DLA does not support explicit quantization (the same section, up to TensorRT 10): its INT8 takes dynamic ranges
  from a calibrator there, and no Q/DQ.
- From 11.4.1 on the types of the graph decide ("Strongly Typed Networks for DLA",
  inference-library/dla-strongly-typed-networks): only what is typed FP16 computes in FP16, so runs on the DLA.
- A core loads at most 16 loadables at a time ("DLA Supported Layers and Restrictions", general restrictions).
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from edge.compile.check.dla_layers.limits import runs_in, why_not
from edge.compile.check.dla_layers.shapes import DlaPrecision
from edge.devices.version_order import at_least
from edge.graph.layers import QDQ, graph_layers
from edge.graph.nodes import walk
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    import onnx

    from edge.graph.nodes import GraphNode

FIRST_KNOWN = "8.5"
LAST_OF_10, BACK_IN_11 = "10.7", "11.4.1"
MAX_LOADABLES = 16


class DlaLayer(BaseModel):
    """One layer of the graph.

    Attributes:
        name: Path of its module, or of the tensor that it makes.
        operator: ONNX operator.
        macs: Multiply-accumulates of one inference.
        fits: Whether it can run on the DLA.
        precision: What it computes in there; None where it does not fit.
        reason: Why it does not fit; empty where it does.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    operator: str
    macs: int
    fits: bool
    precision: DlaPrecision | None = None
    reason: str = ""


class DlaReport(BaseModel):
    """What of a graph can run on the DLA.

    Attributes:
        tensorrt: The TensorRT that was asked about.
        asked: The precision that was asked for.
        precision: The widest that its layers have there: FP16 where INT8 cannot be had.
        quantized: Whether the graph holds Q/DQ pairs. The DLA takes none, so that the verdicts are those of the graph
            without them.
        layers: In the order of the graph; those that are computed when the engine is built are left out.
        notes: What else the answer depends on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tensorrt: str
    asked: DlaPrecision
    precision: DlaPrecision
    quantized: bool
    layers: tuple[DlaLayer, ...]
    notes: tuple[str, ...] = ()

    @property
    def share(self) -> float | None:
        """Share of the MACs whose layers fit; None for a graph without MACs."""
        total = sum(layer.macs for layer in self.layers)
        return sum(layer.macs for layer in self.layers if layer.fits) / total if total else None

    @property
    def loadables(self) -> int:
        """Runs of layers on the DLA, in the order of the graph; TensorRT may cut them further, or join branches."""
        return sum(fits for fits, _run in groupby(self.layers, key=lambda layer: layer.fits))

    @property
    def transitions(self) -> int:
        """How often the order of the graph changes between GPU and DLA, if the GPU may take what the DLA does not."""
        return max(0, sum(1 for _ in groupby(self.layers, key=lambda layer: layer.fits)) - 1)


def lint_dla(model: onnx.ModelProto, tensorrt_version: str, precision: DlaPrecision = "fp16") -> DlaReport:
    """Judges each layer of a graph.

    Args:
        model: With fixed shapes, which is all that the DLA takes.
        tensorrt_version: Of the board, such as `10.3`.
        precision: What the layers are wanted in.

    Raises:
        ConfigError: The version is no number, or older than what is known.
        ModelError: Shapes are not fixed, or the graph contradicts itself.
    """
    if not at_least(tensorrt_version, FIRST_KNOWN):
        raise ConfigError(
            f"nothing is known of the DLA of TensorRT {tensorrt_version}", f"name one from {FIRST_KNOWN} on"
        )
    macs = {layer.output: layer.macs for layer in graph_layers(model)}
    quantized = any(node.op_type in QDQ for node in model.graph.node)
    effective = _effective(precision, quantized, tensorrt_version)
    layers = tuple(
        _judge(node, macs[node.proto.output[0]], effective, tensorrt_version)
        for node in walk(model)
        if node.proto.output[0] in macs and not node.folds
    )
    report = DlaReport(
        tensorrt=tensorrt_version, asked=precision, precision=effective, quantized=quantized, layers=layers
    )
    return report.model_copy(update={"notes": tuple(_notes(report))})


def has_dla(tensorrt_version: str) -> bool:
    """Whether a TensorRT builds for the DLA of an Orin at all."""
    gone = at_least(tensorrt_version, "10.8")
    return not gone or at_least(tensorrt_version, BACK_IN_11)


def _typed(tensorrt_version: str) -> bool:
    return at_least(tensorrt_version, "11")


def _effective(asked: DlaPrecision, quantized: bool, tensorrt_version: str) -> DlaPrecision:
    return "fp16" if quantized or _typed(tensorrt_version) else asked


def _judge(node: GraphNode, macs: int, precision: DlaPrecision, tensorrt_version: str) -> DlaLayer:
    reason = _reason(node, precision, tensorrt_version)
    used = None if reason else runs_in(node, precision)
    return DlaLayer(name=node.name, operator=node.operator, macs=macs, fits=not reason, precision=used, reason=reason)


def _reason(node: GraphNode, precision: DlaPrecision, tensorrt_version: str) -> str:
    if not has_dla(tensorrt_version):
        return f"TensorRT {tensorrt_version} has no DLA"
    if _typed(tensorrt_version) and node.element(node.proto.output[0]) == "FLOAT":
        return "it is typed FP32, and TensorRT 11 keeps the types of the graph; the DLA computes in FP16"
    return why_not(node, precision, tensorrt_version)


def _notes(report: DlaReport) -> list[str]:
    version, typed = report.tensorrt, _typed(report.tensorrt)
    if not has_dla(version):
        return [f"TensorRT has the DLA up to {LAST_OF_10}, and from {BACK_IN_11} on for AGX Orin; {version} has none"]
    notes = []
    if typed:
        notes.append(f"TensorRT {version} has the DLA of AGX Orin only, from JetPack 7.2.2 on; INT8 is not counted on")
    if report.quantized and not typed:
        notes.append(
            "up to TensorRT 10 the DLA takes no Q/DQ: the layers would run there in FP16, from the graph without them; "
            "the graph as it is does not"
        )
    elif report.asked == "int8" and not typed:
        notes.append("INT8 on the DLA takes dynamic ranges from a calibrator of TensorRT, not the scales of the bundle")
    if report.loadables > MAX_LOADABLES:
        notes.append(
            f"{report.loadables} runs of layers are more than the {MAX_LOADABLES} loadables that a DLA core holds"
        )
    return notes
