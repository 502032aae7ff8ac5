"""A calibrated graph in a form that can be trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from edge.compress.quantize.observers import ActivationObserver, PerChannelWeightObserver
from edge.compress.quantize.prepared_graph import watcher_at
from edge.compress.quantize.tensor_weights import PerTensorWeightObserver
from edge.compress.tuning.learned_levels import LearnedLevels

if TYPE_CHECKING:
    from collections.abc import Collection

    from torch.fx import GraphModule, Node

_WATCHERS = ActivationObserver | PerChannelWeightObserver | PerTensorWeightObserver


class TrainingGraph(nn.Module):
    """A prepared graph that computes with the levels of INT8, in float, and passes gradients.

    Batch norms were folded when it was exported, or are computed with the statistics that they had: what is trained is
    what will run, and the scales were calibrated on just these statistics.

    Args:
        prepared: A prepared graph that was run on the calibration set; its observers are replaced, and `convert_pt2e`
            takes it afterwards as it did before. The module that was exported keeps its own weights.
        learn_scales: Whether scales are trained with the weights.
    """

    def __init__(self, prepared: GraphModule, *, learn_scales: bool) -> None:
        super().__init__()
        self.graph = prepared
        _own_parameters(prepared)
        _replace_observers(prepared, learn_scales)

    def forward(self, *inputs: Tensor) -> Any:
        """The outputs of the graph."""
        return self.graph(*inputs)

    def train(self, mode: bool = True) -> TrainingGraph:
        """Marks the mode; an exported graph computes as in evaluation, and refuses to be asked for more."""
        self.training = mode
        return self

    def state(self) -> dict[str, Tensor]:
        """A copy of weights and scales."""
        return {name: values.detach().clone() for name, values in self.graph.state_dict().items()}

    def masks(self, weights: Collection[str]) -> dict[str, Tensor]:
        """For each of these parameters, which of its values are not 0: what stays of a sparse weight."""
        found = dict(self.graph.named_parameters(remove_duplicate=False))
        return {name: found[name].detach() != 0 for name in weights if name in found}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Takes weights and scales back to such a copy."""
        self.graph.load_state_dict(state)

    def finish(self) -> None:
        """Ends the training: no gradients are asked for any more."""
        self.zero_grad(set_to_none=True)
        self.graph.requires_grad_(False)


def _own_parameters(prepared: GraphModule) -> None:
    """Copies that can be trained: an exported graph shares its parameters with the module that it came from."""
    copies: dict[nn.Parameter, nn.Parameter] = {}
    for name, parameter in list(prepared.named_parameters(remove_duplicate=False)):
        if parameter not in copies:
            copies[parameter] = nn.Parameter(parameter.detach().clone(), requires_grad=parameter.is_floating_point())
        path, _, last = name.rpartition(".")
        setattr(prepared.get_submodule(path), last, copies[parameter])


def _replace_observers(prepared: GraphModule, learn: bool) -> None:
    """One scale stays one, whether observers share it or one weight is read by several layers."""
    learned: dict[object, LearnedLevels] = {}
    for node in prepared.graph.nodes:
        observer = watcher_at(prepared, node)
        if isinstance(observer, _WATCHERS):
            key = _scale_key(node, observer)
            if key not in learned:
                learned[key] = LearnedLevels(observer, learn=learn)
            prepared.set_submodule(str(node.target), learned[key])


def _scale_key(node: Node, observer: nn.Module) -> object:
    if isinstance(observer, ActivationObserver):
        return observer
    return type(observer), str(node.all_input_nodes[0].target)
