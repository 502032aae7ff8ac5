"""Which operators of a program Torch-TensorRT converts: found without a build, layer by layer, after lowering."""

from __future__ import annotations

import operator
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from edge.compile.torch_tensorrt.calling import input_specs, quietly
from edge.compile.torch_tensorrt.installation import open_torch_tensorrt
from edge.compile.torch_tensorrt.options import TorchTensorRTConfig, checked_options
from edge.compile.torch_tensorrt.quantized_operators import register_quantized_operators
from edge.compress.quantize.placement import module_paths
from edge.compress.quantize.tracing import quiet

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import GraphModule, Node


class OperatorCoverage(BaseModel):
    """One operator of the lowered program.

    Attributes:
        layer: Path of the module that it came from, or its own name.
        operator: Such as `aten.convolution.default`.
        converted: Whether a converter takes it as it is called here.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    layer: str
    operator: str
    converted: bool


class Coverage(BaseModel):
    """All operators of a program.

    Attributes:
        source: Which Torch-TensorRT was asked.
        operators: In the order of execution.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    operators: tuple[OperatorCoverage, ...]

    @property
    def missing(self) -> tuple[OperatorCoverage, ...]:
        """What no converter takes."""
        return tuple(o for o in self.operators if not o.converted)

    @property
    def share(self) -> float:
        """Share of the operators that are converted."""
        return 1 - len(self.missing) / len(self.operators) if self.operators else 1.0


def measure_coverage(program: ExportedProgram, title: str, config: TorchTensorRTConfig | None = None) -> Coverage:
    """Lowers a program as Torch-TensorRT does and asks its registry for each operator.

    Args:
        program: With fixed shapes; left as it is.
        title: Of the installation, for the report.
        config: As for a build.
    """
    lowered = lower(program, config or TorchTensorRTConfig())
    calls = (node for node in lowered.graph.nodes if node.op == "call_function")
    # Taking one of several results apart computes nothing: it goes with the operator that made them.
    found = [_covered(node) for node in calls if node.target is not operator.getitem]
    return Coverage(source=title, operators=tuple(found))


def count_engines(program: ExportedProgram, config: TorchTensorRTConfig | None = None) -> int:
    """How many engines Torch-TensorRT would cut a program into, by its own dry run; 1 is the aim.

    Args:
        program: With fixed shapes; left as it is.
        config: As for a build.
    """
    module = open_torch_tensorrt()
    register_quantized_operators()
    config = config or TorchTensorRTConfig()
    options = checked_options(module.dynamo.compile, {**config.options(), "require_full_compilation": False})
    with tempfile.TemporaryDirectory() as folder, quietly():
        report = Path(folder) / "dry_run.txt"
        module.dynamo.compile(program, inputs=input_specs(module, program), dryrun=str(report), **options)
        return len(re.findall(r"TRT Engine #\d+", report.read_text(encoding="utf-8")))


def lower(program: ExportedProgram, config: TorchTensorRTConfig) -> GraphModule:
    """Torch-TensorRT's own lowering: decompositions, then its passes on the graph."""
    module = open_torch_tensorrt()
    register_quantized_operators()
    from torch_tensorrt.dynamo._settings import CompilationSettings
    from torch_tensorrt.dynamo.conversion import DYNAMO_CONVERTERS
    from torch_tensorrt.dynamo.lowering import get_decompositions, post_lowering, pre_export_lowering

    options = checked_options(module.dynamo.compile, config.options())
    known = CompilationSettings.__dataclass_fields__
    settings = CompilationSettings(**{key: value for key, value in options.items() if key in known})
    DYNAMO_CONVERTERS.set_compilation_settings(settings)
    with quiet():
        prepared = pre_export_lowering(program, settings)
        decomposed = prepared.run_decompositions(get_decompositions(settings.enable_experimental_decompositions))
        lowered: GraphModule = post_lowering(decomposed.module(), settings)
    return lowered


def _covered(node: Node) -> OperatorCoverage:
    layer = (module_paths(node) or (node.name,))[-1]
    return OperatorCoverage(layer=layer, operator=str(node.target), converted=_has_converter(node))


def _has_converter(node: Node) -> bool:
    """A validator that breaks off at a call has not taken it."""
    try:
        return _registry().get(node) is not None
    except Exception:
        return False


def _registry() -> Any:
    from torch_tensorrt.dynamo.conversion import DYNAMO_CONVERTERS

    return DYNAMO_CONVERTERS
