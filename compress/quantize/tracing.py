"""torch.export without its noise, and with the layer's name where it fails."""

from __future__ import annotations

import io
import logging
import warnings
from contextlib import contextmanager, redirect_stderr
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from edge.runtime.errors import ModelError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOISY = ("torch", "torch.__trace", "torch.onnx", "torch.export", "torchao", "onnxscript", "onnx_ir")


def trace(
    model: nn.Module, inputs: tuple[Tensor, ...], dynamic_shapes: torch.export.ShapesCollection | None = None
) -> torch.export.ExportedProgram:
    """Exports a module as it behaves in evaluation.

    Raises:
        ModelError: It does not export; the message names the layer and what torch says.
    """
    is_graph = isinstance(model, torch.fx.GraphModule)  # which refuses eval(), and has nothing to switch
    training = model.training
    layers: list[str] = []
    try:
        if not is_graph:
            model.eval()
        # On failure torch.export prints the graph so far to stderr.
        with quiet(), redirect_stderr(io.StringIO()), torch.no_grad(), _followed(model, layers):
            return torch.export.export(model, inputs, dynamic_shapes=cast("Any", dynamic_shapes), strict=False)
    except Exception as error:  # torch.export raises dozens of kinds, all of them the model's
        where = f"layer '{layers[-1]}'" if layers else "the model's forward"
        raise ModelError(
            f"{where} does not export ({first_line(error)})",
            "keep shapes and control flow independent of tensor values, and the batch in front",
        ) from error
    finally:
        if not is_graph:
            model.train(training)


@contextmanager
def quiet() -> Iterator[None]:
    """Mutes the warnings and logs of torch.export, torch.onnx and PT2E, which address their developers."""
    loggers = [logging.getLogger(name) for name in _NOISY]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _followed(model: nn.Module, layers: list[str]) -> Iterator[None]:
    """Keeps the paths of the running modules in `layers`; what is left after a failure says where it was."""
    hooks = []
    for path, module in model.named_modules():
        if path:
            hooks.append(module.register_forward_pre_hook(lambda _m, _a, path=path: layers.append(path)))
            hooks.append(module.register_forward_hook(lambda _m, _a, _o: _leave(layers)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _leave(layers: list[str]) -> None:
    layers.pop()
