"""Scores that a softmax gives nothing: of absent modalities in a fusion, of padding in a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# exp(-1e4) is 0 in FP32 and FP16 alike, FP16 holds the number itself, and unlike minus infinity it leaves a softmax
# finite where nothing is present.
HIDDEN_SCORE = -1e4


def hiding_scores(present: Tensor) -> Tensor:
    """What is added to scores before a softmax: 0 where `present` is 1, `HIDDEN_SCORE` where it is 0."""
    return (1.0 - present) * HIDDEN_SCORE
