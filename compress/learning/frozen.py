"""Train mode for what is trained: what is frozen as a whole keeps computing as in evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def start_training_mode(model: nn.Module) -> None:
    """Puts a model in train mode, but for modules whose parameters are all frozen.

    Their batch statistics stay what they were and their dropout is off, as when the model runs. A module without
    parameters goes with the one around it.
    """
    model.train()
    for module in model.modules():
        parameters = list(module.parameters())
        if parameters and not any(p.requires_grad for p in parameters):
            # Not by eval(), which exported graphs refuse.
            for inner in module.modules():
                inner.training = False
