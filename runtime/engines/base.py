"""What the pipeline asks of an inference back end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


class Engine(Protocol):
    """A loaded model that runs one sample at a time."""

    @property
    def name(self) -> str:
        """Back end and dialect, e.g. `onnxruntime-cpu/u8`; goes into reports."""

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """One inference, from tensor names to tensor names; batch 1. Inputs are of the types that `io.yaml` makes."""
