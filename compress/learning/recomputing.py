"""Gradient checkpointing: activations are computed again in the backward pass, which saves the memory to keep them."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


@contextmanager
def recomputed_activations(model: nn.Module, enabled: bool) -> Iterator[None]:
    """Inside, activations of the branches are not kept (Chen et al., "Training Deep Nets with Sublinear Memory", 2016).

    An encoder of `transformers` does so a layer at a time, any other branch as a whole. Gradients are the same.

    Args:
        model: Or what contains it; its branches are the modules of each `branches`, a `nn.ModuleDict`.
        enabled: Nothing is done otherwise.

    Raises:
        ConfigError: There is no branch.
    """
    with ExitStack() as stack:
        if enabled:
            for branch in _branches(model):
                stack.enter_context(_recomputed(branch))
        yield


def _branches(model: nn.Module) -> list[nn.Module]:
    containers = [getattr(module, "branches", None) for module in model.modules()]
    found = [
        branch for container in containers if isinstance(container, nn.ModuleDict) for branch in container.values()
    ]
    if not found:
        raise ConfigError(
            "gradient_checkpointing is set and the model has no branches to compute again", "set it to false"
        )
    return found


@contextmanager
def _recomputed(branch: nn.Module) -> Iterator[None]:
    encoder: Any = next((m for m in branch.modules() if getattr(m, "supports_gradient_checkpointing", False)), None)
    if encoder is not None:
        with _recomputed_layers(encoder):
            yield
        return
    branch.forward = partial(_computed_twice, branch, branch.forward)
    try:
        yield
    finally:
        del branch.forward


@contextmanager
def _recomputed_layers(encoder: Any) -> Iterator[None]:
    """By `transformers` itself, which has called it `activation_checkpointing` only of late."""
    named = "activation" if hasattr(encoder, "activation_checkpointing_enable") else "gradient"
    getattr(encoder, f"{named}_checkpointing_enable")({"use_reentrant": False})
    try:
        yield
    finally:
        getattr(encoder, f"{named}_checkpointing_disable")()
        encoder.disable_input_require_grads()  # left on the embeddings of text encoders, they would be exported


def _computed_twice(branch: nn.Module, forward: Callable[..., Any], *inputs: Any) -> Any:
    if not branch.training:
        return forward(*inputs)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _still_statistics(branch)

    return checkpoint(forward, *inputs, use_reentrant=False, context_fn=contexts)


@contextmanager
def _still_statistics(branch: nn.Module) -> Iterator[None]:
    """The second time, running statistics of batch normalisations must not move again: they move by nothing."""
    norms = [m for m in branch.modules() if isinstance(m, _BatchNorm) and m.training and m.track_running_stats]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked = norm.num_batches_tracked.clone()  # the one that is counted up
    try:
        yield
    finally:
        for norm, (momentum, counted) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, counted
