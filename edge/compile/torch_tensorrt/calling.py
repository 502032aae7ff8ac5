"""What every call of Torch-TensorRT needs: its inputs described, and its log muted."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edge.compress.quantize.tracing import quiet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch.export import ExportedProgram

_NOISY = ("torch_tensorrt", "torch_tensorrt [TensorRT Conversion Context]", "py.warnings")


def input_specs(module: Any, program: ExportedProgram) -> list[Any]:
    """`torch_tensorrt.Input` of each input of a program with fixed shapes."""
    wanted = set(program.graph_signature.user_inputs)
    values = [n.meta["val"] for n in program.graph.nodes if n.op == "placeholder" and n.name in wanted]
    return [module.Input(shape=tuple(int(e) for e in v.shape), dtype=v.dtype) for v in values]


@contextmanager
def quietly() -> Iterator[None]:
    """Mutes what Torch-TensorRT says to its developers while the body runs; what matters is raised."""
    loggers = [logging.getLogger(name) for name in _NOISY]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
