"""How far a student's outputs are from its teacher's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from edge.compress.scoring.task import OutputKind


def imitation_loss(
    outputs: Sequence[Tensor], wanted: Sequence[Tensor], kinds: Sequence[OutputKind], temperature: float
) -> Tensor:
    """Divergence of a student's outputs from a teacher's, averaged over outputs.

    Categorical outputs compare softened distributions over dim 1, weighted by how much the teacher sees there
    (1 minus its probability of class 0 on maps, so that empty background does not drown objects).
    """
    losses = [
        _imitate(o.float(), w.float(), kind, temperature) for o, w, kind in zip(outputs, wanted, kinds, strict=True)
    ]
    return torch.stack(losses).mean()


def _imitate(output: Tensor, wanted: Tensor, kind: OutputKind, temperature: float) -> Tensor:
    if kind == "regression":
        return functional.smooth_l1_loss(output, wanted)
    if kind == "multilabel":
        return functional.binary_cross_entropy_with_logits(output, wanted.sigmoid())
    soft = functional.softmax(wanted / temperature, dim=1)
    divergence = functional.kl_div(functional.log_softmax(output / temperature, dim=1), soft, reduction="none").sum(1)
    if output.dim() == 2:
        return divergence.mean() * temperature**2
    weight = 0.1 + 1.0 - functional.softmax(wanted, dim=1)[:, 0]
    return (divergence * weight).sum() / weight.sum() * temperature**2
