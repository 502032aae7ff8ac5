"""Numbers of heads that modules remember, corrected after heads were cut out of their layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Mapping

# What attention modules call these in transformers, timm and torch; a name that is not here fails the trial, and
# its heads then stay.
HEAD_COUNTS = ("num_heads", "num_attention_heads", "n_heads", "n_head", "nhead", "heads")
HEAD_WIDTHS = ("head_dim", "attention_head_size", "head_size", "dim_head")
TOTAL_WIDTHS = ("all_head_size", "inner_dim", "attn_dim", "embed_dim")


def correct_head_counts(module: nn.Module, before: Mapping[nn.Module, int]) -> None:
    """Sets how many heads a module has, and their width together, from the linear layers right under it.

    Args:
        module: Any module; one without heads is left as it is.
        before: Features that each linear layer gave before it was cut.
    """
    for name in HEAD_COUNTS:
        count = vars(module).get(name)
        if type(count) is not int:
            continue
        left = _heads_left(module, count, before)
        if left is not None:
            _scale_totals(module, count, left)
            setattr(module, name, left)


def _heads_left(module: nn.Module, count: int, before: Mapping[nn.Module, int]) -> int | None:
    """The number on which all layers that make heads agree; None where nothing was cut or they do not."""
    width = next((vars(module)[name] for name in HEAD_WIDTHS if type(vars(module).get(name)) is int), None)
    found = set()
    for child in module.children():
        was = before.get(child)
        if was is None or not isinstance(child, nn.Linear) or was == child.out_features:
            continue
        makes_heads = was % count == 0 if width is None else was in (count * width, 3 * count * width)
        if makes_heads and (count * child.out_features) % was == 0:
            found.add(count * child.out_features // was)
    return found.pop() if len(found) == 1 else None


def _scale_totals(module: nn.Module, count: int, left: int) -> None:
    for name in TOTAL_WIDTHS:
        total = vars(module).get(name)
        if type(total) is int and total % count == 0:
            setattr(module, name, total // count * left)
