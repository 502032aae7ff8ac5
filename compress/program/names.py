"""Names in the file of an exported program, and what each kind may be.

torch writes Python code with them when it loads the file: `def forward(self, NAME)`, `getattr(self, "PATH")`. It looks
operators up by attributes, from `torch` on, and imports containers that it finds described.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, StringConstraints

_TARGET = re.compile(r"torch\.ops\.(aten|prims|quantized_decomposed)\.(\w+)\.(\w+)", re.ASCII)
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_LABEL = re.compile(r"[\w.:/+@ -]+", re.ASCII)
_CONTEXTS = {None: None, "builtins.tuple": "null", "builtins.list": "null"}


def _operator(target: str) -> str:
    """Only what makes tensors of tensors: others write files, or give what Python goes on with."""
    match = _TARGET.fullmatch(target)
    found = getattr(getattr(getattr(torch.ops, match[1]), match[2], None), match[3], None) if match else None
    if target != "_operator.getitem" and not (isinstance(found, torch._ops.OpOverload) and _is_pure(found, target)):
        raise ValueError(f"calls '{target[:80]}', which is no operator on tensors of aten, prims or PT2E")
    return target


def _is_pure(operator: torch._ops.OpOverload, target: str) -> bool:
    gives = {str(item.type) for item in operator._schema.returns}
    checks = not gives and target.startswith("torch.ops.aten._assert_")
    opens_file = any(argument.name == "filename" for argument in operator._schema.arguments)
    return (checks or (bool(gives) and gives <= {"Tensor", "List[Tensor]"})) and not opens_file


def _module_path(text: str) -> str:
    if any(part.startswith("__") or not part for part in text.split(".") if text):
        raise ValueError(f"names a parameter '{text[:80]}'")
    return text


def _nesting(text: str, keys: re.Pattern[str]) -> str:
    """How inputs or outputs nest; other containers would be imported, and told what to call."""
    try:
        version, root = json.loads(text)
        plain = version == 1 and _is_plain(root, keys)
    except (KeyError, TypeError, ValueError, RecursionError):
        plain = False
    if not plain:
        raise ValueError("nests tensors in something else than tuples, lists and plain dictionaries")
    return text


def _is_plain(root: Any, keys: re.Pattern[str]) -> bool:
    pending = [root]
    while pending:
        node = pending.pop()
        kind, context = node["type"], node["context"]
        if kind == "builtins.dict":
            names = json.loads(context)
            known = isinstance(names, list) and all(isinstance(key, str) and keys.fullmatch(key) for key in names)
        else:
            known = kind in _CONTEXTS and context == _CONTEXTS[kind]
        if not known or len(node) != 3:
            return False
        pending.extend(node["children_spec"])
    return True


def _input_nesting(text: str) -> str:
    return _nesting(text, _IDENTIFIER)  # its keys become names of arguments


def _output_nesting(text: str) -> str:
    return _nesting(text, _LABEL)


Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=1024)]
Path = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_.:/+@ -]+$", max_length=1024), AfterValidator(_module_path)
]
PathOrRoot = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_.:/+@ -]*$", max_length=1024), AfterValidator(_module_path)
]
Operator = Annotated[str, AfterValidator(_operator)]
InputNesting = Annotated[str, AfterValidator(_input_nesting)]
OutputNesting = Annotated[str, AfterValidator(_output_nesting)]
