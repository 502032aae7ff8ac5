"""ONNX Runtime's `quantize_static`, in the forms that its documentation advises for x86 and for TensorRT."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.calibration.dataset import CalibrationSet

_SYMMETRIC = {"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False}


class Settings(BaseModel):
    """One way to call it; weights are always per channel, scales always of the least and the largest value.

    Attributes:
        symmetric: Signed activations with zero point 0, as TensorRT takes them; else unsigned ones.
        reduce_range: Weights of 7 bits, for x86 without VNNI.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    symmetric: bool = False
    reduce_range: bool = False


class Samples(CalibrationDataReader):
    """The calibration samples, one at a time, in the form that the quantizer reads."""

    def __init__(self, calibration: CalibrationSet) -> None:
        self._names = tuple(calibration.tensors)
        self._batches = calibration.batches(1)

    def get_next(self) -> dict[str, NDArray[np.generic]] | None:
        """One sample, or None at the end."""
        arrays = next(self._batches, None)
        return None if arrays is None else dict(zip(self._names, arrays, strict=True))


def quantize(fp32: Path, calibration: CalibrationSet, settings: Settings) -> bytes:
    """The quantized graph file.

    Args:
        fp32: Float graph, batch 1.
        calibration: Its inputs by name.
        settings: How.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared, target = Path(folder) / "prepared.onnx", Path(folder) / "quantized.onnx"
        quant_pre_process(fp32, prepared)
        quantize_static(
            prepared,
            target,
            Samples(calibration),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=settings.reduce_range,
            activation_type=QuantType.QInt8 if settings.symmetric else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options=_SYMMETRIC if settings.symmetric else {},
        )
        return target.read_bytes()
