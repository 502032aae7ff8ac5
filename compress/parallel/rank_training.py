"""What makes several processes train one model: one start, one gradient, one set of batch statistics."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from edge.compress.parallel.collectives import gather_values, sum_over_ranks
from edge.compress.parallel.ranks import current_ranks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


def copy_from_first(model: nn.Module) -> None:
    """Gives every rank the parameters and buffers of rank 0."""
    if current_ranks().world == 1:
        return
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            contiguous = tensor.detach().contiguous()
            distributed.broadcast(contiguous, src=0)
            tensor.copy_(contiguous)


def average_gradients(model: nn.Module) -> None:
    """Mean over ranks of each parameter's gradient, in one exchange; one that no rank has a gradient of keeps none."""
    ranks = current_ranks()
    trained = [p for p in model.parameters() if p.requires_grad]
    if ranks.world == 1 or not trained:
        return
    reached = torch.tensor([float(p.grad is not None) for p in trained])
    parts = [(torch.zeros_like(p) if p.grad is None else p.grad).flatten().float() for p in trained]
    averaged = sum_over_ranks(torch.cat([reached, *parts])) / ranks.world
    used, *gradients = averaged.split([len(trained), *(p.numel() for p in trained)])
    for parameter, gradient, seen in zip(trained, gradients, used.tolist(), strict=True):
        if seen:
            # Laid out as the parameter is, channels last or not: fused optimizers walk both in the order of memory.
            parameter.grad = torch.empty_like(parameter).copy_(gradient.reshape(parameter.shape))


@contextmanager
def synchronized_batch_norm(model: nn.Module) -> Iterator[None]:
    """Batch normalisation over the rows of all ranks together, where there are several.

    The mean and variance are those of the whole batch, as one process would take them, and the running statistics stay
    equal on all ranks. `torch.nn.SyncBatchNorm` does so on GPUs only.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)] if current_ranks().world > 1 else []
    for norm in norms:
        norm.forward = partial(_normalize_together, norm)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for norm in norms:
            del norm.forward


def rows_of_all_ranks(own: Tensor) -> Tensor:
    """All ranks' rows in the order of ranks, for losses that compare the samples of a batch with one another.

    Gradients flow to the rows of every rank: where each takes the loss over all rows, the average of the ranks'
    gradients is the gradient of that loss, as one process would have it.

    Args:
        own: `[n, ...]`, of which ranks may hold different numbers.
    """
    ranks = current_ranks()
    if ranks.world == 1:
        return own
    counts: list[int] = gather_values(len(own))
    before, after = sum(counts[: ranks.rank]), sum(counts[ranks.rank + 1 :])
    parts = [own.new_zeros(before, *own.shape[1:]), own, own.new_zeros(after, *own.shape[1:])]
    return _differentiable_sum(torch.cat(parts))


def _normalize_together(norm: _BatchNorm, x: Tensor) -> Tensor:
    """Training step of a batch normalisation; in eval mode, the module's own forward."""
    if not (norm.training or norm.running_mean is None):
        own: Tensor = type(norm).forward(norm, x)
        return own
    shape = (1, -1, *[1] * (x.dim() - 2))
    axes = [axis for axis in range(x.dim()) if axis != 1]
    values = x.float()
    rows = values.new_full((1,), x.numel() / x.shape[1])
    sums = _differentiable_sum(torch.cat([rows, values.sum(axes)]))
    count, mean = sums[0].detach(), sums[1:] / sums[0].detach()
    # From the mean, in a second exchange: a difference of squares would lose what a large mean hides.
    squares = _differentiable_sum((values - mean.reshape(shape)).square().sum(axes))
    variance = squares / count
    _move_statistics(norm, mean.detach(), (squares / (count - 1)).detach())
    normalized = (values - mean.reshape(shape)) * torch.rsqrt(variance + norm.eps).reshape(shape)
    if norm.weight is not None:
        normalized = normalized * norm.weight.reshape(shape) + norm.bias.reshape(shape)
    return normalized.to(x.dtype)


def _move_statistics(norm: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    """As torch's own batch normalisation does: by `momentum`, or a plain mean where that is None."""
    if norm.running_mean is None or norm.running_var is None or not norm.track_running_stats:
        return
    assert norm.num_batches_tracked is not None, "torch counts batches wherever it tracks statistics"
    norm.num_batches_tracked.add_(1)
    share = 1.0 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean, share)
    norm.running_var.lerp_(variance, share)


def _differentiable_sum(values: Tensor) -> Tensor:
    summed: Tensor = _SumOverRanks.apply(values)  # type: ignore[no-untyped-call]
    return summed


class _SumOverRanks(torch.autograd.Function):
    """A sum whose gradient is that of the ranks' losses together; torch's own is deprecated."""

    @staticmethod
    def forward(_context: Any, values: Tensor) -> Tensor:
        return sum_over_ranks(values)

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        return sum_over_ranks(gradient)
