"""A bundle's goldens: does an engine compute here what the graph computed where it was packed?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge.runtime.errors import BundleError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.runtime.bundle import Bundle
    from edge.runtime.engines.base import Engine

# Largest deviation from the goldens, as a share of the tensor's largest magnitude. INT8 kernels of different
# processors round differently, and one rounding step is about 1 %. FP16 adds 0.05 % a rounding, far below that.
TOLERANCE = {"fp32": 1e-4, "s8": 0.03, "s8f16": 0.03, "u8": 0.03}
# TensorRT computes FP32 graphs in TF32 or, where it may choose, in FP16: 10 bits of mantissa.
TENSORRT_TOLERANCE = {**TOLERANCE, "fp32": 0.01}


def golden_deviation(bundle: Bundle, dialect: str, engine: Engine) -> float:
    """Largest difference from the recorded outputs over all golden cases, relative to each tensor's magnitude.

    Raises:
        BundleError: There are other outputs, or another number of them, than the engine gives.
    """
    given, recorded = bundle.golden_inputs(), bundle.golden_outputs(dialect)
    answers = [engine.run(inputs) for inputs in given]
    shapes = [[{name: value.shape for name, value in case.items()} for case in cases] for cases in (answers, recorded)]
    if shapes[0] != shapes[1]:
        raise BundleError(
            f"golden/outputs.{dialect}.npz of {bundle.path} holds other tensors than its graph gives",
            "pack the bundle again",
        )
    return max(
        _deviation(value, case[name])
        for answer, case in zip(answers, recorded, strict=True)
        for name, value in answer.items()
    )


def _deviation(value: NDArray[Any], expected: NDArray[Any]) -> float:
    """Infinite where either is not finite, for nothing can be said of it then."""
    found, wanted = value.astype(np.float64), expected.astype(np.float64)  # integers would wrap around
    if not (np.isfinite(found).all() and np.isfinite(wanted).all()):
        return float("inf")
    reach = max(float(np.abs(wanted).max(initial=0.0)), 1e-6)
    return float(np.abs(found - wanted).max(initial=0.0)) / reach
