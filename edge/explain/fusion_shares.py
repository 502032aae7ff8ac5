"""How much a fusion that weighs its modalities gave to each: its own account, beside what Shapley values measure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from edge.compress.samples import mask_modalities
from edge.explain.output_readings import ACTUAL
from edge.explain.recording_draws import Quantity
from edge.models.fusion.choice import WeighingFusion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.compress.samples import SampleSet
    from edge.explain.coalitions import Answers
    from edge.explain.recording_draws import RecordingDraws
    from edge.models.fusion_model import FusionModel


class WeightShares(BaseModel):
    """Shares in % of what the fusion weighed, with everything present that a sample has.

    Attributes:
        mean: By modality.
        classes: `{class: {modality: mean}}`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    mean: dict[str, Quantity]
    classes: dict[str, dict[str, float]]


def weight_shares(
    model: FusionModel, data: SampleSet, answers: Answers, draws: RecordingDraws, batch_size: int = 64
) -> WeightShares | None:
    """Asks the fusion.

    Args:
        model: In eval mode.
        data: The split.
        answers: Say what is true of each sample.
        draws: For the intervals.
        batch_size: Samples a call.

    Returns:
        None where the fusion weighs nothing: then it has no account to give.
    """
    if not isinstance(model.fusion, WeighingFusion):
        return None
    shares = _shares(model, model.fusion, data, batch_size)
    has = answers.complete.classes[:, :, ACTUAL] > 0
    return WeightShares(
        mean={m: draws.mean(shares[:, at]) for at, m in enumerate(answers.modalities)},
        classes={
            name: dict(zip(answers.modalities, map(float, shares[of_class].mean(0)), strict=True))
            for name, of_class in zip(answers.class_names, has.T, strict=True)
            if of_class.any()
        },
    )


def _shares(model: FusionModel, fusion: WeighingFusion, data: SampleSet, batch_size: int) -> NDArray[np.float64]:
    parts = []
    for rows in data.batch_rows(batch_size):
        inputs, _ = data.rows(rows)
        present = torch.ones(len(rows), len(inputs)) if data.available is None else data.available[rows]
        with torch.inference_mode():
            features = model.branch_features(*mask_modalities(inputs, present))
            parts.append(fusion.shares(features, present))
    return np.asarray(100.0 * torch.cat(parts).double().numpy())
