"""Which layers become 2:4 sparse, and by which measure weights go."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SparseImportance = Literal["magnitude", "taylor"]


class SparsifyConfig(BaseModel):
    """Which layers become 2:4 sparse, and by which measure weights go.

    Attributes:
        importance: `magnitude`: the two smallest of each four go, as NVIDIA's recipe has it (Mishra et al.,
            Accelerating Sparse Deep Neural Networks, 2021). `taylor`: the two that the loss misses least, to first
            order.
        align: Only layers whose input channels are a multiple of this. INT8 tensor cores take 32 channels at a time
            (https://github.com/NVIDIA/TensorRT/issues/1310), FP16 ones 16 (as `apex.contrib.sparsity` asks).
        keep: Globs over parameter paths that stay dense (`heads.*`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    importance: SparseImportance = "magnitude"
    align: int = Field(32, ge=4, multiple_of=4)
    keep: tuple[str, ...] = ()
