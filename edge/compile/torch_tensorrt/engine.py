"""From a torch program to a serialized TensorRT engine, with the precision that its network declares."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.compile import driverless
from edge.compile.precision.declared_in_network import declared_precision
from edge.compile.tensorrt.build_memory import peak_watch
from edge.compile.tensorrt.builder import BuiltEngine, target_capability
from edge.compile.tensorrt.library import library_of
from edge.compile.tensorrt.network import ParsedNetwork
from edge.compile.torch_tensorrt.calling import input_specs, quietly
from edge.compile.torch_tensorrt.half_program import halved
from edge.compile.torch_tensorrt.installation import open_torch_tensorrt, require_installation
from edge.compile.torch_tensorrt.network_tap import tapped
from edge.compile.torch_tensorrt.options import TorchTensorRTConfig, checked_options
from edge.compile.torch_tensorrt.quantized_operators import register_quantized_operators
from edge.runtime.errors import ModelError, first_line

if TYPE_CHECKING:
    from edge.compile.precision.layer_precision import PrecisionReport
    from edge.compress.program.file import Program


@dataclass(frozen=True, slots=True)
class TorchBuild:
    """An engine that Torch-TensorRT made.

    Attributes:
        engine: Its bytes and what they cost.
        declared: Precision of the network that was built.
    """

    engine: BuiltEngine
    declared: PrecisionReport


def build_from_program(program: Program, config: TorchTensorRTConfig | None = None) -> TorchBuild:
    """Converts a program whole into one engine; its tensors carry the names of `io.yaml`.

    With a device the engine is for that device. Without one TensorRT-RTX builds for `config.compute_capability`, and
    the engine is real but cannot be run here.

    Args:
        program: With fixed shapes; left as it is.
        config: How.

    Raises:
        MissingDependencyError: Torch-TensorRT is absent or too old.
        ConfigError: An option is unknown to it.
        ModelError: An operator is not converted, or TensorRT does not build; the message is theirs.
    """
    config = config or TorchTensorRTConfig()
    module, title = open_torch_tensorrt(), require_installation().title
    register_quantized_operators()
    convert = module.dynamo.convert_exported_program_to_serialized_trt_engine
    options = checked_options(convert, config.options())
    exported = halved(program.exported) if config.half else program.exported
    seen: list[PrecisionReport] = []

    def look(interpreter: Any) -> None:
        _rename(interpreter, program)
        seen.append(declared_precision(_network(interpreter)))

    def aim(interpreter: Any, builder_config: Any) -> None:
        if config.compute_capability is not None:
            target_capability(_network(interpreter), builder_config, config.compute_capability)

    started = time.monotonic()
    with quietly(), driverless.serialized_only(), tapped(look, aim), peak_watch() as peak:
        try:
            plan = convert(exported, arg_inputs=input_specs(module, exported), **options)
        except Exception as error:  # RuntimeError around whatever a converter or TensorRT raised
            raise ModelError(f"{title} does not build the program ({_cause(error)})", "see `edge check`") from error
    engine = BuiltEngine(bytes(plan), title, time.monotonic() - started, peak.bytes)
    return TorchBuild(engine, seen[-1])


def _network(interpreter: Any) -> ParsedNetwork:
    """The interpreter's network as the ONNX road has it."""
    import tensorrt

    return ParsedNetwork(library_of(tensorrt), True, interpreter.builder, interpreter.ctx.net, interpreter.logger)


def _rename(interpreter: Any, program: Program) -> None:
    """Gives the engine's tensors the names that the runtime looks for."""
    network = interpreter.ctx.net
    for index, name in enumerate(program.input_names):
        network.get_input(index).name = name
    for index, name in enumerate(program.output_names):
        network.get_output(index).name = name
    interpreter._input_names[:] = program.input_names
    interpreter._output_names[:] = program.output_names


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error)
