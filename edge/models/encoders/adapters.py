"""Parameter-efficient tuning: frozen encoders, and low-rank adapters that are gone when training is over."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edge.models.encoders.transformer import LoraSettings, TransformerConfig
from edge.runtime.capabilities import require_module

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

# What transformers calls the projections of queries and values (Hu et al. 2021 adapt these two).
ATTENTION_LAYERS = ("q_proj", "v_proj", "query", "value", "q_lin", "v_lin")
ALL_LAYERS = "all-linear"


@contextmanager
def adapted(model: nn.Module) -> Iterator[None]:
    """For as long as a model is trained, its encoders learn as their configs say; then it is a plain model again.

    Within, `tuning: frozen` encoders have no parameter that requires a gradient, and of `tuning: lora` ones only the
    adapters do. At the end the adapters are added to the weights that they adapt, which gives the same function: names,
    shapes and modules are what they were before, so that what comes after need not know.

    Every process of a distributed training must enter it with the same random state: adapters start at random.

    Args:
        model: A fusion model; a branch whose encoder has no such config learns as a whole.

    Raises:
        MissingDependencyError: An encoder asks for `lora`, and peft is not installed.
    """
    encoders = _tuned_encoders(model)
    merging = [_wrapped(net, config) for net, config in encoders if config.tuning == "lora"]
    for net, config in encoders:
        if config.tuning == "frozen":
            net.requires_grad_(False)
    try:
        yield
    finally:
        for wrapper in merging:
            wrapper.merge_and_unload()
        for net, _ in encoders:
            net.requires_grad_(True)


def _tuned_encoders(model: nn.Module) -> list[tuple[nn.Module, TransformerConfig]]:
    """The networks that are not trained as a whole, each with its config."""
    found = []
    for branch in getattr(model, "branches", {}).values():
        config = getattr(branch.encoder, "config", None)
        if isinstance(config, TransformerConfig) and config.tuning != "full":
            found.append((branch.encoder.net, config))
    return found


def _wrapped(net: nn.Module, config: TransformerConfig) -> Any:
    """Puts adapters into a network in place, and gives what can take them out again."""
    peft = require_module("peft")
    settings = config.lora or LoraSettings()
    targets = ALL_LAYERS if settings.layers == "all" else list(ATTENTION_LAYERS)
    return peft.get_peft_model(
        net,
        peft.LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,
            lora_dropout=settings.dropout,
            target_modules=targets,
            bias="none",
        ),
    )
