"""An exported torch program as one file (`.pt2`): written small, and read without running anything that is in it.

`torch.export.load` unpickles what a file says is pickled, loads libraries that lie in it, calls what a node names and
writes Python code with the names it finds. So torch never sees a file as it came: it gets an archive that is written
here, of what `edge.compress.program.archive` and `check` let through.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import torch
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from edge.compress.program.archive import (
    EXPORT_AGAIN,
    LIMIT_BYTES,
    NAMES,
    NAMES_MEMBER,
    read_archive,
    write_archive,
)
from edge.compress.program.check import checked_members
from edge.compress.quantize.tracing import quiet
from edge.runtime.errors import ModelError, first_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.export import ExportedProgram

__all__ = ["LIMIT_BYTES", "NAMES", "Program", "pack_program", "read_program"]
_KEPT_META = ("val", "nn_module_stack", "torch_fn")
TensorName = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=256)]


@dataclass(frozen=True)
class Program:
    """An exported program with the names of its tensors.

    Attributes:
        exported: Takes positional tensors.
        input_names: As `io.yaml` has them, in the order of the program's inputs.
        output_names: In the order of its outputs.
    """

    exported: ExportedProgram
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]


class _Names(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    inputs: tuple[TensorName, ...]
    outputs: tuple[TensorName, ...]


def pack_program(program: ExportedProgram, input_names: Sequence[str], output_names: Sequence[str]) -> bytes:
    """A program as a file without unused weights, sample inputs and the paths of source files.

    Args:
        program: With fixed shapes. It is changed: what is left out of the file leaves it too.
        input_names: In the order of its inputs.
        output_names: In the order of its outputs.

    Raises:
        ModelError: It holds more than tensors and operators, so that nobody could read the file.
    """
    _drop_unused(program)
    program._example_inputs = None
    for node in program.graph.nodes:
        node.meta = {key: value for key, value in node.meta.items() if key in _KEPT_META}
    names = json.dumps({"inputs": list(input_names), "outputs": list(output_names)})
    stream = io.BytesIO()
    with quiet():
        torch.export.save(program, stream, extra_files={NAMES: names})
    checked_members(read_archive(stream.getvalue(), "the exported program"), "the exported program")
    return stream.getvalue()


def read_program(content: bytes, where: str) -> Program:
    """Reads a program after a check that nothing in the file can run.

    Args:
        content: The file.
        where: Names it in messages.

    Raises:
        ModelError: It is no exported program, of another torch, or holds more than tensors and operators.
    """
    members = read_archive(content, where)
    names = members.pop(NAMES_MEMBER, None)
    archive = write_archive({**members, **checked_members(members, where)})
    try:
        with quiet():
            exported = torch.export.load(io.BytesIO(archive))
    except Exception as error:  # a dozen types, for files of another torch among them
        raise ModelError(
            f"torch {torch.__version__} does not read {where} ({first_line(error)})", EXPORT_AGAIN
        ) from error
    return _named(exported, names, where)


def _drop_unused(program: ExportedProgram) -> None:
    """Weights and constants that no answer depends on, as quantization leaves them behind."""
    program.graph.eliminate_dead_code()
    signature = program.graph_signature
    unused = {n.name for n in program.graph.nodes if n.op == "placeholder" and not n.users}
    unused -= set(signature.user_inputs)
    kept = [spec for spec in signature.input_specs if spec.arg.name not in unused]
    dropped = {spec.target for spec in signature.input_specs} - {spec.target for spec in kept}
    signature.input_specs[:] = kept
    for node in list(program.graph.nodes):
        if node.op == "placeholder" and node.name in unused:
            program.graph.erase_node(node)
    for held in (program.state_dict, program.constants):
        for name in dropped & held.keys():
            del held[name]
    program.graph_module.recompile()


def _named(exported: ExportedProgram, names: bytes | None, where: str) -> Program:
    """Names from the file, or those that torch gave where another tool wrote it."""
    signature = exported.graph_signature
    counts = len(signature.user_inputs), len(signature.user_outputs)
    if names is None:
        return Program(exported, tuple(signature.user_inputs), tuple(f"output{i}" for i in range(counts[1])))
    try:
        given = _Names.model_validate_json(names)
    except ValidationError as error:
        raise ModelError(f"{where}: {NAMES_MEMBER} names no inputs and outputs", EXPORT_AGAIN) from error
    every = (*given.inputs, *given.outputs)
    if (len(given.inputs), len(given.outputs)) != counts:
        raise ModelError(f"{where}: the program's tensors and their names differ in number", EXPORT_AGAIN)
    if len(set(every)) != len(every):
        raise ModelError(f"{where}: two of its tensors have one name", EXPORT_AGAIN)
    return Program(exported, given.inputs, given.outputs)
