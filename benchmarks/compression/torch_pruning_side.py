"""Torch-Pruning driven to a latency: its ratio is raised until the pruned graph, timed in turn, holds the target."""

from __future__ import annotations

import copy
import importlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peer_venv import ROOT, PeerMissingError

from edge.compress.prune.latency_plan import timed_graph
from edge.compress.prune.latency_source import MeasuredLatency

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn

HALVINGS = 5  # of the ratio


@dataclass(frozen=True)
class TorchPruningRun:
    """What a run is given.

    Attributes:
        example: Positional inputs at batch 1.
        losses: Losses of a candidate on batches, for Taylor importance.
        outputs: Modules whose channels stay: the model's outputs.
        align: Kept widths are a multiple of this.
        max_ratio: Largest share that a layer may lose.
        everywhere: All layers compete (`global_pruning`); else each loses the same share.
    """

    example: tuple[Tensor, ...]
    losses: Callable[[nn.Module], Iterator[Tensor]]
    outputs: Callable[[nn.Module], list[nn.Module]]
    align: int
    max_ratio: float
    everywhere: bool

    def to_latency(self, model: nn.Module, share: float) -> nn.Module | None:
        """The model at the smallest ratio whose graph takes at most `share`; None where none that was tried does.

        Raises:
            PeerMissingError: Torch-Pruning is not installed.
        """
        clock, before = MeasuredLatency(), timed_graph(model, self.example)
        low, high, best = 0.0, self.max_ratio, None
        for _ in range(HALVINGS):
            ratio = (low + high) / 2
            slim = self.pruned(model, ratio)
            if clock.share(before, timed_graph(slim, self.example), share).holds(share):
                high, best = ratio, slim
            else:
                low = ratio
        return best

    def pruned(self, model: nn.Module, ratio: float) -> nn.Module:
        """A copy that lost `ratio` of its channels by Taylor importance."""
        tp = torch_pruning()
        slim = copy.deepcopy(model).requires_grad_(True)
        for loss in self.losses(slim):
            loss.backward()
        pruner = tp.pruner.BasePruner(
            slim,
            self.example,
            importance=tp.importance.GroupTaylorImportance(),
            global_pruning=self.everywhere,
            pruning_ratio=ratio,
            max_pruning_ratio=self.max_ratio,
            round_to=self.align,
            ignored_layers=self.outputs(slim),
        )
        pruner.step()
        slim.zero_grad(set_to_none=True)
        return slim.eval()


def torch_pruning() -> Any:
    """The package; it is pure Python, so that of `.venv-peers-compress` serves where ours has none.

    Raises:
        PeerMissingError: It is in neither.
    """
    try:
        return importlib.import_module("torch_pruning")
    except ImportError:
        pass
    sys.path += [str(path) for path in (ROOT / ".venv-peers-compress" / "lib").glob("python3.*/site-packages")]
    try:
        return importlib.import_module("torch_pruning")
    except ImportError as error:
        raise PeerMissingError("Torch-Pruning is not installed; run `make bench-compress-peers`") from error
