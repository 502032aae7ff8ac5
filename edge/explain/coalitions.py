"""A model's answers with every subset of its modalities, the empty one included: what contributions are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from edge.compress.samples import mask_modalities
from edge.compress.scoring.task import AdditiveMetric
from edge.explain.output_readings import OutputReader
from edge.explain.prior import prior_outputs
from edge.runtime.errors import ConfigError
from edge.runtime.states import BLIND, state_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from edge.compress.samples import SampleSet
    from edge.compress.scoring.evaluation import Runner
    from edge.explain.output_readings import Readings
    from edge.runtime.model_io import ModelIO
    from edge.training.fusion_task import FusionTask

MOST_MODALITIES = 10  # 1,024 subsets


@dataclass(frozen=True, eq=False)
class CoalitionAnswers:
    """One coalition of modalities on a split of N samples, float64.

    Attributes:
        truth: `[N]`, as in `Readings`.
        error: `[N]`, as in `Readings`.
        classes: `[N, classes, 3]`, as in `Readings`.
        reliability: `[N, 3 * BINS]`, as in `Readings`.
        metric: `[N, counts]` of the task's metric.
    """

    truth: NDArray[np.float64]
    error: NDArray[np.float64]
    classes: NDArray[np.float64]
    reliability: NDArray[np.float64]
    metric: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Answers:
    """All coalitions of one model on one split.

    Attributes:
        modalities: In the model's order.
        class_names: Of all outputs.
        chances: `[classes]`: how often a sample could have each class.
        coalitions: 2^M of them; bit m of the index says whether modality m was there. The first is the prior.
        metric: What makes points of counts.
    """

    modalities: tuple[str, ...]
    class_names: tuple[str, ...]
    chances: NDArray[np.float64]
    coalitions: tuple[CoalitionAnswers, ...]
    metric: AdditiveMetric

    @property
    def complete(self) -> CoalitionAnswers:
        """With everything that each sample has."""
        return self.coalitions[-1]

    @property
    def states(self) -> dict[str, CoalitionAnswers]:
        """By the name of the modality state, `all` first; the prior is `blind`."""
        order = sorted(range(len(self.coalitions)), key=lambda index: (-index.bit_count(), index))
        return {self._name(index): self.coalitions[index] for index in order}

    def score(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points of `score` of summed counts, `[..., counts]` to `[...]`."""
        return np.asarray(self.metric.points(torch.from_numpy(counts))["score"].numpy(), np.float64)

    def _name(self, index: int) -> str:
        present = [m for at, m in enumerate(self.modalities) if index >> at & 1]
        return state_name(present, self.modalities) if present else BLIND


def collect_answers(
    run: Runner,
    data: SampleSet,
    task: FusionTask,
    model_io: ModelIO,
    batch_size: int = 64,
    on_step: Callable[[int], None] = lambda _done: None,
) -> Answers:
    """Runs the model with every subset of its modalities.

    A modality that a sample lacks is absent in every subset; where that leaves nothing, the sample's answer is the
    prior, so that what it does not have contributes nothing.

    Args:
        run: The model: positional tensors with `present` last.
        data: The split.
        task: Gives the metric.
        model_io: Says how outputs are read.
        batch_size: Samples a call.
        on_step: Called with the number of subsets done, each time one is.

    Raises:
        ConfigError: There are too many modalities for all of their subsets.
    """
    count = len(task.modalities)
    if count > MOST_MODALITIES:
        raise ConfigError(
            f"{count} modalities have {2**count:,} subsets", f"explain models of at most {MOST_MODALITIES} modalities"
        )
    reader, metric = OutputReader(model_io), task.metric()
    assert isinstance(metric, AdditiveMetric), "all metrics of fusion tasks are made of counts"
    blind = prior_outputs(model_io, data.targets)
    coalitions = []
    for index in range(2**count):
        wanted = torch.tensor([float(index >> at & 1) for at in range(count)])
        coalitions.append(_coalition(_Asked(run, data, reader, metric, blind), wanted, batch_size))
        on_step(1)
    chances = reader.chances(blind).numpy()
    return Answers(task.modalities, reader.class_names, chances, tuple(coalitions), metric)


@dataclass(frozen=True)
class _Asked:
    run: Runner
    data: SampleSet
    reader: OutputReader
    metric: AdditiveMetric
    blind: tuple[Tensor, ...]

    def outputs(self, rows: Tensor, wanted: Tensor) -> tuple[Tensor, ...]:
        """Of some samples; the prior where nothing is left of what is wanted."""
        present = wanted.expand(len(rows), -1)
        if self.data.available is not None:
            present = present * self.data.available[rows]
        answers = [b.expand(len(rows), *b.shape[1:]).clone() for b in self.blind]
        seeing = present.any(1).nonzero()[:, 0]
        if len(seeing):
            inputs, _ = self.data.rows(rows[seeing])
            found = self.run(*mask_modalities(inputs, present[seeing]))
            for answer, part in zip(answers, found, strict=True):
                answer[seeing] = part.to(answer.dtype)
        return tuple(answers)


def _coalition(asked: _Asked, wanted: Tensor, batch_size: int) -> CoalitionAnswers:
    readings: list[Readings] = []
    counts: list[Tensor] = []
    for rows in asked.data.batch_rows(batch_size):
        _, targets = asked.data.rows(rows)
        with torch.inference_mode():
            outputs = asked.outputs(rows, wanted)
            readings.append(asked.reader.read(outputs, targets))
            counts.append(asked.metric.sample_counts(outputs, targets))
    return CoalitionAnswers(
        _joined([r.truth for r in readings]),
        _joined([r.error for r in readings]),
        _joined([r.classes for r in readings]),
        _joined([r.reliability for r in readings]),
        _joined(counts),
    )


def _joined(parts: Sequence[Tensor]) -> NDArray[np.float64]:
    return np.asarray(torch.cat(list(parts)).double().numpy(), np.float64)
