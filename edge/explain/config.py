"""What is asked of an explanation."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

GatedMetric = Literal["score", "recall", "demographic_parity", "equalized_odds"]


class SliceConfig(BaseModel):
    """How failure slices are sought.

    Attributes:
        quantiles: Parts that each statistic of the inputs is cut into.
        min_samples: Fewer samples are no slice.
        min_recordings: Fewer recordings are none either: samples of one recording fail together.
        false_discovery: Share of the slices found that may be chance (Benjamini and Hochberg 1995).
        listed: Slices, and worst samples, in the report.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    quantiles: int = Field(4, ge=2, le=20)
    min_samples: int = Field(20, ge=2)
    min_recordings: int = Field(5, ge=2)
    false_discovery: float = Field(0.05, gt=0, lt=1)
    listed: int = Field(20, ge=1)


class BiasConfig(BaseModel):
    """Whom a model is compared for, and how far apart groups may be.

    Attributes:
        attributes: Of the dataset; each splits the samples into groups.
        max_gap: Points between the best and the worst group that pass; None measures only.
        gated: What `max_gap` limits.
        min_samples: A group of fewer is too small to judge.
        min_recordings: Alike; a class within a group needs as many to have a recall.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    attributes: tuple[str, ...] = ()
    max_gap: float | None = Field(None, ge=0)
    gated: tuple[GatedMetric, ...] = ("score",)
    min_samples: int = Field(30, ge=2)
    min_recordings: int = Field(5, ge=2)


class GradientConfig(BaseModel):
    """How inputs are attributed.

    Attributes:
        samples: Drawn from the split for the means of each modality; 0 leaves gradients out.
        pictured: Samples that are shown, right and wrong ones.
        steps: Of the integral at first; doubled for samples that have not converged.
        max_steps: No more than these.
        tolerance: Largest difference between what the attributions add up to and what they must, as a share of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    samples: int = Field(32, ge=0)
    pictured: int = Field(6, ge=0, le=40)
    steps: int = Field(32, ge=2)
    max_steps: int = Field(512, ge=2)
    tolerance: float = Field(0.05, gt=0, lt=1)


class ExplainConfig(BaseModel):
    """The whole of it.

    Attributes:
        split: Which samples.
        slices: How failure slices are sought.
        bias: Which groups are compared.
        gradients: How inputs are attributed.
        confidence: Of each interval, drawn over recordings.
        resamples: Bootstrap draws.
        seed: Of draws and of the samples that are attributed.
        batch_size: Samples a call; a bundle takes one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    split: Literal["train", "validation", "test"] = "test"
    slices: SliceConfig = SliceConfig()
    bias: BiasConfig = BiasConfig()
    gradients: GradientConfig = GradientConfig()
    confidence: float = Field(0.95, gt=0.5, lt=1)
    resamples: int = Field(2_000, ge=100)
    seed: int = 0
    batch_size: int = Field(64, ge=1)
