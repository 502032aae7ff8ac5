"""What Torch-TensorRT leaves behind: an engine for any TensorRT runtime, or a program that torch runs with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.compile import driverless
from edge.compile.torch_tensorrt.calling import quietly
from edge.compile.torch_tensorrt.engine import build_from_program
from edge.compile.torch_tensorrt.half_program import halved
from edge.compile.torch_tensorrt.installation import open_torch_tensorrt, require_installation
from edge.compile.torch_tensorrt.options import TorchTensorRTConfig, checked_options
from edge.compile.torch_tensorrt.quantized_operators import register_quantized_operators
from edge.runtime.atomic import atomic_file
from edge.runtime.errors import ConfigError, MissingDependencyError, ModelError, first_line

if TYPE_CHECKING:
    from pathlib import Path

    from torch.export import ExportedProgram

    from edge.compress.program.file import Program

ENGINE_SUFFIXES = (".engine", ".plan")
PROGRAM_SUFFIXES = (".ep", ".pt2")


def save_artefact(program: Program, path: Path, config: TorchTensorRTConfig | None = None) -> None:
    """Compiles a program and writes what the path's suffix says.

    `.engine` and `.plan` are TensorRT's serialized engine, whose tensors carry the names of `io.yaml`. `.ep` and `.pt2`
    are an exported program around the engine, for `torch_tensorrt.load`; they need a device, hold a pickle of
    Torch-TensorRT's settings, and are therefore neither packed into bundles nor read by edge.

    Raises:
        ConfigError: The suffix is none of these, or an option is unknown.
        MissingDependencyError: Torch-TensorRT is absent or too old, or a device is needed.
        ModelError: The program is not converted, or TensorRT does not build.
    """
    if path.suffix in ENGINE_SUFFIXES:
        plan = build_from_program(program, config).engine.plan
        with atomic_file(path) as partial:
            partial.write_bytes(plan)
    elif path.suffix in PROGRAM_SUFFIXES:
        _save_program(program, path, config or TorchTensorRTConfig())
    else:
        known = ", ".join((*ENGINE_SUFFIXES, *PROGRAM_SUFFIXES))
        raise ConfigError(f"'{path.suffix}' is no artefact of Torch-TensorRT", f"let the file end in one of {known}")


def _save_program(program: Program, path: Path, config: TorchTensorRTConfig) -> None:
    title = require_installation().title
    if not driverless.has_device():
        raise MissingDependencyError(
            f"{title} loads the engine before it saves a {path.suffix} file, and there is no device here",
            "do it on the board, or save an .engine",
        )
    _check_autocast(program.exported, config)
    module = open_torch_tensorrt()
    register_quantized_operators()
    options = checked_options(module.dynamo.compile, config.options())
    exported = halved(program.exported) if config.half else program.exported
    with quietly(), atomic_file(path) as partial:
        try:
            examples = _examples(exported)
            compiled = module.dynamo.compile(exported, arg_inputs=examples, **options)
            module.save(compiled, str(partial), output_format="exported_program", arg_inputs=examples)
        except Exception as error:  # RuntimeError around whatever a converter or TensorRT raised
            raise ModelError(f"{title} does not save the program ({first_line(error)})", "see `edge check`") from error


def _check_autocast(exported: ExportedProgram, config: TorchTensorRTConfig) -> None:
    """Torch-TensorRT's autocast casts the INT8 levels of quantized programs as well, which no operator then takes."""
    quantized = any("quantized_decomposed" in str(node.target) for node in exported.graph.nodes)
    if config.extra.get("enable_autocast") and quantized:
        raise ConfigError("`enable_autocast` casts the INT8 levels of a quantized program", "set `half: true` instead")


def _examples(exported: ExportedProgram) -> list[Any]:
    """Zeros on the device, in the shapes of the program's inputs."""
    import torch

    wanted = set(exported.graph_signature.user_inputs)
    values = [n.meta["val"] for n in exported.graph.nodes if n.op == "placeholder" and n.name in wanted]
    return [torch.zeros(tuple(int(e) for e in v.shape), dtype=v.dtype, device="cuda") for v in values]
