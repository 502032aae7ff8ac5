"""Cuts indices out of a copy of a model's tensors and corrects the widths that its modules remember."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import nn

from edge.compress.aten_graph import tensors_of
from edge.compress.prune.heads import correct_head_counts
from edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    # Path of a tensor -> dimension -> indices that stay.
    Cuts = Mapping[str, Mapping[int, Sequence[int]]]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_NORMALISATIONS = (nn.modules.batchnorm._NormBase,)  # batch and instance normalisation, whatever the rank


def check_shapes(model: nn.Module, shapes: Mapping[str, Sequence[int]]) -> None:
    """Refuses a model that is not of the architecture that a plan was made for.

    Raises:
        ModelError: A tensor is missing or has another shape.
    """
    tensors = tensors_of(model)
    for path, shape in shapes.items():
        found = tuple(tensors[path].shape) if path in tensors else None
        if found != tuple(shape):
            have = f"has shape {list(found)}" if found is not None else "does not exist"
            raise ModelError(
                f"the pruning plan is for another model: {path} should have shape {list(shape)} and {have}",
                "build the model from the configuration that the plan was made with, not yet pruned",
            )


def shrink(model: nn.Module, cuts: Cuts) -> nn.Module:
    """A deep copy of `model` that keeps only the indices in `cuts`; a shared tensor stays shared."""
    slim = copy.deepcopy(model)
    tensors = tensors_of(slim)
    replaced = {id(tensors[path]): _cut(tensors[path], dims) for path, dims in cuts.items()}
    before: dict[nn.Module, int] = {}
    for module in slim.modules():
        if _replace(module, replaced):
            if isinstance(module, nn.Linear):
                before[module] = module.out_features
            _correct_widths(module)
    for module in slim.modules():
        correct_head_counts(module, before)
    return slim


def _cut(tensor: Tensor, dims: Mapping[int, Sequence[int]]) -> Tensor:
    data = tensor.detach()
    for dim, kept in dims.items():
        data = data.index_select(dim, torch.as_tensor(kept, dtype=torch.long, device=data.device))
    data = data.contiguous(memory_format=_memory_format(tensor))
    return nn.Parameter(data, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else data


def _memory_format(tensor: Tensor) -> torch.memory_format:
    channels_last = tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if channels_last and not tensor.is_contiguous() else torch.contiguous_format


def _replace(module: nn.Module, replaced: Mapping[int, Tensor]) -> bool:
    changed = False
    for store in (module._parameters, module._buffers):
        for name, tensor in store.items():
            if tensor is not None and id(tensor) in replaced:
                store[name] = replaced[id(tensor)]  # type: ignore[assignment]
                changed = True
    return changed


def _correct_widths(module: nn.Module) -> None:
    """Sets what a module remembers of its widths from the tensors that it now has."""
    if isinstance(module, _CONVOLUTIONS):
        out, per_group = module.weight.shape[:2]
        if 1 < module.groups == module.in_channels:  # depthwise: the multiplier stays; else the number of groups does
            module.groups = out // (module.out_channels // module.groups)
        module.out_channels, module.in_channels = out, per_group * module.groups
    elif isinstance(module, _TRANSPOSED):
        entering, per_group = module.weight.shape[:2]
        module.groups = entering if 1 < module.groups == module.in_channels else module.groups
        module.in_channels, module.out_channels = entering, per_group * module.groups
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, _NORMALISATIONS):
        vector = module.weight if module.weight is not None else module.running_mean
        assert vector is not None
        module.num_features = vector.shape[0]
    elif isinstance(module, nn.PReLU):
        module.num_parameters = module.weight.shape[0]
    elif isinstance(module, nn.Embedding):
        module.embedding_dim = module.weight.shape[1]
