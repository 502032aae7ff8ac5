"""One step of training: losses of a batch's parts, gradients of all ranks, clipping, and the optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from edge.compress.learning.device import autocast_dtype
from edge.compress.learning.learning_rate import rate_share
from edge.compress.parallel.collectives import sum_over_ranks
from edge.compress.parallel.rank_training import average_gradients
from edge.compress.parallel.ranks import current_ranks
from edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import Tensor, nn

    from edge.compress.learning.batches import Batch
    from edge.compress.learning.config import FitConfig

# Loss of a batch: (positional inputs with `present` last, targets) -> scalar.
Objective = Callable[[tuple["Tensor", ...], tuple["Tensor", ...]], "Tensor"]


class Optimization:
    """Moves a model's weights; where it stands can be written down and taken up again.

    Args:
        model: On the device.
        config: Optimizer, schedule, precision.
        steps: In all.
        device: Where the model is.

    Raises:
        ConfigError: The precision is none of this processor.
        ModelError: All parameters are frozen.
    """

    def __init__(self, model: nn.Module, config: FitConfig, steps: int, device: torch.device) -> None:
        self._model, self._config, self._device = model, config, device
        self.steps = steps
        self._autocast = autocast_dtype(config)
        self._optimizer = _optimizer(model, config)
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._autocast == torch.float16)

    def step(self, objective: Objective, parts: Sequence[Batch], done: int) -> float:
        """Takes one step and gives the loss of the whole batch.

        Args:
            objective: Calls the model.
            parts: This rank's rows of the batch.
            done: Steps before this one.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = self.rate(done)
        self._optimizer.zero_grad(set_to_none=True)
        losses = [self._backward(objective, inputs, targets) for inputs, targets in parts]
        average_gradients(self._model)
        self._scaler.unscale_(self._optimizer)
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._config.clip)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        return _mean_over_ranks(losses[0] if len(losses) == 1 else torch.stack(losses).sum())

    def rate(self, done: int) -> float:
        """The learning rate after that many steps."""
        return self._config.learning_rate * rate_share(self._config, done, self.steps)

    def _backward(self, objective: Objective, inputs: Iterable[Tensor], targets: Iterable[Tensor]) -> Tensor:
        laid_out = tuple(_laid_out(x.to(self._device)) for x in inputs)
        with torch.autocast(self._device.type, self._autocast, enabled=self._autocast is not None):
            loss = objective(laid_out, tuple(t.to(self._device) for t in targets))
        loss = _weighted(loss, len(laid_out[0]), self._config)
        self._scaler.scale(loss).backward()
        return loss.detach()

    def state(self) -> dict[str, Tensor]:
        """Moments of each parameter, by its number and their name; copies."""
        found = {}
        for number, parameter in enumerate(self._parameters()):
            for name, value in self._optimizer.state[parameter].items():
                if isinstance(value, torch.Tensor):
                    found[f"{number}.{name}"] = value.detach().cpu().contiguous().clone()
        return found

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Goes on from such a state, of a model with the same parameters."""
        parameters = self._parameters()
        for key, value in state.items():
            number, name = key.split(".", 1)
            parameter = parameters[int(number)]
            self._optimizer.state[parameter][name] = _beside(parameter, value)

    @property
    def scaling(self) -> dict[str, Any]:
        """How float16 gradients are scaled; empty in other precisions."""
        return dict(self._scaler.state_dict())

    def restore_scaling(self, scaling: Mapping[str, Any]) -> None:
        """Goes on from such a scaling."""
        self._scaler.load_state_dict(dict(scaling))

    def _parameters(self) -> list[nn.Parameter]:
        return [p for group in self._optimizer.param_groups for p in group["params"]]


def _optimizer(model: nn.Module, config: FitConfig) -> torch.optim.Optimizer:
    groups = _parameter_groups(model, config)
    if not any(group["params"] for group in groups):
        raise ModelError("there is nothing to train: every parameter is frozen", "set tuning: full for a branch")
    if config.optimizer == "sgd":
        momentum, nesterov = config.momentum, config.nesterov
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=momentum, nesterov=nesterov, fused=True)
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)


def _parameter_groups(model: nn.Module, config: FitConfig) -> list[dict[str, Any]]:
    """Weights decay; biases, normalisation and placeholders do not."""
    decayed = [p for p in model.parameters() if p.requires_grad and p.dim() > 1 and min(p.shape[:2]) > 1]
    kept = {id(p) for p in decayed}
    rest = [p for p in model.parameters() if p.requires_grad and id(p) not in kept]
    return [{"params": decayed, "weight_decay": config.weight_decay}, {"params": rest, "weight_decay": 0.0}]


def _beside(parameter: nn.Parameter, value: Tensor) -> Tensor:
    """A copy on the parameter's device; a moment is laid out as the parameter is, channels last or not.

    Fused optimizers walk both in the order of memory.
    """
    if value.shape != parameter.shape:
        return value.to(parameter.device, copy=True)
    return torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)


def _laid_out(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


def _weighted(loss: Tensor, rows: int, config: FitConfig) -> Tensor:
    """A part's mean over its rows, scaled so that sums over parts and means over ranks are the mean over the batch."""
    world = current_ranks().world
    return loss if rows == config.batch_size else loss * (rows * world / config.batch_size)


def _mean_over_ranks(loss: Tensor) -> float:
    ranks = current_ranks()
    return float(loss) if ranks.world == 1 else float(sum_over_ranks(loss)) / ranks.world
