"""How much each channel matters: by the size of its weights, or by what the loss would lose to first order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edge.compress.aten_graph import evaluation_copy
from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import Tensor, nn

    from edge.compress.prune.graph import ChannelGraph, ChannelGroup

    # Given a model, yields the scalar loss of each batch in turn.
    Losses = Callable[[nn.Module], Iterable[Tensor]]


def norm_importance(model: nn.Module, graph: ChannelGraph) -> dict[str, Tensor]:
    """L2 norm of everything that goes with a channel, weights that read it included.

    Returns:
        Group name to float64 `[channels]`, with a mean of 1 per group.
    """
    named = model.named_parameters(remove_duplicate=False)
    squares = {path: parameter.detach().double().square() for path, parameter in named}
    return {group.name: _normalised(_per_channel(group, squares).sqrt()) for group in graph.groups}


def taylor_importance(model: nn.Module, graph: ChannelGraph, losses: Losses) -> dict[str, Tensor]:
    """First-order change of the loss without a channel: sum of |w dL/dw| over its weights and over the batches.

    Molchanov et al., Importance Estimation for Neural Network Pruning, 2019. Gradients are taken in evaluation
    mode on a copy; the model is not changed.

    Args:
        model: What is to be pruned.
        graph: Its groups.
        losses: Called once with the copy; each loss that it yields is differentiated before the next is asked for.

    Returns:
        Group name to float64 `[channels]`, with a mean of 1 per group.

    Raises:
        DataError: There is no batch, or a loss is not finite or has no gradient.
    """
    totals = first_order_changes(model, losses)
    return {group.name: _normalised(_per_channel(group, totals)) for group in graph.groups}


def first_order_changes(model: nn.Module, losses: Losses) -> dict[str, Tensor]:
    """|w dL/dw| of every single weight, summed over the batches: what `taylor_importance` adds up by channel.

    Args:
        model: Not changed; a copy is differentiated in evaluation mode.
        losses: As in `taylor_importance`.

    Returns:
        Parameter path to float64 of its shape; zeros where the loss does not depend on it.

    Raises:
        DataError: There is no batch, or a loss is not finite or has no gradient.
    """
    copy = evaluation_copy(model).requires_grad_(True)
    parameters = dict(copy.named_parameters(remove_duplicate=False))
    totals = {path: torch.zeros(p.shape, dtype=torch.float64) for path, p in parameters.items()}
    batches = 0
    for batches, loss in enumerate(losses(copy), start=1):
        _differentiate(copy, loss, batches)
        for path, parameter in parameters.items():
            if parameter.grad is not None:
                totals[path] += (parameter.detach() * parameter.grad).abs().double().cpu()
    if not batches:
        raise DataError("there is no batch to measure importance on", "give at least one batch")
    return totals


def _differentiate(model: nn.Module, loss: Tensor, batch: int) -> None:
    if loss.numel() != 1 or not loss.requires_grad or not bool(torch.isfinite(loss).all()):
        raise DataError(
            f"the loss of batch {batch} is not one finite number with a gradient",
            "yield a scalar that was computed with the model that is handed over, outside torch.no_grad",
        )
    model.zero_grad(set_to_none=True)
    try:
        loss.backward()
    except RuntimeError as error:
        cause = str(error).splitlines()[0]
        raise DataError(
            f"the loss of batch {batch} cannot be differentiated: {cause}",
            "use importance 'norm', or mend the model so that it can be trained",
        ) from error


def _per_channel(group: ChannelGroup, values: Mapping[str, Tensor]) -> Tensor:
    """Sums values over all positions that belong to each channel; buffers and unused weights count nothing."""
    total = torch.zeros(group.size, dtype=torch.float64)
    for slot in group.slots:
        if slot.path in values and values[slot.path].dim():
            value = values[slot.path].cpu()
            others = [dim for dim in range(value.dim()) if dim != slot.dim]
            line = value.sum(others) if others else value
            total += line[torch.as_tensor(slot.indices)].sum(1)
    return total


def _normalised(scores: Tensor) -> Tensor:
    mean = scores.mean()
    return scores / mean if mean > 0 else torch.ones_like(scores)
