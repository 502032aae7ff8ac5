"""Whether the graphs of one quantized model decide alike: `u8`, which x86 runs, as `s8`, which gates look at."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx
import torch

from edge.compress.dialects.saturation import saturate_levels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from edge.compress.samples import SampleSet
    from edge.compress.scoring.evaluation import Runner
    from edge.compress.scoring.task import Task

GATED = "s8"
LEAST_AGREEMENT = 0.995  # of decisions, below which `u8` is another function than the one that was gated
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DecisionAgreement:
    """Compares what dialects decide (classes, events) on a split, with everything present that a sample has.

    Attributes:
        task: Says how outputs are read.
        data: The split.
        runner: Runs a dialect's graph at batch 1.
    """

    task: Task
    data: SampleSet
    runner: Callable[[Mapping[str, bytes], str], Runner]

    def settled(self, graphs: dict[str, bytes], tuned: bool) -> tuple[dict[str, bytes], dict[str, float]]:
        """The graphs, `u8` with the levels of `s8` where it must have them, and the shares that agree with `s8`.

        It must where the model was tuned with these levels, and where observers clip so much that what `u8` lets
        through decides otherwise.

        Args:
            graphs: By dialect.
            tuned: Whether the model learned with the levels of INT8.

        Returns:
            The shares are by dialect, `s8` left out; none where nothing is decided, by regressions alone.
        """
        if tuned:
            graphs = _saturated(graphs)
        if {*self.task.output_kinds} == {"regression"}:
            return graphs, {}
        gated = self._decisions(graphs, GATED)
        shares = {name: _share(gated, self._decisions(graphs, name)) for name in graphs if name != GATED}
        if tuned or shares["u8"] >= LEAST_AGREEMENT:
            return graphs, shares
        stopped = _saturated(graphs)
        share = _share(gated, self._decisions(stopped, "u8"))
        if share <= shares["u8"]:
            logger.warning("u8 decides as s8 in %.1f %% of cases only, and no clip mends it", 100 * shares["u8"])
            return graphs, shares
        logger.info("u8 decided as s8 in %.1f %%: its levels now stop where those of s8 do", 100 * shares["u8"])
        return stopped, {**shares, "u8": share}

    def _decisions(self, graphs: Mapping[str, bytes], dialect: str) -> Tensor:
        """All classes and events that a dialect decides on, one behind the other."""
        run, found = self.runner(graphs, dialect), []
        present = torch.ones(1, len(self.data.inputs))
        for row in self.data.batch_rows(1):
            for kind, output in zip(self.task.output_kinds, run(*self.data.masked(row, present)), strict=True):
                if kind != "regression":
                    found.append((output.argmax(1) if kind == "categorical" else (output > 0).long()).flatten())
        return torch.cat(found)


def _share(first: Tensor, second: Tensor) -> float:
    return int((first == second).sum()) / first.numel()


def _saturated(graphs: dict[str, bytes]) -> dict[str, bytes]:
    u8 = saturate_levels(onnx.load_model_from_string(graphs["u8"]))
    return {**graphs, "u8": u8.SerializeToString()}
