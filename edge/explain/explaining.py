"""Puts all findings about one model together: answers first, then what follows from them, then its insides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.compress.scoring.recording_counts import samples_digest
from edge.explain.attribution_summary import chosen_rows, summarize_attributions
from edge.explain.bias import compare_groups, refuse_unfit_attributes
from edge.explain.coalitions import collect_answers
from edge.explain.contribution import contributions_of_classes, score_contribution, truth_contribution
from edge.explain.failure_slices import find_failures
from edge.explain.findings import ExplainedData, ExplainedModel, Explanation
from edge.explain.fusion_shares import weight_shares
from edge.explain.gradients import attribute_samples
from edge.explain.paired_models import compare_models
from edge.explain.recording_draws import RecordingDraws
from edge.runtime.environment import describe_host

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from edge.compress.samples import SampleSet
    from edge.explain.asked_models import AskedModel
    from edge.explain.attribution_summary import Attributions
    from edge.explain.coalitions import Answers
    from edge.explain.config import ExplainConfig
    from edge.explain.gradients import SampleAttribution
    from edge.explain.paired_models import ModelComparison
    from edge.explain.recording_draws import Quantity

    # A title and the number of steps: what moves a bar.
    Counter = Callable[[str, int], Callable[[int], None]]
    Doing = Callable[[str], AbstractContextManager[None]]


@dataclass(frozen=True, eq=False)
class Explained:
    """A finished explanation.

    Attributes:
        findings: All that programs read.
        shown: Attributions of the samples that are drawn, for pictures; in the order of the findings'.
    """

    findings: Explanation
    shown: list[SampleAttribution]


@dataclass(frozen=True)
class Progress:
    """What long steps tell.

    Attributes:
        counter: Makes a bar.
        doing: Shows a spinner.
    """

    counter: Counter
    doing: Doing


def explain_model(
    asked: AskedModel,
    data: SampleSet,
    data_name: str,
    config: ExplainConfig,
    progress: Progress,
    against: AskedModel | None = None,
) -> Explained:
    """Explains a model on a split.

    Args:
        asked: The model.
        data: The split.
        data_name: Of the dataset.
        config: What is asked.
        progress: For the bars.
        against: A model of the same task, e.g. from before compression; compared on the same samples.

    Raises:
        DataError: The samples are not what one of the models takes, or the two models differ in task.
        ConfigError: An attribute is named that the samples do not have.
        MissingDependencyError: captum is not installed, and gradients are asked for.
    """
    refuse_unfit_attributes(data, config.bias.attributes)
    for each in (asked, *([against] if against else ())):
        each.refuse_other_data(data)
    answers = _answers(asked, data, config, progress, "Ask the model with every subset of its modalities")
    before = None if against is None else _answers(against, data, config, progress, "Ask the other model alike")
    attributions, shown = _attributions(asked, data, answers, config, progress)
    draws = RecordingDraws(data.recordings, config.resamples, config.seed, config.confidence)
    with progress.doing("Contributions, slices that fail, groups"):
        shares = asked.network and weight_shares(asked.network, data, answers, draws, config.batch_size)
        findings = Explanation(
            schema=1,
            model=_model(asked, answers),
            data=_data(data, data_name, draws),
            config=config,
            states=_states(answers, draws),
            contributions=(score_contribution(answers, draws), truth_contribution(answers, draws)),
            classes=contributions_of_classes(answers, draws),
            shares=shares,
            attributions=attributions,
            failures=find_failures(data, answers, asked.model_io, draws, config.slices),
            bias=compare_groups(data, answers, draws, config.bias),
            comparison=None if before is None else _comparison(against, data, (before, answers), draws, config),
            environment=describe_host(seed=config.seed),
            notes=_notes(asked, data, draws, shares is not None, attributions),
        )
    return Explained(findings, shown)


def _comparison(
    against: AskedModel | None,
    data: SampleSet,
    sides: tuple[Answers, Answers],
    draws: RecordingDraws,
    config: ExplainConfig,
) -> ModelComparison:
    assert against is not None, "what has answered was given"
    return compare_models(str(against.path), data, *sides, draws, config.bias)


def _answers(asked: AskedModel, data: SampleSet, config: ExplainConfig, progress: Progress, title: str) -> Answers:
    batch = min(config.batch_size, asked.batch_size or config.batch_size)
    done = progress.counter(title, 2 ** len(asked.model_io.modalities))
    return collect_answers(asked.run, data, asked.task, asked.model_io, batch, done)


def _attributions(
    asked: AskedModel, data: SampleSet, answers: Answers, config: ExplainConfig, progress: Progress
) -> tuple[Attributions | None, list[SampleAttribution]]:
    if asked.network is None or config.gradients.samples == 0:
        return None, []
    drawn, shown = chosen_rows(answers, config.gradients, config.seed)
    rows = list(dict.fromkeys([*drawn, *shown]))
    done = progress.counter("Integrate gradients", len(rows))
    found = attribute_samples(asked.network, asked.model_io, data, rows, config.gradients, done)
    by_row = {attribution.row: attribution for attribution in found}
    pictured = [by_row[row] for row in shown]
    means = [by_row[row] for row in drawn]
    summary = summarize_attributions(means, pictured, data, answers, asked.model_io, config.gradients)
    return summary, pictured


def _model(asked: AskedModel, answers: Answers) -> ExplainedModel:
    return ExplainedModel(
        kind=asked.kind,
        name=asked.name,
        digest=asked.digest,
        engine=asked.engine,
        modalities=answers.modalities,
        classes=answers.class_names,
    )


def _data(data: SampleSet, name: str, draws: RecordingDraws) -> ExplainedData:
    return ExplainedData(
        name=name, split=data.split, samples=len(data), recordings=draws.count, digest=samples_digest(data)
    )


def _states(answers: Answers, draws: RecordingDraws) -> dict[str, Quantity]:
    return {
        state: draws.quantity(float(answers.score(c.metric.sum(0))), answers.score(draws.replicates(c.metric)))
        for state, c in answers.states.items()
    }


def _notes(
    asked: AskedModel, data: SampleSet, draws: RecordingDraws, weighs: bool, attributions: Attributions | None
) -> tuple[str, ...]:
    notes = []
    if draws.count < 2:
        notes.append("There are no intervals, and no slices: all samples are of one recording.")
    if asked.network is None:
        notes.append("A bundle only answers: gradients and the fusion's own shares are those of its checkpoint.")
    elif not weighs:
        kind = asked.network.config.fusion.kind
        notes.append(f"The fusion '{kind}' weighs no modalities, so it has no shares to tell; Shapley values say more.")
    if data.available is not None and not bool(data.available.all()):
        notes.append("Some samples lack a modality. It is absent in every state, and contributes nothing to them.")
    if attributions is not None and attributions.converged < attributions.drawn:
        left = attributions.drawn - attributions.converged
        notes.append(
            f"{left} of {attributions.drawn} drawn samples are left out of the attributions' means: their parts do not "
            "add up within the tolerance, even with the most steps."
        )
    return tuple(notes)
