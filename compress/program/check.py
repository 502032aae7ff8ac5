"""Checks what the members of a program's archive say, before torch reads any of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

import torch
from pydantic import BaseModel, ValidationError

from edge.compress.program.archive import CONFIGS, EXPORT_AGAIN, MODEL
from edge.compress.program.schema import PayloadConfig, ProgramFile
from edge.compress.quantize.tracing import quiet
from edge.runtime.errors import ModelError
from edge.runtime.manifest import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLAIN = "take a program that holds only tensors and operators"
_DYNAMIC = (
    *("as_expr", "range_constraints", "sym_int_values", "sym_bool_values", "sym_float_values"),
    *("as_sym_int", "as_sym_ints", "as_sym_float", "as_sym_floats", "as_sym_bool", "as_sym_bools"),
)
_MEANING = {
    "use_pickle": "holds a pickled object",
    "guards_code": "holds code",
    **dict.fromkeys(_DYNAMIC, "has dynamic shapes: export it with fixed ones"),
    **dict.fromkeys(("as_custom_obj", "custom_obj", "custom_obj_values"), "holds an object that is no tensor"),
    **dict.fromkeys(("as_graph", "as_operator", "as_string_to_argument"), "passes code to an operator"),
}
Record = TypeVar("Record", bound=BaseModel)


def checked_members(members: Mapping[str, bytes], where: str) -> dict[str, bytes]:
    """The archive's JSON, written anew from what is allowed to be in it.

    Args:
        members: As `read_archive` gives them.
        where: Names the file in messages.

    Raises:
        ModelError: They are of another torch, or say more than tensors and operators need.
    """
    with quiet():
        import torchao.quantization.pt2e.quantize_pt2e  # noqa: F401  (registers the operators of quantized programs)

    checked: dict[str, BaseModel] = {MODEL: _parsed(ProgramFile, members, MODEL, where)}
    for folder, name in CONFIGS.items():
        config = _parsed(PayloadConfig, members, folder + name, where)
        for weight, payload in config.config.items():
            held = len(members.get(folder + payload.path_name, b""))
            if held < payload.tensor_meta.bytes:
                raise ModelError(f"{where}: '{weight}' has only {held} bytes of its values", EXPORT_AGAIN)
        checked[folder + name] = config
    return {name: record.model_dump_json(exclude_unset=True).encode() for name, record in checked.items()}


def _parsed(kind: type[Record], members: Mapping[str, bytes], member: str, where: str) -> Record:
    try:
        return kind.model_validate_json(members[member])
    except ValidationError as error:
        _check_version(members[MODEL], where)
        raise ModelError(f"{where}: {member} {_explain(error)}", _PLAIN) from error


def _explain(error: ValidationError) -> str:
    """What speaks against a member; of many things the one that says most."""
    found = error.errors(include_url=False, include_input=False)
    for item in found:
        meaning = next((_MEANING[part] for part in item["loc"] if part in _MEANING), None)
        if meaning:
            return meaning
    first = next((item for item in found if item["type"] == "value_error"), found[0])
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    key = printable(".".join(map(str, first["loc"]))[:120])
    return f"is not what torch writes ({key}: {first['msg']})"


def _check_version(model: bytes, where: str) -> None:
    """A file of another torch may differ in anything, so that is what to say of it."""
    from torch._export.serde.schema import SCHEMA_VERSION

    try:
        described = json.loads(model)
        version, writer = int(described["schema_version"]["major"]), str(described["torch_version"])[:40]
    except (ValueError, KeyError, TypeError, RecursionError):
        return
    if version != SCHEMA_VERSION[0]:
        raise ModelError(
            f"{where} was written by torch {printable(writer)} in schema {version}, torch {torch.__version__} reads "
            f"{SCHEMA_VERSION[0]}",
            EXPORT_AGAIN,
        )
