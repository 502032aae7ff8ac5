"""How a compiler learns the precision of layers, by its version: flags on an untyped network, or the network's types.

Sources: TensorRT's migration guide from 10 to 11 (weak typing, precision flags and implicit INT8 calibration are gone);
Torch-TensorRT's release notes (explicit typing is the default from 2.10, `enabled_precisions` is gone from 2.13).
"""

from __future__ import annotations

from typing import Literal

from edge.devices.version_order import at_least

TypingRegime = Literal["weak", "explicit", "strong"]


def tensorrt_typing(version: str) -> TypingRegime:
    """Of TensorRT: `weak` up to 10, where precision flags exist; `strong` from 11, which takes typed networks only.

    TensorRT-RTX has versions of its own and is `strong` in all of them.

    Raises:
        DeviceError: `version` is no version number.
    """
    return "strong" if at_least(version, "11") else "weak"


def torch_tensorrt_typing(version: str) -> TypingRegime:
    """Of Torch-TensorRT, which decides what `enabled_precisions` does.

    `weak` up to 2.9: it is needed for INT8. `explicit` from 2.10 to 2.12: anything but FP32 raises. `strong` from 2.13:
    it is ignored.

    Raises:
        DeviceError: `version` is no version number.
    """
    if at_least(version, "2.13"):
        return "strong"
    return "explicit" if at_least(version, "2.10") else "weak"
