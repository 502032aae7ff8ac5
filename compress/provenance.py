"""What a result follows from, as digests and settings: equal ones give equal results, and a change has a name."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

# JSON of everything that a result depends on.
Origin = dict[str, Any]
DIGEST = "digest:"
_READABLE = 40  # characters of a value that a message has room for


def first_change(saved: Origin, now: Origin) -> str | None:
    """Names the first setting that differs, with both values where they can be read; None where nothing does."""
    was, current = dict(_leaves(saved)), dict(_leaves(now))
    for key in dict.fromkeys((*current, *was)):
        if key not in was:
            return f"{key} is new"
        if key not in current:
            return f"{key} is gone"
        if was[key] != current[key]:
            values = f"{was[key]}", f"{current[key]}"
            readable = max(map(len, values)) <= _READABLE and not values[1].startswith(DIGEST)
            return f"{key} was {values[0]}, is {values[1]}" if readable else f"{key} changed"
    return None


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """Of names, dtypes, shapes and contents, whatever the layout in memory."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name].detach()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return DIGEST + digest.hexdigest()


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting by its dotted path; an empty list or mapping is a setting itself."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value
