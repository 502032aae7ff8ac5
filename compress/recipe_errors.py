"""What is wrong with a recipe file, in one line: the stage, the key, and what to write instead."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from edge.compress.stages.stage import DistillStage, PruneStage, QuantizeStage, SparsifyStage

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel, ValidationError

_STAGES: dict[str, type[BaseModel]] = {
    "distill": DistillStage,
    "prune": PruneStage,
    "sparsify": SparsifyStage,
    "quantize": QuantizeStage,
}


def describe_recipe_error(error: ValidationError, content: object, path: Path) -> tuple[str, str]:
    """Problem and remedy of the first mistake.

    Args:
        error: Of validating `content` as a recipe.
        content: What the file holds.
        path: The file.
    """
    first = error.errors()[0]
    location = [str(part) for part in first["loc"]]
    where, keys = _stage_of(location, content), _keys(location)
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        return f"{path}: {where} has no key '{'.'.join(keys)}'", _known_keys(location, keys)
    if first["type"].startswith("union_tag"):
        return f"{path}: {where} is of no kind that is known ({message})", f"set stage to {', '.join(_STAGES)}"
    problem, _, remedy = message.partition("; ")
    return f"{path}: {where}{'.'.join(['', *keys])}: {problem}", remedy or "mend that key"


def _stage_of(location: list[str], content: object) -> str:
    """`stage 2 ('prune')`, by the name that the file gives it."""
    if location[:1] != ["stages"] or len(location) < 2 or not isinstance(content, dict):
        return "the recipe"
    index = int(location[1])
    entry = content["stages"][index]
    name = entry.get("name", entry.get("stage")) if isinstance(entry, dict) else None
    return f"stage {index + 1}" + (f" ('{name}')" if name else "")


def _keys(location: list[str]) -> list[str]:
    """What follows `stages`, the position and the kind of the stage."""
    return location[3:] if location[:1] == ["stages"] else location


def _known_keys(location: list[str], keys: list[str]) -> str:
    model = _STAGES.get(location[2]) if len(location) > 2 else None
    known = ["stages"] if model is None else _fields(model, keys[:-1])
    near = get_close_matches(keys[-1], known, 1)
    return f"did you mean '{near[0]}'?" if near else f"remove it, or use one of {', '.join(known)}"


def _fields(model: type[BaseModel], path: list[str]) -> list[str]:
    """Keys of the model at `path` inside of `model`."""
    inner: Any = model
    for key in path:
        annotation = inner.model_fields[key].annotation
        inner = next(
            (a for a in (annotation, *getattr(annotation, "__args__", ())) if hasattr(a, "model_fields")), None
        )
        if inner is None:
            return []
    return list(inner.model_fields)
