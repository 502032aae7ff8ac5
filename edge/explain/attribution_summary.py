"""Attributions of samples as a report holds them: what each modality, field and token adds to the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from edge.explain.failure_slices import named_classes
from edge.explain.output_readings import ACTUAL, SAID
from edge.runtime.model_io import PresentInput, SeriesInput, TensorInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.compress.samples import SampleSet
    from edge.explain.coalitions import Answers
    from edge.explain.config import GradientConfig
    from edge.explain.gradients import SampleAttribution
    from edge.runtime.model_io import ModelIO, SensorInput


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class AttributedSample(_Record):
    """One sample, in logits of what the model answered.

    Attributes:
        id: As in the dataset.
        right: Whether the answer has no error.
        actual: Classes that are there.
        said: Classes that the model found.
        change: Logit of the answer minus that of the baseline.
        modalities: What each adds to it.
        fields: `{modality: {field: part}}` of tables and series.
        steps: Of the integral.
        off: What the parts miss of `change`, as a share of it.
        converged: Whether that is within the tolerance; the parts of a sample that is not are not to be read.
    """

    id: str
    right: bool
    actual: tuple[str, ...]
    said: tuple[str, ...]
    change: float
    modalities: dict[str, float]
    fields: dict[str, dict[str, float]]
    steps: int
    off: float
    converged: bool


class Attributions(_Record):
    """Integrated gradients of some samples.

    Attributes:
        drawn: Samples that the means are of.
        magnitude: Magnitudes added up over them, each modality's as a share of all in %; empty where none converged.
        fields: The same within each table and series, by field.
        converged: Samples, of those drawn, whose parts add up within the tolerance; the others are left out.
        steps: Most steps that one of them took.
        samples: That are shown, right and wrong ones.
    """

    drawn: int
    magnitude: dict[str, float]
    fields: dict[str, dict[str, float]]
    converged: int
    steps: int
    samples: tuple[AttributedSample, ...]


def chosen_rows(answers: Answers, config: GradientConfig, seed: int) -> tuple[list[int], list[int]]:
    """Samples drawn for the means, and those that are shown.

    Shown are, a third each as far as there are such: the wrong ones with the least probability of the truth, the right
    ones with the most, and the right ones with the least.
    """
    complete = answers.complete
    count = len(complete.truth)
    drawn = np.sort(np.random.default_rng(seed).permutation(count)[: config.samples])
    order = np.argsort(complete.truth, kind="stable")
    wrong, right = order[complete.error[order] > 0], order[complete.error[order] == 0]
    third = -(-config.pictured // 3)
    shown = dict.fromkeys([*wrong[:third], *right[::-1][:third], *right[:third], *wrong[third:], *right[third:]])
    return [int(row) for row in drawn], [int(row) for row in shown][: config.pictured]


def summarize_attributions(
    drawn: Sequence[SampleAttribution],
    shown: Sequence[SampleAttribution],
    data: SampleSet,
    answers: Answers,
    model_io: ModelIO,
    config: GradientConfig,
) -> Attributions:
    """The report's part of them.

    Args:
        drawn: Of the samples that the means are of.
        shown: Of those that are shown.
        data: The split.
        answers: Say what is true and what was said.
        model_io: Names fields.
        config: The tolerance.
    """
    items = [i for i in model_io.inputs if not isinstance(i, PresentInput)]
    kept = [a for a in drawn if a.off <= config.tolerance]
    sums = [sum(float(a.parts[at].abs().sum()) for a in kept) for at in range(len(items))]
    fields = {item.stream: _percent(_by_field(item, kept, at)) for at, item in enumerate(items)}
    return Attributions(
        drawn=len(drawn),
        magnitude=_percent(dict(zip(answers.modalities, sums, strict=True))) if kept else {},
        fields={stream: shares for stream, shares in fields.items() if shares and kept},
        converged=len(kept),
        steps=max((a.steps for a in drawn), default=0),
        samples=tuple(_sample(a, data, answers, items, config) for a in shown),
    )


def field_parts(item: SensorInput, attribution: SampleAttribution, at: int) -> dict[str, float]:
    """What each field of a table or a series adds to one answer; empty of other inputs."""
    if not isinstance(item, TensorInput | SeriesInput):
        return {}
    parts = attribution.parts[at].reshape(len(item.fields), -1).sum(1)
    return dict(zip(item.fields, map(float, parts), strict=True))


def _sample(
    attribution: SampleAttribution,
    data: SampleSet,
    answers: Answers,
    items: Sequence[SensorInput],
    config: GradientConfig,
) -> AttributedSample:
    row, complete = attribution.row, answers.complete
    fields = {item.stream: field_parts(item, attribution, at) for at, item in enumerate(items)}
    return AttributedSample(
        id=data.ids[row],
        right=bool(complete.error[row] == 0),
        actual=named_classes(answers, complete.classes[row, :, ACTUAL]),
        said=named_classes(answers, complete.classes[row, :, SAID]),
        change=attribution.change,
        modalities={m: float(p.sum()) for m, p in zip(answers.modalities, attribution.parts, strict=True)},
        fields={stream: parts for stream, parts in fields.items() if parts},
        steps=attribution.steps,
        off=attribution.off,
        converged=attribution.off <= config.tolerance,
    )


def _by_field(item: SensorInput, kept: Sequence[SampleAttribution], at: int) -> dict[str, float]:
    """Magnitudes added up over samples; empty of inputs that have no fields."""
    if not isinstance(item, TensorInput | SeriesInput):
        return {}
    sums = [a.parts[at].abs().reshape(len(item.fields), -1).sum(1) for a in kept]
    return {name: sum(float(parts[place]) for parts in sums) for place, name in enumerate(item.fields)}


def _percent(sums: dict[str, float]) -> dict[str, float]:
    total = sum(sums.values())
    return {name: 100.0 * value / total if total > 0 else 0.0 for name, value in sums.items()}
