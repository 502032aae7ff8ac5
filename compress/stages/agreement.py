"""Whether the graphs of one quantized model decide alike: `u8`, which x86 runs, as `s8`, which gates look at."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx
import torch

from edge.compress.quantize.saturation import saturate_levels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge.compress.samples import SampleSet
    from edge.compress.scoring.evaluation import Runner
    from edge.compress.scoring.task import Task

LEAST_AGREEMENT = 0.995  # of decisions, below which `u8` is another function than the one that was gated
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DecisionAgreement:
    """Shares of equal decisions (classes, events) on a split, everything present.

    Attributes:
        task: Says how outputs are read.
        data: The split.
        runner: Runs a dialect's graph at batch 1.
    """

    task: Task
    data: SampleSet
    runner: Callable[[Mapping[str, bytes], str], Runner]

    @property
    def defined(self) -> bool:
        """Whether anything is decided: regressions alone decide nothing."""
        return {*self.task.output_kinds} != {"regression"}

    def share(self, graphs: Mapping[str, bytes], first: str, second: str) -> float:
        """Of decisions on which two dialects agree."""
        runs = self.runner(graphs, first), self.runner(graphs, second)
        same = total = 0
        present = torch.ones(1, len(self.data.inputs))
        for inputs, _ in self.data.batches(1):
            for kind, a, b in zip(
                self.task.output_kinds, runs[0](*inputs, present), runs[1](*inputs, present), strict=True
            ):
                if kind == "regression":
                    continue
                equal = a.argmax(1) == b.argmax(1) if kind == "categorical" else (a > 0) == (b > 0)
                same, total = same + int(equal.sum()), total + equal.numel()
        return same / total

    def settled(self, graphs: dict[str, bytes], tuned: bool) -> dict[str, bytes]:
        """The graphs, `u8` with the levels of `s8` where it must have them.

        That is where the model was tuned with these levels, and where observers clip so much that what `u8` lets
        through decides otherwise.
        """
        share = self.share(graphs, "s8", "u8") if self.defined and not tuned else 1.0
        if not tuned and share >= LEAST_AGREEMENT:
            return graphs
        saturated = saturate_levels(onnx.load_model_from_string(graphs["u8"])).SerializeToString()
        stopped = {**graphs, "u8": saturated}
        if not tuned and self.share(stopped, "s8", "u8") <= share:
            logger.warning("u8 decides as s8 in %.1f %% of cases only, and no clip mends it", 100 * share)
            return graphs
        if not tuned:
            logger.info("u8 decided as s8 in %.1f %% of cases: its levels now stop where those of s8 do", 100 * share)
        return stopped
