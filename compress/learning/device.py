"""Where a model is trained, and with which precision its layers compute there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from edge.compress.learning.config import FitConfig
    from edge.compress.parallel.ranks import Ranks


def training_device(config: FitConfig, ranks: Ranks) -> torch.device:
    """The device that was asked for.

    Raises:
        ConfigError: It is not there, or several processes would share it: they exchange gradients on the CPU.
    """
    if config.device == "cpu":
        return torch.device("cpu")
    if ranks.world > 1:
        raise ConfigError(f"{ranks.world} processes train on CPUs only", "set device: cpu, or start one process")
    if not torch.cuda.is_available():
        raise ConfigError("device: cuda was asked for and torch finds no CUDA device", "set device: cpu")
    return torch.device("cuda", torch.cuda.current_device())


def autocast_dtype(config: FitConfig) -> torch.dtype | None:
    """What autocast computes in; None where everything stays float32.

    Raises:
        ConfigError: float16 was asked for and the processor has no instructions for it.
    """
    if config.precision == "auto":
        return torch.bfloat16 if _has_bfloat16(config.device) else None
    if config.precision == "float16":
        if config.device == "cpu" and not _cpu_has("fp16"):
            raise ConfigError("precision: float16 was asked for and this processor cannot", "use bfloat16 or float32")
        return torch.float16
    return torch.bfloat16 if config.precision == "bfloat16" else None


def _has_bfloat16(device: str) -> bool:
    return bool(torch.cuda.is_bf16_supported()) if device == "cuda" else _cpu_has("bf16")


def _cpu_has(kind: str) -> bool:
    supported = getattr(torch.ops.mkldnn, f"_is_mkldnn_{kind}_supported")
    return bool(torch.backends.mkldnn.is_available() and supported())
