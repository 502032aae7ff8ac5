"""Models and bundles that are compiled for real, on a machine without a GPU."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx
    from torch import Tensor, nn

    from edge.compile.tensorrt.library import TensorRTLibrary
    from edge.compress.program.file import Program

STREET_SHAPES = {"camera": (3, 64, 208), "lidar": (4, 64, 208), "audio": (1, 40, 96), "present": (3,)}


@dataclass(frozen=True)
class Compiled:
    """A float model quantized, in all the forms that compilers take."""

    s8: onnx.ModelProto
    fp32: onnx.ModelProto
    program: Program


@pytest.fixture(scope="session")
def benchmarks() -> Iterator[None]:
    """Lets tests import what the benchmarks measure with."""
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="session")
def looks_quantized(benchmarks: None) -> Any:
    """Makes graphs that look quantized and are not: what a declaration of precision must refuse."""
    return importlib.import_module("looks_quantized")


@pytest.fixture(scope="session")
def library() -> TensorRTLibrary:
    """TensorRT-RTX, which builds for devices that are not here."""
    from edge.compile.tensorrt.library import open_library

    return open_library("tensorrt_rtx")


def compile_forms(
    model: nn.Module,
    shapes: dict[str, tuple[int, ...]],
    outputs: tuple[str, ...],
    keep_float: tuple[str, ...] = (),
) -> Compiled:
    """Quantizes a model on random inputs and exports it."""
    import torch

    from edge.compress.dialects.writing import write_s8
    from edge.compress.export import export_onnx
    from edge.compress.program.file import pack_program, read_program
    from edge.compress.quantize.config import QuantizeConfig
    from edge.compress.quantize.pt2e import quantize_static
    from edge.compress.quantize.tracing import trace

    generator = torch.Generator().manual_seed(1)

    def inputs(batch: int) -> tuple[Tensor, ...]:
        drawn = {name: torch.randn(batch, *shape, generator=generator) for name, shape in shapes.items()}
        return tuple(torch.ones_like(t) if name == "present" else t for name, t in drawn.items())

    calibration = [inputs(4) for _ in range(2)]
    quantized = quantize_static(model.eval(), inputs(2), calibration, QuantizeConfig(keep_float=keep_float))
    names, one = tuple(shapes), inputs(1)
    packed = pack_program(trace(quantized, one), names, outputs)
    return Compiled(
        write_s8(export_onnx(quantized, one, names, outputs)),
        export_onnx(model, one, names, outputs),
        read_program(packed, "the program"),
    )


@pytest.fixture(scope="session")
def street() -> Compiled:
    """The demo's student, untrained: three ResNet branches, channel mixing, a grid and events."""
    import torch

    from edge.models.fusion_model import FusionModel
    from edge.project import load_project, preset_path

    torch.manual_seed(0)
    project = load_project(preset_path("street_demo"))
    model = FusionModel(project.student, project.io)
    return compile_forms(model, STREET_SHAPES, ("objects", "distance", "events"))


@pytest.fixture(scope="session")
def reference(benchmarks: None) -> Compiled:
    """The reference graph of the benchmarks: 4.6 M parameters in 3x3 convolutions."""
    graphs = importlib.import_module("int8_graphs").GRAPHS
    graph = next(g for g in graphs if g.name == "reference-cnn")
    return compile_forms(graph.model(), graph.shapes, graph.outputs)


@pytest.fixture(scope="session")
def street_bundle(street: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's bundle with an untrained model."""
    import numpy as np
    import torch

    from edge.compress.dialects.half_regions import write_half
    from edge.compress.dialects.writing import write_u8
    from edge.compress.program.file import pack_program
    from edge.data.prepared import project_rig
    from edge.packing.pack import BundleContents, pack_bundle
    from edge.project import load_project, preset_path
    from edge.runtime.manifest import StageEntry, TrainingData

    project = load_project(preset_path("street_demo"))
    random = np.random.default_rng(2)
    graphs = {"s8": street.s8, "s8f16": write_half(street.s8), "u8": write_u8(street.s8), "fp32": street.fp32}
    exported = street.program.exported
    copy = torch.export.export(exported.module(), tuple(torch.ones(1, *s) for s in STREET_SHAPES.values()))
    config = {"stage": "quantize", "quantize": {"keep_float": []}}
    contents = BundleContents(
        name="street",
        graphs={name: graph.SerializeToString() for name, graph in graphs.items()},
        model_io=project.io,
        rig=project_rig(project),
        recipe={"stages": []},
        data=TrainingData(kind="none", description="untrained"),
        validated_states={"all": 1.0},
        golden_inputs=[{n: random.normal(size=(1, *s)).astype(np.float32) for n, s in STREET_SHAPES.items()}],
        licenses="Apache-2.0",
        stages=[StageEntry(name="quantize", params=1, macs=1, bytes=1, metrics={}, config=config)],
        program=pack_program(copy, street.program.input_names, street.program.output_names),
    )
    return pack_bundle(tmp_path_factory.mktemp("street") / "bundle", contents).path
