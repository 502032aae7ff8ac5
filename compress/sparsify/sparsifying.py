"""A dense model made 2:4 sparse, and the record of what is sparse in it held against its exported graph."""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING

from edge.compress.sparsify.layers import layer_of, sparse_candidates
from edge.compress.sparsify.masks import apply_masks, choose_masks
from edge.compress.sparsify.onnx_weights import sparse_layers
from edge.compress.sparsify.record import SparseLayer, SparsityRecord
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    import onnx
    from torch import Tensor, nn

    from edge.compress.aten_graph import Inputs
    from edge.compress.prune.importance import Losses
    from edge.compress.sparsify.config import SparsifyConfig
    from edge.compress.sparsify.masks import Masks

logger = logging.getLogger(__name__)
_NAMED = 3


def sparsify(
    model: nn.Module, example_inputs: Inputs, config: SparsifyConfig, losses: Losses | None = None
) -> tuple[nn.Module, Masks, SparsityRecord]:
    """A copy of the model of whose weights two of each four are zero, wherever sparse kernels exist for the layer.

    Args:
        model: Any module that torch.export takes, with tensor inputs; it is not changed.
        example_inputs: Positional arguments of forward, or its keyword arguments by name.
        config: Which layers, and by which measure.
        losses: For `taylor`: given a model, yields the scalar loss of each batch.

    Returns:
        The copy, what stays of each of its sparse weights (for `held_masks`), and the record.

    Raises:
        ModelError: The model does not export.
        ConfigError: No layer is eligible, or `taylor` has no losses.
        DataError: Importance is not finite, or the losses are unusable.
    """
    found = sparse_candidates(model, example_inputs, config)
    if not found.eligible:
        raise ConfigError(f"no layer can be 2:4 sparse{_reasons(found.dense)}", _remedy(config))
    masks = choose_masks(model, found.eligible, config.importance, losses)
    record = _record(model, masks, found.dense, config)
    sparse = copy.deepcopy(model)
    apply_masks(sparse, masks)
    logger.info("%s", record)
    return sparse, masks, record


def held_against(record: SparsityRecord, graph: onnx.ModelProto) -> SparsityRecord:
    """The record with the layers of which a later step broke the pattern; each is logged.

    Args:
        record: Of the stage that made the model sparse.
        graph: The exported model, float or with INT8 weights.
    """
    sparse = sparse_layers(graph)
    lost = tuple(layer.layer for layer in record.layers if not sparse.get(layer.layer, False))
    for layer in lost:
        why = "its weights are no longer so" if layer in sparse else "the graph has no such layer"
        logger.warning("%s was made 2:4 sparse and is not in the exported graph: %s", layer, why)
    return record.model_copy(update={"lost": lost})


def _record(model: nn.Module, masks: Masks, dense: dict[str, str], config: SparsifyConfig) -> SparsityRecord:
    weights = dict(model.named_parameters(remove_duplicate=False))
    layers = tuple(
        SparseLayer(layer=layer_of(path), weights=mask.numel(), kept_norm=_kept_norm(weights[path], mask))
        for path, mask in masks.items()
    )
    left = sum(weights[path].numel() for path in weights if layer_of(path) in dense)
    made = sum(layer.weights for layer in layers)
    return SparsityRecord(importance=config.importance, layers=layers, dense=dense, share=made / (made + left))


def _kept_norm(weight: Tensor, mask: Tensor) -> float:
    values = weight.detach().double()
    whole = float(values.norm())
    return min(1.0, float((values * mask).norm()) / whole) if whole else 1.0


def _reasons(dense: dict[str, str]) -> str:
    told = [f"{layer}: {reason}" for layer, reason in list(dense.items())[:_NAMED]]
    more = f" and {len(dense) - _NAMED} more" if len(dense) > _NAMED else ""
    return f" ({', '.join(told)}{more})" if told else ": the model has no convolution and no linear layer"


def _remedy(config: SparsifyConfig) -> str:
    return f"prune with `align: {config.align}`, lower sparsify.align, loosen sparsify.keep, or drop the stage"
